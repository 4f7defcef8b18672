import type { Condition, Operator } from "./condition";
import { parseInstant } from "./instant";
import { type Network, parseNetwork } from "./ip";
import type { PatternTable } from "./pattern";
import { type Semver, parseSemver } from "./semver";

/** The served form of a condition: operands are parsed when a snapshot is packed, so that evaluating only compares. */
export type PackedCondition =
	| PackedComparison
	| { readonly segment: string }
	| { readonly all: readonly PackedCondition[] }
	| { readonly any: readonly PackedCondition[] }
	| { readonly not: PackedCondition };

export type PackedComparison =
	| { readonly op: "equals" | "in" | "not_in"; readonly attribute: string; readonly values: readonly (boolean | string | number)[] }
	| { readonly op: "contains" | "starts_with" | "ends_with"; readonly attribute: string; readonly values: readonly string[] }
	| { readonly op: "matches"; readonly attribute: string; readonly values: readonly PatternTable[]; readonly text: readonly string[] }
	| {
			readonly op: "lt" | "lte" | "gt" | "gte" | "between" | "before" | "after";
			readonly attribute: string;
			readonly values: readonly number[];
	  }
	| { readonly op: SemverOperator; readonly attribute: string; readonly values: readonly Semver[] }
	| { readonly op: "ip_in"; readonly attribute: string; readonly values: readonly Network[] }
	| { readonly op: "exists"; readonly attribute: string; readonly values: readonly [] };

export type SemverOperator = "semver_equals" | "semver_lt" | "semver_lte" | "semver_gt" | "semver_gte";

/** `compile` turns a pattern into its table; what does not compile was refused when the flag was written, so a failure throws. */
export function packCondition(tree: Condition, compile: (pattern: string) => PatternTable): PackedCondition {
	const pack = (child: Condition): PackedCondition => packCondition(child, compile);
	if ("all" in tree) return { all: tree.all.map(pack) };
	if ("any" in tree) return { any: tree.any.map(pack) };
	if ("not" in tree) return { not: pack(tree.not) };
	if ("segment" in tree) return { segment: tree.segment };
	return packComparison(tree.op, tree.attribute, tree.values, compile);
}

function packComparison(
	op: Operator,
	attribute: string,
	values: readonly (boolean | string | number)[],
	compile: (pattern: string) => PatternTable,
): PackedComparison {
	switch (op) {
		case "equals":
		case "in":
		case "not_in":
			return { op, attribute, values };
		case "contains":
		case "starts_with":
		case "ends_with":
			return { op, attribute, values: values.map(String) };
		case "matches":
			return { op, attribute, values: values.map((value) => compile(String(value))), text: values.map(String) };
		case "lt":
		case "lte":
		case "gt":
		case "gte":
		case "between":
			return { op, attribute, values: values.map(Number) };
		case "before":
		case "after":
			return { op, attribute, values: values.map((value) => known(parseInstant(String(value)), op, value)) };
		case "semver_equals":
		case "semver_lt":
		case "semver_lte":
		case "semver_gt":
		case "semver_gte":
			return { op, attribute, values: values.map((value) => known(parseSemver(String(value)), op, value)) };
		case "ip_in":
			return { op, attribute, values: values.map((value) => known(parseNetwork(String(value)), op, value)) };
		case "exists":
			return { op, attribute, values: [] };
		default:
			throw new Error(`unknown operator ${String(op satisfies never)}`);
	}
}

function known<T>(parsed: T | undefined, op: Operator, value: unknown): T {
	if (parsed === undefined) throw new Error(`${op} cannot compare with ${JSON.stringify(value)}`);
	return parsed;
}
