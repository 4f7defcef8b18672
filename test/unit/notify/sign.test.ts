import { Webhook } from "standardwebhooks";
import { describe, expect, test } from "vitest";
import { drawSecret, signatureHeaders } from "../../../control/notify/sign";
import vectors from "../../vectors/standard_webhooks.json";

const body = JSON.stringify({ type: "rollout.rolled_back", timestamp: "2026-12-01T10:00:00.000Z", data: { message: "Überlast: 41 > 20" } });
const aMessage = (change: Partial<Parameters<typeof signatureHeaders>[0]> = {}) => ({
	id: "evt_1_2",
	timestampMs: Date.now(),
	body,
	...change,
});
const verify = (secret: string, headers: Record<string, string>, sent = body) => new Webhook(secret).verify(sent, headers);

test.each(vectors.cases)("signs as the specification's libraries do ($webhook_id)", async (given) => {
	const timestampMs = given.webhook_timestamp * 1_000;
	const signed = { id: given.webhook_id, timestampMs, body: given.body };
	expect(await signatureHeaders(signed, [given.secret])).toEqual({
		"webhook-id": given.webhook_id,
		"webhook-timestamp": String(given.webhook_timestamp),
		"webhook-signature": given.signature,
	});
	// Of part of a second too.
	expect(await signatureHeaders({ ...signed, timestampMs: timestampMs + 999 }, [given.secret])).toMatchObject({
		"webhook-signature": given.signature,
	});
});

test("a secret is drawn anew each time, of 32 random bytes, in the form that libraries take", () => {
	const secrets = Array.from({ length: 20 }, drawSecret);
	expect(new Set(secrets).size).toBe(20);
	for (const secret of secrets) {
		expect(secret).toMatch(/^whsec_[A-Za-z0-9+/]{43}=$/);
		expect(Buffer.from(secret.slice(6), "base64")).toHaveLength(32);
	}
});

describe("the standardwebhooks package", () => {
	const [secret, other] = [drawSecret(), drawSecret()];

	test("takes what is signed here", async () => {
		expect(verify(secret, await signatureHeaders(aMessage(), [secret]))).toEqual(JSON.parse(body));
	});

	test("takes either secret while two of them sign, and no third", async () => {
		const headers = await signatureHeaders(aMessage(), [other, secret]);
		expect(headers["webhook-signature"]).toMatch(/^v1,[A-Za-z0-9+/]{43}= v1,[A-Za-z0-9+/]{43}=$/);
		expect(verify(secret, headers)).toEqual(JSON.parse(body));
		expect(verify(other, headers)).toEqual(JSON.parse(body));
		expect(() => verify(drawSecret(), headers)).toThrow("No matching signature");
	});

	test.each<[what: string, change: (headers: Record<string, string>) => [headers: Record<string, string>, body: string]]>([
		["the body", (headers) => [headers, body.replace("41", "42")]],
		["the id", (headers) => [{ ...headers, "webhook-id": "evt_1_3" }, body]],
		["the time", (headers) => [{ ...headers, "webhook-timestamp": String(Number(headers["webhook-timestamp"]) + 1) }, body]],
		["the signature", (headers) => [{ ...headers, "webhook-signature": `v1,${btoa("x".repeat(32))}` }, body]],
	])("refuses what was tampered with: %s", async (_what, change) => {
		const [headers, sent] = change(await signatureHeaders(aMessage(), [secret]));
		expect(() => verify(secret, headers, sent)).toThrow("No matching signature");
	});

	test("refuses what is replayed after its tolerance, to the second", async () => {
		const toleranceMs = vectors.tolerance_seconds * 1_000;
		const replayed = (ageMs: number) => signatureHeaders(aMessage({ timestampMs: Date.now() - ageMs }), [secret]);
		expect(verify(secret, await replayed(toleranceMs - 5_000))).toEqual(JSON.parse(body));
		const late = await replayed(toleranceMs + 5_000);
		expect(() => verify(secret, late)).toThrow("too old");
	});
});
