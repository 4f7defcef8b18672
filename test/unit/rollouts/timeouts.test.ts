import { describe, expect, test } from "vitest";
import type { Evidence } from "../../../core/health/observation";
import type { Circumstances } from "../../../core/rollouts/circumstances";
import { decide } from "../../../core/rollouts/decide";
import type { Decision } from "../../../core/rollouts/decision";
import { timeoutOf } from "../../../core/rollouts/plan";
import { awaitingApproval } from "../../../core/rollouts/transitions";
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

describe("what has shown enough and waits for something else is late as well", () => {
	const alert = { severity: "warn", kind: "phase_timeout" };
	const told = expect.arrayContaining([expect.objectContaining(alert)]) as unknown;
	const failed = { checks: { failed: "check smoke: answered 500", pending: null } };
	const pending = { checks: { failed: null, pending: "check smoke: has not run yet" } };
	const halfOpen: Partial<Circumstances> = { breaker: { kind: "half_open", untilMs: NOW_MS + MINUTE_MS }, isTrial: false };
	const waiting = (policy: string, under: Partial<Circumstances>, change: Change = {}): Decision => {
		const of = aPlan({ phases: [aPhase({ timeout: { after: "1h", policy } }), aPhase({ percent: 100, approval: "manual" })] });
		const approvals = [{ by: "carl", atMs: 1, reason: "fine" }];
		return decide(of, aState({ sinceMs: NOW_MS - 2 * HOUR_MS, approvals, ...change }, of), anEvidence(), NOW_MS, under);
	};

	test.each<[string, Partial<Circumstances>, Change]>([
		["a check that fails", failed, {}],
		["a check that has never been reported", pending, {}],
		["a person who was to advance it", {}, { manual: true }],
		["a breaker", halfOpen, {}],
	])("for %s: somebody is told once", (_, under, change) => {
		for (const policy of ["hold", "advance"]) {
			const first = waiting(policy, under, change);
			expect(first).toMatchObject({
				kind: "hold",
				message: expect.stringContaining("phase_1 takes longer than 1h") as string,
				alerts: told,
			});
			if (first.kind !== "hold") return;
			expect(waiting(policy, under, { ...change, watch: { alerting: first.state.watch.alerting } })).toMatchObject({
				kind: "hold",
				alerts: [],
			});
		}
	});

	test("what was seen and is late goes back, where the plan says so", () => {
		expect(waiting("rollback", failed)).toMatchObject({
			kind: "roll_back",
			reason: "timed_out",
			strategy: "immediate",
			message: "phase_1 takes longer than 1h: check smoke: answered 500",
		});
		expect(waiting("rollback", {}, { manual: true })).toMatchObject({ kind: "roll_back", reason: "timed_out" });
	});

	test.each<[string, Partial<Circumstances>]>([
		["a check that nobody has reported", pending],
		["the breaker", halfOpen],
	])("%s takes nobody back, however late", (_, under) => {
		expect(waiting("rollback", under)).toMatchObject({ kind: "hold", alerts: told });
	});

	test("a check that keeps an approved phase waiting counts too, and an approval has a time-out of its own", () => {
		const asked: Change = { ...awaitingApproval(aState(), NOW_MS), sinceMs: NOW_MS - 2 * HOUR_MS };
		expect(waiting("hold", pending, asked)).toMatchObject({ kind: "hold", reason: "check_pending", alerts: told });
		expect(waiting("rollback", failed, asked)).toMatchObject({ kind: "hold", reason: "check_failed", alerts: told });
		expect(waiting("rollback", {}, { ...asked, approvals: [] })).toMatchObject({ kind: "hold", reason: "awaiting_approval", alerts: [] });
	});

	test("a date that has not come is no delay", () => {
		const of = aPlan({ phases: [aPhase({ timeout: "1h" }), aPhase({ percent: 100, not_before: { day: 9 } })] });
		const state = aState({ sinceMs: NOW_MS - 2 * HOUR_MS, launchedAtMs: NOW_MS }, of);
		expect(decide(of, state, anEvidence(), NOW_MS)).toMatchObject({ kind: "hold", reason: "not_before", alerts: [] });
		expect(decide(of, state, anEvidence(), NOW_MS, pending)).toMatchObject({ kind: "hold", reason: "check_pending", alerts: [] });
	});

	test.each<[string, number, Evidence]>([
		["its time", 0, anEvidence()],
		["its users", HOUR_MS, anEvidence({ control: { users: 20, harmedUsers: 0 } })],
	])("a baseline that lacks %s is told of after an hour, once", (_, heldMs, seen) => {
		const of = aPlan({ guards: ["error_rate vs baseline <= +20%"] });
		const at = (sinceMs: number, alerting: string[] = []): Decision =>
			decide(of, aState({ phase: -1, sinceMs, watch: { heldMs, alerting } }, of), seen, NOW_MS);
		const measuring = { kind: "hold", reason: "measuring_baseline" };
		expect(at(NOW_MS - HOUR_MS + 1)).toMatchObject({ ...measuring, alerts: [] });
		expect(at(NOW_MS - HOUR_MS)).toMatchObject({
			...measuring,
			alerts: [{ ...alert, message: expect.stringContaining("baseline takes longer than 1h") as string }],
		});
		expect(at(NOW_MS - HOUR_MS, ["phase_timeout.warn"])).toMatchObject({ ...measuring, alerts: [] });
	});
});

test("a phase that a person entered after the time of a tick has held nothing in it", () => {
	const state = aState({ sinceMs: NOW_MS + 5_000, watch: { heldMs: 0 } });
	const decision = decide(aPlan(), state, anEvidence(), NOW_MS);
	expect(decision).toMatchObject({ kind: "hold", reason: "hold_not_served", state: { watch: { heldMs: 0 } } });
});
