/** ζ(k) − 1 for k = 2, 3, … 17: the Taylor coefficients of ln Γ(2 + z), up to sign and 1/k (Abramowitz and Stegun 6.1.33). */
const ZETA_MINUS_ONE: readonly number[] = [
	0.6449340668482264, 0.2020569031595943, 0.08232323371113819, 0.03692775514336993, 0.01734306198444914, 0.008349277381922827,
	0.004077356197944339, 0.0020083928260822143, 0.0009945751278180853, 0.0004941886041194646, 0.0002460865533080483, 0.00012271334757848915,
	6.124813505870483e-5, 3.0588236307020493e-5, 1.528225940865187e-5, 7.637197637899763e-6,
];
const EULER_GAMMA = 0.5772156649015329;
const HALF_LN_2_PI = 0.9189385332046728;

/** Natural logarithm of Γ(x) for x > 0, to 1e-10 relative everywhere, also beside its zeros at 1 and 2; other x throw RangeError. */
export function logGamma(x: number): number {
	if (!(x > 0)) throw new RangeError(`logGamma of ${x}, needs x > 0`);
	// Stirling less a recurrence cancels to nothing beside the zeros, the Taylor series does not.
	if (Math.abs(x - 2) <= 0.25) return logGammaNearTwo(x - 2);
	if (Math.abs(x - 1) <= 0.25) return logGammaNearTwo(x - 1) - Math.log1p(x - 1);
	let shifted = x;
	let product = 1;
	for (; shifted < 15; shifted++) product *= shifted;
	return stirling(shifted) - Math.log(product);
}

/** ln Γ(2 + z), |z| ≤ 1/4. */
function logGammaNearTwo(z: number): number {
	let sum = 0;
	for (const [i, zeta] of ZETA_MINUS_ONE.entries()) sum += (zeta * (-z) ** (i + 2)) / (i + 2);
	return z * (1 - EULER_GAMMA) + sum;
}

/** Five terms of the series leave less than 1e-15 from x = 15 on. */
function stirling(x: number): number {
	const y = 1 / (x * x);
	const series = (1 / 12 - y * (1 / 360 - y * (1 / 1260 - y * (1 / 1680 - y / 1188)))) / x;
	return (x - 0.5) * (Math.log(x) - 1) - 0.5 + HALF_LN_2_PI + series;
}

/** ln Σ exp(logs), without overflow; nothing sums to −Infinity. */
export function logSumExp(logs: readonly number[]): number {
	let largest = -Infinity;
	for (const log of logs) largest = Math.max(largest, log);
	// All zero, or one infinite: subtracting an infinity from itself would give NaN.
	if (!Number.isFinite(largest)) return largest;
	let sum = 0;
	for (const log of logs) sum += Math.exp(log - largest);
	return largest + Math.log(sum);
}

/** The logarithm of the mean of e-values given as logarithms, which is again an e-value, however they depend on each other. */
export function logMeanExp(logs: readonly number[]): number {
	return logs.length === 0 ? -Infinity : logSumExp(logs) - Math.log(logs.length);
}
