import { env } from "cloudflare:workers";
import { afterEach, describe, expect, test } from "vitest";
import { bucketOf, seedOf } from "../../../core/flags/bucket";
import { overrideKey } from "../../../core/wire";
import { aFlag, aRollout, aState, publish } from "./fixture";
import { anEdge } from "./harness";

const FLAGS = "/ofrep/v1/evaluate/flags";
const isOf = (attribute: string) => ({ attribute, op: "equals" as const, values: [true] });
const segment = (key: string) => ({ segment: { key, description: "", when: isOf(key) }, listed: "" });
const flags = [aFlag({ key: "natal" }), aFlag({ key: "synastry" })];
const segments = [segment("staff"), segment("beta")];
/** All of the staff, half of those who test betas, nobody else. */
const rings = [
	{ segment: "staff", served: 100_000 },
	{ segment: "beta", served: 50_000 },
];
const moved = { natal: "true", synastry: "true" };
const state = aState({ flags, segments, rollouts: [aRollout({ flags: moved, rings })] });

const bucket = (key: string): number => bucketOf(key, seedOf("kerykeion"));
function userFrom(low: number, high: number): string {
	for (let i = 0; ; i++) if (bucket(`user-${i}`) >= low && bucket(`user-${i}`) < high) return `user-${i}`;
}
const early = userFrom(0, 50_000);
const late = userFrom(50_000, 100_000);

type Edge = Awaited<ReturnType<typeof anEdge>>;
const ask = (edge: Edge, context: Record<string, unknown>, key = "natal"): Promise<Response> => edge.post(`${FLAGS}/${key}`, { context });

describe("a rollout that goes ring by ring", () => {
	test.each<[string, Record<string, unknown>, boolean]>([
		["all of a ring that is served whole", { targetingKey: late, staff: true }, true],
		["who is below a ring's percent", { targetingKey: early, beta: true }, true],
		["not who is above it", { targetingKey: late, beta: true }, false],
		["who is in two rings by the wider one", { targetingKey: late, beta: true, staff: true }, true],
	])("serves %s", async (_, context, value) => {
		const edge = await anEdge(await publish([state]));
		const { targetingKey } = context;
		expect(await (await ask(edge, context)).json()).toMatchObject({
			value,
			reason: "SPLIT",
			metadata: { rollout: "kerykeion", phase: "phase_1", bucket: bucket(String(targetingKey)) },
		});
	});

	test("serves the baseline to whoever is in no ring, and says so", async () => {
		const edge = await anEdge(await publish([state]));
		const answer = await (await ask(edge, { targetingKey: early, staff: false })).json();
		expect(answer).toMatchObject({ value: false, reason: "DEFAULT", metadata: { rollout: "kerykeion", outside: true } });
		expect(answer).not.toHaveProperty("metadata.bucket");
	});

	test("changes the ETag as a ring opens, and as a user enters one", async () => {
		const outsider = { targetingKey: late };
		const etagOf = async (edge: Edge, context: object): Promise<string | null> => (await edge.post(FLAGS, { context })).headers.get("ETag");
		const edge = await anEdge(await publish([state]));
		const opened = aState({
			...state,
			version: 2,
			rollouts: [aRollout({ flags: moved, rings: [...rings, { segment: null, served: 100_000 }] })],
		});
		const later = await anEdge(await publish([opened]));
		const etags = [await etagOf(edge, outsider), await etagOf(edge, { ...outsider, staff: true }), await etagOf(later, outsider)];
		expect(etags).not.toContain(null);
		expect(new Set(etags).size).toBe(3);
		expect(await (await ask(later, outsider)).json()).toMatchObject({ value: true });
	});

	test("takes evidence from its rings alone, each by its own percent", async () => {
		const edge = await anEdge(await publish([state]));
		const event = (targetingKey: string, context: object) => ({ targetingKey, context, flag: "natal", metric: "error", value: false });
		await edge.post("/v1/events", {
			events: [
				event(early, { staff: false, beta: false }),
				event(late, { staff: true }),
				event(early, { staff: false, beta: true }),
				event(late, { staff: false, beta: true }),
				event(early, { beta: true }),
			],
		});
		expect(edge.recorded.flatMap(({ points }) => points.map(({ arm, served }) => [arm, served]))).toEqual([
			["candidate", 100_000],
			["candidate", 50_000],
			["control", 50_000],
			// Whether a wider ring has them is not said.
			["unattributed", 50_000],
		]);
	});
});

describe("break-glass of one flag of a rollout", () => {
	afterEach(() => env.SNAPSHOTS.delete(overrideKey("production")));

	test("puts it back, and leaves the others where they are", async () => {
		const edge = await anEdge(await publish([state]));
		await env.SNAPSHOTS.put(overrideKey("production"), '{"baseline": ["kerykeion:natal"]}');
		const staff = { targetingKey: late, staff: true };
		expect(await (await ask(edge, staff)).json()).toMatchObject({
			value: false,
			metadata: { rollout: "kerykeion", overlay: "break-glass" },
		});
		expect(await (await ask(edge, staff, "synastry")).json()).toMatchObject({ value: true, reason: "SPLIT" });
	});
});
