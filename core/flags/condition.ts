import * as z from "zod";
import { parseInstant } from "./instant";
import { parseNetwork } from "./ip";
import { parseSemver } from "./semver";

/** The conditions of rules and segments, as people write them. match.ts evaluates their packed form. */

export const DEPTH_MAX = 8;
const NODES_MAX = 200;

const text = z.string().max(1_000);
const scalar = z.union([z.boolean(), text, z.number()]);

/** What an operator compares with. */
const OPERANDS = {
	equals: z.array(scalar).length(1),
	in: z.array(scalar).min(1).max(1_000),
	not_in: z.array(scalar).min(1).max(1_000),
	contains: z.array(text.min(1)).min(1).max(100),
	starts_with: z.array(text.min(1)).min(1).max(100),
	ends_with: z.array(text.min(1)).min(1).max(100),
	matches: z.array(z.string().min(1).max(200)).min(1).max(10).describe("RE2 patterns, found anywhere in the value"),
	lt: z.array(z.number()).length(1),
	lte: z.array(z.number()).length(1),
	gt: z.array(z.number()).length(1),
	gte: z.array(z.number()).length(1),
	between: z.array(z.number()).length(2).describe("lowest and highest value, both included"),
	semver_equals: semvers(),
	semver_lt: semvers(),
	semver_lte: semvers(),
	semver_gt: semvers(),
	semver_gte: semvers(),
	before: instants(),
	after: instants(),
	exists: z.array(z.never()).length(0),
	ip_in: z
		.array(z.string().refine((value) => parseNetwork(value) !== undefined, 'is no network: write "10.0.0.0/8" or "2001:db8::/32"'))
		.min(1)
		.max(100),
} as const;

function semvers() {
	return z.array(z.string().refine((value) => parseSemver(value) !== undefined, 'is no semantic version: write "1.2.3"')).length(1);
}
function instants() {
	return z
		.array(z.string().refine((value) => parseInstant(value) !== undefined, 'is no RFC 3339 time: write "2026-01-31T12:00:00Z"'))
		.length(1);
}

export type Operator = keyof typeof OPERANDS;
export const OPERATORS = Object.keys(OPERANDS) as readonly Operator[];

export interface Comparison {
	readonly attribute: string;
	readonly op: Operator;
	readonly values: readonly (boolean | string | number)[];
}
export type Condition =
	| Comparison
	| { readonly segment: string }
	| { readonly all: readonly Condition[] }
	| { readonly any: readonly Condition[] }
	| { readonly not: Condition };

const attribute = z.string().min(1).max(200);
const comparison = z
	.strictObject({ attribute, op: z.enum(OPERATORS), values: z.array(scalar).max(1_000).default([]) })
	.superRefine((given, context) => {
		const checked = OPERANDS[given.op].safeParse(given.values);
		for (const issue of checked.error?.issues ?? [])
			context.addIssue({ code: "custom", path: ["values", ...issue.path], message: `${given.op}: ${issue.message}` });
	});
/** The id names it in API descriptions, where a recursion needs a name. */
const nested: z.ZodType<Condition> = z.lazy((): z.ZodType<Condition> => condition).meta({ id: "Condition" });
const several = z.array(nested).min(1).max(50);

/** A tree: a comparison, a segment, or all, any or not of others. */
export const condition: z.ZodType<Condition> = z.union([
	comparison,
	z.strictObject({ segment: z.string().max(63) }),
	z.strictObject({ all: several }),
	z.strictObject({ any: several }),
	z.strictObject({ not: nested }),
]);

/** The condition of a rule or a segment: a tree of bounded size. */
export const conditionTree = condition.superRefine((tree, context) => {
	const { depth, nodes } = sizeOf(tree);
	if (depth > DEPTH_MAX) context.addIssue({ code: "custom", message: `is ${depth} levels deep > limit ${DEPTH_MAX}` });
	if (nodes > NODES_MAX) context.addIssue({ code: "custom", message: `has ${nodes} conditions > limit ${NODES_MAX}` });
});

export function childrenOf(tree: Condition): readonly Condition[] {
	if ("all" in tree) return tree.all;
	if ("any" in tree) return tree.any;
	return "not" in tree ? [tree.not] : [];
}

function sizeOf(tree: Condition): { readonly depth: number; readonly nodes: number } {
	const children = childrenOf(tree).map(sizeOf);
	return {
		depth: 1 + Math.max(0, ...children.map((child) => child.depth)),
		nodes: 1 + children.reduce((sum, child) => sum + child.nodes, 0),
	};
}

/** Every segment that a condition names. */
export function segmentsIn(tree: Condition): readonly string[] {
	return "segment" in tree ? [tree.segment] : childrenOf(tree).flatMap(segmentsIn);
}
