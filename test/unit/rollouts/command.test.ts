import { describe, expect, test } from "vitest";
import { COMMANDS, type Command, command, placeOf, printRefusal } from "../../../core/rollouts/command";
import { type RolloutState, type Status, rolloutState } from "../../../core/rollouts/state";
import { logEvidence } from "../../../core/statistics/evidence";
import { FIRST_LAUNCH, awaitingApproval, lowered, scheduled, validating } from "../../../core/rollouts/transitions";
import { ENDED, NOW_MS, aPhase, aPlan, aSecondPhase, aState, pausedState } from "./fixtures";
import { expectClose } from "../statistics/close";

function aCommand(change: Partial<Command> = {}): Command {
	return { kind: "pause", by: "anna", reason: "lunch", launch: 1, ...change };
}

test("where nobody gave a reason no message ends in a colon", () => {
	for (const kind of KINDS)
		for (const state of STATES) {
			const given = aCommand({ kind, reason: "", by: "anna", extendMs: 60_000 });
			const result = command(NEEDS_APPROVAL, state, given, NOW_MS);
			if (result.ok) expect(result.value.message).not.toMatch(/: *$|^;/);
		}
	const rejected = command(NEEDS_APPROVAL, awaitingApproval(aState(), NOW_MS), aCommand({ kind: "reject", reason: "" }), NOW_MS);
	expect(rejected).toMatchObject({ value: { state: { reason: "rejected" } } });
});

test("an approval that nothing waits for yet is told so", () => {
	const refused = command(NEEDS_APPROVAL, aState(), aCommand({ kind: "approve" }), NOW_MS);
	expect(refused.ok ? "" : printRefusal(refused.error)).toBe("cannot approve: nothing waits for an approval yet, the rollout is running");
});

const LAUNCHED = { ...FIRST_LAUNCH, author: "ben" };
const NEEDS_APPROVAL = aPlan({
	phases: [aPhase({ percent: 5, approval: "manual" }), aPhase({ percent: 20, approval: "manual" }), aPhase({ percent: 100 })],
});
const STATES: readonly RolloutState[] = [
	{ status: "draft" },
	scheduled(LAUNCHED, NOW_MS + 1, "anna"),
	validating(LAUNCHED, NOW_MS - 1, "anna"),
	aState(),
	awaitingApproval(aState(), NOW_MS - 1),
	pausedState(),
	lowered(aPlan(), aState(), [5, 1, 0], NOW_MS - 1, { by: "anna", reason: "harm", trigger: "operator" }),
	...ENDED,
];
const KINDS = COMMANDS;

/** What each command makes of each status; what is not here is refused. */
const NEXT: Record<Command["kind"], Partial<Record<Status, Status>>> = {
	start: { draft: "validating" },
	approve: { validating: "validating", awaiting_approval: "awaiting_approval" },
	reject: { validating: "draft", awaiting_approval: "paused" },
	pause: { running: "paused", awaiting_approval: "paused" },
	resume: { paused: "running", rolling_back: "running" },
	advance: { running: "running", awaiting_approval: "running" },
	extend: { running: "running", awaiting_approval: "awaiting_approval", paused: "paused" },
	roll_back: { running: "rolled_back", awaiting_approval: "rolled_back", paused: "rolled_back", rolling_back: "rolled_back" },
	cancel: {
		draft: "cancelled",
		scheduled: "cancelled",
		validating: "cancelled",
		running: "cancelled",
		awaiting_approval: "cancelled",
		paused: "cancelled",
		rolling_back: "cancelled",
	},
};

describe.each(KINDS)("%s", (kind) => {
	test.each(STATES)("of a rollout that is $status", (state) => {
		const result = command(NEEDS_APPROVAL, state, aCommand({ kind, isAdmin: true, force: kind === "advance" }), NOW_MS);
		const next = NEXT[kind][state.status];
		if (next === undefined) {
			expect(result).toEqual({
				ok: false,
				error: { kind: "wrong_status", status: state.status, command: kind, fits: KINDS.filter((each) => NEXT[each][state.status]) },
			});
			return;
		}
		if (!result.ok) throw new Error(result.error.kind);
		expect(result.value).toMatchObject({
			kind: kind === "start" ? "validate" : kind,
			reason: "operator",
			message: expect.stringContaining("lunch"),
			judgement: null,
			state: { status: next },
		});
		expect(rolloutState.parse(JSON.parse(JSON.stringify(result.value.state)))).toEqual(result.value.state);
	});
});

function after(state: RolloutState, change: Partial<Command>): RolloutState {
	const result = command(aPlan(), state, aCommand(change), NOW_MS);
	if (!result.ok) throw new Error(printRefusal(result.error));
	return result.value.state;
}

test("a start enters the first phase with no evidence at all", () => {
	const state = after({ status: "draft" }, { kind: "start" });
	expect(state).toMatchObject({ status: "running", startedAtMs: NOW_MS, alpha: 0.0125, phase: 0, stage: 1, sinceMs: NOW_MS, before: null });
	expect(state).toMatchObject({ watch: { watermark: null, tickedAtMs: NOW_MS, appliedAtMs: NOW_MS, heldMs: 0, ticks: 0, exposures: [] } });
	expectClose(logEvidence((state as ReturnType<typeof aState>).watch.guards[0]?.harm ?? { toleratedRatio: 1, stakes: [], reserve: 0 }), 0);
});

test.each([
	[1, 0.0125],
	[2, 0.00625],
	[3, 0.003125],
])("the launch number %i has a false-alarm rate of %d", (launch, alpha) => {
	expect(after({ status: "draft" }, { kind: "start", launch })).toMatchObject({ alpha });
});

test("pausing and resuming change nothing else", () => {
	const state = aSecondPhase({ guard: { e: 7 } });
	const paused = after(state, { kind: "pause" });
	expect(paused).toEqual({ ...state, status: "paused", pausedAtMs: NOW_MS, by: "anna", reason: "lunch" });
	expect(after(paused, { kind: "resume" })).toEqual(state);
});

test("an advance enters the next phase: evidence of harm stays, evidence of safety starts anew", () => {
	const state = aState({ guard: { e: 4 } });
	expect(after(state, { kind: "advance" })).toEqual({
		...state,
		phase: 1,
		stage: 2,
		sinceMs: NOW_MS,
		before: { stage: 1, served: 5_000, sinceMs: state.sinceMs },
		watch: {
			...state.watch,
			heldMs: 0,
			ticks: 0,
			guards: state.watch.guards.map(({ harm, tripling, score, frozen }) => ({
				harm,
				tripling,
				score,
				frozen,
				doubling: [0, 0, 0, 0],
				harmed: 0,
				units: 0,
				candidateWeight: 0,
				controlWeight: 0,
				harmedShare: 0,
				controlHarmedShare: 0,
			})),
		},
	});
});

test("an advance from the last phase completes", () => {
	const result = command(aPlan(), aState({ phase: 2 }), aCommand({ kind: "advance" }), NOW_MS);
	expect(result).toMatchObject({ ok: true, value: { kind: "complete", state: { status: "completed", atMs: NOW_MS, by: "anna" } } });
});

test("a rollback says from which phase, who and why", () => {
	expect(after(aSecondPhase(), { kind: "roll_back" })).toEqual({
		status: "rolled_back",
		atMs: NOW_MS,
		fromPhase: 1,
		by: "anna",
		reason: "lunch",
	});
});

test("a refusal says what would fit", () => {
	const result = command(aPlan(), { status: "draft" }, aCommand({ kind: "roll_back" }), NOW_MS);
	expect(result.ok ? "" : printRefusal(result.error)).toBe("cannot roll_back: the rollout is draft, which takes start, cancel");
});

test.each<[RolloutState, string | null, number]>([
	[{ status: "draft" }, null, 0],
	[aSecondPhase(), "phase_2", 20],
	[pausedState(), "phase_1", 5],
	[aState({ phase: 2 }), "phase_3", 100],
	...ENDED.map((state): [RolloutState, null, number] => [state, null, state.status === "completed" ? 100 : 0]),
])("the place of %o", (state, phase, percent) => expect(placeOf(aPlan(), state)).toEqual({ phase, percent }));
