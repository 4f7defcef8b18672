import type { Sources } from "../sources";

/** Whose turn it is to send what an isolate's requests have gathered: the time at which it began, 0: nobody's. */
export interface Turn {
	sinceMs: number;
}
export const nobodysTurn = (): Turn => ({ sinceMs: 0 });

/** Work behind an answer ends after 30 s: whose turn began earlier has been cancelled. */
const DEAD_AFTER_MS = 35_000;

export const isNobodys = ({ sinceMs }: Turn, nowMs: number): boolean => sinceMs === 0 || nowMs - sinceMs >= DEAD_AFTER_MS;

/** Then another request goes on: what is under way when the time is over would be lost, and nobody would know of it. */
const TURN_MS = 10_000;
/** Where nothing went before it, all of a turn, with what it waits for at its end. */
const ENDS_AFTER_MS = 25_000;
/** So often is looked whether the work has become urgent. */
const LOOK_MS = 100;

/**
 * Lets one request at a time do the work, piece by piece, each after a pause in which others may add to it. `work` says whether there is more,
 * and is told when it must have ended: `endsMs`.
 * Never rejects if the work does not.
 */
export async function inTurn(
	turn: Turn,
	of: { readonly pauseMs: number; readonly isUrgent?: () => boolean; readonly endsMs?: number | undefined },
	{ now, wait }: Pick<Sources, "now" | "wait">,
	work: (endsMs: number) => Promise<boolean>,
): Promise<void> {
	const startedAtMs = now();
	const { pauseMs, isUrgent = () => false, endsMs = startedAtMs + ENDS_AFTER_MS } = of;
	if (!isNobodys(turn, startedAtMs)) return;
	turn.sinceMs = startedAtMs;
	try {
		do {
			// oxlint-disable-next-line no-await-in-loop -- others add to it meanwhile
			for (let left = pauseMs; left > 0 && !isUrgent(); left -= LOOK_MS) await wait(Math.min(left, LOOK_MS));
			// oxlint-disable-next-line no-await-in-loop -- one piece after the other
			if (!(await work(endsMs))) return;
		} while (now() - startedAtMs < TURN_MS);
	} finally {
		if (turn.sinceMs === startedAtMs) turn.sinceMs = 0;
	}
}
