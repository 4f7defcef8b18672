import * as z from "zod";
import { BUCKETS } from "./bucket";
import { conditionTree, segmentsIn } from "./condition";
import { choice, takes, takesShape, textsInList } from "./fieldErrors";
import { parseInstant } from "./instant";

/** The authoring form of a flag: what people write, the API takes and D1 keeps. Its served form is in snapshot.ts. */

export const flagKey = z
	.string()
	.max(63)
	.regex(/^[a-z0-9][a-z0-9_.-]*$/, "lower-case letters, digits, '_', '.' and '-', beginning with a letter or a digit");
export const instant = z.string().refine((text) => parseInstant(text) !== undefined, 'is no RFC 3339 time: write "2026-01-31T12:00:00Z"');
export const environmentName = z.enum(["production", "staging"], choice("production or staging"));
const variantName = z
	.string(takes(`a variant's name, in quotes: "true"`))
	.max(63)
	.regex(/^[A-Za-z0-9][A-Za-z0-9_.-]*$/, "letters, digits, '_', '.' and '-', beginning with a letter or a digit");
const OBJECT_BYTES_MAX = 10_000;
const flagValue = z.union(
	[
		z.boolean(),
		z.string().max(10_000),
		z.number(),
		z
			.union([z.record(z.string(), z.unknown()), z.array(z.unknown())])
			.refine((value) => JSON.stringify(value).length <= OBJECT_BYTES_MAX, "is larger than 10,000 bytes as JSON"),
	],
	takes("true or false, a text, a number, an object or a list"),
);

const SERVE = `takes a variant's name, in quotes: "true"; or a split: [{"variant": "true", "weight": 50000}, …]`;
const UNIT = "thousandths of a percent: 50 % is 50000";
const WEIGHT = `a whole number from 0 to ${BUCKETS}, in ${UNIT}`;
const weight = z.int(takes(WEIGHT)).min(0, `takes ${WEIGHT}`).max(BUCKETS, `takes ${WEIGHT}`).describe("in 1/100,000");

/**
 * `object`: z.strictObject refuses unknown fields, as requests are read; z.object drops them, as stored rows are, so that flags
 * outlive a deployment and its return. Conditions are strict in both: to drop a part of one would serve other users.
 */
function fieldsBy(object: typeof z.strictObject) {
	const part = object({ variant: variantName, weight }, takes('{"variant": "true", "weight": 50000}'));
	const split = z.array(part).min(1, "takes at least one part").max(50, "takes at most 50 parts");
	const serve = z
		.union([variantName, split], {
			error: ({ input }) => (Array.isArray(input) || input === undefined ? undefined : SERVE),
		})
		.describe("a variant's name, or a split whose weights sum to 100,000");

	const rule = object({
		id: z.string().min(1).max(63),
		description: z.string().max(500).default(""),
		when: conditionTree,
		serve,
	});

	const target = object(
		{ variant: variantName, keys: z.array(z.string().min(1).max(1_000)).min(1).max(1_000) },
		takes('{"variant": "true", "keys": ["ann"]}'),
	);
	const prerequisite = object(
		{ flag: flagKey, variants: z.array(variantName, takes('a list of variants: ["true"]')).min(1).max(50) },
		takes('{"flag": "search", "variants": ["true"]}'),
	);

	return {
		type: z.enum(["boolean", "string", "number", "object"]),
		variants: z.record(variantName, flagValue).describe("the named values, all of the flag's type"),
		enabled: z.boolean().default(true).describe("false kills the flag: the off variant for everybody"),
		offVariant: variantName,
		prerequisites: z
			.array(prerequisite, takesShape('a list: [{"flag": "search", "variants": ["true"]}]'))
			.max(20)
			.default([])
			.describe("flags that must resolve to one of the variants, else the off variant is served"),
		targets: z
			.array(target, takesShape('a list: [{"variant": "true", "keys": ["ann"]}]'))
			.max(50)
			.default([])
			.describe("keys that get a variant whatever the rules say"),
		rules: z.array(rule).max(200).default([]).describe("the first that matches serves"),
		fallthrough: serve,
		salt: z.string().min(1).max(200).describe("seeds the buckets of the flag's own splits; default: its key"),
		bucketBy: z.string().min(1).max(200).default("targetingKey").describe("the attribute that buckets users"),
		public: z.boolean().default(false).describe("whether client keys may evaluate it"),
		measured: z.boolean().default(false).describe("whether outcomes are stored outside a rollout too"),
		description: z.string().max(2_000).default(""),
		tags: z.array(z.string().min(1).max(63), textsInList).max(20).default([]),
		owner: z.string().max(200).default(""),
		temporary: z.boolean().default(false).describe("meant to be removed once its rollout is done"),
		expiresAt: instant.nullable().default(null).describe("when it should be gone; it goes on being served"),
	};
}

const fields = fieldsBy(z.strictObject);
const storedFields = fieldsBy(z.object);

/** What a request may leave out: a boolean flag needs nothing but its key and type, the salt is the key. */
export const flagInput = z.strictObject({
	...fields,
	key: flagKey,
	variants: fields.variants.optional(),
	offVariant: variantName.optional(),
	fallthrough: fields.fallthrough.optional(),
	salt: fields.salt.optional(),
});
/** A change replaces the fields it names. The key never changes. */
export const flagPatch = z.strictObject({
	type: fields.type.optional(),
	variants: fields.variants.optional(),
	enabled: fields.enabled.unwrap().optional(),
	offVariant: fields.offVariant.optional(),
	prerequisites: fields.prerequisites.unwrap().optional(),
	targets: fields.targets.unwrap().optional(),
	rules: fields.rules.unwrap().optional(),
	fallthrough: fields.fallthrough.optional(),
	salt: fields.salt.optional(),
	bucketBy: fields.bucketBy.unwrap().optional(),
	public: fields.public.unwrap().optional(),
	measured: fields.measured.unwrap().optional(),
	description: fields.description.unwrap().optional(),
	tags: fields.tags.unwrap().optional(),
	owner: fields.owner.unwrap().optional(),
	temporary: fields.temporary.unwrap().optional(),
	expiresAt: fields.expiresAt.unwrap().optional(),
});

export const flag = z.object({ key: flagKey, ...storedFields });

export type Flag = z.infer<typeof flag>;
export type FlagInput = z.infer<typeof flagInput>;
export type FlagPatch = z.infer<typeof flagPatch>;
export type Serve = z.infer<typeof fields.fallthrough>;
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
	if (names.length === 0) errors.push({ pointer: "/variants", message: `${aOrAn(candidate.type)} flag needs at least one variant` });
	if (names.length > 50) errors.push({ pointer: "/variants", message: `${names.length} variants > limit 50` });
	for (const [name, value] of Object.entries(candidate.variants))
		if (typeof value !== candidate.type)
			errors.push({ pointer: `/variants/${name}`, message: `is ${aOrAn(typeof value)}, but the flag's type is ${candidate.type}` });
	const known = (name: string, pointer: string): void => {
		if (Object.hasOwn(candidate.variants, name)) return;
		const of = names.length > 0 ? `the variants are ${names.join(", ")}` : "there are no variants";
		errors.push({ pointer, message: name === "" ? `is required: ${of}` : `unknown variant "${name}": ${of}` });
	};
	const served = (what: Serve, pointer: string): void => {
		if (typeof what === "string") return known(what, pointer);
		what.forEach((part, i) => known(part.variant, `${pointer}/${i}/variant`));
		const sum = what.reduce((total, part) => total + part.weight, 0);
		if (sum !== BUCKETS) errors.push({ pointer, message: `the weights sum to ${sum}, not to ${BUCKETS} (${UNIT})` });
	};
	known(candidate.offVariant, "/offVariant");
	served(candidate.fallthrough, "/fallthrough");
	const ids = new Set<string>();
	candidate.rules.forEach((each, i) => {
		if (ids.has(each.id)) errors.push({ pointer: `/rules/${i}/id`, message: `"${each.id}" is used twice` });
		ids.add(each.id);
		served(each.serve, `/rules/${i}/serve`);
	});
	const targeted = new Set<string>();
	candidate.targets.forEach((each, i) => {
		known(each.variant, `/targets/${i}/variant`);
		each.keys.forEach((key, k) => {
			if (targeted.has(key)) errors.push({ pointer: `/targets/${i}/keys/${k}`, message: `"${key}" is targeted twice` });
			targeted.add(key);
		});
	});
	candidate.prerequisites.forEach((each, i) => {
		if (each.flag === candidate.key) errors.push({ pointer: `/prerequisites/${i}/flag`, message: "a flag cannot require itself" });
	});
	return errors;
}

const aOrAn = (noun: string): string => `${/^[aeiou]/.test(noun) ? "an" : "a"} ${noun}`;

/** Every segment that a flag's rules name. */
export function segmentsOf(candidate: Flag): readonly string[] {
	return [...new Set(candidate.rules.flatMap((each) => segmentsIn(each.when)))];
}
