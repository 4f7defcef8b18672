import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { BUCKETS } from "../../../core/flags/bucket";
import { type Resolution, evaluate } from "../../../core/flags/evaluate";
import { type Flag, checkFlag } from "../../../core/flags/model";
import { NO_OVERLAY } from "../../../core/flags/overlay";
import { bucketsOf } from "../../../core/flags/snapshot";
import { completedFlag, leavesSplits, rulesAdded } from "../../../core/rollouts/completion";
import { liveRollout } from "../../../core/rollouts/exposure";
import { type Plan, holdbackOf } from "../../../core/rollouts/plan";
import type { LiveState } from "../../../core/rollouts/state";
import { aFlag, aRule, aSegment, anEnvironment, open } from "../flags/fixtures";
import { aPhase, aPlan, aState } from "./fixtures";

const ROLLOUT = "checkout.1";
const USERS = Array.from({ length: 400 }, (_, i) => `user-${i}`);
const among = (of: number, rest: number): string[] => USERS.filter((_, i) => i % of === rest);
const segments = [
	aSegment({ key: "internal", keys: among(7, 0) }),
	aSegment({ key: "beta", keys: among(3, 0) }),
	aSegment({ key: "pro", when: { attribute: "plan", op: "in", values: ["pro"] } }),
	aSegment({ key: "staff", keys: among(11, 0) }),
];
const contextOf = (user: string, i: number) => ({
	targetingKey: user,
	...(i % 2 === 0 ? { plan: i % 4 === 0 ? "pro" : "free" } : {}),
	country: i % 5 === 0 ? "CH" : "AT",
});

const answers = (flag: Flag, live: ReturnType<typeof liveRollout>): Resolution[] => {
	const snapshot = open(anEnvironment({ flags: [flag], segments, rollouts: live ? [live] : [] }));
	return USERS.map((user, i) => evaluate(snapshot, NO_OVERLAY, flag.key, contextOf(user, i)));
};
const variantOf = (answer: Resolution | undefined): string => (answer && "variant" in answer ? answer.variant : "none");
const lastOf = (plan: Plan, change: Partial<LiveState> = {}): LiveState =>
	({ ...aState({ phase: plan.phases.length - 1, stage: plan.phases.length }, plan), ...change }) as LiveState;

const target = fc.constantFrom(100, 100, 60, 5.125);
const audience = fc.constantFrom(undefined, "internal", "beta", "pro");
const aRing = fc.record({ audience, percent: fc.constantFrom(1, 5, 20, 50, 60, 97, 100) });

/** Plans as checkPlan lets them through: nobody is served less in a later phase, and the last one reaches the target. */
const somePlan: fc.Arbitrary<Plan> = fc
	.record({
		rings: fc.array(aRing, { maxLength: 4 }),
		last: audience,
		target,
		holdback: fc.constantFrom(0, 5, 10),
		exclude: fc.record({
			keys: fc.subarray(["user-1", "user-3", "user-14"]),
			segments: fc.subarray(["staff", "pro"]),
		}),
	})
	.map(({ rings, last, target: target_percent, ...change }) => {
		const phases = rings
			.map((each) => ({ ...each, percent: Math.min(each.percent, target_percent) }))
			.sort((a, b) => a.percent - b.percent)
			.concat({ audience: last, percent: target_percent })
			.map(({ audience: who, percent }) => aPhase({ percent, ...(who === undefined ? {} : { audience: who }) }));
		return aPlan({ ...change, target_percent, phases });
	});
const someFlag: fc.Arbitrary<Flag> = fc.constantFrom(
	aFlag(),
	aFlag({ rules: [aRule()] }),
	aFlag({ targets: [{ variant: "true", keys: ["user-2"] }], rules: [aRule({ when: { segment: "beta" } })] }),
);
const someExcluded: fc.Arbitrary<LiveState["excluded"]> = fc.constantFrom(
	{ keys: [], segments: [] },
	{ keys: ["user-8", "user-1"], segments: ["internal"] },
);

test("no user moves when a rollout completes, except that a holdback ends", () => {
	let held = 0;
	fc.assert(
		fc.property(somePlan, someFlag, someExcluded, (plan, flag, excluded) => {
			const state = lastOf(plan, { excluded });
			const before = answers(flag, liveRollout(ROLLOUT, plan, state));
			const after = answers(completedFlag(flag, ROLLOUT, plan, state), undefined);
			const limit = BUCKETS - bucketsOf(holdbackOf(plan));
			before.forEach((each, i) => {
				const isHeldBack = each.metadata.rollout !== undefined && (each.metadata.bucket ?? -1) >= limit;
				if (isHeldBack) held++;
				else expect([USERS[i], variantOf(after[i])]).toEqual([USERS[i], variantOf(each)]);
			});
		}),
		{ numRuns: 150 },
	);
	expect(held).toBeGreaterThan(0);
});

test("what completion leaves is a flag as anybody could have written it, within the rules that were allowed for", () => {
	fc.assert(
		fc.property(
			somePlan,
			someFlag,
			someExcluded,
			fc.constantFrom(ROLLOUT, `${"a-very-long-name".repeat(4).slice(0, 57)}.12345`),
			(plan, flag, excluded, rollout) => {
				const done = completedFlag(flag, rollout, plan, { excluded });
				expect(checkFlag(done)).toEqual([]);
				expect(done.rules.length - flag.rules.length).toBeLessThanOrEqual(rulesAdded(plan));
				expect(done.rules.every(({ id }) => id.length <= 63)).toBe(true);
				const splits = [done.fallthrough, ...done.rules.map(({ serve }) => serve)].some((each) => typeof each !== "string");
				expect(splits).toBe(leavesSplits(plan));
				expect(done.salt).toBe(splits ? rollout : flag.salt);
			},
		),
	);
});

describe("a holdback", () => {
	test("ends: everybody is served the candidate", () => {
		const plan = aPlan();
		expect(holdbackOf(plan)).toBe(5);
		expect(completedFlag(aFlag(), ROLLOUT, plan, { excluded: { keys: [], segments: [] } })).toEqual(aFlag({ fallthrough: "true" }));
	});
});

test("a target below 100 % leaves a split by the rollout's own buckets", () => {
	const plan = aPlan({ target_percent: 20, phases: [aPhase({ percent: 20 })] });
	expect(completedFlag(aFlag(), ROLLOUT, plan, { excluded: { keys: [], segments: [] } })).toEqual(
		aFlag({
			salt: ROLLOUT,
			fallthrough: [
				{ variant: "true", weight: 20_000 },
				{ variant: "false", weight: 80_000 },
			],
		}),
	);
});

test("a segment and a list of excluded users keep rules of their own, though one is called like the other", () => {
	const plan = aPlan({
		target_percent: 50,
		exclude: { keys: ["anna"], segments: [] },
		phases: [aPhase({ percent: 50, audience: "excluded" })],
	});
	const done = completedFlag(aFlag(), ROLLOUT, plan, { excluded: { keys: [], segments: [] } });
	expect(done.rules.map(({ id, when }) => [id, when])).toEqual([
		["checkout.1 excluded", { any: [{ attribute: "targetingKey", op: "in", values: ["anna"] }] }],
		["1 checkout.1 excluded", { segment: "excluded" }],
	]);
	expect(done.fallthrough).toBe("false");
	expect(checkFlag(done)).toEqual([]);
});

test("thousands of excluded users fit into conditions of a thousand each", () => {
	const keys = Array.from({ length: 2_500 }, (_, i) => `user-${i}`);
	const [rule] = completedFlag(aFlag(), ROLLOUT, aPlan(), { excluded: { keys, segments: [] } }).rules;
	const any = rule && "any" in rule.when ? rule.when.any : [];
	expect(any.map((each) => ("values" in each ? each.values.length : 0))).toEqual([1_000, 1_000, 500]);
});

test("a flag that splits its fallthrough has no baseline, and is not touched", () => {
	const split = aFlag({ fallthrough: [{ variant: "true", weight: BUCKETS }] });
	expect(() => completedFlag(split, ROLLOUT, aPlan(), { excluded: { keys: [], segments: [] } })).toThrow("splits its fallthrough");
});
