import type { CharSet, Concatenation, Element, NoParent } from "refa";
import * as alphabet from "./alphabet";
import { readCharacters } from "./characters";
import { type Cursor, PatternError, grouped } from "./cursor";

type Alternatives = NoParent<Concatenation>[];

/** A part of the pattern, and how many copies of its innermost part its nested repetitions make. */
interface Part<T> {
	readonly tree: T;
	readonly copies: number;
}

/** Hold to the end of the group in which they are set. */
interface Flags {
	foldsCase: boolean;
	dotTakesNewline: boolean;
}

/** RE2's limit, for one repetition as for nested ones together. */
const copiesMax = 1_000;

const ANCHORS: readonly (readonly [text: string, mark: number])[] = [
	["^", alphabet.TEXT_START],
	["\\A", alphabet.TEXT_START],
	["$", alphabet.TEXT_END],
	["\\z", alphabet.TEXT_END],
	["\\b", alphabet.WORD_BOUNDARY],
	["\\B", alphabet.NO_WORD_BOUNDARY],
];
const REFUSED_GROUPS: readonly (readonly [opening: string, name: string])[] = [
	["(?=", "look-ahead"],
	["(?!", "look-ahead"],
	["(?<=", "look-behind"],
	["(?<!", "look-behind"],
	["(?P=", "the back-reference"],
	["(?P>", "recursion"],
	["(?>", "the atomic group"],
	["(?#", "the comment"],
];

/**
 * Reads a pattern of RE2's syntax (https://github.com/google/re2/wiki/Syntax) into refa's tree, its anchors as the alphabet's marks.
 * refa's own parser reads JavaScript's, in which \s, [], {, \A and others mean something else. Throws a PatternError.
 */
export function parsePattern(cursor: Cursor): Alternatives {
	const names = new Set<string>();
	const { tree } = readAlternatives({ foldsCase: false, dotTakesNewline: false });
	if (!cursor.atEnd) throw new PatternError(cursor.at, "this ) closes no group");
	return tree;

	function readAlternatives(flags: Flags): Part<Alternatives> {
		const alternatives = [readConcatenation(flags)];
		while (cursor.eat("|")) alternatives.push(readConcatenation(flags));
		return { tree: alternatives.map((each) => each.tree), copies: Math.max(...alternatives.map((each) => each.copies)) };
	}

	function readConcatenation(flags: Flags): Part<NoParent<Concatenation>> {
		const elements: NoParent<Element>[] = [];
		let copies = 1;
		let last: (Part<NoParent<Element>> & { readonly repeats: boolean }) | undefined;
		while (!cursor.atEnd && !cursor.sees("|") && !cursor.sees(")")) {
			const from = cursor.at;
			const bounds = readBounds(cursor);
			if (bounds === undefined) {
				const part = readPart(flags);
				last = part && { ...part, repeats: false };
			} else {
				const operator = cursor.source.slice(from, cursor.at);
				if (last === undefined) throw new PatternError(from, `there is nothing for ${operator} to repeat`);
				if (last.repeats) throw new PatternError(from, `${operator} repeats a repetition: put that in a group`);
				elements.pop();
				last = { ...repeat(last, bounds, from), repeats: true };
			}
			if (last === undefined) continue;
			elements.push(last.tree);
			copies = Math.max(copies, last.copies);
		}
		return { tree: { type: "Concatenation", elements }, copies };
	}

	/** Nothing where only flags were set. */
	function readPart(flags: Flags): Part<NoParent<Element>> | undefined {
		if (cursor.sees("(")) return readGroup(flags);
		for (const [text, mark] of ANCHORS) if (cursor.eat(text)) return one(alphabet.setOf({ min: mark, max: mark }));
		if (cursor.eat(".")) return one(flags.dotTakesNewline ? alphabet.ANY : alphabet.ANY_BUT_NEWLINE);
		return one(readCharacters(cursor, flags.foldsCase));
	}

	function readGroup(flags: Flags): Part<NoParent<Element>> | undefined {
		const from = cursor.at;
		for (const [opening, name] of REFUSED_GROUPS)
			if (cursor.sees(opening)) throw new PatternError(from, `${name} ${opening}…) is not supported`);
		const inner = { ...flags };
		if (cursor.eat("(?P<") || cursor.eat("(?<")) readName(from);
		else if (cursor.eat("(?")) {
			readFlags(inner, from);
			if (cursor.eat(")")) {
				Object.assign(flags, inner);
				return undefined;
			}
			cursor.eat(":");
		} else cursor.eat("(");
		const { tree: alternatives, copies } = readAlternatives(inner);
		if (!cursor.eat(")")) throw new PatternError(from, "this ( is never closed");
		return { tree: { type: "Alternation", alternatives }, copies };
	}

	/** A group's name only has to be valid: nothing is captured. */
	function readName(from: number): void {
		const end = cursor.source.indexOf(">", cursor.at);
		const name = end < 0 ? "" : cursor.source.slice(cursor.at, end);
		if (!/^\w+$/.test(name)) throw new PatternError(from, "a group's name is letters, digits and _, closed by >");
		if (names.has(name)) throw new PatternError(from, `the group name "${name}" is used twice`);
		names.add(name);
		cursor.at = end + 1;
	}

	/** `i`, `s`, `i-s`, … up to the `:` or `)` behind them. */
	function readFlags(flags: Flags, from: number): void {
		let on = true;
		let expectsFlag = false;
		while (!cursor.sees(":") && !cursor.sees(")")) {
			const flag = cursor.take();
			expectsFlag = false;
			if (flag === "i") flags.foldsCase = on;
			else if (flag === "s") flags.dotTakesNewline = on;
			else if (flag === "-" && on) {
				on = false;
				expectsFlag = true;
			} else if (flag === "m") throw new PatternError(from, "the flag m is not supported: ^ and $ are the ends of the whole text");
			else if (flag !== "U") throw new PatternError(from, flag === "" ? "this ( is never closed" : `(?${flag} is not supported`);
			// U swaps greedy and lazy, which match the same texts.
		}
		if (expectsFlag) throw new PatternError(from, "no flag follows the -");
	}
}

interface Bounds {
	readonly min: number;
	readonly max: number;
}

/** `*`, `+`, `?` or `{n,m}`, lazy or not. A { that opens no repetition is a literal, as in `{` or `{,5}`. */
function readBounds(cursor: Cursor): Bounds | undefined {
	const from = cursor.at;
	const bounds = cursor.eat("*")
		? { min: 0, max: Infinity }
		: cursor.eat("+")
			? { min: 1, max: Infinity }
			: cursor.eat("?")
				? { min: 0, max: 1 }
				: readBraces(cursor);
	if (bounds === undefined) cursor.at = from;
	else cursor.eat("?");
	return bounds;
}

function readBraces(cursor: Cursor): Bounds | undefined {
	const from = cursor.at;
	if (!cursor.eat("{")) return undefined;
	const least = readCount(cursor);
	if (least === undefined) return undefined;
	const most = !cursor.eat(",") ? least : cursor.sees("}") ? Infinity : readCount(cursor);
	if (most === undefined || !cursor.eat("}")) return undefined;
	const finite = Math.max(least, most === Infinity ? 0 : most);
	if (finite > copiesMax) throw new PatternError(from, `${grouped(finite)} repetitions > limit ${grouped(copiesMax)}`);
	if (most < least) throw new PatternError(from, `at least ${least}, but at most ${most} repetitions`);
	return { min: least, max: most };
}

/** RE2 takes 01 for no number, and its braces for literals. */
function readCount(cursor: Cursor): number | undefined {
	const digits = cursor.takeWhile("0123456789");
	return digits === "" || (digits.length > 1 && digits.startsWith("0")) ? undefined : Number(digits);
}

function repeat(part: Part<NoParent<Element>>, { min, max }: Bounds, from: number): Part<NoParent<Element>> {
	const times = max === Infinity ? Math.max(min, 1) : max;
	const copies = part.copies * times;
	if (copies > copiesMax) throw new PatternError(from, `${grouped(copies)} nested repetitions > limit ${grouped(copiesMax)}`);
	const inner: NoParent<Concatenation> = { type: "Concatenation", elements: [part.tree] };
	return { tree: { type: "Quantifier", alternatives: [inner], min, max, lazy: false }, copies };
}

function one(characters: CharSet): Part<NoParent<Element>> {
	return { tree: { type: "CharacterClass", characters }, copies: 1 };
}
