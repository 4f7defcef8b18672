/**
 * After too many automatic rollbacks in an environment something larger is wrong than one candidate: nothing starts or advances
 * by itself for a while. Rollbacks are never stopped.
 */

const ROLLBACKS = 3;
const WITHIN_MS = 3_600_000;
const OPEN_MS = 1_800_000;

/** How far back rollbacks matter. */
export const BREAKER_WINDOW_MS = WITHIN_MS + OPEN_MS;

/** Until when advances are stopped, by the times of the environment's automatic rollbacks; null: they are not. */
export function breakerOpenUntil(rollbacksAtMs: readonly number[], now: number): number | null {
	const times = [...rollbacksAtMs].sort((a, b) => a - b);
	let until: number | null = null;
	for (const [i, at] of times.entries()) {
		const first = times[i - ROLLBACKS + 1];
		if (first !== undefined && at - first <= WITHIN_MS) until = at + OPEN_MS;
	}
	return until !== null && now < until ? until : null;
}
