import { CharSet } from "refa";
import * as alphabet from "./alphabet";
import { type Cursor, PatternError } from "./cursor";

const HEX = "0123456789abcdefABCDEF";
const CONTROLS: Readonly<Record<string, number>> = { a: 0x07, f: 0x0c, n: 0x0a, r: 0x0d, t: 0x09, v: 0x0b };
const CLASSES: Readonly<Record<string, CharSet>> = { d: alphabet.DIGITS, s: alphabet.SPACES, w: alphabet.WORDS };

/** The characters that the literal, escape or [class] next in the pattern stands for. */
export function readCharacters(cursor: Cursor, foldsCase: boolean): CharSet {
	if (cursor.sees("[")) return readClass(cursor, foldsCase);
	const named = readNamedClass(cursor, foldsCase);
	if (named !== undefined) return named;
	const point = readCharacter(cursor);
	return range(point, point, foldsCase);
}

function readClass(cursor: Cursor, foldsCase: boolean): CharSet {
	const from = cursor.at;
	cursor.eat("[");
	const negated = cursor.eat("^");
	let set = CharSet.empty(alphabet.MAX_CODE_POINT);
	// A ] in the first place is a member: []a] and [^]a].
	for (let first = true; first || !cursor.eat("]"); first = false) {
		if (cursor.atEnd) throw new PatternError(from, "this [ is never closed");
		if (cursor.sees("[:")) throw new PatternError(cursor.at, "named classes as [:alpha:] are not supported: write the ranges, as a-z");
		set = set.union(readNamedClass(cursor, foldsCase) ?? readRange(cursor, foldsCase));
	}
	// Folded before it is negated: (?i)[^k] takes neither k nor K.
	return negated ? set.negate().intersect(alphabet.ANY) : set;
}

function readRange(cursor: Cursor, foldsCase: boolean): CharSet {
	const from = cursor.at;
	const first = readCharacter(cursor);
	if (!cursor.sees("-") || cursor.sees("-]")) return range(first, first, foldsCase);
	cursor.eat("-");
	const last = readCharacter(cursor);
	if (last < first) throw new PatternError(from, `the range ${cursor.source.slice(from, cursor.at)} runs backwards`);
	return range(first, last, foldsCase);
}

function range(min: number, max: number, foldsCase: boolean): CharSet {
	const set = alphabet.setOf({ min, max }).intersect(alphabet.ANY);
	return foldsCase ? alphabet.foldCase(set) : set;
}

/** \d, \w, \s and their negations. */
function readNamedClass(cursor: Cursor, foldsCase: boolean): CharSet | undefined {
	if (!cursor.sees("\\")) return undefined;
	const letter = cursor.source.charAt(cursor.at + 1);
	const set = CLASSES[letter.toLowerCase()];
	if (set === undefined) return undefined;
	cursor.at += 2;
	const folded = foldsCase ? alphabet.foldCase(set) : set;
	return letter in CLASSES ? folded : folded.negate().intersect(alphabet.ANY);
}

function readCharacter(cursor: Cursor): number {
	const from = cursor.at;
	const char = cursor.take();
	if (char !== "\\") return pointOf(char);
	const escaped = cursor.take();
	const control = CONTROLS[escaped];
	if (control !== undefined) return control;
	if (escaped === "x") return readHex(cursor, from);
	if (escaped !== "" && escaped <= "\x7f" && !/[A-Za-z0-9]/.test(escaped)) return pointOf(escaped);
	throw new PatternError(from, whyRefused(escaped));
}

function whyRefused(escaped: string): string {
	if (escaped === "") return "this \\ escapes nothing";
	if ("123456789k".includes(escaped)) return `the back-reference \\${escaped} is not supported`;
	if (escaped === "0") return "octal escapes are not supported: write \\x00";
	if ("pP".includes(escaped)) return `Unicode classes as \\${escaped} are not supported: write the ranges, as \\x{400}-\\x{4ff}`;
	if ("QE".includes(escaped)) return "\\Q and \\E are not supported: escape each character";
	return `\\${escaped} is no escape of RE2's`;
}

/** \x41 or \x{10FFFF}. */
function readHex(cursor: Cursor, from: number): number {
	const braced = cursor.eat("{");
	const digits = braced ? cursor.takeWhile(HEX) : cursor.takeWhile(HEX).slice(0, 2);
	const complete = braced ? digits !== "" && cursor.eat("}") : digits.length === 2;
	if (!complete) throw new PatternError(from, "\\x takes two hexadecimal digits, or more in braces");
	if (!braced) cursor.at = from + 4;
	const point = Number.parseInt(digits, 16);
	if (point > alphabet.MAX_CODE_POINT) throw new PatternError(from, `U+${digits} > limit U+10FFFF`);
	if (alphabet.MARKS.has(point)) throw new PatternError(from, `the surrogate U+${digits} is no character`);
	return point;
}

function pointOf(char: string): number {
	return char.codePointAt(0) ?? 0;
}
