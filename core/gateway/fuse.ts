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
	/** So many outcomes of the baseline within the window say how it does. */
	readonly known: number;
}

export const FUSE_RULES: FuseRules = {
	share: 0.5,
	requests: 20,
	windowMs: 30_000,
	inARow: 5,
	openMs: 60_000,
	trialOf: 10,
	trials: 3,
	known: 10,
};

/**
 * What became of a request that went to the candidate. `proven`: it failed, and the baseline did not when it was asked the same; `alone`: it
 * failed, and could be asked of nobody else. What the baseline failed at as well tells nothing of the candidate, and is left out.
 */
export type Outcome = "fine" | "proven" | "alone";

/** The last outcomes, in a ring. */
interface Ring<T> {
	readonly atMs: number[];
	readonly outcomes: T[];
	/** Where the next one goes. */
	next: number;
}

/** The last requests and no longer window: what went well before must not hide for how long the candidate has been failing. */
export interface Fuse {
	status: "closed" | "open" | "half_open";
	/** Since when it has this status. */
	sinceMs: number;
	readonly candidate: Ring<Outcome>;
	/** Whether they failed. */
	readonly baseline: Ring<boolean>;
	/** Proven failures since the last request that went well. */
	failedInARow: number;
	/** While half open: requests that came, and trials in a row that succeeded. */
	asked: number;
	succeeded: number;
}

export const newFuse = (nowMs: number): Fuse => ({
	status: "closed",
	sinceMs: nowMs,
	candidate: { atMs: [], outcomes: [], next: 0 },
	baseline: { atMs: [], outcomes: [], next: 0 },
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

/** Whether the candidate is left alone. Nobody may be sent to it any more: then its time ends all the same. */
export const isLeft = ({ status, sinceMs }: Fuse, nowMs: number, { openMs }: FuseRules = FUSE_RULES): boolean =>
	status !== "closed" && nowMs - sinceMs < openMs;

/** Takes what became of a request that went to the candidate. Returns whether the fuse has just opened. */
export function observed(fuse: Fuse, outcome: Outcome, nowMs: number, rules: FuseRules = FUSE_RULES, sentAtMs: number = nowMs): boolean {
	if (fuse.status === "open") return false;
	if (fuse.status === "half_open") {
		// Sent before it opened, and late: no trial.
		if (sentAtMs < fuse.sinceMs) return false;
		if (outcome === "alone" && (baselineShare(fuse, nowMs, rules) ?? 0) >= rules.share) return false;
		if (outcome !== "fine") return open(fuse, nowMs);
		if (++fuse.succeeded >= rules.trials) reset(fuse, nowMs);
		return false;
	}
	put(fuse.candidate, outcome, nowMs, rules);
	if (outcome === "fine") {
		fuse.failedInARow = 0;
		return false;
	}
	if (outcome === "proven") fuse.failedInARow++;
	return fuse.failedInARow >= rules.inARow || isWorse(fuse, nowMs, rules) ? open(fuse, nowMs) : false;
}

/** Takes what became of a request that went to the baseline. */
export function observedBaseline(fuse: Fuse, isFailure: boolean, nowMs: number, rules: FuseRules = FUSE_RULES): void {
	put(fuse.baseline, isFailure, nowMs, rules);
}

function put<T>(ring: Ring<T>, outcome: T, nowMs: number, { requests }: FuseRules): void {
	ring.atMs[ring.next] = nowMs;
	ring.outcomes[ring.next] = outcome;
	ring.next = (ring.next + 1) % requests;
}

/**
 * Failures that the baseline was spared are the candidate's by themselves. Others may be what both fail at: they count where the baseline fails
 * half as often at most, or where nobody knows how it does, and nothing of the candidate's went well.
 */
function isWorse(fuse: Fuse, nowMs: number, rules: FuseRules): boolean {
	const { requests, share, windowMs } = rules;
	const { atMs, outcomes } = fuse.candidate;
	if (outcomes.length < requests) return false;
	let [proven, alone] = [0, 0];
	for (const each of outcomes) {
		if (each === "proven") proven++;
		else if (each === "alone") alone++;
	}
	const failed = proven + alone;
	const known = baselineShare(fuse, nowMs, rules);
	if (known === undefined && failed === requests) return true;
	if (atMs.some((at) => nowMs - at > windowMs)) return false;
	if (proven >= requests * share) return true;
	return known !== undefined && failed >= requests * share && known * 2 <= failed / requests;
}

/** The baseline's share of failures; undefined: too little is known. */
function baselineShare({ baseline: { atMs, outcomes } }: Fuse, nowMs: number, { windowMs, known }: FuseRules): number | undefined {
	let [asked, failed] = [0, 0];
	for (let i = 0; i < atMs.length; i++) {
		if (nowMs - (atMs[i] ?? 0) > windowMs) continue;
		asked++;
		if (outcomes[i]) failed++;
	}
	return asked < known ? undefined : failed / asked;
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
	fuse.candidate.atMs.length = 0;
	fuse.candidate.outcomes.length = 0;
	fuse.candidate.next = 0;
}
