import { expect, test } from "vitest";
import { candidateOf, hasRisen, liveRollout } from "../../../core/rollouts/exposure";
import { rolloutState } from "../../../core/rollouts/state";
import { enterPhase } from "../../../core/rollouts/transitions";
import { ENDED, aPhase, aPlan, aSecondPhase, aState, pausedState } from "./fixtures";

const candidates = { checkout: "true" };

test("a running rollout serves its phase's share, and remembers the share before", () => {
	expect(liveRollout("checkout.1", aPlan(), aSecondPhase({ sinceMs: 42 }))).toEqual({
		key: "checkout.1",
		flags: candidates,
		served: 20_000,
		phase: "phase_2",
		stage: 2,
		sinceMs: 42,
		before: { stage: 1, served: 5_000, sinceMs: 0 },
		excluded: { keys: [], segments: [] },
		retreats: false,
		signals: [
			{
				key: "error",
				metric: "error",
				slot: 0,
				harm: { candidate: { op: "equals", value: 1 }, control: { op: "equals", value: 1 } },
			},
		],
		scored: [],
	});
});

test("the last phase leaves the holdback on the baseline", () => {
	expect(liveRollout("checkout.1", aPlan(), aState({ phase: 2 }))?.served).toBe(95_000);
	expect(liveRollout("checkout.1", aPlan({ holdback: 0 }), aState({ phase: 2 }))?.served).toBe(100_000);
});

test("who is excluded and whether it retreats ride along", () => {
	const plan = aPlan({ exclude: { keys: ["anna"], segments: ["staff"] }, on_control_loss: "retreat" });
	expect(liveRollout("checkout.1", plan, aState())).toMatchObject({
		excluded: { keys: ["anna"], segments: ["staff"] },
		retreats: true,
		served: 5_000,
	});
});

test("a paused rollout keeps serving where it stopped", () => {
	expect(liveRollout("checkout.1", aPlan(), pausedState())).toEqual(liveRollout("checkout.1", aPlan(), aState()));
});

test.each([{ status: "draft" } as const, ...ENDED])("a rollout that is $status serves nothing", (state) => {
	expect(liveRollout("checkout.1", aPlan(), state)).toBeUndefined();
});

test("the candidate is the plan's, or true", () => {
	expect(candidateOf(aPlan())).toBe("true");
	expect(candidateOf(aPlan({ candidate: "new" }))).toBe("new");
});

const ringPlan = aPlan({
	holdback: 0,
	phases: [
		aPhase({ percent: 50, audience: "internal" }),
		aPhase({ percent: 10, audience: "beta" }),
		aPhase({ percent: 20 }),
		aPhase({ percent: 100 }),
	],
});
const ringsAt = (change: Parameters<typeof aState>[0]) => liveRollout("checkout.1", ringPlan, aState(change, ringPlan))?.rings;

test.each<[string, Parameters<typeof aState>[0], object | undefined]>([
	["the first ring alone", { phase: 0 }, [{ segment: "internal", served: 50_000 }]],
	[
		"each ring goes on with what it had",
		{ phase: 1 },
		[
			{ segment: "internal", served: 50_000 },
			{ segment: "beta", served: 10_000 },
		],
	],
	[
		"a ring that everybody has caught up with is no ring any more",
		{ phase: 2 },
		[
			{ segment: "internal", served: 50_000 },
			{ segment: null, served: 20_000 },
		],
	],
	["at the end everybody is served alike", { phase: 3 }, undefined],
	["a baseline is measured among those who are served first", { phase: -1 }, [{ segment: "internal", served: 0 }]],
	[
		"a baseline before a later phase is measured among all of its users",
		{ phase: -1, fromPhase: 1 },
		[
			{ segment: "internal", served: 0 },
			{ segment: "beta", served: 0 },
		],
	],
	[
		"on the way back no ring is served more than the stage",
		{ phase: 1, lowered: { percent: 5, sinceMs: 0 } },
		[
			{ segment: "internal", served: 5_000 },
			{ segment: "beta", served: 5_000 },
		],
	],
	[
		"a retreat serves no ring",
		{ phase: 1, retreated: true },
		[
			{ segment: "internal", served: 0 },
			{ segment: "beta", served: 0 },
		],
	],
])("rings: %s", (_, change, expected) => expect(ringsAt(change)).toEqual(expected));

test("flags that join later are in from their phase on, those that went back are out, and what was before is remembered", () => {
	const plan = aPlan({ flags: ["a", "b", "c"], phases: [aPhase(), aPhase({ percent: 20, flags: ["b", "c"] }), aPhase({ percent: 100 })] });
	const flagsAt = (state: ReturnType<typeof aState>) => Object.keys(liveRollout("checkout.1", plan, state)?.flags ?? {});
	const first = aState({}, plan);
	expect(flagsAt(first)).toEqual(["a"]);
	const second = enterPhase(plan, first, 1, 1_000);
	expect(flagsAt(second)).toEqual(["a", "b", "c"]);
	expect(second.before).toMatchObject({ stage: 1, flags: ["a"] });
	expect(rolloutState.parse(JSON.parse(JSON.stringify(second)))).toEqual(second);
	const third = enterPhase(plan, { ...second, dropped: ["b"] }, 2, 2_000);
	expect(flagsAt(third)).toEqual(["a", "c"]);
	expect(third.before).not.toHaveProperty("flags");
});

test.each<[string, Parameters<typeof aState>[0], boolean]>([
	["without anything before", { phase: 0 }, false],
	[
		"in a ring that is served for the first time, though less than another one",
		{ phase: 1, before: beforeOf([["internal", 50_000]]) },
		true,
	],
	[
		"when a ring joined before",
		{
			phase: 1,
			before: beforeOf([
				["internal", 50_000],
				["beta", 10_000],
			]),
		},
		false,
	],
	[
		"on the way back",
		{
			phase: 1,
			lowered: { percent: 5, sinceMs: 0 },
			before: beforeOf([
				["internal", 50_000],
				["beta", 10_000],
			]),
		},
		false,
	],
	["after a retreat", { phase: 2, before: { stage: 1, served: 0, sinceMs: 0 } }, true],
])("whether somebody is served more than before: %s", (_, change, expected) => {
	expect(hasRisen(ringPlan, aState(change, ringPlan))).toBe(expected);
});

function beforeOf(rings: readonly (readonly [segment: string, served: number])[]) {
	return { stage: 1, served: rings.at(-1)?.[1] ?? 0, sinceMs: 0, rings: rings.map(([segment, served]) => ({ segment, served })) };
}
