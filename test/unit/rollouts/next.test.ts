import { describe, expect, test } from "vitest";
import { nextOf } from "../../../core/rollouts/next";
import type { Plan } from "../../../core/rollouts/plan";
import type { LiveState } from "../../../core/rollouts/state";
import { FIRST_LAUNCH, scheduled, validating } from "../../../core/rollouts/transitions";
import { aResult } from "../checks/fixtures";
import { ENDED, LAST_TICK_MS, MINUTE_MS, NOW_MS, aPhase, aPlan, aState, pausedState } from "./fixtures";

const smoke = { name: "smoke", http: "https://origin.example/health", critical: true };
const result = (status: "passed" | "failed") => aResult({ status, atMs: NOW_MS });
const next = (plan: Plan, state: Parameters<typeof nextOf>[1], results: Parameters<typeof nextOf>[2] = []) =>
	nextOf(plan, state, results, NOW_MS);
/** A second phase with everything that one can wait for. */
const guarded = aPlan({
	phases: [
		aPhase({ flags: ["checkout"] }),
		aPhase({ percent: 20, audience: "beta", flags: ["search"], approval: { approvers: 2 }, not_before: { day: 3 }, checks: [smoke] }),
		aPhase({ percent: 100 }),
	],
	flags: ["checkout", "search"],
});

describe("what comes next", () => {
	test("is the next phase: how many, who, and the flags that join; and after the last one the end", () => {
		expect(next(guarded, aState({}, guarded))).toMatchObject({
			kind: "phase",
			phase: "phase_2",
			percent: 20,
			audience: "beta",
			flags: ["search"],
		});
		const last = aPlan({ target_percent: 50, phases: [aPhase(), aPhase({ percent: 50 })] });
		expect(next(last, aState({ phase: 1 }, last))).toMatchObject({ kind: "complete", phase: null, percent: 50, audience: null, flags: [] });
	});

	test("waits for all that holds it, each named", () => {
		const state = aState({ extendedMs: 5 * MINUTE_MS, author: "ann", approvals: [{ by: "bob", atMs: 1, reason: "" }] }, guarded);
		expect(next(guarded, state)).toMatchObject({
			holdLeftMs: 5 * MINUTE_MS,
			notBeforeMs: 2 * 24 * 60 * MINUTE_MS,
			approvals: { needed: 2, given: ["bob"], author: "ann" },
			waitsFor: ["time", "hold", "approval"],
		});
	});

	test("once the hold is served names the checks that have not passed", () => {
		const later = { ...aState({}, guarded), sinceMs: NOW_MS - MINUTE_MS };
		expect(next(guarded, later)).toMatchObject({ checks: ["smoke"], waitsFor: ["time", "checks", "approval"] });
		expect(next(guarded, later, [result("failed")])).toMatchObject({ checks: ["smoke"] });
		expect(next(guarded, later, [result("passed")])).toMatchObject({ checks: [], waitsFor: ["time", "approval"] });
	});

	test("waits for nothing that could be named where evidence alone is missing, and for a person where nothing advances by itself", () => {
		expect(next(aPlan(), aState())).toMatchObject({ holdLeftMs: 0, waitsFor: [] });
		expect(next(aPlan(), aState({ manual: true }))).toMatchObject({ waitsFor: ["person"] });
	});

	test("after the baseline is the phase that it was started with", () => {
		const plan = aPlan({ guards: ["latency_ms p95 vs baseline <= +20%"] });
		const state = aState({ phase: -1, fromPhase: 1, manual: true, watch: { heldMs: 4 * MINUTE_MS } }, plan);
		expect(next(plan, state)).toMatchObject({ phase: "phase_2", flags: ["checkout"], holdLeftMs: 6 * MINUTE_MS, waitsFor: ["hold"] });
	});

	test("of what is scheduled is its first phase at its time, with all that must pass before", () => {
		const plan = aPlan({ phases: [aPhase({ approval: "manual" })], checks: [smoke] });
		const at = NOW_MS + MINUTE_MS;
		const state = scheduled({ ...FIRST_LAUNCH, author: "ann" }, at, "ann");
		expect(next(plan, state)).toMatchObject({
			kind: "phase",
			phase: "phase_1",
			percent: 5,
			flags: ["checkout"],
			notBeforeMs: at,
			approvals: { needed: 1, given: [], author: "ann" },
			checks: ["smoke"],
			waitsFor: ["time", "checks", "approval"],
		});
	});

	test("of what is validated waits for its checks and approvals", () => {
		const plan = aPlan({ phases: [aPhase({ approval: "manual" })], checks: [smoke] });
		const state = validating(FIRST_LAUNCH, LAST_TICK_MS, "ann");
		expect(next(plan, state)).toMatchObject({ notBeforeMs: null, checks: ["smoke"], waitsFor: ["checks", "approval"] });
		const approved = { ...state, approvals: [{ by: "bob", atMs: 1, reason: "" }] };
		expect(next(plan, approved, [result("passed")])).toMatchObject({ approvals: { given: ["bob"] }, checks: [], waitsFor: [] });
	});

	test("on the way back is the stage below, each as long as the plan says, and at last the baseline", () => {
		const back = (stages: number[]) =>
			({
				...aState({ lowered: { percent: 75, sinceMs: NOW_MS - MINUTE_MS } }),
				status: "rolling_back",
				stages,
				by: "engine",
				reason: "harm",
				trigger: "harm_proven",
			}) as LiveState;
		expect(next(aPlan(), back([50, 0]))).toMatchObject({
			kind: "lower",
			phase: null,
			percent: 50,
			notBeforeMs: NOW_MS + 9 * MINUTE_MS,
			waitsFor: ["time"],
		});
		expect(next(aPlan(), back([0]))).toMatchObject({ kind: "roll_back", percent: 0 });
		expect(next(aPlan(), back([]))).toMatchObject({ kind: "roll_back", percent: 0 });
	});

	test.each([{ status: "draft" } as const, pausedState(), ...ENDED])("is nothing by itself: $status", (state) => {
		expect(next(aPlan(), state)).toBeNull();
	});
});
