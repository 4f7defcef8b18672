import type { FieldError } from "./model";

/** What zod found wrong, as the fields' pointers. */

export interface Issue {
	readonly code?: string | undefined;
	readonly path: readonly PropertyKey[];
	readonly message: string;
	readonly keys?: readonly string[];
	readonly errors?: readonly (readonly Issue[])[];
}

export function fieldErrors(issue: Issue): FieldError[] {
	if (issue.code === "unrecognized_keys")
		return (issue.keys ?? []).map((key) => ({ pointer: pointerTo([...issue.path, key]), message: "unknown field" }));
	const [meant] = [...(issue.errors ?? [])].sort((a, b) => weightOf(a) - weightOf(b));
	// A union that says itself what it takes has a message of its own.
	if (issue.code === "invalid_union" && issue.message === "Invalid input" && meant)
		return meant.flatMap((inner) => fieldErrors({ ...inner, path: [...issue.path, ...inner.path] }));
	return [{ pointer: pointerTo(issue.path), message: inWords(issue.message) }];
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

/** zod's most frequent message in the words of this API; all others stay as they are. */
function inWords(message: string): string {
	const [, expected, received] = /^Invalid input: expected (\w+), received (\w+)$/.exec(message) ?? [];
	if (expected === undefined || received === undefined) return message;
	return received === "undefined"
		? "is required"
		: `takes ${typeIn(expected)}, not ${received === "boolean" ? "a boolean" : typeIn(received)}`;
}

/** For a schema: what it takes, said instead of zod's message, except of what is missing. */
export const takes = (what: string) => ({
	error: ({ input }: { readonly input?: unknown }): string | undefined => (input === undefined ? undefined : `takes ${what}`),
});

/** As `takes`, for an enumeration: what is missing is told the choices too. */
export const choice = (what: string) => ({
	error: ({ input }: { readonly input?: unknown }): string => (input === undefined ? `is required: ${what}` : `takes ${what}`),
});

/** JSON Pointer (RFC 6901). */
export function pointerTo(path: readonly PropertyKey[]): string {
	return path.map((part) => `/${String(part).replaceAll("~", "~0").replaceAll("/", "~1")}`).join("");
}
