import { expect, test } from "vitest";
import { BUCKETS, bucketOf, seedOf } from "../../../core/flags/bucket";
import type { Comparison } from "../../../core/flags/condition";
import { explain } from "../../../core/flags/explain";
import type { Context } from "../../../core/flags/match";
import type { Flag } from "../../../core/flags/model";
import { type ActiveOverlay, NO_OVERLAY } from "../../../core/flags/overlay";
import type { LiveRollout } from "../../../core/flags/snapshot";
import { aFlag, aRollout, aRule, aSegment, anEnvironment, anOverlay, open } from "./fixtures";

interface Given {
	readonly flag?: Partial<Flag>;
	readonly rollout?: Partial<LiveRollout>;
	readonly overlay?: ActiveOverlay;
	readonly context?: Context;
	readonly key?: string;
}

const friends = aSegment({ keys: ["anna"] });
const COHORT = bucketOf("anna", seedOf("checkout.1"));
const OWN = bucketOf("anna", seedOf("checkout"));

function told({ flag, rollout, overlay = NO_OVERLAY, context = { targetingKey: "anna" }, key = "checkout" }: Given): readonly string[] {
	const flags = [aFlag(flag), aFlag({ key: "search" }), aFlag({ key: "bad", rules: [aRule({ when: { segment: "gone" } })] })];
	const rollouts = rollout ? [aRollout(rollout)] : [];
	return explain(open(anEnvironment({ flags, segments: [friends], rollouts })), overlay, key, context).steps;
}

const split = [{ variant: "true", weight: BUCKETS }];
const swiss = [aRule()];
const inSwitzerland = { targetingKey: "anna", country: "CH" };

test.each<[string, Given, readonly string[]]>([
	["an unknown flag", { key: "nowhere" }, ["there is no flag nowhere in this snapshot"]],
	["a flag that cannot be evaluated", { key: "bad" }, ["flag bad cannot be read or evaluated"]],
	["a killed flag", { overlay: anOverlay({ kill: ["checkout"] }) }, ['killed by head: serves "false"']],
	["a disabled flag", { flag: { enabled: false } }, ['the flag is disabled (killed): serves "false"']],
	[
		"a requirement that is met, one that is not",
		{
			flag: {
				prerequisites: [
					{ flag: "search", variants: ["false"] },
					{ flag: "nowhere", variants: ["true"] },
				],
			},
		},
		[
			'prerequisite search is "false": as required',
			"prerequisite nowhere is not resolved: not as required",
			'prerequisite nowhere is not met: the off variant, serves "false"',
		],
	],
	["a target", { flag: { targets: [{ variant: "true", keys: ["anna"] }], rules: swiss } }, ['the key is targeted: serves "true"']],
	[
		"a rule",
		{ flag: { rules: swiss }, context: inSwitzerland },
		['  country in ["CH"]: holds, it is "CH"', 'rule "swiss" matches', 'rule "swiss" serves "true"'],
	],
	[
		"a rule that splits",
		{ flag: { rules: [aRule({ serve: split })] }, context: inSwitzerland },
		['  country in ["CH"]: holds, it is "CH"', 'rule "swiss" matches', `rule "swiss" splits: bucket ${OWN} of 100000 serves "true"`],
	],
	[
		"a missing attribute",
		{ flag: { rules: swiss } },
		[
			'  country in ["CH"]: does not hold, it is missing, and a missing attribute never matches',
			'rule "swiss" does not match',
			'fallthrough: serves "false"',
		],
	],
	[
		"another type",
		{ flag: { rules: swiss }, context: { country: ["CH"] } },
		['  country in ["CH"]: does not hold, it is ["CH"]', 'rule "swiss" does not match', 'fallthrough: serves "false"'],
	],
	[
		"segments",
		{ flag: { rules: [aRule({ when: { all: [{ segment: "friends" }, { not: { segment: "friends" } }] } })] } },
		[
			"  segment friends: is a member",
			"  segment friends: is a member",
			"  not (segment friends): does not hold",
			'rule "swiss" does not match',
			'fallthrough: serves "false"',
		],
	],
	[
		"not of a comparison on a missing attribute",
		{ flag: { rules: [aRule({ when: { not: { attribute: "country", op: "in", values: ["CH"] } } })] } },
		[
			'  country in ["CH"]: does not hold, it is missing, and a missing attribute never matches',
			'  not (country in ["CH"]): holds',
			'rule "swiss" matches',
			'rule "swiss" serves "true"',
		],
	],
	[
		"not of several conditions, inside out",
		{
			flag: {
				rules: [aRule({ when: { not: { not: { any: [{ segment: "friends" }, { all: [{ segment: "friends" }] }] } } } })],
			},
		},
		[
			"  segment friends: is a member",
			"  not (any of …): does not hold",
			"  not (not …): holds",
			'rule "swiss" matches',
			'rule "swiss" serves "true"',
		],
	],
	[
		"a rollout below its limit",
		{ rollout: { served: COHORT + 1 } },
		[`rollout checkout.1, phase_1: bucket ${COHORT} of 100000, limit ${COHORT + 1}, below it: the candidate, serves "true"`],
	],
	[
		"a rollout at its limit",
		{ rollout: { served: COHORT } },
		[`rollout checkout.1, phase_1: bucket ${COHORT} of 100000, limit ${COHORT}, not below it: the baseline, serves "false"`],
	],
	[
		"an overlaid rollout",
		{ rollout: {}, overlay: anOverlay({ baseline: ["checkout.1"] }) },
		['rollout checkout.1 is overlaid to the baseline by head: serves "false"'],
	],
	[
		"an excluded key",
		{ rollout: { excluded: { keys: ["anna"], segments: [] } } },
		['excluded from rollout checkout.1: the baseline, serves "false"'],
	],
	[
		"an excluded segment",
		{ rollout: { excluded: { keys: [], segments: ["friends"] } } },
		["  segment friends: is a member", 'excluded from rollout checkout.1: the baseline, serves "false"'],
	],
	[
		"an excluded segment that is not there",
		{ rollout: { excluded: { keys: [], segments: ["friends", "gone"] } }, context: { targetingKey: "bob" } },
		[
			"  segment friends: is no member",
			"  segment gone: cannot be read, so everybody counts as its member here",
			'excluded from rollout checkout.1: the baseline, serves "false"',
		],
	],
	[
		"a rollout without a key",
		{ flag: { bucketBy: "company" }, rollout: {} },
		['rollout checkout.1 has no company to bucket by: the baseline, serves "false"'],
	],
	[
		"a ring's own limit",
		{ rollout: { served: COHORT, rings: [{ segment: "friends", served: COHORT + 1 }] } },
		[
			"  segment friends: is a member",
			`rollout checkout.1, phase_1: bucket ${COHORT} of 100000, limit ${COHORT + 1}, below it: the candidate, serves "true"`,
		],
	],
	[
		"a user in no ring",
		{ rollout: { served: BUCKETS, rings: [{ segment: "friends", served: BUCKETS }] }, context: { targetingKey: "bob" } },
		["  segment friends: is no member", 'outside of rollout checkout.1, in none of its audiences so far: the baseline, serves "false"'],
	],
	[
		"a split without a key",
		{ flag: { fallthrough: split }, context: {} },
		['the fallthrough splits and there is no targetingKey to bucket by: the off variant, serves "false"'],
	],
	["a split", { flag: { fallthrough: split } }, [`the fallthrough splits: bucket ${OWN} of 100000 serves "true"`]],
])("%s", (_, given, steps) => expect(told(given)).toEqual(steps));

test.each<[Comparison["op"], Comparison["values"], string]>([
	["semver_lt", ["v1.2.3-rc.1+build"], "a semver_lt [1.2.3-rc.1]"],
	["ip_in", ["10.0.0.0/8", "2001:DB8::/32"], "a ip_in [10.0.0.0/8, 2001:db8:0:0:0:0:0:0/32]"],
	["matches", ['^"a"'], 'a matches ["^\\"a\\""]'],
	["between", [1, 2.5], "a between [1, 2.5]"],
	["exists", [], "a exists []"],
	["in", [1, true, "1", 2, 3, 4], 'a in [1, true, "1", 2, 3, … 6 in all]'],
])("%s %j is told as it was written", (op, values, text) => {
	const [step] = told({ flag: { rules: [aRule({ when: { attribute: "a", op, values } })] } });
	expect(step).toBe(`  ${text}: does not hold, it is missing, and a missing attribute never matches`);
});
