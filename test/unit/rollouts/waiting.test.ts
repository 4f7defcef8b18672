import { describe, expect, test } from "vitest";
import { CALM, type Circumstances } from "../../../core/rollouts/circumstances";
import { type Command, command } from "../../../core/rollouts/command";
import { decide } from "../../../core/rollouts/decide";
import type { Decision } from "../../../core/rollouts/decision";
import { type Plan, notBeforeMs } from "../../../core/rollouts/plan";
import { type RolloutState, isLive, rolloutState } from "../../../core/rollouts/state";
import { FIRST_LAUNCH, scheduled, validating } from "../../../core/rollouts/transitions";
import { MINUTE_MS, NOW_MS, aPhase, aPlan, anEvidence } from "./fixtures";

const DAY_MS = 86_400_000;
const LAUNCHED = { ...FIRST_LAUNCH, author: "ben", launchedAtMs: NOW_MS - MINUTE_MS };
const smoke = { name: "smoke", http: "https://origin.example/health" };
const checked = aPlan({ checks: [smoke] });
const phases = [aPhase({ percent: 5, approval: { approvers: 2 } }), aPhase({ percent: 100 })];
const approvable = aPlan({ phases });
const atOnce = scheduled(LAUNCHED, NOW_MS, "anna");
const inValidation = validating(LAUNCHED, NOW_MS - MINUTE_MS, "anna");
const approved = (...by: readonly string[]): RolloutState =>
	rolloutState.parse({ ...inValidation, approvals: by.map((each) => ({ by: each, atMs: 0, reason: "" })) });
const open: Circumstances = { ...CALM, breaker: { kind: "open", untilMs: NOW_MS + MINUTE_MS } };
const found = (checks: Partial<Circumstances["checks"]>): Circumstances => ({
	...CALM,
	checks: { failed: null, pending: null, ...checks },
});

/** What was seen cannot matter: nobody is served anything. */
const decided = (plan: Plan, state: RolloutState, circumstances: Circumstances = CALM, now = NOW_MS): Decision => {
	const decision = decide(plan, state, { kind: "source_error", message: "nobody looked" }, now, circumstances);
	expect(decide(plan, state, anEvidence({ candidate: { harmedUsers: 200 } }), now, circumstances)).toEqual(decision);
	return decision;
};
const none = { kind: "none" };

describe("scheduled", () => {
	test.each<[string, RolloutState, Circumstances, number]>([
		["before its time", atOnce, CALM, NOW_MS - 1],
		["while the breaker is open", atOnce, open, NOW_MS],
		["while the breaker is half open", atOnce, { ...open, breaker: { kind: "half_open", untilMs: NOW_MS + 1 } }, NOW_MS],
		["while nobody knows of the breaker", atOnce, { ...CALM, breaker: "unknown" }, NOW_MS],
	])("%s it waits, and nothing is written", (_, state, circumstances, now) => {
		expect(decided(aPlan(), state, circumstances, now)).toEqual(none);
	});

	test("when its time has come it starts, as whoever scheduled it wanted", () => {
		const state = scheduled({ ...LAUNCHED, fromPhase: 1, manual: true, launch: 2, versions: { checkout: 4 } }, NOW_MS, "anna");
		expect(decided(aPlan(), state)).toMatchObject({
			kind: "start",
			reason: "time_has_come",
			message: "on to phase_2 (20 %), started by anna",
			state: {
				status: "running",
				phase: 1,
				stage: 1,
				manual: true,
				author: "ben",
				alpha: 0.00625,
				versions: { checkout: 4 },
				startedAtMs: NOW_MS,
				launchedAtMs: NOW_MS - MINUTE_MS,
			},
		});
	});

	test.each([
		["checks", checked],
		["an approval", approvable],
	])("with %s before its first phase it validates first", (_, plan) => {
		expect(decided(plan, atOnce)).toMatchObject({
			kind: "validate",
			reason: "time_has_come",
			state: { status: "validating", sinceMs: NOW_MS },
		});
	});
});

describe("validating", () => {
	test.each<[string, Plan, RolloutState, Circumstances]>([
		["a check is not known to have passed", checked, inValidation, found({ pending: "check smoke: has not run yet" })],
		["an approval is missing", approvable, approved("carl"), CALM],
		["the breaker is open", checked, inValidation, open],
	])("as long as %s it waits, and nothing is written", (_, plan, state, circumstances) => {
		expect(decided(plan, state, circumstances)).toEqual(none);
	});

	test("a check that failed ends it: it is a draft again, and its flags are free", () => {
		expect(decided(checked, inValidation, found({ failed: "check smoke: answered 500" }))).toMatchObject({
			kind: "validation_failed",
			reason: "checks_failed",
			message: "check smoke: answered 500",
			state: { status: "draft" },
		});
	});

	test.each([
		["checks that never end", checked, inValidation, found({ pending: "check smoke: has not run yet" }), "check smoke: has not run yet"],
		["an approval that never comes", approvable, approved("carl"), CALM, "phase_1 (5 %) needs 2 approvals, 1 so far"],
	] as const)("%s are waited for a day, or for as long as the plan says", (_, plan, state, circumstances, left) => {
		const failed = { kind: "validation_failed", reason: "timed_out", message: expect.stringContaining(left) as string };
		const sinceMs = NOW_MS - MINUTE_MS;
		expect(decided(plan, state, circumstances, sinceMs + DAY_MS - 1)).toEqual(none);
		expect(decided(plan, state, circumstances, sinceMs + DAY_MS)).toMatchObject(failed);
		const quick = { ...plan, approval_timeout: "1h" };
		expect(decided(quick, state, circumstances, sinceMs + 3_600_000)).toMatchObject(failed);
	});

	test("a policy to advance starts nothing that was not approved", () => {
		const plan = aPlan({ phases, approval_timeout: { after: "1h", policy: "advance" } });
		expect(decided(plan, approved("carl"), CALM, NOW_MS + DAY_MS)).toMatchObject({ kind: "validation_failed", state: { status: "draft" } });
	});

	test("with everything there it starts, without any evidence", () => {
		const decision = decided(approvable, approved("carl", "dora"));
		expect(decision).toMatchObject({ kind: "start", reason: "checks_passed", state: { status: "running", phase: 0, approvals: [] } });
		if (decision.kind === "none" || !isLive(decision.state)) throw new Error(decision.kind);
		expect(decision.state.watch).toMatchObject({ heldMs: 0, ticks: 0, watermark: null, exposures: [] });
		expect(rolloutState.parse(JSON.parse(JSON.stringify(decision.state)))).toEqual(decision.state);
	});

	test("where guards compare with a baseline it measures that first, though its phase was approved", () => {
		const plan = aPlan({ phases, guards: ["error_rate vs baseline <= +20%"] });
		expect(decided(plan, approved("carl", "dora"))).toMatchObject({ kind: "start", state: { phase: -1 } });
	});
});

describe("a person's start", () => {
	const start = (plan: Plan, change: Partial<Command> = {}) =>
		command(plan, { status: "draft" }, { kind: "start", by: "anna", reason: "go", launch: 1, ...change }, NOW_MS);

	test.each<[string, Plan, Partial<Command>, object]>([
		["now", aPlan(), {}, { kind: "start", state: { status: "running", phase: 0 } }],
		["at a time that has passed", aPlan(), { startsAtMs: 1 }, { kind: "start", state: { status: "running" } }],
		[
			"at a time",
			aPlan(),
			{ startsAtMs: NOW_MS + 1 },
			{ kind: "schedule", state: { status: "scheduled", startsAtMs: NOW_MS + 1, by: "anna" } },
		],
		["with checks", checked, {}, { kind: "validate", state: { status: "validating", by: "anna" } }],
		["with checks at a time", checked, { startsAtMs: NOW_MS + 1 }, { kind: "schedule", state: { status: "scheduled" } }],
		["from a later phase", aPlan(), { fromPhase: 2 }, { kind: "start", state: { status: "running", phase: 2, fromPhase: 2 } }],
		[
			"from a phase that needs no approval, past one that does",
			approvable,
			{ fromPhase: 1 },
			{ kind: "start", state: { status: "running" } },
		],
	])("%s", (_, plan, change, expected) => expect(start(plan, change)).toMatchObject({ ok: true, value: expected }));

	test.each([-1, 3])("from a phase that there is not (%i) is refused, naming those that there are", (fromPhase) => {
		expect(start(aPlan(), { fromPhase })).toEqual({
			ok: false,
			error: { kind: "no_such_phase", phases: ["phase_1", "phase_2", "phase_3"] },
		});
	});

	test("of a phase with a day waits for that day, counted from the time that it is wanted for", () => {
		const plan = aPlan({ phases: [aPhase({ percent: 5, not_before: { day: 3 } }), aPhase({ percent: 100 })] });
		expect(notBeforeMs(plan, 0, NOW_MS)).toBe(NOW_MS + 2 * DAY_MS);
		expect(start(plan)).toMatchObject({ value: { kind: "schedule", state: { startsAtMs: NOW_MS + 2 * DAY_MS, launchedAtMs: NOW_MS } } });
		expect(start(plan, { startsAtMs: NOW_MS + 5 * DAY_MS })).toMatchObject({ value: { state: { startsAtMs: NOW_MS + 7 * DAY_MS } } });
	});
});
