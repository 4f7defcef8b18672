import { restartGuard, startGuard } from "../health/guard";
import { BASELINE_PHASE, type Plan, criteriaIn } from "./plan";
import { servedBy } from "./exposure";
import type { LiveState, RolloutState } from "./state";

/** How a state is left and the next one entered: shared by what the engine decides and what people command. */

/** α of a rollout's harm tests, by the plan's sensitivity. A relaunch of the same candidate has half of its predecessor's. */
const ALPHA = { standard: 0.0125, fast: 0.05 };

export function started(plan: Plan, launch: number, now: number): LiveState {
	return {
		status: "running",
		startedAtMs: now,
		alpha: ALPHA[plan.sensitivity] / 2 ** (launch - 1),
		phase: criteriaIn(plan).baselines.length > 0 ? BASELINE_PHASE : 0,
		stage: 1,
		sinceMs: now,
		before: null,
		retreated: false,
		baseline: null,
		watch: {
			watermark: null,
			tickedAtMs: now,
			appliedAtMs: now,
			heldMs: 0,
			ticks: 0,
			quietTicks: 0,
			failedReads: 0,
			guards: criteriaIn(plan).guards.map(startGuard),
			exposures: [],
			alerting: [],
		},
	};
}

export function enterPhase(plan: Plan, state: LiveState, phase: number, now: number): LiveState {
	const { startedAtMs, alpha, baseline, watch } = state;
	return {
		status: "running",
		startedAtMs,
		alpha,
		phase,
		stage: state.stage + 1,
		sinceMs: now,
		before: { stage: state.stage, served: servedBy(plan, state), sinceMs: state.sinceMs },
		retreated: false,
		baseline,
		watch: { ...watch, heldMs: 0, ticks: 0, guards: watch.guards.map(restartGuard) },
	};
}

/**
 * The same phase anew, running or paused as it was: what edges report from here on bears another stage, so nothing that was
 * reported before they knew what is harm can be taken for its absence.
 */
export function restartedPhase(plan: Plan, state: LiveState, now: number): LiveState {
	const fresh = enterPhase(plan, state, state.phase, now);
	if (state.status === "running") return fresh;
	const { pausedAtMs, by, reason, retreated } = state;
	return { ...fresh, status: "paused", pausedAtMs, by, reason, retreated };
}

/** Goes on where it was; after a retreat its phase begins anew. */
export function resumed(plan: Plan, state: LiveState, now: number): LiveState {
	return state.retreated ? enterPhase(plan, state, state.phase, now) : running(state);
}

function running(state: LiveState): LiveState {
	const { startedAtMs, alpha, phase, stage, sinceMs, before, retreated, baseline, watch } = state;
	return { status: "running", startedAtMs, alpha, phase, stage, sinceMs, before, retreated, baseline, watch };
}

export function paused(state: LiveState, now: number, by: string, reason: string): LiveState {
	return { ...running(state), status: "paused", pausedAtMs: now, by, reason };
}

/**
 * Nobody has guarded the rollout for longer than its lease. Edges whose plan says so have taken its users back by themselves;
 * the state follows them before they hear of a tick again, so nobody is moved back and forth.
 */
export function unguarded(plan: Plan, state: LiveState, now: number, by: string, reason: string): LiveState {
	const stopped = paused(state, now, by, reason);
	if (plan.on_control_loss === "hold") return stopped;
	return { ...stopped, ...enterPhase(plan, state, state.phase, now), status: "paused", pausedAtMs: now, by, reason, retreated: true };
}

export function rolledBack(state: LiveState, now: number, by: string, reason: string): RolloutState {
	return { status: "rolled_back", atMs: now, fromPhase: state.phase, by, reason };
}

export function completed(now: number, by: string): RolloutState {
	return { status: "completed", atMs: now, by };
}
