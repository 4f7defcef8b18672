import { describe, expect, test } from "vitest";
import { armsServed, judge } from "../../../core/health/judge";
import type { Evidence } from "../../../core/health/observation";
import { logEvidence } from "../../../core/statistics/evidence";
import {
	MINUTE_MS,
	LAST_TICK_MS,
	NOW_MS,
	aGuardWatch,
	aPhase,
	aPlan,
	aState,
	anEvidence,
	betsOf,
	pausedState,
	quantilesOf,
	sumsOf,
} from "../rollouts/fixtures";
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

const BASELINE = "fallback_rate vs baseline <= +20%";
const P95 = "latency_ms p95 vs control <= +20%";
const SLOW = "latency_ms p95 vs control +20%";

test("comparisons with control come first, then those with the baseline, then limits", () => {
	const plan = aPlan({ guards: [BASELINE, "error_rate vs control <= +25%"], phases: [aPhase({ percent: 100 })] });
	const orderOf = (baseline: number[] | null) =>
		judge(plan, aState({ phase: 0, baseline }, plan), anEvidence(twoSums), NOW_MS).judgement.verdicts.map(({ criterion, status }) => [
			criterion,
			status,
		]);
	const others = [
		["error_rate > 10%", "met"],
		["error_rate < 3%", "met"],
	];
	expect(orderOf([0.01])).toEqual([["error_rate vs control <= +25%", "met"], [BASELINE, "met"], ...others]);
	expect(orderOf(null)).toEqual([["error_rate vs control <= +25%", "met"], [BASELINE, "no_data"], ...others]);
});

test("a comparison with a baseline that was never measured leaves the level unknown", () => {
	const plan = aPlan({ guards: [BASELINE] });
	expect(judge(plan, aState({ phase: 0 }, plan), anEvidence(twoSums), NOW_MS).judgement).toMatchObject({ level: "unknown", score: null });
	expect(judge(plan, aState({ phase: 0, baseline: [0.01] }, plan), anEvidence(twoSums), NOW_MS).judgement.level).not.toBe("unknown");
});

test("before the first phase the control alone is served, and its data count towards the window", () => {
	const plan = aPlan({ guards: [BASELINE] });
	expect(armsServed(plan, aState({ phase: -1 }, plan))).toEqual(["control"]);
	expect(armsServed(plan, aState({ phase: 0 }, plan))).toEqual(["candidate", "control"]);
	const heldWith = (totals: Evidence["totals"]) => judge(plan, aState({}, plan), anEvidence({ totals }), NOW_MS).watch.heldMs;
	expect(heldWith([controlTotal])).toBe(11 * MINUTE_MS);
	expect(heldWith([candidateTotal])).toBe(10 * MINUTE_MS);
});

test("harms before the first phase are no evidence, and are known to have been in control", () => {
	const plan = aPlan({ guards: ["error_rate vs control <= +25%", BASELINE] });
	const harms = (served: number, lastControlServed: number | null, arm: "candidate" | "control", units: number) =>
		({ signal: "error", arm, served, lastControlServed, units }) as const;
	const before = judge(plan, aState({}, plan), anEvidence({ firstHarms: [harms(0, null, "control", 50)] }), NOW_MS).watch;
	expect(before.guards[0]).toMatchObject({ units: 200, harmed: 10 });
	const state = aState({ phase: 0, stage: 2, baseline: [0.01], watch: { guards: before.guards } }, plan);
	const after = judge(
		plan,
		state,
		anEvidence({ firstHarms: [harms(5_000, 0, "control", 19), harms(5_000, 0, "candidate", 1)] }),
		NOW_MS,
	).watch;
	expect(after.guards[0]).toMatchObject({ units: 220, harmed: 11, candidateWeight: 9.5 + 0.95 });
});

test("the smallest ratio that could have been proven is the best of the guards', each with its part of α", () => {
	const units = (...each: readonly number[]) => each.map((n) => aGuardWatch({ units: n }));
	const provable = (guards: ReturnType<typeof units>, of = twoGuards) =>
		judge(of, aState({ watch: { guards } }, of), anEvidence(twoSums), NOW_MS).judgement.provable;
	const [both, one, alone] = [provable(units(100, 400)), provable(units(100, 0)), provable(units(100), aPlan())];
	expect(both).toBe(provable(units(400, 100)));
	expect(both).toBeLessThan(one ?? 0);
	expect(alone).toBeLessThan(one ?? 0);
	expect(provable(units(0, 0))).toBeNull();
	expect(judge(aPlan({ guards: [] }), aState({}, aPlan({ guards: [] })), anEvidence(), NOW_MS).judgement.provable).toBeNull();
});

test("the guards' mean takes a percentile's for what first harms and users' means say", () => {
	const plan = aPlan({ guards: ["error_rate vs control <= +25%", P95] });
	const frozen = { limit: 800, center: 5.3, spread: 0.4 };
	const latency = aGuardWatch({ harm: betsOf(0.3, 1), score: betsOf(317.7, 1), frozen });
	const { harm } = judge(plan, aState({ watch: { guards: [aGuardWatch(), latency] } }, plan), anEvidence(), NOW_MS).judgement;
	expectClose(harm.e, (1 + (0.3 + 317.7) / 2) / 2);
	expect(harm).toMatchObject({ guards: 2, proven: true, tripled: false });
});

test("a tick past its warm-up scores users, and one within it learns what is usual", () => {
	const plan = aPlan({ guards: [P95] });
	const control = sumsOf({ signal: SLOW, metric: "latency_ms", arm: "control", users: 500 });
	const evidence = anEvidence({ more: [control], quantiles: [quantilesOf()] });
	const first = judge(plan, aState({ watch: { guards: [aGuardWatch({ harm: betsOf(1, 1) })] } }, plan), evidence, NOW_MS).watch;
	expect(first.guards[0]).toMatchObject({ frozen: { limit: 800 }, score: { reserve: 0.25 } });
	const scored = [{ signal: SLOW, arm: "candidate", served: 5_000, score: 1, units: 20 }] as const;
	const second = judge(plan, aState({ watch: first }, plan), { ...evidence, scored }, NOW_MS + MINUTE_MS).watch;
	expect(logEvidence(second.guards[0]?.score ?? betsOf(1))).toBeGreaterThan(Math.log(80));
});

test.each([
	["standard", 80],
	["fast", 20],
])("a plan of %s sensitivity proves harm at %i", (sensitivity, threshold) => {
	const plan = aPlan({ sensitivity });
	for (const [e, proven] of [
		[threshold + 0.1, true],
		[threshold - 0.1, false],
	] as const)
		expect(judge(plan, aState({ guard: { e } }, plan), anEvidence(), NOW_MS).judgement.harm).toMatchObject({ threshold, proven });
});

test.each<[string, number, readonly string[]]>([
	["keeps it", 500, []],
	["breaches it too", 2_000, ["latency_ms p95 < 2500"]],
])("a percentile that the candidate breaches while control %s", (_, harmedUsers, shared) => {
	const plan = aPlan({ red_flags: [], phases: [aPhase({ percent: 100, criteria: ["latency_ms p95 < 2500"] })] });
	const slow = { signal: "latency_ms>2500", metric: "latency_ms" } as const;
	const evidence = anEvidence({
		more: [sumsOf({ ...slow, harmedUsers: 200 }), sumsOf({ ...slow, arm: "control", users: 9_500, harmedUsers })],
		quantiles: [quantilesOf({ arm: "candidate" })],
	});
	expect(judge(plan, aState({}, plan), evidence, NOW_MS).judgement.shared).toEqual(shared);
});

test("an optional criterion that nobody reports has its verdict, and no part in the level or the score", () => {
	const withOptional = aPlan({ phases: [aPhase({ percent: 100, criteria: ["error_rate < 3%", { criterion: "satisfaction mean > 8" }] })] });
	const { level, score, verdicts } = judge(withOptional, aState({}, withOptional), anEvidence(), NOW_MS).judgement;
	expect(verdicts.at(-1)).toMatchObject({ criterion: "satisfaction mean > 8", status: "not_reported" });
	const without = aPlan({ phases: [aPhase({ percent: 100 })] });
	expect(judge(without, aState({}, without), anEvidence(), NOW_MS).judgement).toMatchObject({ level, score });
});

test("a judgement's score lies in its level's band", () => {
	expect(judge(aPlan(), aState(), anEvidence(), NOW_MS).judgement).toMatchObject({ level: "excellent", score: 98 });
	expect(judge(aPlan(), aState(), anEvidence({ candidate: { harmedUsers: 31 } }), NOW_MS).judgement).toMatchObject({
		level: "warning",
		score: 40,
	});
	expect(judge(aPlan(), aState({ guard: { e: 81 } }), anEvidence(), NOW_MS).judgement).toMatchObject({ level: "critical", score: 34 });
	expect(judge(aPlan(), aState({ guard: { triplingE: 81 } }), anEvidence(), NOW_MS).judgement).toMatchObject({
		level: "failure",
		score: 7,
	});
});

test("what people have been alerted to is none of the judge's", () => {
	expect(judge(aPlan(), aState({ watch: { alerting: ["warning.warn"] } }), anEvidence(), NOW_MS).watch.alerting).toEqual(["warning.warn"]);
});

test.each<[string, Record<string, unknown>, string]>([
	["its first guard", { guards: [P95, "error_rate vs control <= +25%"] }, SLOW],
	[
		"its first comparison with the baseline",
		{ guards: ["latency_ms p95 vs baseline <= +20%"], red_flags: [] },
		"latency_ms p95 vs baseline +20%",
	],
	["its first red flag", { guards: [], red_flags: ["latency_ms p99 > 10s"] }, "latency_ms>10000"],
	["its first criterion", { guards: [], red_flags: [] }, "error"],
])("the arms' harmed users are those of %s", (_, change, signal) => {
	const plan = aPlan({ phases: [aPhase({ percent: 100 })], ...change });
	const more = [
		sumsOf({ signal, metric: "latency_ms", harmedUsers: 77 }),
		sumsOf({ signal, metric: "latency_ms", arm: "control", harmedUsers: 88 }),
	];
	const userSums =
		signal === "error" ? [sumsOf({ harmedUsers: 77 }), sumsOf({ arm: "control", harmedUsers: 88 })] : [...anEvidence().userSums, ...more];
	const { judgement } = judge(plan, aState({ phase: 0, baseline: [800] }, plan), anEvidence({ userSums }), NOW_MS);
	expect([judgement.candidate.harmedUsers, judgement.control.harmedUsers]).toEqual([77, 88]);
});

describe("a guard of one flag", () => {
	const scoped = aPlan({
		flags: ["checkout", "search", "cart"],
		guards: [
			{ guard: "error_rate vs control <= +25%", flag: "search" },
			"error_rate vs control <= +25%",
			{ guard: "error_rate vs control <= +25%", flag: "cart" },
		],
		phases: [
			{ percent: 5, hold: "10m", criteria: ["error_rate < 3%"] },
			{ percent: 100, hold: "10m", criteria: ["error_rate < 3%"], flags: ["search"] },
		],
	});
	const judged = (change: Parameters<typeof aState>[0], ...es: readonly number[]) =>
		judge(scoped, aState({ ...change, watch: { guards: es.map((e) => aGuardWatch({ e, triplingE: e })) } }, scoped), anEvidence(), NOW_MS)
			.judgement;
	const verdictsOf = ({ verdicts }: ReturnType<typeof judged>) =>
		verdicts.filter(({ role }) => role === "guard").map(({ status }) => status);

	test("is not in play before its flag has joined, and holds nothing up", () => {
		const found = judged({ phase: 0 }, 1, 1, 1);
		expect(verdictsOf(found)).toEqual(["not_applicable", "met", "no_data"]);
		expect(found.verdicts[0]).toMatchObject({ message: "search is not in the rollout now" });
	});

	test("is in play from the phase on in which its flag joins", () => {
		expect(verdictsOf(judged({ phase: 1, stage: 2 }, 1, 1, 1))).toEqual(["no_data", "met", "no_data"]);
	});

	test("is not in play once its flag was taken back", () => {
		expect(verdictsOf(judged({ phase: 1, stage: 2, dropped: ["search", "cart"] }, 1, 1, 1))).toEqual([
			"not_applicable",
			"met",
			"not_applicable",
		]);
	});

	test("counts nothing of what a flag showed that was taken back, and counts among those that the mean is taken over", () => {
		const before = judged({ phase: 1, stage: 2 }, 300, 3, 3).harm;
		expect(before).toMatchObject({ guards: 3, proven: true, tripled: true });
		expectClose(before.e, 102);
		const after = judged({ phase: 1, stage: 2, dropped: ["search"] }, 300, 3, 3).harm;
		expect(after).toMatchObject({ guards: 3, proven: false, tripled: false });
		expectClose(after.e, 2);
	});

	test("proves harm alone only with all guards' share of the evidence, as many as the plan has", () => {
		expect(judged({ phase: 1, stage: 2 }, 80 * 3 - 2.1, 1, 1).harm.proven).toBe(false);
		expect(judged({ phase: 1, stage: 2 }, 80 * 3 + 2, 1, 1).harm.proven).toBe(true);
		expect(judged({ phase: 1, stage: 2, dropped: ["cart"] }, 80 * 3 - 2, 1, 1e9).harm.proven).toBe(false);
	});
});
