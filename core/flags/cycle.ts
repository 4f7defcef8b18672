/** The first way from `start` back to itself along `edges`, as the names on it; undefined when there is none. */
export function findCycle(start: string, edges: (name: string) => readonly string[]): readonly string[] | undefined {
	const path = [start];
	// On the way, or found to lead nowhere.
	const seen = new Set<string>();
	const leadsBack = (name: string): boolean => {
		for (const next of edges(name)) {
			if (next === start) return true;
			if (seen.has(next)) continue;
			seen.add(next);
			path.push(next);
			if (leadsBack(next)) return true;
			path.pop();
		}
		return false;
	};
	return leadsBack(start) ? [...path, start] : undefined;
}

/**
 * How many names the longest way along `edges` has that a name lies on, for each of `names`; Infinity where a cycle is on it.
 * All at once: the edges of each name are asked for once, and then never again.
 */
export function longestThrough(names: Iterable<string>, edges: (name: string) => readonly string[]): (name: string) => number {
	const onwards = new Map<string, readonly string[]>();
	const back = new Map<string, string[]>();
	for (const name of names) {
		const next = edges(name);
		onwards.set(name, next);
		for (const each of next) {
			const others = back.get(each);
			if (others) others.push(name);
			else back.set(each, [name]);
		}
	}
	const [after, before] = [longestFrom(onwards), longestFrom(back)];
	return (name) => before(name) + after(name) - 1;
}

function longestFrom(edges: ReadonlyMap<string, readonly string[]>): (name: string) => number {
	const known = new Map<string, number>();
	const from = (name: string): number => {
		const found = known.get(name);
		if (found !== undefined) return found;
		// Whoever asks again before it is known has come round to it.
		known.set(name, Infinity);
		const length = 1 + (edges.get(name) ?? []).reduce((most, next) => Math.max(most, from(next)), 0);
		known.set(name, length);
		return length;
	};
	return from;
}
