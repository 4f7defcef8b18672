/**
 * After too many automatic rollbacks in an environment something larger is wrong than one candidate: nothing starts or advances
 * by itself for a while, and then one rollout at a time. Rollbacks are never stopped.
 */

export interface BreakerSettings {
	/** So many automatic rollbacks … */
	readonly rollbacks: number;
	/** … within this time open it … */
	readonly withinMs: number;
	/** … for so long. */
	readonly openMs: number;
	/** It closes when so long nothing was rolled back. */
	readonly resetMs: number;
}

export type BreakerState =
	| { readonly kind: "closed" }
	| { readonly kind: "open"; readonly untilMs: number }
	| { readonly kind: "half_open"; readonly untilMs: number };

export const DEFAULT_BREAKER: BreakerSettings = { rollbacks: 3, withinMs: 3_600_000, openMs: 1_800_000, resetMs: 3_600_000 };

/** A breaker that each rollback opens anew is followed for so long: what is older no longer counts. */
const FOLLOWED_MS = 86_400_000;

/** How far back rollbacks matter. */
export function breakerWindowMs({ withinMs, openMs, resetMs }: BreakerSettings): number {
	return FOLLOWED_MS + withinMs + Math.max(openMs, resetMs);
}

/** By the times of the environment's automatic rollbacks. One that comes before the breaker has closed opens it anew by itself. */
export function breakerAt(rollbacksAtMs: readonly number[], settings: BreakerSettings, now: number): BreakerState {
	const { rollbacks, withinMs, openMs, resetMs } = settings;
	const sinceMs = now - breakerWindowMs(settings);
	const times = rollbacksAtMs.filter((at) => at > sinceMs).sort((a, b) => a - b);
	const closesAfterMs = Math.max(openMs, resetMs);
	let openedAtMs = -Infinity;
	for (const [i, at] of times.entries()) {
		const first = times[i - rollbacks + 1];
		const isTooMany = first !== undefined && at - first <= withinMs;
		if (isTooMany || at < openedAtMs + closesAfterMs) openedAtMs = at;
	}
	if (now < openedAtMs + openMs) return { kind: "open", untilMs: openedAtMs + openMs };
	return now < openedAtMs + closesAfterMs ? { kind: "half_open", untilMs: openedAtMs + closesAfterMs } : { kind: "closed" };
}

/**
 * While the breaker is half open: the only one that goes on by itself, of an environment's rollouts that could go on now. The one
 * with the smallest percent; what would only start waits for those that serve somebody already.
 */
export function trialOf(
	ready: readonly { readonly id: string; readonly isStart: boolean; readonly percent: number }[],
): string | undefined {
	const [least] = [...ready].sort((a, b) => Number(a.isStart) - Number(b.isStart) || a.percent - b.percent || (a.id < b.id ? -1 : 1));
	return least?.id;
}
