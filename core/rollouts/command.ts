import type { CheckResult } from "../checks/result";
import { logEvidenceOf } from "../health/guard";
import { SUSPICION } from "../health/level";
import { printNumber } from "../health/print";
import { type Result, assertNever, err, ok } from "../result";
import { logMeanExp } from "../statistics/special";
import { type Change, change, withReason } from "./decision";
import { printDuration } from "./duration";
import { BASELINE_PHASE, type Plan, approversOf, notBeforeMs, phaseName } from "./plan";
import { checksFound, checksToLeave, hasLasted } from "./planChecks";
import { criteriaIn } from "./planCriteria";
import { type LiveState, type RolloutState, type Status, isLive } from "./state";
import { percentNow, takeBack, type WayBackWanted } from "./takeBack";
import { completed, entered, enterPhase, paused, phaseToResume, placeText, resumed, scheduled } from "./transitions";

export const COMMANDS = ["start", "approve", "reject", "pause", "resume", "advance", "extend", "roll_back", "cancel"] as const;
export type CommandKind = (typeof COMMANDS)[number];

/** What people may tell a rollout, with who they are and why. */
export interface Command {
	readonly kind: CommandKind;
	readonly by: string;
	readonly reason: string;
	/** For start: which launch of this candidate it is, counted from 1. */
	readonly launch?: number | undefined;
	/** For start: who wrote the plan, and the flags' versions as they are. */
	readonly author?: string | undefined;
	readonly versions?: Readonly<Record<string, number>> | undefined;
	/** For start: when; the phase to begin with; and whether nothing shall advance by itself. */
	readonly startsAtMs?: number | undefined;
	readonly fromPhase?: number | undefined;
	readonly manual?: boolean | undefined;
	/** For advance: what is known of the checks of its stage. */
	readonly results?: readonly CheckResult[] | undefined;
	/** For advance: past whatever holds. Takes an admin and a reason. */
	readonly force?: boolean | undefined;
	readonly isAdmin?: boolean | undefined;
	/** For extend. */
	readonly extendMs?: number | undefined;
	/** For roll_back: how; default at once. */
	readonly wayBack?: WayBackWanted | undefined;
}

/** Why a command is not carried out. */
export type Refusal =
	| {
			readonly kind: "wrong_status";
			readonly status: Status;
			readonly command: CommandKind;
			/** The commands that fit now. */
			readonly fits: readonly CommandKind[];
	  }
	/** What holds it back now; an admin may force it. */
	| { readonly kind: "advance_refused"; readonly message: string }
	/** On the way back, where each phase would serve somebody more than now. */
	| { readonly kind: "resume_refused"; readonly message: string }
	| { readonly kind: "force_refused"; readonly why: "admin" | "reason" }
	| { readonly kind: "approval_refused"; readonly why: "author" | "twice" | "none_needed" }
	| { readonly kind: "no_such_phase"; readonly phases: readonly string[] };

const FITS: Readonly<Record<CommandKind, readonly Status[]>> = {
	start: ["draft"],
	approve: ["validating", "awaiting_approval"],
	reject: ["validating", "awaiting_approval"],
	pause: ["running", "awaiting_approval"],
	resume: ["paused", "rolling_back"],
	advance: ["running", "awaiting_approval"],
	extend: ["running", "awaiting_approval", "paused"],
	roll_back: ["running", "awaiting_approval", "paused", "rolling_back"],
	cancel: ["draft", "scheduled", "validating", "running", "awaiting_approval", "paused", "rolling_back"],
};

type Outcome = Result<Change, Refusal>;

/** As it is called among the alerts that hold. */
const ADVISED_BACK = "would_roll_back.page";

/** What a person does to a rollout: total over all states, and the only other way than `decide` to change one. */
export function command(plan: Plan, state: RolloutState, given: Command, now: number): Outcome {
	const { kind, by, reason } = given;
	if (!FITS[kind].includes(state.status)) {
		const fits = (Object.keys(FITS) as CommandKind[]).filter((each) => FITS[each].includes(state.status));
		return err({ kind: "wrong_status", status: state.status, command: kind, fits });
	}
	const done = (next: RolloutState, as: Change["kind"] = kind, message = reason): Outcome => ok(change(as, "operator", message, next));
	if (kind === "start") return start(plan, given, now);
	if (kind === "cancel") return done({ status: "cancelled", atMs: now, by, reason });
	if (kind === "approve") return approve(plan, state, given, now);
	if (kind === "reject") return done(isLive(state) ? rejected(state, now, by, reason) : { status: "draft" });
	if (!isLive(state)) throw new Error(`${kind} let through in ${state.status}`);
	switch (kind) {
		case "pause":
			return done(paused(state, now, by, reason));
		case "resume":
			return resume(plan, state, given, now);
		case "extend": {
			const extended = { ...state, extendedMs: state.extendedMs + (given.extendMs ?? 0) };
			return done(extended, kind, withReason(`${phaseName(plan, state.phase)} lasts ${printDuration(extended.extendedMs)} longer`, reason));
		}
		case "roll_back":
			return ok(
				takeBack(
					plan,
					state,
					given.wayBack ?? { strategy: "immediate" },
					{ reason: "operator", message: reason, by, judgement: null },
					now,
				),
			);
		case "advance":
			return advance(plan, state, given, now);
		default:
			return assertNever(kind);
	}
}

function start(plan: Plan, given: Command, now: number): Outcome {
	const { by, reason, launch = 1, author = "", versions = {}, startsAtMs = 0, fromPhase = 0, manual = false } = given;
	if (!plan.phases[fromPhase]) return err({ kind: "no_such_phase", phases: plan.phases.map((_, i) => phaseName(plan, i)) });
	const launchedAtMs = Math.max(startsAtMs, now);
	const how = { launch, author, versions: { ...versions }, fromPhase, manual, launchedAtMs };
	const atMs = Math.max(launchedAtMs, notBeforeMs(plan, fromPhase, launchedAtMs));
	if (atMs > now) return ok(change("schedule", "operator", reason, scheduled(how, atMs, by)));
	const next = entered(plan, how, now, by);
	return ok(change(next.status === "running" ? "start" : "validate", "operator", reason, next));
}

function approve(plan: Plan, state: RolloutState, { by, reason }: Command, now: number): Outcome {
	if (state.status !== "validating" && state.status !== "awaiting_approval") throw new Error(`approve let through in ${state.status}`);
	const next = state.status === "validating" ? state.fromPhase : state.phase + 1;
	const needed = approversOf(plan, next);
	if (state.approvals.length >= needed) return err({ kind: "approval_refused", why: "none_needed" });
	if (by === state.author) return err({ kind: "approval_refused", why: "author" });
	if (state.approvals.some((each) => each.by === by)) return err({ kind: "approval_refused", why: "twice" });
	const approvals = [...state.approvals, { by, atMs: now, reason }];
	const message = withReason(`${placeText(plan, next)}: ${approvals.length} of ${needed} approvals`, reason);
	return ok(change("approve", "operator", message, { ...state, approvals }));
}

/** Whoever approved it has to look again. */
function rejected(state: LiveState, now: number, by: string, reason: string): LiveState {
	return { ...paused(state, now, by, withReason("rejected", reason)), approvals: [] };
}

/** It never raises anybody: who is to be served more needs evidence, or an admin's forced advance. */
function resume(plan: Plan, state: LiveState, { reason }: Command, now: number): Outcome {
	if (phaseToResume(plan, state) !== undefined) return ok(change("resume", "operator", reason, resumed(plan, state, now)));
	const served = `${percentNow(plan, state)} %`;
	return err({ kind: "resume_refused", message: `${served} are served still, and every phase of the plan would serve somebody more` });
}

function advance(plan: Plan, state: LiveState, given: Command, now: number): Outcome {
	const { by, reason, force = false, isAdmin = false, results = [] } = given;
	if (force && !isAdmin) return err({ kind: "force_refused", why: "admin" });
	if (force && reason.trim() === "") return err({ kind: "force_refused", why: "reason" });
	const next = state.phase === BASELINE_PHASE ? state.fromPhase : state.phase + 1;
	const message = force ? undefined : (firing(plan, state) ?? unchecked(plan, state, results) ?? unapproved(plan, state, next));
	if (message !== undefined) return err({ kind: "advance_refused", message });
	const said = force ? `forced: ${reason}` : reason;
	return ok(
		next < plan.phases.length
			? change("advance", "operator", said, enterPhase(plan, state, next, now))
			: change("complete", "operator", said, completed(now, by)),
	);
}

/** A guard that suspects harm; what has proven it was rolled back by the tick that saw it, or would have been. */
function firing(plan: Plan, state: LiveState): string | undefined {
	if (state.watch.alerting.includes(ADVISED_BACK)) return "the last tick would have rolled it back, and automation only advises";
	const { guards } = criteriaIn(plan);
	const logs = state.watch.guards.filter((_, i) => !state.dropped.includes(guards[i]?.flag ?? "")).map(logEvidenceOf);
	const e = logs.length > 0 ? Math.exp(logMeanExp(logs)) : 0;
	return e >= SUSPICION ? `harm is suspected: E = ${printNumber(e)} ≥ ${SUSPICION}` : undefined;
}

/** A critical check that has not passed, with what to do about it. */
function unchecked(plan: Plan, state: LiveState, results: readonly CheckResult[]): string | undefined {
	const matter = checksToLeave(plan, state);
	if (!matter) return undefined;
	const { failed, pending } = checksFound(matter, results);
	if (failed !== null) return `${failed}: it must pass first, and is made again every minute`;
	if (pending === null) return undefined;
	const early = hasLasted(plan, state)
		? ""
		: `; what the next phase begins with is looked at once ${phaseName(plan, state.phase)} has lasted its hold`;
	return `${pending}: it must pass first, so wait for it, confirm or report it${early}`;
}

function unapproved(plan: Plan, { phase, approvals }: LiveState, next: number): string | undefined {
	// What it begins with was approved before the start.
	if (phase === BASELINE_PHASE) return undefined;
	const needed = approversOf(plan, next);
	return approvals.length >= needed ? undefined : `${placeText(plan, next)} needs ${needed} approvals, ${approvals.length} so far`;
}

/** "cannot resume: the rollout is running, which takes pause, advance, roll_back, cancel" */
export function printRefusal(refusal: Refusal): string {
	switch (refusal.kind) {
		case "wrong_status": {
			const { command: given, status, fits } = refusal;
			if (status === "running" && (given === "approve" || given === "reject"))
				return `cannot ${given}: nothing waits for an approval yet, the rollout is running`;
			const now = fits.length > 0 ? `takes ${fits.join(", ")}` : "is final: create the plan again for a new attempt";
			return `cannot ${given}: the rollout is ${status}, which ${now}`;
		}
		case "advance_refused":
			return `${refusal.message}; an admin can force it, with a reason`;
		case "resume_refused":
			return `${refusal.message}: let it end (or roll_back), and create the plan again with a phase as small`;
		case "force_refused":
			return refusal.why === "admin" ? "force takes an admin's token" : "force takes a reason";
		case "approval_refused":
			return {
				author: "whoever wrote the plan cannot approve it: somebody else must",
				twice: "you have approved it already: somebody else must",
				none_needed: "nothing needs an approval now",
			}[refusal.why];
		case "no_such_phase":
			return `there is no such phase: the plan has ${refusal.phases.join(", ")}`;
		default:
			return assertNever(refusal);
	}
}

/** Where a rollout is, in words a person uses. */
export function placeOf(plan: Plan, state: RolloutState): { readonly phase: string | null; readonly percent: number } {
	if (isLive(state)) return { phase: phaseName(plan, state.phase), percent: percentNow(plan, state) };
	return { phase: null, percent: state.status === "completed" ? plan.target_percent : 0 };
}
