/**
 * A histogram with bins of equal ratio, whose quantiles are within 1 % of the exact ones, whatever the distribution. Sketches of parts add
 * up to the sketch of the whole. Source: DDSketch, Masson, Rim and Lee 2019, arXiv:1908.10693; without its limit on the number of bins.
 */

/** Each bin reaches 2 % further than the one before: its harmonic midpoint is less than 1 % from either end. */
const GAMMA = 1.02;

/** What a store needs to find the same bin: `ceil(ln(value) / LOG_GAMMA)`, no less than SMALLEST_BIN and no more than LARGEST_BIN. */
export const LOG_GAMMA = Math.log(GAMMA);
/** Up to 0.001, in the unit of the values. */
export const SMALLEST_BIN = -348;
/** From about 1e9 on, in the unit of the values. */
export const LARGEST_BIN = 1047;
/** Of zero and of everything negative, below all others. */
export const ZERO_BIN = SMALLEST_BIN - 1;

/** How much weight each bin has, a count or a fraction; bins without any may be left out. */
export type Sketch = Readonly<Record<string, number>>;

/** The number of the bin, rising with the value; a value that is not finite throws RangeError. */
export function binOf(value: number): number {
	if (!Number.isFinite(value)) throw new RangeError(`value ${value} must be finite`);
	if (value <= 0) return ZERO_BIN;
	// Just below 1 the ceiling is −0, which no other bin 0 would be equal to.
	return Math.min(LARGEST_BIN, Math.max(SMALLEST_BIN, Math.ceil(Math.log(value) / LOG_GAMMA))) + 0;
}

/** Stands for the values of a bin: within 1 % of each that is between 0.001 and 1e9. */
export function valueOf(bin: number): number {
	if (!(Number.isInteger(bin) && bin >= ZERO_BIN && bin <= LARGEST_BIN)) throw new RangeError(`no bin ${bin}`);
	return bin === ZERO_BIN ? 0 : (2 * Math.exp(bin * LOG_GAMMA)) / (GAMMA + 1);
}

export function mergeSketches(sketches: readonly Sketch[]): Sketch {
	const merged = new Map<number, number>();
	for (const sketch of sketches) for (const [bin, weight] of binsOf(sketch)) merged.set(bin, (merged.get(bin) ?? 0) + weight);
	return Object.fromEntries(merged);
}

/** The nearest-rank q-quantile, q in [0, 1], in the unit of the values; undefined where there is no weight. */
export function quantileOf(sketch: Sketch, q: number): number | undefined {
	if (!(q >= 0 && q <= 1)) throw new RangeError(`quantile ${q} must be in [0, 1]`);
	const bins = binsOf(sketch).toSorted(([one], [other]) => one - other);
	let total = 0;
	for (const [, weight] of bins) total += weight;
	let reached = 0;
	for (const [bin, weight] of bins) {
		reached += weight;
		// Weights are summed in the same order as for the total, so the last bin reaches it to the last bit.
		if (weight > 0 && reached >= q * total) return valueOf(bin);
	}
	return undefined;
}

function binsOf(sketch: Sketch): readonly (readonly [bin: number, weight: number])[] {
	return Object.entries(sketch).map(([key, weight]) => {
		const bin = Number(key);
		if (!(Number.isInteger(bin) && bin >= ZERO_BIN && bin <= LARGEST_BIN)) throw new RangeError(`no bin ${key}`);
		if (!(weight >= 0 && weight < Infinity)) throw new RangeError(`weight ${weight} of bin ${key}`);
		return [bin, weight];
	});
}
