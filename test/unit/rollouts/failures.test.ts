import { expect, test } from "vitest";
import { BUCKETS, bucketOf, seedOf } from "../../../core/flags/bucket";
import { startGuard, strataOf } from "../../../core/health/guard";
import type { Evidence, FirstHarms, Observation } from "../../../core/health/observation";
import { type BreakerState, DEFAULT_BREAKER, breakerAt } from "../../../core/rollouts/breaker";
import { command } from "../../../core/rollouts/command";
import { decide } from "../../../core/rollouts/decide";
import type { Decision } from "../../../core/rollouts/decision";
import type { Plan } from "../../../core/rollouts/plan";
import { type LiveState, type RolloutState, isLive } from "../../../core/rollouts/state";
import { ENDED, LAST_TICK_MS, MINUTE_MS, NOW_MS, aGuard, aPhase, aPlan, aState, anEvidence, sumsOf } from "./fixtures";

/**
 * What happens when evidence fails, a test for each way to fail: missing evidence may only move a rollout towards hold. What it
 * takes a database to fail at is in test/workers/control/tick/failures.test.ts.
 */

const SOURCE_ERROR: Observation = { kind: "source_error", message: "timeout" };
const NO_ROWS = anEvidence({ totals: [], userSums: [] });
const NAN = anEvidence({ candidate: { harmedUsers: Number.NaN } });

interface Life {
	readonly decisions: readonly Exclude<Decision, { readonly kind: "none" }>[];
	readonly state: RolloutState;
}

/** Ticks, a minute apart. */
function lived(seen: readonly Observation[], from: LiveState = aState(), plan: Plan = aPlan()): Life {
	let state: RolloutState = from;
	const decisions = seen.map((each, i) => {
		const decision = decide(plan, state, each, LAST_TICK_MS + (i + 1) * MINUTE_MS);
		if (decision.kind === "none") throw new Error("nothing decided");
		({ state } = decision);
		return decision;
	});
	return { decisions, state };
}

const times = <T>(n: number, each: T): T[] => Array.from({ length: n }, () => each);
const alertsOf = ({ decisions }: Life): string[] =>
	decisions.flatMap(({ alerts }, i) => alerts.map(({ kind, severity }) => `${i + 1}: ${kind}.${severity}`));

test.each<[string, Evidence]>([
	["no rows", NO_ROWS],
	["NaN", NAN],
])("%s: no_data holds with the evidence untouched, warns after 3 ticks and pages after 15", (_, seen) => {
	const before = aState({ guard: { e: 79, triplingE: 79 } });
	const life = lived(times(20, seen), before);
	expect(life.decisions.every((each) => each.kind === "hold" && each.reason === "no_data" && each.judgement === null)).toBe(true);
	expect(alertsOf(life)).toEqual(["3: no_data.warn", "15: no_data.page"]);
	if (!isLive(life.state)) throw new Error("ended");
	const { tickedAtMs: _ticked, quietTicks: _quiet, alerting: _alerting, ...watch } = life.state.watch;
	expect(before.watch).toMatchObject(watch);
});

test("too few: insufficient holds; harm may still be proven with few users, an advance may not", () => {
	const few = { users: 40, harmedUsers: 0 };
	const healthy = lived([anEvidence({ candidate: few })]).decisions[0];
	expect(healthy).toMatchObject({ kind: "hold", reason: "not_enough_users", judgement: { level: "unknown" } });
	expect(healthy?.judgement?.verdicts.filter(({ status }) => status === "insufficient").map(({ role }) => role)).toEqual([
		"red_flag",
		"criterion",
	]);
	const firstHarms: readonly FirstHarms[] = [
		{ signal: "error", arm: "candidate", served: 5_000, lastControlServed: null, units: 8 },
		{ signal: "error", arm: "control", served: 5_000, lastControlServed: null, units: 12 },
	];
	const fresh = aState({ watch: { guards: [startGuard(aGuard())] } });
	const harmful = lived([anEvidence({ candidate: { users: 40, harmedUsers: 8 }, firstHarms })], fresh).decisions[0];
	expect(harmful).toMatchObject({ kind: "roll_back", reason: "harm_proven" });
	// Of another metric that few report: its own criterion is insufficient, and holds.
	const plan = aPlan({ phases: [aPhase({ criteria: ["error_rate < 3%", "fallback_rate < 3%"] }), aPhase({ percent: 100 })] });
	const rare = anEvidence({ more: [sumsOf({ metric: "fallback", ...few })] });
	expect(lived([rare], aState({}, plan), plan).decisions[0]).toMatchObject({ kind: "hold", reason: "criterion_unmet" });
});

test("source error: five in a row pause and page, on a counter of their own; never a rollback by itself", () => {
	const proven = aState({ guard: { e: 1_000, triplingE: 1_000 } });
	const four = lived([...times(4, SOURCE_ERROR), NO_ROWS, ...times(4, SOURCE_ERROR)]);
	expect(four.decisions.every(({ kind }) => kind === "hold")).toBe(true);
	expect(alertsOf(four)).toEqual([]);
	expect(four.state).toMatchObject({ status: "running", watch: { failedReads: 4, quietTicks: 1 } });
	const many = lived(times(12, SOURCE_ERROR), proven);
	expect(many.decisions.map(({ kind }) => kind)).toEqual([...times(4, "hold"), "pause", ...times(7, "hold")]);
	expect(many.decisions.every(({ reason }) => reason === "source_error")).toBe(true);
	expect(alertsOf(many)).toEqual(["5: source_error.page"]);
	expect(many.state).toMatchObject({ status: "paused", by: "tidegate", watch: { guards: proven.watch.guards } });
});

test.each<[string, Observation]>([
	["no rows", NO_ROWS],
	["NaN", NAN],
	["a source error", SOURCE_ERROR],
	["the control's data alone", anEvidence({ totals: [{ metric: "error", arm: "control", requests: 190, sum: 0 }] })],
	["the candidate's data alone", anEvidence({ totals: [{ metric: "error", arm: "candidate", requests: 10, sum: 0 }] })],
	["outcomes without their attributes", anEvidence({ totals: [{ metric: "error", arm: "unattributed", requests: 200, sum: 0 }] })],
])("no data at the end: with %s it is not promoted, however long it has held", (_, seen) => {
	const atTheEnd = aState({ phase: 2, stage: 3, watch: { heldMs: 1_000 * MINUTE_MS } });
	expect(lived([anEvidence()], atTheEnd).state).toMatchObject({ status: "completed" });
	const { decisions, state } = lived(times(30, seen), atTheEnd);
	expect(decisions.every(({ kind }) => kind === "hold" || kind === "pause")).toBe(true);
	expect(isLive(state)).toBe(true);
	expect(state).toMatchObject({ phase: 2, stage: 3 });
});

test("missed ticks: they are aggregated into the next one, which enters one phase at most", () => {
	const plan = aPlan({ phases: [5, 10, 20, 50, 100].map((percent) => aPhase({ percent, hold: "10m" })) });
	const late = (state: LiveState, minutes: number) => decide(plan, state, anEvidence(), LAST_TICK_MS + minutes * MINUTE_MS);
	const fresh = aState({ watch: { heldMs: 0 } }, plan);
	expect(late(fresh, 9)).toMatchObject({
		kind: "hold",
		state: { watch: { heldMs: 9 * MINUTE_MS, appliedAtMs: LAST_TICK_MS + 9 * MINUTE_MS } },
	});
	const first = late(fresh, 600);
	expect(first).toMatchObject({ kind: "advance", state: { phase: 1, stage: 2, watch: { heldMs: 0 } } });
	if (first.kind !== "advance" || !isLive(first.state)) throw new Error(first.kind);
	expect(decide(plan, first.state, anEvidence(), LAST_TICK_MS + 601 * MINUTE_MS)).toMatchObject({
		kind: "hold",
		reason: "hold_not_served",
	});
});

test("the same tick twice: the second decides nothing, nor does one that comes late", () => {
	const first = decide(aPlan(), aState({ guard: { e: 7 } }), anEvidence(), NOW_MS);
	if (first.kind !== "hold") throw new Error(first.kind);
	const harmful = anEvidence({ candidate: { harmedUsers: 400 } });
	for (const now of [NOW_MS, NOW_MS - 1, NOW_MS - MINUTE_MS]) expect(decide(aPlan(), first.state, harmful, now)).toEqual({ kind: "none" });
	expect(decide(aPlan(), first.state, harmful, NOW_MS + 1)).toMatchObject({ kind: "roll_back" });
});

test("late events: the next tick counts them in the stratum of the percent that they carry", () => {
	const harms = (served: number, lastControlServed: number | null, candidate: number, control: number): readonly FirstHarms[] => [
		{ signal: "error", arm: "candidate", served, lastControlServed, units: candidate },
		{ signal: "error", arm: "control", served, lastControlServed, units: control },
	];
	const late = [...harms(5_000, null, 1, 19), ...harms(20_000, null, 4, 16), ...harms(20_000, 5_000, 3, 16)];
	expect(strataOf(anEvidence({ firstHarms: late }), "error")).toEqual([
		{ harmed: 1, units: 20, share: 0.05 },
		{ harmed: 4, units: 20, share: 0.2 },
		{ harmed: 3, units: 19, share: (0.2 - 0.05) / 0.95 },
	]);
	// Eight of twenty in the candidate prove nothing at 20 %; at the 5 % that they carry they are proof.
	const guards = [startGuard(aGuard())];
	const second = aState({ phase: 1, stage: 2, before: { stage: 1, served: 5_000, sinceMs: 0 }, watch: { heldMs: 0, guards } });
	expect(lived([anEvidence({ firstHarms: harms(5_000, null, 8, 12) })], second).decisions[0]).toMatchObject({
		kind: "roll_back",
		reason: "harm_proven",
	});
	expect(lived([anEvidence({ firstHarms: harms(20_000, null, 8, 12) })], second).decisions[0]).toMatchObject({ kind: "hold" });
});

test("flapping: a rollback is final; a relaunch starts at the smallest phase, in new buckets and with half of α", () => {
	const { state } = lived([anEvidence()], aState({ phase: 1, stage: 2, guard: { e: 81 } }));
	expect(state).toMatchObject({ status: "rolled_back" });
	for (const kind of ["start", "resume", "advance", "pause", "roll_back", "cancel"] as const)
		expect(command(aPlan(), state, { kind, by: "anna", reason: "again", launch: 2 }, NOW_MS)).toMatchObject({ ok: false });
	for (const ended of ENDED) expect(decide(aPlan(), ended, anEvidence(), NOW_MS + MINUTE_MS)).toEqual({ kind: "none" });

	const launched = (launch: number) => command(aPlan(), { status: "draft" }, { kind: "start", by: "anna", reason: "go", launch }, NOW_MS);
	for (const [launch, alpha] of [
		[1, 0.0125],
		[2, 0.00625],
		[5, 0.0125 / 16],
	] as const)
		expect(launched(launch)).toMatchObject({
			ok: true,
			value: { state: { phase: 0, stage: 1, alpha, watch: { exposures: [], watermark: null } } },
		});
	// What proved harm in the first launch no longer does in the second.
	const relaunched = aState({ alpha: 0.00625, guard: { e: 81 } });
	expect(lived([anEvidence()], relaunched).decisions[0]).toMatchObject({ kind: "hold", reason: "suspected_harm" });

	// A rollout's buckets are seeded by its key, and each launch has its own.
	const servedIn = (key: string) =>
		new Set(Array.from({ length: 10_000 }, (_, i) => `user-${i}`).filter((user) => bucketOf(user, seedOf(key)) < BUCKETS / 20));
	const [first, second] = [servedIn("checkout.1"), servedIn("checkout.2")];
	expect([...first].filter((user) => second.has(user)).length / first.size).toBeLessThan(0.1);
});

test("too many rollbacks: three in an hour stop what advances by itself for half an hour, and never a rollback", () => {
	const three = [NOW_MS - 50 * MINUTE_MS, NOW_MS - 20 * MINUTE_MS, NOW_MS - 10 * MINUTE_MS];
	const open = breakerAt(three, DEFAULT_BREAKER, NOW_MS);
	expect(open).toEqual({ kind: "open", untilMs: NOW_MS + 20 * MINUTE_MS });
	const tick = (state: LiveState, breaker: BreakerState) => decide(aPlan(), state, anEvidence(), NOW_MS, { breaker, isTrial: false });
	expect(tick(aState(), { kind: "closed" })).toMatchObject({ kind: "advance" });
	expect(tick(aState(), open)).toMatchObject({
		kind: "hold",
		reason: "breaker_open",
		alerts: [{ severity: "page", kind: "breaker_open" }],
	});
	expect(tick(aState({ phase: 2 }), open)).toMatchObject({ kind: "hold", reason: "breaker_open" });
	expect(tick(aState({ guard: { e: 81 } }), open)).toMatchObject({ kind: "roll_back", reason: "harm_proven" });
});
