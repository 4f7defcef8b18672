export interface Draw {
	/** 0 ≤ x < 1 */
	readonly uniform: () => number;
	/** standard normal */
	readonly normal: () => number;
	/** how many of n succeed with probability p each */
	readonly successes: (n: number, p: number) => number;
}

/** The same draws in every run, so that a bound either holds or does not: mulberry32 (Tommy Ettinger, public domain), Box and Muller 1958. */
export function drawing(seed: number): Draw {
	let state = seed;
	const uniform = (): number => {
		state = (state + 0x6d2b79f5) | 0;
		let mixed = Math.imul(state ^ (state >>> 15), state | 1);
		mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)) ^ mixed;
		return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
	};
	return {
		uniform,
		normal: () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform()),
		successes: (n, p) => {
			let count = 0;
			for (let i = 0; i < n; i++) if (uniform() < p) count++;
			return count;
		},
	};
}
