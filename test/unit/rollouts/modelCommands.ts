import { isDeepStrictEqual } from "node:util";
import type * as fc from "fast-check";
import { expect } from "vitest";
import { servedTo } from "../../../core/flags/rings";
import type { CheckResult } from "../../../core/checks/result";
import { bucketsOf } from "../../../core/flags/snapshot";
import { logEvidenceOf } from "../../../core/health/guard";
import type { Observation } from "../../../core/health/observation";
import { WAYS_BACK } from "../../../core/rollouts/advise";
import { CALM, type Circumstances } from "../../../core/rollouts/circumstances";
import { type Command, command, printRefusal } from "../../../core/rollouts/command";
import { decide } from "../../../core/rollouts/decide";
import type { Change, Decision } from "../../../core/rollouts/decision";
import { liveRollout, servedBy } from "../../../core/rollouts/exposure";
import { type Plan, approvalTimeoutOf, approversOf } from "../../../core/rollouts/plan";
import { checksToLeave } from "../../../core/rollouts/planChecks";
import { type LiveState, type RolloutState, isLive, isWaiting, rolloutState } from "../../../core/rollouts/state";
import { logMeanExp } from "../../../core/statistics/special";
import { MINUTE_MS } from "./fixtures";
import { FLAGS, SEGMENTS, type Seen, isMissing, observationOf } from "./modelWorld";

export const AUTHOR = "ben";
export const FINAL: readonly RolloutState["status"][] = ["rolled_back", "completed", "cancelled"];
/** What serves somebody more than before. */
const RISING: readonly Decision["kind"][] = ["start", "advance", "complete"];

/** The engine's, as D1 would hold it. */
export interface Real {
	readonly plan: Plan;
	state: RolloutState;
	now: number;
	under: Circumstances;
}

/** What is known of it beside the engine. */
export interface Model {
	/** Which decisions, changes and refusals there were. */
	readonly reached: Set<string>;
	/** Who has approved what comes next. */
	approvedBy: Set<string>;
	/** How many it has seen. */
	commands: number;
}

/** All the way down: no transition may write into the state that it was given. */
export function frozen<T>(value: T): T {
	if (typeof value === "object" && value !== null && !Object.isFrozen(value)) {
		Object.freeze(value);
		for (const each of Object.values(value)) frozen(each);
	}
	return value;
}

function expectSame(found: unknown, expected: unknown): void {
	if (!isDeepStrictEqual(found, expected)) expect(found).toEqual(expected);
}

/** Some of them are excluded by plans and people. */
const USERS = [[], ["internal"], ["beta"], SEGMENTS].flatMap((segments) =>
	["user-1", "user-2", "user-3"].map((key) => ({ key, segments })),
);

/** Buckets that are served the candidate, of each flag for each kind of user: whoever is below stays below as long as it never falls. */
export function exposureOf({ plan }: Real, state: RolloutState): readonly number[] {
	const live = liveRollout("checkout.1", plan, state);
	return USERS.flatMap(({ key, segments }) => {
		const isOut = live?.excluded.keys.includes(key) || live?.excluded.segments.some((each) => segments.includes(each));
		return FLAGS.map((flag) => {
			if (!live || isOut || !Object.hasOwn(live.flags, flag)) return 0;
			return servedTo(live, rulesetOf(segments), { targetingKey: key }) ?? 0;
		});
	});
}

const rulesetOf = (segments: readonly string[]): Parameters<typeof servedTo>[1] => ({
	version: 1,
	flag: () => undefined,
	begin: () => undefined,
	isMember: (segment) => segments.includes(segment),
});

export const noneIsMore = (after: readonly number[], before: readonly number[]): boolean =>
	after.every((each, i) => each <= (before[i] ?? 0));
const noneIsLess = (after: readonly number[], before: readonly number[]): boolean => after.every((each, i) => each >= (before[i] ?? 0));

/** What holds of every state, and between any two that follow each other. */
function checkState(real: Real, before: RolloutState, after: RolloutState): void {
	expectSame(rolloutState.parse(JSON.parse(JSON.stringify(after))), after);
	if (FINAL.includes(before.status)) expectSame(after, before);
	if (!isLive(after)) return;
	expect(after.watch.heldMs).toBeGreaterThanOrEqual(0);
	const ceiling = after.retreated ? 0 : bucketsOf(after.lowered?.percent ?? 100);
	expect(Math.max(...exposureOf(real, after))).toBeLessThanOrEqual(ceiling);
	for (const { frozen: usual, score } of after.watch.guards) expect(usual === null).toBe(score === null);
	if (!isLive(before)) return;
	expect([0, 1]).toContain(after.stage - before.stage);
	expect(after.alpha).toBeLessThanOrEqual(before.alpha);
	expect(before.dropped.every((flag) => after.dropped.includes(flag))).toBe(true);
	if (!isDeepStrictEqual(exposureOf(real, after), exposureOf(real, before))) expect(after.stage).toBe(before.stage + 1);
	if (after.stage === before.stage + 1) expect(after.before).toMatchObject({ stage: before.stage, served: servedBy(real.plan, before) });
}

function checkChange({ reason, message }: Change): void {
	expect(reason).not.toBe("");
	expect(message).not.toBe("");
}

export function apply(real: Real, model: Model, after: RolloutState): void {
	const { state: before } = real;
	checkState(real, before, after);
	const isSamePlace = isLive(before) && isLive(after) ? before.stage === after.stage : before.status === after.status;
	if (!isSamePlace) model.approvedBy = new Set();
	real.state = frozen(after);
}

/** Whether so many, none of them the author, have approved the phase that is entered. */
function checkApproved({ plan, state, now }: Real, { approvedBy }: Model, next: number): void {
	// Of a baseline's end: what it begins with was approved before the start.
	if (isLive(state) && state.phase === -1) return;
	expect(approvedBy.has(AUTHOR)).toBe(false);
	if (approvedBy.size >= approversOf(plan, next)) return;
	const { afterMs, policy } = approvalTimeoutOf(plan);
	expect([state.status, policy]).toEqual(["awaiting_approval", "advance"]);
	if (state.status === "awaiting_approval") expect(now - state.askedAtMs).toBeGreaterThanOrEqual(afterMs);
}

/** By what has been learnt so far. */
function isHarmful({ alpha, watch, dropped }: LiveState): boolean {
	return dropped.length === 0 && watch.guards.length > 0 && logMeanExp(watch.guards.map(logEvidenceOf)) >= Math.log(1 / alpha);
}

const judgementOf = (decision: Decision) => (decision.kind === "none" ? null : decision.judgement);

export class Tick implements fc.Command<Model, Real> {
	readonly #seen: Seen;
	readonly #minutes: number;
	constructor(seen: Seen, minutes: number) {
		this.#seen = seen;
		this.#minutes = minutes;
	}

	check = (): boolean => true;

	run(model: Model, real: Real): void {
		real.now += this.#minutes * MINUTE_MS;
		model.commands++;
		const { plan, state: before, now, under } = real;
		const seen = frozen(observationOf(plan, this.#seen, before));
		const decision = decide(plan, before, seen, now, under);
		expectSame(decide(plan, before, seen, now, under), decision);
		this.#checkBreaker(real, seen, decision);
		if (decision.kind === "none") {
			expect(isLive(before)).toBe(false);
			return;
		}
		model.reached.add(decision.kind === "hold" ? `hold: ${decision.reason}` : `${decision.kind}: ${decision.reason}`);
		if (decision.kind !== "hold") checkChange(decision);
		if (isLive(before)) this.#checkLive(real, model, before, decision);
		else this.#checkWaiting(real, model, before, decision);
		apply(real, model, decision.state);
		if (isWaiting(real.state)) return;
		// The same tick again, and one that comes too late.
		expect(decide(plan, real.state, seen, now, under)).toEqual({ kind: "none" });
		expect(decide(plan, real.state, seen, now - 1, under)).toEqual({ kind: "none" });
	}

	#checkLive(real: Real, model: Model, before: LiveState, decision: Exclude<Decision, { kind: "none" }>): void {
		const { kind } = decision;
		const { plan } = real;
		const [was, is] = [exposureOf(real, before), exposureOf(real, decision.state)];
		const isBack = before.status === "rolling_back";
		const judgement = judgementOf(decision);
		const found =
			judgement?.verdicts.filter(({ status, criterion }) => status === "breached" && !judgement.shared.includes(criterion)) ?? [];
		const isFailure = judgement?.harm.tripled === true || found.some(({ role }) => role === "red_flag");
		const isProven = isFailure || judgement?.harm.proven === true || found.length > 0;

		if (isMissing(this.#seen.kind, servedBy(plan, before))) {
			const allowed = isBack ? ["hold", "lower", "roll_back"] : ["hold", "pause"];
			expect([this.#seen.kind, allowed]).toEqual([this.#seen.kind, expect.arrayContaining([kind])]);
		}
		if (isProven && !isBack) expect(WAYS_BACK).toContain(kind);
		if (isFailure) expect([kind, decision.kind !== "hold" && decision.strategy]).toEqual(["roll_back", "immediate"]);
		if (isProven || isBack) expect(noneIsMore(is, was)).toBe(true);
		if (isBack) expect(["rolling_back", "rolled_back"]).toContain(decision.state.status);
		if (judgement?.split.broken) expect(RISING).not.toContain(kind);
		if (!RISING.includes(kind)) {
			expect(noneIsMore(is, was)).toBe(true);
			if (kind === "hold" || kind === "await_approval" || kind === "pause") expectSame(is, was);
			return;
		}
		expect(["running", "awaiting_approval"]).toContain(before.status);
		expect(judgement?.harm.e).toBeLessThan(5);
		const next = before.phase === -1 ? before.fromPhase : before.phase + 1;
		checkApproved(real, model, next);
		if (before.phase >= 0) {
			expect(before.manual).toBe(false);
			expect(["good", "excellent"]).toContain(judgement?.level);
		}
		if (kind === "complete") expect(next).toBe(plan.phases.length);
		else {
			expect(isLive(decision.state) && decision.state.phase).toBe(next);
			expect(noneIsLess(is, was)).toBe(true);
		}
	}

	#checkWaiting(real: Real, model: Model, before: RolloutState, { kind, state }: Exclude<Decision, { kind: "none" }>): void {
		expect(isWaiting(before)).toBe(true);
		if (!isWaiting(before)) return;
		expect(["validate", "validation_failed", "start"]).toContain(kind);
		if (kind !== "start") return;
		checkApproved(real, model, before.fromPhase);
		expect(isLive(state) && [state.author, state.manual]).toEqual([before.author, before.manual]);
	}

	/** Neither breaker nor checks stand in the way of anything but what rises. */
	#checkBreaker({ plan, state, now, under }: Real, seen: Observation, decision: Decision): void {
		const calm = decide(plan, state, seen, now, CALM);
		const { breaker, isTrial, checks } = under;
		const isStopped = breaker === "unknown" || breaker.kind === "open" || (breaker.kind === "half_open" && !isTrial);
		if (isStopped) expect(RISING).not.toContain(decision.kind);
		// A baseline serves nobody, so no check is looked at then.
		if ((checks.failed ?? checks.pending) !== null && !(isLive(state) && state.phase === -1))
			expect(state.status === "scheduled" ? [] : RISING).not.toContain(decision.kind);
		if (
			WAYS_BACK.includes(calm.kind) &&
			judgementOf(calm) !== null &&
			calm.kind !== "none" &&
			calm.kind !== "hold" &&
			calm.reason !== "timed_out"
		)
			expectSame(decision, calm);
	}

	toString = (): string => `Tick(${this.#seen.kind}, signal ${this.#seen.signal}, ${this.#seen.users} users, ${this.#minutes} min later)`;
}

/** What is known of the checks where it stands, all of them alike. */
function resultsOf({ plan, state, now, under }: Real): CheckResult[] {
	if (!isLive(state) || under.checks.pending !== null) return [];
	const status = under.checks.failed === null ? "passed" : "failed";
	const checks = checksToLeave(plan, state)?.checks ?? [];
	return checks.map(({ name, critical }) => ({ name, critical, status, message: "500", attempts: 1, durationMs: 1, atMs: now }));
}

export class Person implements fc.Command<Model, Real> {
	readonly #given: Command;
	constructor(given: Command) {
		this.#given = given;
	}

	check = (): boolean => true;

	run(model: Model, real: Real): void {
		model.commands++;
		const { plan, state: before } = real;
		const given = { ...this.#given, results: resultsOf(real) };
		// People are not bound to whole minutes.
		real.now += 1_000;
		const result = command(plan, before, given, real.now);
		expectSame(command(plan, before, given, real.now), result);
		if (!result.ok) {
			model.reached.add(`refused: ${result.error.kind}`);
			expect(printRefusal(result.error)).not.toBe("");
			return;
		}
		expect(FINAL).not.toContain(before.status);
		const { kind, state } = result.value;
		model.reached.add(`by a person: ${kind}`);
		checkChange(result.value);
		const [was, is] = [exposureOf(real, before), exposureOf(real, state)];
		if (["pause", "extend", "approve", "reject"].includes(kind)) expectSame(is, was);
		if (WAYS_BACK.includes(kind) || kind === "cancel") expect(noneIsMore(is, was)).toBe(true);
		// Whom a lapse took back goes on where they were: nothing was found against it.
		if (kind === "resume" && isLive(before)) expect(noneIsMore(is, exposureOf(real, { ...before, retreated: false }))).toBe(true);
		if (isLive(before) && isHarmful(before) && !noneIsMore(is, was))
			expect(given).toMatchObject({ kind: "advance", force: true, isAdmin: true });
		if (given.kind === "advance" && isLive(before)) this.#checkAdvance(real, model, before, state);
		if (given.kind === "approve") {
			expect(given.by).not.toBe(AUTHOR);
			expect(model.approvedBy.has(given.by)).toBe(false);
		}
		if (given.kind === "start" && isLive(state)) expect(approversOf(plan, given.fromPhase ?? 0)).toBe(0);
		apply(real, model, state);
		if (given.kind === "approve") model.approvedBy.add(given.by);
		if (given.kind === "reject") model.approvedBy = new Set();
	}

	#checkAdvance(real: Real, model: Model, before: LiveState, after: RolloutState): void {
		const { force = false, isAdmin = false, reason } = this.#given;
		if (isLive(after)) expect(noneIsLess(exposureOf(real, after), exposureOf(real, before))).toBe(true);
		if (force) return expect([isAdmin, reason.trim() !== ""]).toEqual([true, true]);
		const { failed, pending } = real.under.checks;
		if (checksToLeave(real.plan, before)?.checks.some(({ critical }) => critical)) expect([failed, pending]).toEqual([null, null]);
		const next = before.phase === -1 ? before.fromPhase : before.phase + 1;
		expect(before.phase === -1 ? Infinity : model.approvedBy.size).toBeGreaterThanOrEqual(approversOf(real.plan, next));
		// Of a rollout that has one guard: a mean of one.
		if (before.watch.guards.length === 1 && before.dropped.length === 0)
			expect(before.watch.guards.map((guard) => Math.exp(logEvidenceOf(guard)) < 5)).toEqual([true]);
	}

	toString(): string {
		return `Person(${JSON.stringify(this.#given)})`;
	}
}

/** Something around the rollout that is neither a tick nor a person. */
export class Happening implements fc.Command<Model, Real> {
	readonly #name: string;
	readonly #happen: (real: Real, model: Model) => void;
	constructor(name: string, happen: (real: Real, model: Model) => void) {
		this.#name = name;
		this.#happen = happen;
	}

	check = (): boolean => true;

	run(model: Model, real: Real): void {
		model.commands++;
		this.#happen(real, model);
	}

	toString = (): string => this.#name;
}
