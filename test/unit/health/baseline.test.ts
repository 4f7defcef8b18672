import { expect, test } from "vitest";
import { baselineLimits, captureBaseline, unmeasured } from "../../../core/health/baseline";
import type { Evidence } from "../../../core/health/observation";
import { judgeLimit } from "../../../core/health/verdict";
import type { Plan } from "../../../core/rollouts/plan";
import { aPhase, aPlan, aState, anEvidence, quantilesOf, sumsOf } from "../rollouts/fixtures";
import { aMetric } from "./metrics";

const paid = aMetric({ key: "paid", kind: "rate", better: "higher" });
const profit = aMetric({ key: "profit", kind: "mean", unit: "EUR", better: "higher" });
const loss = aMetric({ key: "loss", kind: "mean", unit: "EUR" });

const planOf = (...guards: readonly string[]): Plan =>
	aPlan({ guards, red_flags: [], metrics: [paid, profit, loss], phases: [aPhase({ percent: 100 })] });

const P95 = "latency_ms p95 vs baseline <= +20%";
const ofLatency = { signal: "latency_ms p95 vs baseline +20%", metric: "latency_ms", arm: "control", users: 500, harmedUsers: 0 } as const;

function captured(guard: string, seen: Evidence): number | string {
	const found = captureBaseline(planOf(guard), seen);
	return "missing" in found ? found.missing : (found.values[0] ?? Number.NaN);
}

const ofControl = (...userSums: Evidence["userSums"]): Evidence => anEvidence({ userSums, quantiles: [quantilesOf()] });

test.each<[string, string, Evidence, number]>([
	["a rate is the upper bound of its share of requests", "error_rate vs baseline <= +20%", anEvidence(), 0.006339281911978999],
	[
		"a rate without a failure is what so many requests cannot rule out",
		"error_rate vs baseline <= +20%",
		anEvidence({ control: { users: 500, harmedUsers: 0 } }),
		0.005381162426074109,
	],
	[
		"a mean is that of its users",
		"satisfaction mean vs baseline >= -10%",
		ofControl(sumsOf({ metric: "satisfaction", arm: "control", mean: 8.2 })),
		8.2,
	],
	[
		"harm is the upper bound of its share of requests",
		"satisfaction harm vs baseline <= +10%",
		ofControl(sumsOf({ metric: "satisfaction", arm: "control", harmedUsers: 10 })),
		0.02039731479400702,
	],
	[
		"a rate that had better be high is that of its users",
		"paid_rate vs baseline >= -1%",
		ofControl(sumsOf({ metric: "paid", arm: "control", harmedUsers: 0, mean: 0.97 })),
		0.97,
	],
	["a percentile is that of all requests", P95, ofControl(sumsOf(ofLatency)), 800],
])("of the baseline, %s", (_, guard, seen, value) => expect(captured(guard, seen)).toBeCloseTo(value, 12));

test.each<[string, string, Evidence, RegExp]>([
	["nothing of it", P95, anEvidence(), /^latency_ms p95 vs baseline <= \+20%: latency_ms was not reported$/],
	["99 users", "error_rate vs baseline <= +20%", anEvidence({ control: { users: 99, harmedUsers: 1 } }), /: 99 users < 100 needed$/],
	["the candidate alone", "error_rate vs baseline <= +20%", anEvidence({ userSums: [sumsOf()] }), /: error was not reported$/],
	["999 requests", P95, ofControl(sumsOf({ ...ofLatency, users: 333, requestsEach: 3 })), /: 999 requests < 1000 needed$/],
	[
		"a rate so high that none could be worse",
		"error_rate vs baseline <= +20%",
		anEvidence({ control: { harmedUsers: 9_000, harmsEach: 2 } }),
		/: 94\.7 % is usual, which leaves no room for a worse rate$/,
	],
	["no percentile", P95, anEvidence({ userSums: [sumsOf(ofLatency)] }), /: latency_ms was not reported$/],
	[
		"a percentile of 0",
		P95,
		anEvidence({ userSums: [sumsOf(ofLatency)], quantiles: [quantilesOf({ p95: 0 })] }),
		/: nothing above 0 to compare with$/,
	],
])("a baseline is not captured from %s, and it says what is missing", (_, guard, seen, message) => {
	expect(captured(guard, seen)).toMatch(message);
});

test("one that is missing keeps all from being captured", () => {
	const plan = planOf("error_rate vs baseline <= +20%", P95);
	expect(captureBaseline(plan, anEvidence())).toEqual({ missing: `${P95}: latency_ms was not reported` });
	expect(captureBaseline(plan, anEvidence({ more: [sumsOf(ofLatency)], quantiles: [quantilesOf()] }))).toEqual({
		values: [0.006339281911978999, 800],
	});
});

test("a plan without such guards has nothing to capture, and nothing that is missing", () => {
	expect(captureBaseline(planOf(), anEvidence({ userSums: [] }))).toEqual({ values: [] });
	expect(unmeasured(planOf(), aState())).toEqual([]);
});

test.each<[string, string, measured: number, limit: number]>([
	["a rate above by its margin", "error_rate vs baseline <= +20%", 0.01, 0.012],
	["a rate that had better be high as low as its margin, however high it is", "paid_rate vs baseline >= -1%", 0.999, 0.98901],
	["a mean below by its margin", "satisfaction mean vs baseline >= -10%", 8, 7.2],
	["a percentile above by its margin", P95, 800, 960],
	["a negative mean that had better be high below by its margin", "profit mean vs baseline >= -10%", -5, -5.5],
	["a negative mean that had better be low above by its margin", "loss mean vs baseline <= +20%", -5, -4],
])("once measured it is a limit: %s", (_, guard, measured, limit) => {
	const [found] = baselineLimits(planOf(guard), aState({ baseline: [measured] }));
	expect(found).toMatchObject({ role: "guard", limit: { kind: "limit", text: guard, inclusive: true } });
	expect(found?.limit.limit).toBeCloseTo(limit, 12);
});

test.each<[string, string, number, mean: number, status: string]>([
	["as before", "profit mean vs baseline >= -10%", -5, -5, "met"],
	["worse", "profit mean vs baseline >= -10%", -5, -7, "breached"],
	["better", "profit mean vs baseline >= -10%", -5, 2, "met"],
	["as before", "loss mean vs baseline <= +20%", -5, -5, "met"],
	["worse", "loss mean vs baseline <= +20%", -5, -2, "breached"],
	["as before", "paid_rate vs baseline >= -1%", 0.999, 0.999, "met"],
	["worse", "paid_rate vs baseline >= -1%", 0.999, 0.95, "breached"],
])("%s: %s from %d to %d is %s", (_, guard, measured, mean, status) => {
	const [limit] = baselineLimits(planOf(guard), aState({ baseline: [measured] }));
	if (!limit) throw new Error("no limit");
	const users = sumsOf({ metric: limit.signal, mean, deviation: 0.01, users: 2_000, harmedUsers: 0 });
	expect(judgeLimit(limit, anEvidence({ userSums: [users] }), 100, 0.0125).status).toBe(status);
});

test("what was never measured is unknown, guard by guard, and no limit", () => {
	const plan = planOf("error_rate vs baseline <= +20%", P95);
	for (const state of [aState(), aState({ phase: -1 })]) {
		expect(baselineLimits(plan, state)).toEqual([]);
		expect(unmeasured(plan, state).map(({ role, criterion, status, message }) => [role, criterion, status, message])).toEqual([
			["guard", "error_rate vs baseline <= +20%", "no_data", "error: there is no baseline to compare with"],
			["guard", P95, "no_data", "latency_ms: there is no baseline to compare with"],
		]);
	}
	expect(unmeasured(plan, aState({ baseline: [0.01, 800] }))).toEqual([]);
});

test("a percentile's limit is harmed by the signal that was told with the baseline", () => {
	const plan = planOf(P95);
	const [limit] = baselineLimits(plan, aState({ baseline: [800] }));
	expect(limit?.signal).toBe("latency_ms p95 vs baseline +20%");
});
