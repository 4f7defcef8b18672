import { expect, test } from "vitest";
import { type Attribution, attribute } from "../../../core/flags/attribution";
import { BUCKETS, bucketOf, seedOf } from "../../../core/flags/bucket";
import type { Context } from "../../../core/flags/match";
import { NO_OVERLAY, type ActiveOverlay } from "../../../core/flags/overlay";
import type { Flag } from "../../../core/flags/model";
import type { LiveRollout } from "../../../core/flags/snapshot";
import { aFlag, aRollout, aRule, anEnvironment, anOverlay, open } from "./fixtures";

const COHORT_OF_ANNA = bucketOf("anna", seedOf("checkout.1"));

interface Given {
	readonly flags?: readonly Flag[];
	readonly rollouts?: readonly LiveRollout[];
	readonly overlay?: ActiveOverlay;
	readonly context?: Context;
	readonly flag?: string;
	readonly atMs?: number;
}

function attributed(given: Given): Attribution[] {
	const {
		flags = [aFlag()],
		rollouts = [aRollout()],
		overlay = NO_OVERLAY,
		context = { targetingKey: "anna" },
		flag,
		atMs = 5_000,
	} = given;
	return attribute(open(anEnvironment({ flags, rollouts })), overlay, { flag, context, atMs });
}

const both = { checkout: "true", search: "true" };
const checkout = aFlag();
const search = aFlag({ key: "search", salt: "search" });
const swissOnly = aFlag({ rules: [aRule()] });
const inSwitzerland = { targetingKey: "anna", country: "CH" };
const inAustria = { targetingKey: "anna", country: "AT" };
const later = aRollout({ served: 20_000, stage: 2, sinceMs: 5_000, before: { stage: 1, served: 5_000, sinceMs: 2_000 } });
const here = { rollout: "checkout.1", stage: 1, served: 5_000, arm: "control", unit: "anna" };
const unattributed = { ...here, arm: "unattributed", unit: "" };

test.each<[string, Given, object[]]>([
	["a user of the baseline", {}, [here]],
	[
		"a user of the candidate",
		{ rollouts: [aRollout({ served: COHORT_OF_ANNA + 1 })] },
		[{ ...here, served: COHORT_OF_ANNA + 1, arm: "candidate" }],
	],
	["the first bucket that is not served", { rollouts: [aRollout({ served: COHORT_OF_ANNA })] }, [{ ...here, served: COHORT_OF_ANNA }]],
	["an event as the phase begins", { rollouts: [later], atMs: 5_000 }, [{ ...here, stage: 2, served: 20_000 }]],
	["an event from before the phase, at the share served then", { rollouts: [later], atMs: 4_999 }, [here]],
	["an event as the phase before began", { rollouts: [later], atMs: 2_000 }, [here]],
	["an event from before the phase before: no stage's", { rollouts: [later], atMs: 1_999 }, []],
	["an event as the rollout begins", { atMs: 1_000 }, [here]],
	["an event from before the rollout", { atMs: 999 }, []],
	["an event from before the rollout, without an attribute", { flags: [swissOnly], atMs: 999 }, []],
	["a user without a key", { context: {} }, []],
	["a user served by a rule", { flags: [swissOnly], context: inSwitzerland }, []],
	["a user whom no rule matches", { flags: [swissOnly], context: inAustria }, [here]],
	["a user without the attribute that a rule looks at", { flags: [swissOnly] }, [unattributed]],
	["a user whose attribute is null", { flags: [swissOnly], context: { targetingKey: "anna", country: null } }, [unattributed]],
	["a user whose attribute is false", { flags: [swissOnly], context: { targetingKey: "anna", country: false } }, [here]],
	["a user whose attribute is empty", { flags: [swissOnly], context: { targetingKey: "anna", country: "" } }, [here]],
	[
		"a user of the candidate without an attribute",
		{ flags: [swissOnly], rollouts: [aRollout({ served: BUCKETS })] },
		[{ ...unattributed, served: BUCKETS }],
	],
	["without an attribute, before the phase", { flags: [swissOnly], rollouts: [later], atMs: 4_999 }, [unattributed]],
	["without a key and an attribute", { flags: [swissOnly], context: {} }, []],
	[
		"a rule that serves without the attribute of the next one",
		{
			flags: [aFlag({ rules: [aRule(), aRule({ id: "beta", when: { attribute: "beta", op: "in", values: [true] } })] })],
			context: inSwitzerland,
		},
		[],
	],
	[
		"one flag without its attribute, the other one by the rollout",
		{ flags: [swissOnly, search], rollouts: [aRollout({ flags: both })] },
		[here],
	],
	[
		"the flag without its attribute, named by the event",
		{ flags: [swissOnly, search], rollouts: [aRollout({ flags: both })], flag: "checkout" },
		[unattributed],
	],
	[
		"both flags without their attributes count once",
		{ flags: [swissOnly, aFlag({ key: "search", salt: "search", rules: [aRule()] })], rollouts: [aRollout({ flags: both })] },
		[unattributed],
	],
	["a user of an overlaid rollout", { overlay: anOverlay({ baseline: ["checkout.1"] }) }, []],
	["a killed flag", { overlay: anOverlay({ kill: ["checkout"] }) }, []],
	["a disabled flag", { flags: [aFlag({ enabled: false })] }, []],
	["a flag whose snapshot line is missing", { flags: [search] }, []],
	["an event that names the rollout's flag", { flag: "checkout" }, [here]],
	["an event that names another flag", { flag: "search" }, []],
	["an event that names an inherited property", { flag: "constructor" }, []],
	["two flags of one cohort count once", { flags: [checkout, search], rollouts: [aRollout({ flags: both })] }, [here]],
	[
		"one flag by a rule, the other one by the rollout",
		{ flags: [swissOnly, search], rollouts: [aRollout({ flags: both })], context: inSwitzerland },
		[here],
	],
	[
		"one flag by a rule, and the event names it",
		{ flags: [swissOnly, search], rollouts: [aRollout({ flags: both })], context: inSwitzerland, flag: "checkout" },
		[],
	],
	[
		"two rollouts, each with its own buckets",
		{ flags: [checkout, search], rollouts: [aRollout(), aRollout({ key: "search.1", flags: { search: "true" }, served: BUCKETS })] },
		[here, { rollout: "search.1", stage: 1, served: BUCKETS, arm: "candidate", unit: "anna" }],
	],
	["no rollout", { rollouts: [] }, []],
])("%s", (_, given, expected) => expect(attributed(given)).toEqual(expected));
