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
	if (issue.code === "invalid_union" && meant)
		return meant.flatMap((inner) => fieldErrors({ ...inner, path: [...issue.path, ...inner.path] }));
	const message = issue.message.endsWith("received undefined") ? "is required" : issue.message;
	return [{ pointer: pointerTo(issue.path), message }];
}

/** Of a union's alternatives the one with the least against it is what was meant. */
function weightOf(issues: readonly Issue[]): number {
	return issues.reduce((sum, issue) => sum + (issue.keys?.length ?? 1), 0);
}

/** JSON Pointer (RFC 6901). */
export function pointerTo(path: readonly PropertyKey[]): string {
	return path.map((part) => `/${String(part).replaceAll("~", "~0").replaceAll("/", "~1")}`).join("");
}
