import { murmur3Ascii } from "../flags/murmur3";
import { printDuration } from "../rollouts/duration";

const MINUTE_MS = 60_000;
const DELAYS_MS = [1, 2, 5, 10, 30, 60, 120].map((minutes) => minutes * MINUTE_MS);
/** So much of a delay at most is taken off, so that what failed together does not come back together. */
const JITTER = 0.1;
/** Since an event is owed; then nobody is bothered with it any more. */
export const OWED_MS = 86_400_000;
const GONE = 410;

/** What became of one request. */
export type Outcome =
	| { readonly kind: "answered"; readonly status: number }
	/** Nothing that could be read as an answer. */
	| { readonly kind: "silent"; readonly error: string };

export type Settlement =
	| { readonly kind: "delivered" }
	| { readonly kind: "retry"; readonly dueAtMs: number; readonly error: string }
	| { readonly kind: "dead"; readonly error: string }
	/** The subscriber wants nothing any more. */
	| { readonly kind: "gone"; readonly error: string };

export interface Attempted {
	readonly webhook: string;
	readonly event: number;
	/** This attempt's number, from 1. */
	readonly attempts: number;
	/** Since when the event is owed. */
	readonly sinceMs: number;
}

/** What follows from an attempt. Redirects are failures: a signed message goes nowhere else. */
export function settle(attempted: Attempted, outcome: Outcome, now: number): Settlement {
	const { attempts, sinceMs } = attempted;
	if (isSuccess(outcome)) return { kind: "delivered" };
	const error = outcome.kind === "silent" ? outcome.error : `answered ${outcome.status}`;
	if (outcome.kind === "answered" && outcome.status === GONE) return { kind: "gone", error };
	const dueAtMs = now + retryDelayMs(attempts, `${attempted.webhook}/${attempted.event}`);
	if (dueAtMs - sinceMs <= OWED_MS) return { kind: "retry", dueAtMs, error };
	return { kind: "dead", error: `${error}; attempts: ${attempts} in ${printDuration(now - sinceMs)}` };
}

export function isSuccess(outcome: Outcome): boolean {
	return outcome.kind === "answered" && outcome.status >= 200 && outcome.status < 300;
}

/** From a failed attempt, counted from 1, to the next. Jitter only shortens: a minute's delay must not miss the next minute's tick. */
export function retryDelayMs(attempts: number, seed: string): number {
	const delay = DELAYS_MS[Math.min(attempts, DELAYS_MS.length) - 1] ?? MINUTE_MS;
	const share = (murmur3Ascii(seed, attempts) ?? 0) / 2 ** 32;
	return delay - Math.floor(delay * JITTER * share);
}
