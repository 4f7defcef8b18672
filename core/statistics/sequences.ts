/**
 * Asymptotic confidence sequences: intervals that hold at every look at once, for means whose distribution is unknown.
 * Source: Waudby-Smith et al., arXiv:2103.06476v7, the one-sided form.
 */

/** Where a mean's interval is narrowest compared with other tunings. */
const TUNED_FOR_USERS = 1_000;

/** Sums over users, each with the mean of their own values: users are independent, their requests are not. */
export interface MeanSums {
	readonly users: number;
	readonly sumOfMeans: number;
	readonly sumOfSquaredMeans: number;
}

/** ρ, which makes the one-sided interval narrowest at that many users; `alpha` in (0, 1/2). */
export function tuningRho(alpha: number, tunedForUsers: number): number {
	if (!(alpha > 0 && alpha < 0.5)) throw new RangeError(`alpha ${alpha} must be in (0, 0.5)`);
	if (!(tunedForUsers > 0)) throw new RangeError(`tuned for ${tunedForUsers} users`);
	const surprise = -2 * Math.log(2 * alpha);
	return Math.sqrt((surprise + Math.log(surprise + 1)) / tunedForUsers);
}

/** In units of the estimate; `varianceTimesUsers` is s², the estimate's variance times all users, of both arms where it compares two. */
export function halfWidthOneSided(users: number, varianceTimesUsers: number, alpha: number, tunedForUsers: number): number {
	if (!(users > 0 && varianceTimesUsers >= 0)) throw new RangeError(`users ${users}, variance times users ${varianceTimesUsers}`);
	const rho = tuningRho(alpha, tunedForUsers);
	const growth = users * rho * rho + 1;
	const scale = (2 * growth) / (users * rho) ** 2;
	return Math.sqrt(varianceTimesUsers * scale * Math.log1p(Math.sqrt(growth) / (2 * alpha)));
}

/** The mean of user means, 0 without users, and its one-sided half-width at `alpha`, infinite below two users; both in the values' units. */
export function meanInterval(sums: MeanSums, alpha: number): { readonly mean: number; readonly halfWidth: number } {
	const { users, sumOfMeans, sumOfSquaredMeans } = sums;
	if (!(users >= 0) || !Number.isFinite(sumOfMeans) || !(sumOfSquaredMeans >= 0)) {
		throw new RangeError(`${users} users, sum ${sumOfMeans}, sum of squares ${sumOfSquaredMeans}`);
	}
	const mean = users === 0 ? 0 : sumOfMeans / users;
	if (users < 2) return { mean, halfWidth: Infinity };
	// Rounding can leave equal values a variance just below zero.
	const variance = Math.max(0, sumOfSquaredMeans - users * mean * mean) / (users - 1);
	return { mean, halfWidth: halfWidthOneSided(users, variance, alpha, TUNED_FOR_USERS) };
}
