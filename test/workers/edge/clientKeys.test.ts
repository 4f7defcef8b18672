import { describe, expect, test } from "vitest";
import { bucketOf, seedOf } from "../../../core/flags/bucket";
import { aFlag, aRollout, aState, CLIENT_KEY, publish, SDK_KEY } from "./fixture";
import { anEdge, put } from "./harness";

const FLAGS = "/ofrep/v1/evaluate/flags";
const asClient = { Authorization: `Bearer ${CLIENT_KEY}` };
const asServer = { Authorization: `Bearer ${SDK_KEY}` };
const german = { id: "germans", description: "", when: { attribute: "country", op: "equals" as const, values: ["DE"] }, serve: "true" };
const open = (key: string, change: Parameters<typeof aFlag>[0] = {}) => aFlag({ ...change, key, public: true });

/** Public flags by what decides about them, and two that no client may see. */
const state = aState({
	flags: [
		open("fixed"),
		open("ruled", { rules: [german] }),
		open("targeted", { targets: [{ variant: "true", keys: ["ada", "secret-customer"] }] }),
		open("required", { prerequisites: [{ flag: "hidden", variants: ["true"] }] }),
		open("natal"),
		open("killed", { enabled: false }),
		aFlag({ key: "hidden", rules: [{ ...german, id: "hidden-rule" }] }),
		aFlag({ key: "synastry" }),
	],
	damaged: ["damaged"],
	rollouts: [aRollout({ flags: { natal: "true", synastry: "true" }, excluded: { keys: ["secret-customer"], segments: [] } })],
});
const published = await publish([state]);
const joined = Array.from({ length: 100 }, (_, i) => `user-${i}`).find((user) => bucketOf(user, seedOf("kerykeion")) < 50_000) ?? "";

const ask = async (key: string, context: object, headers: Record<string, string> = asClient) => {
	const edge = await anEdge(published);
	const response = await edge.post(`${FLAGS}/${key}`, { context }, headers);
	return { status: response.status, body: await response.json<Record<string, unknown>>() };
};

describe("a client key", () => {
	test.each(["hidden", "synastry", "damaged"])("does not open %s: it answers as for a flag that does not exist", async (key) => {
		const unknown = await ask("no-such-flag", {});
		expect(unknown).toMatchObject({ status: 404, body: { key: "no-such-flag", errorCode: "FLAG_NOT_FOUND" } });
		expect(unknown.body["errorDetails"]).toContain("A client key opens no flag of this key: check its spelling");
		expect(unknown.body["errorDetails"]).toContain("whether the flag is public");
		expect((await ask("no-such-flag", {}, asServer)).body["errorDetails"]).toContain("This environment has no flag of this key");
		expect(await ask(key, { country: "DE" })).toEqual({ ...unknown, body: { ...unknown.body, key } });
		expect((await ask(key, {}, asServer)).status).toBe(key === "damaged" ? 400 : 200);
	});

	test("lists public flags only, each as a single evaluation answers it", async () => {
		const edge = await anEdge(published);
		const context = { targetingKey: joined, country: "DE" };
		const { flags } = await (await edge.post(FLAGS, { context }, asClient)).json<{ flags: { key: string }[] }>();
		expect(flags.map(({ key }) => key)).toEqual(["fixed", "killed", "natal", "required", "ruled", "targeted"]);
		for (const each of flags) {
			// oxlint-disable-next-line no-await-in-loop -- flag after flag
			expect(await (await edge.post(`${FLAGS}/${each.key}`, { context }, asClient)).json()).toEqual(each);
		}
		const all = await (await edge.post(FLAGS, { context }, asServer)).json<{ flags: { key: string }[] }>();
		expect(all.flags).toHaveLength(9);
	});

	test.each<[string, string, object, object, string]>([
		["a rule", "ruled", { country: "DE" }, { value: true, reason: "TARGETING_MATCH" }, "rule"],
		["a target", "targeted", { targetingKey: "ada" }, { value: true, reason: "TARGETING_MATCH" }, "target"],
		["a prerequisite", "required", {}, { value: false, reason: "DISABLED" }, "prerequisite"],
		["an exclusion", "natal", { targetingKey: "secret-customer" }, { value: false, reason: "DEFAULT" }, "excluded"],
	])("gets the same value as a server key where %s decides, and is not told so", async (_, key, context, expected, field) => {
		const { body: told } = await ask(key, context, asServer);
		expect(told).toMatchObject({ ...expected, metadata: { [field]: expect.anything() } });
		const { body } = await ask(key, context);
		expect(body).toMatchObject(expected);
		expect(body["metadata"]).not.toHaveProperty(field);
	});

	test("is told the snapshot, and of a rollout's step the bucket and the phase", async () => {
		expect((await ask("natal", { targetingKey: joined })).body).toMatchObject({
			value: true,
			metadata: { snapshot: 1, rollout: "kerykeion", phase: "phase_1", bucket: expect.any(Number) },
		});
		expect((await ask("natal", {})).body["metadata"]).toEqual({ snapshot: 1, rollout: "kerykeion", noKey: true });
	});

	test("never reads a rule's name, a condition's value, a target or a hidden flag's key in any answer", async () => {
		const edge = await anEdge(published);
		const contexts = [{}, { country: "DE" }, { targetingKey: "ada" }, { targetingKey: "secret-customer", country: "DE" }];
		for (const context of contexts) {
			for (const path of [FLAGS, ...state.flags.filter((each) => each.public).map(({ key }) => `${FLAGS}/${key}`)]) {
				// oxlint-disable-next-line no-await-in-loop -- answer after answer
				const text = await (await edge.post(path, { context }, asClient)).text();
				for (const secret of ["germans", "hidden", "secret-customer", '"DE"', "excluded", "synastry"]) expect(text).not.toContain(secret);
			}
		}
	});

	test("has another ETag than a server key, though both may see the same flags", async () => {
		const edge = await anEdge(await publish([aState({ flags: [open("fixed")] })]));
		const [client, server] = [await edge.post(FLAGS, {}, asClient), await edge.post(FLAGS, {}, asServer)];
		expect(client.headers.get("ETag")).toMatch(/^"[0-9a-f]{32}"$/);
		expect(client.headers.get("ETag")).not.toBe(server.headers.get("ETag"));
		const crossed = await edge.post(FLAGS, {}, { ...asClient, "If-None-Match": server.headers.get("ETag") ?? "" });
		expect(crossed.status).toBe(200);
	});

	test("sees a flag that becomes public, and no longer one that ceases to be", async () => {
		const edge = await anEdge(await publish([aState({ flags: [open("fixed"), aFlag()] })]));
		const statuses = async () => {
			const one = await edge.post(`${FLAGS}/fixed`, {}, asClient);
			const other = await edge.post(`${FLAGS}/checkout`, {}, asClient);
			return [one.status, other.status];
		};
		expect(await statuses()).toEqual([200, 404]);
		const next = await publish([aState({ version: 2, flags: [aFlag({ key: "fixed" }), open("checkout")] })], { revision: 2 });
		await put(next);
		edge.parts.head = next.head;
		edge.later(8_000);
		expect(await statuses()).toEqual([404, 200]);
	});
});

describe("events with a client key", () => {
	const event = (change: object) => ({ targetingKey: joined, metric: "error", value: false, ...change });

	test("that name a flag that is not public are rejected as those of an unknown flag", async () => {
		const edge = await anEdge(published);
		const events = [{ flag: "natal" }, { flag: "synastry" }, { flag: "hidden" }, { flag: "no-such-flag" }, { flag: "damaged" }].map(event);
		const response = await edge.post("/v1/events", { events }, asClient);
		expect(response.status).toBe(202);
		const rejected = ["synastry", "hidden", "no-such-flag", "damaged"].map((flag, i) => ({
			index: i + 1,
			reason: `unknown flag ${JSON.stringify(flag)}`,
		}));
		expect(await response.json()).toEqual({ accepted: 1, rejected });
		expect(edge.recorded.flatMap(({ points }) => points)).toMatchObject([{ rollout: "kerykeion", arm: "candidate" }]);
	});

	test("that name no flag count as those of a server key", async () => {
		const edge = await anEdge(published);
		await edge.post("/v1/events", { events: [event({})] }, asClient);
		await edge.post("/v1/events", { events: [event({})] }, asServer);
		expect(edge.recorded).toHaveLength(2);
		expect(edge.recorded[0]?.points).toEqual(edge.recorded[1]?.points);
	});
});
