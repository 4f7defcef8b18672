/** The first way from `start` back to itself along `edges`, as the names on it; undefined when there is none. */
export function findCycle(start: string, edges: (name: string) => readonly string[]): readonly string[] | undefined {
	const dead = new Set<string>();
	const walk = (path: readonly string[]): readonly string[] | undefined => {
		const last = path.at(-1) ?? start;
		for (const next of edges(last)) {
			if (next === start) return [...path, start];
			// A loop beside the way, or a name that was found to lead nowhere.
			if (dead.has(next) || path.includes(next)) continue;
			const found = walk([...path, next]);
			if (found) return found;
		}
		dead.add(last);
		return undefined;
	};
	return walk([start]);
}

/** How many names the longest way along `edges` has; a cycle counts once round. */
export function longestPath(names: Iterable<string>, edges: (name: string) => readonly string[]): number {
	const known = new Map<string, number>();
	const from = (name: string): number => {
		const found = known.get(name);
		if (found !== undefined) return found;
		known.set(name, 0);
		const length = 1 + Math.max(0, ...edges(name).map(from));
		known.set(name, length);
		return length;
	};
	return Math.max(0, ...[...names].map(from));
}
