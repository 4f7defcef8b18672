import { expect, test } from "vitest";
import { type Attribution, attribute } from "../../../core/flags/attribution";
import { BUCKETS, bucketOf, seedOf } from "../../../core/flags/bucket";
import type { Context } from "../../../core/flags/match";
import { NO_OVERLAY, type ActiveOverlay } from "../../../core/flags/overlay";
import type { Flag } from "../../../core/flags/model";
import type { LiveRollout } from "../../../core/flags/snapshot";
import { type TestSegment, aFlag, aRollout, aRule, aSegment, anEnvironment, anOverlay, open } from "./fixtures";

const COHORT_OF_ANNA = bucketOf("anna", seedOf("checkout.1"));

interface Given {
	readonly flags?: readonly Flag[];
	readonly segments?: readonly TestSegment[];
	readonly rollouts?: readonly LiveRollout[];
	readonly overlay?: ActiveOverlay;
	readonly context?: Context;
	readonly flag?: string;
	readonly atMs?: number;
}

function attributed(given: Given): Attribution[] {
	const {
		flags = [aFlag()],
		segments = [],
		rollouts = [aRollout()],
		overlay = NO_OVERLAY,
		context = { targetingKey: "anna" },
		flag,
		atMs = 5_000,
	} = given;
	return attribute(open(anEnvironment({ flags, segments, rollouts })), overlay, { flag, context, atMs });
}

/** Without what measures it, which has a test of its own. */
function placesOf(given: Given): Omit<Attribution, "by">[] {
	return attributed(given).map((attribution) => {
		const { by: _, ...place } = attribution;
		return place;
	});
}

const both = { checkout: "true", search: "true" };
const checkout = aFlag();
const search = aFlag({ key: "search", salt: "search" });
const swissOnly = aFlag({ rules: [aRule()] });
const targeted = aFlag({ targets: [{ variant: "true", keys: ["anna"] }] });
const inSwitzerland = { targetingKey: "anna", country: "CH" };
const inAustria = { targetingKey: "anna", country: "AT" };
const later = aRollout({ served: 20_000, stage: 2, sinceMs: 5_000, before: { stage: 1, served: 5_000, sinceMs: 2_000 } });
const here = { rollout: "checkout.1", stage: 1, served: 5_000, arm: "control", unit: "anna", flag: "checkout", variant: "false" } as const;
const onCandidate = { ...here, arm: "candidate", variant: "true" } as const;
const bySearch = { ...here, flag: "search" } as const;
const unattributed = { ...here, arm: "unattributed", unit: "", flag: "", variant: "" } as const;

test.each<[string, Given, object[]]>([
	["a user of the baseline", {}, [here]],
	["a user of the candidate", { rollouts: [aRollout({ served: COHORT_OF_ANNA + 1 })] }, [{ ...onCandidate, served: COHORT_OF_ANNA + 1 }]],
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
	["a targeted user", { flags: [targeted] }, []],
	["a targeted user of the candidate", { flags: [targeted], rollouts: [aRollout({ served: BUCKETS })] }, []],
	["a user beside one who is targeted", { flags: [targeted], context: { targetingKey: "bob" } }, [{ ...here, unit: "bob" }]],
	["an excluded user", { rollouts: [aRollout({ excluded: { keys: ["anna"], segments: [] } })] }, []],
	[
		"a user of an excluded segment",
		{ segments: [aSegment({ keys: ["anna"] })], rollouts: [aRollout({ excluded: { keys: [], segments: ["friends"] } })] },
		[],
	],
	[
		"a user beside an excluded segment",
		{ segments: [aSegment({ keys: ["bob"] })], rollouts: [aRollout({ excluded: { keys: [], segments: ["friends"] } })] },
		[here],
	],
	[
		"a user without the attribute of an excluded segment",
		{
			segments: [aSegment({ when: { attribute: "country", op: "in", values: ["CH"] } })],
			rollouts: [aRollout({ excluded: { keys: [], segments: ["friends"] } })],
		},
		[unattributed],
	],
	[
		"an excluded segment that cannot be read: everybody is behind, nobody is evidence",
		{ rollouts: [aRollout({ served: BUCKETS, excluded: { keys: [], segments: ["gone"] } })] },
		[],
	],
	[
		"one flag without its attribute, the other one by the rollout",
		{ flags: [swissOnly, search], rollouts: [aRollout({ flags: both })] },
		[bySearch],
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
	[
		"a user of the candidate whom an overlay moved back",
		{ rollouts: [aRollout({ served: BUCKETS })], overlay: anOverlay({ baseline: ["checkout.1"] }) },
		[],
	],
	["a user beside another rollout's overlay", { overlay: anOverlay({ baseline: ["search.1"] }) }, [here]],
	["a killed flag", { overlay: anOverlay({ kill: ["checkout"] }) }, []],
	["a disabled flag", { flags: [aFlag({ enabled: false })] }, []],
	["a flag whose snapshot line is missing", { flags: [search] }, []],
	["an event that names the rollout's flag", { flag: "checkout" }, [here]],
	["an event that names another flag", { flag: "search" }, []],
	["an event that names an inherited property", { flag: "constructor" }, []],
	["two flags of one cohort count once", { flags: [checkout, search], rollouts: [aRollout({ flags: both })] }, [here]],
	[
		"two flags of one cohort, and the event names the second",
		{ flags: [checkout, search], rollouts: [aRollout({ flags: both })], flag: "search" },
		[bySearch],
	],
	[
		"one flag by a rule, the other one by the rollout",
		{ flags: [swissOnly, search], rollouts: [aRollout({ flags: both })], context: inSwitzerland },
		[bySearch],
	],
	[
		"one flag by a rule, and the event names it",
		{ flags: [swissOnly, search], rollouts: [aRollout({ flags: both })], context: inSwitzerland, flag: "checkout" },
		[],
	],
	[
		"two rollouts, each with its own buckets",
		{ flags: [checkout, search], rollouts: [aRollout(), aRollout({ key: "search.1", flags: { search: "true" }, served: BUCKETS })] },
		[here, { ...onCandidate, rollout: "search.1", served: BUCKETS, flag: "search" }],
	],
	["no rollout", { rollouts: [] }, []],
])("%s", (_, given, expected) => expect(placesOf(given)).toEqual(expected));

const measured = aFlag({ measured: true });
const banner = aFlag({ key: "banner", salt: "banner", measured: true });
const outside = { rollout: "", stage: 0, served: 0, arm: "outside", flag: "checkout", variant: "false", unit: "anna" } as const;
const ofBanner = { ...outside, flag: "banner" } as const;

test.each<[string, Given, object[]]>([
	["without any rollout", { flags: [measured], rollouts: [] }, [outside]],
	[
		"by a rule, with what it serves",
		{ flags: [aFlag({ measured: true, rules: [aRule()] })], context: inSwitzerland },
		[{ ...outside, variant: "true" }],
	],
	["by a target", { flags: [aFlag({ ...targeted, measured: true })] }, [{ ...outside, variant: "true" }]],
	["when it is disabled", { flags: [aFlag({ measured: true, enabled: false })], rollouts: [] }, [outside]],
	["when it is killed", { flags: [measured], overlay: anOverlay({ kill: ["checkout"] }) }, [outside]],
	["when its rollout is overlaid", { flags: [measured], overlay: anOverlay({ baseline: ["checkout.1"] }) }, [outside]],
	["of an excluded user", { flags: [measured], rollouts: [aRollout({ excluded: { keys: ["anna"], segments: [] } })] }, [outside]],
	["of a user without a key, who is nobody in particular", { flags: [measured], context: {} }, [{ ...outside, unit: "" }]],
	["in its rollout as evidence, and then not beside it", { flags: [measured] }, [here]],
	["in its rollout without an attribute, and then not beside it", { flags: [aFlag({ measured: true, rules: [aRule()] })] }, [unattributed]],
	["beside another flag's rollout", { flags: [checkout, banner] }, [here, ofBanner]],
	["not when the event names another flag", { flags: [checkout, banner], flag: "checkout" }, [here]],
	["alone when the event names it", { flags: [checkout, banner], flag: "banner" }, [ofBanner]],
	["each of several", { flags: [measured, banner], rollouts: [] }, [ofBanner, outside]],
	["not when it is not measured", { flags: [checkout], rollouts: [] }, []],
	["not when it cannot be read", { flags: [aFlag({ measured: true, offVariant: "gone" })], rollouts: [] }, []],
	[
		"when a prerequisite is not met",
		{ flags: [aFlag({ measured: true, prerequisites: [{ flag: "search", variants: ["true"] }] }), search] },
		[outside],
	],
])("a measured flag counts outside a rollout, once: %s", (_, given, expected) => expect(placesOf(given)).toEqual(expected));

test("evidence says what measures it, and what is outside a rollout is measured by none", () => {
	const isHarm = { op: "equals", value: 1 } as const;
	const signals = [{ key: "error", metric: "error", slot: 0, harm: { candidate: isHarm, control: isHarm } }];
	const [evidence, beside] = attributed({ flags: [checkout, banner], rollouts: [aRollout({ signals, scored: ["latency_ms"] })] });
	expect(evidence?.by).toMatchObject({ key: "checkout.1", flags: ["checkout"], signals, scored: ["latency_ms"] });
	expect(beside?.by).toBeUndefined();
});

test("flags that the client may not see are nobody's evidence", () => {
	const snapshot = open(anEnvironment({ flags: [checkout, search, banner], rollouts: [aRollout({ flags: both })] }));
	const event = { flag: undefined, context: { targetingKey: "anna" }, atMs: 5_000 };
	const seen = (...visible: readonly string[]) =>
		attribute(snapshot, NO_OVERLAY, event, (flag) => visible.includes(flag)).map(({ arm, flag }) => [arm, flag]);
	expect(seen("checkout", "search", "banner")).toEqual([
		["control", "checkout"],
		["outside", "banner"],
	]);
	expect(seen("search")).toEqual([["control", "search"]]);
	expect(seen("banner")).toEqual([["outside", "banner"]]);
	expect(seen()).toEqual([]);
});

const internal = aSegment({ key: "internal", keys: ["anna"] });
const beta = aSegment({ key: "beta", keys: ["anna", "bob"] });
const pro = aSegment({ key: "pro", when: { attribute: "plan", op: "in", values: ["pro"] } });
const inRings = (...rings: readonly (readonly [segment: string | null, served: number])[]) =>
	rings.map(([segment, served]) => ({ segment, served }));
const ringed = aRollout({
	served: 20_000,
	rings: inRings(["internal", 50_000], ["beta", 20_000]),
	stage: 2,
	sinceMs: 5_000,
	before: { stage: 1, served: 50_000, sinceMs: 2_000, rings: inRings(["internal", 50_000]) },
});
const armAt = (served: number, user = "anna") => (bucketOf(user, seedOf("checkout.1")) < served ? onCandidate : here);
const byBob = { targetingKey: "bob" };

test.each<[string, Given, object[]]>([
	["is of its user's ring, whatever the newest one serves", {}, [{ ...armAt(50_000), stage: 2, served: 50_000 }]],
	[
		"is of the newest ring for those who are only in that",
		{ context: byBob },
		[{ ...armAt(20_000, "bob"), unit: "bob", stage: 2, served: 20_000 }],
	],
	["is none of a user in no ring", { context: { targetingKey: "carl" } }, []],
	["from before the phase is of the ring that there was", { atMs: 4_999 }, [{ ...armAt(50_000), stage: 1, served: 50_000 }]],
	["from before the user's ring joined is none", { context: byBob, atMs: 4_999 }, []],
	[
		"from before there were rings is of what everybody was served",
		{ rollouts: [{ ...ringed, before: { stage: 1, served: 1_000, sinceMs: 2_000 } }], context: byBob, atMs: 4_999 },
		[{ ...armAt(1_000, "bob"), unit: "bob", stage: 1, served: 1_000 }],
	],
	[
		"without the attribute of a ring's segment is shown: with it the user might be in the ring",
		{ rollouts: [aRollout({ rings: inRings(["pro", 5_000]) })] },
		[unattributed],
	],
	[
		"of a user who is known not to be in a ring is none",
		{ rollouts: [aRollout({ rings: inRings(["pro", 5_000]) })], context: { ...byBob, plan: "free" } },
		[],
	],
	["by a ring that cannot be read is none", { rollouts: [aRollout({ rings: inRings(["gone", BUCKETS]) })] }, []],
])("in a rollout that goes ring by ring an event %s", (_, given, expected) => {
	expect(placesOf({ segments: [internal, beta, pro], rollouts: [ringed], ...given })).toEqual(expected);
});

/** As control numbers them. */
const numbered = [
	{ segment: "internal", served: 20_000, number: 1 },
	{ segment: "beta", served: 20_000, number: 2 },
	{ segment: null, served: 20_000, number: 3 },
];
test.each<[string, Given, object[]]>([
	["the first of those that serve as much", {}, [{ ...armAt(20_000), stage: 2, served: 20_000, ring: 1 }]],
	["another, though it serves no more than everybody gets", { context: byBob }, [{ ring: 2, served: 20_000, unit: "bob" }]],
	["that of everybody", { context: { targetingKey: "carl" } }, [{ ring: 3, served: 20_000, unit: "carl" }]],
	["none of before the phase", { atMs: 4_999 }, [{ arm: armAt(50_000).arm, stage: 1, served: 50_000 }]],
])("where rings are told apart an event bears the number of its user's: %s", (_, given, expected) => {
	const { rings: __, ...alike } = ringed;
	const found = placesOf({ segments: [internal, beta, pro], rollouts: [{ ...alike, numbered }], ...given });
	expect(found).toMatchObject(expected);
	expect(found.map((each) => "ring" in each)).toEqual(expected.map((each) => "ring" in each));
});

test("a measured flag of a user in no ring counts outside the rollout", () => {
	const given = {
		flags: [measured],
		segments: [internal],
		rollouts: [aRollout({ rings: inRings(["internal", BUCKETS]) })],
		context: byBob,
	};
	expect(placesOf(given)).toEqual([{ ...outside, unit: "bob" }]);
});

const joined = aRollout({ ...later, flags: both, before: { stage: 1, served: 5_000, sinceMs: 2_000, flags: ["checkout"] } });

test.each<[string, Given, object[]]>([
	["since it joined is evidence", { flag: "search" }, [{ ...bySearch, stage: 2, served: 20_000 }]],
	["from before it joined is none: everybody was on the baseline of it", { flag: "search", atMs: 4_999 }, []],
	["from before that names the flag that was there is evidence", { flag: "checkout", atMs: 4_999 }, [here]],
	["from before that names no flag is evidence by the flag that was there", { atMs: 4_999 }, [here]],
	[
		"from before that names no flag is none of a user whom a rule served that flag",
		{ flags: [swissOnly, search], context: inSwitzerland, atMs: 4_999 },
		[],
	],
])("of a flag that joined later an event %s", (_, given, expected) => {
	expect(placesOf({ flags: [checkout, search], rollouts: [joined], ...given })).toEqual(expected);
});

test("users whom a fuse has moved for a minute stay evidence of their arm; those whom anybody else has moved are none", () => {
	const moved = (source: string): ActiveOverlay => ({ kill: new Map(), baseline: new Map([["checkout.1", source]]) });
	const rollouts = [aRollout({ served: COHORT_OF_ANNA + 1 })];
	expect(placesOf({ rollouts, overlay: moved("fuse") })).toEqual([{ ...onCandidate, served: COHORT_OF_ANNA + 1 }]);
	expect(placesOf({ rollouts, overlay: moved("head") })).toEqual([]);
});

test("an event of a phase that nobody knows any more is shown, and one from before the rollout is not", () => {
	const third = aRollout({ served: 50_000, stage: 3, sinceMs: 5_000, before: { stage: 2, served: 20_000, sinceMs: 2_000 } });
	expect(placesOf({ rollouts: [third], atMs: 1_999 })).toMatchObject([{ arm: "unattributed", unit: "", stage: 3 }]);
	expect(placesOf({ rollouts: [later], atMs: 1_999 })).toEqual([]);
});
