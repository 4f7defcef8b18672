/** The p-quantile of some numbers, between neighbours by distance. */
export function quantile(numbers, p) {
	const sorted = [...numbers].sort((a, b) => a - b);
	const at = (sorted.length - 1) * p;
	const below = Math.floor(at);
	return sorted[below] + (at - below) * ((sorted[below + 1] ?? sorted[below]) - sorted[below]);
}

export const median = (numbers) => quantile(numbers, 0.5);

/**
 * The median over rounds of one arm's cost over another's in the same round: what slows a whole round (a busy neighbour, a
 * clock that changes) slows both.
 */
export const medianRatio = (costs, over) => median(costs.map((cost, round) => cost / over[round]));

/** Numbers in [0, 1) that are the same in every run (mulberry32, Tommy Ettinger, public domain). */
export function seeded(seed) {
	let state = seed;
	return () => {
		state = (state + 0x6d2b79f5) | 0;
		let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
		mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
		return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
	};
}

const random = seeded(1);

/** In a new order each time (Fisher and Yates): no arm always runs after the same one. */
export function shuffled(things) {
	const order = [...things];
	for (let i = order.length - 1; i > 0; i--) {
		const j = Math.floor(random() * (i + 1));
		[order[i], order[j]] = [order[j], order[i]];
	}
	return order;
}
