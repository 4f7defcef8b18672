import { restartGuard, startGuard } from "../health/guard";
import { type Plan, guardsOf, servedIn } from "./plan";
import type { LiveState, RolloutState } from "./state";

/** How a state is left and the next one entered: shared by what the engine decides and what people command. */

/** α of a rollout's harm tests. A relaunch of the same candidate has half of its predecessor's. */
const ALPHA = 0.0125;

export function started(plan: Plan, launch: number, now: number): LiveState {
	return {
		status: "running",
		startedAtMs: now,
		alpha: ALPHA / 2 ** (launch - 1),
		phase: 0,
		stage: 1,
		sinceMs: now,
		before: null,
		watch: {
			watermark: null,
			tickedAtMs: now,
			appliedAtMs: now,
			heldMs: 0,
			ticks: 0,
			quietTicks: 0,
			failedReads: 0,
			guards: guardsOf(plan).map(startGuard),
			exposures: [],
		},
	};
}

export function enterPhase(plan: Plan, state: LiveState, phase: number, now: number): LiveState {
	const { startedAtMs, alpha, watch } = state;
	return {
		status: "running",
		startedAtMs,
		alpha,
		phase,
		stage: state.stage + 1,
		sinceMs: now,
		before: { stage: state.stage, served: servedIn(plan, state.phase), sinceMs: state.sinceMs },
		watch: { ...watch, heldMs: 0, ticks: 0, guards: watch.guards.map(restartGuard) },
	};
}

export function resumed(state: LiveState): LiveState {
	const { startedAtMs, alpha, phase, stage, sinceMs, before, watch } = state;
	return { status: "running", startedAtMs, alpha, phase, stage, sinceMs, before, watch };
}

export function paused(state: LiveState, now: number, by: string, reason: string): LiveState {
	return { ...resumed(state), status: "paused", pausedAtMs: now, by, reason };
}

export function rolledBack(state: LiveState, now: number, by: string, reason: string): RolloutState {
	return { status: "rolled_back", atMs: now, fromPhase: state.phase, by, reason };
}

export function completed(now: number, by: string): RolloutState {
	return { status: "completed", atMs: now, by };
}
