import { describe, expect, test } from "vitest";
import { bucketOf, seedOf } from "../../../core/flags/bucket";
import type { Signal } from "../../../core/health/signal";
import type { Point, Predicate } from "../../../core/telemetry";
import { aFlag, aRollout, aState, bothArms, ERROR_SIGNAL, publish, SDK_KEY } from "./fixture";
import { TooManyPoints } from "../../../worker/telemetry/tooManyPoints";
import { anEdge, down } from "./harness";

const now = 1_760_000_000_000;
const hour = 3_600_000;
const minute = 60_000;
const german = { id: "germans", description: "", when: { attribute: "country", op: "equals" as const, values: ["DE"] }, serve: "true" };

/** Two flags in a rollout at 50 % since an hour ago (20 % before), one flag outside. */
const state = aState({
	flags: [aFlag({ key: "natal" }), aFlag({ key: "synastry", rules: [german] }), aFlag()],
	rollouts: [
		aRollout({
			flags: { natal: "true", synastry: "true" },
			stage: 2,
			sinceMs: now - hour,
			before: { stage: 1, served: 20_000, sinceMs: now - 2 * hour },
		}),
	],
});
const published = await publish([state]);
const bucket = (key: string): number => bucketOf(key, seedOf("kerykeion"));
/** A user whose bucket lies between the two, below the one and not below the other. */
function userBetween(low: number, high: number): string {
	for (let i = 0; ; i++) if (bucket(`user-${i}`) >= low && bucket(`user-${i}`) < high) return `user-${i}`;
}
const joined = userBetween(20_000, 50_000);
const control = userBetween(50_000, 100_000);

const anEvent = (change: Record<string, unknown> = {}) => ({
	targetingKey: joined,
	flag: "natal",
	metric: "error",
	value: false,
	...change,
});
async function sent(
	events: unknown[],
): Promise<{ status: number; body: { accepted: number; rejected: unknown[] }; points: readonly Point[] }> {
	const edge = await anEdge(published, { nowMs: now });
	const response = await edge.post("/v1/events", { events });
	return { status: response.status, body: await response.json(), points: edge.recorded.flatMap((each) => each.points) };
}

describe("a point", () => {
	test("is stored once more for a guard of the flag that it names, and is one event all the same", async () => {
		const scoped = { ...ERROR_SIGNAL, key: "error@natal", metric: "error@natal" };
		const rollouts = [aRollout({ flags: { natal: "true", synastry: "true" }, signals: [ERROR_SIGNAL, scoped] })];
		const flags = [aFlag({ key: "natal" }), aFlag({ key: "synastry" })];
		const edge = await anEdge(await publish([aState({ flags, rollouts })]), { nowMs: now });
		await edge.post("/v1/events", { events: [anEvent({ id: "e1", value: true }), anEvent({ flag: "synastry" })] });
		expect(edge.recorded.flatMap(({ points }) => points)).toMatchObject([
			{ id: "e1", metric: "error", harms: [{ signal: "error", slot: 0 }], first: true },
			{ id: "e1", metric: "error@natal", harms: [{ signal: "error@natal", slot: 0 }], first: false },
			{ id: null, metric: "error", harms: [], first: true },
		]);
	});

	test("says who was in which arm, what happened, and nothing about who it was", async () => {
		const { status, body, points } = await sent([anEvent({ id: "e1", value: true }), anEvent({ targetingKey: control })]);
		expect([status, body]).toEqual([202, { accepted: 2, rejected: [] }]);
		const unit = expect.stringMatching(/^[A-Za-z0-9_-]{22}$/);
		const common = { rollout: "kerykeion", stage: 2, served: 50_000, flag: "natal", metric: "error", unit, scored: false, first: true };
		expect(points).toEqual([
			{ ...common, arm: "candidate", variant: "true", id: "e1", value: 1, harms: [{ signal: "error", slot: 0 }] },
			{ ...common, arm: "control", variant: "false", id: null, value: 0, harms: [] },
		]);
	});

	test("names every signal that takes the value for harm in its user's arm", async () => {
		const above = (value: number) => ({ op: "gt" as const, value });
		const signals = [
			{ key: "latency_ms p95 vs control +20%", metric: "latency_ms", slot: 0, harm: { candidate: above(120), control: above(100) } },
			{ key: "latency_ms>50", metric: "latency_ms", slot: 1, harm: bothArms(above(50)) },
			{ key: "latency_ms p95 vs baseline +20%", metric: "latency_ms", slot: 2, harm: null },
			ERROR_SIGNAL,
		];
		const measuring = await publish([aState({ ...state, rollouts: [aRollout({ signals, scored: ["latency_ms"] })] })]);
		const edge = await anEdge(measuring, { nowMs: now });
		const latency = (targetingKey: string, value: number) => anEvent({ targetingKey, metric: "latency_ms", value });
		await edge.post("/v1/events", { events: [latency(joined, 110), latency(control, 110), latency(joined, 50), anEvent()] });
		const points = edge.recorded.flatMap((each) => each.points);
		expect(points.map(({ harms, scored }) => [harms.map(({ slot }) => slot), scored])).toEqual([
			[[1], true],
			[[0, 1], true],
			[[], true],
			[[], false],
		]);
	});

	test("is made once more for the guards of the flag that its event names, and only for them", async () => {
		const french = { country: "FR" };
		const scoped = (metric: string, harm: Predicate): Signal => ({ key: metric, metric, slot: 0, harm: bothArms(harm) });
		const signals = [
			ERROR_SIGNAL,
			scoped("error@natal", { op: "equals", value: 1 }),
			scoped("latency_ms@synastry", { op: "gt", value: 100 }),
		];
		const flags = { natal: "true", synastry: "true" };
		const guarded = await publish([aState({ ...state, rollouts: [aRollout({ flags, signals, scored: ["latency_ms@synastry"] })] })]);
		const edge = await anEdge(guarded, { nowMs: now });
		await edge.post("/v1/events", {
			events: [
				anEvent({ id: "e1", value: true }),
				anEvent({ flag: "synastry", context: french, value: true }),
				anEvent({ flag: undefined, value: true }),
				anEvent({ flag: "synastry", context: french, metric: "latency_ms", value: 101 }),
				anEvent({ flag: "checkout", value: true }),
				anEvent({ targetingKey: control, metric: "latency_ms", value: 101 }),
			],
		});
		const points = edge.recorded.flatMap((each) => each.points);
		expect(
			points.map(({ metric, arm, flag, variant, first, scored, harms }) => [metric, arm, flag, variant, first, scored, harms.length]),
		).toEqual([
			["error", "candidate", "natal", "true", true, false, 1],
			["error@natal", "candidate", "", "", false, false, 1],
			["error", "candidate", "synastry", "true", true, false, 1],
			["error", "candidate", "natal", "true", true, false, 1],
			["latency_ms", "candidate", "synastry", "true", true, false, 0],
			["latency_ms@synastry", "candidate", "", "", false, true, 1],
			["latency_ms", "control", "natal", "false", true, false, 0],
		]);
		const [whole, own] = points;
		const { id, rollout, stage, served, unit, value } = whole ?? {};
		expect(own).toMatchObject({ id, rollout, stage, served, unit, value, harms: [{ signal: "error@natal", slot: 0 }] });
	});

	test("of a user that no arm can claim is made for no guard", async () => {
		const signals: Signal[] = [{ key: "error@synastry", metric: "error@synastry", slot: 0, harm: bothArms({ op: "equals", value: 1 }) }];
		const guarded = await publish([aState({ ...state, rollouts: [aRollout({ flags: { synastry: "true" }, signals })] })]);
		const edge = await anEdge(guarded, { nowMs: now });
		await edge.post("/v1/events", {
			events: [anEvent({ flag: "synastry" }), anEvent({ flag: "synastry", context: { country: "FR" } })],
		});
		expect(edge.recorded.flatMap((each) => each.points).map(({ metric, arm }) => [metric, arm])).toEqual([
			["error", "unattributed"],
			["error", "candidate"],
			["error@synastry", "candidate"],
		]);
	});

	test("of a measured flag is stored outside a rollout too, and its event counts once", async () => {
		const flags = [aFlag({ key: "natal", measured: true }), aFlag({ key: "search", measured: true }), aFlag()];
		const measuring = await publish([aState({ ...state, flags })]);
		const edge = await anEdge(measuring, { nowMs: now });
		await edge.post("/v1/events", { events: [anEvent({ flag: undefined }), anEvent({ flag: "search" }), anEvent({ flag: "checkout" })] });
		const points = edge.recorded.flatMap((each) => each.points);
		expect(points.map(({ rollout, arm, flag, variant, first }) => [rollout, arm, flag, variant, first])).toEqual([
			["kerykeion", "candidate", "natal", "true", true],
			["", "outside", "search", "false", false],
			["", "outside", "search", "false", true],
		]);
	});

	test("may be of the environment's own metric, as its kind reads it", async () => {
		const metrics = [
			{ key: "converted", kind: "rate" as const },
			{ key: "basket", kind: "count" as const },
		];
		const edge = await anEdge(await publish([aState({ ...state, metrics })]), { nowMs: now });
		const own = (metric: string, value: unknown) => anEvent({ metric, value });
		const response = await edge.post("/v1/events", {
			events: [own("converted", true), own("basket", 3), own("converted", 1), own("basket", -1)],
		});
		expect(await response.json()).toEqual({
			accepted: 2,
			rejected: [
				{ index: 2, reason: "converted takes true or false" },
				{ index: 3, reason: expect.stringContaining("basket takes 0 to") },
			],
		});
		expect(edge.recorded.flatMap((each) => each.points).map(({ metric, value }) => [metric, value])).toEqual([
			["converted", 1],
			["basket", 3],
		]);
	});

	test("carries a keyed hash that is the same for the same user, and never the key", async () => {
		const { points } = await sent([anEvent(), anEvent({ metric: "latency_ms", value: 12.5 }), anEvent({ targetingKey: control })]);
		const units = points.map(({ unit }) => unit);
		expect(units[0]).toBe(units[1]);
		expect(units[0]).not.toBe(units[2]);
		expect(JSON.stringify(points)).not.toContain("user-");
		const key = await crypto.subtle.importKey("raw", new TextEncoder().encode("test-hash-key"), { name: "HMAC", hash: "SHA-256" }, false, [
			"sign",
		]);
		const mac = new Uint8Array(await crypto.subtle.sign("HMAC", key, new TextEncoder().encode(joined)));
		expect(units[0]).toBe(
			btoa(String.fromCharCode(...mac.subarray(0, 16)))
				.replaceAll("+", "-")
				.replaceAll("/", "_")
				.replace(/=+$/, ""),
		);
	});

	test("is another under another secret", async () => {
		const units: (string | undefined)[] = [];
		for (const userHashKey of ["one", "two"]) {
			const edge = await anEdge(published, { nowMs: now, userHashKey });
			await edge.post("/v1/events", { events: [anEvent()] });
			units.push(edge.recorded[0]?.points[0]?.unit);
		}
		expect(units[0]).toBeDefined();
		expect(units[0]).not.toBe(units[1]);
	});

	test("of before the phase has the previous share's arm", async () => {
		const { points } = await sent([anEvent({ at: now - hour }), anEvent({ at: now - hour - 1 })]);
		expect(points.map(({ arm, stage, served }) => [arm, stage, served])).toEqual([
			["candidate", 2, 50_000],
			["control", 1, 20_000],
		]);
	});

	test("counts once for an event that names no flag, however many flags the rollout has", async () => {
		const { points } = await sent([anEvent({ flag: undefined, context: { country: "FR" } })]);
		expect(points).toHaveLength(1);
	});

	test.each<[string, Record<string, unknown>]>([
		["a rule served", { flag: "synastry", context: { country: "DE" } }],
		["no rollout serves", { flag: "checkout" }],
	])("does not come of a user whom %s", async (_, change) => {
		const edge = await anEdge(published, { nowMs: now });
		edge.parts.record = down;
		const response = await edge.post("/v1/events", { events: [anEvent(change)] });
		expect([response.status, await response.json()]).toEqual([202, { accepted: 1, rejected: [] }]);
	});

	test.each([{}, { country: null }])(
		"of a user whom a rule might have served, had the attribute been there, is no arm's: %j",
		async (context) => {
			const { body, points } = await sent([anEvent({ flag: "synastry", context })]);
			expect(body).toEqual({ accepted: 1, rejected: [] });
			expect(points).toMatchObject([{ rollout: "kerykeion", stage: 2, served: 50_000, arm: "unattributed", metric: "error", value: 0 }]);
		},
	);

	test("does not come of an event from before the phase before", async () => {
		expect((await sent([anEvent({ at: now - 2 * hour })])).points).toMatchObject([{ stage: 1, served: 20_000 }]);
		expect((await sent([anEvent({ at: now - 2 * hour - 1 })])).points).toEqual([]);
	});

	test("does not come of a user whom the overlay has moved", async () => {
		const overlay = { kill: [], baseline: ["kerykeion"] };
		const edge = await anEdge(await publish([state], { overlay }), { nowMs: now });
		expect(await (await edge.post("/v1/events", { events: [anEvent()] })).json()).toMatchObject({ accepted: 1 });
		expect(edge.recorded).toEqual([]);
	});

	test("is bucketed by the event's targeting key, whatever its context says", async () => {
		const { points } = await sent([anEvent({ context: { targetingKey: control, __proto__: { country: "DE" } } })]);
		expect(points).toMatchObject([{ arm: "candidate" }]);
	});

	test("goes to the environment of the key, in one call", async () => {
		const edge = await anEdge(published, { nowMs: now });
		await edge.post("/v1/events", { events: [anEvent(), anEvent({ targetingKey: control })] });
		expect(edge.recorded.map(({ environment, points }) => [environment, points.length])).toEqual([["production", 2]]);
	});
});

describe("an event", () => {
	test.each<[string, unknown, string]>([
		["no object", "error", "is not an object"],
		["a list", [], "is not an object"],
		["an unknown field", anEvent({ variant: "true" }), 'unknown field "variant"'],
		[
			"an inherited name as field",
			JSON.parse(JSON.stringify(anEvent()).replace('"metric"', '"__proto__":{},"metric"')),
			'unknown field "__proto__"',
		],
		["no targeting key", anEvent({ targetingKey: undefined }), "targetingKey takes"],
		["an empty targeting key", anEvent({ targetingKey: "" }), "targetingKey takes"],
		["a number as targeting key", anEvent({ targetingKey: 7 }), "targetingKey takes"],
		["a long targeting key", anEvent({ targetingKey: "x".repeat(1_001) }), "targetingKey takes"],
		["an empty id", anEvent({ id: "" }), "id takes"],
		["a long id", anEvent({ id: "x".repeat(101) }), "id takes"],
		["a number as id", anEvent({ id: 1 }), "id takes"],
		["a list as context", anEvent({ context: [] }), "context takes"],
		["an unknown flag", anEvent({ flag: "unknown" }), 'unknown flag "unknown"'],
		["an inherited name as flag", anEvent({ flag: "constructor" }), "unknown flag"],
		["a number as flag", anEvent({ flag: 1 }), "flag takes"],
		[
			"an unknown metric",
			anEvent({ metric: "constructor" }),
			'unknown metric "constructor": metric takes one of discrepancy, duration_ms, error, fallback, gateway_diverted, gateway_retried, latency_ms, response_bytes, satisfaction',
		],
		["a metric that is not known yet", anEvent({ metric: "basket" }), "a new one is known here within 10 s"],
		["a long unknown metric", anEvent({ metric: "x".repeat(1_000) }), `unknown metric "${"x".repeat(63)}": `],
		["no metric", anEvent({ metric: undefined }), "metric takes one of"],
		["a number as error", anEvent({ value: 1 }), "error takes true or false"],
		["a latency below 0", anEvent({ metric: "latency_ms", value: -1 }), "latency_ms takes 0 to"],
		["no value", anEvent({ value: undefined }), "error takes"],
		["a time as text", anEvent({ at: "2026-01-01T00:00:00Z" }), "at takes whole milliseconds"],
		["a time in seconds", anEvent({ at: Math.floor(now / 1_000) }), "milliseconds, not seconds?"],
		["a time in broken seconds", anEvent({ at: now / 1_000 + 0.123 }), "milliseconds, not seconds?"],
		["a broken millisecond", anEvent({ at: now + 0.5 }), "at takes whole milliseconds"],
		["a time in the future", anEvent({ at: now + 5 * minute + 1 }), "300001 ms in the future > limit 300000 ms"],
		["a time long ago", anEvent({ at: now - 24 * hour - 1 }), "86400001 ms ago > limit 86400000 ms"],
	])("with %s is rejected alone, with the reason", async (_, event, reason) => {
		const { status, body, points } = await sent([anEvent(), event]);
		expect([status, body]).toEqual([202, { accepted: 1, rejected: [{ index: 1, reason: expect.stringContaining(reason) }] }]);
		expect(points).toHaveLength(1);
	});

	test.each([now + 5 * minute, now - 24 * hour, now])("at the limit, %d, is accepted", async (at) => {
		expect((await sent([anEvent({ at })])).body).toEqual({ accepted: 1, rejected: [] });
	});

	test("whose id is repeated in the batch counts once", async () => {
		const { body, points } = await sent([anEvent({ id: "a" }), anEvent({ id: "a" }), anEvent({ id: "b" }), anEvent(), anEvent()]);
		expect(body).toEqual({ accepted: 4, rejected: [] });
		expect(points.map(({ id }) => id)).toEqual(["a", "b", null, null]);
	});

	test("is not shadowed by a rejected one of the same id", async () => {
		const { body, points } = await sent([anEvent({ id: "a", value: 3 }), anEvent({ id: "a" })]);
		expect([body.accepted, points.length]).toEqual([1, 1]);
	});

	test("may have a lone surrogate as targeting key", async () => {
		const { body, points } = await sent([anEvent({ targetingKey: "\ud800" }), anEvent({ targetingKey: "\ufffd" })]);
		expect(body).toEqual({ accepted: 2, rejected: [] });
		expect(points[0]?.unit).toBe(points[1]?.unit);
	});
});

describe("a batch", () => {
	const isProblem = (response: Response): void => expect(response.headers.get("Content-Type")).toBe("application/problem+json");

	test("of no events is fine, and no call", async () => {
		const edge = await anEdge(published);
		edge.parts.record = down;
		const response = await edge.post("/v1/events", { events: [] });
		expect([response.status, await response.json()]).toEqual([202, { accepted: 0, rejected: [] }]);
	});

	test.each(["{", "", "[]", "null", "{}", '{"events":{}}', '{"events":null}'])("that is none is refused: %j", async (body) => {
		const edge = await anEdge(published);
		const response = await edge.post("/v1/events", body);
		isProblem(response);
		expect(await response.json()).toMatchObject({ status: 400 });
	});

	test("of more than 500 events, or 64 KiB, names the limit", async () => {
		const edge = await anEdge(published);
		const many = await edge.post("/v1/events", { events: Array(501).fill(1) });
		isProblem(many);
		expect(await many.json()).toMatchObject({ status: 413, detail: expect.stringContaining("501 events > limit 500") });
		const large = await edge.post("/v1/events", { events: [anEvent({ context: { text: "x".repeat(64 * 1024) } })] });
		isProblem(large);
		expect(await large.json()).toMatchObject({ status: 413, detail: expect.stringContaining("65536") });
		expect((await edge.post("/v1/events", { events: Array(500).fill(1) })).status).toBe(202);
	});

	test("that could not be stored is 503 with the time to try again, and claims nothing", async () => {
		const edge = await anEdge(published, { nowMs: now });
		edge.parts.record = down;
		const response = await edge.post("/v1/events", { events: [anEvent(), 1] });
		isProblem(response);
		expect([response.status, response.headers.get("Retry-After")]).toEqual([503, "5"]);
		expect(await response.json()).not.toHaveProperty("accepted");
	});

	test("that makes more points than the store takes at once is refused whole, with the limit", async () => {
		const edge = await anEdge(published, { nowMs: now });
		edge.parts.record = async () => {
			throw new TooManyPoints(300, 250);
		};
		const response = await edge.post("/v1/events", { events: [anEvent()] });
		isProblem(response);
		expect(await response.json()).toMatchObject({
			status: 413,
			detail: expect.stringMatching(/more than the 250 points.*smaller batches/),
		});
	});

	test("that is measured by so many flags that no store takes it is refused whole, and says what helps", async () => {
		const flags = Array.from({ length: 60 }, (_, i) => aFlag({ key: `flag-${i}`, measured: true }));
		const edge = await anEdge(await publish([aState({ flags })]), { nowMs: now });
		const events = (change: Record<string, unknown>) => ({ events: Array.from({ length: 100 }, () => anEvent(change)) });
		const response = await edge.post("/v1/events", events({ flag: undefined }));
		isProblem(response);
		expect(await response.json()).toMatchObject({ status: 413, detail: expect.stringMatching(/more than the 5000 points.*name the flag/) });
		expect(edge.recorded).toEqual([]);
		expect((await edge.post("/v1/events", events({ flag: "flag-1" }))).status).toBe(202);
	});

	test.each([undefined, ""])("without the secret (%j) is 503 and says which to set", async (userHashKey) => {
		const edge = await anEdge(published, { userHashKey });
		const response = await edge.post("/v1/events", { events: [anEvent()] });
		isProblem(response);
		expect(await response.json()).toMatchObject({ status: 503, detail: expect.stringContaining("USER_HASH_KEY") });
	});

	test("without a key, or with a wrong one, is 401", async () => {
		const edge = await anEdge(published);
		for (const key of ["", "wrong", `${SDK_KEY}x`]) {
			const response = await edge.post("/v1/events", { events: [] }, { "X-API-Key": key });
			isProblem(response);
			expect(response.status).toBe(401);
		}
	});
});
