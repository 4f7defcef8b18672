import { describe, expect, test } from "vitest";
import type { Evidence, Observation } from "../../../core/health/observation";
import { command, placeOf } from "../../../core/rollouts/command";
import { decide } from "../../../core/rollouts/decide";
import type { Decision } from "../../../core/rollouts/decision";
import { liveRollout, servedBy } from "../../../core/rollouts/exposure";
import { type Plan } from "../../../core/rollouts/plan";
import { limitCount } from "../../../core/rollouts/planCriteria";
import { type LiveState, isLive, rolloutState } from "../../../core/rollouts/state";
import { FIRST_LAUNCH, enterPhase, paused, resumed, started, unguarded } from "../../../core/rollouts/transitions";
import { type Population, type Tick, live } from "./simulation";
import { MINUTE_MS, NOW_MS, aPhase, aPlan, aState, anEvidence, quantilesOf, sumsOf } from "./fixtures";

const ERRORS = "error_rate vs baseline <= +20%";
const P95 = "latency_ms p95 vs baseline <= +20%";
const SLOW = "latency_ms p95 vs baseline +20%";

function planOf(change: Record<string, unknown> = {}): Plan {
	return aPlan({ guards: [ERRORS, P95], red_flags: [], baseline_window: "3m", phases: [aPhase(), aPhase({ percent: 100 })], ...change });
}
const plan = planOf();

/** A minute before the first phase: everybody is on the baseline. */
function before(change: Partial<Evidence> = {}): Evidence {
	const slow = { signal: SLOW, metric: "latency_ms", users: 500, harmedUsers: 0 } as const;
	return anEvidence({
		totals: [{ metric: "error", arm: "control", requests: 200, sum: 1 }],
		userSums: [sumsOf({ arm: "control", users: 9_500, harmedUsers: 95 }), sumsOf({ ...slow, arm: "control" })],
		quantiles: [quantilesOf()],
		...change,
	});
}

/** A minute in a phase: both arms, and the candidate's p95 well below what it was before. */
function during(candidate: { readonly slow?: number; readonly errors?: number; readonly controlSlow?: number } = {}): Evidence {
	const { slow = 10, errors = 5, controlSlow = 100 } = candidate;
	const ofLatency = { signal: SLOW, metric: "latency_ms" } as const;
	return anEvidence({
		candidate: { harmedUsers: errors },
		more: [
			sumsOf({ ...ofLatency, users: 500, harmedUsers: slow }),
			sumsOf({ ...ofLatency, arm: "control", users: 9_500, harmedUsers: controlSlow }),
		],
		quantiles: [quantilesOf({ arm: "candidate" }), quantilesOf()],
	});
}

/** Ticks once a minute from the start. */
function ticked(of: Plan, seen: readonly Observation[], from: LiveState = started(of, FIRST_LAUNCH, 0)): readonly Decision[] {
	let state = from;
	return seen.map((each) => {
		const decision = decide(of, state, each, state.watch.tickedAtMs + MINUTE_MS);
		if (decision.kind !== "none" && isLive(decision.state)) state = decision.state;
		return decision;
	});
}

function lastOf(decisions: readonly Decision[]): Exclude<Decision, { kind: "none" }> {
	const last = decisions.at(-1);
	if (!last || last.kind === "none") throw new Error("nothing decided");
	return last;
}

describe("before the first phase", () => {
	test("a plan that compares with the baseline serves nobody, and is called so; any other begins with its first phase", () => {
		const state = started(plan, FIRST_LAUNCH, 0);
		expect(state).toMatchObject({ phase: -1, stage: 1, baseline: null });
		expect(servedBy(plan, state)).toBe(0);
		expect(placeOf(plan, state)).toEqual({ phase: "baseline", percent: 0 });
		expect(liveRollout("checkout.1", plan, state)).toMatchObject({ served: 0, phase: "baseline", stage: 1 });
		expect(started(aPlan(), FIRST_LAUNCH, 0).phase).toBe(0);
	});

	test("the baseline is measured for its window, counted over ticks with data", () => {
		const decisions = ticked(plan, [before(), before(), before()]);
		expect(decisions.map(({ kind }) => kind)).toEqual(["hold", "hold", "advance"]);
		expect(decisions[1]).toMatchObject({ reason: "measuring_baseline", message: "baseline: measured for 2m of 3m" });
		expect(decisions[2]).toMatchObject({
			reason: "baseline_measured",
			message: `baseline measured for 3m of 3m: ${ERRORS}: 0.00634, ${P95}: 800; on to 5 %`,
			state: { status: "running", phase: 0, stage: 2, baseline: [0.006339281911978999, 800], before: { stage: 1, served: 0, sinceMs: 0 } },
		});
	});

	test("a silent minute is none of it", () => {
		const decisions = ticked(plan, [before(), before({ totals: [] }), before(), before({ totals: [] }), before()]);
		expect(decisions.map(({ kind }) => kind)).toEqual(["hold", "hold", "hold", "hold", "advance"]);
		expect(decisions[1]).toMatchObject({ reason: "no_data" });
	});

	test("it is not asked for a candidate, whom nobody is served", () => {
		expect(lastOf(ticked(plan, [before()]))).toMatchObject({ reason: "measuring_baseline", state: { watch: { heldMs: MINUTE_MS } } });
	});

	test.each<[string, Partial<Evidence>, RegExp]>([
		[
			"users",
			{ userSums: [sumsOf({ arm: "control", users: 60, harmedUsers: 0 })] },
			/: measured for 3m of 3m, but error_rate .*: 60 users < 100 needed$/,
		],
		["a metric", { userSums: before().userSums.slice(0, 1) }, /, but latency_ms p95 .*: latency_ms was not reported$/],
		[
			"requests",
			{
				userSums: [before().userSums[0], sumsOf({ signal: SLOW, metric: "latency_ms", arm: "control", users: 200 })].flatMap(
					(each) => each ?? [],
				),
			},
			/, but .*: 400 requests < 1000 needed$/,
		],
	])("it holds on where %s are missing, and goes on when they are there", (_, change, message) => {
		const decisions = ticked(plan, [before(), before(), before(change), before(change), before()]);
		expect(decisions.map(({ kind }) => kind)).toEqual(["hold", "hold", "hold", "hold", "advance"]);
		expect(decisions[2]).toMatchObject({ reason: "measuring_baseline", message: expect.stringMatching(message) as string });
	});

	test("nothing is judged yet: the level is unknown, and no harm is found in those who are served the baseline", () => {
		const failing = before({ userSums: [sumsOf({ arm: "control", users: 9_500, harmedUsers: 9_000 })] });
		const { kind, judgement } = lastOf(ticked(planOf({ red_flags: ["error_rate > 10%"] }), [failing]));
		expect(kind).toBe("hold");
		expect(judgement).toMatchObject({ level: "unknown", score: null, provable: null, harm: { proven: false, tripled: false } });
	});

	test("a pause stops the measuring's end, and the resumed rollout ends it", () => {
		const [, second] = ticked(plan, [before(), before()]);
		if (second?.kind !== "hold") throw new Error("no hold");
		const stopped = paused(second.state, second.state.watch.tickedAtMs, "anna", "lunch");
		const held = lastOf(ticked(plan, [before(), before()], stopped));
		expect(held).toMatchObject({ kind: "hold", reason: "paused", state: { phase: -1, baseline: null } });
		if (!isLive(held.state)) throw new Error("ended");
		const goesOn = resumed(plan, held.state, held.state.watch.tickedAtMs);
		expect(lastOf(ticked(plan, [before()], goesOn))).toMatchObject({
			kind: "advance",
			state: { phase: 0, baseline: [0.006339281911978999, 800] },
		});
	});

	test("a lapse of control measures anew, however the plan takes it", () => {
		for (const on_control_loss of ["hold", "retreat"]) {
			const of = planOf({ on_control_loss });
			const lapsed = unguarded(of, started(of, FIRST_LAUNCH, 0), 20 * MINUTE_MS, "tidegate", "unguarded");
			expect(lapsed).toMatchObject({ status: "paused", phase: -1, baseline: null });
			expect(resumed(of, lapsed, 30 * MINUTE_MS)).toMatchObject({ status: "running", phase: -1, baseline: null, watch: { heldMs: 0 } });
		}
	});

	test("a percentile against control warms up meanwhile: its comparison begins with the first phase", () => {
		const of = planOf({ guards: [ERRORS, "latency_ms p95 vs control <= +20%"] });
		const slow = sumsOf({
			signal: "latency_ms p95 vs control +20%",
			metric: "latency_ms",
			arm: "control",
			users: 500,
			center: 5.3,
			spread: 0.4,
		});
		const decisions = ticked(of, [before({ userSums: [...before().userSums, slow] })]);
		expect(lastOf(decisions).state).toMatchObject({ phase: -1, watch: { guards: [{ frozen: { limit: 800 } }] } });
	});
});

describe("what was captured", () => {
	const measured = aState({ phase: 0, stage: 2, baseline: [0.005, 800] }, plan);

	test("stays with the rollout through phases, pauses, retreats and the store", () => {
		const kept: readonly LiveState[] = [
			enterPhase(plan, measured, 1, 1),
			paused(measured, 1, "anna", "lunch"),
			resumed(plan, paused(measured, 1, "anna", "lunch"), 2),
			unguarded(planOf({ on_control_loss: "retreat" }), measured, 1, "tidegate", "unguarded"),
			rolloutState.parse(JSON.parse(JSON.stringify(measured))) as LiveState,
		];
		for (const state of kept) expect(state.baseline).toEqual([0.005, 800]);
		expect(lastOf(ticked(plan, [during()], measured)).state).toMatchObject({ baseline: [0.005, 800] });
	});

	test("judges the candidate: within its margin it is met, and the phase advances", () => {
		const decision = decide(plan, measured, during(), NOW_MS);
		expect(decision).toMatchObject({ kind: "advance", reason: "evidence_sufficient", state: { phase: 1 } });
		expect("judgement" in decision && decision.judgement?.verdicts.filter(({ role }) => role === "guard")).toMatchObject([
			{ criterion: ERRORS, status: "met", value: 0.005, message: "0.5 % of requests over 500 users, limit 0.6 %" },
			{ criterion: P95, status: "met", value: 800, message: "p95 800 ms over 500 users, limit 960 ms" },
		]);
	});

	test("beyond its margin, not proven, the candidate is held", () => {
		expect(decide(plan, measured, during({ errors: 7 }), NOW_MS)).toMatchObject({
			kind: "hold",
			reason: "guard_unmet",
			message: `${ERRORS}: 0.7 % of requests over 500 users, limit 0.6 %: beyond, not proven`,
		});
	});

	test.each<[string, Evidence, string]>([
		["errors", during({ errors: 40 }), ERRORS],
		["slow requests", during({ slow: 300 }), P95],
	])("a breach by %s rolls back, as of any limit", (_, seen, text) => {
		const decision = decide(plan, measured, seen, NOW_MS);
		expect(decision).toMatchObject({ kind: "roll_back", reason: "limit_breached", state: { status: "rolled_back", fromPhase: 0 } });
		expect("message" in decision && decision.message.startsWith(`${text}: `)).toBe(true);
	});

	test("a breach by both arms is not the variant's: something else has changed since", () => {
		expect(decide(plan, measured, during({ slow: 300, controlSlow: 4_000 }), NOW_MS)).toMatchObject({
			kind: "hold",
			reason: "control_breaches_too",
			judgement: { shared: [P95] },
		});
	});

	test("shares the α of limits with every other one", () => {
		expect(limitCount(plan)).toBe(4);
		expect(limitCount(planOf({ guards: [ERRORS, "error_rate vs control <= +25%"] }))).toBe(3);
	});
});

describe("a person who does not wait for the baseline", () => {
	const given = { kind: "advance", by: "anna", reason: "no time", launch: 1 } as const;
	const advanced = command(plan, started(plan, FIRST_LAUNCH, 0), given, MINUTE_MS);
	const state = aState({ ...(advanced.ok ? advanced.value.state : {}), sinceMs: 0 } as Partial<LiveState>, plan);

	test("comes to the first phase without any", () => {
		expect(advanced).toMatchObject({
			ok: true,
			value: { kind: "advance", state: { phase: 0, stage: 2, baseline: null, before: { served: 0 } } },
		});
	});

	test("finds the guards without data, and the rollout holding", () => {
		const decision = decide(plan, state, during(), NOW_MS);
		expect(decision).toMatchObject({
			kind: "hold",
			reason: "guard_unmet",
			message: expect.stringContaining(`${ERRORS}: error: there is no baseline to compare with`),
			judgement: { level: "unknown", score: null },
		});
		expect("judgement" in decision && decision.judgement?.verdicts.map(({ criterion, status }) => [criterion, status])).toEqual([
			[ERRORS, "no_data"],
			[P95, "no_data"],
			["error_rate < 3%", "met"],
		]);
	});

	test("does not lose what needs no baseline: a breached limit still rolls back", () => {
		expect(decide(plan, state, during({ errors: 100 }), NOW_MS)).toMatchObject({ kind: "roll_back", reason: "limit_breached" });
	});

	test("is held at the end too", () => {
		expect(decide(plan, { ...state, phase: 1 }, during(), NOW_MS)).toMatchObject({ kind: "hold", reason: "guard_unmet" });
	});
});

describe("a whole life", () => {
	const population: Population = {
		seed: 1,
		users: 4_000,
		visitors: [400, 400],
		requests: 2,
		errors: { candidate: 0.01, control: 0.01 },
		latency: { medianMs: 200, spreadOfUsers: 0.3, spreadOfRequests: 0.4, candidate: (ms) => ms },
	};
	const guards = ["error_rate vs baseline <= +100%", P95];
	const of = planOf({
		guards,
		baseline_window: "10m",
		phases: [20, 50, 100].map((percent) => aPhase({ percent, hold: "10m", criteria: [] })),
	});

	function lived(change: Partial<Population> = {}, ticks = 120): readonly Tick[] {
		const found: Tick[] = [];
		for (const each of live(of, { ...population, ...change })) if (found.push(each) === ticks) break;
		return found;
	}

	test("of a candidate that changes nothing ends completed, judged by the baseline alone", () => {
		const ticks = lived();
		expect(
			ticks.slice(0, 10).every(({ served, evidence }) => served === 0 && evidence.userSums.every(({ arm }) => arm === "control")),
		).toBe(true);
		expect(ticks[9]?.decision).toMatchObject({ kind: "advance", reason: "baseline_measured" });
		expect(ticks.at(-1)?.decision).toMatchObject({ kind: "complete", state: { status: "completed" } });
	});

	test.each<[string, Partial<Population>]>([
		["fails five times as often", { errors: { candidate: 0.05, control: 0.01 } }],
		["takes twice as long", { latency: { medianMs: 200, spreadOfUsers: 0.3, spreadOfRequests: 0.4, candidate: (ms) => 2 * ms } }],
	])("of a candidate that %s ends with a breached limit, in the first phase", (_, change) => {
		const last = lived(change).at(-1);
		expect(last).toMatchObject({ served: 20_000, decision: { kind: "roll_back", reason: "limit_breached" } });
		expect(last?.tick).toBeLessThanOrEqual(20);
	});
});
