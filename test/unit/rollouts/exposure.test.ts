import { expect, test } from "vitest";
import { candidateOf, liveRollout } from "../../../core/rollouts/exposure";
import { ENDED, aPlan, aSecondPhase, aState, pausedState } from "./fixtures";

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
