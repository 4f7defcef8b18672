/** A parameter holds 2 MB at most, and a character takes at most 3 bytes. */
const PART_LENGTH_MAX = 600_000;

/** Rows in JSON arrays, each short enough for one parameter: json_each opens them, and D1's 100 parameters do not matter. */
export function partsOf(rows: readonly unknown[]): string[] {
	const parts: string[][] = [];
	let length = Infinity;
	for (const row of rows) {
		const text = JSON.stringify(row);
		length += text.length + 1;
		if (length > PART_LENGTH_MAX) {
			parts.push([]);
			length = text.length;
		}
		parts.at(-1)?.push(text);
	}
	return parts.map((part) => `[${part.join()}]`);
}
