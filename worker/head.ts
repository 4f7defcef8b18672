/**
 * Something an isolate keeps between requests (the head, an environment's body): plain data, never another request's
 * promise.
 */
export interface Held<T> {
	value: T | undefined;
	/** When the value was last confirmed to be the newest; 0: never, or it is known not to be. */
	confirmedAtMs: number;
	/** Start of the newest attempt to get a newer one; whether it is under way, and how it ended. */
	attemptAtMs: number;
	attempt: "none" | Waiting | "done" | "failed";
	/** An attempt's request may have been cancelled: from this age on it counts as dead. */
	readonly deadAfterMs: number;
}
/** Who waits for an attempt: nobody, or the requests that came too late to go on with what is held. */
export type Waiting = "behind" | "waited for";

export const nothingHeld = <T>(deadAfterMs: number): Held<T> => ({
	value: undefined,
	confirmedAtMs: 0,
	attemptAtMs: 0,
	attempt: "none",
	deadAfterMs,
});

export type Step = "use" | "refresh behind the answer" | "refresh first" | "wait for the refresh under way";

const FRESH_MS = 5_000;
const OLD_MS = 8_000;
/** How long control is waited for. */
export const TIMEOUT_MS = 500;
/** Between attempts after a failure: with something to serve meanwhile, and with nothing. */
const RETRY_MS = 2_000;
const RETRY_EMPTY_MS = 500;

/**
 * What a request does about what is held. Only one request of an isolate fetches at a time, and only the first attempt of an
 * outage is waited for: without these two, 100 requests that meet a cold isolate are 100 calls of control, and a control
 * that hangs makes 17 % of all requests wait 500 ms for as long as it hangs.
 */
export function step<T>(held: Held<T>, nowMs: number): Step {
	const hasValue = held.value !== undefined;
	const ageMs = nowMs - held.confirmedAtMs;
	if (hasValue && ageMs < FRESH_MS) return "use";
	const sinceAttemptMs = nowMs - held.attemptAtMs;
	const isUnderWay = (held.attempt === "behind" || held.attempt === "waited for") && sinceAttemptMs < held.deadAfterMs;
	if (isUnderWay) return held.attempt === "behind" && hasValue ? "use" : "wait for the refresh under way";
	if (held.attempt === "failed" && sinceAttemptMs < (hasValue ? RETRY_MS : RETRY_EMPTY_MS)) return "use";
	// A failure long ago says nothing about now: without traffic nobody has tried since, and what is held may be hours old.
	const isOutage = held.attempt === "failed" && sinceAttemptMs < OLD_MS;
	const mustWait = !hasValue || (ageMs >= OLD_MS && !isOutage);
	return mustWait ? "refresh first" : "refresh behind the answer";
}
