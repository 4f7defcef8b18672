import * as fc from "fast-check";
import { expect, test } from "vitest";
import type { ArmSums, Evidence, FirstHarms, Observation } from "../../../core/health/observation";
import { decide } from "../../../core/rollouts/decide";
import type { Decision } from "../../../core/rollouts/decision";
import type { Plan } from "../../../core/rollouts/plan";
import { servedIn } from "../../../core/rollouts/plan";
import { type LiveState, type RolloutState, isLive, rolloutState } from "../../../core/rollouts/state";
import { started } from "../../../core/rollouts/transitions";
import { ENDED, MINUTE_MS, NOW_MS, aPhase, aPlan, aSecondPhase, aState, anEvidence, pausedState, sumsOf } from "./fixtures";

const ARMS = ["candidate", "control"] as const;
const anArm = fc.constantFrom(...ARMS);
const SHARES = [5_000, 20_000, 95_000];

/** Few harms most of the time, so that sequences get somewhere. */
const aRate = fc.oneof({ weight: 3, arbitrary: fc.constantFrom(0, 0.005) }, { weight: 1, arbitrary: fc.constantFrom(0.02, 0.2, 1) });

const someSums: fc.Arbitrary<readonly ArmSums[]> = fc
	.tuple(
		...ARMS.map((arm) =>
			fc
				.record({
					users: fc.oneof(fc.constantFrom(0, 1, 99), fc.integer({ min: 100, max: 5_000 })),
					rate: aRate,
					requestsEach: fc.integer({ min: 1, max: 5 }),
				})
				.map(({ users, rate, requestsEach }) => {
					const harmedUsers = Math.floor(users * rate);
					return { arm, users, harmedUsers, requestsEach, harmedFirst: Math.floor(harmedUsers / requestsEach) };
				}),
		),
	)
	.map((arms) => arms.filter(({ users }) => users > 0).map((users) => sumsOf(users)));

const someFirstHarms: fc.Arbitrary<readonly FirstHarms[]> = fc.array(
	fc
		.record({
			arm: anArm,
			served: fc.constantFrom(...SHARES),
			last: fc.constantFrom(null, ...SHARES),
			units: fc.oneof({ weight: 3, arbitrary: fc.integer({ min: 0, max: 3 }) }, { weight: 1, arbitrary: fc.integer({ min: 4, max: 60 }) }),
		})
		.map(({ arm, served, last, units }) => ({ signal: "error", arm, served, lastControlServed: last, units })),
	{ maxLength: 4 },
);

const someTotals: fc.Arbitrary<Evidence["totals"]> = fc
	.tuple(...ARMS.map((arm) => fc.constantFrom(0, 10, 10, 500).map((requests) => ({ metric: "error", arm, requests, sum: 0 }) as const)))
	.map((totals) => totals.filter(({ requests }) => requests > 0));

const someExposures: fc.Arbitrary<Evidence["firstExposures"]> = fc.constantFrom(
	[],
	[
		{ arm: "candidate", served: 5_000, units: 5 },
		{ arm: "control", served: 5_000, units: 95 },
	],
	[{ arm: "control", served: 20_000, units: 40 }],
);

const someEvidence: fc.Arbitrary<Evidence> = fc
	.record({ totals: someTotals, firstHarms: someFirstHarms, userSums: someSums, firstExposures: someExposures })
	.map((change) => anEvidence(change));

const missing: fc.Arbitrary<Observation> = fc.oneof(
	fc.string().map((message) => ({ kind: "source_error", message }) as const),
	fc.record({ userSums: someSums, firstExposures: someExposures }).map((change) => anEvidence({ ...change, totals: [] })),
	someEvidence.map((evidence) => ({ ...evidence, firstExposures: [{ arm: "control", served: 5_000, units: Number.NaN }] }) as const),
	someEvidence.map((evidence) => ({ ...evidence, totals: [{ metric: "error", arm: "candidate", requests: Infinity, sum: 0 }] }) as const),
);

const anObservation: fc.Arbitrary<Observation> = fc.oneof({ weight: 9, arbitrary: someEvidence }, { weight: 1, arbitrary: missing });

const aPlanOfAny: fc.Arbitrary<Plan> = fc
	.record({
		hold: fc.constantFrom("0s", "1m", "3m"),
		advance: fc.constantFrom("standard", "relaxed"),
		holdback: fc.constantFrom(undefined, 0),
	})
	.map(({ hold, advance, holdback }) =>
		aPlan({ advance, holdback, phases: [5, 20, 100].map((percent) => aPhase({ percent, hold, criteria: ["error_rate < 3%"] })) }),
	);

const aLiveState: fc.Arbitrary<LiveState> = fc.constantFrom(
	aState(),
	aState({ guard: { e: 100, triplingE: 100 } }),
	aState({ phase: 2, stage: 3 }),
	aSecondPhase({ watch: { ticks: 0 } }),
	pausedState(),
	pausedState({ guard: { e: 100 } }),
);

/** The last minute's state cannot be changed by the next one's decision. */
function frozen<T>(value: T): T {
	if (typeof value === "object" && value !== null) for (const each of Object.values(Object.freeze(value))) frozen(each);
	return value;
}

test("missing evidence only ever holds, or pauses: it never advances, completes, steps back or rolls back", () => {
	fc.assert(
		fc.property(aLiveState, missing, fc.integer({ min: 1, max: 500 }), (state, seen, minutes) => {
			const decision = decide(aPlan(), state, seen, NOW_MS + minutes * MINUTE_MS);
			expect(["hold", "pause"]).toContain(decision.kind);
			if (decision.kind !== "hold" && decision.kind !== "pause") return;
			expect((decision.state as LiveState).watch.guards).toEqual(state.watch.guards);
		}),
	);
});

interface Step {
	readonly before: RolloutState;
	readonly decision: Decision;
	readonly after: RolloutState;
}

function lived(plan: Plan, seen: readonly Observation[], minutes: readonly number[]): readonly Step[] {
	let state: RolloutState = started(plan, 1, 0);
	let now = 0;
	return seen.map((observation, i) => {
		now += (minutes[i] ?? 1) * MINUTE_MS;
		const before = frozen(state);
		const decision = decide(plan, before, observation, now);
		if (isLive(before)) {
			expect(decision.kind).not.toBe("none");
			expect(decide(plan, before, observation, now)).toEqual(decision);
		}
		state = decision.kind === "none" ? before : decision.state;
		expect(decide(plan, state, observation, now)).toEqual({ kind: "none" });
		return { before, decision, after: state };
	});
}

const aLife = fc.tuple(
	aPlanOfAny,
	fc.array(anObservation, { minLength: 1, maxLength: 25 }),
	fc.array(fc.constantFrom(1, 1, 1, 2, 30), { minLength: 25, maxLength: 25 }),
);

const isProven = ({ decision }: Step): boolean =>
	"judgement" in decision && decision.judgement !== null && (decision.judgement.harm.proven || decision.judgement.harm.tripled);

function everyLife(check: (steps: readonly Step[], plan: Plan) => void): void {
	fc.assert(
		fc.property(aLife, ([plan, seen, minutes]) => check(lived(plan, seen, minutes), plan)),
		{ numRuns: 150 },
	);
}

test("decisions are repeatable, and the same tick twice changes nothing", () => {
	// lived() asks for each decision twice, and for each tick once more.
	everyLife((steps) => {
		expect(steps.length).toBeGreaterThan(0);
	});
});

test("a stage only ever grows, by one, and with every change of phase", () => {
	everyLife((steps) => {
		for (const { before, after } of steps) {
			if (!isLive(before) || !isLive(after)) continue;
			expect(after.stage - before.stage).toBe(Math.abs(after.phase - before.phase));
			expect(Math.abs(after.phase - before.phase)).toBeLessThanOrEqual(1);
		}
	});
});

test("a rollout that has ended stays as it is", () => {
	everyLife((steps) => {
		for (const { before, after, decision } of steps) {
			if (isLive(before)) continue;
			expect(decision).toEqual({ kind: "none" });
			expect(after).toBe(before);
		}
	});
	for (const state of ENDED) expect(decide(aPlan(), state, anEvidence(), NOW_MS)).toEqual({ kind: "none" });
});

test("a rollback has proof of harm, of a breached limit or of a red flag", () => {
	everyLife((steps) => {
		for (const step of steps) {
			const { decision } = step;
			if (decision.kind !== "roll_back") continue;
			expect(isProven(step) || decision.judgement?.verdicts.some(({ status }) => status === "breached")).toBe(true);
			expect(decision.reason === "harm_proven").toBe(isProven(step));
		}
	});
});

test("proven harm is always rolled back, so no share ever rises above it", () => {
	everyLife((steps, plan) => {
		for (const step of steps) {
			if (isProven(step)) expect(step.decision.kind).toBe("roll_back");
			const { before, after } = step;
			const rises = isLive(before) && isLive(after) && servedIn(plan, after.phase) > servedIn(plan, before.phase);
			if (!rises && after.status !== "completed") continue;
			if (!isLive(before)) continue;
			expect(["advance", "complete"]).toContain(step.decision.kind);
			const judgement = "judgement" in step.decision ? step.decision.judgement : null;
			expect(["good", "excellent"]).toContain(judgement?.level);
			expect(judgement?.harm.e).toBeLessThan(5);
		}
	});
});

test("every state survives JSON and its schema unchanged", () => {
	everyLife((steps) => {
		for (const { after } of steps) expect(rolloutState.parse(JSON.parse(JSON.stringify(after)))).toEqual(after);
	});
});

test("random lives reach every kind of decision that the engine has, so the laws above are not empty", () => {
	const kinds = new Set<string>();
	for (const [plan, seen, minutes] of fc.sample(aLife, { numRuns: 600, seed: 1 }))
		for (const { decision } of lived(plan, seen, minutes)) kinds.add(decision.kind);
	expect([...kinds].sort()).toEqual(expect.arrayContaining(["advance", "complete", "hold", "none", "roll_back"]));
});
