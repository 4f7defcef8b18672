/** More than the phases of a rollout need; beyond it all are forgotten, which costs time only. */
const RESULTS_MAX = 100;

/** Computes what depends on one number alone once. The function stays pure: what is remembered is what would be computed again. */
export function remember<T extends object>(compute: (x: number) => T): (x: number) => T {
	const results = new Map<number, T>();
	let last = Number.NaN;
	let lastResult: T | undefined;
	return (x) => {
		// Mostly the same again, which spares the look-up.
		if (x === last && lastResult !== undefined) return lastResult;
		let result = results.get(x);
		if (result === undefined) {
			result = compute(x);
			if (results.size >= RESULTS_MAX) results.clear();
			results.set(x, result);
		}
		last = x;
		lastResult = result;
		return result;
	};
}
