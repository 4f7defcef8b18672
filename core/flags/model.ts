import * as z from "zod";
import { BUCKETS } from "./bucket";

/** The authoring form of a flag: what people write, the API takes and D1 keeps. Its served form is in snapshot.ts. */

export const flagKey = z
	.string()
	.max(63)
	.regex(/^[a-z0-9][a-z0-9_.-]*$/, "lower-case letters, digits, '_', '.' and '-', beginning with a letter or a digit");
export const environmentName = z.enum(["production", "staging"], { error: "must be production or staging" });
const variantName = z
	.string()
	.max(63)
	.regex(/^[A-Za-z0-9][A-Za-z0-9_.-]*$/, "letters, digits, '_', '.' and '-', beginning with a letter or a digit");
const flagValue = z.union([z.boolean(), z.string().max(10_000), z.number()]);

const split = z
	.array(z.strictObject({ variant: variantName, weight: z.int().min(0).max(BUCKETS).describe("in 1/100,000") }))
	.min(1)
	.max(50);
const serve = z.union([variantName, split]).describe("a variant's name, or a split whose weights sum to 100,000");

const condition = z.strictObject({
	attribute: z.string().min(1).max(200),
	op: z.enum(["equals", "in"]),
	values: z
		.array(z.union([z.boolean(), z.string().max(1_000), z.number()]))
		.min(1)
		.max(1_000),
});

const rule = z.strictObject({
	id: z.string().min(1).max(63),
	description: z.string().max(500).default(""),
	when: condition,
	serve,
});

const fields = {
	type: z.enum(["boolean", "string", "number"]),
	variants: z.record(variantName, flagValue).describe("the named values, all of the flag's type"),
	enabled: z.boolean().default(true).describe("false kills the flag: the off variant for everybody"),
	offVariant: variantName,
	rules: z.array(rule).max(200).default([]).describe("the first that matches serves"),
	fallthrough: serve,
	salt: z.string().min(1).max(200).describe("seeds the buckets of the flag's own splits; default: its key"),
	description: z.string().max(2_000).default(""),
};

/** What a request may leave out: a boolean flag needs nothing but its key and type, the salt is the key. */
export const flagInput = z.strictObject({
	...fields,
	key: flagKey,
	variants: fields.variants.optional(),
	offVariant: variantName.optional(),
	fallthrough: serve.optional(),
	salt: fields.salt.optional(),
});
/** A change replaces the fields it names. The key never changes. */
export const flagPatch = z.strictObject({
	type: fields.type.optional(),
	variants: fields.variants.optional(),
	enabled: z.boolean().optional(),
	offVariant: variantName.optional(),
	rules: z.array(rule).max(200).optional(),
	fallthrough: serve.optional(),
	salt: fields.salt.optional(),
	description: z.string().max(2_000).optional(),
});

/** As stored: a field that this version does not know is dropped, so that flags outlive a deployment and its return. */
export const flag = z.object({ key: flagKey, ...fields });

export type Flag = z.infer<typeof flag>;
export type FlagInput = z.infer<typeof flagInput>;
export type FlagPatch = z.infer<typeof flagPatch>;
export type Serve = z.infer<typeof serve>;
export type Condition = z.infer<typeof condition>;
export type FlagValue = z.infer<typeof flagValue>;
export type EnvironmentName = z.infer<typeof environmentName>;

export interface FieldError {
	/** JSON Pointer (RFC 6901) of the field. */
	readonly pointer: string;
	readonly message: string;
}

const BOOLEAN_VARIANTS = { true: true, false: false };

/** Applies the defaults once, at the boundary. */
export function completeFlag(input: FlagInput): Flag {
	const isBoolean = input.type === "boolean";
	return {
		...input,
		variants: input.variants ?? (isBoolean ? BOOLEAN_VARIANTS : {}),
		offVariant: input.offVariant ?? (isBoolean ? "false" : ""),
		fallthrough: input.fallthrough ?? (isBoolean ? "false" : ""),
		salt: input.salt ?? input.key,
	};
}

/** What no schema of single fields can say: values of the type, variants that exist, weights that sum up, ids that differ. */
export function checkFlag(candidate: Flag): readonly FieldError[] {
	const errors: FieldError[] = [];
	const names = Object.keys(candidate.variants);
	if (names.length === 0) errors.push({ pointer: "/variants", message: `a ${candidate.type} flag needs at least one variant` });
	if (names.length > 50) errors.push({ pointer: "/variants", message: `${names.length} variants > limit 50` });
	for (const [name, value] of Object.entries(candidate.variants))
		if (typeof value !== candidate.type)
			errors.push({ pointer: `/variants/${name}`, message: `is a ${typeof value}, but the flag's type is ${candidate.type}` });
	const known = (name: string, pointer: string): void => {
		if (Object.hasOwn(candidate.variants, name)) return;
		const of = names.length > 0 ? `the variants are ${names.join(", ")}` : "there are no variants";
		errors.push({ pointer, message: name === "" ? `is required: ${of}` : `unknown variant "${name}": ${of}` });
	};
	const served = (what: Serve, pointer: string): void => {
		if (typeof what === "string") return known(what, pointer);
		what.forEach((part, i) => known(part.variant, `${pointer}/${i}/variant`));
		const sum = what.reduce((total, part) => total + part.weight, 0);
		if (sum !== BUCKETS) errors.push({ pointer, message: `the weights sum to ${sum}, not to ${BUCKETS}` });
	};
	known(candidate.offVariant, "/offVariant");
	served(candidate.fallthrough, "/fallthrough");
	const ids = new Set<string>();
	candidate.rules.forEach((each, i) => {
		if (ids.has(each.id)) errors.push({ pointer: `/rules/${i}/id`, message: `"${each.id}" is used twice` });
		ids.add(each.id);
		served(each.serve, `/rules/${i}/serve`);
		if (each.when.op === "equals" && each.when.values.length !== 1)
			errors.push({ pointer: `/rules/${i}/when/values`, message: `equals takes one value, got ${each.when.values.length}: use in` });
	});
	return errors;
}
