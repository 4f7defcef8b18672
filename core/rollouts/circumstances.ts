import type { BreakerState } from "./breaker";

/** What a decision depends on besides the rollout itself. */
export interface Circumstances {
	/** The environment's; "unknown": it could not be read. */
	readonly breaker: BreakerState | "unknown";
	/** While the breaker is half open: this is the one rollout that goes on all the same. */
	readonly isTrial: boolean;
	/** What the plan's checks for where it stands say. */
	readonly checks: ChecksFound;
}

/** The first critical check that failed, and the first that has not passed yet; null: there is none. */
export interface ChecksFound {
	readonly failed: string | null;
	readonly pending: string | null;
}

export const CALM: Circumstances = { breaker: { kind: "closed" }, isTrial: false, checks: { failed: null, pending: null } };
