/** What somebody probably meant: the known word with the fewest edits, if they are few for its length. */
export function nearest(word: string, known: readonly string[]): string | undefined {
	const said = word.slice(0, 64);
	let best: string | undefined;
	let fewest = Math.max(2, Math.floor(said.length / 3)) + 1;
	for (const each of known) {
		const edits = editsBetween(said, each);
		if (edits < fewest) [best, fewest] = [each, edits];
	}
	return best;
}

/** As `nearest`, of names in lower case; else one that was cut short. */
export function meant(word: string, known: readonly string[]): string | undefined {
	const said = word.toLowerCase();
	return nearest(said, known) ?? known.find((each) => said !== "" && each.startsWith(said));
}

/** Levenshtein's distance, a row at a time. */
function editsBetween(a: string, b: string): number {
	let row = Array.from({ length: b.length + 1 }, (_, j) => j);
	for (let i = 1; i <= a.length; i++) {
		const next = [i];
		for (let j = 1; j <= b.length; j++)
			next[j] = Math.min((row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1));
		row = next;
	}
	return row[b.length] ?? 0;
}
