import { expect, test } from "vitest";
import { measurementsOf } from "../../../core/flags/measure";
import { command } from "../../../core/rollouts/command";
import { decide } from "../../../core/rollouts/decide";
import { MINUTE_MS, NOW_MS, aPhase, aPlan, aState, anEvidence, sumsOf } from "./fixtures";

/** A phase that takes too long, and a plan that would rather go back then. */

const late = aPlan({
	phases: [aPhase({ timeout: { after: "90m", policy: "rollback" } }), aPhase({ percent: 100 })],
	guards: ["error_rate vs control <= +25%"],
});
const decided = (state: Parameters<typeof aState>[0], evidence = anEvidence()) => {
	const sinceMs = NOW_MS - 100 * MINUTE_MS;
	const { kind, reason } = decide(late, aState({ sinceMs, ...state }, late), evidence, NOW_MS) as { kind: string; reason: string };
	return [kind, reason];
};
/** 4 % of the candidate's requests fail: beyond the criterion's 3 %, and proven by nothing. */
const beyond = anEvidence({ candidate: { users: 500, harmedUsers: 40 } });

test("what is seen to be beyond its limit goes back", () => {
	expect(decided({}, beyond)).toEqual(["roll_back", "timed_out"]);
});

test.each<[string, Parameters<typeof aState>[0], ReturnType<typeof anEvidence>]>([
	["its hold is not served, since time without data does not count", { watch: { heldMs: 5 * MINUTE_MS } }, beyond],
	["too few users were seen", {}, anEvidence({ candidate: { users: 40, harmedUsers: 0 } })],
	["a criterion's metric was not reported", {}, { ...anEvidence(), userSums: [sumsOf({ metric: "fallback" })] }],
])("what is late because evidence is missing only holds: %s", (_, state, evidence) => {
	expect(decided(state, evidence)[0]).toBe("hold");
});

test("days are counted from the time that the start was wanted for", () => {
	const days = aPlan({ phases: [aPhase(), aPhase({ percent: 100, not_before: { day: 3 } })] });
	const later = NOW_MS + 50 * 24 * 60 * MINUTE_MS;
	const started = command(days, { status: "draft" }, { kind: "start", by: "anna", reason: "", startsAtMs: later }, NOW_MS);
	expect(started).toMatchObject({ value: { state: { status: "scheduled", startsAtMs: later, launchedAtMs: later } } });
});

test("an event that names a flag is counted once more where a guard looks at that flag's events alone", () => {
	const signal = (metric: string) => ({ key: metric, metric, slot: 0, harm: { candidate: HARM, control: HARM } });
	const by = {
		key: "assistant.1",
		flags: ["drafts", "search"],
		served: 5_000,
		stage: 1,
		sinceMs: 0,
		before: null,
		retreats: false,
		signals: [signal("error"), signal("error@drafts")],
		scored: [],
	};
	const of = (flag: string | undefined, arm: "candidate" | "unattributed" = "candidate") =>
		measurementsOf({ by, arm }, { metric: "error", value: 1, flag }).map(({ metric, harms }) => [metric, harms.length]);
	expect(of("drafts")).toEqual([
		["error", 1],
		["error@drafts", 1],
	]);
	expect(of("search")).toEqual([["error", 1]]);
	expect(of(undefined)).toEqual([["error", 1]]);
	expect(of("drafts", "unattributed")).toEqual([["error", 0]]);
});
const HARM = { op: "equals", value: 1 } as const;
