/**
 * The smallest number in (low, high] from which on a monotone predicate holds, to the last bit; `holds(high)` is taken for granted.
 * Inverts what has no inverse in closed form: 60 evaluations where both ends have one magnitude.
 */
export function bisect(low: number, high: number, holds: (x: number) => boolean): number {
	if (!(low <= high && Number.isFinite(high - low))) throw new RangeError(`no interval from ${low} to ${high}`);
	let below = low;
	let above = high;
	for (;;) {
		const middle = below + (above - below) / 2;
		// Neighbouring doubles have none between them.
		if (middle <= below || middle >= above) return above;
		if (holds(middle)) above = middle;
		else below = middle;
	}
}
