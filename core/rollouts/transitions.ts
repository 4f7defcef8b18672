import { restartGuard, startGuard } from "../health/guard";
import { flagsIn, servedOf, servesMore } from "./exposure";
import { BASELINE_PHASE, type Plan, approversOf, phaseName } from "./plan";
import { checksBefore } from "./planChecks";
import { criteriaIn } from "./planCriteria";
import type { Launched, LiveState, RolloutState, RunningState, WaitingState } from "./state";

/** How a state is left and the next one entered: shared by what the engine decides and what people command. */

/** α of a rollout's harm tests, by the plan's sensitivity. A relaunch of the same candidate has half of its predecessor's. */
const ALPHA = { standard: 0.0125, fast: 0.05 };

export const FIRST_LAUNCH: Launched = { launch: 1, fromPhase: 0, launchedAtMs: 0, manual: false, author: "", versions: {} };

export function started(plan: Plan, launched: Launched, now: number): RunningState {
	const { launch, fromPhase } = launched;
	return {
		status: "running",
		...launched,
		startedAtMs: now,
		alpha: ALPHA[plan.sensitivity] / 2 ** (launch - 1),
		phase: criteriaIn(plan).baselines.length > 0 ? BASELINE_PHASE : fromPhase,
		stage: 1,
		sinceMs: now,
		before: null,
		retreated: false,
		baseline: null,
		extendedMs: 0,
		dropped: [],
		excluded: { keys: [], segments: [] },
		lowered: null,
		approvals: [],
		watch: {
			watermark: null,
			tickedAtMs: now,
			appliedAtMs: now,
			heldMs: 0,
			ticks: 0,
			quietTicks: 0,
			failedReads: 0,
			guards: criteriaIn(plan).guards.map((guard) => startGuard(guard)),
			exposures: [],
			alerting: [],
		},
	};
}

export const scheduled = (launch: Launched, startsAtMs: number, by: string): WaitingState => ({
	status: "scheduled",
	...launch,
	startsAtMs,
	by,
});

export const validating = (launch: Launched, sinceMs: number, by: string): WaitingState => ({
	status: "validating",
	...launch,
	sinceMs,
	by,
	approvals: [],
});

/** Where a start leads once its time has come. */
export function entered(plan: Plan, launch: Launched, now: number, by: string): RunningState | WaitingState {
	const mustWait = approversOf(plan, launch.fromPhase) > 0 || checksBefore(plan, launch.fromPhase).length > 0;
	return mustWait ? validating(launch, now, by) : started(plan, launch, now);
}

/** What edges report from here on bears another stage. */
function nextStage(plan: Plan, state: LiveState, now: number): LiveState {
	const before = { stage: state.stage, ...servedOf(plan, state), sinceMs: state.sinceMs };
	const watch = { ...state.watch, heldMs: 0, ticks: 0, guards: state.watch.guards.map(restartGuard) };
	return { ...state, stage: state.stage + 1, sinceMs: now, before, retreated: false, extendedMs: 0, approvals: [], watch };
}

export function enterPhase(plan: Plan, state: LiveState, phase: number, now: number): RunningState {
	const next = running({ ...nextStage(plan, state, now), phase, lowered: null });
	const flags = flagsIn(plan, state);
	// Whatever is told of the others and from before was told of the baseline.
	if (!next.before || flagsIn(plan, next).every((flag) => flags.includes(flag))) return next;
	return { ...next, before: { ...next.before, flags } };
}

/**
 * The same phase anew, in the status that it was in: what edges report from here on bears another stage, so nothing that was
 * reported before they knew what is harm can be taken for its absence.
 */
export function restartedPhase(plan: Plan, state: LiveState, now: number): LiveState {
	return { ...nextStage(plan, state, now), retreated: state.retreated };
}

/** As after a relaunch: harm is counted from here on, at half the tolerated rate of false alarms. */
function afresh(plan: Plan, state: LiveState): LiveState {
	const guards = criteriaIn(plan).guards.map((guard, i) => startGuard(guard, state.watch.guards[i]?.frozen));
	return { ...state, alpha: state.alpha / 2, watch: { ...state.watch, guards } };
}

/** The phase at which a rollout goes on: from the way back the last that serves nobody more than is served now; undefined: there is none. */
export function phaseToResume(plan: Plan, state: LiveState): number | undefined {
	if (state.status !== "rolling_back") return state.phase;
	const now = servedOf(plan, state);
	const fits = ({ shadow }: Plan["phases"][number], phase: number): boolean =>
		!shadow && phase <= state.phase && !servesMore(servedOf(plan, { ...state, phase, lowered: null }), now);
	const found = plan.phases.findLastIndex(fits);
	return found < 0 ? undefined : found;
}

/** Goes on where it was. After a retreat its phase begins anew; from the way back it goes on at no more than is served still. */
export function resumed(plan: Plan, state: LiveState, now: number): RunningState {
	const phase = phaseToResume(plan, state);
	if (phase === undefined) throw new Error("resumed where every phase serves more");
	if (state.status === "rolling_back") return enterPhase(plan, afresh(plan, state), phase, now);
	return state.retreated ? enterPhase(plan, state, phase, now) : running(state);
}

function running(state: LiveState): RunningState {
	const { launch, fromPhase, launchedAtMs, manual, author, versions, startedAtMs, alpha, phase, stage, sinceMs, before } = state;
	const { retreated, baseline, extendedMs, dropped, excluded, lowered: stageNow, approvals, watch } = state;
	const where = { startedAtMs, alpha, phase, stage, sinceMs, before, retreated, baseline, extendedMs, dropped, excluded };
	return {
		status: "running",
		launch,
		fromPhase,
		launchedAtMs,
		manual,
		author,
		versions,
		...where,
		lowered: stageNow,
		approvals,
		watch,
	};
}

export function awaitingApproval(state: LiveState, now: number): LiveState {
	return { ...running(state), status: "awaiting_approval", askedAtMs: now };
}

export function paused(state: LiveState, now: number, by: string, reason: string): LiveState {
	return { ...running(state), status: "paused", pausedAtMs: now, by, reason };
}

/**
 * Nobody has guarded the rollout for longer than its lease. Edges whose plan says so have taken its users back by themselves;
 * the state follows them before they hear of a tick again, so nobody is moved back and forth.
 */
export function unguarded(plan: Plan, state: LiveState, now: number, by: string, reason: string): LiveState {
	if (plan.on_control_loss === "hold") return paused(state, now, by, reason);
	return { ...paused(restartedPhase(plan, state, now), now, by, reason), retreated: true };
}

/** One stage lower; `stages` are this one and those after it. */
export function lowered(
	plan: Plan,
	state: LiveState,
	[percent = 0, ...stages]: readonly number[],
	now: number,
	why: { readonly by: string; readonly reason: string; readonly trigger: string },
): LiveState {
	return { ...running(nextStage(plan, state, now)), status: "rolling_back", lowered: { percent, sinceMs: now }, stages, ...why };
}

/** These flags go back, the others go on; in the status that it was in. */
export function droppedFlags(plan: Plan, state: LiveState, flags: readonly string[], now: number): LiveState {
	return { ...restartedPhase(plan, state, now), dropped: [...state.dropped, ...flags.filter((flag) => !state.dropped.includes(flag))] };
}

/** These users go back, the others go on; the harm that was counted was theirs too. */
export function excludedUsers(
	plan: Plan,
	state: LiveState,
	who: { readonly keys: readonly string[]; readonly segments: readonly string[] },
	now: number,
): LiveState {
	const union = (a: readonly string[], b: readonly string[]): string[] => [...new Set([...a, ...b])];
	const excluded = { keys: union(state.excluded.keys, who.keys), segments: union(state.excluded.segments, who.segments) };
	return { ...afresh(plan, restartedPhase(plan, state, now)), excluded };
}

export function rolledBack(state: LiveState, now: number, by: string, reason: string): RolloutState {
	return { status: "rolled_back", atMs: now, fromPhase: state.phase, by, reason };
}

export function completed(now: number, by: string): RolloutState {
	return { status: "completed", atMs: now, by };
}

/** "phase_2 (20 %)" */
export const placeText = (plan: Plan, phase: number): string => `${phaseName(plan, phase)} (${plan.phases[phase]?.percent ?? 0} %)`;
