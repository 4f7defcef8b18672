import { describe, expect, test } from "vitest";
import type { Evidence, Observation } from "../../../core/health/observation";
import { type Alert, raise } from "../../../core/rollouts/alert";
import { decide } from "../../../core/rollouts/decide";
import type { Plan } from "../../../core/rollouts/plan";
import { type LiveState, isLive, rolloutState } from "../../../core/rollouts/state";
import { enterPhase, paused, resumed } from "../../../core/rollouts/transitions";
import { LAST_TICK_MS, MINUTE_MS, NOW_MS, aPlan, aState, anEvidence, pausedState } from "./fixtures";

const names = (alerts: readonly Alert[]): string[] => alerts.map(({ kind, severity }) => `${kind}.${severity}`);

const QUIET = anEvidence({ totals: [] });
const FAILED: Observation = { kind: "source_error", message: "timeout" };
const WARNING = anEvidence({ candidate: { users: 500, harmedUsers: 31 } });
const unattributed = (requests: number) => ({ metric: "error", arm: "unattributed", requests, sum: 0 }) as const;
const withUnattributed = (requests: number, ...more: Evidence["totals"]): Evidence => {
	const seen = anEvidence();
	return { ...seen, totals: [...seen.totals, unattributed(requests), ...more] };
};

/** What each of a row of ticks tells, from a state whose hold is never served. */
function told(
	seen: readonly Observation[],
	state: LiveState = aState({ watch: { heldMs: 0 } }),
	plan: Plan = aPlan({ phases: endless }),
): string[][] {
	let now = LAST_TICK_MS;
	let current = state;
	return seen.map((each) => {
		now += MINUTE_MS;
		const decision = decide(plan, current, each, now);
		if (decision.kind === "none") throw new Error("nothing decided");
		if (isLive(decision.state)) current = decision.state;
		return names(decision.alerts);
	});
}
const endless = [
	{ percent: 5, hold: "30d", criteria: ["error_rate < 3%"] },
	{ percent: 100, hold: "30d" },
];
const times = <T>(n: number, each: T): T[] => Array.from({ length: n }, () => each);

test("nothing is told of a rollout that is well", () => expect(told(times(20, anEvidence()))).toEqual(times(20, [])));

describe("ticks without data", () => {
	test("warn with the third in a row and page with the fifteenth, once each", () => {
		const found = told(times(40, QUIET));
		expect(found.flatMap((alerts, i) => alerts.map((alert) => [i + 1, alert]))).toEqual([
			[3, "no_data.warn"],
			[15, "no_data.page"],
		]);
	});

	test("are counted anew after data came: two of them and two of them are none to tell of", () => {
		expect(told([QUIET, QUIET, anEvidence(), QUIET, QUIET]).flat()).toEqual([]);
	});

	test("warn again when data came in between", () => {
		expect(told([...times(3, QUIET), anEvidence(), ...times(3, QUIET)]).flat()).toEqual(["no_data.warn", "no_data.warn"]);
	});

	test("say what is missing", () => {
		const state = aState({ watch: { quietTicks: 2 } });
		const silent = decide(aPlan(), state, QUIET, NOW_MS);
		expect(silent).toMatchObject({
			alerts: [{ severity: "warn", message: "no_data: no outcome counted for 3 tick(s): are events sent, and are the flags enabled?" }],
		});
		const lacking = decide(aPlan(), state, anEvidence({ totals: [unattributed(7)] }), NOW_MS);
		expect(lacking).toMatchObject({
			alerts: [
				{
					message: "no_data: 7 events were reported without the attributes that the flags' rules look at: send them in the event's context",
				},
			],
		});
	});

	test("are counted over failed reads, which say nothing of them", () => {
		expect(told([QUIET, QUIET, FAILED, QUIET]).flat()).toEqual(["no_data.warn"]);
	});
});

describe("a source that fails", () => {
	test("pages with the fifth failure in a row, once, however long it goes on", () => {
		expect(told(times(20, FAILED))).toEqual([...times(4, []), ["source_error.page"], ...times(15, [])]);
	});

	test("pages of a rollout that is paused already", () => {
		expect(told(times(6, FAILED), pausedState())).toEqual([...times(4, []), ["source_error.page"], []]);
	});

	test("pages again when it had answered in between, were it with silence", () => {
		for (const answer of [anEvidence(), QUIET])
			expect(told([...times(5, FAILED), answer, ...times(5, FAILED)]).flat()).toEqual(["source_error.page", "source_error.page"]);
	});

	test("does not page for four failures", () => {
		expect(told([...times(4, FAILED), anEvidence(), ...times(4, FAILED)]).flat()).toEqual([]);
	});
});

describe("outcomes that lack an attribute", () => {
	test.each<[string, Evidence, readonly string[]]>([
		["above 5 % of all are told of", withUnattributed(11), ["unattributed.warn"]],
		["below 5 % are not", withUnattributed(10), []],
		[
			"of 5 % exactly are not",
			anEvidence({
				totals: [
					{ metric: "error", arm: "candidate", requests: 10, sum: 0 },
					{ metric: "error", arm: "control", requests: 180, sum: 0 },
					unattributed(10),
				],
			}),
			[],
		],
		["of every metric count together", withUnattributed(6, { ...unattributed(5), metric: "latency_ms" }), ["unattributed.warn"]],
		[
			"among fewer than a hundred are not told of",
			anEvidence({
				totals: [
					{ metric: "error", arm: "candidate", requests: 40, sum: 0 },
					{ metric: "error", arm: "control", requests: 49, sum: 0 },
					unattributed(10),
				],
			}),
			[],
		],
		[
			"among a hundred are",
			anEvidence({
				totals: [
					{ metric: "error", arm: "candidate", requests: 40, sum: 0 },
					{ metric: "error", arm: "control", requests: 50, sum: 0 },
					unattributed(10),
				],
			}),
			["unattributed.warn"],
		],
	])("%s", (_, seen, expected) => expect(told([seen])).toEqual([expected]));

	test("are told of once, and again after they had stopped", () => {
		const lacking = withUnattributed(50);
		expect(told([lacking, lacking, anEvidence(), lacking])).toEqual([["unattributed.warn"], [], [], ["unattributed.warn"]]);
	});

	test("are counted in the message", () => {
		expect(decide(aPlan(), aState(), withUnattributed(50), NOW_MS)).toMatchObject({
			alerts: [{ message: "50 of 250 outcomes lack an attribute that the flags' rules look at: send it in the event's context" }],
		});
	});
});

describe("a warning", () => {
	test("is told of once while it holds, and again after it ended", () => {
		expect(told([WARNING, WARNING, anEvidence(), WARNING, WARNING])).toEqual([["warning.warn"], [], [], ["warning.warn"], []]);
	});

	test("of a target names it with its arithmetic", () => {
		expect(decide(aPlan(), aState(), WARNING, NOW_MS)).toMatchObject({
			alerts: [{ message: "error_rate < 3%: 3.1 % of requests over 500 users, limit 3 %: beyond, not proven" }],
		});
	});

	test("of suspected harm says how much is suspected", () => {
		expect(decide(aPlan(), aState({ guard: { e: 7 } }), anEvidence(), NOW_MS)).toMatchObject({
			kind: "hold",
			alerts: [{ severity: "warn", kind: "warning", message: "harm is suspected: E = 7" }],
		});
	});
});

test("a broken split pages once", () => {
	const state = aState({ watch: { exposures: [{ served: 5_000, candidate: 0, control: 200 }] } });
	expect(told(times(3, anEvidence()), state)).toEqual([["split_broken.page"], [], []]);
});

test("a limit that both arms breach pages once, with its name", () => {
	const both = anEvidence({ candidate: { harmedUsers: 200 }, control: { harmedUsers: 4_000 } });
	expect(told(times(3, both))).toEqual([["control_breaches_too.page"], [], []]);
	expect(decide(aPlan(), aState(), both, NOW_MS)).toMatchObject({
		alerts: [{ message: "error_rate > 10%, error_rate < 3%: breached with and without the candidate" }],
	});
});

test.each<[string, Observation, readonly string[]]>([
	["a failed read", FAILED, []],
	["a tick without data", QUIET, []],
	["a tick with a number that is none", anEvidence({ candidate: { users: Number.NaN } }), []],
])("%s ends no warning: nobody is told twice of what never ended", (_, unknown, expected) => {
	expect(told([WARNING, unknown, WARNING, unknown, unknown, WARNING])).toEqual([["warning.warn"], expected, [], [], [], []]);
});

test("a pause by failed reads ends no warning either", () => {
	expect(told([WARNING, ...times(5, FAILED), WARNING]).flat()).toEqual(["warning.warn", "source_error.page"]);
});

test("what had ended when data came again may be told of again", () => {
	expect(told([WARNING, QUIET, anEvidence(), WARNING]).flat()).toEqual(["warning.warn", "warning.warn"]);
});

test("a rollback is news by itself, with no alert beside it", () => {
	expect(decide(aPlan(), aState({ guard: { e: 81 } }), WARNING, NOW_MS)).toMatchObject({ kind: "roll_back", alerts: [] });
});

test("what is alerted to goes along with pauses, phases and the store", () => {
	const state = aState({ watch: { alerting: ["warning.warn"] } });
	for (const next of [
		enterPhase(aPlan(), state, 1, 1),
		paused(state, 1, "anna", "lunch"),
		resumed(aPlan(), paused(state, 1, "anna", ""), 2),
	])
		expect(next.watch.alerting).toEqual(["warning.warn"]);
	expect(rolloutState.parse(JSON.parse(JSON.stringify(state)))).toEqual(state);
	const { alerting: _, ...older } = state.watch;
	expect(rolloutState.parse({ ...state, watch: older })).toMatchObject({ watch: { alerting: [] } });
});

test("an alert is known by its kind and severity: a page follows a warning of the same kind", () => {
	const state = aState({ watch: { alerting: ["no_data.warn"] } });
	const both: readonly Alert[] = (["warn", "page"] as const).map((severity) => ({ kind: "no_data", severity, message: "" }));
	const found = raise(state, both);
	expect(names(found.alerts)).toEqual(["no_data.page"]);
	expect(found.state.watch.alerting).toEqual(["no_data.warn", "no_data.page"]);
	expect(state.watch.alerting).toEqual(["no_data.warn"]);
});
