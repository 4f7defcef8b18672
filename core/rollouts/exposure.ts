import type { Ring, Served } from "../flags/rings";
import { type LiveRollout, bucketsOf } from "../flags/snapshot";
import { scoredMetrics, signalsOf } from "../health/signals";
import { BASELINE_PHASE, type Plan, isShadow, joinedFlags, newestRing, phaseName, ringsIn, servedIn } from "./plan";
import { type LiveState, type RolloutState, isLive } from "./state";

/** Buckets that are served the candidate as the rollout stands; where it goes ring by ring, in the newest ring. */
export function servedBy(plan: Plan, state: LiveState): number {
	return Math.min(servedIn(plan, state.phase), ceilingOf(state));
}

/** More than this nobody is served, whatever the phase says. */
function ceilingOf({ retreated, lowered }: LiveState): number {
	if (retreated) return 0;
	return lowered === null ? Infinity : bucketsOf(lowered.percent);
}

/** Who is served how much, where phases have audiences; undefined: everybody is served alike. */
function ringsBy(plan: Plan, state: LiveState): readonly Ring[] | undefined {
	const rings = servedByRing(plan, state);
	const everybody = rings.get(null);
	const found = [...rings].filter(([segment, served]) => segment === null || everybody === undefined || served > everybody);
	return found.some(([segment]) => segment !== null) ? found.map(([segment, served]) => ({ segment, served })) : undefined;
}

function servedByRing(plan: Plan, state: LiveState): ReadonlyMap<string | null, number> {
	const { phase } = state;
	const rings = new Map<string | null, number>();
	// A baseline is that of those who will be served first.
	const last = phase === BASELINE_PHASE ? state.fromPhase : phase;
	for (const [i, { audience = null, shadow }] of plan.phases.slice(0, last + 1).entries()) {
		if (shadow) continue;
		const served = phase === BASELINE_PHASE ? 0 : Math.min(servedIn(plan, i), ceilingOf(state));
		rings.set(audience, Math.max(served, rings.get(audience) ?? 0));
	}
	return rings;
}

/** The rings by which outcomes are told apart; undefined: the plan has none. Who was served as much before belongs to a ring before the newest. */
function numberedRings(plan: Plan, state: LiveState): readonly Ring[] | undefined {
	const audiences = ringsIn(plan);
	if (audiences.length === 0) return undefined;
	const rings = servedByRing(plan, state);
	const everybody = rings.get(null) ?? 0;
	const found = [...rings].map(([segment, served]): Required<Ring> => ({ segment, served, number: audiences.indexOf(segment) + 1 }));
	const newest = newestRing(plan, state);
	const told = found.filter(({ segment, served }) => segment === null || served >= everybody);
	return [...told.filter(({ number }) => number !== newest), ...told.filter(({ number }) => number === newest)];
}

/** Whether somebody is served more than before this stage. */
export function hasRisen(plan: Plan, state: LiveState): boolean {
	return state.before !== null && servesMore(servedOf(plan, state), state.before);
}

/** What a state serves, to everybody or ring by ring. */
export function servedOf(plan: Plan, state: LiveState): Served {
	const rings = ringsBy(plan, state);
	return { served: servedBy(plan, state), ...(rings ? { rings } : {}) };
}

/** Whether somebody, of whatever ring, is served more than then. */
export function servesMore(now: Served, then: Served): boolean {
	const of = ({ served, rings }: Served): readonly Ring[] => rings ?? [{ segment: null, served }];
	const servedThen = (segment: string | null): number | undefined => of(then).find((each) => each.segment === segment)?.served;
	return of(now).some(({ segment, served }) => served > (servedThen(segment) ?? servedThen(null) ?? 0));
}

/** The flags that it moves as it stands. */
export function flagsIn(plan: Plan, { phase, dropped }: LiveState): readonly string[] {
	return joinedFlags(plan, phase).filter((flag) => !dropped.includes(flag));
}

/**
 * What the edge serves of a rollout; undefined when it is not live. A paused rollout keeps serving where it stopped.
 */
export function liveRollout(key: string, plan: Plan, state: RolloutState): LiveRollout | undefined {
	if (!isLive(state)) return undefined;
	const { stage, sinceMs, before, excluded } = state;
	const rings = ringsBy(plan, state);
	const numbered = numberedRings(plan, state);
	const candidate = candidateOf(plan);
	return {
		key,
		flags: Object.fromEntries(flagsIn(plan, state).map((flag) => [flag, candidate])),
		served: servedBy(plan, state),
		...(rings ? { rings } : {}),
		...(numbered ? { numbered } : {}),
		phase: phaseName(plan, state.phase),
		stage,
		sinceMs,
		before,
		excluded: { keys: [...plan.exclude.keys, ...excluded.keys], segments: [...plan.exclude.segments, ...excluded.segments] },
		retreats: plan.on_control_loss === "retreat",
		signals: signalsOf(plan, state),
		scored: scoredMetrics(plan, state),
		...(isShadow(plan, state.phase) ? { shadow: true as const } : {}),
	};
}

/** The candidate of a plan that names none: that of boolean flags. */
export const DEFAULT_CANDIDATE = "true";

/** The plan's candidate for every flag. */
export function candidateOf(plan: Plan): string {
	return plan.candidate ?? DEFAULT_CANDIDATE;
}

/** Whether a guard has something to look at: its flag has joined, and was not taken back. */
export function isInPlay(
	plan: Plan,
	{ phase, dropped }: Pick<LiveState, "phase" | "dropped">,
	{ flag }: { readonly flag?: string },
): boolean {
	return flag === undefined || (joinedFlags(plan, phase).includes(flag) && !dropped.includes(flag));
}
