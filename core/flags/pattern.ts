/**
 * A regular expression as the table of a deterministic automaton: control compiles it on write, the edge only walks it, so that
 * no text can take longer than one step a character. Numbers in strings are UTF-16 units counted from `FIRST_UNIT`: as compact as
 * bytes, and read without a copy.
 */
export interface PatternTable {
	/** The class of each of the 128 ASCII characters. */
	readonly ascii: string;
	/** The code points at which the ranges beyond ASCII begin, ascending; the first is 128. */
	readonly from: readonly number[];
	/** The class of each of these ranges. */
	readonly classes: string;
	/** How many classes there are. */
	readonly width: number;
	/** States × classes: the state that follows. `DEAD` and `MATCHED` have no row, the first is `FIRST_STATE`'s. */
	readonly next: string;
	readonly start: number;
	/** A text that ends in a state from this one on matches, as one that reaches `MATCHED` anywhere. */
	readonly acceptingFrom: number;
}

/** The unit that stands for 0: the first after the quotation mark, which JSON would escape. */
export const FIRST_UNIT = 35;
/** From here no text matches any more. */
export const DEAD = 0;
/** From here every text matches. */
export const MATCHED = 1;
export const FIRST_STATE = 2;

/** Whether the pattern matches anywhere in the text, as RE2's partial match; a lone surrogate counts as U+FFFD. */
export function matchesPattern(table: PatternTable, text: string): boolean {
	let state = table.start;
	for (let i = 0; i < text.length && state >= FIRST_STATE; i++) {
		let point = text.charCodeAt(i);
		if (point >= 0xd800 && point < 0xe000) {
			point = text.codePointAt(i) ?? 0xfffd;
			if (point > 0xffff) i++;
			else point = 0xfffd;
		}
		const symbol = point < 128 ? numberAt(table.ascii, point) : numberAt(table.classes, rangeOf(table.from, point));
		state = numberAt(table.next, (state - FIRST_STATE) * table.width + symbol);
	}
	return state === MATCHED || state >= table.acceptingFrom;
}

function numberAt(text: string, index: number): number {
	return text.charCodeAt(index) - FIRST_UNIT;
}

/** The index of the last bound that is not beyond the code point. */
function rangeOf(from: readonly number[], point: number): number {
	let low = 0;
	let high = from.length - 1;
	while (low < high) {
		const middle = (low + high + 1) >> 1;
		if ((from[middle] ?? Infinity) <= point) low = middle;
		else high = middle - 1;
	}
	return low;
}
