import { expect, test } from "vitest";
import { tableOf } from "../../../control/patterns/tables";
import { BUCKETS, bucketOf, seedOf } from "../../../core/flags/bucket";
import { bucketingKeyOf, targetingKeyOf } from "../../../core/flags/bucketingKey";
import { type Resolution, evaluate, evaluateAll } from "../../../core/flags/evaluate";
import type { Context } from "../../../core/flags/match";
import type { Flag } from "../../../core/flags/model";
import { type ActiveOverlay, NO_OVERLAY } from "../../../core/flags/overlay";
import { type LiveRollout, type PackedFlag, packFlag } from "../../../core/flags/snapshot";
import { type TestSegment, aFlag, aRollout, aRule, aSegment, anEnvironment, anOverlay, open, rulesetOf } from "./fixtures";

const BUCKET_OF_ANNA = bucketOf("anna", seedOf("checkout"));
const COHORT_OF_ANNA = bucketOf("anna", seedOf("checkout.1"));

interface Given {
	readonly flag?: Partial<Flag>;
	readonly rollout?: Partial<LiveRollout>;
	readonly overlay?: ActiveOverlay;
	readonly segments?: readonly TestSegment[];
	readonly context?: Context;
	readonly key?: string;
}

function resolve(given: Given): Resolution {
	const { flag, rollout, overlay = NO_OVERLAY, segments = [], context = { targetingKey: "anna" }, key = "checkout" } = given;
	const rollouts = rollout ? [aRollout(rollout)] : [];
	return evaluate(open(anEnvironment({ flags: [aFlag(flag)], rollouts, segments })), overlay, key, context);
}

const everybody = { attribute: "targetingKey", op: "in" as const, values: ["anna"] };
/** Everything at once: each of the cases below takes away what stands before it. */
const rule = aRule({ id: "anna", when: everybody });
const split = [
	{ variant: "true", weight: BUCKET_OF_ANNA },
	{ variant: "false", weight: BUCKETS - BUCKET_OF_ANNA },
];
const killed = anOverlay({ kill: ["checkout"], baseline: ["checkout.1"] });
const overlaid = anOverlay({ baseline: ["checkout.1"] });
const snapshot = 7;
const rollout = "checkout.1";

test.each<[string, Given, Resolution]>([
	[
		"an unknown flag, even one that is overlaid",
		{ key: "unknown", overlay: anOverlay({ kill: ["unknown"] }) },
		{ reason: "ERROR", errorCode: "FLAG_NOT_FOUND", metadata: { snapshot } },
	],
	[
		"killed by an overlay, before disabled, rules and rollout",
		{ flag: { enabled: false, rules: [rule] }, rollout: { served: BUCKETS }, overlay: killed },
		{ value: false, variant: "false", reason: "DISABLED", metadata: { snapshot, overlay: "head" } },
	],
	[
		"disabled, before rules and rollout",
		{ flag: { enabled: false, rules: [rule] }, rollout: { served: BUCKETS }, overlay: overlaid },
		{ value: false, variant: "false", reason: "DISABLED", metadata: { snapshot } },
	],
	[
		"disabled serves the off variant, not the fallthrough",
		{ flag: { enabled: false, offVariant: "true" } },
		{ value: true, variant: "true", reason: "DISABLED", metadata: { snapshot } },
	],
	[
		"a matching rule, before the rollout and its overlay",
		{ flag: { rules: [aRule(), rule] }, rollout: { served: 0 }, overlay: overlaid },
		{ value: true, variant: "true", reason: "TARGETING_MATCH", metadata: { snapshot, rule: "anna" } },
	],
	[
		"the first of two matching rules",
		{ flag: { rules: [rule, aRule({ id: "later", when: everybody, serve: "false" })] } },
		{ value: true, variant: "true", reason: "TARGETING_MATCH", metadata: { snapshot, rule: "anna" } },
	],
	[
		"a rule's split, by the flag's own salt; its bounds are exclusive",
		{ flag: { rules: [aRule({ id: "some", when: everybody, serve: split })] }, rollout: { served: BUCKETS } },
		{ value: false, variant: "false", reason: "SPLIT", metadata: { snapshot, rule: "some", bucket: BUCKET_OF_ANNA } },
	],
	[
		"a rule's split without a key does not match, the next rule does",
		{
			flag: {
				rules: [aRule({ id: "some", serve: split }), aRule({ id: "all" })],
			},
			context: { country: "CH" },
		},
		{ value: true, variant: "true", reason: "TARGETING_MATCH", metadata: { snapshot, rule: "all" } },
	],
	[
		"a rollout that is overlaid serves the baseline",
		{ rollout: { served: BUCKETS }, overlay: overlaid },
		{ value: false, variant: "false", reason: "DEFAULT", metadata: { snapshot, rollout, overlay: "head" } },
	],
	[
		"a rollout without a key serves the baseline",
		{ rollout: { served: BUCKETS }, context: {} },
		{ value: false, variant: "false", reason: "DEFAULT", metadata: { snapshot, rollout, noKey: true } },
	],
	[
		"a rollout serves the candidate below its share, by its own salt",
		{ rollout: { served: COHORT_OF_ANNA + 1 } },
		{ value: true, variant: "true", reason: "SPLIT", metadata: { snapshot, rollout, phase: "phase_1", bucket: COHORT_OF_ANNA } },
	],
	[
		"a rollout serves the baseline from its share on",
		{ rollout: { served: COHORT_OF_ANNA } },
		{ value: false, variant: "false", reason: "SPLIT", metadata: { snapshot, rollout, phase: "phase_1", bucket: COHORT_OF_ANNA } },
	],
	[
		"a fallthrough of a flag without rules",
		{ flag: { fallthrough: "true" } },
		{ value: true, variant: "true", reason: "STATIC", metadata: { snapshot } },
	],
	[
		"a fallthrough of a flag with rules, none of which matches",
		{ flag: { fallthrough: "true", rules: [aRule()] } },
		{ value: true, variant: "true", reason: "DEFAULT", metadata: { snapshot } },
	],
	[
		"a split fallthrough",
		{ flag: { fallthrough: split } },
		{ value: false, variant: "false", reason: "SPLIT", metadata: { snapshot, bucket: BUCKET_OF_ANNA } },
	],
	[
		"a split fallthrough, one bucket further",
		{
			flag: {
				fallthrough: [
					{ variant: "true", weight: BUCKET_OF_ANNA + 1 },
					{ variant: "false", weight: BUCKETS - BUCKET_OF_ANNA - 1 },
				],
			},
		},
		{ value: true, variant: "true", reason: "SPLIT", metadata: { snapshot, bucket: BUCKET_OF_ANNA } },
	],
	[
		"a split fallthrough without a key serves the off variant",
		{ flag: { fallthrough: split, offVariant: "true" }, context: {} },
		{ value: true, variant: "true", reason: "DEFAULT", metadata: { snapshot, noKey: true } },
	],
])("%s", (_, given, expected) => expect(resolve(given)).toEqual(expected));

test.each<[string, unknown, string | undefined]>([
	["a text", "anna", "anna"],
	["an empty text", "", undefined],
	["a number", 1, undefined],
	["null", null, undefined],
	["an object", {}, undefined],
])("%s as targeting key", (_, targetingKey, key) => {
	expect(targetingKeyOf({ targetingKey })).toBe(key);
});

test("what every object inherits buckets nobody", () => {
	for (const name of Object.getOwnPropertyNames(Object.prototype)) expect(bucketingKeyOf({}, name), name).toBeUndefined();
});

test.each(["__proto__", "constructor", "toString", "hasOwnProperty", "!measured", "", "\t"])("%j is no flag", (key) => {
	expect(resolve({ key })).toMatchObject({ errorCode: "FLAG_NOT_FOUND" });
});

test("constructor may name a flag, a variant and an attribute", () => {
	const flag = aFlag({
		key: "constructor",
		type: "string",
		variants: { constructor: "a", toString: "b" },
		offVariant: "toString",
		fallthrough: "toString",
		rules: [aRule({ when: { attribute: "constructor", op: "in", values: ["x"] }, serve: "constructor" })],
	});
	const ruleset = rulesetOf({ version: 7, flags: [flag], rollouts: [] });
	expect(evaluate(ruleset, NO_OVERLAY, "constructor", {})).toMatchObject({ value: "b", variant: "toString" });
	expect(evaluate(ruleset, NO_OVERLAY, "constructor", { constructor: "x" })).toMatchObject({ value: "a", variant: "constructor" });
});

const packed = packFlag(aFlag({ rules: [aRule()] }), undefined, tableOf);
test.each<[string, unknown]>([
	["marked as corrupt", "corrupt"],
	["null", null],
	["an empty object", {}],
	["a flag whose off variant has no name", { ...packed, enabled: false, off: 9 }],
	[
		"a flag whose rule has an operator of a newer control",
		{ ...packed, rules: [{ id: "r", when: { attribute: "a", op: "newer" }, serve: 0 }] },
	],
	["a flag whose split has a bound without a variant", { ...packed, rules: [], fallthrough: [BUCKETS] }],
	["a flag whose split ends early", { ...packed, rules: [], fallthrough: [0, 0] }],
])("what cannot be read is a PARSE_ERROR: %s", (_, flag) => {
	const ruleset = { version: 7, flag: () => flag as PackedFlag, begin: () => undefined, isMember: () => false };
	expect(evaluate(ruleset, NO_OVERLAY, "checkout", { targetingKey: "anna", a: "x" })).toEqual({
		reason: "ERROR",
		errorCode: "PARSE_ERROR",
		metadata: { snapshot: 7 },
	});
});

const byRule = (segment: string): Partial<Flag> => ({ rules: [aRule({ when: { segment } })] });
const friends = aSegment({ keys: ["anna"] });
const swiss = aSegment({ key: "swiss", when: { attribute: "country", op: "equals", values: ["CH"] } });
const gone = { reason: "ERROR", errorCode: "PARSE_ERROR" } as const;
const byTarget = { value: true, variant: "true", reason: "TARGETING_MATCH", metadata: { snapshot, target: true } } as const;
const bySwiss = { value: true, variant: "true", reason: "TARGETING_MATCH", metadata: { snapshot, rule: "swiss" } } as const;
const excluded = { value: false, variant: "false", reason: "DEFAULT", metadata: { snapshot, rollout, excluded: true } } as const;
const byCompany = bucketOf("42", seedOf("checkout"));

test.each<[string, Given, Partial<Resolution>]>([
	[
		"a target, before the rules",
		{ flag: { targets: [{ variant: "true", keys: ["anna"] }], rules: [{ ...rule, serve: "false" }] } },
		byTarget,
	],
	["a target of another key", { flag: { targets: [{ variant: "true", keys: ["bob"] }] } }, { reason: "STATIC" }],
	["a target, of a rollout's flag too", { flag: { targets: [{ variant: "true", keys: ["anna"] }] }, rollout: { served: 0 } }, byTarget],
	[
		"a key that objects inherit is targeted by nobody",
		{ flag: { targets: [{ variant: "true", keys: ["bob"] }] }, context: { targetingKey: "constructor" } },
		{ reason: "STATIC" },
	],
	[
		"a target named __proto__",
		{ flag: { targets: [{ variant: "true", keys: ["__proto__"] }] }, context: { targetingKey: "__proto__" } },
		byTarget,
	],
	[
		"a disabled flag, before its targets",
		{ flag: { enabled: false, targets: [{ variant: "true", keys: ["anna"] }] } },
		{ reason: "DISABLED" },
	],
	["a listed member", { flag: byRule("friends"), segments: [friends] }, { reason: "TARGETING_MATCH" }],
	["nobody listed", { flag: byRule("friends"), segments: [friends], context: { targetingKey: "bob" } }, { reason: "DEFAULT" }],
	["a member by condition", { flag: byRule("swiss"), segments: [swiss], context: { country: "CH" } }, bySwiss],
	[
		"a member of a segment in a segment",
		{
			flag: byRule("all"),
			segments: [swiss, friends, aSegment({ key: "all", when: { any: [{ segment: "swiss" }, { segment: "friends" }] } })],
		},
		{ reason: "TARGETING_MATCH" },
	],
	["a segment that is not there", { flag: byRule("gone") }, gone],
	[
		"a segment that is not there and not asked for",
		{ flag: { rules: [rule, ...(byRule("gone").rules ?? [])] } },
		{ reason: "TARGETING_MATCH" },
	],
	["a segment of itself", { flag: byRule("self"), segments: [aSegment({ key: "self", when: { segment: "self" } })] }, gone],
	["an excluded key", { rollout: { served: BUCKETS, excluded: { keys: ["bob", "anna"], segments: [] } } }, excluded],
	[
		"a member of an excluded segment",
		{ rollout: { served: BUCKETS, excluded: { keys: [], segments: ["friends"] } }, segments: [friends] },
		excluded,
	],
	[
		"excluded, and without a key to bucket by",
		{ flag: { bucketBy: "company" }, rollout: { served: BUCKETS, excluded: { keys: ["anna"], segments: [] } } },
		excluded,
	],
	["an excluded segment that is not there", { rollout: { served: BUCKETS, excluded: { keys: [], segments: ["gone"] } } }, excluded],
	[
		"an excluded segment that names one that is not there",
		{
			rollout: { served: BUCKETS, excluded: { keys: [], segments: ["outer"] } },
			segments: [aSegment({ key: "outer", when: { not: { segment: "gone" } } })],
		},
		excluded,
	],
	[
		"a rule comes before an excluded segment that is not there",
		{ flag: { rules: [rule] }, rollout: { excluded: { keys: [], segments: ["gone"] } } },
		{ reason: "TARGETING_MATCH" },
	],
	[
		"bucketed by a whole number",
		{ flag: { bucketBy: "company", fallthrough: split }, context: { company: 42 } },
		{ metadata: { snapshot, bucket: byCompany } },
	],
	[
		"bucketed by the same number as text",
		{ flag: { bucketBy: "company", fallthrough: split }, context: { company: "42" } },
		{ metadata: { snapshot, bucket: byCompany } },
	],
	[
		"bucketed by a fraction",
		{ flag: { bucketBy: "company", fallthrough: split }, context: { targetingKey: "anna", company: 0.5 } },
		{ reason: "DEFAULT", metadata: { snapshot, noKey: true } },
	],
	[
		"a requirement of a flag that is not there",
		{ flag: { prerequisites: [{ flag: "search", variants: ["true"] }] } },
		{ reason: "DISABLED", metadata: { snapshot, prerequisite: "search" } },
	],
	[
		"a requirement of itself",
		{ flag: { prerequisites: [{ flag: "checkout", variants: ["true"] }] } },
		{ reason: "DISABLED", metadata: { snapshot, prerequisite: "checkout" } },
	],
])("%s", (_, given, expected) => expect(resolve(given)).toMatchObject(expected));

test("segments that lead back to themselves fail time and again, and their flag alone", () => {
	const flags = [aFlag(byRule("a")), aFlag({ key: "search", ...byRule("swiss") })];
	const segments = [aSegment({ key: "a", when: { segment: "b" } }), aSegment({ key: "b", when: { not: { segment: "a" } } }), swiss];
	const snapshotOfAll = open(anEnvironment({ flags, segments }));
	for (let i = 0; i < 20; i++) {
		expect(evaluate(snapshotOfAll, NO_OVERLAY, "checkout", { country: "CH" })).toMatchObject(gone);
		expect(evaluate(snapshotOfAll, NO_OVERLAY, "search", { country: "CH" })).toEqual(bySwiss);
	}
});

/** s0 names s1, which names s2, and so on. */
const chain = (length: number): readonly TestSegment[] =>
	Array.from({ length }, (_, i) => aSegment({ key: `s${i}`, when: i === length - 1 ? everybody : { segment: `s${i + 1}` } }));

test.each([
	[1, "true"],
	[16, "true"],
	[17, undefined],
])("%i segments in one another", (length, variant) => {
	const resolution = resolve({ flag: byRule("s0"), segments: chain(length) });
	expect("variant" in resolution ? resolution.variant : undefined).toBe(variant);
});

test.each([
	[1, "STATIC"],
	[10, "STATIC"],
	[11, "DISABLED"],
])("%i flags that require one another in a row", (length, reason) => {
	const flags = Array.from({ length: length + 1 }, (_, i) =>
		aFlag({ key: `f${i}`, prerequisites: i === length ? [] : [{ flag: `f${i + 1}`, variants: ["false"] }], offVariant: "true" }),
	);
	expect(evaluate(open(anEnvironment({ flags })), NO_OVERLAY, "f0", {}).reason).toBe(reason);
});

test.each<[string, Context, string | undefined, string | undefined]>([
	["a text", { company: "c1" }, "company", "c1"],
	["a whole number", { company: -7 }, "company", "-7"],
	["the greatest safe number", { company: 2 ** 53 - 1 }, "company", "9007199254740991"],
	["a number that is not safe", { company: 2 ** 53 }, "company", undefined],
	["a fraction", { company: 1.5 }, "company", undefined],
	["an empty text", { company: "" }, "company", undefined],
	["a boolean", { company: true }, "company", undefined],
	["nothing", { targetingKey: "anna" }, "company", undefined],
	["an inherited name", {}, "constructor", undefined],
	["no attribute: the targeting key", { targetingKey: "anna" }, undefined, "anna"],
	["no attribute, and a number as targeting key", { targetingKey: 7 }, undefined, undefined],
])("bucketing by %s", (_, context, bucketBy, key) => expect(bucketingKeyOf(context, bucketBy)).toBe(key));

test("a killed prerequisite is never met, though its off variant is among those required", () => {
	const base = aFlag({ key: "base" });
	const needs = aFlag({ prerequisites: [{ flag: "base", variants: Object.keys(base.variants) }] });
	const both = open(anEnvironment({ flags: [base, needs] }));
	expect(evaluate(both, NO_OVERLAY, "checkout", { targetingKey: "anna" }).reason).not.toBe("DISABLED");
	expect(evaluate(both, anOverlay({ kill: ["base"] }), "checkout", { targetingKey: "anna" })).toMatchObject({
		reason: "DISABLED",
		metadata: { prerequisite: "base" },
	});
});

/** Each of `width` flags or segments of a level names all of the level below: ways multiply, names do not. */
const lattice = (width: number, levels: number): [name: string, below: string[]][] =>
	Array.from({ length: levels * width }, (_, i) => {
		const level = Math.floor(i / width);
		return [`n${i}`, level + 1 < levels ? Array.from({ length: width }, (__, k) => `n${(level + 1) * width + k}`) : []];
	});

test("a lattice of prerequisites serves the off variant, and does not hang", () => {
	const flags = lattice(8, 9).map(([key, below]) =>
		aFlag({ key, prerequisites: below.map((flag) => ({ flag, variants: Object.keys(aFlag().variants) })) }),
	);
	expect(evaluate(open(anEnvironment({ flags })), NO_OVERLAY, "n0", { targetingKey: "anna" })).toMatchObject({ reason: "DISABLED" });
});

test("a lattice of segments ends in PARSE_ERROR, and does not hang", () => {
	const segments = lattice(8, 9).map(([key, below]) =>
		aSegment({
			key,
			when: below.length > 0 ? { any: below.map((segment) => ({ segment })) } : { attribute: "no", op: "exists", values: [] },
		}),
	);
	const flag = aFlag({ rules: [aRule({ when: { segment: "n0" } })] });
	expect(evaluate(open(anEnvironment({ flags: [flag], segments })), NO_OVERLAY, "checkout", { targetingKey: "anna" })).toMatchObject({
		errorCode: "PARSE_ERROR",
	});
});

/** A segment that asks `others` others, none of which has a member. */
const asking = (others: number): readonly TestSegment[] => [
	aSegment({ key: "wide", when: { any: Array.from({ length: others }, (_, i) => ({ segment: `s${i}` })) } }),
	...Array.from({ length: others }, (_, i) => aSegment({ key: `s${i}` })),
];
const rulesOver = (segment: string, count: number): Partial<Flag> => ({
	rules: Array.from({ length: count }, (_, i) => aRule({ id: `r${i}`, when: { segment } })),
});

test.each([
	[100, "DEFAULT"],
	[101, "ERROR"],
])("%i rules that ask 50 segments each: 5,000 are asked in one evaluation at most, and the next begins anew", (count, reason) => {
	const flags = [aFlag(rulesOver("wide", count)), aFlag({ key: "other", ...rulesOver("wide", 100) })];
	const both = open(anEnvironment({ flags, segments: asking(49) }));
	for (let i = 0; i < 3; i++) {
		expect(evaluate(both, NO_OVERLAY, "checkout", {}).reason).toBe(reason);
		expect(evaluate(both, NO_OVERLAY, "other", {}).reason).toBe("DEFAULT");
		expect(evaluateAll(both, NO_OVERLAY, {}).map((each) => each.reason)).toEqual([reason, "DEFAULT"]);
	}
});

test.each([
	[40, "DEFAULT"],
	[41, "ERROR"],
	[51, "DISABLED"],
])("what prerequisites ask counts towards the flag that has them: twice %i rules beside its own 20", (count, reason) => {
	const needed = ["one", "two"].map((key) => aFlag({ key, ...rulesOver("wide", count) }));
	const prerequisites = needed.map(({ key }) => ({ flag: key, variants: ["false"] }));
	const flags = [aFlag({ prerequisites, ...rulesOver("wide", 20) }), ...needed];
	const all = open(anEnvironment({ flags, segments: asking(49) }));
	expect(evaluate(all, NO_OVERLAY, "checkout", {}).reason).toBe(reason);
});
