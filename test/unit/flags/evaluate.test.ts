import * as fc from "fast-check";
import { expect, test } from "vitest";
import { BUCKETS, bucketOf, seedOf } from "../../../core/flags/bucket";
import { type Resolution, evaluate, targetingKeyOf } from "../../../core/flags/evaluate";
import type { Context } from "../../../core/flags/match";
import type { Flag } from "../../../core/flags/model";
import { type ActiveOverlay, NO_OVERLAY } from "../../../core/flags/overlay";
import { type LiveRollout, type PackedFlag, packFlag } from "../../../core/flags/snapshot";
import { aContext, aFlag, aRollout, aRule, anOverlay, rulesetOf, someEnvironment } from "./fixtures";

const BUCKET_OF_ANNA = bucketOf("anna", seedOf("checkout"));
const COHORT_OF_ANNA = bucketOf("anna", seedOf("checkout.1"));

interface Given {
	readonly flag?: Partial<Flag>;
	readonly rollout?: Partial<LiveRollout>;
	readonly overlay?: ActiveOverlay;
	readonly context?: Context;
	readonly key?: string;
}

function resolve({ flag, rollout, overlay = NO_OVERLAY, context = { targetingKey: "anna" }, key = "checkout" }: Given): Resolution {
	const rollouts = rollout ? [aRollout(rollout)] : [];
	return evaluate(rulesetOf({ version: 7, flags: [aFlag(flag)], rollouts }), overlay, key, context);
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

test("an inherited targeting key buckets nobody", () => {
	expect(targetingKeyOf(Object.create({ targetingKey: "anna" }) as Context)).toBeUndefined();
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

const packed = packFlag(aFlag({ rules: [aRule()] }), undefined);
test.each<[string, unknown]>([
	["marked as corrupt", "corrupt"],
	["null", null],
	["an empty object", {}],
	["a flag whose off variant has no name", { ...packed, enabled: false, off: 9 }],
	[
		"a flag whose rule has an operator of a newer control",
		{ ...packed, rules: [{ id: "r", when: { attribute: "a", op: "matches" }, serve: 0 }] },
	],
	["a flag whose split ends early", { ...packed, rules: [], fallthrough: [[0, 0]] }],
])("what cannot be read is a PARSE_ERROR: %s", (_, flag) => {
	const ruleset = { version: 7, flag: () => flag as PackedFlag };
	expect(evaluate(ruleset, NO_OVERLAY, "checkout", { targetingKey: "anna", a: "x" })).toEqual({
		reason: "ERROR",
		errorCode: "PARSE_ERROR",
		metadata: { snapshot: 7 },
	});
});

const anOverlayOf = (flags: readonly Flag[]) =>
	fc
		.record({ kill: fc.subarray(flags.map(({ key }) => key)), baseline: fc.subarray(["checkout.1"]) })
		.map(({ kill, baseline }) => anOverlay({ kill, baseline }));
const aScene = someEnvironment.chain((state) => fc.tuple(fc.constant(state), anOverlayOf(state.flags), aContext));

test("every flag has one of its own variants for every context, or a coded error", () => {
	fc.assert(
		fc.property(aScene, fc.string(), ([state, overlay, context], anyKey) => {
			const ruleset = rulesetOf(state);
			for (const flag of state.flags) {
				const resolution = evaluate(ruleset, overlay, flag.key, context);
				if (resolution.reason === "ERROR") throw new Error(`${flag.key}: ${resolution.errorCode}`);
				expect(Object.hasOwn(flag.variants, resolution.variant)).toBe(true);
				expect(resolution.value).toBe(flag.variants[resolution.variant]);
			}
			const other = evaluate(ruleset, overlay, anyKey, context);
			expect(other.reason === "ERROR").toBe(!state.flags.some(({ key }) => key === anyKey));
		}),
	);
});

test("raising a rollout's share moves nobody from the candidate to the baseline", () => {
	const aShare = fc.integer({ min: 0, max: BUCKETS });
	fc.assert(
		fc.property(aShare, aShare, fc.string({ minLength: 1 }), (one, other, targetingKey) => {
			const at = (served: number) => resolve({ rollout: { served }, context: { targetingKey } });
			const before = at(Math.min(one, other));
			if ("variant" in before && before.variant === "true") expect(at(Math.max(one, other))).toMatchObject({ variant: "true" });
		}),
	);
});

test("an overlay only ever moves users to the off variant or to the baseline", () => {
	fc.assert(
		fc.property(aScene, ([state, overlay, context]) => {
			const ruleset = rulesetOf(state);
			for (const flag of state.flags) {
				const plain = evaluate(ruleset, NO_OVERLAY, flag.key, context);
				const moved = evaluate(ruleset, overlay, flag.key, context);
				if (!("variant" in plain && "variant" in moved)) throw new Error("no resolution");
				if (moved.variant === plain.variant) continue;
				const destination = overlay.kill.has(flag.key) ? flag.offVariant : flag.fallthrough;
				expect(moved.variant).toBe(destination);
			}
		}),
	);
});
