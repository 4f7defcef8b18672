import type { PatternTable } from "../../core/flags/pattern";
import { compilePattern } from "./compile";

const KEPT_MAX = 1_000;
/** Compiling takes milliseconds, and each publication needs every pattern: an isolate remembers them. */
const tables = new Map<string, PatternTable>();

/** Throws for a pattern that does not compile: those were refused when they were written. */
export function tableOf(pattern: string): PatternTable {
	const known = tables.get(pattern);
	if (known) return known;
	const compiled = compilePattern(pattern);
	if (!compiled.ok) throw new Error(`pattern ${pattern}: ${compiled.error.message}`);
	if (tables.size >= KEPT_MAX) tables.clear();
	tables.set(pattern, compiled.value);
	return compiled.value;
}
