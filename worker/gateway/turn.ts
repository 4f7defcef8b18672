import type { Sources } from "../sources";

/** Whose turn it is to send what an isolate's requests have gathered: the time at which it began, 0: nobody's. */
export interface Turn {
	sinceMs: number;
}
export const nobodysTurn = (): Turn => ({ sinceMs: 0 });

/** Work behind an answer ends after 30 s: whose turn began earlier has been cancelled. */
const DEAD_AFTER_MS = 35_000;

/** Lets one request at a time do the work, after a pause in which others may add to it. Never rejects if the work does not. */
export async function inTurn(turn: Turn, pauseMs: number, { now, wait }: Pick<Sources, "now" | "wait">, work: () => Promise<void>) {
	const startedAtMs = now();
	if (turn.sinceMs !== 0 && startedAtMs - turn.sinceMs < DEAD_AFTER_MS) return;
	turn.sinceMs = startedAtMs;
	try {
		if (pauseMs > 0) await wait(pauseMs);
		await work();
	} finally {
		if (turn.sinceMs === startedAtMs) turn.sinceMs = 0;
	}
}
