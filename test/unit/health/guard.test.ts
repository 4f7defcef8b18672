import { expect, test } from "vitest";
import type { VersusControl } from "../../../core/health/criteria";
import { doublingLeft, judgeGuard, ratioOf, restartGuard, startGuard, strataOf, watchGuard } from "../../../core/health/guard";
import type { FirstHarms } from "../../../core/health/observation";
import type { VerdictStatus } from "../../../core/health/verdict";
import { logEvidence } from "../../../core/statistics/evidence";
import { aGuard, aGuardWatch, anEvidence } from "../rollouts/fixtures";
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
