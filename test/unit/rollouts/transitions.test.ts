import { expect, test } from "vitest";
import { command } from "../../../core/rollouts/command";
import { decide } from "../../../core/rollouts/decide";
import { liveRollout, servedBy } from "../../../core/rollouts/exposure";
import { type LiveState, type RolloutState, rolloutState } from "../../../core/rollouts/state";
import {
	FIRST_LAUNCH,
	awaitingApproval,
	droppedFlags,
	excludedUsers,
	lowered,
	paused,
	resumed,
	scheduled,
	unguarded,
	validating,
} from "../../../core/rollouts/transitions";
import { ENDED, MINUTE_MS, NOW_MS, aPlan, aSecondPhase, aState, anEvidence, pausedState } from "./fixtures";

const holding = aPlan();
const retreating = aPlan({ on_control_loss: "retreat" });
const REASON = "unguarded: no tick for 20m > 15m";
const lapsed = (plan = retreating, state: LiveState = aSecondPhase()): LiveState => unguarded(plan, state, NOW_MS, "engine", REASON);
const stopped = { status: "paused", pausedAtMs: NOW_MS, by: "engine", reason: REASON } as const;

test("nobody guarded a plan that holds: it is paused where it is, and goes on serving", () => {
	const state = aSecondPhase();
	expect(lapsed(holding, state)).toEqual({ ...state, ...stopped });
	expect(servedBy(holding, lapsed(holding))).toBe(20_000);
});

test("nobody guarded a plan that retreats: it is paused, serves nobody, and what it served before is remembered", () => {
	const state = aSecondPhase({ sinceMs: 42, guard: { e: 7 } });
	const after = lapsed(retreating, state);
	expect(after).toMatchObject({
		...stopped,
		retreated: true,
		phase: 1,
		stage: 3,
		sinceMs: NOW_MS,
		before: { stage: 2, served: 20_000, sinceMs: 42 },
		watch: { heldMs: 0, ticks: 0 },
	});
	expect(servedBy(retreating, after)).toBe(0);
	expect(liveRollout("checkout.1", retreating, after)).toMatchObject({ served: 0, stage: 3, retreats: true, phase: "phase_2" });
});

test("the evidence of harm outlives a retreat, that of safety begins anew", () => {
	const state = aSecondPhase({ guard: { e: 7 } });
	const [guard, before] = [lapsed(retreating, state).watch.guards[0], state.watch.guards[0]];
	expect([guard?.harm, guard?.tripling]).toEqual([before?.harm, before?.tripling]);
	expect(guard).toMatchObject({ doubling: [0, 0, 0, 0], units: 0, harmed: 0 });
});

test("a retreat holds until a person resumes it, whatever the evidence", () => {
	const state = lapsed();
	const decision = decide(retreating, state, anEvidence(), NOW_MS + MINUTE_MS);
	expect(decision.kind).toBe("hold");
	if (decision.kind === "hold") expect(decision.state).toMatchObject({ status: "paused", retreated: true, stage: 3 });
});

test("resumed after a retreat, the phase begins anew, with its hold to serve and nobody served before", () => {
	const later = NOW_MS + 5 * MINUTE_MS;
	const state = resumed(retreating, lapsed(), later);
	expect(state).toMatchObject({
		status: "running",
		retreated: false,
		phase: 1,
		stage: 4,
		sinceMs: later,
		before: { stage: 3, served: 0, sinceMs: NOW_MS },
		watch: { heldMs: 0, ticks: 0 },
	});
	expect(state).not.toHaveProperty("pausedAtMs");
	expect(servedBy(retreating, state)).toBe(20_000);
});

test("the command to resume does the same", () => {
	const resume = { kind: "resume", by: "anna", reason: "looked", launch: 1 } as const;
	expect(command(retreating, lapsed(), resume, NOW_MS + 1)).toMatchObject({
		ok: true,
		value: { kind: "resume", state: resumed(retreating, lapsed(), NOW_MS + 1) },
	});
});

test("resumed after a pause, it goes on where it was", () => {
	const { pausedAtMs: _, by: __, reason: ___, ...rest } = pausedState() as Extract<LiveState, { status: "paused" }>;
	expect(resumed(holding, pausedState(), NOW_MS)).toEqual({ ...rest, status: "running" });
	expect(resumed(holding, lapsed(holding), NOW_MS)).toEqual(aSecondPhase());
});

test("a plan that learns to retreat while it is paused does not move anyone", () => {
	expect(servedBy(retreating, resumed(retreating, lapsed(holding), NOW_MS))).toBe(20_000);
});

test("a retreat may be rolled back and cancelled", () => {
	for (const kind of ["roll_back", "cancel"] as const)
		expect(command(retreating, lapsed(), { kind, by: "anna", reason: "enough", launch: 1 }, NOW_MS)).toMatchObject({ ok: true });
});

test("a retreat survives JSON and its schema, and a state stored before there were any has not retreated", () => {
	expect(rolloutState.parse(JSON.parse(JSON.stringify(lapsed())))).toEqual(lapsed());
	const { retreated: _, ...older } = aState();
	expect(rolloutState.parse(older)).toEqual(aState());
});

const REJOINED = { keys: ["bob"], segments: ["beta"] };
const why = { by: "anna", reason: "slow", trigger: "operator" } as const;
const approvals = [{ by: "carl", atMs: 7, reason: "looked" }];
const rich = aSecondPhase({
	author: "ben",
	versions: { checkout: 4 },
	manual: true,
	baseline: [0.01],
	extendedMs: 60_000,
	dropped: ["search"],
	excluded: REJOINED,
	approvals,
	before: {
		stage: 1,
		served: 5_000,
		sinceMs: 0,
		flags: ["checkout"],
		rings: [
			{ segment: "beta", served: 5_000 },
			{ segment: null, served: 1_000 },
		],
	},
});

test.each<RolloutState>([
	{ status: "draft" },
	scheduled({ ...FIRST_LAUNCH, author: "ben", fromPhase: 1, manual: true }, NOW_MS, "anna"),
	rolloutState.parse({ ...validating(FIRST_LAUNCH, NOW_MS, "anna"), approvals }),
	rich,
	awaitingApproval(rich, NOW_MS),
	paused(rich, NOW_MS, "anna", "lunch"),
	lowered(holding, rich, [10, 5, 0], NOW_MS, why),
	excludedUsers(holding, rich, { keys: ["dora"], segments: [] }, NOW_MS),
	droppedFlags(holding, rich, ["cart"], NOW_MS),
	...ENDED,
])("a state that is $status survives JSON and its schema, whatever it holds", (state) => {
	expect(rolloutState.parse(JSON.parse(JSON.stringify(state)))).toEqual(state);
});

test("every status keeps what belongs to the rollout, and nothing of the status before", () => {
	const asked = awaitingApproval(rich, NOW_MS);
	expect(paused(asked, NOW_MS, "anna", "lunch")).not.toHaveProperty("askedAtMs");
	const {
		status: _,
		pausedAtMs: __,
		by: ___,
		reason: ____,
		...kept
	} = paused(asked, NOW_MS, "anna", "lunch") as Extract<LiveState, { status: "paused" }>;
	expect(rich).toMatchObject(kept);
	expect(resumed(holding, paused(asked, NOW_MS, "anna", "lunch"), NOW_MS)).toEqual(rich);
	expect(lowered(holding, asked, [10, 0], NOW_MS, why)).toMatchObject({
		author: "ben",
		dropped: ["search"],
		excluded: REJOINED,
		approvals: [],
	});
});
