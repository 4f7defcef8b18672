import { describe, expect, test } from "vitest";
import { scoredMetrics, signalsOf } from "../../../core/health/signals";
import { type Plan } from "../../../core/rollouts/plan";
import { checkPlan } from "../../../core/rollouts/checkPlan";
import { type LiveState, type RolloutState, isLive } from "../../../core/rollouts/state";
import { FIRST_LAUNCH, enterPhase, started } from "../../../core/rollouts/transitions";
import { SLOTS_MAX } from "../../../core/telemetry";
import { ENDED, aGuardWatch, aPhase, aPlan, aState, pausedState } from "../rollouts/fixtures";
import { aMetric } from "./metrics";

/** Everything that a plan can ask of two metrics. */
const plan = aPlan({
	guards: [
		"latency_ms p95 vs control <= +20%",
		"error_rate vs control <= +25%",
		"latency_ms p99 vs baseline <= +10%",
		"error_rate vs baseline <= +10%",
	],
	red_flags: ["latency_ms p99 > 10s", "error_rate > 10%"],
	phases: [
		aPhase({ criteria: ["error_rate < 3%", "latency_ms p95 < 2500"] }),
		aPhase({ percent: 100, criteria: ["latency_ms p50 < 2.5s", "latency_ms mean < 800", "satisfaction harm < 4%"] }),
	],
});

const frozen = { limit: 650, center: 5.3, spread: 0.4 };
const warm = (state: LiveState): LiveState => ({
	...state,
	watch: { ...state.watch, guards: state.watch.guards.map((guard, i) => (i === 0 ? { ...guard, frozen } : guard)) },
});

const places = (of: Plan, state: RolloutState) => signalsOf(of, state).map(({ key, metric, slot }) => [key, metric, slot]);
const harmIn = (state: RolloutState, key: string) => signalsOf(plan, state).find((each) => each.key === key)?.harm;
const above = (value: number) => ({ op: "gt", value });
const both = (harm: object) => ({ candidate: harm, control: harm });

test("every signal of a plan comes once, with its place among those of its metric", () => {
	expect(places(plan, started(plan, FIRST_LAUNCH, 0))).toEqual([
		["latency_ms p95 vs control +20%", "latency_ms", 0],
		["error", "error", 0],
		["latency_ms p99 vs baseline +10%", "latency_ms", 1],
		["latency_ms>10000", "latency_ms", 2],
		["latency_ms>2500", "latency_ms", 3],
		["latency_ms", "latency_ms", 4],
		["satisfaction", "satisfaction", 0],
	]);
});

test("keys and places are the same in every phase and status: evidence is collected under them", () => {
	const first = started(plan, FIRST_LAUNCH, 0);
	const second = enterPhase(plan, warm(first), 0, 1);
	const states: readonly RolloutState[] = [
		second,
		{ ...second, baseline: [900, 0.01] },
		enterPhase(plan, second, 1, 2),
		{ ...first, status: "paused", pausedAtMs: 0, by: "anna", reason: "lunch" },
		{ status: "draft" },
		...ENDED,
	];
	for (const state of states) expect(places(plan, state)).toEqual(places(plan, first));
});

describe("what counts as harm", () => {
	const fresh = started(plan, FIRST_LAUNCH, 0);

	test("of a rate is its worse answer, in both arms and from the start", () => {
		expect(harmIn(fresh, "error")).toEqual(both({ op: "equals", value: 1 }));
	});

	test("of a rate that had better be high is a no", () => {
		const paid = aMetric({ key: "paid", kind: "rate", better: "higher" });
		const of = aPlan({ guards: [], red_flags: ["paid_rate < 50%"], metrics: [paid] });
		expect(signalsOf(of, started(of, FIRST_LAUNCH, 0))[0]).toMatchObject({ key: "paid", harm: both({ op: "equals", value: 0 }) });
	});

	test("of any other metric is what the metric says", () => {
		expect(harmIn(fresh, "satisfaction")).toEqual(both({ op: "lt", value: 5 }));
		const retries = aMetric({ key: "retries", harm: { op: "gte", value: 3 } });
		const of = aPlan({ guards: ["retries harm vs control <= +10%"], metrics: [retries] });
		expect(signalsOf(of, started(of, FIRST_LAUNCH, 0))[0]).toMatchObject({ key: "retries", harm: both({ op: "gte", value: 3 }) });
	});

	test("is nothing where the metric says none: its mean alone is judged", () => {
		expect(harmIn(warm(fresh), "latency_ms")).toBeNull();
	});

	test("of a percentile's limit is a value above it, in both arms and from the start", () => {
		expect(harmIn(fresh, "latency_ms>2500")).toEqual(both(above(2_500)));
		expect(harmIn(fresh, "latency_ms>10000")).toEqual(both(above(10_000)));
	});

	test("against control is unknown before the warm-up ends; right afterwards the candidate is given its margin", () => {
		const key = "latency_ms p95 vs control +20%";
		expect(harmIn(fresh, key)).toBeNull();
		expect(harmIn(warm(fresh), key)).toEqual({ candidate: above(780), control: above(650) });
		expect(harmIn(warm(pausedOf(fresh)), key)).toEqual({ candidate: above(780), control: above(650) });
	});

	test("against the baseline is unknown before it is captured; right afterwards it is the same in both arms", () => {
		const key = "latency_ms p99 vs baseline +10%";
		expect(harmIn(warm(fresh), key)).toBeNull();
		expect(harmIn({ ...fresh, baseline: [1_000, 0.01] }, key)).toEqual(both(above(1_100)));
		expect(harmIn(enterPhase(plan, { ...fresh, baseline: [1_000, 0.01] }, 1, 1), key)).toEqual(both(above(1_100)));
	});

	test("by comparison is nothing to a rollout that is not live; by a limit it still is", () => {
		for (const state of [{ status: "draft" } as const, ...ENDED]) {
			expect(harmIn(state, "latency_ms p95 vs control +20%")).toBeNull();
			expect(harmIn(state, "latency_ms p99 vs baseline +10%")).toBeNull();
			expect(harmIn(state, "latency_ms>2500")).not.toBeNull();
		}
	});
});

function pausedOf(state: LiveState): LiveState {
	return { ...state, status: "paused", pausedAtMs: 0, by: "anna", reason: "lunch" };
}

test("values are scored from the end of a warm-up on, each metric's once", () => {
	const two = aPlan({
		guards: ["error_rate vs control <= +25%", "latency_ms p95 vs control <= +20%", "latency_ms p50 vs control <= +20%"],
	});
	const scoredWhen = (...isWarm: readonly boolean[]) =>
		scoredMetrics(two, aState({ watch: { guards: isWarm.map((each) => aGuardWatch(each ? { frozen } : {})) } }, two));
	expect(scoredWhen(false, false, false)).toEqual([]);
	expect(scoredWhen(false, true, false)).toEqual(["latency_ms"]);
	expect(scoredWhen(false, true, true)).toEqual(["latency_ms"]);
	expect(scoredMetrics(plan, pausedState())).toEqual([]);
	for (const state of [{ status: "draft" } as const, ...ENDED]) expect(scoredMetrics(two, state)).toEqual([]);
});

test("an error is never scored, whatever its guard's state says", () => {
	expect(scoredMetrics(aPlan(), aState({ guard: { frozen } }))).toEqual([]);
});

test.each<[number, number]>([
	[SLOTS_MAX, 0],
	[SLOTS_MAX + 1, 1],
])("%i limits of one metric in a plan: %i errors", (limits, errors) => {
	const texts = Array.from({ length: limits }, (_, i) => `latency_ms p95 < ${2_000 + i}`);
	const phases = [aPhase({ criteria: texts.slice(0, 10) }), aPhase({ percent: 100, criteria: texts.slice(10) })];
	const found = checkPlan(aPlan({ red_flags: [], phases }));
	expect(found).toHaveLength(errors);
	if (errors > 0) expect(found[0]?.message).toBe("17 different limits of latency_ms > limit 16 a plan");
});

test("the same limit twice is one signal, and other metrics have places of their own", () => {
	const texts = Array.from({ length: SLOTS_MAX }, (_, i) => `latency_ms p95 < ${2_000 + i}`);
	const phases = [aPhase({ criteria: texts }), aPhase({ percent: 100, criteria: [...texts, "error_rate < 3%", "latency_ms p99 < 2000"] })];
	const of = aPlan({ red_flags: ["latency_ms p50 > 2s"], phases });
	expect(checkPlan(of)).toEqual([]);
	expect(Math.max(...signalsOf(of, { status: "draft" }).map(({ slot }) => slot))).toBe(SLOTS_MAX - 1);
});

test("a state that is live is told apart from one that is not", () => {
	expect([started(plan, FIRST_LAUNCH, 0), pausedState()].every(isLive)).toBe(true);
});
