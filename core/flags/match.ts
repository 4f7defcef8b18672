import { parseInstant } from "./instant";
import { isInNetwork } from "./ip";
import type { PackedComparison, PackedCondition, SemverOperator } from "./packedCondition";
import { matchesPattern } from "./pattern";
import { compareSemver, parseSemver } from "./semver";

export type Context = Readonly<Record<string, unknown>>;

/** What a condition may ask besides the context. */
export interface Segments {
	/** Whether the context belongs to a segment; throws when the segment cannot be read. */
	isMember(segment: string, context: Context, trace: Trace | undefined): boolean;
}

/** What an evaluation leaves behind for those who want to know. */
export interface Trace {
	/** An attribute that a condition looked at was absent: with it the answer might be another. */
	isIncomplete: boolean;
	/** Each comparison as it was made, and each `not` after what it negates; absent where nobody reads it. */
	readonly step?: (step: ConditionStep) => void;
}
export type ConditionStep =
	| { readonly kind: "comparison"; readonly comparison: PackedComparison; readonly found: unknown; readonly holds: boolean }
	| { readonly kind: "segment"; readonly segment: string; readonly holds: boolean }
	| { readonly kind: "not"; readonly of: PackedCondition; readonly holds: boolean };

/** An own attribute of the context, never an inherited one (`constructor`, `__proto__`); null is what many clients send for "not known". */
export function attributeOf(context: Context, name: string): unknown {
	const found = context[name];
	// What is inherited is never a text, a number or a boolean: only others need a second look.
	if (typeof found === "string" || typeof found === "number" || typeof found === "boolean") return found;
	return found !== null && found !== undefined && Object.hasOwn(context, name) ? found : undefined;
}

/** `not` of a condition on a missing attribute holds, since the condition does not. */
export function matches(condition: PackedCondition, context: Context, segments: Segments, trace: Trace | undefined): boolean {
	if (isComparison(condition)) return compares(condition, context, trace);
	if ("all" in condition) {
		for (const child of condition.all) if (!matches(child, context, segments, trace)) return false;
		return true;
	}
	if ("any" in condition) {
		for (const child of condition.any) if (matches(child, context, segments, trace)) return true;
		return false;
	}
	if ("not" in condition) {
		const holds = !matches(condition.not, context, segments, trace);
		trace?.step?.({ kind: "not", of: condition.not, holds });
		return holds;
	}
	const holds = segments.isMember(condition.segment, context, trace);
	trace?.step?.({ kind: "segment", segment: condition.segment, holds });
	return holds;
}

/** Reading a property is cheaper than asking for it, and nearly every condition is a comparison. */
function isComparison(condition: PackedCondition): condition is PackedComparison {
	return (condition as Partial<PackedComparison>).op !== undefined;
}

function compares(comparison: PackedComparison, context: Context, trace: Trace | undefined): boolean {
	const found = attributeOf(context, comparison.attribute);
	// A missing attribute never matches, and is never random.
	const holds = found !== undefined && holdsFor(comparison, found);
	if (trace) {
		if (found === undefined) trace.isIncomplete = true;
		trace.step?.({ kind: "comparison", comparison, found, holds });
	}
	return holds;
}

/** A value of a type that does not fit does not match: "1" is not 1. Texts compare case-sensitively. */
function holdsFor(comparison: PackedComparison, found: unknown): boolean {
	switch (comparison.op) {
		case "equals":
		case "in":
			return comparison.values.includes(found as string);
		case "not_in":
			return isScalar(found) && !comparison.values.includes(found as string);
		case "exists":
			return true;
		case "contains":
			return typeof found === "string" && comparison.values.some((value) => found.includes(value));
		case "starts_with":
			return typeof found === "string" && comparison.values.some((value) => found.startsWith(value));
		case "ends_with":
			return typeof found === "string" && comparison.values.some((value) => found.endsWith(value));
		case "matches":
			return typeof found === "string" && comparison.values.some((table) => matchesPattern(table, found));
		case "ip_in":
			return typeof found === "string" && comparison.values.some((network) => isInNetwork(found, network));
		case "lt":
		case "lte":
		case "gt":
		case "gte":
		case "between":
			return typeof found === "number" && inOrder(comparison.op, found, comparison.values);
		case "before":
		case "after": {
			const atMs = typeof found === "string" ? parseInstant(found) : typeof found === "number" ? found : undefined;
			return atMs !== undefined && inOrder(comparison.op === "before" ? "lt" : "gt", atMs, comparison.values);
		}
		case "semver_equals":
		case "semver_lt":
		case "semver_lte":
		case "semver_gt":
		case "semver_gte": {
			const version = typeof found === "string" ? parseSemver(found) : undefined;
			const wanted = comparison.values[0];
			return version !== undefined && wanted !== undefined && inRank(comparison.op, compareSemver(version, wanted));
		}
		default:
			// A snapshot written by a newer control may hold an operator that this edge does not know: that flag alone fails.
			throw new Error(`unknown operator in ${JSON.stringify(comparison satisfies never)}`);
	}
}

function inOrder(
	op: "lt" | "lte" | "gt" | "gte" | "between",
	found: number,
	[first = Number.NaN, second = Number.NaN]: readonly number[],
): boolean {
	if (op === "lt") return found < first;
	if (op === "lte") return found <= first;
	if (op === "gt") return found > first;
	if (op === "gte") return found >= first;
	return found >= first && found <= second;
}

function inRank(op: SemverOperator, rank: number): boolean {
	if (op === "semver_lt") return rank < 0;
	if (op === "semver_lte") return rank <= 0;
	if (op === "semver_gt") return rank > 0;
	if (op === "semver_gte") return rank >= 0;
	return rank === 0;
}

const isScalar = (found: unknown): boolean => typeof found === "string" || typeof found === "number" || typeof found === "boolean";
