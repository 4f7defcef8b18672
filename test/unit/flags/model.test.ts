import * as fc from "fast-check";
import { expect, test } from "vitest";
import { fieldErrors } from "../../../core/flags/fieldErrors";
import { type Flag, type FlagInput, checkFlag, completeFlag, flag, flagInput, flagPatch, segmentsOf } from "../../../core/flags/model";
import { aFlag, aRule } from "./fixtures";
import { someFlag } from "./random";

test("a boolean flag needs its key and type only, and is off for everybody", () => {
	const completed = completeFlag(flagInput.parse({ key: "checkout", type: "boolean" }));
	expect(completed).toEqual(aFlag());
	expect(flag.parse(completed)).toEqual(completed);
	expect(checkFlag(completed)).toEqual([]);
});

test("what is given is kept", () => {
	const given = aFlag({
		type: "string",
		variants: { old: "a", new: "b" },
		enabled: false,
		offVariant: "old",
		rules: [aRule({ serve: "new" })],
		fallthrough: [
			{ variant: "old", weight: 99_999 },
			{ variant: "new", weight: 1 },
		],
		salt: "pepper",
		bucketBy: "company",
		public: true,
		prerequisites: [{ flag: "search", variants: ["true"] }],
		targets: [{ variant: "new", keys: ["anna", "bob"] }],
		description: "the checkout",
		tags: ["payments"],
		owner: "team-payments",
		temporary: true,
		expiresAt: "2026-12-31T00:00:00Z",
	});
	expect(completeFlag(flagInput.parse(given))).toEqual(given);
	expect(checkFlag(given)).toEqual([]);
});

test.each<FlagInput["type"]>(["string", "number", "object"])(
	"a %s flag has no variants by default, and each field that misses one is named",
	(type) => {
		const completed = completeFlag(flagInput.parse({ key: "checkout", type }));
		expect(checkFlag(completed).map(({ pointer }) => pointer)).toEqual(["/variants", "/offVariant", "/fallthrough"]);
	},
);

const half = { variant: "true", weight: 50_000 };
const otherHalf = { variant: "false", weight: 50_000 };

test.each<[string, Partial<Flag>, pointer: string, message: string]>([
	["no variants", { variants: {}, offVariant: "false" }, "/variants", "a boolean flag needs at least one variant"],
	["no variants of an object flag", { type: "object", variants: {} }, "/variants", "an object flag needs at least one variant"],
	[
		"more than 50 variants",
		{ variants: { true: true, false: false, ...Object.fromEntries(Array.from({ length: 49 }, (_, i) => [`v${i}`, true])) } },
		"/variants",
		"51 variants > limit 50",
	],
	[
		"a text in a boolean flag",
		{ variants: { true: "yes", false: false } },
		"/variants/true",
		"is a string, but the flag's type is boolean",
	],
	["a boolean in a number flag", { type: "number", variants: { true: 1, false: false } }, "/variants/false", "is a boolean, but"],
	["a number in a text flag", { type: "string", variants: { true: "a", false: 0 } }, "/variants/false", "is a number, but"],
	["an unknown off variant", { offVariant: "off" }, "/offVariant", 'unknown variant "off": the variants are true, false'],
	["no off variant", { offVariant: "" }, "/offVariant", "is required: the variants are true, false"],
	["an inherited name as off variant", { offVariant: "constructor" }, "/offVariant", 'unknown variant "constructor"'],
	["an unknown fallthrough", { fallthrough: "on" }, "/fallthrough", 'unknown variant "on"'],
	[
		"an unknown variant in a split",
		{ fallthrough: [half, { ...otherHalf, variant: "off" }] },
		"/fallthrough/1/variant",
		'unknown variant "off"',
	],
	[
		"weights below the sum",
		{ fallthrough: [half] },
		"/fallthrough",
		"the weights sum to 50000, not to 100000 (thousandths of a percent: 50 % is 50000)",
	],
	["weights above the sum", { fallthrough: [half, otherHalf, half] }, "/fallthrough", "the weights sum to 150000, not to 100000"],
	["a rule that serves an unknown variant", { rules: [aRule({ serve: "on" })] }, "/rules/0/serve", 'unknown variant "on"'],
	[
		"a rule whose weights do not sum up",
		{ rules: [aRule(), aRule({ id: "other", serve: [half] })] },
		"/rules/1/serve",
		"the weights sum to 50000",
	],
	["two rules of one id", { rules: [aRule(), aRule()] }, "/rules/1/id", '"swiss" is used twice'],
	["a text in an object flag", { type: "object", variants: { true: "{}", false: {} } }, "/variants/true", "is a string, but"],
	[
		"an object in a text flag",
		{ type: "string", variants: { true: {}, false: "a" } },
		"/variants/true",
		"is an object, but the flag's type is string",
	],
	["a target of an unknown variant", { targets: [{ variant: "on", keys: ["anna"] }] }, "/targets/0/variant", 'unknown variant "on"'],
	[
		"a key targeted twice",
		{ targets: [{ variant: "true", keys: ["bob", "anna", "bob"] }] },
		"/targets/0/keys/2",
		'"bob" is targeted twice',
	],
	[
		"a key with two targets",
		{
			targets: [
				{ variant: "true", keys: ["anna"] },
				{ variant: "false", keys: ["bob", "anna"] },
			],
		},
		"/targets/1/keys/1",
		'"anna" is targeted twice',
	],
	[
		"a flag that requires itself",
		{
			prerequisites: [
				{ flag: "search", variants: ["true"] },
				{ flag: "checkout", variants: ["true"] },
			],
		},
		"/prerequisites/1/flag",
		"a flag cannot require itself",
	],
])("refused: %s", (_, change, pointer, message) => {
	const errors = checkFlag(aFlag(change));
	expect(errors.map((error) => error.pointer)).toContain(pointer);
	expect(errors.find((error) => error.pointer === pointer)?.message).toContain(message);
});

test("all errors are reported at once", () => {
	expect(checkFlag(aFlag({ offVariant: "off", fallthrough: "on", rules: [aRule({ serve: "x" })] }))).toHaveLength(3);
});

test.each<[string, object]>([
	["a key in capitals", { key: "Checkout" }],
	["an empty key", { key: "" }],
	["a key that begins with !", { key: "!measured" }],
	["a key that begins with _", { key: "__proto__" }],
	["a key with a TAB", { key: "a\tb" }],
	["a key with a newline at its end", { key: "checkout\n" }],
	["a key of 64 characters", { key: "k".repeat(64) }],
	["an unknown type", { type: "json" }],
	["an unknown field", { colour: "red" }],
	["a value that is null", { variants: { true: null, false: false } }],
	["an object value of 10,001 bytes", { variants: { true: { a: "x".repeat(9_993) } } }],
	["an array value of 10,001 bytes", { variants: { true: ["x".repeat(9_997)] } }],
	["a text value of 10,001 characters", { variants: { true: "x".repeat(10_001) } }],
	["a target without keys", { targets: [{ variant: "true", keys: [] }] }],
	["a target of an empty key", { targets: [{ variant: "true", keys: [""] }] }],
	["a target of 1,001 keys", { targets: [{ variant: "true", keys: Array.from({ length: 1_001 }, (_, i) => `${i}`) }] }],
	["51 targets", { targets: Array.from({ length: 51 }, (_, i) => ({ variant: "true", keys: [`${i}`] })) }],
	["a prerequisite without variants", { prerequisites: [{ flag: "search", variants: [] }] }],
	["21 prerequisites", { prerequisites: Array.from({ length: 21 }, (_, i) => ({ flag: `f${i}`, variants: ["true"] })) }],
	["201 rules", { rules: Array.from({ length: 201 }, (_, i) => aRule({ id: `${i}` })) }],
	["a split of 51 parts", { fallthrough: Array.from({ length: 51 }, () => ({ variant: "true", weight: 0 })) }],
	["an empty attribute to bucket by", { bucketBy: "" }],
	["an empty tag", { tags: [""] }],
	["21 tags", { tags: Array.from({ length: 21 }, () => "a") }],
	["an expiry that is no time", { expiresAt: "2026-02-30T00:00:00Z" }],
	["an expiry without a zone", { expiresAt: "2026-02-28T00:00:00" }],
	["a value that is NaN", { variants: { true: Number.NaN, false: false } }],
	["a value that is infinite", { variants: { true: Infinity, false: false } }],
	["a variant named with a space", { variants: { "a b": true } }],
	["an empty salt", { salt: "" }],
	["an empty split", { fallthrough: [] }],
	["a negative weight", { fallthrough: [{ variant: "true", weight: -1 }] }],
	["a weight with a fraction", { fallthrough: [{ variant: "true", weight: 0.5 }] }],
	["an unknown operator", { rules: [aRule({ when: { attribute: "a", op: "like" as "in", values: ["x"] } })] }],
	["a condition without values", { rules: [aRule({ when: { attribute: "a", op: "in", values: [] } })] }],
	["a rule without an id", { rules: [aRule({ id: "" })] }],
])("the schema refuses %s", (_, change) => {
	expect(flagInput.safeParse({ ...aFlag(), ...change }).success).toBe(false);
});

const NAME = `takes a variant's name, in quotes: "true"`;
const SERVE = `${NAME}; or a split: [{"variant": "true", "weight": 50000}, …]`;
const WEIGHT = "takes a whole number from 0 to 100000, in thousandths of a percent: 50 % is 50000";

test.each<[string, unknown, pointer: string, message: string]>([
	["prerequisites as texts", { prerequisites: ["search"] }, "/prerequisites/0", 'takes {"flag": "search", "variants": ["true"]}'],
	["prerequisites as one text", { prerequisites: "search" }, "/prerequisites", 'takes a list: [{"flag": "search", "variants": ["true"]}]'],
	[
		"a prerequisite's variant as a text",
		{ prerequisites: [{ flag: "search", variants: "true" }] },
		"/prerequisites/0/variants",
		'takes a list of variants: ["true"]',
	],
	["a prerequisite without variants", { prerequisites: [{ flag: "search" }] }, "/prerequisites/0/variants", "is required"],
	["targets as texts", { targets: ["ann"] }, "/targets/0", 'takes {"variant": "true", "keys": ["ann"]}'],
	["a fallthrough that is a value", { fallthrough: true }, "/fallthrough", SERVE],
	["a fallthrough that is null", { fallthrough: null }, "/fallthrough", SERVE],
	["a fallthrough by name", { fallthrough: { true: 50, false: 50 } }, "/fallthrough", SERVE],
	["a rule that serves a value", { rules: [{ ...aRule(), serve: true }] }, "/rules/0/serve", SERVE],
	["a rule that serves nothing", { rules: [{ ...aRule(), serve: undefined }] }, "/rules/0/serve", "is required"],
	["a rule without a condition", { rules: [{ ...aRule(), when: undefined }] }, "/rules/0/when", "is required"],
	["an off variant that is a value", { offVariant: false }, "/offVariant", NAME],
	["a split of names", { fallthrough: ["true"] }, "/fallthrough/0", 'takes {"variant": "true", "weight": 50000}'],
	["a split without a weight", { fallthrough: [{ variant: "true" }] }, "/fallthrough/0/weight", "is required"],
	["a weight with a fraction", { fallthrough: [{ variant: "true", weight: 0.5 }] }, "/fallthrough/0/weight", WEIGHT],
	["a weight beyond all", { fallthrough: [{ variant: "true", weight: 100_001 }] }, "/fallthrough/0/weight", WEIGHT],
	["a weight below nothing", { fallthrough: [{ variant: "true", weight: -1 }] }, "/fallthrough/0/weight", WEIGHT],
	["a weight as a text", { fallthrough: [{ variant: "true", weight: "50%" }] }, "/fallthrough/0/weight", WEIGHT],
	[
		"a value that is null",
		{ variants: { true: null, false: false } },
		"/variants/true",
		"takes true or false, a text, a number, an object or a list",
	],
	["a text for a boolean", { enabled: "yes" }, "/enabled", "takes true or false, not a text"],
	["a boolean for a text", { description: true }, "/description", 'takes a text, not a boolean: write "true", in quotes'],
])("refused in words: %s", (_, change, pointer, message) => {
	const given = { ...aFlag(), ...(change as object) };
	const errors = fieldErrors(flagInput.safeParse(given).error?.issues ?? [], given);
	expect(errors).toEqual([{ pointer, message }]);
});

test("a list in place of a flag is refused in words, at the root", () => {
	expect(fieldErrors(flagInput.safeParse([]).error?.issues ?? [], [])).toEqual([{ pointer: "", message: "takes an object, not a list" }]);
});

test.each<[string, object]>([
	["an object value of 10,000 bytes", { type: "object", variants: { true: { a: "x".repeat(9_992) }, false: {} } }],
	["an array as object value", { type: "object", variants: { true: [1, "a", null], false: [] } }],
	["20 prerequisites", { prerequisites: Array.from({ length: 20 }, (_, i) => ({ flag: `f${i}`, variants: ["true"] })) }],
	["200 rules", { rules: Array.from({ length: 200 }, (_, i) => aRule({ id: `${i}` })) }],
	["no expiry", { expiresAt: null }],
	["an expiry with an offset", { expiresAt: "2026-02-28T00:00:00+01:00" }],
])("accepted: %s", (_, change) => {
	const parsed = flagInput.parse({ ...aFlag(), ...change });
	expect(checkFlag(completeFlag(parsed))).toEqual([]);
});

test("a stored flag with a field of a newer version is read without it, but not a condition, which would serve other users", () => {
	expect(flag.parse({ ...aFlag(), colour: "red" })).toEqual(aFlag());
	const when = { attribute: "country", op: "in", values: ["CH"], ignoreCase: true };
	expect(flag.safeParse({ ...aFlag(), rules: [{ ...aRule(), when }] }).success).toBe(false);
});

test("a flag stored before it had targets and prerequisites is read with their defaults", () => {
	const { key, type, variants, enabled, offVariant, rules, fallthrough, salt, description } = aFlag();
	expect(flag.parse({ key, type, variants, enabled, offVariant, rules, fallthrough, salt, description })).toEqual(aFlag());
});

test("the segments of a flag are those that its rules name, each once", () => {
	const when = { all: [{ segment: "b" }, { not: { any: [{ segment: "a" }, { segment: "b" }] } }] };
	expect(segmentsOf(aFlag({ rules: [aRule({ when }), aRule({ id: "other", when: { segment: "a" } })] }))).toEqual(["b", "a"]);
});

test("the key of a flag cannot be changed", () => {
	expect(flagPatch.safeParse({ enabled: false }).success).toBe(true);
	expect(flagPatch.safeParse({ key: "other" }).success).toBe(false);
});

test("a flag that is valid survives JSON and its schema unchanged", () => {
	fc.assert(
		fc.property(someFlag, (one) => {
			expect(checkFlag(one)).toEqual([]);
			expect(flag.parse(JSON.parse(JSON.stringify(one)))).toEqual(one);
		}),
	);
});
