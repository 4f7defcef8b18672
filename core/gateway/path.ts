/** Paths of routes: parts of text, ":" for any one part, and at the end "*" for all that are left. */

const ANY = ":";
const REST = "*";

/**
 * A path in the one spelling in which it is compared (RFC 3986 §6.2.2): no route is passed by with %61 for an "a". Slashes that are escaped
 * stay so, and nothing is undone twice.
 */
export function comparable(path: string): string {
	if (!path.includes("%")) return path;
	return path.replaceAll(/%([0-9A-Fa-f]{2})?/g, (escape: string, hex: string | undefined) => {
		// One that escapes nothing stands for itself: beside a digit that is escaped, it would come to escape something.
		if (hex === undefined) return "%25";
		const character = String.fromCharCode(Number.parseInt(hex, 16));
		return /[A-Za-z0-9._~-]/.test(character) ? character : escape.toUpperCase();
	});
}

/** "/users/:id/*" → ["users", ":", "*"]; undefined: it is no such path. */
export function parsePath(text: string): readonly string[] | undefined {
	if (!text.startsWith("/") || text.length > 500) return undefined;
	const parts = partsOf(comparable(text));
	const found: string[] = [];
	for (const [i, part] of parts.entries()) {
		const isLast = i === parts.length - 1;
		if (part === REST) {
			if (!isLast) return undefined;
			found.push(REST);
		} else if (part.startsWith(ANY)) {
			if (!/^:[A-Za-z_]\w*$/.test(part)) return undefined;
			found.push(ANY);
		} else {
			if (!(isLast && part === "") && !/^[A-Za-z0-9._~!$&'()+,;=@%-]+$/.test(part)) return undefined;
			found.push(part);
		}
	}
	return found;
}

/** How a comparable path is cut: "/a//b/" → ["a", "", "b", ""]. */
export const partsOf = (pathname: string): readonly string[] => (pathname === "/" ? [] : pathname.slice(1).split("/"));

export function matchesPath(path: readonly string[], parts: readonly string[]): boolean {
	for (let i = 0; i < path.length; i++) {
		const wanted = path[i];
		if (wanted === REST) return true;
		const part = parts[i];
		if (part === undefined || (wanted === ANY ? part === "" : part !== wanted)) return false;
	}
	return parts.length === path.length;
}

/** The longest match wins: part by part a text before ":" before the path's end before "*", which takes that end too. Negative: `a` comes first. */
export function comparePaths(a: readonly string[], b: readonly string[]): number {
	const rank = (part: string | undefined): number => (part === REST ? 3 : part === undefined ? 2 : part === ANY ? 1 : 0);
	for (let i = 0; i < Math.max(a.length, b.length); i++) {
		const difference = rank(a[i]) - rank(b[i]);
		if (difference !== 0) return difference;
	}
	return 0;
}
