import { expect, test } from "vitest";
import { checkPlan } from "../../../core/rollouts/checkPlan";
import { criteriaIn, limitCount, signalKeysOf } from "../../../core/rollouts/planCriteria";
import { holdbackOf, phaseName, servedIn, storedPlan } from "../../../core/rollouts/plan";
import { plan } from "../../../core/rollouts/writtenPlan";
import { aMetric } from "../health/metrics";
import { aPhase, aPlan, planInput } from "./fixtures";

test("a plan needs a name, an environment, flags and phases; the rest has defaults", () => {
	const parsed = storedPlan.parse({
		rollout: "checkout",
		environment: "staging",
		flags: ["checkout"],
		phases: [{ percent: 100, hold: "1h", criteria: ["error_rate < 3%"] }],
	});
	expect(parsed).toEqual({
		rollout: "checkout",
		environment: "staging",
		strategy: "phased",
		flags: ["checkout"],
		phases: [{ percent: 100, hold: "1h", criteria: ["error_rate < 3%"], flags: [], approval: "auto", checks: [], shadow: false }],
		guards: [],
		red_flags: [],
		min_users: 100,
		target_percent: 100,
		checks: [],
		approval_timeout: "24h",
		rollback: { strategy: "immediate", stages: [75, 50, 25, 0], every: "10m", keys: [], segments: [], versions: {}, steps: [] },
		exclude: { keys: [], segments: [] },
		on_control_loss: "hold",
		advance: "standard",
		sensitivity: "standard",
		baseline_window: "10m",
		metrics: [],
	});
	expect(checkPlan(parsed)).toEqual([]);
});

test("a parsed plan survives JSON", () => {
	const parsed = aPlan({ candidate: "new", holdback: 2.5, advance: "relaxed" });
	expect(storedPlan.parse(JSON.parse(JSON.stringify(parsed)))).toEqual(parsed);
	expect(checkPlan(parsed)).toEqual([]);
});

test.each<[string, Record<string, unknown>]>([
	["an unknown field", { owner: "me" }],
	["an unknown field of a phase", { phases: [aPhase({ owner: "me" })] }],
	["an unknown strategy", { strategy: "big-bang" }],
	["an unknown environment", { environment: "test" }],
	["a name in capitals", { rollout: "Checkout" }],
	["a name that leaves no room for the attempt", { rollout: "c".repeat(58) }],
	["no phases", { phases: [] }],
	["a percent above 100", { phases: [aPhase({ percent: 100.001 })] }],
	["a percent below 0", { phases: [aPhase({ percent: -1 })] }],
	["a percent of four decimals", { phases: [aPhase({ percent: 0.0001 })] }],
	["a percent of four decimals", { phases: [aPhase({ percent: 33.3333 })] }],
	["a percent that is NaN", { phases: [aPhase({ percent: Number.NaN })] }],
	["a percent in quotes", { phases: [aPhase({ percent: "5" })] }],
	["a hold without unit", { phases: [aPhase({ hold: "10" })] }],
	["a hold in two units", { phases: [aPhase({ hold: "1h30m" })] }],
	["no hold", { phases: [{ percent: 100 }] }],
	["an empty name of a phase", { phases: [aPhase({ name: "" })] }],
	["a holdback above 50", { holdback: 50.001 }],
	["a holdback below 0", { holdback: -5 }],
	["min_users of 0", { min_users: 0 }],
	["min_users with a fraction", { phases: [aPhase({ min_users: 1.5 })] }],
	["an unknown way to advance", { advance: "always" }],
	["an unknown sensitivity", { sensitivity: "slow" }],
	["a baseline window without unit", { baseline_window: "10" }],
	["metrics, which are added when it is stored", { metrics: [] }],
	["an unknown field of a criterion", { phases: [aPhase({ criteria: [{ criterion: "error_rate < 3%", weight: 2 }] })] }],
	["an unknown way to lose control", { on_control_loss: "panic" }],
	["an unknown field of who is excluded", { exclude: { users: ["anna"] } }],
	["an excluded key that is empty", { exclude: { keys: [""] } }],
	["an excluded key of 1,001 characters", { exclude: { keys: ["x".repeat(1_001)] } }],
	["1,001 excluded keys", { exclude: { keys: Array.from({ length: 1_001 }, (_, i) => `${i}`) } }],
	["an excluded segment in capitals", { exclude: { segments: ["Staff"] } }],
	["21 excluded segments", { exclude: { segments: Array.from({ length: 21 }, (_, i) => `s${i}`) } }],
	["excluded keys that are a text", { exclude: { keys: "anna" } }],
	["a criterion of 201 characters", { guards: ["x".repeat(201)] }],
	["21 criteria", { red_flags: Array.from({ length: 21 }, () => "error_rate > 10%") }],
])("the schema refuses %s", (_, change) => expect(plan.safeParse(planInput(change)).success).toBe(false));

test("who is excluded may be named by key, by segment or both", () => {
	expect(aPlan({ exclude: { keys: ["anna"] } }).exclude).toEqual({ keys: ["anna"], segments: [] });
	expect(aPlan({ exclude: { segments: ["staff"] } }).exclude).toEqual({ keys: [], segments: ["staff"] });
});

test("a plan stored before it could exclude anybody excludes nobody, and holds when control is lost", () => {
	const { exclude: _, on_control_loss: __, ...older } = aPlan();
	expect(storedPlan.parse({ ...older, colour: "red" })).toEqual(aPlan());
});

test.each([0.001, 0.1, 1.005, 8.3, 33.333, 64.1, 99.999])("%d %% is a percent", (percent) => {
	expect(plan.safeParse(planInput({ phases: [aPhase({ percent })] })).success).toBe(true);
});

const whole = aPhase({ percent: 100 });
test.each<[string, Record<string, unknown>, pointer: string, message: RegExp]>([
	[
		"percents that fall",
		{ phases: [aPhase({ percent: 20 }), aPhase({ percent: 5 }), whole] },
		"/phases/1/percent",
		/^5 % falls below the 20 % of a phase before, for the same users$/,
	],
	[
		"percents that fall below an earlier phase of the same audience",
		{
			phases: [aPhase({ percent: 60, audience: "beta" }), aPhase({ percent: 20 }), aPhase({ percent: 30, audience: "beta" }), whole],
		},
		"/phases/2/percent",
		/^30 % falls below the 60 % of a phase before, for the same users$/,
	],
	[
		"a check that has the name of another one in the phase before, during which both are looked at",
		{
			phases: [
				aPhase({ checks: [{ name: "smoke", http: "https://one.example", every: "1h" }] }),
				aPhase({ percent: 20, checks: [{ name: "smoke", http: "https://two.example" }] }),
				whole,
			],
		},
		"/phases/1/checks/0/name",
		/^"smoke" is another check in the phase before$/,
	],
	["a phase of 0 %", { phases: [aPhase({ percent: 0 }), whole] }, "/phases/0/percent", /^0 % serves nobody$/],
	["a last phase below 100 %", { phases: [aPhase(), aPhase({ percent: 99.999 })] }, "/phases/1/percent", /^the last phase serves 100 %$/],
	["a flag named twice", { flags: ["checkout", "search", "checkout"] }, "/flags/2", /^"checkout" is named twice$/],
	[
		"a phase that nothing judges",
		{ guards: [], phases: [aPhase({ criteria: [] }), whole] },
		"/phases/0",
		/^nothing judges this phase: add guards to the plan or criteria to the phase$/,
	],
	[
		"a phase judged by red flags alone",
		{ guards: [], phases: [aPhase({ percent: 100, criteria: [] })] },
		"/phases/0",
		/^nothing judges this phase: add guards to the plan or criteria to the phase$/,
	],
	[
		"a last phase with guards alone and no holdback",
		{ holdback: 0, phases: [aPhase(), aPhase({ percent: 100, criteria: [] })] },
		"/phases/1",
		/^without a holdback there is no control here, so guards cannot judge: add criteria, or a holdback$/,
	],
	[
		"a phase judged by what nobody need report",
		{ guards: [], phases: [aPhase({ criteria: [{ criterion: "satisfaction mean > 8" }] }), whole] },
		"/phases/0",
		/^nothing judges this phase: add guards to the plan or criteria to the phase$/,
	],
	[
		"a bad optional criterion",
		{ phases: [aPhase({ criteria: [{ criterion: "eror_rate < 3%" }] }), whole] },
		"/phases/0/criteria/0",
		/^unknown quantity "eror_rate": did you mean "error_rate"\? .*\(at character 1\)$/,
	],
	[
		"a metric that the environment does not have",
		{ guards: ["retries harm vs control <= +10%"] },
		"/guards/0",
		/^unknown quantity "retries harm".*\(at character 1\)$/,
	],
	[
		"a bad criterion",
		{ phases: [aPhase({ criteria: ["error_rate < 3%", "error_rate > 3%"] }), whole] },
		"/phases/0/criteria/1",
		/did you mean "error_rate <".*\(at character 12\)$/,
	],
	["a bad guard", { guards: ["error_rate vs control <= +25%", "error_rate < 3%"] }, "/guards/1", /a guard compares.*\(at character 12\)$/],
	["a bad red flag", { red_flags: ["latency_ms p94 > 5000"] }, "/red_flags/0", /latency_ms is a quantile: write .*\(at character 12\)$/],
])("refused: %s", (_, change, pointer, message) => {
	const errors = checkPlan(aPlan(change));
	expect(errors.map((error) => error.pointer)).toEqual([pointer]);
	expect(errors[0]?.message).toMatch(message);
});

test("all errors are reported at once", () => {
	const errors = checkPlan(aPlan({ flags: ["a", "a"], guards: ["x"], phases: [aPhase({ percent: 50, criteria: ["y"] })] }));
	expect(errors.map(({ pointer }) => pointer)).toEqual(["/guards/0", "/phases/0/criteria/0", "/flags/1", "/phases/0/percent"]);
});

test.each<[string, Record<string, unknown>]>([
	["equal percents in a row", { phases: [aPhase(), aPhase(), whole] }],
	["a last phase judged by guards beside a holdback", { phases: [aPhase({ percent: 100, criteria: [] })] }],
	["a last phase judged by criteria without a holdback", { holdback: 0 }],
	[
		"a last phase judged by the baseline alone",
		{ holdback: 0, guards: ["error_rate vs baseline <= +20%"], phases: [aPhase({ percent: 100, criteria: [] })] },
	],
	["an optional criterion beside guards", { phases: [aPhase({ percent: 100, criteria: [{ criterion: "satisfaction mean > 8" }] })] }],
	[
		"a criterion that says it is not optional",
		{ guards: [], phases: [aPhase({ percent: 100, criteria: [{ criterion: "error_rate < 3%", optional: false }] })] },
	],
	["proof that margins are kept", { advance: "strict" }],
	["proof of harm that comes fast", { sensitivity: "fast" }],
	[
		"a metric of its own",
		{ guards: ["retries harm vs control <= +10%"], metrics: [aMetric({ key: "retries", harm: { op: "gte", value: 3 } })] },
	],
])("accepted: %s", (_, change) => expect(checkPlan(aPlan(change))).toEqual([]));

test.each<[string, Record<string, unknown>, number]>([
	["5 with guards", {}, 5],
	["0 without guards", { guards: [] }, 0],
	["what the plan says", { holdback: 0 }, 0],
	["0 with comparisons to the baseline alone, which need no control", { guards: ["error_rate vs baseline <= +20%"] }, 0],
	["what the plan says, without guards too", { guards: [], holdback: 2.5 }, 2.5],
])("the holdback is %s", (_, change, percent) => expect(holdbackOf(aPlan(change))).toBe(percent));

test.each<[string, Record<string, unknown>, phase: number, served: number]>([
	["the phase's percent", {}, 0, 5_000],
	["less the holdback at the end", {}, 2, 95_000],
	["everybody without a holdback", { holdback: 0 }, 2, 100_000],
	["no more than the holdback leaves, in any phase", { holdback: 50, phases: [aPhase({ percent: 60 }), whole] }, 0, 50_000],
	["a single bucket", { phases: [aPhase({ percent: 0.001 }), whole] }, 0, 1],
	["nobody in a phase that is not there", {}, 3, 0],
])("a phase serves %s", (_, change, phase, served) => expect(servedIn(aPlan(change), phase)).toBe(served));

test("phases are named by the plan or by their number", () => {
	const named = aPlan({ phases: [aPhase({ name: "friends" }), whole] });
	expect([0, 1].map((index) => phaseName(named, index))).toEqual(["friends", "phase_2"]);
});

test("the limits that share one α are the red flags, the criteria of all phases and the comparisons with the baseline", () => {
	expect(limitCount(aPlan())).toBe(4);
	expect(limitCount(aPlan({ guards: ["error_rate vs control <= +25%", "error_rate vs baseline <= +20%"] }))).toBe(5);
	expect(limitCount(aPlan({ red_flags: [], phases: [aPhase({ criteria: [] }), whole] }))).toBe(1);
});

test("a stored plan's criteria are parsed by their role", () => {
	const { guards, baselines, redFlags, phases } = criteriaIn(aPlan());
	expect(guards).toMatchObject([{ kind: "versus_control", margin: 0.25 }]);
	expect(baselines).toEqual([]);
	expect(redFlags).toMatchObject([{ kind: "limit", limit: 0.1, inclusive: true }]);
	expect(phases[1]).toMatchObject([{ kind: "limit", limit: 0.03, inclusive: false, optional: false }]);
	expect(phases[9]).toBeUndefined();
	expect(() => criteriaIn(aPlan({ guards: ["nonsense"] }))).toThrow('the plan has the invalid guard "nonsense"');
});

test("an optional criterion is one that says no more", () => {
	const of = (criterion: unknown) => criteriaIn(aPlan({ phases: [aPhase({ percent: 100, criteria: [criterion] })] })).phases[0]?.[0];
	expect(of("error_rate < 3%")).toMatchObject({ text: "error_rate < 3%", optional: false });
	expect(of({ criterion: "error_rate < 3%" })).toMatchObject({ text: "error_rate < 3%", optional: true });
	expect(of({ criterion: "error_rate < 3%", optional: false })).toMatchObject({ optional: false });
});

test("guards are told apart by what they compare with", () => {
	const { guards, baselines } = criteriaIn(aPlan({ guards: ["latency_ms p95 vs baseline <= +20%", "error_rate vs control <= +25%"] }));
	expect(guards.map(({ text }) => text)).toEqual(["error_rate vs control <= +25%"]);
	expect(baselines.map(({ text }) => text)).toEqual(["latency_ms p95 vs baseline <= +20%"]);
});

test("a plan is parsed once, and another one with the same words by itself", () => {
	const of = aPlan();
	expect(criteriaIn(of)).toBe(criteriaIn(of));
	expect(criteriaIn(aPlan())).not.toBe(criteriaIn(of));
});

test("each signal is asked for once, in an order that phases do not change", () => {
	const of = aPlan({
		guards: ["latency_ms p95 vs control <= +20%", "error_rate vs baseline <= +20%"],
		red_flags: ["latency_ms p99 > 2500"],
		phases: [
			aPhase({ criteria: ["latency_ms p95 < 2.5s", "error_rate < 3%"] }),
			aPhase({ percent: 100, criteria: ["latency_ms mean < 900"] }),
		],
	});
	expect(signalKeysOf(of).map(({ key, metric, by }) => [key, metric, by.text])).toEqual([
		["latency_ms p95 vs control +20%", "latency_ms", "latency_ms p95 vs control <= +20%"],
		["error", "error", "error_rate vs baseline <= +20%"],
		["latency_ms>2500", "latency_ms", "latency_ms p99 > 2500"],
		["latency_ms", "latency_ms", "latency_ms mean < 900"],
	]);
});

test("a stored plan keeps the definitions of its metrics, so that it means the same when they change", () => {
	const retries = aMetric({ key: "retries", harm: { op: "gte", value: 3 } });
	const of = aPlan({ guards: ["retries harm vs control <= +10%"], metrics: [retries] });
	const kept = storedPlan.parse(JSON.parse(JSON.stringify(of)));
	expect(kept.metrics).toEqual([retries]);
	expect(criteriaIn(kept).guards).toMatchObject([{ metric: "retries", aggregate: "harm", margin: 0.1 }]);
});

test("a plan stored before there were metrics, sensitivities and baselines has their defaults", () => {
	const { metrics: _, sensitivity: __, baseline_window: ___, ...older } = aPlan();
	expect(storedPlan.parse(older)).toEqual(aPlan());
});

test("all that is wrong is reported at once, what judges a phase only when the criteria parse", () => {
	const pointersOf = (change: Record<string, unknown>) => checkPlan(aPlan(change)).map(({ pointer }) => pointer);
	const unjudged = { guards: [], phases: [aPhase({ criteria: [] }), aPhase({ percent: 50 })] };
	expect(pointersOf(unjudged)).toEqual(["/phases/1/percent", "/phases/0"]);
	expect(pointersOf({ ...unjudged, red_flags: ["x"] })).toEqual(["/red_flags/0", "/phases/1/percent"]);
	expect(pointersOf({ ...unjudged, flags: ["a", "a"] })).toEqual(["/flags/1", "/phases/1/percent", "/phases/0"]);
});

test.each([
	[["latency_ms p95 vs control <= +20%", "latency_ms p95 vs control <= +20.0%"]],
	[["error_rate vs control <= +25%", "error  rate vs control <= +25%"]],
	[["error_rate vs baseline <= +25%", "error_rate vs baseline <= +25%"]],
])("a comparison that is written twice is refused, for its evidence would count twice: %j", (guards) => {
	expect(checkPlan(aPlan({ guards })).map(({ pointer, message }) => [pointer, message])).toEqual([
		["/guards/1", `says the same as "${guards[0] ?? ""}"`],
	]);
	expect(checkPlan(aPlan({ guards: ["error_rate vs control <= +25%", "error_rate vs control <= +50%"] }))).toEqual([]);
});
