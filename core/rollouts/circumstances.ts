/** What a decision depends on besides the rollout itself. */
export interface Circumstances {
	/** Until when the environment's breaker stops advances; null: it does not; "unknown": it could not be read. */
	readonly breakerUntilMs: number | null | "unknown";
	/** What the plan's checks for where it stands say. */
	readonly checks: ChecksFound;
}

/** The first critical check that failed, and the first that has not passed yet; null: there is none. */
export interface ChecksFound {
	readonly failed: string | null;
	readonly pending: string | null;
}

export const CALM: Circumstances = { breakerUntilMs: null, checks: { failed: null, pending: null } };
