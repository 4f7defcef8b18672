import { type CharRange, CharSet, JS } from "refa";

export const MAX_CODE_POINT = 0x10ffff;

/** Texts hold no surrogates (a lone one counts as U+FFFD), so some of them serve as marks of positions. */
export const TEXT_START = 0xd800;
export const TEXT_END = 0xd801;
export const WORD_BOUNDARY = 0xd802;
export const NO_WORD_BOUNDARY = 0xd803;
/** What follows the last character of every text, as if it were one more. */
export const END_OF_TEXT = 0xd804;

export const setOf = (...ranges: CharRange[]): CharSet => CharSet.empty(MAX_CODE_POINT).union(ranges);
const single = (char: string): CharRange => ({ min: char.charCodeAt(0), max: char.charCodeAt(0) });
const span = (from: string, to: string): CharRange => ({ min: from.charCodeAt(0), max: to.charCodeAt(0) });

export const MARKS = setOf({ min: 0xd800, max: 0xdfff });
export const ANY = MARKS.negate();
export const ANY_BUT_NEWLINE = ANY.without(single("\n"));
/** RE2's classes are ASCII. Its \s has no \v, unlike other dialects. */
export const DIGITS = setOf(span("0", "9"));
export const SPACES = setOf(single("\t"), single("\n"), single("\f"), single("\r"), single(" "));
export const WORDS = setOf(span("0", "9"), span("A", "Z"), single("_"), span("a", "z"));

/** With every other case of its characters, by Unicode 15's simple folding: k brings K and the Kelvin sign. */
export function foldCase(set: CharSet): CharSet {
	return JS.createCharSet(set.ranges, { unicode: true, ignoreCase: true });
}
