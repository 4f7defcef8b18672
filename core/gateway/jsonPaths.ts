/** "$.items[*].id" → ["items", "*", "id"], as walked along with a JSON value. "*" in brackets stands for every place of a list. */
export type PathParts = readonly string[];

export function partsOfPath(text: string): PathParts {
	return [...text.matchAll(/\.([A-Za-z0-9_-]+)|\[(\d+|\*)\]/g)].map((found) => found[1] ?? found[2] ?? "");
}

/** Of paths that go on below a part: what is left of them. */
export function below(paths: readonly PathParts[], part: string): readonly PathParts[] {
	return paths.flatMap(([first, ...rest]) => (first === part || (first === "*" && /^\d+$/.test(part)) ? [rest] : []));
}

export const endsHere = (paths: readonly PathParts[]): boolean => paths.some((path) => path.length === 0);
