import { describe, expect, test } from "vitest";
import type { Observation } from "../../../core/health/observation";
import { BREAKER_WINDOW_MS, breakerOpenUntil } from "../../../core/rollouts/breaker";
import { type Command, command } from "../../../core/rollouts/command";
import type { Circumstances } from "../../../core/rollouts/circumstances";
import { decide } from "../../../core/rollouts/decide";
import type { Decision } from "../../../core/rollouts/decision";
import type { Plan } from "../../../core/rollouts/plan";
import type { RolloutState } from "../../../core/rollouts/state";
import { MINUTE_MS, NOW_MS, aPhase, aPlan, aSecondPhase, aState, anEvidence, pausedState } from "./fixtures";

const minutes = (...each: readonly number[]): number[] => each.map((minute) => minute * MINUTE_MS);

test.each<[string, readonly number[], nowMinute: number, untilMinute: number | null]>([
	["none", [], 100, null],
	["two", [0, 10], 11, null],
	["three within minutes", [0, 10, 20], 20, 50],
	["three, to the last millisecond", [0, 10, 20], 49.999, 50],
	["three, half an hour ago", [0, 10, 20], 50, null],
	["three within an hour exactly", [0, 30, 60], 61, 90],
	["three in more than an hour", [0, 30, 60.001], 61, null],
	["three in whatever order", [20, 0, 10], 21, 50],
	["three at once", [5, 5, 5], 5, 35],
	["a fourth, which starts its half hour anew", [0, 10, 20, 45], 46, 75],
	["a fourth that is alone in its hour", [0, 10, 20, 90], 91, null],
	["two bursts, of which the first is over", [0, 1, 2, 100, 101, 102], 103, 132],
])("after %s the breaker is open until: %j at %d: %j", (_, rollbacks, now, until) => {
	expect(breakerOpenUntil(minutes(...rollbacks), now * MINUTE_MS)).toBe(until === null ? null : until * MINUTE_MS);
});

test("rollbacks older than the window change nothing", () => {
	const now = 1_000 * MINUTE_MS;
	for (const recent of [[], [990], [970, 990], [940, 960, 999]]) {
		const old = [0, 1, 2, 899.9].map((minute) => minute * MINUTE_MS).filter((at) => at < now - BREAKER_WINDOW_MS);
		expect(old.length).toBeGreaterThan(0);
		expect(breakerOpenUntil([...old, ...minutes(...recent)], now)).toBe(breakerOpenUntil(minutes(...recent), now));
	}
});

test("the times that are given stay in their order", () => {
	const times = Object.freeze([3, 1, 2]);
	expect(breakerOpenUntil(times, 4)).toBe(2 + 30 * MINUTE_MS + 1);
});

const OPEN: Partial<Circumstances> = { breakerUntilMs: NOW_MS + 12 * MINUTE_MS };
const plan = aPlan();

function decided(state: RolloutState = aState(), seen: Observation = anEvidence(), of: Plan = plan): Decision {
	return decide(of, state, seen, NOW_MS, OPEN);
}

const held = {
	kind: "hold",
	reason: "breaker_open",
	message: expect.stringContaining("three rollbacks within an hour in production: nothing advances by itself for another 12m") as string,
};

describe("while the breaker is open", () => {
	test("what would advance holds, and keeps what it has learnt", () => {
		expect(decide(plan, aState(), anEvidence(), NOW_MS)).toMatchObject({ kind: "advance" });
		expect(decided()).toMatchObject({ ...held, state: { phase: 0, watch: { heldMs: 11 * MINUTE_MS, ticks: 11, watermark: "42" } } });
	});

	test("what would complete holds", () => {
		const state = aState({ phase: 2, stage: 3 });
		expect(decide(plan, state, anEvidence(), NOW_MS)).toMatchObject({ kind: "complete" });
		expect(decided(state)).toMatchObject(held);
	});

	test("what has measured its baseline serves nobody yet", () => {
		const of = aPlan({ guards: ["error_rate vs baseline <= +20%"] });
		const state = aState({ phase: -1 }, of);
		expect(decide(of, state, anEvidence(), NOW_MS)).toMatchObject({ kind: "advance", reason: "baseline_measured" });
		expect(decided(state, anEvidence(), of)).toMatchObject({ ...held, state: { phase: -1, baseline: null } });
	});

	test("somebody is told, once", () => {
		const first = decided();
		expect(first).toMatchObject({ alerts: [{ severity: "page", kind: "breaker_open" }] });
		if (first.kind !== "hold") throw new Error(first.kind);
		const second = decide(plan, first.state, anEvidence(), NOW_MS + MINUTE_MS, OPEN);
		expect(second).toMatchObject({ kind: "hold", reason: "breaker_open", alerts: [] });
	});

	test("another reason to hold is the one that is told", () => {
		expect(decided(aState({ watch: { heldMs: 0 } }))).toMatchObject({ kind: "hold", reason: "hold_not_served" });
		expect(decided(pausedState())).toMatchObject({ kind: "hold", reason: "paused" });
	});

	test.each<[string, RolloutState, Observation]>([
		["proven harm", aState({ guard: { e: 81 } }), anEvidence()],
		["a tripling", aState({ guard: { triplingE: 81 } }), anEvidence()],
		["a breached red flag", aState(), anEvidence({ candidate: { harmedUsers: 200 } })],
		["a breached limit", aState(), anEvidence({ candidate: { users: 2_000, harmedUsers: 240 } })],
		["proven harm while paused", pausedState({ guard: { e: 81 } }), anEvidence()],
	])("%s is rolled back all the same", (_, state, seen) => {
		expect(decided(state, seen)).toMatchObject({ kind: "roll_back", state: { status: "rolled_back" } });
	});

	test("an overload of both arms steps back all the same", () => {
		const seen = anEvidence({ candidate: { harmedUsers: 200 }, control: { harmedUsers: 4_000 } });
		expect(decided(aSecondPhase({ watch: { ticks: 0 } }), seen)).toMatchObject({ kind: "step_back", state: { phase: 0 } });
	});

	test("a source that fails is paused all the same", () => {
		const seen: Observation = { kind: "source_error", message: "timeout" };
		expect(decided(aState({ watch: { failedReads: 4 } }), seen)).toMatchObject({ kind: "pause", reason: "source_error" });
	});

	test.each<[Command["kind"], RolloutState, string]>([
		["start", { status: "draft" }, "running"],
		["advance", aState(), "running"],
		["advance", aState({ phase: 2 }), "completed"],
		["pause", aState(), "paused"],
		["resume", pausedState(), "running"],
		["roll_back", aState(), "rolled_back"],
		["cancel", pausedState(), "cancelled"],
	])("a person can still %s, as nobody asks the breaker of them", (kind, state, status) => {
		expect(command(plan, state, { kind, by: "anna", reason: "looked", launch: 1 }, NOW_MS)).toMatchObject({
			ok: true,
			value: { state: { status } },
		});
	});

	test("a rollout that a person advanced goes on being judged", () => {
		const advanced = command(plan, aState(), { kind: "advance", by: "anna", reason: "looked", launch: 1 }, NOW_MS - 1);
		if (!advanced.ok) throw new Error(advanced.error.kind);
		const state = { ...aState({ guard: { e: 81 } }), ...advanced.value.state } as RolloutState;
		expect(decided(state)).toMatchObject({ kind: "hold", reason: "hold_not_served" });
	});
});

test("when it closes, the next tick advances what has been ready all along", () => {
	const first = decided();
	if (first.kind !== "hold") throw new Error(first.kind);
	expect(decide(plan, first.state, anEvidence(), NOW_MS + 12 * MINUTE_MS)).toMatchObject({
		kind: "advance",
		alerts: [],
		state: { watch: { alerting: [] } },
	});
});

test("a phase without guards is stopped as well", () => {
	const of = aPlan({ guards: [], holdback: 0, phases: [aPhase(), aPhase({ percent: 100 })] });
	expect(decided(aState({}, of), anEvidence(), of)).toMatchObject(held);
});
