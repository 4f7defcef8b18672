import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Detail, Event } from "../../../cli/answers";
import { plainly, widthOf } from "../../../cli/output";
import { type View, frame, happenings, lineOf } from "../../../cli/timeline";

const START = Date.UTC(2026, 0, 1, 12);
const MINUTE = 60_000;

function aHealth(over: Partial<NonNullable<Detail["health"]>> = {}): NonNullable<Detail["health"]> {
	return {
		atMs: START + 31 * MINUTE,
		decision: "hold",
		reason: "hold_not_served",
		message: "held 30m of 1h",
		level: "excellent",
		score: 96,
		percent: 20,
		judgement: null,
		...over,
	};
}

function aRollout(over: Partial<Detail> = {}): Detail {
	return {
		id: "checkout.1",
		environment: "production",
		name: "checkout",
		attempt: 1,
		flags: ["checkout", "cart"],
		status: "running",
		phase: "second",
		percent: 20,
		holdback: 5,
		revision: 2,
		createdAtMs: START,
		startedAtMs: START,
		plan: {
			phases: [
				{ name: "first", percent: 5, hold: "30m" },
				{ name: "second", percent: 20, hold: "1h" },
				{ percent: 100, hold: "2h" },
			],
		},
		state: { phase: 1, sinceMs: START + MINUTE, watch: { heldMs: 30 * MINUTE, tickedAtMs: START + 31 * MINUTE } },
		health: aHealth(),
		...over,
	};
}

function anEvent(over: Partial<Event> = {}): Event {
	return { revision: 1, atMs: START, kind: "start", reason: "operator", message: "go", actor: "ann", ...over };
}
const ADVANCE = anEvent({
	revision: 2,
	atMs: START + MINUTE,
	kind: "advance",
	reason: "evidence_sufficient",
	message: "no evidence of harm: on to 20 %",
	actor: "tidegate",
});

const aView = (over: Partial<View> = {}): View => ({
	rollout: aRollout(),
	events: [anEvent(), ADVANCE],
	seenAtMs: START + 31 * MINUTE,
	...over,
});
const drawn = (view: View, over: Partial<Parameters<typeof frame>[1]> = {}): string =>
	frame(view, { now: START + 32 * MINUTE, columns: 100, rows: 40, lostSinceMs: null, paint: plainly, ...over }).join("\n");

describe("a frame", () => {
	test("shows where the rollout is, what the last tick found, and what has happened", () => {
		expect(drawn(aView())).toBe(`checkout.1 in production: running, started 32m ago  checkout, cart
████▊░░░░░░░░░░░░░░░░░░░ 20 % served, 5 % held back

✔ first     5 %
▶ second    20 %     ████████████░░░░░░░░░░░░ held 30m of 1h
  phase_3   100 %    hold 2h

excellent, score 96  1m ago
hold: held 30m of 1h

+0s     ▶ start: go (ann)
+1m     ▲ advance: no evidence of harm: on to 20 % (tidegate)`);
	});

	test.each<[what: string, over: Partial<Detail>, says: string]>([
		[
			"a draft that nobody has started",
			{ status: "draft", phase: null, percent: 0, startedAtMs: null, state: {}, health: null },
			"no tick has looked yet",
		],
		[
			"who paused it, and why",
			{ status: "paused", state: { phase: 1, by: "ann", reason: "lunch", watch: { heldMs: 0, tickedAtMs: 0 } } },
			"paused by ann: lunch",
		],
		[
			"that the baseline is measured",
			{ phase: "baseline", percent: 0, state: { phase: -1, sinceMs: START + 22 * MINUTE } },
			"▶ baseline  0 %      being measured for 10m",
		],
		["alerts that hold", { state: { phase: 1, watch: { heldMs: 0, tickedAtMs: 0, alerting: ["no_data.warn"] } } }, "alert: no_data"],
		["a level without a score", { health: aHealth({ level: "unknown", score: null }) }, "unknown  1m ago"],
		["all phases of one that is completed", { status: "completed", phase: null, percent: 100, state: {} }, "✔ phase_3   100 %"],
		["one whose plan cannot be read", { plan: null, state: null, health: null }, "the stored plan cannot be read"],
	])("shows %s", (_what, over, says) => expect(drawn(aView({ rollout: aRollout(over) }))).toContain(says));

	const next = {
		kind: "phase",
		phase: "phase_3",
		percent: 100,
		audience: null,
		flags: ["search"],
		holdLeftMs: 30 * MINUTE,
		notBeforeMs: null,
		approvals: { needed: 2, given: ["bob"], author: "ann" },
		checks: [],
		waitsFor: ["hold"],
	};

	test("shows of each phase who is served, who joins, and what it asks for before it is entered", () => {
		const phases = [
			{ name: "compare", percent: 0, hold: "1h", shadow: true },
			{ name: "staff", percent: 100, hold: "1h", audience: "staff", flags: ["cart"], approval: "manual" },
			{ name: "all", percent: 100, hold: "2h", flags: ["search", "mail"], approval: { approvers: 2 }, not_before: { day: 8 } },
			{ name: "last", percent: 100, hold: "2h", approval: "manual", not_before: "2026-03-01T08:00:00Z" },
		];
		const shown = drawn(aView({ rollout: aRollout({ percent: 100, plan: { phases }, next }) }));
		expect(shown).toContain("100 % served of staff, 5 % held back");
		expect(shown).toContain(`✔ compare   0 %      compared only
▶ staff     100 %    ████████████░░░░░░░░░░░░ held 30m of 1h, of staff, cart joins
  all       100 %    hold 2h, search, mail join, 2 approvals, from day 8 on
  last      100 %    hold 2h, 1 approval, from 2026-03-01T08:00:00Z on

excellent`);
	});

	test.each<[what: string, over: Partial<Detail>, says: string]>([
		[
			"how many have approved, and who may not",
			{ status: "awaiting_approval", next: { ...next, waitsFor: ["approval"] } },
			"phase_3 (100 %, with search) waits for 1 of 2 approvals (bob), from anybody but ann",
		],
		[
			"when it begins",
			{
				status: "scheduled",
				phase: null,
				state: {},
				health: null,
				next: { ...next, notBeforeMs: START + 92 * MINUTE, waitsFor: ["time"] },
			},
			"waits for 2026-01-01T13:32:00Z, in 1h",
		],
		[
			"which checks are pending",
			{ status: "validating", phase: null, state: {}, health: null, next: { ...next, checks: ["smoke", "e2e"], waitsFor: ["checks"] } },
			"waits for checks: smoke, e2e",
		],
		["that nothing advances by itself", { next: { ...next, waitsFor: ["person"] } }, "waits for somebody who advances it"],
		[
			"the stages that are left of the way back",
			{
				status: "rolling_back",
				percent: 75,
				state: { phase: 1, by: "tidegate", reason: "harm", stages: [50, 0] },
				next: { ...next, kind: "lower", phase: null, percent: 50, notBeforeMs: START + 41 * MINUTE, waitsFor: ["time"] },
			},
			"on the way back: then 50 %, 0 %, in 9m",
		],
		[
			"who takes it back, and why",
			{ status: "rolling_back", state: { phase: 1, by: "tidegate", reason: "harm", stages: [0] } },
			"taken back by tidegate: harm",
		],
		["flags that were taken back", { state: { phase: 1, dropped: ["cart"] } }, "cart taken back while the others go on"],
		[
			"a hold that was extended",
			{ state: { phase: 1, extendedMs: 60 * MINUTE, watch: { heldMs: 30 * MINUTE, tickedAtMs: 0 } } },
			"held 30m of 2h",
		],
	])("says %s", (_what, over, says) => expect(drawn(aView({ rollout: aRollout(over) }), { columns: 160 })).toContain(says));

	test("says since when control does not answer", () => {
		expect(drawn(aView(), { lostSinceMs: START + 31 * MINUTE })).toContain("control has not answered for 1m: trying again");
	});

	test("keeps to the last eight events", () => {
		const events = Array.from({ length: 20 }, (_, i) => anEvent({ revision: i + 1, message: `event ${i + 1}` }));
		const shown = drawn(aView({ events }));
		expect(shown).toContain("event 13");
		expect(shown).not.toContain("event 12");
	});

	test("is never wider or higher than the terminal", () => {
		const size = { columns: fc.integer({ min: 1, max: 120 }), rows: fc.integer({ min: 1, max: 60 }) };
		fc.assert(
			fc.property(fc.record(size), fc.string({ maxLength: 300 }), ({ columns, rows }, message) => {
				const view = aView({ rollout: aRollout({ health: aHealth({ message }) }), events: [anEvent({ message }), ADVANCE] });
				const lines = frame(view, { now: START, columns, rows, lostSinceMs: START, paint: plainly });
				return lines.length <= Math.max(rows, 2) && lines.every((each) => widthOf(each) <= columns);
			}),
		);
	});
});

describe("what is new", () => {
	const lines = (before: View | undefined, after: View): string[] => happenings(before, after).map(lineOf);

	test("at first are all events so far, and what the last tick found", () => {
		expect(lines(undefined, aView())).toEqual([
			"2026-01-01T12:00:00Z  start      operator: go (ann)",
			"2026-01-01T12:01:00Z  advance    evidence_sufficient: no evidence of harm: on to 20 % (tidegate)",
			"2026-01-01T12:31:00Z  hold       20 %, excellent  held 30m of 1h",
		]);
	});

	test("is nothing where a tick found the same again, however its arithmetic reads", () => {
		const later = aView({ rollout: aRollout({ health: aHealth({ atMs: START + 32 * MINUTE, message: "held 31m of 1h" }) }) });
		expect(lines(aView(), later)).toEqual([]);
	});

	test.each<[what: string, over: Partial<NonNullable<Detail["health"]>>]>([
		["level", { level: "warning" }],
		["reason to hold", { reason: "suspected_harm" }],
	])("is a tick that found another %s", (_what, over) =>
		expect(lines(aView(), aView({ rollout: aRollout({ health: aHealth(over) }) }))).toHaveLength(1),
	);

	test("is a change once, though the tick that made it tells it as well", () => {
		const rolledBack = anEvent({
			revision: 3,
			atMs: START + 32 * MINUTE,
			kind: "roll_back",
			reason: "harm_proven",
			message: "E 90 ≥ 80",
			actor: "tidegate",
		});
		const after = aView({
			rollout: aRollout({ status: "rolled_back", health: aHealth({ decision: "roll_back", reason: "harm_proven" }) }),
			events: [anEvent(), ADVANCE, rolledBack],
		});
		expect(lines(aView(), after)).toEqual(["2026-01-01T12:32:00Z  roll back  harm_proven: E 90 ≥ 80 (tidegate)"]);
	});
});
