import { describe, expect, test } from "vitest";
import { judge } from "../../../core/health/judge";
import type { Observation } from "../../../core/health/observation";
import { decide } from "../../../core/rollouts/decide";
import type { ChangeKind, ChangeReason, Decision, HoldReason } from "../../../core/rollouts/decision";
import type { Plan } from "../../../core/rollouts/plan";
import { type LiveState, type RolloutState, rolloutState } from "../../../core/rollouts/state";
import { FIRST_LAUNCH, enterPhase, started } from "../../../core/rollouts/transitions";
import { logEvidence } from "../../../core/statistics/evidence";
import {
	ENDED,
	LAST_TICK_MS,
	MINUTE_MS,
	NOW_MS,
	aGuardWatch,
	aPhase,
	aPlan,
	aSecondPhase,
	aState,
	anEvidence,
	betsOf,
	pausedState,
	quantilesOf,
	sumsOf,
} from "./fixtures";
import { expectClose } from "../statistics/close";

const SOURCE_ERROR: Observation = { kind: "source_error", message: "timeout" };
const brokenSplit = { exposures: [{ served: 5_000, candidate: 0, control: 200 }] };
const proven = { e: 81 };
const tripled = { triplingE: 81 };
const unserved = { heldMs: 8 * MINUTE_MS };
const beyondMargin = { candidateWeight: 2, controlWeight: 1 };
const undoubled = { doubling: [0, 0, 0, 0] };

/** 20 % of the requests fail: beyond the criterion and the red flag. */
const breaching = { harmedUsers: 200 };
/** 6 % fail: the criterion alone is breached. */
const beyondCriterion = { users: 2_000, harmedUsers: 240 };
const failing = { users: 9_500, harmedUsers: 4_000 };
const [candidateTotal, controlTotal] = anEvidence().totals;
const unattributed = { metric: "error", arm: "unattributed", requests: 1_200, sum: 700 } as const;
const totalsOf = (...totals: (typeof candidateTotal)[]) => totals.flatMap((total) => total ?? []);

interface Scene {
	readonly plan?: Plan;
	readonly state?: RolloutState;
	readonly seen?: Observation;
	readonly now?: number;
}

function decided({ plan = aPlan(), state = aState({}, plan), seen = anEvidence(), now = NOW_MS }: Scene): Decision {
	return decide(plan, state, seen, now);
}

test("a healthy phase whose hold is served advances: where every other test starts", () => {
	expect(decided({})).toMatchObject({
		kind: "advance",
		reason: "evidence_sufficient",
		message:
			"phase_1: held 11m with 500 users of the candidate, no evidence of harm: on to 20 %; a risk ratio below 2.26 could not have been proven yet",
		state: {
			status: "running",
			phase: 1,
			stage: 2,
			sinceMs: NOW_MS,
			before: { stage: 1, served: 5_000, sinceMs: LAST_TICK_MS - 10 * MINUTE_MS },
		},
	});
});

const withFallback = aPlan({ phases: [aPhase({ criteria: ["error_rate < 3%", "fallback_rate < 3%"] }), aPhase({ percent: 100 })] });
const relaxed = aPlan({ advance: "relaxed" });
const criteriaOnly = aPlan({ guards: [], holdback: 0 });

const fast = aPlan({ sensitivity: "fast" });
const strict = aPlan({ advance: "strict" });
const optional = aPlan({
	phases: [aPhase({ criteria: ["error_rate < 3%", { criterion: "satisfaction mean > 8" }] }), aPhase({ percent: 100 })],
});
const versusBaseline = aPlan({ guards: ["error_rate vs baseline <= +20%"] });
const latencyLimited = aPlan({ phases: [aPhase({ criteria: ["latency_ms p95 < 2500"] }), aPhase({ percent: 100 })] });
const latencyGuarded = aPlan({ guards: ["latency_ms p95 vs control <= +20%"] });
const strictLatency = aPlan({ guards: ["latency_ms p95 vs control <= +20%"], advance: "strict" });

/** A percentile's guard whose warm-up is over. */
function warmedUp(change: Parameters<typeof aGuardWatch>[0] = {}): LiveState {
	const frozen = { limit: 800, center: 5.3, spread: 0.4 };
	return aState({ watch: { guards: [aGuardWatch({ harm: betsOf(1, 1), score: betsOf(1, 1), frozen, ...change })] } }, latencyGuarded);
}

const ofGuard = { signal: "latency_ms p95 vs control +20%", metric: "latency_ms" } as const;
const withLatency = (control: object = {}) =>
	anEvidence({
		more: [sumsOf({ ...ofGuard, harmedUsers: 25 }), sumsOf({ ...ofGuard, arm: "control", users: 60, harmedUsers: 3, ...control })],
	});
/** So many of a thousand requests above 2,500 ms. */
const manyUsers = anEvidence({ candidate: { users: 30_000, harmedUsers: 300 }, control: { users: 570_000, harmedUsers: 5_700 } });
const withSlow = (harmedUsers: number) =>
	anEvidence({
		more: [sumsOf({ signal: "latency_ms>2500", metric: "latency_ms", harmedUsers })],
		quantiles: [quantilesOf({ arm: "candidate" })],
	});

test.each<[string, HoldReason, Scene]>([
	["no rows", "no_data", { seen: anEvidence({ totals: [], userSums: [] }) }],
	[
		"empty rows",
		"no_data",
		{ seen: anEvidence({ totals: totalsOf(candidateTotal, controlTotal).map((each) => ({ ...each, requests: 0 })) }) },
	],
	["NaN", "no_data", { seen: anEvidence({ totals: totalsOf(candidateTotal).map((each) => ({ ...each, requests: Number.NaN })) }) }],
	[
		"NaN among proof of harm",
		"no_data",
		{ state: aState({ guard: proven }), seen: anEvidence({ candidate: { harmedUsers: Number.NaN } }) },
	],
	["a source that fails", "source_error", { seen: SOURCE_ERROR }],
	["a candidate that reports nothing", "no_data", { seen: anEvidence({ totals: totalsOf(controlTotal) }) }],
	["a control that reports nothing", "no_data", { seen: anEvidence({ totals: totalsOf(candidateTotal) }) }],
	["a broken split", "split_broken", { state: aState({ watch: brokenSplit }) }],
	["a broken split before the hold", "split_broken", { state: aState({ watch: { ...brokenSplit, ...unserved } }) }],
	["a pause", "paused", { state: pausedState() }],
	["a hold not served", "hold_not_served", { state: aState({ watch: unserved }) }],
	["a hold not served, and harm suspected", "hold_not_served", { state: aState({ watch: unserved, guard: { e: 6 } }) }],
	["too few users", "not_enough_users", { seen: anEvidence({ candidate: { users: 99, harmedUsers: 0 } }) }],
	["too few users for this phase", "not_enough_users", { plan: aPlan({ phases: [aPhase({ min_users: 501 }), aPhase({ percent: 100 })] }) }],
	["suspected harm", "suspected_harm", { state: aState({ guard: { e: 5.01 } }) }],
	["a ratio of harm beyond the margin", "guard_unmet", { state: aState({ guard: { candidateWeight: 2, controlWeight: 1 } }) }],
	["a guard whose metric is not reported", "guard_unmet", { seen: anEvidence({ userSums: [sumsOf({ metric: "fallback" })] }) }],
	["a saturated guard", "guard_unmet", { seen: anEvidence({ control: { users: 1_000, harmedUsers: 701, requestsEach: 40 } }) }],
	["a criterion beyond", "criterion_unmet", { seen: anEvidence({ candidate: { harmedUsers: 31 } }) }],
	["a criterion not reported", "criterion_unmet", { plan: withFallback }],
	[
		"a criterion reported by too few",
		"criterion_unmet",
		{ plan: withFallback, seen: anEvidence({ more: [sumsOf({ metric: "fallback", users: 99, harmedUsers: 0 })] }) },
	],
	[
		"a red flag beyond, not proven",
		"criterion_unmet",
		{
			plan: aPlan({ phases: [aPhase({ criteria: [] }), aPhase({ percent: 100 })] }),
			seen: anEvidence({ candidate: { users: 110, harmedUsers: 23 } }),
		},
	],
	["a doubling not ruled out", "doubling_not_ruled_out", { state: aState({ guard: undoubled }) }],
	["a margin not proven to be kept, where the plan is strict", "margin_not_proven", { plan: strict, state: aState({}, strict) }],
	[
		"a percentile's doubling not ruled out, where the plan is strict",
		"doubling_not_ruled_out",
		{ plan: strictLatency, state: warmedUp(undoubled), seen: withLatency() },
	],
	[
		"a percentile's guard that is warming up",
		"guard_unmet",
		{ plan: latencyGuarded, state: warmedUp({ frozen: null }), seen: withLatency() },
	],
	["a percentile beyond its limit", "criterion_unmet", { plan: latencyLimited, seen: withSlow(60) }],
	["a percentile that is not reported", "criterion_unmet", { plan: latencyLimited }],
	[
		"a comparison with a baseline that was not measured",
		"guard_unmet",
		{ plan: versusBaseline, state: aState({ phase: 0 }, versusBaseline) },
	],
	[
		"an optional criterion that is reported, and beyond",
		"criterion_unmet",
		{ plan: optional, seen: anEvidence({ more: [sumsOf({ metric: "satisfaction", mean: 7.95, deviation: 1 })] }) },
	],
	["both arms beyond the same limit", "control_breaches_too", { seen: anEvidence({ candidate: breaching, control: failing }) }],
])("holds on %s", (_, reason, scene) => {
	const decision = decided(scene);
	expect(decision).toMatchObject({ kind: "hold", reason });
	expect(decision.kind === "hold" && decision.message).toBeTruthy();
});

test.each<[string, ChangeReason, Scene]>([
	["proven harm", "harm_proven", { state: aState({ guard: proven }) }],
	["proven harm before the hold ends", "harm_proven", { state: aState({ guard: proven, watch: unserved }) }],
	["proven harm while paused", "harm_proven", { state: pausedState({ guard: proven }) }],
	[
		"proven harm with few users",
		"harm_proven",
		{ state: aState({ guard: proven }), seen: anEvidence({ candidate: { users: 30, harmedUsers: 5 } }) },
	],
	["proven harm while the split is broken", "harm_proven", { state: aState({ guard: proven, watch: brokenSplit }) }],
	[
		"proven harm while both arms breach a limit",
		"harm_proven",
		{ state: aState({ guard: proven }), seen: anEvidence({ candidate: breaching, control: failing }) },
	],
	[
		"proven harm while the candidate is silent",
		"harm_proven",
		{ state: aState({ guard: proven }), seen: anEvidence({ totals: totalsOf(controlTotal) }) },
	],
	["proven harm of a relaxed plan", "harm_proven", { plan: relaxed, state: aState({ guard: proven }, relaxed) }],
	["a tripling alone", "harm_proven", { state: aState({ guard: tripled }) }],
	["a breached red flag", "red_flag_breached", { seen: anEvidence({ candidate: breaching }) }],
	[
		"a breached red flag before the hold ends",
		"red_flag_breached",
		{ state: aState({ watch: unserved }), seen: anEvidence({ candidate: breaching }) },
	],
	["a breached red flag while paused", "red_flag_breached", { state: pausedState(), seen: anEvidence({ candidate: breaching }) }],
	[
		"five failures of five first requests",
		"red_flag_breached",
		{ seen: anEvidence({ candidate: { users: 9, harmedUsers: 9, harmedFirst: 9 } }) },
	],
	["a breached limit", "limit_breached", { seen: anEvidence({ candidate: beyondCriterion }) }],
	["a percentile above its limit for certain", "limit_breached", { plan: latencyLimited, seen: withSlow(200) }],
	[
		"proven harm of a percentile's guard",
		"harm_proven",
		{ plan: latencyGuarded, state: warmedUp({ harm: betsOf(81, 1), score: betsOf(81, 1) }), seen: withLatency() },
	],
	[
		"proven harm of a percentile's guard by users' means alone",
		"harm_proven",
		{ plan: latencyGuarded, state: warmedUp({ score: betsOf(161, 1) }), seen: withLatency() },
	],
	["proven harm of a strict plan", "harm_proven", { plan: strict, state: aState({ guard: proven }, strict) }],
	["a fifth of the proof where the plan is fast", "harm_proven", { plan: fast, state: aState({ guard: { e: 20.1 } }, fast) }],
	["a breached limit without guards", "limit_breached", { plan: criteriaOnly, seen: anEvidence({ candidate: beyondCriterion }) }],
	[
		"a breached limit before the hold ends",
		"limit_breached",
		{ state: aState({ watch: unserved }), seen: anEvidence({ candidate: beyondCriterion }) },
	],
	[
		"a red flag of its own beside a limit that control breaches too",
		"red_flag_breached",
		{ seen: anEvidence({ candidate: breaching, control: { harmedUsers: 1_000 } }) },
	],
	[
		"a breached limit while the split is broken",
		"limit_breached",
		{ state: aState({ watch: brokenSplit }), seen: anEvidence({ candidate: beyondCriterion }) },
	],
])("rolls back on %s", (_, reason, scene) => {
	const decision = decided(scene);
	expect(decision).toMatchObject({
		kind: "roll_back",
		reason,
		state: { status: "rolled_back", atMs: NOW_MS, fromPhase: 0, by: "tidegate" },
	});
});

test("a rollback's message carries its arithmetic", () => {
	const plan = aPlan({ guards: ["error_rate vs control <= +25%", "fallback_rate vs control <= +25%"] });
	const state = aState({ watch: { guards: [aGuardWatch({ e: 170 }), aGuardWatch()] } }, plan);
	const seen = anEvidence({ more: [sumsOf({ metric: "fallback" }), sumsOf({ metric: "fallback", arm: "control" })] });
	expect(decided({ plan, state, seen })).toMatchObject({
		message:
			"error_rate vs control <= +25%: harmed users 5 of 500 vs 95 of 9,500: E = 170; " +
			"fallback_rate vs control <= +25%: harmed users 5 of 500 vs 5 of 500: E = 1; mean of 2 guards 85.5 ≥ 80 (α = 0.0125)",
	});
});

test("a tripling that is proven while harm is not is no false statement", () => {
	const decision = decided({ state: aState({ guard: tripled }) });
	expect("message" in decision && decision.message).toContain("a ratio above 3 is proven");
	expect("message" in decision && decision.message).not.toContain("≥ 80");
});

test.each<[string, Scene["state"], boolean]>([
	["broken", aState({ guard: proven, watch: brokenSplit }), true],
	["sound", aState({ guard: proven }), false],
])("a rollback says whether the split is %s", (_, state, isMarked) => {
	const decision = decided(state ? { state } : {});
	expect("message" in decision && decision.message.includes("(the split is broken as well: BF = ")).toBe(isMarked);
});

test("outcomes that no arm can claim hold with no_data, and it says what to send", () => {
	const state = aState({ guard: { e: 7 }, watch: unserved });
	const seen = anEvidence({ totals: [unattributed, { ...unattributed, metric: "fallback", requests: 34 }] });
	expect(decided({ state, seen })).toMatchObject({
		kind: "hold",
		reason: "no_data",
		message: "no_data: 1,234 events were reported without the attributes that the flags' rules look at: send them in the event's context",
		state: { watch: { ...state.watch, tickedAtMs: NOW_MS, quietTicks: 1 } },
		judgement: null,
	});
});

test("silence is not blamed on attributes", () => {
	const decision = decided({ seen: anEvidence({ totals: [] }) });
	expect("message" in decision && decision.message).toMatch(/^no_data: .* for 1 tick/);
	expect("message" in decision && decision.message).not.toContain("attributes");
});

test("outcomes that no arm can claim are counted beside the others, and change nothing else", () => {
	const seen = anEvidence();
	const { watch, judgement } = judge(aPlan(), aState(), seen, NOW_MS);
	expect(judgement.unattributed).toEqual({ events: 0, of: 200 });
	const mixed = { ...seen, totals: [...seen.totals, unattributed] };
	expect(judge(aPlan(), aState(), mixed, NOW_MS)).toEqual({
		watch,
		judgement: { ...judgement, unattributed: { events: 1_200, of: 1_400 } },
	});
	expect(decided({ seen: mixed })).toMatchObject({ kind: "advance" });
});

test("outcomes that no arm can claim do not stand for an arm that is silent", () => {
	const seen = anEvidence({ totals: [...totalsOf(controlTotal), unattributed] });
	expect(decided({ seen })).toMatchObject({
		kind: "hold",
		reason: "no_data",
		message: "no_data: the candidate reported nothing since the tick before; a risk ratio below 2.26 could not have been proven yet",
	});
});

describe("outcomes that were measured and did not arrive", () => {
	const losing = (sum: number, seen = anEvidence()) => ({
		...seen,
		totals: [...seen.totals, { metric: "lost", arm: "unattributed", requests: 1, sum } as const],
	});

	test("hold beyond 5 % of a window, in which nothing is met and no time counts, and somebody is warned", () => {
		expect(decided({})).toMatchObject({ kind: "advance" });
		const state = aState();
		const held = decided({ state, seen: losing(11) });
		expect(held).toMatchObject({
			kind: "hold",
			reason: "no_data",
			alerts: [{ severity: "warn", kind: "lost" }],
			state: { watch: { heldMs: state.watch.heldMs } },
			judgement: { level: "unknown", lost: { events: 11, of: 211 } },
		});
		expect("message" in held && held.message).toContain("no_data: 11 of 211 outcomes");
		expect("judgement" in held && held.judgement?.verdicts.filter(({ status }) => status === "met")).toEqual([]);
		expect(decided({ seen: losing(10) })).toMatchObject({ kind: "advance", alerts: [] });
	});

	test("hold a window of which nothing else is there, and it says why", () => {
		const held = decided({ seen: losing(500, anEvidence({ totals: [] })) });
		expect(held).toMatchObject({ kind: "hold", reason: "no_data", judgement: null });
		expect("message" in held && held.message).toContain("500 outcomes were measured and did not arrive");
	});

	test("block no rollback", () => {
		expect(decided({ state: aState({ guard: proven }), seen: losing(500) })).toMatchObject({ kind: "roll_back", reason: "harm_proven" });
	});
});

test("a source that fails five times in a row pauses, and never rolls back", () => {
	let state: RolloutState = aState({ guard: proven });
	const said: string[] = [];
	for (let tick = 1; tick <= 12; tick++) {
		const decision = decide(aPlan(), state, SOURCE_ERROR, LAST_TICK_MS + tick * MINUTE_MS);
		if (decision.kind === "none") throw new Error("nothing decided");
		said.push(decision.kind);
		state = decision.state;
	}
	expect(said).toEqual([...Array<string>(4).fill("hold"), "pause", ...Array<string>(7).fill("hold")]);
	expect(state).toMatchObject({ status: "paused", by: "tidegate", reason: "metrics could not be read, 5 times in a row: timeout" });
});

test.each<[string, Observation]>([
	["data", anEvidence()],
	["silence", anEvidence({ totals: [] })],
])("%s between failed reads starts their count anew", (_, seen) => {
	const decision = decided({ state: aState({ watch: { failedReads: 4 } }), seen });
	expect(decision).toMatchObject({ state: { watch: { failedReads: 0 } } });
});

test.each<[string, Observation]>([
	["silence", anEvidence({ totals: [] })],
	["a failed read", SOURCE_ERROR],
])("%s leaves the evidence, its minutes, its watermark and the hold untouched", (_, seen) => {
	const state = aState({ guard: { e: 7 }, watch: unserved });
	const decision = decided({ state, seen });
	if (decision.kind !== "hold") throw new Error(decision.kind);
	const { tickedAtMs, quietTicks, failedReads, ...kept } = decision.state.watch;
	expect(state.watch).toMatchObject(kept);
	expect([tickedAtMs, quietTicks + failedReads]).toEqual([NOW_MS, 1]);
	const later = decided({ state: decision.state, now: NOW_MS + MINUTE_MS });
	expect(later).toMatchObject({ state: { watch: { appliedAtMs: NOW_MS + MINUTE_MS, heldMs: 9 * MINUTE_MS } } });
});

test.each<[string, HoldReason | ChangeKind, Parameters<typeof aSecondPhase>[0]]>([
	["in the first tick of a rise", "step_back", { watch: { ticks: 0 } }],
	["in the second tick of a rise", "step_back", { watch: { ticks: 1 } }],
	["in the third tick of a rise", "control_breaches_too", { watch: { ticks: 2 } }],
	["after a step back", "control_breaches_too", { watch: { ticks: 0 }, before: { stage: 1, served: 95_000, sinceMs: 0 } }],
	["after a phase of the same share", "control_breaches_too", { watch: { ticks: 0 }, before: { stage: 1, served: 20_000, sinceMs: 0 } }],
	["in the first phase", "control_breaches_too", { watch: { ticks: 0 }, phase: 0, before: null }],
])("both arms breaching a limit %s: %s", (_, expected, change) => {
	const decision = decided({ state: aSecondPhase(change), seen: anEvidence({ candidate: breaching, control: failing }) });
	expect(decision.kind === "hold" ? decision.reason : decision.kind).toBe(expected);
});

test("a step back returns to the phase before, as a new stage, keeping the evidence of harm", () => {
	const state = aSecondPhase({ watch: { ticks: 0 }, guard: { e: 7 } });
	const decision = decided({ state, seen: anEvidence({ candidate: breaching, control: failing }) });
	expect(decision).toMatchObject({
		kind: "step_back",
		reason: "shared_overload",
		state: { status: "running", phase: 0, stage: 3, sinceMs: NOW_MS, before: { stage: 2, served: 20_000 }, watch: { heldMs: 0, ticks: 0 } },
	});
	if (decision.kind !== "step_back" || decision.state.status !== "running") throw new Error(decision.kind);
	expectClose(logEvidence(decision.state.watch.guards[0]?.harm ?? aGuardWatch().harm), Math.log(7));
});

test.each<[number, object]>([
	[9, { kind: "roll_back", reason: "red_flag_breached" }],
	[10, { kind: "hold", reason: "control_breaches_too" }],
])("a breached limit is the variant's unless ten users of control breach it too: %i", (users, expected) => {
	const seen = anEvidence({ candidate: breaching, control: { users, harmedUsers: users } });
	expect(decided({ seen })).toMatchObject(expected);
});

test("a paused rollout does not step back", () => {
	const state = pausedState({ phase: 1, stage: 2, before: { stage: 1, served: 5_000, sinceMs: 0 }, watch: { ticks: 0 } });
	expect(decided({ state, seen: anEvidence({ candidate: breaching, control: failing }) })).toMatchObject({
		reason: "control_breaches_too",
	});
});

test.each<[string, Scene]>([
	["the hold is served exactly", { state: aState({ watch: { heldMs: 9 * MINUTE_MS } }) }],
	["as many users as needed", { seen: anEvidence({ candidate: { users: 100, harmedUsers: 1 } }) }],
	["hardly suspected harm", { state: aState({ guard: { e: 4.99 } }) }],
	["a doubling not ruled out, where the plan is relaxed", { plan: relaxed, state: aState({ guard: undoubled }, relaxed) }],
	["a plan without guards", { plan: criteriaOnly }],
	["an optional criterion that nobody reports", { plan: optional }],
	["a percentile within its limit", { plan: latencyLimited, seen: withSlow(10) }],
	["a percentile's guard past its warm-up", { plan: latencyGuarded, state: warmedUp(), seen: withLatency() }],
	[
		"a margin proven to be kept, a doubling or not, where the plan is strict",
		{ plan: strict, state: aState({ guard: undoubled }, strict), seen: manyUsers },
	],
	["a percentile's doubling ruled out, where the plan is strict", { plan: strictLatency, state: warmedUp(), seen: withLatency() }],
	["the baseline's margin kept", { plan: versusBaseline, state: aState({ phase: 0, baseline: [0.005] }, versusBaseline) }],
	["a margin not proven to be kept, where the plan is standard", {}],
	["a phase without criteria", { plan: aPlan({ phases: [aPhase({ criteria: [] }), aPhase({ percent: 100 })] }) }],
	["a red flag that nobody reports", { plan: aPlan({ red_flags: ["fallback_rate > 10%"] }) }],
	[
		"no harm at all among 300 users",
		{
			state: aState({ guard: { ...undoubled, harmed: 0, units: 0, candidateWeight: 0, controlWeight: 0 } }),
			seen: anEvidence({ candidate: { users: 300, harmedUsers: 0 } }),
		},
	],
])("advances with %s", (_, scene) => expect(decided(scene)).toMatchObject({ kind: "advance" }));

test.each<[string, Scene, HoldReason]>([
	["suspected harm", { state: aState({ guard: { e: 6 } }, relaxed) }, "suspected_harm"],
	["too few users", { seen: anEvidence({ candidate: { users: 99, harmedUsers: 0 } }) }, "not_enough_users"],
	["an unmet criterion", { seen: anEvidence({ candidate: { harmedUsers: 31 } }) }, "criterion_unmet"],
	["a hold not served", { state: aState({ watch: unserved }, relaxed) }, "hold_not_served"],
])("a relaxed plan holds on %s all the same", (_, scene, reason) => {
	expect(decided({ plan: relaxed, ...scene })).toMatchObject({ kind: "hold", reason });
});

const last = (change: Parameters<typeof aState>[0] = {}, plan = aPlan()) => aState({ phase: 2, stage: 3, ...change }, plan);

test.each<[string, Scene]>([
	["with its hold served", { state: last() }],
	["without ruling out a doubling", { state: last({ guard: undoubled }) }],
	["without proof that margins are kept, where the plan is strict", { plan: strict }],
	["though a guard's ratio is beyond its margin", { state: last({ guard: beyondMargin }) }],
	["though a guard's ratio is infinite: nobody of control was harmed", { state: last({ guard: { controlWeight: 0 } }) }],
	[
		"though a guard's ratio is beyond its margin with few users",
		{
			plan: aPlan({ min_users: 50 }),
			state: last({ guard: beyondMargin }),
			seen: anEvidence({ candidate: { users: 99, harmedUsers: 1 } }),
		},
	],
	["with harm hardly suspected, and a ratio beyond its margin", { state: last({ guard: { ...beyondMargin, e: 4.99 } }) }],
	["without any control, by criteria alone", { plan: aPlan({ holdback: 0 }), seen: anEvidence({ totals: totalsOf(candidateTotal) }) }],
])("the last phase completes %s", (_, { plan = aPlan(), state = last({}, plan), ...scene }) => {
	expect(decided({ plan, state, ...scene })).toMatchObject({
		kind: "complete",
		reason: "evidence_sufficient",
		state: { status: "completed", atMs: NOW_MS, by: "tidegate" },
	});
});

test.each<[string, Scene, HoldReason]>([
	["no data", { seen: anEvidence({ totals: [], userSums: [] }) }, "no_data"],
	["data of the control alone", { seen: anEvidence({ totals: totalsOf(controlTotal) }) }, "no_data"],
	["data of the candidate alone", { seen: anEvidence({ totals: totalsOf(candidateTotal) }) }, "no_data"],
	["a failed read", { seen: SOURCE_ERROR }, "source_error"],
	["a hold not served", { state: last({ watch: unserved }) }, "hold_not_served"],
	["suspected harm", { state: last({ guard: { e: 6 } }) }, "suspected_harm"],
	["a broken split", { state: last({ watch: brokenSplit }) }, "split_broken"],
	["a pause", { state: pausedState({ phase: 2 }) }, "paused"],
	["a criterion unmet", { seen: anEvidence({ candidate: { harmedUsers: 31 } }) }, "criterion_unmet"],
	["suspected harm, and a ratio beyond its margin", { state: last({ guard: { ...beyondMargin, e: 5.01 } }) }, "suspected_harm"],
	["suspected harm, and an infinite ratio", { state: last({ guard: { e: 5.01, controlWeight: 0 } }) }, "suspected_harm"],
	[
		"a criterion unmet, and a ratio beyond its margin",
		{ state: last({ guard: beyondMargin }), seen: anEvidence({ candidate: { harmedUsers: 31 } }) },
		"criterion_unmet",
	],
	["a saturated guard", { seen: anEvidence({ control: { users: 1_000, harmedUsers: 701, requestsEach: 40 } }) }, "guard_unmet"],
	["a guard whose metric is not reported", { seen: anEvidence({ userSums: [sumsOf({ metric: "fallback" })] }) }, "guard_unmet"],
])("the last phase does not complete on %s", (_, scene, reason) => {
	expect(decided({ state: last(), ...scene })).toMatchObject({ kind: "hold", reason });
});

const flagOnly = aPlan({
	min_users: 50,
	advance: "relaxed",
	phases: [aPhase({ criteria: [] }), aPhase({ percent: 100, criteria: [] })],
});
test.each<[string, number, number, object]>([
	["of 99 users blocks no advance", 0, 99, { kind: "advance" }],
	["of 100 users blocks an advance", 0, 100, { kind: "hold", reason: "criterion_unmet" }],
	["of 99 users blocks no completion", 1, 99, { kind: "complete" }],
	["of 100 users blocks a completion", 1, 100, { kind: "hold", reason: "criterion_unmet" }],
])("a red flag beyond its limit, not proven, %s", (_, phase, users, expected) => {
	const state = aState({ phase, stage: phase + 1 }, flagOnly);
	expect(decided({ plan: flagOnly, state, seen: anEvidence({ candidate: { users, harmedUsers: 21 } }) })).toMatchObject(expected);
});

test("a phase that began between two ticks is held since it began, not since the tick before", () => {
	const state = aState({ sinceMs: LAST_TICK_MS + 20_000, watch: { heldMs: 0 } });
	expect(decided({ state })).toMatchObject({ kind: "hold", reason: "hold_not_served", state: { watch: { heldMs: 40_000 } } });
	expect(decided({ state: { ...state, sinceMs: LAST_TICK_MS - 1 } })).toMatchObject({ state: { watch: { heldMs: MINUTE_MS } } });
});

test("a tick advances one phase at most, however long the ticks before it were missed", () => {
	const plan = aPlan({ phases: [5, 10, 20, 50, 100].map((percent) => aPhase({ percent, hold: "1m" })) });
	const decision = decided({ plan, state: aState({}, plan), now: LAST_TICK_MS + 600 * MINUTE_MS });
	expect(decision).toMatchObject({ kind: "advance", state: { phase: 1, stage: 2, watch: { heldMs: 0, ticks: 0 } } });
	if (decision.kind !== "advance") throw new Error(decision.kind);
	expect(decided({ plan, state: decision.state, now: LAST_TICK_MS + 601 * MINUTE_MS })).toMatchObject({ kind: "hold" });
});

test("missed ticks are aggregated: the next one counts their time", () => {
	const state = aState({ watch: { heldMs: 0 } });
	expect(decided({ state, now: LAST_TICK_MS + 9 * MINUTE_MS })).toMatchObject({ reason: "hold_not_served" });
	expect(decided({ state, now: LAST_TICK_MS + 10 * MINUTE_MS })).toMatchObject({ kind: "advance" });
});

test.each<[string, RolloutState, number]>([
	["a tick that has been applied", aState({ guard: proven }), LAST_TICK_MS],
	["a tick that comes from the past", aState({ guard: proven }), LAST_TICK_MS - 1],
	["a draft", { status: "draft" }, NOW_MS],
	...ENDED.map((state): [string, RolloutState, number] => [`a rollout that is ${state.status}`, state, NOW_MS]),
])("%s decides nothing", (_, state, now) => expect(decided({ state, now })).toEqual({ kind: "none" }));

test("a hold keeps what was learnt, and its judgement", () => {
	const state = aState({ watch: unserved });
	const firstHarms = [{ signal: "error", arm: "candidate", served: 5_000, lastControlServed: null, units: 3 }] as const;
	const seen = anEvidence({ firstHarms });
	const decision = decided({ state, seen });
	const { watch, judgement } = judge(aPlan(), state, seen, NOW_MS);
	expect(decision).toMatchObject({ kind: "hold", state: { ...state, watch: { ...watch, alerting: ["warning.warn"] } }, judgement });
	expect(rolloutState.parse(JSON.parse(JSON.stringify("state" in decision && decision.state)))).toEqual(
		"state" in decision && decision.state,
	);
});

function messageOf(scene: Scene): string {
	const decision = decided(scene);
	return decision.kind === "none" ? "" : decision.message;
}

test.each<[string, Scene, string]>([
	[
		"while it holds",
		{ state: aState({ watch: unserved, guard: { units: 166 } }) },
		"held 9m of 10m; a risk ratio below 2.4 could not have been proven yet",
	],
	[
		"without any harm yet",
		{ state: aState({ watch: unserved, guard: { units: 0 } }) },
		"held 9m of 10m; no risk ratio below 20 could have been proven yet",
	],
	[
		"where everybody is served the candidate",
		{ plan: aPlan({ holdback: 0 }), state: aState({ phase: 2, watch: unserved }), seen: anEvidence() },
		"held 9m of 10m; no risk ratio below 20 could have been proven yet",
	],
	["not without guards", { plan: criteriaOnly, state: aState({ watch: unserved }, criteriaOnly) }, "held 9m of 10m"],
	[
		"not where guards compare with the baseline alone",
		{ plan: versusBaseline, state: aState({ phase: 0, baseline: [0.005], watch: unserved }, versusBaseline) },
		"held 9m of 10m",
	],
	[
		"as it advances",
		{},
		"phase_1: held 11m with 500 users of the candidate, no evidence of harm: on to 20 %; a risk ratio below 2.26 could not have been proven yet",
	],
	[
		"as it completes",
		{ state: last() },
		"phase_3: held 11m with 500 users of the candidate, no evidence of harm: everybody is served the candidate; a risk ratio below 5.43 could not have been proven yet",
	],
	[
		"not of data that nobody sent",
		{ seen: anEvidence({ totals: [] }) },
		"no_data: no outcome counted for 1 tick(s): are events sent, and are the flags enabled?",
	],
])("a message says what could not have been seen, %s", (_, scene, message) => expect(messageOf(scene)).toBe(message));

test("what could not have been proven falls as harms come in, and begins anew with each phase", () => {
	const plan = aPlan({ phases: [aPhase({ hold: "1d" }), aPhase({ percent: 100 })] });
	const firstHarms = [
		{ signal: "error", arm: "candidate", served: 5_000, lastControlServed: null, units: 1 },
		{ signal: "error", arm: "control", served: 5_000, lastControlServed: null, units: 19 },
	] as const;
	let state: RolloutState = aState({ guard: { units: 0, harmed: 0, candidateWeight: 0, controlWeight: 0 } }, plan);
	const ratios: number[] = [];
	for (let tick = 0; tick < 10; tick++) {
		const decision = decide(plan, state, anEvidence({ firstHarms }), NOW_MS + tick * MINUTE_MS);
		if (decision.kind !== "hold") throw new Error(decision.kind);
		ratios.push(decision.judgement?.provable ?? Infinity);
		expect(decision.message).toMatch(/below [\d.]+ could (?:not )?have been proven yet$/);
		state = decision.state;
	}
	expect(ratios.toSorted((a, b) => b - a)).toEqual(ratios);
	expect(new Set(ratios).size).toBe(10);
	const restarted = enterPhase(plan, state, 0, NOW_MS + 10 * MINUTE_MS);
	expect(messageOf({ plan, state: restarted, now: NOW_MS + 20 * MINUTE_MS })).toMatch(
		/; no risk ratio below 20 could have been proven yet$/,
	);
});

test("a strict plan that holds says what is missing for its margin", () => {
	expect(messageOf({ plan: strict, state: aState({}, strict) })).toMatch(
		/^error_rate vs control <= \+25%: not proven to be kept, -0\.0025 ± 0\.\d+ is not below 0; a risk ratio/,
	);
});

test.each([
	["standard", 0.0125],
	["fast", 0.05],
])("a plan of %s sensitivity begins with a false-alarm rate of %d, halved by each relaunch", (sensitivity, alpha) => {
	const plan = aPlan({ sensitivity });
	expect([1, 2, 3].map((launch) => started(plan, { ...FIRST_LAUNCH, launch }, 0).alpha)).toEqual([alpha, alpha / 2, alpha / 4]);
});

test("where it cannot be known how many were rolled back nothing advances, and harm still rolls back", () => {
	const unknown = { breaker: "unknown", isTrial: true } as const;
	expect(decide(aPlan(), aState(), anEvidence(), NOW_MS)).toMatchObject({ kind: "advance" });
	expect(decide(aPlan(), aState(), anEvidence(), NOW_MS, unknown)).toMatchObject({ kind: "hold", reason: "breaker_unknown" });
	expect(decide(aPlan(), aState({ guard: { e: 100 } }), anEvidence(), NOW_MS, unknown)).toMatchObject({ kind: "roll_back" });
});

describe("a percentile's guard that has warmed up", () => {
	const slow = aPlan({
		guards: ["latency_ms p95 vs control <= +20%"],
		red_flags: [],
		phases: [{ percent: 100, hold: "1m" }],
		advance: "relaxed",
	});
	const latency = (arm: "candidate" | "control", users: number) =>
		sumsOf({ signal: "latency_ms p95 vs control +20%", metric: "latency_ms", arm, users, harmedUsers: 0, requestsEach: 5 });
	const seen = anEvidence({
		userSums: [latency("candidate", 9_000), latency("control", 500)],
		quantiles: [quantilesOf({ arm: "candidate", p95: 5_000 }), quantilesOf({ arm: "control", p95: 400 })],
	});
	const warming = (): LiveState => ({ ...aState({ guard: { frozen: null, score: null } }, slow) });

	test("begins its phase anew: what was reported before anybody knew what is harm completes nothing", () => {
		const decision = decide(slow, warming(), seen, NOW_MS);
		expect(decision).toMatchObject({
			kind: "hold",
			reason: "warmed_up",
			state: { status: "running", phase: 0, stage: 2, watch: { heldMs: 0, guards: [{ frozen: { limit: 400 }, units: 0 }] } },
		});
	});

	test("stays paused where it was", () => {
		const paused: LiveState = { ...warming(), status: "paused", pausedAtMs: 0, by: "anna", reason: "lunch" };
		expect(decide(slow, paused, seen, NOW_MS)).toMatchObject({ kind: "hold", state: { status: "paused", by: "anna", stage: 2 } });
	});
});

test("a guard that has warmed up begins its phase anew, though both arms breach a limit in that minute", () => {
	const slow = { signal: "latency_ms p95 vs control +20%", metric: "latency_ms", requestsEach: 10, center: 5.3, spread: 0.4 } as const;
	const of = aPlan({ guards: ["latency_ms p95 vs control <= +20%"] });
	const state = aState({ watch: { guards: [aGuardWatch({ harm: betsOf(1, 1), frozen: null })] } }, of);
	const seen = anEvidence({
		candidate: breaching,
		control: failing,
		more: [sumsOf({ ...slow }), sumsOf({ ...slow, arm: "control", users: 500 })],
		quantiles: [quantilesOf({ arm: "candidate" }), quantilesOf()],
	});
	expect(decide(of, state, seen, NOW_MS)).toMatchObject({
		kind: "hold",
		reason: "warmed_up",
		state: { stage: 2, sinceMs: NOW_MS },
		alerts: expect.arrayContaining([expect.objectContaining({ kind: "control_breaches_too" })]) as unknown,
	});
});

test("an overload of a ring that has just joined steps back, though it is served less than another one", () => {
	const of = aPlan({
		holdback: 0,
		phases: [aPhase({ percent: 50, audience: "internal" }), aPhase({ percent: 10, audience: "beta" }), aPhase({ percent: 100 })],
	});
	const rings = [{ segment: "internal", served: 50_000 }];
	const state = aState({ phase: 1, stage: 2, before: { stage: 1, served: 50_000, sinceMs: 0, rings }, watch: { ticks: 0 } }, of);
	expect(decide(of, state, anEvidence({ candidate: breaching, control: failing }), NOW_MS)).toMatchObject({
		kind: "step_back",
		state: { phase: 0 },
	});
});
