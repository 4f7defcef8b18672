import { BUCKETS } from "../flags/bucket";
import { captureBaseline } from "../health/baseline";
import { isPercentile } from "../health/criteria";
import { doublingLeft, marginLeft } from "../health/guard";
import { type Judgement, armsServed, judge } from "../health/judge";
import { SUSPICION } from "../health/level";
import { type Evidence, type Observation, isFinite, silentArm, unattributedOf } from "../health/observation";
import { printNumber } from "../health/print";
import { type Alert, raise } from "./alert";
import type { BreakerState } from "./breaker";
import type { Change, ChangeKind, ChangeReason, Decision, Hold, HoldReason, Learnt } from "./decision";
import { durationMs, printDuration } from "./duration";
import { BASELINE_PHASE, type Plan, criteriaIn, phaseName, servedIn } from "./plan";
import { completed, enterPhase, paused, restartedPhase, rolledBack } from "./transitions";
import { type LiveState, type RolloutState, type Watch, isLive } from "./state";

const ENGINE = "tidegate";
const FAILED_READS_MAX = 5;
/** A breach of both arms that shows within so many ticks of a phase's begin was caused by it: overload hurts everybody. */
const OVERLOAD_TICKS = 2;
/** Ticks in a row without data: when somebody should look, and when somebody must. */
const QUIET_TICKS_WARN = 3;
const QUIET_TICKS_PAGE = 15;
/** More of a window's outcomes than this without an arm: something that rules look at is not sent. */
const UNATTRIBUTED_SHARE_MAX = 0.05;
/** A handful says nothing about a share. */
const UNATTRIBUTED_OF_MIN = 100;

/** What a decision depends on besides the rollout itself. */
export interface Circumstances {
	/** The environment's; "unknown": it could not be read. */
	readonly breaker: BreakerState | "unknown";
	/** While the breaker is half open: this is the one rollout that goes on all the same. */
	readonly isTrial: boolean;
}
const CALM: Circumstances = { breaker: { kind: "closed" }, isTrial: false };

/**
 * What time and evidence do to a rollout. The order of checks is the policy: harm, broken split, hold time, enough data,
 * advance. Missing evidence only ever holds; proven harm always rolls back, paused or not.
 */
export function decide(
	plan: Plan,
	state: RolloutState,
	observation: Observation,
	now: number,
	circumstances: Circumstances = CALM,
): Decision {
	if (!isLive(state) || now <= state.watch.tickedAtMs) return { kind: "none" };
	if (observation.kind === "source_error") return unreadable(state, observation.message, now);
	const unattributed = unattributedOf(observation);
	const isQuiet = unattributed.events === unattributed.of && observation.firstHarms.length === 0;
	if (isQuiet || !isFinite(observation)) return quiet(state, unattributed.events, now);

	const { watch, judgement } = judge(plan, state, observation, now);
	const next: LiveState = { ...state, watch };
	const decision =
		protect(plan, next, judgement, now) ??
		warmedUp(plan, state, next, judgement, now) ??
		proceed(plan, next, observation, judgement, now, circumstances);
	const stopped: Alert[] =
		decision.kind === "hold" && decision.reason === "breaker_open"
			? [{ severity: "page", kind: "breaker_open", message: decision.message }]
			: [];
	const holding = [...concerns(judgement), ...stopped];
	return learning(alerted(decision, holding), { state: next, holding });
}

function unreadable(state: LiveState, message: string, now: number): Decision {
	const watch: Watch = { ...state.watch, tickedAtMs: now, failedReads: state.watch.failedReads + 1 };
	const next = { ...state, watch };
	const said = `metrics could not be read, ${watch.failedReads} times in a row: ${message}`;
	const page: Alert[] = watch.failedReads >= FAILED_READS_MAX ? [{ severity: "page", kind: "source_error", message: said }] : [];
	if (page.length > 0 && state.status === "running")
		return learning(alerted(change("pause", "source_error", said, paused(next, now, ENGINE, said), null), page, ["source_error"]), {
			state: next,
			holding: page,
			told: ["source_error"],
		});
	return alerted(hold("source_error", said, next, null), page, ["source_error"]);
}

/** The evidence is left untouched: its minutes are counted when data comes again. */
function quiet(state: LiveState, unattributed: number, now: number): Decision {
	const watch: Watch = { ...state.watch, tickedAtMs: now, quietTicks: state.watch.quietTicks + 1, failedReads: 0 };
	const why =
		unattributed > 0
			? `${printNumber(unattributed)} events were reported without the attributes that the flags' rules look at: send them in the event's context`
			: `no outcome counted for ${watch.quietTicks} tick(s): are events sent, and are the flags enabled?`;
	const message = `no_data: ${why}`;
	const severities = [
		...(watch.quietTicks >= QUIET_TICKS_WARN ? (["warn"] as const) : []),
		...(watch.quietTicks >= QUIET_TICKS_PAGE ? (["page"] as const) : []),
	];
	return alerted(
		hold("no_data", message, { ...state, watch }, null),
		severities.map((severity) => ({ severity, kind: "no_data", message })),
		["no_data", "source_error"],
	);
}

/** What a person should know although the engine holds. A rollback is news by itself. */
function concerns({ level, split, shared, unattributed, verdicts, harm }: Judgement): Alert[] {
	const alerts: Alert[] = [];
	if (level === "warning") {
		const beyond = verdicts.filter((each) => each.status === "beyond").map((each) => `${each.criterion}: ${each.message}`);
		alerts.push({ severity: "warn", kind: "warning", message: beyond.join("; ") || `harm is suspected: E = ${printNumber(harm.e)}` });
	}
	if (split.broken)
		alerts.push({ severity: "page", kind: "split_broken", message: `the users' split is broken: BF = ${printNumber(split.bayesFactor)}` });
	if (shared.length > 0)
		alerts.push({
			severity: "page",
			kind: "control_breaches_too",
			message: `${shared.join(", ")}: breached with and without the candidate`,
		});
	const { events, of } = unattributed;
	if (of >= UNATTRIBUTED_OF_MIN && events > of * UNATTRIBUTED_SHARE_MAX)
		alerts.push({
			severity: "warn",
			kind: "unattributed",
			message: `${printNumber(events)} of ${printNumber(of)} outcomes lack an attribute that the flags' rules look at: send it in the event's context`,
		});
	return alerts;
}

/** `told`: the kinds that this tick could tell of; all of them where it was judged. */
function alerted(decision: Decision, holding: readonly Alert[], told?: readonly string[]): Decision {
	if (decision.kind === "none" || !isLive(decision.state)) return decision;
	const { state, alerts } = raise(decision.state, holding, told);
	return { ...decision, state, alerts };
}

function learning(decision: Decision, learnt: Learnt): Decision {
	return decision.kind === "none" || decision.kind === "hold" ? decision : { ...decision, learnt };
}

/** What must be undone, in order of certainty; undefined when nothing must. */
function protect(plan: Plan, state: LiveState, judgement: Judgement, now: number): Decision | undefined {
	const back = (reason: ChangeReason, said: string) => {
		const message = marked(said, judgement);
		return change("roll_back", reason, message, rolledBack(state, now, ENGINE, message), judgement);
	};
	const { harm, verdicts, shared } = judgement;
	if (harm.proven || harm.tripled) return back("harm_proven", proofOf(judgement, state.alpha));
	const breached = verdicts.filter((each) => each.status === "breached");
	if (breached.length === 0) return undefined;
	const ofVariant = breached.filter((each) => !shared.includes(each.criterion));
	const worst = ofVariant.find((each) => each.role === "red_flag") ?? ofVariant[0];
	if (worst) return back(worst.role === "red_flag" ? "red_flag_breached" : "limit_breached", `${worst.criterion}: ${worst.message}`);

	const message = `${shared.join(", ")}: breached by the candidate and by the control, so the variant is not to blame`;
	const rose = state.before !== null && servedIn(plan, state.phase) > state.before.served;
	if (rose && state.phase > 0 && state.status === "running" && state.watch.ticks <= OVERLOAD_TICKS)
		return change(
			"step_back",
			"shared_overload",
			`${message}, but it began with this phase`,
			enterPhase(plan, state, state.phase - 1, now),
			judgement,
		);
	return hold("control_breaches_too", message, state, judgement);
}

/** "error_rate vs control <= +25%: harmed users 28 of 900 vs 212 of 17,100: E = 1,083; mean of 3 guards 361 ≥ 80 (α = 0.0125)" */
function proofOf({ harm, verdicts }: Judgement, alpha: number): string {
	const guards = verdicts.filter((each) => each.role === "guard").map((each) => `${each.criterion}: ${each.message}`);
	const mean = `${harm.guards > 1 ? `mean of ${harm.guards} guards` : "E"} ${printNumber(harm.e)} ≥ ${printNumber(harm.threshold)} (α = ${printNumber(alpha)})`;
	return `${guards.join("; ")}; ${harm.proven ? mean : `a ratio above 3 is proven by one guard (α = ${printNumber(alpha)})`}`;
}

/** A rollback is never blocked by a broken split, but whoever reads of it must know. */
function marked(message: string, judgement: Judgement): string {
	return judgement.split.broken ? `${message} (the split is broken as well: BF = ${printNumber(judgement.split.bayesFactor)})` : message;
}

/** Where a guard has just learnt what is usual, the phase begins anew: so far nobody could have told its harm. */
function warmedUp(plan: Plan, before: LiveState, state: LiveState, judgement: Judgement, now: number): Decision | undefined {
	const { guards } = criteriaIn(plan);
	const done = guards.filter((_, i) => state.watch.guards[i]?.frozen && !before.watch.guards[i]?.frozen);
	if (done.length === 0 || state.phase === BASELINE_PHASE) return undefined;
	const names = done.map(({ text }) => text).join(", ");
	return hold(
		"warmed_up",
		`${names}: warmed up, harm is counted from here on and the phase begins anew`,
		restartedPhase(plan, state, now),
		judgement,
	);
}

function proceed(
	plan: Plan,
	state: LiveState,
	evidence: Evidence,
	judgement: Judgement,
	now: number,
	circumstances: Circumstances,
): Decision {
	if (state.phase === BASELINE_PHASE) return measureBaseline(plan, state, evidence, judgement, now, circumstances);
	const blocker = firstBlocker(plan, state, evidence, judgement, circumstances);
	const unseen = unseenOf(plan, judgement);
	if (blocker) return hold(blocker[0], `${blocker[1]}${besides(blocker[0], judgement)}${unseen}`, state, judgement);
	const { users } = judgement.candidate;
	const done = `${phaseName(plan, state.phase)}: held ${printDuration(state.watch.heldMs)} with ${printNumber(users)} users of the candidate`;
	if (state.phase + 1 === plan.phases.length)
		return change(
			"complete",
			"evidence_sufficient",
			`${done}, no evidence of harm: everybody is served the candidate${unseen}`,
			completed(now, ENGINE),
			judgement,
		);
	const to = plan.phases[state.phase + 1];
	return change(
		"advance",
		"evidence_sufficient",
		`${done}, no evidence of harm: on to ${to?.percent ?? 0} %${unseen}`,
		enterPhase(plan, state, state.phase + 1, now),
		judgement,
	);
}

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
function measureBaseline(
	plan: Plan,
	state: LiveState,
	evidence: Evidence,
	judgement: Judgement,
	now: number,
	circumstances: Circumstances,
): Decision {
	if (state.status === "paused") return hold("paused", `paused by ${state.by}: ${state.reason}`, state, judgement);
	const { heldMs } = state.watch;
	const held = `measured for ${printDuration(heldMs)} of ${plan.baseline_window}`;
	if (heldMs < (durationMs(plan.baseline_window) ?? 0)) return hold("measuring_baseline", `baseline: ${held}`, state, judgement);
	const captured = captureBaseline(plan, evidence);
	if ("missing" in captured) return hold("measuring_baseline", `baseline: ${held}, but ${captured.missing}`, state, judgement);
	const stopped = stoppedBy(plan, state, circumstances);
	if (stopped) return hold(...stopped, state, judgement);
	const values = criteriaIn(plan).baselines.map(({ text }, i) => `${text}: ${printNumber(captured.values[i] ?? 0)}`);
	const message = `baseline ${held}: ${values.join(", ")}; on to ${plan.phases[0]?.percent ?? 0} %`;
	return change("advance", "baseline_measured", message, enterPhase(plan, { ...state, baseline: captured.values }, 0, now), judgement);
}

function firstBlocker(
	plan: Plan,
	state: LiveState,
	evidence: Evidence,
	judgement: Judgement,
	circumstances: Circumstances,
): [HoldReason, string] | undefined {
	const { watch } = state;
	const { split, harm, verdicts, candidate } = judgement;
	const phase = plan.phases[state.phase];
	if (!phase) throw new Error(`no phase ${state.phase}`);
	if (split.broken)
		return [
			"split_broken",
			`the users' split is not the planned one, BF = ${printNumber(split.bayesFactor)} ≥ 1,000: assignment or telemetry is broken`,
		];
	if (state.status === "paused") return ["paused", `paused by ${state.by}: ${state.reason}`];
	const wanted = durationMs(phase.hold) ?? 0;
	if (watch.heldMs < wanted) return ["hold_not_served", `held ${printDuration(watch.heldMs)} of ${phase.hold}`];
	// The sums behind the other checks are the phase's: they would pass a candidate that has just fallen silent.
	const silent = silentArm(evidence, armsServed(plan, state.phase));
	if (silent) return ["no_data", `no_data: the ${silent} reported nothing since the tick before`];
	const usersMin = phase.min_users ?? plan.min_users;
	if (candidate.users < usersMin)
		return ["not_enough_users", `${printNumber(candidate.users)} users of the candidate < ${printNumber(usersMin)} needed`];
	if (harm.e >= SUSPICION)
		return [
			"suspected_harm",
			`E = ${printNumber(harm.e)} ≥ ${SUSPICION}: harm is suspected, ${printNumber(harm.threshold)} would prove it`,
		];
	const isFull = servedIn(plan, state.phase) >= BUCKETS;
	const isLast = state.phase + 1 === plan.phases.length;
	const unmet = verdicts.find(
		({ role, status }) =>
			!(status === "met" || status === "not_applicable" || status === "not_reported" || (role === "red_flag" && status !== "beyond")),
	);
	if (unmet) return [unmet.role === "guard" ? "guard_unmet" : "criterion_unmet", `${unmet.criterion}: ${unmet.message}`];
	const unproven = isLast || isFull ? undefined : proofLeft(plan, watch, evidence);
	return unproven ?? stoppedBy(plan, state, circumstances);
}

/** Last of all: whoever reads of it knows that nothing else was in the way. */
function stoppedBy(plan: Plan, { watch }: LiveState, { breaker, isTrial }: Circumstances): [HoldReason, string] | undefined {
	if (breaker === "unknown") return ["breaker_unknown", "whether too many rollouts were rolled back could not be read"];
	if (breaker.kind === "closed" || (breaker.kind === "half_open" && isTrial)) return undefined;
	const why = `too many automatic rollbacks in ${plan.environment}`;
	const left = printDuration(breaker.untilMs - watch.tickedAtMs);
	return breaker.kind === "open"
		? ["breaker_open", `${why}: nothing advances by itself for another ${left}`]
		: ["breaker_half_open", `${why}: for another ${left} only the rollout with the smallest percent advances by itself`];
}

/** What must be proven before an advance. At the end nothing: ruling out a doubling among the few users held back would take months. */
function proofLeft(plan: Plan, watch: Watch, evidence: Evidence): [HoldReason, string] | undefined {
	if (plan.advance === "relaxed") return undefined;
	for (const [i, guard] of criteriaIn(plan).guards.entries()) {
		const guardWatch = watch.guards[i];
		const isStrict = plan.advance === "strict" && !isPercentile(guard.aggregate);
		const left = isStrict ? marginLeft(guard, evidence) : guardWatch && doublingLeft(guard, guardWatch, evidence);
		if (left !== undefined) return [isStrict ? "margin_not_proven" : "doubling_not_ruled_out", left];
	}
	return undefined;
}

function hold(reason: HoldReason, message: string, state: LiveState, judgement: Judgement | null): Hold {
	return { kind: "hold", reason, message, state, judgement, alerts: [] };
}

function change(kind: ChangeKind, reason: ChangeReason, message: string, state: RolloutState, judgement: Judgement | null): Change {
	return { kind, reason, message, state, judgement, alerts: [] };
}
