/**
 * The edge's own breaker, for each candidate of an isolate: one that fails is left within seconds, before any tick has seen it.
 * Pure: plain data and the time in, plain data out.
 */

export interface FuseRules {
	/** Failures of all requests, at least so many, within the window. */
	readonly share: number;
	readonly requestsMin: number;
	readonly windowMs: number;
	/** Failures in a row. */
	readonly inARow: number;
	readonly openMs: number;
	/** While half open one of so many requests tries the candidate. */
	readonly trialOf: number;
	/** Trials in a row that must succeed. */
	readonly trials: number;
}

export const FUSE_RULES: FuseRules = { share: 0.5, requestsMin: 20, windowMs: 30_000, inARow: 5, openMs: 60_000, trialOf: 10, trials: 3 };

const SLICES = 6;

/** Counted in slices of the window, so that what is old falls out without a list of requests. */
export interface Fuse {
	status: "closed" | "open" | "half_open";
	/** Since when it has this status. */
	sinceMs: number;
	readonly requests: number[];
	readonly failures: number[];
	/** The newest slice's number, counted from the epoch. */
	slice: number;
	failedInARow: number;
	/** While half open: requests that came, and trials in a row that succeeded. */
	asked: number;
	succeeded: number;
}

export const newFuse = (nowMs: number): Fuse => ({
	status: "closed",
	sinceMs: nowMs,
	requests: Array.from({ length: SLICES }, () => 0),
	failures: Array.from({ length: SLICES }, () => 0),
	slice: Math.floor(nowMs / (FUSE_RULES.windowMs / SLICES)),
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
export function observed(fuse: Fuse, isFailure: boolean, nowMs: number, rules: FuseRules = FUSE_RULES): boolean {
	if (fuse.status === "open") return false;
	if (fuse.status === "half_open") {
		if (isFailure) return open(fuse, nowMs);
		if (++fuse.succeeded >= rules.trials) reset(fuse, nowMs, rules);
		return false;
	}
	turn(fuse, nowMs, rules);
	const at = fuse.slice % SLICES;
	fuse.requests[at] = (fuse.requests[at] ?? 0) + 1;
	fuse.failedInARow = isFailure ? fuse.failedInARow + 1 : 0;
	if (!isFailure) return false;
	fuse.failures[at] = (fuse.failures[at] ?? 0) + 1;
	const [requests, failures] = [sum(fuse.requests), sum(fuse.failures)];
	const isMost = requests >= rules.requestsMin && failures >= requests * rules.share;
	return isMost || fuse.failedInARow >= rules.inARow ? open(fuse, nowMs) : false;
}

function open(fuse: Fuse, nowMs: number): true {
	fuse.status = "open";
	fuse.sinceMs = nowMs;
	return true;
}

function reset(fuse: Fuse, nowMs: number, rules: FuseRules): void {
	fuse.status = "closed";
	fuse.sinceMs = nowMs;
	fuse.failedInARow = 0;
	fuse.requests.fill(0);
	fuse.failures.fill(0);
	fuse.slice = sliceAt(nowMs, rules);
}

const sliceAt = (nowMs: number, { windowMs }: FuseRules): number => Math.floor(nowMs / (windowMs / SLICES));

/** Empties the slices that have gone by. */
function turn(fuse: Fuse, nowMs: number, rules: FuseRules): void {
	const now = sliceAt(nowMs, rules);
	for (let passed = Math.min(SLICES, now - fuse.slice); passed > 0; passed--) {
		const at = (now - passed + 1) % SLICES;
		fuse.requests[at] = 0;
		fuse.failures[at] = 0;
	}
	if (now > fuse.slice) fuse.slice = now;
}

const sum = (numbers: readonly number[]): number => numbers.reduce((total, each) => total + each, 0);
