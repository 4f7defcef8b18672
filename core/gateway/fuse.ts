/**
 * The edge's own breaker, for each candidate of an isolate: one that fails is left within seconds, before any tick has seen it.
 * Pure: plain data and the time in, plain data out.
 */

export interface FuseRules {
	/** Failures among the last `requests`, all of them within the window. */
	readonly share: number;
	readonly requests: number;
	readonly windowMs: number;
	/** Failures in a row. */
	readonly inARow: number;
	readonly openMs: number;
	/** While half open one of so many requests tries the candidate. */
	readonly trialOf: number;
	/** Trials in a row that must succeed. */
	readonly trials: number;
}

export const FUSE_RULES: FuseRules = { share: 0.5, requests: 20, windowMs: 30_000, inARow: 5, openMs: 60_000, trialOf: 10, trials: 3 };

/** The last requests and no longer window: what went well before must not hide for how long the candidate has been failing. */
export interface Fuse {
	status: "closed" | "open" | "half_open";
	/** Since when it has this status. */
	sinceMs: number;
	/** Of the last requests, in a ring: when they ended, and whether they failed. */
	readonly atMs: number[];
	readonly failed: boolean[];
	/** Where the next one goes. */
	next: number;
	failedInARow: number;
	/** While half open: requests that came, and trials in a row that succeeded. */
	asked: number;
	succeeded: number;
}

export const newFuse = (nowMs: number): Fuse => ({
	status: "closed",
	sinceMs: nowMs,
	atMs: [],
	failed: [],
	next: 0,
	failedInARow: 0,
	asked: 0,
	succeeded: 0,
});

/** Whether this request may go to the candidate. Changes what is kept of a fuse whose time is over. */
export function lets(fuse: Fuse, nowMs: number, rules: FuseRules = FUSE_RULES): boolean {
	if (fuse.status === "closed") return true;
	if (fuse.status === "open") {
		if (nowMs - fuse.sinceMs < rules.openMs) return false;
		fuse.status = "half_open";
		fuse.sinceMs = nowMs;
		fuse.asked = 0;
		fuse.succeeded = 0;
	}
	return fuse.asked++ % rules.trialOf === 0;
}

/** What became of a request that went to the candidate. Returns whether the fuse has just opened. */
export function observed(fuse: Fuse, isFailure: boolean, nowMs: number, rules: FuseRules = FUSE_RULES, sentAtMs: number = nowMs): boolean {
	if (fuse.status === "open") return false;
	if (fuse.status === "half_open") {
		// Sent before it opened, and late: no trial.
		if (sentAtMs < fuse.sinceMs) return false;
		if (isFailure) return open(fuse, nowMs);
		if (++fuse.succeeded >= rules.trials) reset(fuse, nowMs);
		return false;
	}
	fuse.atMs[fuse.next] = nowMs;
	fuse.failed[fuse.next] = isFailure;
	fuse.next = (fuse.next + 1) % rules.requests;
	fuse.failedInARow = isFailure ? fuse.failedInARow + 1 : 0;
	if (!isFailure) return false;
	return fuse.failedInARow >= rules.inARow || isMost(fuse, nowMs, rules) ? open(fuse, nowMs) : false;
}

/** The baseline failed a request as well: what was seen so far says nothing of the candidate. */
export function excuse(fuse: Fuse, nowMs: number): void {
	reset(fuse, nowMs);
}

function isMost({ atMs, failed }: Fuse, nowMs: number, { requests, share, windowMs }: FuseRules): boolean {
	if (atMs.length < requests || atMs.some((at) => nowMs - at > windowMs)) return false;
	return failed.filter(Boolean).length >= requests * share;
}

function open(fuse: Fuse, nowMs: number): true {
	fuse.status = "open";
	fuse.sinceMs = nowMs;
	return true;
}

function reset(fuse: Fuse, nowMs: number): void {
	fuse.status = "closed";
	fuse.sinceMs = nowMs;
	fuse.failedInARow = 0;
	fuse.atMs.length = 0;
	fuse.failed.length = 0;
	fuse.next = 0;
}
