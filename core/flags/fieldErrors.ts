import { meant } from "../health/suggest";
import type { FieldError } from "./model";

/** What zod found wrong, as the fields' pointers and in the words of this API. */

export interface Issue {
	readonly code?: string | undefined;
	readonly path: readonly PropertyKey[];
	readonly message: string;
	readonly keys?: readonly string[];
	readonly errors?: readonly (readonly Issue[])[];
	/** Of a key that does not fit. */
	readonly issues?: readonly Issue[];
	readonly expected?: unknown;
	/** Of an enumeration. */
	readonly values?: readonly unknown[];
	readonly minimum?: number | bigint;
	readonly maximum?: number | bigint;
	readonly inclusive?: boolean | undefined;
	readonly origin?: string;
}

/** `input`: what was parsed. */
export function fieldErrors(issues: readonly Issue[], input: unknown): FieldError[] {
	const misshapen = new Set(issues.filter(({ code }) => code === "invalid_type").map(({ path }) => pointerTo(path)));
	// How long a text is says nothing where a list is wanted.
	const isBeside = ({ code, path }: Issue): boolean => (code === "too_big" || code === "too_small") && misshapen.has(pointerTo(path));
	return issues.filter((each) => !isBeside(each)).flatMap((issue) => errorsOf(issue, input));
}

function errorsOf(issue: Issue, input: unknown): FieldError[] {
	if (issue.code === "unrecognized_keys")
		return (issue.keys ?? []).map((key) => ({ pointer: pointerTo([...issue.path, key]), message: "unknown field" }));
	const [likeliest] = [...(issue.errors ?? [])].sort((a, b) => weightOf(a) - weightOf(b));
	// A union that says itself what it takes has a message of its own.
	if (issue.code === "invalid_union" && issue.message === "Invalid input" && likeliest)
		return fieldErrors(
			likeliest.map((inner) => ({ ...inner, path: [...issue.path, ...inner.path] })),
			input,
		);
	const found = issue.path.reduce(within, input);
	return [{ pointer: pointerTo(issue.path), message: `${inWords(issue, found)}${suggestion(issue, found)}` }];
}

function within(value: unknown, part: PropertyKey): unknown {
	if (typeof value !== "object" || value === null || !Object.hasOwn(value, part)) return undefined;
	return (value as Readonly<Record<PropertyKey, unknown>>)[part];
}

/** Of a union's alternatives the one with the least against it is what was meant, and one that takes another type was not. */
function weightOf(issues: readonly Issue[]): number {
	if (issues.some(({ code, path }) => code === "invalid_type" && path.length === 0)) return Infinity;
	return issues.reduce((sum, issue) => sum + (issue.keys?.length ?? 1), 0);
}

const TYPES: Readonly<Record<string, string>> = {
	string: "a text",
	number: "a number",
	int: "a whole number",
	boolean: "true or false",
	array: "a list",
	object: "an object",
	record: "an object",
};
const typeIn = (name: string): string => TYPES[name] ?? name;

/** zod's own messages said anew; what a schema says itself stays as it is. */
function inWords(issue: Issue, found: unknown): string {
	const { code, message, values = [], issues = [] } = issue;
	if (!/^(?:Invalid|Too) /.test(message)) return message;
	if (code === "invalid_type") return wrongType(issue, found);
	if (code === "invalid_value") {
		const choices = orOf(values.map(String));
		return found === undefined ? `is required: ${choices}` : `takes ${choices}`;
	}
	if (code === "invalid_key" && issues[0]) return `its name: ${inWords(issues[0], issue.path.at(-1))}`;
	return code === "too_big" || code === "too_small" ? beyond(issue, found) : message;
}

function wrongType({ message, expected }: Issue, found: unknown): string {
	const [, received] = /, received (\w+)$/.exec(message) ?? [];
	if (typeof expected !== "string" || received === undefined) return message;
	if (received === "undefined") return "is required";
	if (expected === "int" && typeof found === "number") return `takes a whole number, not ${found}`;
	return `takes ${typeIn(expected)}, not ${received === "boolean" ? "a boolean" : typeIn(received)}${rightly(expected, found)}`;
}

/** The same as it should have been written. */
function rightly(expected: string, found: unknown): string {
	if (expected === "string" && (typeof found === "boolean" || typeof found === "number")) return `: write "${found}", in quotes`;
	const [, digits] = (typeof found === "string" && /^\s*(-?\d{1,15}(?:\.\d{1,15})?)\s*%?\s*$/.exec(found)) || [];
	return digits !== undefined && (expected === "number" || expected === "int") ? `: write ${Number(digits)}` : "";
}

const UNITS: Readonly<Record<string, string>> = { string: "character", array: "entry" };

function beyond({ code, origin = "", minimum, maximum, inclusive = true }: Issue, found: unknown): string {
	const bound = String(code === "too_big" ? maximum : minimum);
	const unit = UNITS[origin];
	if (unit !== undefined && code === "too_small" && bound === "1") return "must not be empty";
	const units = unit === undefined || bound === "1" ? unit : unit.replace(/y?$/, (end) => (end === "y" ? "ies" : "s"));
	const least = code === "too_big" ? (inclusive ? "at most" : "less than") : inclusive ? "at least" : "more than";
	const count = typeof found === "number" ? found : typeof found === "string" || Array.isArray(found) ? found.length : undefined;
	return `takes ${least} ${bound}${units === undefined ? "" : ` ${units}`}${count === undefined ? "" : `, not ${count}`}`;
}

/** Of an enumeration, one in a union too. */
function suggestion({ values = [], errors = [] }: Issue, found: unknown): string {
	const known = [...values, ...errors.flat().flatMap((each) => (each.path.length === 0 ? (each.values ?? []) : []))];
	const texts = known.filter((each) => typeof each === "string");
	const likely = typeof found === "string" ? meant(found, texts) : undefined;
	return likely === undefined ? "" : `: did you mean "${likely}"?`;
}

const orOf = (names: readonly string[]): string => [names.slice(0, -1).join(", "), ...names.slice(-1)].filter(Boolean).join(" or ");

/** What zod tells a schema of. */
interface Given {
	readonly code?: string | undefined;
	readonly input?: unknown;
}

/** For a schema: what it takes, said instead of zod's message, except of what is missing. */
export const takes = (what: string) => ({
	error: ({ input }: Given): string | undefined => (input === undefined ? undefined : `takes ${what}`),
});

/** As `takes`, for an enumeration: what is missing is told the choices too. */
export const choice = (what: string) => ({
	error: ({ input }: Given): string => (input === undefined ? `is required: ${what}` : `takes ${what}`),
});

/** As `takes`, where only the shape is wrong: bounds have words of their own. */
export const takesShape = (what: string) => ({
	error: ({ code, input }: Given): string | undefined => (code !== "invalid_type" || input === undefined ? undefined : `takes ${what}`),
});

/** As `takes`, for unions of a word and an object: what is wrong with an object's own fields is told there. */
export const takesOrFields = (what: string) => ({
	error: ({ input }: Given): string | undefined =>
		input === undefined || (typeof input === "object" && input !== null && !Array.isArray(input)) ? undefined : `takes ${what}`,
});

/** For lists of texts: one that stands alone is shown as the list that it should have been. */
export const textsInList = {
	error: ({ input }: Given): string | undefined => {
		if (typeof input !== "string" || input.length > 200) return undefined;
		const texts = input.split(",").map((each) => JSON.stringify(each.trim()));
		return `takes a list, not a text: write [${texts.join(", ")}]`;
	},
};

/** JSON Pointer (RFC 6901). */
export function pointerTo(path: readonly PropertyKey[]): string {
	return path.map((part) => `/${String(part).replaceAll("~", "~0").replaceAll("/", "~1")}`).join("");
}
