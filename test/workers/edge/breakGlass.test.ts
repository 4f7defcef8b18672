import { env } from "cloudflare:workers";
import { afterEach, describe, expect, test, vi } from "vitest";
import { LEASE_MS, overrideKey } from "../../../core/wire";
import { aFlag, aRollout, aState, CLIENT_KEY, publish } from "./fixture";
import { anEdge, down } from "./harness";

/** KV is real here: what an operator writes with `wrangler kv key put` is what the edge reads. */

const FLAGS = "/ofrep/v1/evaluate/flags";
const flags = [aFlag({ fallthrough: "true", public: true }), aFlag({ key: "natal" })];
const state = aState({ flags, rollouts: [aRollout({ served: 100_000, retreats: true })] });
const breakGlass = (text: string): Promise<void> => env.SNAPSHOTS.put(overrideKey("production"), text);
const KILLING = '{"kill": ["checkout"], "baseline": ["kerykeion"]}';

afterEach(async () => {
	vi.restoreAllMocks();
	await env.SNAPSHOTS.delete(overrideKey("production"));
});

type Edge = Awaited<ReturnType<typeof anEdge>>;
const see = async (edge: Edge, key: string): Promise<unknown> =>
	(await edge.post(`${FLAGS}/${key}`, { context: { targetingKey: "ada" } })).json();
const served = { value: true, variant: "true" };
const broken = { value: false, variant: "false", metadata: { overlay: "break-glass" } };

describe("break-glass", () => {
	test("is in the first answer of a cold isolate, with control and D1 gone", async () => {
		const edge = await anEdge(await publish([state]));
		edge.parts.askHead = down;
		await breakGlass(KILLING);
		expect(await see(edge, "checkout")).toMatchObject({ ...broken, reason: "STALE" });
		expect(await see(edge, "natal")).toMatchObject({ ...broken, metadata: { rollout: "kerykeion", overlay: "break-glass" } });
	});

	test("reaches an isolate that holds a head within one refresh, and leaves with its key", async () => {
		const edge = await anEdge(await publish([state]));
		expect(await see(edge, "checkout")).toMatchObject({ ...served, reason: "STATIC" });
		edge.parts.askHead = down;
		await breakGlass(KILLING);
		edge.later(8_000);
		expect(await see(edge, "checkout")).toMatchObject({ ...broken, reason: "DISABLED" });
		await env.SNAPSHOTS.delete(overrideKey("production"));
		edge.later(8_000);
		await see(edge, "checkout");
		expect(await see(edge, "checkout")).toMatchObject(served);
	});

	test.each(["", "kill checkout", "{", '"checkout"', "[]", "1", "{}", '{"kill":"checkout","baseline":[]}', '{"kill":[1],"baseline":[]}'])(
		"that is no overlay (%j) is ignored and logged, and what was read before stays",
		async (wrong) => {
			const warn = vi.spyOn(console, "warn").mockImplementation(() => {});
			const events = () => warn.mock.calls.map(([line]) => (JSON.parse(String(line)) as { event: string }).event);
			const edge = await anEdge(await publish([state]));
			await breakGlass(KILLING);
			expect(await see(edge, "checkout")).toMatchObject(broken);
			expect(events()).toEqual([]);
			await breakGlass(wrong);
			edge.later(8_000);
			expect(await see(edge, "checkout")).toMatchObject(broken);
			expect(events()).toEqual(["override_unusable"]);
			expect(await see(await anEdge(await publish([state])), "checkout")).toMatchObject(served);
		},
	);

	test("changes the ETag of all flags, and is named to a client key too", async () => {
		const edge = await anEdge(await publish([state]));
		const headers = { Authorization: `Bearer ${CLIENT_KEY}` };
		const before = await edge.post(FLAGS, {}, headers);
		await breakGlass(KILLING);
		edge.later(8_000);
		const after = await edge.post(FLAGS, {}, { ...headers, "If-None-Match": before.headers.get("ETag") ?? "" });
		expect(after.status).toBe(200);
		expect(await after.json()).toMatchObject({ flags: [{ key: "checkout", ...broken }] });
	});

	test("ends evidence from the users that it moved", async () => {
		const edge = await anEdge(await publish([state]));
		await breakGlass(KILLING);
		const events = [{ targetingKey: "ada", flag: "natal", metric: "error", value: true }];
		expect((await edge.post("/v1/events", { events })).status).toBe(202);
		expect(edge.recorded).toEqual([]);
	});
});

test("the dead man's switch takes users back by the clock alone, says so, and changes the ETag", async () => {
	const edge = await anEdge(await publish([state]));
	const before = await edge.post(FLAGS, {});
	expect(await see(edge, "natal")).toMatchObject(served);
	edge.parts.askHead = down;
	edge.later(LEASE_MS + 1);
	expect(await see(edge, "natal")).toMatchObject({ value: false, metadata: { rollout: "kerykeion", overlay: "dead man's switch" } });
	expect(await see(edge, "checkout")).toMatchObject(served);
	expect((await edge.post(FLAGS, {})).headers.get("ETag")).not.toBe(before.headers.get("ETag"));
});
