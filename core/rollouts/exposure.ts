import type { LiveRollout } from "../flags/snapshot";
import { scoredMetrics, signalsOf } from "../health/signals";
import { type Plan, phaseName, servedIn } from "./plan";
import { type LiveState, type RolloutState, isLive } from "./state";

/** Buckets that are served the candidate as the rollout stands. */
export function servedBy(plan: Plan, state: LiveState): number {
	return state.retreated ? 0 : servedIn(plan, state.phase);
}

/**
 * What the edge serves of a rollout; undefined when it is not live. `candidates`: flag → the candidate variant.
 * A paused rollout keeps serving where it stopped.
 */
export function liveRollout(
	key: string,
	plan: Plan,
	state: RolloutState,
	candidates: Readonly<Record<string, string>>,
): LiveRollout | undefined {
	if (!isLive(state)) return undefined;
	const { stage, sinceMs, before } = state;
	const { exclude: excluded } = plan;
	return {
		key,
		flags: candidates,
		served: servedBy(plan, state),
		phase: phaseName(plan, state.phase),
		stage,
		sinceMs,
		before,
		excluded,
		retreats: plan.on_control_loss === "retreat",
		signals: signalsOf(plan, state),
		scored: scoredMetrics(plan, state),
	};
}

/** The candidate of a plan that names none: that of boolean flags. */
export const DEFAULT_CANDIDATE = "true";

/** The plan's candidate for every flag. */
export function candidateOf(plan: Plan): string {
	return plan.candidate ?? DEFAULT_CANDIDATE;
}
