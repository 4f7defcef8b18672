import { describe, expect, test } from "vitest";
import type { CheckResult } from "../../../core/checks/result";
import type { Plan } from "../../../core/rollouts/plan";
import { checksBefore, checksFound, checksNow } from "../../../core/rollouts/planChecks";
import type { RolloutState } from "../../../core/rollouts/state";
import { FIRST_LAUNCH, awaitingApproval, lowered, scheduled, validating } from "../../../core/rollouts/transitions";
import { decide } from "../../../core/rollouts/decide";
import { CALM } from "../../../core/rollouts/circumstances";
import { ENDED, MINUTE_MS, NOW_MS, aPhase, aPlan, aState, anEvidence, pausedState } from "./fixtures";

const http = "https://origin.example/health";
const plan = aPlan({
	checks: [
		{ name: "smoke", http },
		{ name: "load", http, every: "1h" },
		{ name: "quality", reported: "quality", when: "during" },
	],
	phases: [
		aPhase({ percent: 5, checks: [{ name: "own", http }] }),
		aPhase({
			percent: 20,
			checks: [
				{ name: "second", manual: "look at it" },
				{ name: "later", http, when: "during" },
			],
		}),
		aPhase({ percent: 100 }),
	],
});
const named = (state: RolloutState, of: Plan = plan) => checksNow(of, state)?.checks.map(({ name }) => name);
const unserved = { watch: { heldMs: 9 * MINUTE_MS } };

test("before anybody is served: the plan's and those of the phase that it begins with", () => {
	expect(checksBefore(plan, 0).map(({ name }) => name)).toEqual(["smoke", "load", "own"]);
	expect(checksBefore(plan, 1).map(({ name }) => name)).toEqual(["smoke", "load", "second"]);
	const state = validating({ ...FIRST_LAUNCH, fromPhase: 1 }, 42, "anna");
	expect(checksNow(plan, state)).toMatchObject({ moment: "before", stage: 0, phase: 1, sinceMs: 42 });
	expect(named(state)).toEqual(["smoke", "load", "second"]);
});

test.each<[string, RolloutState, readonly string[]]>([
	["what repeats, and what belongs to phases, while the hold is served", aState(unserved, plan), ["load", "quality"]],
	["what the next phase begins with, once the hold is served", aState({}, plan), ["load", "quality", "second"]],
	["the same while people are asked", awaitingApproval(aState({}, plan), 0), ["load", "quality", "second"]],
	["not before an extension is over", aState({ extendedMs: 2 * MINUTE_MS }, plan), ["load", "quality"]],
	["a phase's own", aState({ phase: 1, stage: 2, ...unserved }, plan), ["load", "quality", "later"]],
	["nothing more in the last phase", aState({ phase: 2, stage: 3 }, plan), ["load", "quality"]],
])("during a phase: %s", (_, state, expected) => {
	expect(named(state)).toEqual(expected);
	expect(checksNow(plan, state)).toMatchObject({ moment: "during" });
});

test.each<[string, RolloutState]>([
	["the baseline is measured", aState({ phase: -1 }, plan)],
	["it is paused", pausedState()],
	["it is on its way back", lowered(plan, aState({ phase: 2 }, plan), [50, 0], 0, { by: "a", reason: "b", trigger: "operator" })],
	["it waits for its time", scheduled(FIRST_LAUNCH, 1, "anna")],
	["it is a draft", { status: "draft" }],
	...ENDED.map((state): [string, RolloutState] => [`it is ${state.status}`, state]),
])("none matters while %s", (_, state) => expect(checksNow(plan, state)).toBeUndefined());

test("a plan without checks waits for none", () => {
	expect(checksNow(aPlan(), aState())).toBeUndefined();
});

describe("what was found", () => {
	const result = (name: string, change: Partial<CheckResult> = {}): CheckResult => ({
		name,
		status: "passed",
		critical: true,
		message: "as expected",
		attempts: 1,
		durationMs: 3,
		atMs: 50,
		...change,
	});
	const before = checksNow(plan, validating(FIRST_LAUNCH, 42, "anna"));
	const found = (...results: readonly CheckResult[]) => before && checksFound(before, results);
	const all = ["smoke", "load", "own"].map((name) => result(name));

	test.each<[string, readonly CheckResult[], object]>([
		["all passed", all, { failed: null, pending: null }],
		["nothing yet", [], { failed: null, pending: "check smoke: has not run yet" }],
		["one is missing", all.slice(0, 2), { failed: null, pending: "check own: has not run yet" }],
		[
			"one failed",
			[result("load", { status: "failed", message: "500" })],
			{ failed: "check load: 500", pending: "check smoke: has not run yet" },
		],
		[
			"one is too old",
			[...all.slice(1), result("smoke", { status: "stale", message: "old" })],
			{ failed: null, pending: "check smoke: old" },
		],
		[
			"one that is not critical failed",
			[...all.slice(1), result("smoke", { critical: false, status: "warning" })],
			{ failed: null, pending: null },
		],
		["one passed before this stage began", [...all.slice(1), result("smoke", { atMs: 41 })], { pending: "check smoke: has not run yet" }],
		["another one passed", [...all.slice(1), result("other")], { pending: "check smoke: has not run yet" }],
	])("%s", (_, results, expected) => expect(found(...results)).toMatchObject(expected));
});

describe("a phase that has shown enough", () => {
	const decided = (checks: Partial<typeof CALM.checks>, change: Parameters<typeof aState>[0] = {}) =>
		decide(plan, aState(change, plan), anEvidence(), NOW_MS, { checks: { ...CALM.checks, ...checks } });

	test("holds for a check that failed, and somebody is paged", () => {
		expect(decided({ failed: "check load: 500" })).toMatchObject({
			kind: "hold",
			reason: "check_failed",
			message: "check load: 500",
			alerts: [{ severity: "page", kind: "check_failed" }],
		});
	});

	test("holds for one that is not known to have passed, and nobody is told", () => {
		expect(decided({ pending: "check load: old" })).toMatchObject({ kind: "hold", reason: "check_pending", alerts: [] });
	});

	test("goes on when they pass", () => expect(decided({})).toMatchObject({ kind: "advance" }));

	test("is rolled back for harm, whatever its checks say", () => {
		expect(decided({ failed: "check load: 500", pending: "check quality: old" }, { guard: { e: 81 } })).toMatchObject({
			kind: "roll_back",
		});
	});
});
