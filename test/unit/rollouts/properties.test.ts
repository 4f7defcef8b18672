import * as fc from "fast-check";
import { expect, test } from "vitest";
import type { ArmQuantiles, ArmSums, Evidence, FirstHarms, Observation, Scored } from "../../../core/health/observation";
import type { BreakerState } from "../../../core/rollouts/breaker";
import { decide } from "../../../core/rollouts/decide";
import type { Decision } from "../../../core/rollouts/decision";
import { type Plan, servedIn } from "../../../core/rollouts/plan";
import { criteriaIn } from "../../../core/rollouts/planCriteria";
import { type LiveState, type RolloutState, isLive, rolloutState } from "../../../core/rollouts/state";
import { FIRST_LAUNCH, started } from "../../../core/rollouts/transitions";
import { logEvidence } from "../../../core/statistics/evidence";
import { ENDED, MINUTE_MS, NOW_MS, aPhase, aPlan, aSecondPhase, aState, anEvidence, pausedState, quantilesOf, sumsOf } from "./fixtures";

const ARMS = ["candidate", "control"] as const;
const anArm = fc.constantFrom(...ARMS);
const SHARES = [5_000, 20_000, 95_000];

/** Few harms most of the time, so that sequences get somewhere. */
const aRate = fc.oneof({ weight: 3, arbitrary: fc.constantFrom(0, 0.005) }, { weight: 1, arbitrary: fc.constantFrom(0.02, 0.2, 1) });

/** What plans here look at: each signal with its metric. */
const SIGNALS: readonly (readonly [signal: string, metric: string])[] = [
	["error", "error"],
	["latency_ms p95 vs control +20%", "latency_ms"],
	["latency_ms p95 vs baseline +50%", "latency_ms"],
	["latency_ms>2500", "latency_ms"],
	["satisfaction", "satisfaction"],
];

const someSums: fc.Arbitrary<readonly ArmSums[]> = fc
	.tuple(
		...SIGNALS.flatMap(([signal, metric]) =>
			ARMS.map((arm) =>
				fc
					.record({
						users: fc.oneof(fc.constantFrom(0, 1, 99), fc.integer({ min: 100, max: 5_000 })),
						rate: aRate,
						requestsEach: fc.integer({ min: 1, max: 5 }),
						mean: fc.constantFrom(0, 5, 9, 3_000),
						deviation: fc.constantFrom(0, 1),
					})
					.map(({ users, rate, requestsEach, mean, deviation }) => {
						const harmedUsers = Math.floor(users * rate);
						const harmedFirst = Math.floor(harmedUsers / requestsEach);
						const ofMean = metric === "error" ? {} : { mean, deviation, center: Math.log(mean + 1), spread: deviation };
						return { signal, metric, arm, users, harmedUsers, requestsEach, harmedFirst, ...ofMean };
					}),
			),
		),
	)
	.map((arms) => arms.filter(({ users }) => users > 0).map((users) => sumsOf(users)));

const someFirstHarms: fc.Arbitrary<readonly FirstHarms[]> = fc.array(
	fc
		.record({
			signal: fc.constantFrom(...SIGNALS.slice(0, 3).map(([signal]) => signal)),
			arm: anArm,
			served: fc.constantFrom(...SHARES),
			last: fc.constantFrom(null, ...SHARES),
			units: fc.oneof({ weight: 3, arbitrary: fc.integer({ min: 0, max: 3 }) }, { weight: 1, arbitrary: fc.integer({ min: 4, max: 60 }) }),
		})
		.map(({ last, ...harms }) => ({ ...harms, lastControlServed: last })),
	{ maxLength: 4 },
);

const someScored: fc.Arbitrary<readonly Scored[]> = fc.array(
	fc.record({
		signal: fc.constant("latency_ms p95 vs control +20%"),
		arm: anArm,
		served: fc.constantFrom(...SHARES),
		score: fc.integer({ min: -20, max: 20 }).map((steps) => steps / 20 + 0),
		units: fc.integer({ min: 0, max: 5 }),
	}),
	{ maxLength: 4 },
);

const someQuantiles: fc.Arbitrary<readonly ArmQuantiles[]> = fc.subarray([
	quantilesOf({ arm: "candidate" }),
	quantilesOf({ arm: "control" }),
]);

const someTotals: fc.Arbitrary<Evidence["totals"]> = fc
	.tuple(
		...([...ARMS, "unattributed"] as const).map((arm) =>
			fc.constantFrom(0, 10, 10, 500).map((requests) => ({ metric: "error", arm, requests, sum: 0 }) as const),
		),
	)
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
	.record({
		totals: someTotals,
		firstHarms: someFirstHarms,
		userSums: someSums,
		firstExposures: someExposures,
		scored: someScored,
		quantiles: someQuantiles,
	})
	.map((change) => anEvidence(change));

/** A minute of a rollout that is well: plans advance on it. */
const healthy: fc.Arbitrary<Evidence> = fc.integer({ min: 300, max: 5_000 }).map((users) => {
	const ofArms = (of: object) => [
		sumsOf({ users, harmedUsers: 0, ...of }),
		sumsOf({ arm: "control", users: 9_500, harmedUsers: 0, ...of }),
	];
	return anEvidence({
		userSums: SIGNALS.flatMap(([signal, metric]) => ofArms({ signal, metric, mean: metric === "satisfaction" ? 9 : 200, deviation: 1 })),
		quantiles: [quantilesOf({ arm: "candidate" }), quantilesOf()],
	});
});

interface Tree {
	[key: string]: unknown;
}

function numbersIn(value: unknown): string[][] {
	if (typeof value === "number") return [[]];
	if (typeof value !== "object" || value === null) return [];
	return Object.entries(value).flatMap(([key, each]) => numbersIn(each).map((path) => [key, ...path]));
}

/** Evidence of which one number is none, whichever. */
const damaged: fc.Arbitrary<Evidence> = fc
	.tuple(someEvidence, fc.nat(), fc.constantFrom(Number.NaN, Infinity, -Infinity))
	.map(([evidence, nth, none]) => {
		const copy = structuredClone(evidence);
		const paths = numbersIn(copy);
		const path = paths[nth % Math.max(1, paths.length)];
		if (!path) return { ...copy, firstExposures: [{ arm: "control", served: 5_000, units: none }] };
		const owner = path.slice(0, -1).reduce<Tree>((at, key) => at[key] as Tree, copy as unknown as Tree);
		owner[path.at(-1) ?? ""] = none;
		return copy;
	});

const missing: fc.Arbitrary<Observation> = fc.oneof(
	fc.string().map((message) => ({ kind: "source_error", message }) as const),
	fc
		.record({ userSums: someSums, firstExposures: someExposures, scored: someScored, quantiles: someQuantiles })
		.map((change) => anEvidence({ ...change, totals: [] })),
	damaged,
);

const anObservation: fc.Arbitrary<Observation> = fc.oneof(
	{ weight: 6, arbitrary: someEvidence },
	{ weight: 6, arbitrary: healthy },
	{ weight: 1, arbitrary: missing },
);

const GUARDS = [
	"error_rate vs control <= +25%",
	"latency_ms p95 vs control <= +20%",
	"error_rate vs baseline <= +50%",
	"latency_ms p95 vs baseline <= +50%",
];

const aPlanOfAny: fc.Arbitrary<Plan> = fc
	.record({
		hold: fc.constantFrom("0s", "1m", "3m"),
		advance: fc.constantFrom("standard", "relaxed", "strict"),
		sensitivity: fc.constantFrom("standard", "fast"),
		holdback: fc.constantFrom(undefined, 0),
		guards: fc.oneof(
			{ weight: 1, arbitrary: fc.constant(GUARDS.slice(0, 1)) },
			{ weight: 1, arbitrary: fc.subarray(GUARDS, { minLength: 1 }) },
		),
		criteria: fc.constantFrom(
			["error_rate < 3%"],
			["error_rate < 3%", "latency_ms p95 < 2500"],
			["error_rate < 3%", { criterion: "satisfaction mean > 8" }],
		),
	})
	.map(({ hold, criteria, ...change }) =>
		aPlan({ ...change, baseline_window: "2m", phases: [5, 20, 100].map((percent) => aPhase({ percent, hold, criteria })) }),
	);

const aLiveState: fc.Arbitrary<LiveState> = fc.constantFrom(
	aState(),
	aState({ guard: { e: 100, triplingE: 100 } }),
	aState({ phase: 2, stage: 3 }),
	aSecondPhase({ watch: { ticks: 0 } }),
	aState({ watch: { quietTicks: 20, failedReads: 3, alerting: ["no_data.warn", "no_data.page", "warning.warn"] } }),
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

test("evidence of which any number is none is no data: it holds, and is not learnt from", () => {
	fc.assert(
		fc.property(aLiveState, damaged, (state, seen) => {
			const decision = decide(aPlan(), state, seen, NOW_MS);
			expect(decision).toMatchObject({ kind: "hold", reason: "no_data", judgement: null });
			if (decision.kind !== "hold") return;
			const { tickedAtMs: _, quietTicks, failedReads: __, alerting: ___, ...kept } = decision.state.watch;
			expect(state.watch).toMatchObject(kept);
			expect(quietTicks).toBe(state.watch.quietTicks + 1);
		}),
		{ numRuns: 1_000 },
	);
});

interface Step {
	readonly seen: Observation;
	readonly nowMs: number;
	readonly isOpen: boolean;
	readonly before: RolloutState;
	readonly decision: Decision;
	readonly after: RolloutState;
}

/** One of its minutes: how long it took, and whether the environment's breaker was open then. */
type Minute = readonly [minutes: number, isOpen: boolean];

function lived(plan: Plan, seen: readonly Observation[], minutes: readonly Minute[]): readonly Step[] {
	let state: RolloutState = started(plan, FIRST_LAUNCH, 0);
	let now = 0;
	return seen.map((observation, i) => {
		const [passed, isOpen] = minutes[i] ?? [1, false];
		now += passed * MINUTE_MS;
		const breaker: BreakerState = isOpen ? { kind: "open", untilMs: now + 1 } : { kind: "closed" };
		const circumstances = { breaker, isTrial: false };
		const before = frozen(state);
		const decision = decide(plan, before, observation, now, circumstances);
		if (isLive(before)) {
			expect(decision.kind).not.toBe("none");
			expect(decide(plan, before, observation, now, circumstances)).toEqual(decision);
		}
		state = decision.kind === "none" ? before : decision.state;
		expect(decide(plan, state, observation, now, circumstances)).toEqual({ kind: "none" });
		return { seen: observation, nowMs: now, isOpen, before, decision, after: state };
	});
}

const aLife = fc.tuple(
	aPlanOfAny,
	fc.array(anObservation, { minLength: 1, maxLength: 25 }),
	fc.array(fc.tuple(fc.constantFrom(1, 1, 1, 2, 30), fc.constantFrom(false, false, false, true)), { minLength: 25, maxLength: 25 }),
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

test("a stage only ever grows, by one, with every change of phase and at the end of a warm-up", () => {
	everyLife((steps) => {
		for (const { before, after, decision } of steps) {
			if (!isLive(before) || !isLive(after)) continue;
			const isWarmedUp = decision.kind === "hold" && decision.reason === "warmed_up";
			expect(after.stage - before.stage).toBe(isWarmedUp ? 1 : Math.abs(after.phase - before.phase));
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
			// Before the first phase there is nobody to judge.
			if (before.phase === -1) {
				expect(step.decision).toMatchObject({ reason: "baseline_measured" });
				continue;
			}
			expect(["good", "excellent"]).toContain(judgement?.level);
			expect(judgement?.harm.e).toBeLessThan(5);
		}
	});
});

test("an open breaker stops what rises, and nothing else", () => {
	everyLife((steps, plan) => {
		for (const { seen, nowMs, isOpen, before, decision } of steps) {
			if (!isOpen || !isLive(before)) continue;
			expect(["advance", "complete"]).not.toContain(decision.kind);
			const closed = decide(plan, before, seen, nowMs);
			if (closed.kind === "advance" || closed.kind === "complete") expect(decision).toMatchObject({ kind: "hold", reason: "breaker_open" });
			else expect(decision).toEqual(closed);
		}
	});
});

test("what was usual, and what was before, is learnt once and never again", () => {
	everyLife((steps) => {
		for (const { before, after } of steps) {
			if (!isLive(before) || !isLive(after)) continue;
			if (before.baseline) expect(after.baseline).toEqual(before.baseline);
			else if (after.baseline) expect([before.phase, after.phase]).toEqual([-1, 0]);
			for (const [i, { frozen: usual, score }] of before.watch.guards.entries()) {
				const guard = after.watch.guards[i];
				if (usual) expect(guard?.frozen).toEqual(usual);
				expect(guard?.frozen === null).toBe(guard?.score === null);
				if (score) expect(guard?.score).not.toBeNull();
			}
		}
	});
});

test("a percentile's guard has no evidence before it knows what is usual", () => {
	everyLife((steps, plan) => {
		for (const { after } of steps) {
			if (!isLive(after)) continue;
			for (const [i, { aggregate }] of criteriaIn(plan).guards.entries()) {
				const guard = after.watch.guards[i];
				if (aggregate !== "p95" || !guard || guard.frozen) continue;
				expect(guard.units).toBe(0);
				expect(logEvidence(guard.harm)).toBeCloseTo(0, 9);
			}
		}
	});
});

test("a comparison with a baseline that is not known lets nothing advance", () => {
	everyLife((steps, plan) => {
		const { baselines } = criteriaIn(plan);
		for (const { before, decision } of steps) {
			if (!isLive(before) || before.phase < 0 || baselines.length === 0) continue;
			if (decision.kind === "advance" || decision.kind === "complete") expect(before.baseline).toHaveLength(baselines.length);
		}
	});
});

test("a score is known where the level is, and lies in its band", () => {
	const bands: Readonly<Record<string, readonly [number, number]>> = {
		excellent: [90, 100],
		good: [70, 89],
		warning: [40, 69],
		critical: [10, 39],
		failure: [0, 9],
	};
	everyLife((steps) => {
		for (const { decision } of steps) {
			if (decision.kind === "none" || !decision.judgement) continue;
			const { level, score } = decision.judgement;
			const band = bands[level];
			if (!band) expect([level, score]).toEqual(["unknown", null]);
			else expect(score !== null && score >= band[0] && score <= band[1]).toBe(true);
		}
	});
});

test("an alert is raised when it begins to hold, and not while it does", () => {
	everyLife((steps) => {
		for (const { before, after, decision } of steps) {
			if (!isLive(before) || decision.kind === "none") continue;
			const raised = decision.alerts.map(({ kind, severity }) => `${kind}.${severity}`);
			const holding = isLive(after) ? after.watch.alerting : [];
			expect(raised).toEqual(holding.filter((name) => !before.watch.alerting.includes(name)));
			expect(new Set(holding).size).toBe(holding.length);
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
	const reasons = new Set<string>();
	for (const [plan, seen, minutes] of fc.sample(aLife, { numRuns: 600, seed: 1 }))
		for (const { decision } of lived(plan, seen, minutes)) {
			kinds.add(decision.kind);
			if (decision.kind !== "none") reasons.add(decision.reason);
		}
	expect([...kinds].sort()).toEqual(expect.arrayContaining(["advance", "complete", "hold", "none", "roll_back", "step_back"]));
	expect([...reasons].sort()).toEqual(
		expect.arrayContaining([
			"baseline_measured",
			"breaker_open",
			"criterion_unmet",
			"doubling_not_ruled_out",
			"evidence_sufficient",
			"guard_unmet",
			"harm_proven",
			"limit_breached",
			"margin_not_proven",
			"measuring_baseline",
			"red_flag_breached",
			"split_broken",
			"suspected_harm",
		]),
	);
});
