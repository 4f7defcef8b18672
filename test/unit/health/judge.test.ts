import { expect, test } from "vitest";
import { judge } from "../../../core/health/judge";
import type { Evidence } from "../../../core/health/observation";
import { logEvidence } from "../../../core/statistics/evidence";
import { MINUTE_MS, LAST_TICK_MS, NOW_MS, aGuardWatch, aPhase, aPlan, aState, anEvidence, pausedState, sumsOf } from "../rollouts/fixtures";
import { expectClose } from "../statistics/close";

const candidateTotal = { metric: "error", arm: "candidate", requests: 10, sum: 0 } as const;
const controlTotal = { ...candidateTotal, arm: "control" } as const;
const twoGuards = aPlan({ guards: ["error_rate vs control <= +25%", "fallback_rate vs control <= +25%"] });
const twoSums = { more: [sumsOf({ metric: "fallback" }), sumsOf({ metric: "fallback", arm: "control", users: 9_500 })] };

test("every guard, red flag and criterion has its verdict, in this order", () => {
	const plan = aPlan({ phases: [aPhase({ percent: 100, criteria: ["error_rate < 3%", "satisfaction mean > 8"] })] });
	const { verdicts } = judge(plan, aState({}, plan), anEvidence(), NOW_MS).judgement;
	expect(verdicts.map(({ role, criterion, status }) => [role, criterion, status])).toEqual([
		["guard", "error_rate vs control <= +25%", "met"],
		["red_flag", "error_rate > 10%", "met"],
		["criterion", "error_rate < 3%", "met"],
		["criterion", "satisfaction mean > 8", "no_data"],
	]);
});

test("a judgement carries both arms' numbers", () => {
	const { candidate, control, level, harm } = judge(aPlan(), aState(), anEvidence(), NOW_MS).judgement;
	expect(candidate).toEqual({ users: 500, harmedUsers: 5, requests: 1_000, harms: 5 });
	expect(control).toEqual({ users: 9_500, harmedUsers: 95, requests: 19_000, harms: 95 });
	expect(level).toBe("excellent");
	expect(harm).toMatchObject({ threshold: 80, guards: 1, proven: false, tripled: false });
	expectClose(harm.e, 1);
});

test.each<[string, readonly [number, number], readonly [number, number], proven: boolean, tripled: boolean]>([
	["both guards in the middle", [80.1, 80.1], [1, 1], true, false],
	["one guard for two", [160.1, 0.3], [1, 1], true, false],
	["one guard, not enough for two", [159, 0.3], [1, 1], false, false],
	["a tripling by one guard for two", [1, 1], [160.1, 1], false, true],
	["triplings by both guards, none for two", [1, 1], [159, 159], false, false],
])("harm of two guards: %s", (_, harm, tripling, proven, tripled) => {
	const guards = [0, 1].map((i) => aGuardWatch({ e: harm[i] ?? 1, triplingE: tripling[i] ?? 1 }));
	const { judgement } = judge(twoGuards, aState({ watch: { guards } }, twoGuards), anEvidence(twoSums), NOW_MS);
	expect(judgement.harm).toMatchObject({ proven, tripled, guards: 2 });
});

test("a relaunch needs more proof", () => {
	const state = (alpha: number) => aState({ alpha, guard: { e: 100 } });
	expect(judge(aPlan(), state(0.0125), anEvidence(), NOW_MS).judgement.harm).toMatchObject({ threshold: 80, proven: true });
	expect(judge(aPlan(), state(0.00625), anEvidence(), NOW_MS).judgement.harm).toMatchObject({ threshold: 160, proven: false });
});

test("the limits of all phases share one α, this phase's or not", () => {
	const breaching = anEvidence({ candidate: { users: 20, harmedUsers: 7 }, control: { harmedUsers: 0 } });
	const statusWith = (others: number) => {
		const phases = [aPhase(), aPhase({ percent: 100, criteria: Array.from({ length: others }, () => "fallback_rate < 3%") })];
		const plan = aPlan({ phases, red_flags: [] });
		const { verdicts } = judge(plan, aState({}, plan), breaching, NOW_MS).judgement;
		return verdicts.find(({ role }) => role === "criterion")?.status;
	};
	expect(statusWith(1)).toBe("breached");
	expect(statusWith(20)).toBe("insufficient");
});

test("a phase's own min_users come before the plan's", () => {
	const plan = aPlan({ min_users: 10, phases: [aPhase({ min_users: 1_000 }), aPhase({ percent: 100 })] });
	const statusIn = (phase: number) =>
		judge(plan, aState({ phase }, plan), anEvidence(), NOW_MS).judgement.verdicts.find(({ role }) => role === "criterion")?.status;
	expect(statusIn(0)).toBe("insufficient");
	expect(statusIn(1)).toBe("met");
});

test.each<[string, number, shared: readonly string[]]>([
	["is far within the limit", 0, []],
	["is at the limit", 570, []],
	["is beyond it as well", 600, ["error_rate < 3%"]],
	["is beyond the red flag as well", 3_000, ["error_rate > 10%", "error_rate < 3%"]],
])("what the candidate breaches while control %s", (_, harmedUsers, shared) => {
	const evidence = anEvidence({ candidate: { harmedUsers: 400 }, control: { harmedUsers } });
	expect(judge(aPlan(), aState(), evidence, NOW_MS).judgement.shared).toEqual(shared);
});

test.each<[string, Evidence["totals"], heldMinutes: number]>([
	["both arms reported", [candidateTotal, controlTotal], 11],
	["only the candidate reported", [candidateTotal], 10],
	["only the control reported", [controlTotal], 10],
	["the candidate's total is empty", [{ ...candidateTotal, requests: 0 }, controlTotal], 10],
])("a minute counts towards the hold when data came of both arms: %s", (_, totals, heldMinutes) => {
	expect(judge(aPlan(), aState(), anEvidence({ totals }), NOW_MS).watch.heldMs).toBe(heldMinutes * MINUTE_MS);
});

test("at 100 % without a holdback there is no control to wait for", () => {
	const plan = aPlan({ holdback: 0 });
	const { watch, judgement } = judge(plan, aState({ phase: 2 }, plan), anEvidence({ totals: [candidateTotal] }), NOW_MS);
	expect(watch.heldMs).toBe(11 * MINUTE_MS);
	expect(judgement.verdicts[0]?.status).toBe("not_applicable");
});

test.each<[string, phase: number, holdback: number, status: string]>([
	["100 % without a holdback", 2, 0, "not_applicable"],
	["100 % with a holdback", 2, 5, "met"],
	["20 % without a holdback", 1, 0, "met"],
])("the guard at %s", (_, phase, holdback, status) => {
	const plan = aPlan({ holdback });
	expect(judge(plan, aState({ phase }, plan), anEvidence(), NOW_MS).judgement.verdicts[0]?.status).toBe(status);
});

test("a tick keeps the watermark, counts itself, and ends the silence", () => {
	const { watch } = judge(aPlan(), aState({ watch: { quietTicks: 4, failedReads: 3 } }), anEvidence(), NOW_MS);
	expect(watch).toMatchObject({ watermark: "42", tickedAtMs: NOW_MS, appliedAtMs: NOW_MS, ticks: 11, quietTicks: 0, failedReads: 0 });
});

test("seconds are never lost: minutes are counted from the last one applied", () => {
	const { watch } = judge(aPlan(), aState(), anEvidence(), LAST_TICK_MS + 90_000);
	expect(watch.appliedAtMs).toBe(LAST_TICK_MS + MINUTE_MS);
	const later = judge(aPlan(), aState({ watch }), anEvidence(), LAST_TICK_MS + 2 * MINUTE_MS);
	expect(later.watch.appliedAtMs).toBe(LAST_TICK_MS + 2 * MINUTE_MS);
	expect(later.watch.heldMs).toBe(12 * MINUTE_MS);
});

test("missed ticks are aggregated: their minutes are counted, and their harms", () => {
	const firstHarms: Evidence["firstHarms"] = [{ signal: "error", arm: "control", served: 5_000, lastControlServed: null, units: 19 }];
	const state = aState({ guard: { e: 7 } });
	const once = judge(aPlan(), state, anEvidence({ firstHarms }), LAST_TICK_MS + 60 * MINUTE_MS).watch;
	const quiet = judge(aPlan(), state, anEvidence(), LAST_TICK_MS + 59 * MINUTE_MS).watch;
	const each = judge(aPlan(), aState({ watch: quiet }), anEvidence({ firstHarms }), LAST_TICK_MS + 60 * MINUTE_MS).watch;
	expectClose(logEvidence(once.guards[0]?.harm ?? aGuardWatch().harm), logEvidence(each.guards[0]?.harm ?? aGuardWatch().harm));
	expect(once.heldMs).toBe(each.heldMs);
});

test("exposures are summed by the share that was served, and the split is judged over all of them", () => {
	const state = aState({ watch: { exposures: [{ served: 5_000, candidate: 10, control: 190 }] } });
	const firstExposures: Evidence["firstExposures"] = [
		{ arm: "candidate", served: 5_000, units: 5 },
		{ arm: "control", served: 20_000, units: 8 },
	];
	const { watch, judgement } = judge(aPlan(), state, anEvidence({ firstExposures }), NOW_MS);
	expect(watch.exposures).toEqual([
		{ served: 5_000, candidate: 15, control: 190 },
		{ served: 20_000, candidate: 0, control: 8 },
	]);
	expect(state.watch.exposures).toEqual([{ served: 5_000, candidate: 10, control: 190 }]);
	expect(judgement.split.broken).toBe(false);
});

test.each<[string, { served: number; candidate: number; control: number }[], broken: boolean]>([
	["as designed", [{ served: 5_000, candidate: 50, control: 950 }], false],
	["without its candidates", [{ served: 5_000, candidate: 0, control: 200 }], true],
	["with few users", [{ served: 5_000, candidate: 0, control: 20 }], false],
	[
		"off in a later phase",
		[
			{ served: 5_000, candidate: 50, control: 950 },
			{ served: 20_000, candidate: 20, control: 480 },
		],
		true,
	],
	["at 100 %", [{ served: 100_000, candidate: 500, control: 0 }], false],
])("a split %s", (_, exposures, broken) => {
	expect(judge(aPlan(), aState({ watch: { exposures } }), anEvidence(), NOW_MS).judgement.split.broken).toBe(broken);
});

test("a paused rollout is judged as a running one", () => {
	expect(judge(aPlan(), pausedState(), anEvidence(), NOW_MS)).toEqual(judge(aPlan(), aState(), anEvidence(), NOW_MS));
});

test("a guard that has no state is a bug, not an absence of harm", () => {
	expect(() => judge(aPlan(), aState({ watch: { guards: [] } }), anEvidence(), NOW_MS)).toThrow("no evidence for guard");
});
