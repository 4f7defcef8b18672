import { logGamma } from "./special";

/**
 * Regularised incomplete gamma and beta functions: the distribution functions of nearly everything. Series and continued fractions of
 * Abramowitz and Stegun 6.5.29, 6.5.31 and 26.5.8, the fractions by Lentz's method (Thompson and Barnett 1986). To 1e-10 relative for
 * shapes up to 1e4; from there on each power of ten costs a digit, since their density is a difference of large logarithms.
 */

/** Where a next term is lost in rounding. */
const CONVERGED = 2 ** -51;
/** The number of terms grows with the square root of the shapes. */
const SHAPE_MAX = 1e9;
const TERMS_MAX = 1_000_000;
/** Stands for a zero that a fraction must not divide by. */
const TINY = 1e-300;

/** Q(a, x), the share of a gamma distribution of shape `a` in (0, 1e9] above x ≥ 0, a fraction. */
export function incompleteGammaTail(a: number, x: number): number {
	if (!(a > 0 && a <= SHAPE_MAX && x >= 0)) throw new RangeError(`incomplete gamma of shape ${a} at ${x}`);
	if (x === 0) return 1;
	if (x === Infinity) return 0;
	const density = Math.exp(a * Math.log(x) - x - logGamma(a));
	return x < a + 1 ? 1 - density * gammaSeries(a, x) : density / gammaFraction(a, x);
}

/** I_x(a, b), the share of a beta distribution below x in [0, 1], a fraction; `complement` is 1 − x, for callers that know it better. */
export function incompleteBeta(a: number, b: number, x: number, complement = 1 - x): number {
	if (!(a > 0 && b > 0 && Math.max(a, b) <= SHAPE_MAX)) throw new RangeError(`incomplete beta of shapes ${a} and ${b}`);
	if (!(x >= 0 && x <= 1 && complement >= 0 && complement <= 1)) throw new RangeError(`incomplete beta at ${x}, complement ${complement}`);
	if (x === 0) return 0;
	if (complement === 0) return 1;
	const density = Math.exp(a * Math.log(x) + b * Math.log(complement) + logGamma(a + b) - logGamma(a) - logGamma(b));
	// Each side of the mean has the fraction that converges fast there.
	return x < (a + 1) / (a + b + 2) ? density / a / betaFraction(a, b, x) : 1 - density / b / betaFraction(b, a, complement);
}

/** Σ xⁿ / (a(a + 1)···(a + n)). */
function gammaSeries(a: number, x: number): number {
	let term = 1 / a;
	let sum = term;
	for (let n = 1; term > sum * CONVERGED; n++) {
		term *= x / (a + n);
		sum += term;
	}
	return sum;
}

/** x + 1 − a − 1(1 − a)/(x + 3 − a − 2(2 − a)/(x + 5 − a − ···)). */
function gammaFraction(a: number, x: number): number {
	return fraction(
		x + 1 - a,
		(n) => n * (a - n),
		(n) => x + 2 * n + 1 - a,
	);
}

/** 1 + d₁/(1 + d₂/(1 + ···)). */
function betaFraction(a: number, b: number, x: number): number {
	return fraction(
		1,
		(n) => {
			const m = Math.floor(n / 2);
			return n % 2 === 0 ? (m * (b - m) * x) / ((a + n - 1) * (a + n)) : (-(a + m) * (a + b + m) * x) / ((a + n - 1) * (a + n));
		},
		() => 1,
	);
}

/** first + numerator(1)/(denominator(1) + numerator(2)/(denominator(2) + ···)). */
function fraction(first: number, numerator: (n: number) => number, denominator: (n: number) => number): number {
	let value = first || TINY;
	let upper = value;
	let lower = 0;
	for (let n = 1; n <= TERMS_MAX; n++) {
		upper = denominator(n) + numerator(n) / upper || TINY;
		lower = 1 / (denominator(n) + numerator(n) * lower || TINY);
		const change = upper * lower;
		value *= change;
		if (Math.abs(change - 1) <= CONVERGED) return value;
	}
	throw new RangeError(`a continued fraction did not settle within ${TERMS_MAX} terms`);
}
