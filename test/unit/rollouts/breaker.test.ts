import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Observation } from "../../../core/health/observation";
import {
	type BreakerSettings,
	type BreakerState,
	DEFAULT_BREAKER,
	breakerAt,
	breakerWindowMs,
	trialOf,
} from "../../../core/rollouts/breaker";
import { type Command, command } from "../../../core/rollouts/command";
import { CALM, type Circumstances } from "../../../core/rollouts/circumstances";
import { decide } from "../../../core/rollouts/decide";
import type { Decision } from "../../../core/rollouts/decision";
import type { Plan } from "../../../core/rollouts/plan";
import type { RolloutState } from "../../../core/rollouts/state";
import { MINUTE_MS, NOW_MS, aPhase, aPlan, aSecondPhase, aState, anEvidence, pausedState } from "./fixtures";

const minutes = (...each: readonly number[]): number[] => each.map((minute) => minute * MINUTE_MS);
const at = (rollbacks: readonly number[], minute: number, settings: BreakerSettings = DEFAULT_BREAKER): BreakerState =>
	breakerAt(minutes(...rollbacks), settings, minute * MINUTE_MS);
const closed: BreakerState = { kind: "closed" };
const until = (kind: "open" | "half_open", minute: number): BreakerState => ({ kind, untilMs: minute * MINUTE_MS });

test.each<[string, readonly number[], nowMinute: number, BreakerState]>([
	["none", [], 100, closed],
	["two", [0, 10], 11, closed],
	["three within minutes", [0, 10, 20], 20, until("open", 50)],
	["three, to the last millisecond", [0, 10, 20], 49.999, until("open", 50)],
	["three, half an hour ago", [0, 10, 20], 50, until("half_open", 80)],
	["three, an hour ago but for a moment", [0, 10, 20], 79.999, until("half_open", 80)],
	["three, an hour ago", [0, 10, 20], 80, closed],
	["three within an hour exactly", [0, 30, 60], 61, until("open", 90)],
	["three in more than an hour", [0, 30, 60.001], 61, closed],
	["three in whatever order", [20, 0, 10], 21, until("open", 50)],
	["three at once", [5, 5, 5], 5, until("open", 35)],
	["a fourth while it is open, which starts its half hour anew", [0, 10, 20, 45], 46, until("open", 75)],
	["a fourth while it is half open, which opens it at once", [0, 10, 20, 79], 79, until("open", 109)],
	["a fourth while it is half open, half an hour later", [0, 10, 20, 79], 109, until("half_open", 139)],
	["a fourth that comes after it has closed", [0, 10, 20, 90], 91, closed],
	["a fifth that each time came before it closed", [0, 10, 20, 79, 138], 139, until("open", 168)],
	["two bursts, of which the first is over", [0, 1, 2, 100, 101, 102], 103, until("open", 132)],
])("after %s the breaker is: %j at %d: %j", (_, rollbacks, now, expected) => {
	expect(at(rollbacks, now)).toEqual(expected);
});

test.each<[string, Partial<BreakerSettings>, readonly number[], nowMinute: number, BreakerState]>([
	["one is too many", { rollbacks: 1 }, [0], 1, until("open", 30)],
	["five are too many", { rollbacks: 5 }, [0, 1, 2, 3], 4, closed],
	["they count within ten minutes", { withinMs: 10 * MINUTE_MS }, [0, 5, 11], 12, closed],
	["it stays open for two hours", { openMs: 120 * MINUTE_MS }, [0, 1, 2], 121, until("open", 122)],
	["it is open for longer than it takes to reset, so it never opens by half", { openMs: 120 * MINUTE_MS }, [0, 1, 2], 122, closed],
	["it resets after a day", { resetMs: 1_440 * MINUTE_MS }, [0, 1, 2], 1_000, until("half_open", 1_442)],
])("settings count: %s", (_, change, rollbacks, now, expected) => {
	expect(at(rollbacks, now, { ...DEFAULT_BREAKER, ...change })).toEqual(expected);
});

const settingsOfAny = fc.record({
	rollbacks: fc.integer({ min: 1, max: 5 }),
	withinMs: fc.integer({ min: 1, max: 200 }).map((minute) => minute * MINUTE_MS),
	openMs: fc.integer({ min: 1, max: 200 }).map((minute) => minute * MINUTE_MS),
	resetMs: fc.integer({ min: 1, max: 200 }).map((minute) => minute * MINUTE_MS),
});
const rollbacksOfAny = fc.array(fc.integer({ min: 0, max: 3_000 * MINUTE_MS }), { maxLength: 40 });

test("a rollback never makes the breaker less strict", () => {
	const strictness = { closed: 0, half_open: 1, open: 2 } as const;
	fc.assert(
		fc.property(rollbacksOfAny, fc.integer({ min: 0, max: 3_000 * MINUTE_MS }), settingsOfAny, (times, one, settings) => {
			const now = 3_000 * MINUTE_MS;
			const [before, after] = [breakerAt(times, settings, now), breakerAt([...times, one], settings, now)];
			expect(strictness[after.kind]).toBeGreaterThanOrEqual(strictness[before.kind]);
			if (before.kind !== "closed" && after.kind === before.kind) expect(after.untilMs).toBeGreaterThanOrEqual(before.untilMs);
		}),
	);
});

/** Within a day: a breaker is followed no further back. */
const todaysRollbacks = fc.array(fc.integer({ min: 0, max: 1_200 * MINUTE_MS }), { maxLength: 20 });

test("without another rollback it goes from open to half open to closed, each when it said so, and stays closed", () => {
	fc.assert(
		fc.property(todaysRollbacks, settingsOfAny, (times, settings) => {
			let now = Math.max(0, ...times);
			const seen: string[] = [];
			for (let state = breakerAt(times, settings, now); ; state = breakerAt(times, settings, now)) {
				seen.push(state.kind);
				if (state.kind === "closed") break;
				expect(state.untilMs).toBeGreaterThan(now);
				expect(breakerAt(times, settings, state.untilMs - 1).kind).toBe(state.kind);
				now = state.untilMs;
			}
			expect([["open", "half_open", "closed"], ["open", "closed"], ["closed"]]).toContainEqual(seen);
			expect(breakerAt(times, settings, now + 1).kind).toBe("closed");
		}),
	);
});

test("rollbacks older than the window change nothing", () => {
	const now = 10_000 * MINUTE_MS;
	fc.assert(
		fc.property(rollbacksOfAny, rollbacksOfAny, settingsOfAny, (old, recent, settings) => {
			const begin = now - breakerWindowMs(settings);
			const since = recent.map((each) => now - each).filter((each) => each > begin);
			expect(breakerAt([...old.map((each) => begin - each), ...since], settings, now)).toEqual(breakerAt(since, settings, now));
		}),
	);
});

test("the times that are given stay in their order", () => {
	const times = Object.freeze([3, 1, 2]);
	expect(breakerAt(times, DEFAULT_BREAKER, 4)).toEqual({ kind: "open", untilMs: 3 + 30 * MINUTE_MS });
});

test.each<[readonly { readonly id: string; readonly percent: number; readonly isStart?: boolean }[], string | undefined]>([
	[[], undefined],
	[[{ id: "b.1", percent: 5 }], "b.1"],
	[
		[
			{ id: "a.1", percent: 20 },
			{ id: "b.1", percent: 5 },
		],
		"b.1",
	],
	[
		[
			{ id: "b.1", percent: 5 },
			{ id: "a.1", percent: 5 },
		],
		"a.1",
	],
	[
		[
			{ id: "a.1", percent: 1, isStart: true },
			{ id: "b.1", percent: 50 },
		],
		"b.1",
	],
	[
		[
			{ id: "a.1", percent: 10, isStart: true },
			{ id: "b.1", percent: 1, isStart: true },
		],
		"b.1",
	],
])("of %j the one that goes on alone is %s", (ready, expected) => {
	expect(trialOf(ready.map((each) => ({ isStart: false, ...each })))).toBe(expected);
});

const UNTIL_MS = NOW_MS + 12 * MINUTE_MS;
const OPEN: Circumstances = { ...CALM, breaker: { kind: "open", untilMs: UNTIL_MS }, isTrial: true };
const HALF_OPEN: Circumstances = { ...CALM, breaker: { kind: "half_open", untilMs: UNTIL_MS }, isTrial: false };
const plan = aPlan();

function decided(state: RolloutState = aState(), seen: Observation = anEvidence(), of: Plan = plan, under: Circumstances = OPEN): Decision {
	return decide(of, state, seen, NOW_MS, under);
}

const held = {
	kind: "hold",
	reason: "breaker_open",
	message: expect.stringContaining("too many automatic rollbacks in production: nothing advances by itself for another 12m") as string,
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

describe("while the breaker is half open", () => {
	test("the trial goes on", () => {
		expect(decided(aState(), anEvidence(), plan, { ...HALF_OPEN, isTrial: true })).toMatchObject({ kind: "advance" });
	});

	test("any other rollout holds, without anybody being paged", () => {
		expect(decided(aState(), anEvidence(), plan, HALF_OPEN)).toMatchObject({
			kind: "hold",
			reason: "breaker_half_open",
			message: expect.stringContaining("for another 12m only the smallest of those that could goes on by itself") as string,
			alerts: [],
		});
	});

	test.each([true, false])("harm is rolled back all the same, of the trial (%s) as of others", (isTrial) => {
		const under = { ...HALF_OPEN, isTrial };
		expect(decided(aState({ guard: { e: 81 } }), anEvidence(), plan, under)).toMatchObject({ kind: "roll_back" });
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
