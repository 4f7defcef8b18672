import * as fc from "fast-check";
import { expect, test } from "vitest";
import { type Flag, type FlagInput, checkFlag, completeFlag, flag, flagInput, flagPatch } from "../../../core/flags/model";
import { aFlag, aRule, someFlag } from "./fixtures";

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
		description: "the checkout",
	});
	expect(completeFlag(flagInput.parse(given))).toEqual(given);
	expect(checkFlag(given)).toEqual([]);
});

test.each<FlagInput["type"]>(["string", "number"])(
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
	["weights below the sum", { fallthrough: [half] }, "/fallthrough", "the weights sum to 50000, not to 100000"],
	["weights above the sum", { fallthrough: [half, otherHalf, half] }, "/fallthrough", "the weights sum to 150000, not to 100000"],
	["a rule that serves an unknown variant", { rules: [aRule({ serve: "on" })] }, "/rules/0/serve", 'unknown variant "on"'],
	[
		"a rule whose weights do not sum up",
		{ rules: [aRule(), aRule({ id: "other", serve: [half] })] },
		"/rules/1/serve",
		"the weights sum to 50000",
	],
	["two rules of one id", { rules: [aRule(), aRule()] }, "/rules/1/id", '"swiss" is used twice'],
	[
		"equals with two values",
		{ rules: [aRule({ when: { attribute: "country", op: "equals", values: ["CH", "AT"] } })] },
		"/rules/0/when/values",
		"equals takes one value, got 2: use in",
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
	["an unknown type", { type: "object" }],
	["an unknown field", { owner: "me" }],
	["a value that is an object", { variants: { true: {}, false: false } }],
	["a value that is NaN", { variants: { true: Number.NaN, false: false } }],
	["a value that is infinite", { variants: { true: Infinity, false: false } }],
	["a variant named with a space", { variants: { "a b": true } }],
	["an empty salt", { salt: "" }],
	["an empty split", { fallthrough: [] }],
	["a negative weight", { fallthrough: [{ variant: "true", weight: -1 }] }],
	["a weight with a fraction", { fallthrough: [{ variant: "true", weight: 0.5 }] }],
	["an unknown operator", { rules: [aRule({ when: { attribute: "a", op: "matches" as "in", values: ["x"] } })] }],
	["a condition without values", { rules: [aRule({ when: { attribute: "a", op: "in", values: [] } })] }],
	["a rule without an id", { rules: [aRule({ id: "" })] }],
])("the schema refuses %s", (_, change) => {
	expect(flagInput.safeParse({ ...aFlag(), ...change }).success).toBe(false);
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
