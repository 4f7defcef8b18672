import type { LiveRollout } from "../flags/snapshot";
import { type Plan, phaseName, servedIn } from "./plan";
import { type RolloutState, isLive } from "./state";

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
		served: servedIn(plan, state.phase),
		phase: phaseName(plan, state.phase),
		stage,
		sinceMs,
		before,
		excluded,
	};
}

/** The candidate of a plan that names none: that of boolean flags. */
export const DEFAULT_CANDIDATE = "true";

/** The plan's candidate for every flag. */
export function candidateOf(plan: Plan): string {
	return plan.candidate ?? DEFAULT_CANDIDATE;
}
