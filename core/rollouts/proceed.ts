import { BUCKETS } from "../flags/bucket";
import { captureBaseline } from "../health/baseline";
import { isPercentile } from "../health/criteria";
import { doublingLeft, marginLeft } from "../health/guard";
import { type Judgement, armsServed } from "../health/judge";
import { SUSPICION } from "../health/level";
import { type Evidence, isLosing, ofRing, silentArm } from "../health/observation";
import { printNumber } from "../health/print";
import type { Circumstances } from "./circumstances";
import { type Decision, type HoldReason, change, hold, withReason } from "./decision";
import { durationMs, printDuration } from "./duration";
import { ENGINE } from "./engine";
import { isInPlay, servedBy } from "./exposure";
import {
	BASELINE_PHASE,
	type Plan,
	type Policy,
	approversOf,
	approvalTimeoutOf,
	isShadow,
	newestRing,
	notBeforeMs,
	phaseName,
	timeoutOf,
} from "./plan";
import { criteriaIn } from "./planCriteria";
import type { LiveState, Watch } from "./state";
import { takeBack } from "./takeBack";
import { awaitingApproval, completed, enterPhase, placeText } from "./transitions";

/** Onwards: a phase that has shown enough is left for the next one. */

/** `unseen`: it lacks evidence, and says nothing of what was seen. */
type Blocker = readonly [HoldReason, string, unseen?: "unseen"];

/** What a plan may choose to leave out once a phase took too long. */
const PROOFS: readonly HoldReason[] = ["doubling_not_ruled_out", "margin_not_proven"];

export function proceed(
	plan: Plan,
	state: LiveState,
	evidence: Evidence,
	judgement: Judgement,
	now: number,
	circumstances: Circumstances,
): Decision {
	const unseen = isShadow(plan, state.phase) ? "" : unseenOf(plan, judgement);
	const blocker = firstBlocker(plan, state, evidence, judgement);
	const late = lateBy(plan, state, now);
	const mayLeaveOut = state.status === "running" && late?.policy === "advance" && blocker && PROOFS.includes(blocker[0]);
	if (blocker && !mayLeaveOut) {
		const found = { judgement, more: `${besides(blocker[0], judgement)}${unseen}` };
		return heldBack(plan, state, blocker, found, now, state.status === "running" ? late : undefined);
	}
	const gate = gateOf(plan, state, judgement, now, circumstances, late);
	if (gate) return gate;
	const { users } = judgement.candidate;
	const done = `${phaseName(plan, state.phase)}: held ${printDuration(state.watch.heldMs)} with ${printNumber(users)} users of the candidate`;
	if (state.phase + 1 === plan.phases.length) {
		const who = plan.target_percent < 100 ? `${plan.target_percent} % are` : "everybody is";
		const message = `${done}, no evidence of harm: ${who} served the candidate${unseen}`;
		return change("complete", "evidence_sufficient", message, completed(now, ENGINE), judgement);
	}
	const message = `${done}, no evidence of harm: on to ${plan.phases[state.phase + 1]?.percent ?? 0} %${unseen}`;
	return change("advance", "evidence_sufficient", message, enterPhase(plan, state, state.phase + 1, now), judgement);
}

interface Late {
	readonly policy: Policy;
	readonly said: string;
}

/** Something is in its way; where that takes too long somebody is told, or the plan's policy takes everybody back. */
function heldBack(
	plan: Plan,
	state: LiveState,
	[reason, said, unseen]: Blocker,
	{ judgement, more = "" }: { readonly judgement: Judgement; readonly more?: string },
	now: number,
	late: Late | undefined,
): Decision {
	if (!late) return hold(reason, `${said}${more}`, state, judgement);
	const message = `${late.said}: ${said}`;
	// What was not seen moves nobody, in neither direction.
	if (late.policy === "rollback" && unseen === undefined)
		return takeBack(plan, state, { strategy: "immediate" }, { reason: "timed_out", message, by: ENGINE, judgement }, now);
	const alerts = [{ severity: "warn", kind: "phase_timeout", message }] as const;
	return { ...hold(reason, `${said}${more}; ${late.said}`, state, judgement), alerts };
}

/** By what a phase, or the measuring of the baseline, has taken too long, and what the plan wants then. */
function lateBy(plan: Plan, state: LiveState, now: number): Late | undefined {
	const { afterMs, policy } = timeoutOf(plan, state.phase);
	const next = state.phase === BASELINE_PHASE ? 0 : notBeforeMs(plan, state.phase + 1, state.launchedAtMs);
	// Whoever must wait for a date is not late before it.
	const dueMs = Math.max(state.sinceMs + afterMs + state.extendedMs, next);
	if (now < dueMs) return undefined;
	// Waiting for people has used the time up, which is no fault of what they are asked about.
	const isAsked = state.status === "awaiting_approval";
	return {
		policy: isAsked ? "hold" : policy,
		said: `${phaseName(plan, state.phase)} takes longer than ${printDuration(dueMs - state.sinceMs)}`,
	};
}

/** Of a phase that has shown enough: what else must be before the next one. */
function gateOf(
	plan: Plan,
	state: LiveState,
	judgement: Judgement,
	now: number,
	circumstances: Circumstances,
	late: Late | undefined,
): Decision | undefined {
	const { checks } = circumstances;
	const next = state.phase + 1;
	const held = (blocker: Blocker): Decision => heldBack(plan, state, blocker, { judgement }, now, late);
	if (checks.failed !== null) {
		const decision = held(["check_failed", checks.failed]);
		if (decision.kind !== "hold") return decision;
		return { ...decision, alerts: [{ severity: "page", kind: "check_failed", message: checks.failed }, ...decision.alerts] };
	}
	if (checks.pending !== null) return held(["check_pending", checks.pending, "unseen"]);
	const earliest = notBeforeMs(plan, next, state.launchedAtMs);
	if (now < earliest) return held(["not_before", `${placeText(plan, next)} begins in ${printDuration(earliest - now)}, not before`]);
	const approval = approvalLeft(plan, state, judgement, now);
	if (approval) return approval;
	if (state.manual) return held(["manual_advance", "everything it needs is there: nothing advances by itself, so advance it"]);
	const stopped = stoppedBy(plan, state.watch, circumstances);
	// Others' rollbacks say nothing of this one.
	return stopped && held([...stopped, "unseen"]);
}

function approvalLeft(plan: Plan, state: LiveState, judgement: Judgement, now: number): Decision | undefined {
	const next = state.phase + 1;
	const [needed, given] = [approversOf(plan, next), state.approvals.length];
	if (given >= needed) return undefined;
	const said = `${placeText(plan, next)} needs ${needed} ${needed === 1 ? "approval" : "approvals"}, ${given} so far`;
	if (state.status !== "awaiting_approval")
		return change("await_approval", "approval_needed", `${said}: nothing else is in its way`, awaitingApproval(state, now), judgement);
	const { afterMs, policy } = approvalTimeoutOf(plan);
	if (now - state.askedAtMs < afterMs) return hold("awaiting_approval", said, state, judgement);
	const late = `${said}, for ${printDuration(now - state.askedAtMs)}`;
	if (policy === "advance") return undefined;
	if (policy === "rollback")
		return takeBack(plan, state, { strategy: "immediate" }, { reason: "timed_out", message: late, by: ENGINE, judgement }, now);
	return {
		...hold("awaiting_approval", late, state, judgement),
		alerts: [{ severity: "warn", kind: "approval_timeout", message: late }],
	};
}

function firstBlocker(plan: Plan, state: LiveState, evidence: Evidence, judgement: Judgement): Blocker | undefined {
	const { watch } = state;
	const { split, harm, verdicts, candidate } = judgement;
	const phase = plan.phases[state.phase];
	if (!phase) throw new Error(`no phase ${state.phase}`);
	if (split.broken)
		return [
			"split_broken",
			`the users' split is not the planned one, BF = ${printNumber(split.bayesFactor)} ≥ 1,000: assignment or telemetry is broken`,
			"unseen",
		];
	if (state.status === "paused") return ["paused", withReason(`paused by ${state.by}`, state.reason)];
	const ring = newestRing(plan, state);
	const wanted = (durationMs(phase.hold) ?? 0) + state.extendedMs;
	// Time without data does not count, so whoever is late by it lacks data.
	if (watch.heldMs < wanted) return ["hold_not_served", `held ${printDuration(watch.heldMs)} of ${printDuration(wanted)}`, "unseen"];
	// The sums behind the other checks are the phase's: they would pass a candidate that has just fallen silent.
	const newest = ofRing(evidence, ring);
	const silent = silentArm(newest, armsServed(plan, state));
	if (silent) return ["no_data", `no_data: the ${silent} reported nothing since the tick before`, "unseen"];
	if (isLosing(judgement.lost)) return ["no_data", lostText(judgement), "unseen"];
	const usersMin = phase.min_users ?? plan.min_users;
	const whose = ring === undefined ? "" : ` in ring ${ring}, ${phase.audience ?? "everybody"},`;
	if (candidate.users < usersMin)
		return [
			"not_enough_users",
			`${printNumber(candidate.users)} users of the candidate${whose} < ${printNumber(usersMin)} needed`,
			"unseen",
		];
	if (harm.e >= SUSPICION)
		return [
			"suspected_harm",
			`E = ${printNumber(harm.e)} ≥ ${SUSPICION}: harm is suspected, ${printNumber(harm.threshold)} would prove it`,
		];
	const isFull = servedBy(plan, state) >= BUCKETS;
	const isLast = state.phase + 1 === plan.phases.length;
	const allUnmet = verdicts.filter(
		({ role, status }) =>
			!(status === "met" || status === "not_applicable" || status === "not_reported" || (role === "red_flag" && status !== "beyond")),
	);
	const beyond = allUnmet.find(({ status }) => status === "beyond");
	const unmet = beyond ?? allUnmet[0];
	if (unmet) {
		const [reason, said] = [unmet.role === "guard" ? "guard_unmet" : "criterion_unmet", `${unmet.criterion}: ${unmet.message}`] as const;
		return beyond ? [reason, said] : [reason, said, "unseen"];
	}
	// Where nobody is served the candidate there is no harm to rule out.
	return isLast || isFull || isShadow(plan, state.phase) ? undefined : proofLeft(plan, state, newest);
}

const lostText = ({ lost }: Judgement): string =>
	`no_data: ${printNumber(lost.events)} of ${printNumber(lost.of)} outcomes since the tick before were measured and did not arrive`;

/** What else whoever reads of a hold should know: it may be why the next one holds. */
function besides(reason: HoldReason, { harm, verdicts }: Judgement): string {
	const warmingUp = verdicts.filter((each) => each.status === "warming_up").map((each) => `; ${each.criterion}: ${each.message}`);
	const isSuspected = harm.e >= SUSPICION && reason !== "suspected_harm";
	return `${isSuspected ? `; harm is suspected: E = ${printNumber(harm.e)}, ${printNumber(harm.threshold)} would prove it` : ""}${reason === "guard_unmet" ? "" : warmingUp.join("")}`;
}

/** Beyond it the evidence makes no bets: what could only have been proven there could not. */
const RISK_RATIO_MAX = 20;

/** What this phase could not have seen: no evidence of harm is only as good as the evidence that there could have been. */
function unseenOf(plan: Plan, { provable }: Judgement): string {
	if (criteriaIn(plan).guards.length === 0) return "";
	return provable === null || provable > RISK_RATIO_MAX
		? `; no risk ratio below ${RISK_RATIO_MAX} could have been proven yet`
		: `; a risk ratio below ${printNumber(provable)} could not have been proven yet`;
}

/** At 0 %: what the guards that compare with the baseline will be held against. */
export function measureBaseline(
	plan: Plan,
	state: LiveState,
	evidence: Evidence,
	judgement: Judgement,
	now: number,
	circumstances: Circumstances,
): Decision {
	if (state.status === "paused") return hold("paused", withReason(`paused by ${state.by}`, state.reason), state, judgement);
	const { heldMs } = state.watch;
	const held = `measured for ${printDuration(heldMs)} of ${plan.baseline_window}`;
	const late = lateBy(plan, state, now);
	const stay = (reason: HoldReason, said: string): Decision => heldBack(plan, state, [reason, said, "unseen"], { judgement }, now, late);
	if (heldMs < (durationMs(plan.baseline_window) ?? 0) + state.extendedMs) return stay("measuring_baseline", `baseline: ${held}`);
	if (isLosing(judgement.lost)) return stay("measuring_baseline", `baseline: ${held}, but ${lostText(judgement)}`);
	const captured = captureBaseline(plan, evidence);
	if ("missing" in captured) return stay("measuring_baseline", `baseline: ${held}, but ${captured.missing}`);
	const stopped = stoppedBy(plan, state.watch, circumstances);
	if (stopped) return stay(...stopped);
	const first = state.fromPhase;
	const values = criteriaIn(plan).baselines.map(({ text }, i) => `${text}: ${printNumber(captured.values[i] ?? 0)}`);
	const message = `baseline ${held}: ${values.join(", ")}; on to ${plan.phases[first]?.percent ?? 0} %`;
	return change("advance", "baseline_measured", message, enterPhase(plan, { ...state, baseline: captured.values }, first, now), judgement);
}

/** Last of all: whoever reads of it knows that nothing else was in the way. */
export function stoppedBy(
	plan: Plan,
	{ tickedAtMs }: Pick<Watch, "tickedAtMs">,
	{ breaker, isTrial }: Circumstances,
): readonly [HoldReason, string] | undefined {
	if (breaker === "unknown") return ["breaker_unknown", "whether too many rollouts were rolled back could not be read"];
	if (breaker.kind === "closed" || (breaker.kind === "half_open" && isTrial)) return undefined;
	const why = `too many automatic rollbacks in ${plan.environment}`;
	const left = printDuration(breaker.untilMs - tickedAtMs);
	return breaker.kind === "open"
		? ["breaker_open", `${why}: nothing advances by itself for another ${left}`]
		: ["breaker_half_open", `${why}: for another ${left} only the smallest of those that could goes on by itself, one at a time`];
}

/** What must be proven before an advance. At the end nothing: ruling out a doubling among the few users held back would take months. */
function proofLeft(plan: Plan, { watch, phase, dropped }: LiveState, evidence: Evidence): Blocker | undefined {
	if (plan.advance === "relaxed") return undefined;
	for (const [i, guard] of criteriaIn(plan).guards.entries()) {
		if (!isInPlay(plan, { phase, dropped }, guard)) continue;
		const guardWatch = watch.guards[i];
		const isStrict = plan.advance === "strict" && !isPercentile(guard.aggregate);
		const left = isStrict ? marginLeft(guard, evidence) : guardWatch && doublingLeft(guard, guardWatch, evidence);
		if (left !== undefined) return [isStrict ? "margin_not_proven" : "doubling_not_ruled_out", left];
	}
	return undefined;
}
