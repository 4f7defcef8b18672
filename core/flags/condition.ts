import * as z from "zod";
import { parseInstant } from "./instant";
import { parseNetwork } from "./ip";
import { parseSemver } from "./semver";

/** The conditions of rules and segments, as people write them. match.ts evaluates their packed form. */

const DEPTH_MAX = 8;
const NODES_MAX = 200;

const scalar = z.union([z.boolean(), z.string().max(1_000, "has more than 1,000 characters"), z.number()], {
	error: "is no text, number or boolean",
});

const scalars = z.array(z.unknown()).min(1, "takes at least one value");
const texts = listOf("texts", 100, z.string("takes texts, in quotes").min(1, "takes no empty text"));
const PATTERN = "takes patterns of 1 to 200 characters, in quotes";
const number = z.number({ error: ({ input }) => (typeof input === "string" ? "takes a number, without quotes" : "takes a number") });
const numberAlone = z.array(number).length(1, "takes one number");
const VERSION = 'takes one semantic version: write "1.2.3"';
const version = z.array(z.string(VERSION).refine((value) => parseSemver(value) !== undefined, VERSION)).length(1, VERSION);
const TIME = 'takes one RFC 3339 time: write "2026-01-31T12:00:00Z"';
const instant = z.array(z.string(TIME).refine((value) => parseInstant(value) !== undefined, TIME)).length(1, TIME);
const NETWORK = 'takes addresses and networks: write "10.0.0.1", "10.0.0.0/8" or "2001:db8::/32"';

/** What an operator compares with, of what any comparison takes. Each message goes on from the operator's name. */
const OPERANDS = {
	equals: z.array(z.unknown()).length(1, "takes one value: use in for several"),
	in: scalars,
	not_in: scalars,
	contains: texts,
	starts_with: texts,
	ends_with: texts,
	matches: listOf("patterns", 10, z.string(PATTERN).min(1, PATTERN).max(200, PATTERN)),
	lt: numberAlone,
	lte: numberAlone,
	gt: numberAlone,
	gte: numberAlone,
	between: z.array(number).length(2, "takes two numbers, lowest first"),
	semver_equals: version,
	semver_lt: version,
	semver_lte: version,
	semver_gt: version,
	semver_gte: version,
	before: instant,
	after: instant,
	exists: z.array(z.unknown()).length(0, "takes no values"),
	ip_in: listOf(
		"addresses and networks",
		100,
		z.string(NETWORK).refine((value) => parseNetwork(value) !== undefined, NETWORK),
	),
} as const;

function listOf<T extends z.ZodType>(what: string, max: number, item: T) {
	return z.array(item).min(1, `takes 1 to ${max} ${what}`).max(max, `takes 1 to ${max} ${what}`);
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
	.strictObject({
		attribute,
		op: z.enum(OPERATORS),
		values: z
			.array(scalar, { error: 'is no list: write ["a"] or [5], even for one value' })
			.max(1_000, "has more than 1,000 values")
			.default([]),
	})
	.superRefine((given, context) => {
		const checked = OPERANDS[given.op].safeParse(given.values);
		for (const issue of checked.error?.issues ?? [])
			context.addIssue({ code: "custom", path: ["values", ...issue.path], message: `${given.op} ${issue.message}` });
	});
/** The id names it in API descriptions, where a recursion needs a name. */
const nested: z.ZodType<Condition> = z.lazy((): z.ZodType<Condition> => condition).meta({ id: "Condition" });
const several = z.array(nested).min(1, "takes at least one condition").max(50, "takes at most 50 conditions");

const KINDS = "a condition is all, any, not, segment, or attribute + op + values";

/** A tree: a comparison, a segment, or all, any or not of others. */
export const condition: z.ZodType<Condition> = z.union(
	[
		comparison,
		z.strictObject({ segment: z.string().max(63) }),
		z.strictObject({ all: several }),
		z.strictObject({ any: several }),
		z.strictObject({ not: nested }),
	],
	{ error: ({ input }) => (input === undefined || isOfAKind(input) ? undefined : KINDS) },
);

/** One that can be told apart from the others, however wrong the rest of it is. */
function isOfAKind(given: unknown): boolean {
	if (typeof given !== "object" || given === null || Array.isArray(given)) return false;
	return ["attribute", "op", "segment", "all", "any", "not"].some((name) => Object.hasOwn(given, name));
}

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
