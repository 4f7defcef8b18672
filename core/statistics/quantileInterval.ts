import { bisect } from "./bisect";
import { binomialCdf } from "./distributions";

/**
 * Between which two of n sorted values a quantile lies, whatever the distribution: how many values are below it is binomial. Exact for
 * independent values (one a unit), and for one look only.
 */

/** Ranks from 1 on; a lower one of 0 or an upper one of n + 1 leaves that side open. */
export interface RankInterval {
	readonly lowerRank: number;
	readonly upperRank: number;
	/** at least 1 − α as far as n allows: ranks are whole */
	readonly coverage: number;
}

/** The ranks that enclose the q-quantile of `n` independent values, each side wrong with probability at most α/2. */
export function quantileRanks(n: number, q: number, alpha: number): RankInterval {
	if (!(Number.isInteger(n) && n >= 1)) throw new RangeError(`${n} values must be whole and at least 1`);
	if (!(q > 0 && q < 1 && alpha > 0 && alpha < 1)) throw new RangeError(`quantile ${q}, alpha ${alpha} must be in (0, 1)`);
	const below = (count: number): number => binomialCdf(count, n, q);
	// A step function reaches a level at a whole count, so bisection over all numbers ends on one.
	const lowerRank = bisect(-1, n, (count) => below(count) > alpha / 2);
	const upperRank = bisect(-1, n, (count) => below(count) >= 1 - alpha / 2) + 1;
	return { lowerRank, upperRank, coverage: below(upperRank - 1) - below(lowerRank - 1) };
}
