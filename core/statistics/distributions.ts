import { bisect } from "./bisect";
import { incompleteBeta, incompleteGammaTail } from "./incomplete";

/**
 * Distribution functions and their inverses: normal, Student's t, chi-square, binomial. Probabilities are fractions; quantiles take them
 * from the open interval (0, 1), others throw RangeError. As accurate as the incomplete functions they come from, far down the tails too.
 */

/** Beyond it the normal tail is below the smallest double. */
const NORMAL_MAX = 39;

/** P(Z ≤ x). */
export function normalCdf(x: number): number {
	return fromUpperTail(x, normalTail);
}

export function normalQuantile(p: number): number {
	return fromTailQuantile(p, (tail) => bisect(0, NORMAL_MAX, (x) => normalTail(x) <= tail));
}

/** P(T ≤ t) at `df` > 0 degrees of freedom, which need not be whole. */
export function studentCdf(t: number, df: number): number {
	return fromUpperTail(t, (x) => studentTail(x, df));
}

export function studentQuantile(p: number, df: number): number {
	return fromTailQuantile(p, (tail) => {
		let high = 1;
		while (studentTail(high, df) > tail) high *= 2;
		return bisect(0, high, (t) => studentTail(t, df) <= tail);
	});
}

/** P(χ² ≥ x) at `df` > 0 degrees of freedom. */
export function chiSquareTail(x: number, df: number): number {
	return incompleteGammaTail(df / 2, x / 2);
}

/** P(X ≤ x) of n trials that each succeed with probability p; n is whole. */
export function binomialCdf(x: number, n: number, p: number): number {
	if (!(Number.isInteger(n) && n >= 0)) throw new RangeError(`${n} trials must be whole and at least 0`);
	if (!(p >= 0 && p <= 1) || Number.isNaN(x)) throw new RangeError(`binomial at ${x}, probability ${p}`);
	if (x < 0) return 0;
	return x >= n ? 1 : incompleteBeta(n - Math.floor(x), Math.floor(x) + 1, 1 - p, p);
}

function normalTail(x: number): number {
	return incompleteGammaTail(0.5, (x * x) / 2) / 2;
}

/** P(T ≥ t), t ≥ 0. Both parts of 1 = df/(df + t²) + t²/(df + t²) are given: one of them is tiny at either end. */
function studentTail(t: number, df: number): number {
	const ratio = (t * t) / df;
	return incompleteBeta(df / 2, 0.5, 1 / (1 + ratio), ratio === Infinity ? 1 : ratio / (1 + ratio)) / 2;
}

/** By symmetry, so that neither tail is a difference from 1. */
function fromUpperTail(x: number, tailOf: (x: number) => number): number {
	return x < 0 ? tailOf(-x) : 1 - tailOf(x);
}

function fromTailQuantile(p: number, quantileOf: (tail: number) => number): number {
	if (!(p > 0 && p < 1)) throw new RangeError(`probability ${p} must be in (0, 1)`);
	if (p === 0.5) return 0;
	return p < 0.5 ? -quantileOf(p) : quantileOf(1 - p);
}
