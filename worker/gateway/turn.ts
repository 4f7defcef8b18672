import type { Sources } from "../sources";

/** Whose turn it is to send what an isolate's requests have gathered. */
export interface Turn {
	/** The time at which it began, 0: it is nobody's. */
	sinceMs: number;
	/** Counts the turns: whose number is no longer this one has lost it. */
	number: number;
	/** Whoever has it waits for others to add to it. */
	isPausing: boolean;
}
export const nobodysTurn = (): Turn => ({ sinceMs: 0, number: 0, isPausing: false });

/** Work behind an answer ends after 30 s: whose turn began earlier has been cancelled. */
const DEAD_AFTER_MS = 35_000;
/** Then another request goes on: what is under way when the time is over would be lost, and nobody would know of it. */
const TURN_MS = 10_000;
/** Where nothing went before it, all of a turn, with what it waits for at its end. */
const ENDS_AFTER_MS = 25_000;

/** Nobody has it; or there is so much to do that whoever waits for more must not be waited for. */
export const isFree = ({ sinceMs, isPausing }: Turn, nowMs: number, isUrgent: boolean): boolean =>
	sinceMs === 0 || nowMs - sinceMs >= DEAD_AFTER_MS || (isPausing && isUrgent);

/**
 * Lets one request at a time do the work, piece by piece, each after a pause in which others may add to it, unless it is urgent. `work` says
 * whether there is more, and is told when it must have ended: `endsMs`.
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
	if (!isFree(turn, startedAtMs, isUrgent())) return;
	const own = ++turn.number;
	turn.sinceMs = startedAtMs;
	turn.isPausing = false;
	try {
		do {
			if (pauseMs > 0 && !isUrgent()) {
				turn.isPausing = true;
				// oxlint-disable-next-line no-await-in-loop -- others add to it meanwhile
				await wait(pauseMs);
				if (turn.number !== own) return;
				turn.isPausing = false;
			}
			// oxlint-disable-next-line no-await-in-loop -- one piece after the other
			if (!(await work(endsMs))) return;
		} while (now() - startedAtMs < TURN_MS);
	} finally {
		if (turn.number === own) turn.sinceMs = 0;
	}
}
