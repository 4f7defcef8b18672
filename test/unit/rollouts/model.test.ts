import * as fc from "fast-check";
import { expect, test } from "vitest";
import { CALM } from "../../../core/rollouts/circumstances";
import { COMMANDS, type Command, command } from "../../../core/rollouts/command";
import { decide } from "../../../core/rollouts/decide";
import { isLive, rolloutState } from "../../../core/rollouts/state";
import { STRATEGIES } from "../../../core/rollouts/wayBack";
import { unguarded } from "../../../core/rollouts/transitions";
import { MINUTE_MS, NOW_MS } from "./fixtures";
import { AUTHOR, FINAL, Happening, type Model, Person, type Real, Tick, apply, exposureOf, frozen, noneIsMore } from "./modelCommands";
import { FLAGS, aPlanOfAny, aSeen, observationOf } from "./modelWorld";

/** A rollout as a whole: its plan, and whatever ticks, people and faults may do to it, in any order. */

const PEOPLE = ["anna", AUTHOR, "carl", "dora"];

const restart = new Happening("Restart", (real) => {
	real.state = frozen(rolloutState.parse(JSON.parse(JSON.stringify(real.state))));
});

/** As the first tick after one leaves it. */
const lapse = new Happening("Lapse", (real, model) => {
	const { plan, state } = real;
	if (!isLive(state) || state.status === "rolling_back" || (state.status === "paused" && state.retreated)) return;
	const after = unguarded(plan, state, real.now, "tidegate", "unguarded");
	expect(noneIsMore(exposureOf(real, after), exposureOf(real, state))).toBe(true);
	apply(real, model, after);
});

/** An earlier tick that comes late, whatever it has seen. */
const aLateTick = fc.tuple(aSeen, fc.integer({ min: 0, max: 100 })).map(
	([seen, minutes]) =>
		new Happening(`LateTick(${seen.kind})`, ({ plan, state, under }) => {
			if (!isLive(state)) return;
			const observation = observationOf(plan, seen, state);
			expect(decide(plan, state, observation, state.watch.tickedAtMs - minutes * MINUTE_MS, under)).toEqual({ kind: "none" });
		}),
);

/** What has ended is created again; what has not is left. */
const again = new Happening("Again", (real, model) => {
	if (!FINAL.includes(real.state.status)) return;
	for (const kind of COMMANDS)
		expect(command(real.plan, real.state, { kind, by: "anna", reason: "again", isAdmin: true, force: true }, real.now).ok).toBe(false);
	real.state = { status: "draft" };
	model.approvedBy = new Set();
});

const outage = new Happening("Outage", (real, model) => {
	for (let minute = 0; minute < 6; minute++) new Tick({ kind: "source_error", signal: 0, users: 0 }, 1).run(model, real);
});

const aBreaker = fc
	.tuple(fc.constantFrom("closed", "closed", "open", "half_open", "unknown"), fc.boolean(), fc.constantFrom(1, 30, 600))
	.map(
		([kind, isTrial, minutes]) =>
			new Happening(`Breaker(${kind}${isTrial ? ", trial" : ""})`, (real) => {
				const untilMs = real.now + minutes * MINUTE_MS;
				const breaker = kind === "unknown" ? kind : kind === "closed" ? ({ kind } as const) : ({ kind, untilMs } as const);
				real.under = { ...real.under, isTrial, breaker };
			}),
	);

const someChecks = fc
	.constantFrom(
		CALM.checks,
		CALM.checks,
		{ failed: "check own: 500", pending: null },
		{ failed: null, pending: "check own: has not run yet" },
	)
	.map((checks) => new Happening(`Checks(${JSON.stringify(checks)})`, (real) => void (real.under = { ...real.under, checks })));

const aWait = fc
	.constantFrom(10, 60, 1_440)
	.map((minutes) => new Happening(`Wait(${minutes} min)`, (real) => void (real.now += minutes * MINUTE_MS)));

const aTick = fc.tuple(aSeen, fc.constantFrom(1, 1, 1, 2, 5, 30)).map(([seen, minutes]) => new Tick(seen, minutes));
const aHealthyTick = fc.integer({ min: 300, max: 5_000 }).map((users) => new Tick({ kind: "healthy", signal: 0, users }, 1));

const aRollback = fc.record({
	kind: fc.constant("roll_back" as const),
	by: fc.constantFrom(...PEOPLE),
	reason: fc.constant("it hurts"),
	wayBack: fc.record({
		strategy: fc.constantFrom(...STRATEGIES),
		stages: fc.constantFrom(undefined, [80, 40, 3, 0]),
		flags: fc.subarray([...FLAGS, "banner"]),
		keys: fc.constantFrom(undefined, ["user-3"]),
		segments: fc.constantFrom(undefined, ["beta"]),
	}),
});
const aStart = fc.record({
	kind: fc.constant("start" as const),
	by: fc.constantFrom(...PEOPLE),
	reason: fc.constant("go"),
	author: fc.constant(AUTHOR),
	launch: fc.integer({ min: 1, max: 3 }),
	versions: fc.constant({ checkout: 1 }),
	startsAtMs: fc.constantFrom(0, 0, NOW_MS + 30 * MINUTE_MS),
	fromPhase: fc.constantFrom(0, 0, 0, 1, 2, 9),
	manual: fc.constantFrom(false, false, false, true),
});
const aMove = fc.record({
	kind: fc.constantFrom("approve", "approve", "approve", "reject", "pause", "resume", "resume", "advance", "extend", "cancel"),
	by: fc.constantFrom(...PEOPLE),
	reason: fc.constantFrom("looked at it", "because"),
	force: fc.boolean(),
	isAdmin: fc.boolean(),
	extendMs: fc.constantFrom(0, MINUTE_MS),
});

const aPerson: fc.Arbitrary<Person> = fc
	.oneof({ weight: 3, arbitrary: aStart }, { weight: 4, arbitrary: aMove }, { weight: 1, arbitrary: aRollback })
	.map((given) => new Person(given as Command));

/** Somebody changes their mind: a resume from the way back is too rare otherwise. */
const aChangeOfMind = fc.constantFrom([80, 40, 3, 0], [30, 0], [3, 0]).map(
	(stages) =>
		new Happening(`ChangeOfMind(${stages.join()})`, (real, model) => {
			const by = { by: "anna", reason: "it hurts, or not" };
			new Person({ kind: "roll_back", ...by, wayBack: { strategy: "gradual", stages } }).run(model, real);
			new Person({ kind: "resume", ...by }).run(model, real);
		}),
);

/** fc.commands takes each of its arbitraries as often as any other. */
const anything = [
	aHealthyTick,
	aHealthyTick,
	aHealthyTick,
	aTick,
	aTick,
	aPerson,
	aPerson,
	fc.oneof(
		aChangeOfMind,
		fc.constant(restart),
		fc.constant(again),
		fc.constant(again),
		fc.constant(again),
		fc.constant(lapse),
		fc.constant(outage),
		aLateTick,
		aBreaker,
		someChecks,
		aWait,
	),
];

/** Not everything there is: the rest is too rare to be waited for. */
const REACHED = {
	"by a person":
		"advance approve begin_rollback cancel complete drop_flags exclude extend pause reject resume roll_back schedule start validate",
	refused: "advance_refused approval_refused force_refused no_such_phase resume_refused wrong_status",
	roll_back: "harm_proven limit_breached operator red_flag_breached timed_out",
	hold:
		"awaiting_approval breaker_half_open breaker_open breaker_unknown check_failed check_pending control_breaches_too criterion_unmet " +
		"doubling_not_ruled_out guard_unmet hold_not_served manual_advance margin_not_proven measuring_baseline no_data not_before " +
		"not_enough_users paused rolling_back source_error split_broken suspected_harm warmed_up",
	advance: "baseline_measured evidence_sufficient",
	await_approval: "approval_needed",
	begin_rollback: "harm_proven",
	complete: "evidence_sufficient",
	drop_flags: "harm_proven",
	exclude: "harm_proven",
	lower: "harm_proven operator",
	pause: "source_error",
	start: "checks_passed time_has_come",
	step_back: "shared_overload",
	validate: "time_has_come",
	validation_failed: "checks_failed timed_out",
};

/** How many of these lives were long, and what they have come to. */
function live(parameters: { readonly seed?: number }): { readonly long: number; readonly reached: ReadonlySet<string> } {
	let long = 0;
	const reached = new Set<string>();
	fc.assert(
		fc.property(aPlanOfAny, fc.commands(anything, { maxCommands: 120, size: "max" }), (plan, commands) => {
			const real: Real = { plan: frozen(plan), state: { status: "draft" }, now: NOW_MS, under: CALM };
			const model: Model = { approvedBy: new Set(), commands: 0, reached };
			fc.modelRun(() => ({ model, real }), commands);
			if (model.commands >= 40) long++;
		}),
		{ ...parameters, numRuns: 500 },
	);
	return { long, reached };
}

test("any sequence of ticks, commands, faults and restarts keeps every promise that a rollout makes", () => {
	expect(live({}).long).toBeGreaterThanOrEqual(300);
});

test("such sequences reach whatever the engine and people can do, so the promises above are not empty", () => {
	const { reached } = live({ seed: 5 });
	const wanted = Object.entries(REACHED).flatMap(([kind, reasons]) => reasons.split(" ").map((reason) => `${kind}: ${reason}`));
	expect(wanted.filter((each) => !reached.has(each))).toEqual([]);
});
