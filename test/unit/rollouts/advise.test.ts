import { describe, expect, test } from "vitest";
import type { Observation } from "../../../core/health/observation";
import { advised } from "../../../core/rollouts/advise";
import { decide } from "../../../core/rollouts/decide";
import type { Change, Decision } from "../../../core/rollouts/decision";
import type { LiveState, RolloutState } from "../../../core/rollouts/state";
import { ENDED, MINUTE_MS, NOW_MS, aPlan, aSecondPhase, aState, anEvidence, pausedState } from "./fixtures";

const plan = aPlan();
const FAILED: Observation = { kind: "source_error", message: "timeout" };

function advice(state: RolloutState, seen: Observation = anEvidence(), now = NOW_MS): [taken: Decision, advised: Decision] {
	const taken = decide(plan, state, seen, now);
	return [taken, advised(taken, state)];
}

const OVERLOAD = anEvidence({ candidate: { harmedUsers: 200 }, control: { harmedUsers: 4_000 } });

describe("where the engine only advises", () => {
	test.each<[kind: Change["kind"], severity: "page" | "warn", says: string, state: LiveState, seen: Observation]>([
		["roll_back", "page", "would roll back: error_rate vs control", aState({ guard: { e: 81 } }), anEvidence()],
		["roll_back", "page", "would roll back: ", pausedState({ guard: { e: 81 } }), anEvidence()],
		["advance", "warn", "would advance: phase_1: held", aState(), anEvidence()],
		["complete", "warn", "would complete: phase_3: held", aState({ phase: 2, stage: 3 }), anEvidence()],
		["step_back", "warn", "would step back: ", aSecondPhase({ watch: { ticks: 0 } }), OVERLOAD],
		["pause", "warn", "would pause: metrics could not be read", aState({ watch: { failedReads: 4 } }), FAILED],
	])("a %s is told as a %s, and nobody is moved", (kind, severity, says, state, seen) => {
		const [taken, instead] = advice(state, seen);
		expect(taken.kind).toBe(kind);
		const { status, phase, stage, sinceMs, before } = state;
		expect(instead).toMatchObject({
			kind: "hold",
			reason: "advised",
			message: expect.stringContaining(says) as string,
			state: { status, phase, stage, sinceMs, before },
		});
		if (instead.kind !== "hold" || taken.kind === "none") throw new Error(instead.kind);
		expect(instead.alerts).toContainEqual({ severity, kind: `would_${kind}`, message: instead.message });
		expect(instead.judgement).toEqual(taken.judgement);
	});

	test("what was learnt is kept, so that nothing is counted twice", () => {
		const [, instead] = advice(aState());
		expect(instead).toMatchObject({ state: { watch: { watermark: "42", tickedAtMs: NOW_MS, heldMs: 11 * MINUTE_MS, ticks: 11 } } });
	});

	test("somebody is told once, for as long as it is advised", () => {
		const [, first] = advice(aState());
		if (first.kind !== "hold") throw new Error(first.kind);
		expect(first.alerts.map(({ kind }) => kind)).toEqual(["would_advance"]);
		const [, second] = advice(first.state, anEvidence(), NOW_MS + MINUTE_MS);
		expect(second).toMatchObject({ reason: "advised", alerts: [] });
		if (second.kind !== "hold") throw new Error(second.kind);
		const [held] = advice({ ...second.state, watch: { ...second.state.watch, heldMs: 0 } }, anEvidence(), NOW_MS + 2 * MINUTE_MS);
		if (held.kind !== "hold") throw new Error(held.kind);
		const ready = { ...held.state, watch: { ...held.state.watch, heldMs: 10 * MINUTE_MS } };
		const [, again] = advice(ready, anEvidence(), NOW_MS + 3 * MINUTE_MS);
		expect(again).toMatchObject({ reason: "advised", alerts: [{ kind: "would_advance" }] });
	});

	test("an alert that holds besides is neither lost nor told twice", () => {
		const [, first] = advice(aState({ watch: { failedReads: 4 } }), FAILED);
		expect(first).toMatchObject({ alerts: [{ kind: "source_error" }, { kind: "would_pause" }] });
		if (first.kind !== "hold") throw new Error(first.kind);
		const [, second] = advice(first.state, FAILED, NOW_MS + MINUTE_MS);
		expect(second).toMatchObject({ reason: "advised", alerts: [] });
	});

	test("what holds is told as it is", () => {
		const [taken, instead] = advice(aState({ watch: { heldMs: 0 } }));
		expect(instead).toBe(taken);
	});

	test.each(ENDED)("what has ended stays ended: %j", (state) => {
		expect(advice(state)[1]).toEqual({ kind: "none" });
	});

	test("a change that says nothing of what was learnt is held back as well, and learnt again", () => {
		const state = aState({ watch: { alerting: ["no_data.warn"] } });
		const change: Change = { kind: "advance", reason: "operator", message: "on", state: aSecondPhase(), judgement: null, alerts: [] };
		expect(advised(change, state)).toMatchObject({
			kind: "hold",
			state: { phase: 0, watch: { watermark: "41", alerting: ["no_data.warn", "would_advance.warn"] } },
		});
	});

	test("a start by the engine is held back without a word of state, since there is none yet", () => {
		const change: Change = { kind: "start", reason: "operator", message: "", state: aState(), judgement: null, alerts: [] };
		expect(advised(change, { status: "draft" })).toEqual({ kind: "none" });
	});
});
