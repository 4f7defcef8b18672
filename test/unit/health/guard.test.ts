import { expect, test } from "vitest";
import type { VersusControl } from "../../../core/health/criteria";
import {
	doublingLeft,
	isWarmingUp,
	judgeGuard,
	logEvidenceOf,
	marginLeft,
	ratioOf,
	restartGuard,
	startGuard,
	strataOf,
	watchGuard,
} from "../../../core/health/guard";
import type { Evidence, FirstHarms, Scored } from "../../../core/health/observation";
import type { GuardWatch } from "../../../core/rollouts/state";
import type { VerdictStatus } from "../../../core/health/verdict";
import { logEvidence } from "../../../core/statistics/evidence";
import { aGuard, aGuardWatch, aLatencyGuard, anEvidence, betsOf, quantilesOf, sumsOf } from "../rollouts/fixtures";
import { expectClose } from "../statistics/close";

const ALPHA = 1 / 80;
const PROOF = Math.log(80);

function firstHarms(change: Partial<FirstHarms> = {}): FirstHarms {
	return { signal: "error", arm: "candidate", served: 5_000, lastControlServed: null, units: 1, ...change };
}
const twentyHarmed = [firstHarms({ units: 2 }), firstHarms({ arm: "control", units: 18 })];

test("a guard starts with no evidence, and bets on ratios above its margin only", () => {
	const watch = startGuard(aGuard({ margin: 0.5 }));
	expectClose(logEvidence(watch.harm), 0);
	expectClose(logEvidence(watch.tripling), 0);
	expect(watch.harm).toMatchObject({ toleratedRatio: 1.5, reserve: 0.25 });
	expect(watch.harm.stakes).toHaveLength(8);
	expect(watch.tripling).toMatchObject({ toleratedRatio: 3 });
	expect(watch.tripling.stakes).toHaveLength(4);
	expect(watch).toMatchObject({
		doubling: [0, 0, 0, 0],
		harmed: 0,
		units: 0,
		candidateWeight: 0,
		controlWeight: 0,
		harmedShare: 0,
		controlHarmedShare: 0,
	});
});

test("a margin beyond a tripling is what its tripling starts from", () => {
	expect(startGuard(aGuard({ margin: 4 })).tripling.toleratedRatio).toBe(5);
});

test("a new phase keeps the evidence of harm and forgets that of safety", () => {
	const watch = aGuardWatch({ e: 7, triplingE: 3 });
	expect(restartGuard(watch)).toEqual({ ...startGuard(aGuard()), harm: watch.harm, tripling: watch.tripling });
});

test("first harms are grouped by what is known of the unit, each group with its share by design", () => {
	const evidence = anEvidence({
		firstHarms: [
			firstHarms({ served: 20_000, units: 3 }),
			firstHarms({ served: 20_000, units: 12, arm: "control" }),
			firstHarms({ served: 20_000, units: 1, lastControlServed: 5_000 }),
			firstHarms({ served: 5_000, units: 4, arm: "control" }),
			firstHarms({ served: 100_000, units: 5 }),
			firstHarms({ signal: "fallback", units: 100 }),
		],
	});
	expect(strataOf(evidence, "error")).toEqual([
		{ harmed: 3, units: 15, share: 0.2 },
		{ harmed: 1, units: 1, share: (0.2 - 0.05) / 0.95 },
		{ harmed: 0, units: 4, share: 0.05 },
		{ harmed: 5, units: 5, share: 1 },
	]);
});

test("a tick adds its first harms to all that is watched", () => {
	const before = startGuard(aGuard());
	const evidence = anEvidence({ firstHarms: twentyHarmed, candidate: { users: 500, harmedUsers: 5 } });
	const after = watchGuard(aGuard(), before, evidence, 1);
	expect(after).toMatchObject({ harmed: 2, units: 20, candidateWeight: 1.9, harmedShare: 0.01 });
	expectClose(after.controlWeight, 0.9);
	expectClose(ratioOf(after) ?? 0, 1.9 / 0.9);
	expect(logEvidence(after.harm)).toBeGreaterThan(0);
	expect(after.doubling).not.toEqual(before.doubling);
});

test("what a tick has counted is not counted by one without first harms", () => {
	const after = watchGuard(aGuard(), aGuardWatch({ e: 7 }), anEvidence(), 1);
	expectClose(logEvidence(after.harm), Math.log(7));
	expect(after).toMatchObject({ harmed: 10, units: 200, doubling: [5, 5, 5, 5] });
});

test("harms of those who could only be in one arm are no evidence", () => {
	const evidence = anEvidence({
		firstHarms: [
			firstHarms({ served: 100_000, units: 50 }),
			firstHarms({ arm: "control", served: 5_000, lastControlServed: 20_000, units: 50 }),
		],
	});
	expect(watchGuard(aGuard(), aGuardWatch(), evidence, 0)).toMatchObject({ harmed: 10, units: 200 });
});

test("above 70 % of control harmed the evidence stands still, and only above", () => {
	const watch = aGuardWatch({ e: 7, controlHarmedShare: 0.701 });
	const evidence = anEvidence({ firstHarms: twentyHarmed, candidate: { harmedUsers: 10 }, control: { users: 1_000, harmedUsers: 702 } });
	expect(watchGuard(aGuard(), watch, evidence, 5)).toEqual({ ...watch, harmedShare: 0.02, controlHarmedShare: 0.702 });
	expect(watchGuard(aGuard(), { ...watch, controlHarmedShare: 0.7 }, evidence, 5)).toMatchObject({ harmed: 12, units: 220 });
});

test("whether a window is dropped was known before it: its own harms saturate the next one", () => {
	const rising = anEvidence({ firstHarms: twentyHarmed, control: { users: 1_000, harmedUsers: 701 } });
	const after = watchGuard(aGuard(), aGuardWatch({ e: 7 }), rising, 5);
	expect(after).toMatchObject({ harmed: 12, units: 220, controlHarmedShare: 0.701 });
	const falling = anEvidence({ firstHarms: twentyHarmed, control: { users: 1_000, harmedUsers: 600 } });
	expect(watchGuard(aGuard(), after, falling, 5)).toEqual({ ...after, controlHarmedShare: 0.6 });
});

test.each([
	[9, 0],
	[10, 0.8],
])("of %i users in control a share of %d counts as harmed", (users, controlHarmedShare) => {
	const evidence = anEvidence({ control: { users, harmedUsers: 0.8 * users } });
	expect(watchGuard(aGuard(), aGuardWatch(), evidence, 1)).toMatchObject({ controlHarmedShare });
});

test("a new phase has not seen its control yet: it is not saturated", () => {
	expect(restartGuard(aGuardWatch({ controlHarmedShare: 0.9 })).controlHarmedShare).toBe(0);
});

test("a wider margin makes the same harms prove less", () => {
	const evidence = anEvidence({ firstHarms: [firstHarms({ units: 8 }), firstHarms({ arm: "control", units: 22 })] });
	const logs = [0, 0.25, 0.5, 2].map((margin) => {
		const guard = aGuard({ margin });
		return logEvidence(watchGuard(guard, startGuard(guard), evidence, 1).harm);
	});
	expect(logs.toSorted((a, b) => b - a)).toEqual(logs);
	expect(logs[0]).toBeGreaterThan(PROOF);
	expect(logs[3]).toBeLessThan(PROOF);
});

test.each([
	["none harmed", { units: 0, candidateWeight: 0, controlWeight: 0 }, null],
	["candidate alone", { units: 3, candidateWeight: 2.85, controlWeight: 0 }, Infinity],
	["control alone", { units: 3, candidateWeight: 0, controlWeight: 0.15 }, 0],
	["both", { units: 20, candidateWeight: 1.9, controlWeight: 0.95 }, 2],
])("the ratio of harm, %s", (_, change, ratio) => expect(ratioOf(aGuardWatch(change))).toBe(ratio));

type Evidently = NonNullable<Parameters<typeof anEvidence>[0]>;
type Watched = NonNullable<Parameters<typeof aGuardWatch>[0]>;

const inEveryBucket = { served: 100_000 };
test.each<
	[string, VerdictStatus, { evidence?: Evidently; watch?: Watched; guard?: Partial<VersusControl>; served?: number; isLast?: boolean }]
>([
	["as much harm as in control", "met", {}],
	["the tolerated ratio itself", "met", { watch: { candidateWeight: 1.25, controlWeight: 1 } }],
	["a ratio beyond the margin", "beyond", { watch: { candidateWeight: 1.26, controlWeight: 1 } }],
	["a ratio beyond the margin, at the end", "met", { watch: { candidateWeight: 1.26, controlWeight: 1 }, isLast: true }],
	["harm in the candidate alone, at the end", "met", { watch: { controlWeight: 0 }, isLast: true }],
	["proof, at the end", "breached", { watch: { e: 80.1, candidateWeight: 20 }, isLast: true }],
	["more than 70 % of control harmed, at the end", "saturated", { watch: { controlHarmedShare: 0.701 }, isLast: true }],
	["a ratio within a wider margin", "met", { watch: { candidateWeight: 1.26, controlWeight: 1 }, guard: { margin: 0.5 } }],
	["harm in the candidate alone", "beyond", { watch: { controlWeight: 0 } }],
	["a ratio beyond, with 100 users", "beyond", { watch: { candidateWeight: 20 }, evidence: { candidate: { users: 100 } } }],
	["a ratio beyond, with 99 users", "insufficient", { watch: { candidateWeight: 20 }, evidence: { candidate: { users: 99 } } }],
	["no harm at all", "met", { watch: { harmed: 0, units: 0, candidateWeight: 0, controlWeight: 0 } }],
	["proof", "breached", { watch: { e: 80.1 } }],
	["nearly proof", "met", { watch: { e: 79.9 } }],
	["a candidate that reports nothing", "no_data", { evidence: { userSums: anEvidence().userSums.slice(1) } }],
	["a control that reports nothing", "no_data", { evidence: { userSums: anEvidence().userSums.slice(0, 1) } }],
	["more than 70 % of control harmed", "saturated", { watch: { controlHarmedShare: 0.701 } }],
	["70 % of control harmed", "met", { watch: { controlHarmedShare: 0.7 } }],
	["everybody served the candidate", "not_applicable", inEveryBucket],
	[
		"everybody served the candidate, whatever is known",
		"not_applicable",
		{ ...inEveryBucket, watch: { e: 100 }, evidence: { userSums: [] } },
	],
])("%s: %s", (_, status, { evidence = {}, watch = {}, guard = {}, served = 5_000, isLast = false }) => {
	expect(judgeGuard(aGuard(guard), aGuardWatch(watch), anEvidence(evidence), { served, isLast }, ALPHA).status).toBe(status);
});

test.each<[string, Evidently, Watched, string]>([
	["met", {}, {}, "harmed users 5 of 500 vs 95 of 9,500: E = 1"],
	["beyond", {}, { candidateWeight: 2, controlWeight: 1 }, "harmed users 5 of 500 vs 95 of 9,500: E = 1, ratio 2 > 1.25"],
	["in the candidate alone", {}, { controlWeight: 0 }, "harmed users 5 of 500 vs 95 of 9,500: E = 1, ratio ∞ > 1.25"],
	["breached", {}, { e: 1_083 }, "harmed users 5 of 500 vs 95 of 9,500: E = 1,083"],
	[
		"saturated",
		{ control: { users: 10, harmedUsers: 8 } },
		{ controlHarmedShare: 0.8 },
		"harmed users 5 of 500 vs 8 of 10: above 70 % of control is harmed, evidence stands still",
	],
])("the message carries its arithmetic: %s", (_, evidence, watch, message) => {
	expect(judgeGuard(aGuard(), aGuardWatch(watch), anEvidence(evidence), { served: 5_000, isLast: false }, ALPHA).message).toBe(message);
});

const unharmed = { harmed: 0, units: 0, candidateWeight: 0, controlWeight: 0, doubling: [0, 0, 0, 0] };
test.each<[string, Watched, Evidently, string | undefined]>([
	["the evidence of ten", { doubling: Array.from({ length: 4 }, () => Math.log(10.001)) }, {}, undefined],
	["not quite ten", { doubling: Array.from({ length: 4 }, () => Math.log(9.9)) }, {}, "error: a doubling is not ruled out, M = 9.9 < 10"],
	["no harm among 300", unharmed, { candidate: { users: 300, harmedUsers: 0 } }, undefined],
	["no first harm, yet harm among 300", unharmed, { candidate: { users: 300 } }, "error: a doubling is not ruled out, M = 1 < 10"],
	[
		"no harm among 299",
		unharmed,
		{ candidate: { users: 299, harmedUsers: 0 } },
		"error: no harm yet among 299 users < 300, too few to rule any out",
	],
	["no harm and nothing reported", unharmed, { userSums: [] }, "error: no harm yet among 0 users < 300, too few to rule any out"],
])("a doubling is ruled out or not: %s", (_, watch, evidence, left) => {
	expect(doublingLeft(aGuard(), aGuardWatch(watch), anEvidence(evidence))).toBe(left);
});

const latencyGuard = aLatencyGuard();
const SLOW = "latency_ms p95 vs control +20%";
const slow = { signal: SLOW, metric: "latency_ms", harmedUsers: 0 } as const;
const usual = { limit: 800, center: 5.3, spread: 0.4 };

/** What a percentile's guard knows when its warm-up is over: nothing of harm. */
function warm(change: Partial<GuardWatch> = {}): GuardWatch {
	return { ...startGuard(latencyGuard), frozen: usual, score: betsOf(1, 1), ...change };
}

function ofLatency(change: Partial<Evidence> & { readonly candidate?: object; readonly control?: object } = {}): Evidence {
	const { candidate, control, ...rest } = change;
	const userSums = [
		sumsOf({ ...slow, ...candidate }),
		sumsOf({ ...slow, arm: "control", users: 500, center: 5.3, spread: 0.4, ...control }),
	];
	return anEvidence({ userSums, quantiles: [quantilesOf()], ...rest });
}

test("a percentile's guard starts with no tolerated ratio: its margin is in what harms", () => {
	expect(startGuard(latencyGuard)).toMatchObject({
		harm: { toleratedRatio: 1 },
		tripling: { toleratedRatio: 3 },
		score: null,
		frozen: null,
	});
	expect(startGuard(aLatencyGuard({ margin: 4 })).tripling.toleratedRatio).toBe(3);
});

test("only a percentile's guard warms up, and only once", () => {
	expect(isWarmingUp(latencyGuard, startGuard(latencyGuard))).toBe(true);
	expect(isWarmingUp(latencyGuard, warm())).toBe(false);
	expect(isWarmingUp(aGuard(), startGuard(aGuard()))).toBe(false);
});

test.each<[string, Evidence]>([
	["99 users", ofLatency({ control: { users: 99, requestsEach: 20 } })],
	["999 requests", ofLatency({ control: { users: 333, requestsEach: 3 } })],
	["no percentile", ofLatency({ quantiles: [] })],
	["the candidate's percentile alone", ofLatency({ quantiles: [quantilesOf({ arm: "candidate" })] })],
	["a percentile of 0", ofLatency({ quantiles: [quantilesOf({ p95: 0 })] })],
	["another metric alone", anEvidence({ quantiles: [quantilesOf()] })],
])("a warm-up does not end with %s of the control", (_, evidence) => {
	const watch = startGuard(latencyGuard);
	expect(watchGuard(latencyGuard, watch, { ...evidence, firstHarms: [firstHarms({ signal: SLOW })] }, 5)).toBe(watch);
});

test("a warm-up ends with what the control's percentile and users' means are, and has counted nothing", () => {
	const watch = watchGuard(latencyGuard, startGuard(latencyGuard), ofLatency({ firstHarms: [firstHarms({ signal: SLOW })] }), 5);
	expect(watch).toMatchObject({ units: 0, frozen: { limit: 800 }, score: { toleratedRatio: 1, reserve: 0.25 } });
	expectClose(watch.frozen?.center ?? 0, 5.3);
	expectClose(watch.frozen?.spread ?? 0, 0.4);
	expectClose(logEvidenceOf(watch), 0);
});

test.each([
	["p50", 200],
	["p75", 300],
	["p90", 500],
	["p99", 2_000],
] as const)("a guard of the %s takes the control's", (aggregate, limit) => {
	const guard = aLatencyGuard({ aggregate, text: `latency_ms ${aggregate} vs control <= +20%` });
	const control = sumsOf({ signal: `latency_ms ${aggregate} vs control +20%`, metric: "latency_ms", arm: "control", users: 500 });
	const evidence = anEvidence({ userSums: [control], quantiles: [quantilesOf()] });
	expect(watchGuard(guard, startGuard(guard), evidence, 1).frozen?.limit).toBe(limit);
});

test("users whose means do not differ at all have a spread all the same, and scores stay finite", () => {
	const watch = watchGuard(latencyGuard, startGuard(latencyGuard), ofLatency({ control: { spread: 0 } }), 1);
	expect(watch.frozen?.spread).toBe(0.01);
});

test("past its warm-up a guard counts what its own signal took for harm", () => {
	const evidence = ofLatency({
		firstHarms: [
			firstHarms({ signal: SLOW, units: 2 }),
			firstHarms({ signal: SLOW, arm: "control", units: 18 }),
			firstHarms({ signal: "latency_ms>2500", units: 70 }),
			firstHarms({ signal: "latency_ms p99 vs control +20%", units: 70 }),
		],
		candidate: { harmedUsers: 5 },
	});
	const after = watchGuard(latencyGuard, warm(), evidence, 1);
	expect(after).toMatchObject({ harmed: 2, units: 20, harmedShare: 0.01, frozen: usual });
	expect(logEvidence(after.harm)).toBeGreaterThan(0);
});

function scored(change: Partial<Scored> = {}): Scored {
	return { signal: SLOW, arm: "candidate", served: 5_000, score: 0.5, units: 10, ...change };
}

test("high scores in the candidate are evidence, as high ones in control are not", () => {
	const [high, low, control, other] = [
		[scored(), scored({ arm: "control", score: 0, units: 190 })],
		[scored({ score: -0.5 }), scored({ arm: "control", score: 0, units: 190 })],
		[scored({ score: 0 }), scored({ arm: "control", score: 0.5, units: 190 })],
		[scored({ signal: "latency_ms p99 vs control +20%" })],
	].map((each) => watchGuard(latencyGuard, warm(), ofLatency({ scored: each }), 1));
	const logs = [high, low, control, other].map((each) => (each?.score ? logEvidence(each.score) : Number.NaN));
	expect(logs[0]).toBeGreaterThan(1);
	expect(logs[1]).toBeLessThan(0);
	expect(logs[2]).toBeLessThan(0);
	expectClose(logs[3] ?? Number.NaN, 0);
});

test("scores at a share that leaves no control say nothing", () => {
	for (const served of [0, 100_000]) {
		const after = watchGuard(latencyGuard, warm(), ofLatency({ scored: [scored({ served })] }), 1);
		expectClose(after.score ? logEvidence(after.score) : Number.NaN, 0);
	}
});

test("a percentile's evidence is the mean of what first harms and scores say; any other guard's is of first harms alone", () => {
	expectClose(logEvidenceOf(warm({ harm: betsOf(159, 1), score: betsOf(3, 1) })), Math.log(81));
	expectClose(logEvidenceOf(warm({ harm: betsOf(1, 1), score: betsOf(161, 1) })), Math.log(81));
	expectClose(logEvidenceOf(aGuardWatch({ e: 7 })), Math.log(7));
	expectClose(logEvidenceOf(startGuard(latencyGuard)), 0);
});

test("evidence of slowness goes on through the phases, and so does what was usual", () => {
	const watch = warm({ harm: betsOf(7, 1), score: betsOf(3, 1), units: 20, doubling: [5, 5, 5, 5] });
	expect(restartGuard(watch)).toEqual({ ...startGuard(latencyGuard), harm: watch.harm, score: watch.score, frozen: usual });
});

test("above 70 % of control harmed the scores stand still as well", () => {
	const watch = warm({ controlHarmedShare: 0.71 });
	expect(watchGuard(latencyGuard, watch, ofLatency({ scored: [scored()] }), 5).score).toEqual(watch.score);
});

const inFirstPhase = { served: 5_000, isLast: false };
test.each<[string, VerdictStatus, GuardWatch, Evidence, string]>([
	[
		"a warm-up",
		"warming_up",
		startGuard(latencyGuard),
		ofLatency({ control: { users: 60 } }),
		"warm-up, nothing is counted yet: the control has reported latency_ms for 60 of 100 users, 120 of 1,000 requests",
	],
	[
		"a warm-up without any",
		"no_data",
		startGuard(latencyGuard),
		anEvidence(),
		"warm-up, nothing is counted yet: the control has reported latency_ms for 0 of 100 users, 0 of 1,000 requests",
	],
	[
		"as slow as control",
		"met",
		warm(),
		ofLatency({ candidate: { harmedUsers: 25 }, control: { harmedUsers: 30 } }),
		"harmed users 25 of 500 vs 30 of 500 (above 960 vs 800 ms): E = 1, by harm 1, by users' means 1",
	],
	[
		"proof by both",
		"breached",
		warm({ harm: betsOf(81, 1), score: betsOf(81, 1) }),
		ofLatency(),
		"harmed users 0 of 500 vs 0 of 500 (above 960 vs 800 ms): E = 81, by harm 81, by users' means 81",
	],
	[
		"proof by scores",
		"breached",
		warm({ harm: betsOf(0.3, 1), score: betsOf(160.7, 1) }),
		ofLatency(),
		"harmed users 0 of 500 vs 0 of 500 (above 960 vs 800 ms): E = 80.5, by harm 0.3, by users' means 161",
	],
	[
		"first harms alone, which are half of the proof",
		"met",
		warm({ harm: betsOf(120, 1) }),
		ofLatency(),
		"harmed users 0 of 500 vs 0 of 500 (above 960 vs 800 ms): E = 60.5, by harm 120, by users' means 1",
	],
	[
		"a ratio of few harms, which is mostly luck",
		"met",
		warm({ units: 4, candidateWeight: 3, controlWeight: 0.1 }),
		ofLatency(),
		"harmed users 0 of 500 vs 0 of 500 (above 960 vs 800 ms): E = 1, by harm 1, by users' means 1",
	],
	[
		"a candidate that reports none",
		"no_data",
		warm(),
		anEvidence({ userSums: ofLatency().userSums.slice(1) }),
		"latency_ms was not reported by the candidate",
	],
	[
		"a control that reports none",
		"no_data",
		warm(),
		anEvidence({ userSums: ofLatency().userSums.slice(0, 1) }),
		"latency_ms was not reported by the control",
	],
	[
		"more than 70 % of control harmed",
		"saturated",
		warm({ controlHarmedShare: 0.71 }),
		ofLatency(),
		"harmed users 0 of 500 vs 0 of 500 (above 960 vs 800 ms): above 70 % of control is harmed, evidence stands still",
	],
])("of a percentile, %s: %s", (_, status, watch, evidence, message) => {
	expect(judgeGuard(latencyGuard, watch, evidence, inFirstPhase, ALPHA)).toMatchObject({ status, message });
});

test("where everybody is served the candidate a warm-up has nothing to wait for", () => {
	const found = judgeGuard(latencyGuard, startGuard(latencyGuard), ofLatency(), { served: 100_000, isLast: true }, ALPHA);
	expect(found.status).toBe("not_applicable");
});

const provableWith = (units: number, served = 5_000, alpha = ALPHA): number | null =>
	judgeGuard(aGuard(), aGuardWatch({ units }), anEvidence(), { served, isLast: false }, alpha).provable;

test("the smallest risk ratio that could have been proven falls as harms come in, and none can be without any", () => {
	expect(provableWith(0)).toBeNull();
	const found = [10, 30, 100, 300, 1_000, 10_000].map((units) => provableWith(units) ?? Infinity);
	expect(found.toSorted((a, b) => b - a)).toEqual(found);
	expect(new Set(found).size).toBe(6);
	expect(found.at(-1)).toBeGreaterThan(1);
	// ln 80 and 0.7 nats of 160 harms at 5 %: 0.0318 each, which a ratio of 2.43 brings.
	expect(provableWith(160)).toBeCloseTo(2.43, 2);
});

test("less of α, or less of a share, could have proven less", () => {
	expect(provableWith(100, 5_000, ALPHA / 3)).toBeGreaterThan(provableWith(100) ?? Infinity);
	expect(provableWith(100, 1_000)).toBeGreaterThan(provableWith(100) ?? Infinity);
	expect(provableWith(100, 50_000)).toBeLessThan(provableWith(100) ?? 0);
});

test.each([0, 100_000])("at a share of %i nothing can be proven", (served) => expect(provableWith(1_000, served)).toBeNull());

test("a guard that is warming up could have proven nothing yet", () => {
	expect(judgeGuard(latencyGuard, startGuard(latencyGuard), ofLatency(), inFirstPhase, ALPHA).provable).toBeNull();
});

const many = { users: 30_000, harmedUsers: 300 };
const manyOthers = { users: 570_000, harmedUsers: 5_700 };
test.each<[string, Evidently, string | RegExp | undefined]>([
	["as much harm among very many", { candidate: many, control: manyOthers }, undefined],
	["none at all among very many", { candidate: { ...many, harmedUsers: 0 }, control: manyOthers }, undefined],
	["as much harm among few", {}, /^error_rate vs control <= \+25%: not proven to be kept, -0\.0025 ± 0\.0\d+ is not below 0$/],
	[
		"harm at the margin itself among very many",
		{ candidate: { ...many, harmedUsers: 375 }, control: manyOthers },
		/not proven to be kept, 0 ± /,
	],
	["harm beyond the margin", { candidate: { ...many, harmedUsers: 900 }, control: manyOthers }, /not proven to be kept, 0\.0175 ± /],
	[
		"nothing reported by the candidate",
		{ userSums: anEvidence().userSums.slice(1) },
		"error_rate vs control <= +25%: the candidate has not reported it in this phase",
	],
	[
		"nothing reported by the control",
		{ userSums: anEvidence().userSums.slice(0, 1) },
		"error_rate vs control <= +25%: the control has not reported it in this phase",
	],
])("a margin is proven to be kept or not: %s", (_, evidence, left) => {
	const found = marginLeft(aGuard(), anEvidence(evidence));
	if (left instanceof RegExp) expect(found).toMatch(left);
	else expect(found).toBe(left);
});

test("a wider margin is proven to be kept by what a narrow one is not", () => {
	const evidence = anEvidence({ candidate: { users: 2_000, harmedUsers: 20 }, control: { users: 38_000, harmedUsers: 380 } });
	expect(marginLeft(aGuard(), evidence)).toBeDefined();
	expect(marginLeft(aGuard({ margin: 3 }), evidence)).toBeUndefined();
});
