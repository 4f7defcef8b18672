import { describe, expect, test } from "vitest";
import type { Evidence } from "../../../core/health/observation";
import { decide } from "../../../core/rollouts/decide";
import type { Decision } from "../../../core/rollouts/decision";
import { timeoutOf } from "../../../core/rollouts/plan";
import { MINUTE_MS, NOW_MS, aPhase, aPlan, aState, anEvidence, pausedState } from "./fixtures";

const HOUR_MS = 3_600_000;
type Change = NonNullable<Parameters<typeof aState>[0]>;

/** In its first phase for two hours, which may take one. */
function late(policy: string, change: Change = {}, seen: Evidence = anEvidence(), plan: Record<string, unknown> = {}): Decision {
	const of = aPlan({ phases: [aPhase({ timeout: { after: "1h", policy } }), aPhase({ percent: 100 })], ...plan });
	return decide(of, aState({ sinceMs: NOW_MS - 2 * HOUR_MS, ...change }, of), seen, NOW_MS);
}

const undoubled: Change = { guard: { doubling: [0, 0, 0, 0] } };
const suspected: Change = { guard: { e: 6 } };
const candidateOnly = anEvidence({ totals: [{ metric: "error", arm: "candidate", requests: 10, sum: 0 }] });
const beyond = anEvidence({ candidate: { users: 500, harmedUsers: 32 } });
const few = anEvidence({ candidate: { users: 20, harmedUsers: 0 } });
const withSatisfaction = {
	phases: [aPhase({ timeout: { after: "1h", policy: "rollback" }, criteria: ["satisfaction mean > 8"] }), aPhase({ percent: 100 })],
};
const withLatency = { guards: ["latency_ms p95 vs control <= +20%"] };

test("a phase may take four times its hold, at least an hour, unless the plan says otherwise", () => {
	const of = aPlan({
		phases: [aPhase({ hold: "2h" }), aPhase({ hold: "1m" }), aPhase({ percent: 100, timeout: { policy: "rollback" } })],
	});
	expect([0, 1, 2].map((phase) => timeoutOf(of, phase))).toEqual([
		{ afterMs: 8 * HOUR_MS, policy: "hold" },
		{ afterMs: HOUR_MS, policy: "hold" },
		{ afterMs: HOUR_MS, policy: "rollback" },
	]);
	expect(timeoutOf(aPlan({ phases: [aPhase({ percent: 100, timeout: "5m" })] }), 0)).toEqual({ afterMs: 5 * MINUTE_MS, policy: "hold" });
});

describe("hold", () => {
	test("tells somebody once, with what is in its way", () => {
		const first = late("hold", undoubled);
		expect(first).toMatchObject({
			kind: "hold",
			reason: "doubling_not_ruled_out",
			message: expect.stringContaining("phase_1 takes longer than 1h") as string,
			alerts: [{ severity: "warn", kind: "phase_timeout" }],
		});
		expect(late("hold", { ...undoubled, watch: { alerting: ["phase_timeout.warn"] } })).toMatchObject({ kind: "hold", alerts: [] });
	});

	test.each<[string, Change, Record<string, unknown>?]>([
		["has been extended", { ...undoubled, extendedMs: 2 * HOUR_MS + 1 }],
		["waits for a date", undoubled, { phases: [aPhase({ timeout: "1h" }), aPhase({ percent: 100, not_before: "2100-01-01T00:00:00Z" })] }],
		["has just begun", { ...undoubled, sinceMs: NOW_MS - 30 * MINUTE_MS }],
	])("one that %s is not late", (_, change, plan) =>
		expect(late("hold", change, anEvidence(), plan)).toMatchObject({ kind: "hold", alerts: [] }),
	);
});

describe("rollback", () => {
	test.each<[string, Change, Evidence]>([
		["a proof that does not come", undoubled, anEvidence()],
		["suspected harm", suspected, anEvidence()],
		["a criterion beyond its limit", {}, beyond],
	])("takes everybody back at once for %s", (_, change, seen) => {
		expect(late("rollback", change, seen)).toMatchObject({ kind: "roll_back", reason: "timed_out", strategy: "immediate" });
	});

	test.each<[string, Change, Evidence, Record<string, unknown>?]>([
		["an arm that reports nothing", {}, candidateOnly],
		["too few users", {}, few],
		["a hold that only lacks data", { watch: { heldMs: 0 } }, anEvidence()],
		["a broken split", { watch: { exposures: [{ served: 5_000, candidate: 0, control: 200 }] } }, anEvidence()],
		["a criterion that nobody reports", {}, anEvidence(), withSatisfaction],
		["a guard that is still warming up", { watch: { heldMs: HOUR_MS } }, anEvidence(), withLatency],
		["a paused rollout", pausedState({ sinceMs: NOW_MS - 2 * HOUR_MS }), anEvidence()],
	])("never for %s: what was not seen moves nobody", (_, change, seen, plan) => {
		expect(late("rollback", change, seen, plan)).toMatchObject({ kind: "hold" });
	});

	test("never without any evidence", () => {
		const of = aPlan({ phases: [aPhase({ timeout: { after: "1h", policy: "rollback" } }), aPhase({ percent: 100 })] });
		const state = aState({ sinceMs: NOW_MS - 2 * HOUR_MS }, of);
		expect(decide(of, state, { kind: "source_error", message: "timeout" }, NOW_MS)).toMatchObject({ kind: "hold", reason: "source_error" });
		expect(decide(of, state, anEvidence({ totals: [] }), NOW_MS)).toMatchObject({ kind: "hold", reason: "no_data" });
	});
});

describe("advance", () => {
	test("goes on without the proof", () => {
		expect(late("advance", undoubled)).toMatchObject({ kind: "advance", state: { phase: 1 } });
	});

	test.each<[string, Change, Evidence]>([
		["suspected harm", suspected, anEvidence()],
		["a criterion beyond its limit", {}, beyond],
		["an arm that reports nothing", {}, candidateOnly],
		["too few users", {}, few],
		["a hold that is not served", { watch: { heldMs: 0 } }, anEvidence()],
	])("never past %s, which somebody is told of", (_, change, seen) => {
		expect(late("advance", change, seen)).toMatchObject({
			kind: "hold",
			alerts: expect.arrayContaining([expect.objectContaining({ kind: "phase_timeout" })]) as unknown,
		});
	});

	test("never where nothing advances by itself, nor past an approval, a check or the breaker", () => {
		expect(late("advance", { ...undoubled, manual: true })).toMatchObject({ kind: "hold", reason: "manual_advance" });
		const phases = [aPhase({ timeout: { after: "1h", policy: "advance" } }), aPhase({ percent: 100, approval: "manual" })];
		expect(late("advance", undoubled, anEvidence(), { phases })).toMatchObject({ kind: "await_approval" });
	});
});

test("a phase that a person entered after the time of a tick has held nothing in it", () => {
	const state = aState({ sinceMs: NOW_MS + 5_000, watch: { heldMs: 0 } });
	const decision = decide(aPlan(), state, anEvidence(), NOW_MS);
	expect(decision).toMatchObject({ kind: "hold", reason: "hold_not_served", state: { watch: { heldMs: 0 } } });
});
