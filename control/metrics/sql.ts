/**
 * Analytics Engine's SQL API takes no parameters: what a query says of values is written into it, and only here. Its grammar of
 * literals is documented by examples alone, so every text is written such that neither ClickHouse's reading (backslash escapes)
 * nor the standard's (it is a character) lets it end early; that both doublings mean what they do in ClickHouse is unverified on
 * Cloudflare, and Tidegate's own keys contain neither character.
 */

/** A text literal. Half a character becomes U+FFFD, as it does in every request's body. */
export function text(value: string): string {
	const escaped = value.toWellFormed().replaceAll("\\", "\\\\").replaceAll("'", "''").replaceAll("\0", "\\0");
	return `'${escaped}'`;
}

/** Further digits than these are no literal to ClickHouse. */
const NUMBER_MAX = 1e30;
const NUMBER_MIN = 1e-30;

/** A number literal: digits and a point, since exponents are not documented; in parentheses below zero, where `--` would begin a comment. */
export function number(value: number): string {
	const size = Math.abs(value);
	if (!(size <= NUMBER_MAX) || (size > 0 && size < NUMBER_MIN)) throw new RangeError(`${value} is not a number that SQL can say`);
	const digits = decimal(size);
	return value < 0 ? `(-${digits})` : digits;
}

/** The same number with a point, so that both answers of an `if` have one type. */
export function double(value: number): string {
	const written = number(value);
	return written.includes(".") ? written : written.replace(/\d+/, "$&.0");
}

/** The shortest digits that read back as this number, with the exponent written out. */
function decimal(value: number): string {
	const [digits = "", exponent = "0"] = value.toString().split("e");
	if (exponent === "0") return digits;
	const [whole = "", fraction = ""] = digits.split(".");
	const point = whole.length + Number(exponent);
	const all = whole + fraction;
	if (point <= 0) return `0.${"0".repeat(-point)}${all}`;
	return point >= all.length ? all + "0".repeat(point - all.length) : `${all.slice(0, point)}.${all.slice(point)}`;
}

/** A whole second. */
export function instant(seconds: number): string {
	if (!Number.isSafeInteger(seconds) || seconds < 0) throw new RangeError(`${seconds} is not a second since 1970`);
	return `toDateTime(${seconds})`;
}

const DATASET = /^[A-Za-z][A-Za-z0-9_]{0,99}$/;

/** The table's name. How Analytics Engine quotes others is unverified, so they are refused. */
export function dataset(name: string): string {
	if (!DATASET.test(name)) throw new RangeError("a dataset's name takes letters, digits and _, beginning with a letter");
	return name;
}

const list = (values: Iterable<string>): string => `(${[...values].map(text).join(", ")})`;
export const oneOf = (expression: string, values: Iterable<string>): string => `${expression} IN ${list(values)}`;
export const noneOf = (expression: string, values: Iterable<string>): string => `${expression} NOT IN ${list(values)}`;

/** True where any of the conditions is. Nested in halves: a thousand of them are ten deep, whatever a parser makes of a chain. */
export function anyOf(conditions: readonly string[]): string {
	const [only] = conditions;
	if (only === undefined) return "false";
	if (conditions.length === 1) return `(${only})`;
	const middle = conditions.length >> 1;
	return `(${anyOf(conditions.slice(0, middle))} OR ${anyOf(conditions.slice(middle))})`;
}

/** One branch of a choice by a text's value. */
export interface Branch {
	readonly value: string;
	readonly expression: string;
}

/**
 * The branch whose value the expression has, found by halving: a thousand are ten deep. An expression with none of the values
 * gets some branch, so a query asks for those alone.
 */
export function choose(expression: string, branches: readonly Branch[]): string {
	const sorted = [...branches].sort((a, b) => compareBytes(a.value, b.value));
	const half = (from: number, to: number): string => {
		const [first] = sorted.slice(from, to);
		if (!first) throw new RangeError("nothing to choose from");
		if (to - from === 1) return first.expression;
		const middle = (from + to) >> 1;
		return `if(${expression} < ${text(sorted[middle]?.value ?? "")}, ${half(from, middle)}, ${half(middle, to)})`;
	};
	return half(0, sorted.length);
}

const encoder = new TextEncoder();

/** Texts are compared by their bytes there, by UTF-16 units here. */
function compareBytes(a: string, b: string): number {
	const [x, y] = [encoder.encode(a), encoder.encode(b)];
	for (let i = 0; i < Math.min(x.length, y.length); i++) {
		const difference = (x[i] ?? 0) - (y[i] ?? 0);
		if (difference !== 0) return difference;
	}
	return x.length - y.length;
}
