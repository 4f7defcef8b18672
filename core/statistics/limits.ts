import { RATIOS, WEIGHTS } from "./evidence";
import { logSumExp } from "./special";

/**
 * Evidence that a rate of harmed requests is above an absolute limit. Requests cluster by user, so counts are divided by the design effect:
 * how much wider the rate scatters over users than independent requests would (Rao and Scott 1981). Asymptotic in the number of users.
 */

/** Sums over users, r being one user's requests and y the harmed ones among them. */
export interface UserSums {
	readonly users: number;
	/** users with y > 0 */
	readonly harmedUsers: number;
	/** Σr */
	readonly requests: number;
	/** Σy */
	readonly harms: number;
	/** Σy² */
	readonly harmsSquared: number;
	/** Σy·r */
	readonly harmsTimesRequests: number;
	/** Σr² */
	readonly requestsSquared: number;
}

/** `rate` is a fraction of the requests, 0 when there are none; with fewer than two users nothing is known of how it scatters. */
export type RateEvidence =
	| { readonly kind: "insufficient"; readonly rate: number }
	| { readonly kind: "evidence"; readonly rate: number; readonly designEffect: number; readonly logE: number };

/** Alternatives stay below certainty, where a single success would be impossible. */
const RATE_MAX = 0.95;

/** `limit` is a fraction above 0; sums that cannot be throw RangeError. */
export function rateAgainstLimit(sums: UserSums, limit: number): RateEvidence {
	for (const [name, sum] of Object.entries(sums)) if (!(sum >= 0 && sum < Infinity)) throw new RangeError(`${name} ${sum}`);
	const { users, harmedUsers, requests, harms } = sums;
	if (harmedUsers > users || harms > requests)
		throw new RangeError(`harmed ${harmedUsers} of ${users} users, ${harms} of ${requests} requests`);
	const rate = requests === 0 ? 0 : harms / requests;
	if (users < 2 || requests === 0) return { kind: "insufficient", rate };
	const designEffect = designEffectOf(sums, rate);
	return { kind: "evidence", rate, designEffect, logE: logRateEvidence(harms / designEffect, requests / designEffect, limit) };
}

/** ln E from each user's first request only: independent, so it is exact and needs no minimum of users. */
export function firstRequestsAgainstLimit(harmed: number, users: number, limit: number): number {
	return logRateEvidence(harmed, users, limit);
}

/** How much wider a rate scatters over users than over as many independent requests; at least 1. */
export function designEffectOf(sums: UserSums, rate: number): number {
	const { users, requests, harmsSquared, harmsTimesRequests, requestsSquared } = sums;
	const ifIndependent = (rate * (1 - rate)) / requests;
	// All harmed or none: no scatter to compare.
	if (ifIndependent <= 0) return 1;
	const residuals = harmsSquared - 2 * rate * harmsTimesRequests + rate * rate * requestsSquared;
	const acrossUsers = ((residuals / (users - 1)) * users) / (requests * requests);
	return Math.max(1, acrossUsers / ifIndependent);
}

/** ln of a mixture of likelihood ratios, rates above the limit against the limit itself. */
function logRateEvidence(harmed: number, total: number, limit: number): number {
	if (!(limit > 0)) throw new RangeError(`limit ${limit} must be above 0`);
	if (!(harmed >= 0 && harmed <= total && total < Infinity)) throw new RangeError(`harmed ${harmed} of ${total}`);
	return logSumExp(
		RATIOS.map((ratio, j) => {
			const rate = Math.min(ratio * limit, RATE_MAX);
			// A limit of 95 % or more leaves no rate above it to bet on.
			const logGain = rate > limit ? harmed * Math.log(rate / limit) + (total - harmed) * (Math.log1p(-rate) - Math.log1p(-limit)) : 0;
			return Math.log(WEIGHTS[j] ?? 0) + logGain;
		}),
	);
}

/** Wilson's upper bound of a rate (1927), at `z` standard errors, as if so many requests were independent as the design effect leaves. */
export function upperBoundOfRate(sums: UserSums, z: number): number {
	if (sums.requests === 0) return 1;
	const rate = sums.harms / sums.requests;
	const n = sums.users < 2 ? 1 : sums.requests / designEffectOf(sums, rate);
	const middle = rate + (z * z) / (2 * n);
	const half = z * Math.sqrt((rate * (1 - rate)) / n + (z * z) / (4 * n * n));
	return Math.min(1, (middle + half) / (1 + (z * z) / n));
}
