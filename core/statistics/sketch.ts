/** A sketch of many values: how many there are by bin, bins being so narrow that a value is known within 1 %. Sketches add up. */
export type Sketch = Readonly<Record<string, number>>;

/** The upper end of a bin over its lower one. */
const GROWTH = 1.02;
/** Below the bin of the smallest positive number. */
const NOT_POSITIVE = -100_000;

/** Values of 0 and below share one bin. */
export const binOf = (value: number): number => (value > 0 ? Math.ceil(Math.log(value) / Math.log(GROWTH)) : NOT_POSITIVE);

/** As far from the bin's lower end as from its upper one, in relation to them; 0 for values of 0 and below. */
export const valueOf = (bin: number): number => (bin === NOT_POSITIVE ? 0 : (2 * GROWTH ** bin) / (1 + GROWTH));

/** By nearest rank; null without values. `quantile` in (0, 1]. */
export function quantileOf(sketch: Sketch, quantile: number): number | null {
	const bins = Object.entries(sketch)
		.map(([bin, count]) => [Number(bin), count] as const)
		.sort(([a], [b]) => a - b);
	const all = bins.reduce((sum, [, count]) => sum + count, 0);
	let left = Math.max(1, Math.ceil(quantile * all));
	for (const [bin, count] of bins) {
		left -= count;
		if (left <= 0) return valueOf(bin);
	}
	return null;
}

export function mergeSketches(sketches: readonly Sketch[]): Sketch {
	const merged: Record<string, number> = {};
	for (const sketch of sketches) for (const [bin, count] of Object.entries(sketch)) merged[bin] = (merged[bin] ?? 0) + count;
	return merged;
}
