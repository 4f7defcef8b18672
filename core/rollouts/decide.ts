import { type Judgement, judge } from "../health/judge";
import { type Observation, isFinite, lostOf, unattributedOf } from "../health/observation";
import { printNumber } from "../health/print";
import { type Alert, raise } from "./alert";
import { CALM, type Circumstances } from "./circumstances";
import { concerns } from "./concerns";
import { type ChangeReason, type Decision, type Learnt, change, hold, withReason } from "./decision";
import { durationMs, printDuration } from "./duration";
import { ENGINE } from "./engine";
import { BASELINE_PHASE, type Plan } from "./plan";
import { criteriaIn } from "./planCriteria";
import { measureBaseline, proceed } from "./proceed";
import { proceedToStart } from "./proceedToStart";
import { protect } from "./protect";
import { type LiveState, type RolloutState, type Watch, isLive, isWaiting } from "./state";
import { lowered, paused, restartedPhase, rolledBack } from "./transitions";

const FAILED_READS_MAX = 5;
/** Ticks in a row without data: when somebody should look, and when somebody must. */
const QUIET_TICKS_WARN = 3;
const QUIET_TICKS_PAGE = 15;

/**
 * What time and evidence do to a rollout. The order of checks is the policy: harm, broken split, hold time, enough data,
 * advance. Missing evidence only ever holds; proven harm always rolls back, paused or not.
 */
export function decide(
	plan: Plan,
	state: RolloutState,
	observation: Observation,
	now: number,
	given: Partial<Circumstances> = {},
): Decision {
	const circumstances = { ...CALM, ...given };
	if (isWaiting(state)) return proceedToStart(plan, state, now, circumstances);
	if (!isLive(state) || now <= state.watch.tickedAtMs) return { kind: "none" };
	if (observation.kind === "source_error") return unreadable(plan, state, observation.message, now);
	const unattributed = unattributedOf(observation);
	const isQuiet = unattributed.events === unattributed.of && observation.firstHarms.length === 0;
	if (isQuiet || !isFinite(observation))
		return quiet(plan, state, { unattributed: unattributed.events, lost: lostOf(observation).events }, now);

	const { watch, judgement } = judge(plan, state, observation, now);
	const next: LiveState = { ...state, watch };
	const protective = protect(plan, next, judgement, now);
	const decision =
		(protective?.kind === "hold" ? undefined : protective) ??
		descend(plan, next, judgement, now) ??
		warmedUp(plan, state, next, judgement, now) ??
		protective ??
		(next.phase === BASELINE_PHASE ? measureBaseline : proceed)(plan, next, observation, judgement, now, circumstances);
	const stopped: Alert[] =
		decision.kind === "hold" && decision.reason === "breaker_open"
			? [{ severity: "page", kind: "breaker_open", message: decision.message }]
			: [];
	const own = decision.kind === "none" ? [] : decision.alerts;
	const holding = [...concerns(judgement), ...own, ...stopped];
	return learning(alerted(decision, holding), { state: next, holding });
}

function unreadable(plan: Plan, state: LiveState, message: string, now: number): Decision {
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
	return descend(plan, next, null, now) ?? alerted(hold("source_error", said, next, null), page, ["source_error"]);
}

function learning(decision: Decision, learnt: Learnt): Decision {
	return decision.kind === "none" || decision.kind === "hold" ? decision : { ...decision, learnt };
}

/** The end of what is said where nothing was counted, nor is known why: whoever knows of more to look at says that in its place. */
export const ARE_EVENTS_SENT = "are events sent, and are the flags enabled?";

/** The evidence is left untouched: its minutes are counted when data comes again. */
function quiet(
	plan: Plan,
	state: LiveState,
	{ unattributed, lost }: { readonly unattributed: number; readonly lost: number },
	now: number,
): Decision {
	const watch: Watch = { ...state.watch, tickedAtMs: now, quietTicks: state.watch.quietTicks + 1, failedReads: 0 };
	const why =
		lost > 0
			? `${printNumber(lost)} outcomes were measured and did not arrive: the edge's log names the reason (measurements_lost)`
			: unattributed > 0
				? `${printNumber(unattributed)} events were reported without the attributes that the flags' rules look at: send them in the event's context`
				: `no outcome counted for ${watch.quietTicks} tick(s): ${ARE_EVENTS_SENT}`;
	const message = `no_data: ${why}`;
	const severities = [
		...(watch.quietTicks >= QUIET_TICKS_WARN ? (["warn"] as const) : []),
		...(watch.quietTicks >= QUIET_TICKS_PAGE ? (["page"] as const) : []),
	];
	const next = { ...state, watch };
	const down = descend(plan, next, null, now);
	if (down) return down;
	return alerted(
		hold("no_data", message, next, null),
		severities.map((severity) => ({ severity, kind: "no_data", message })),
		["no_data", "source_error"],
	);
}

/** On the way back: a stage lower once this one has lasted, seen or not. Undefined: it is not on its way back. */
function descend(plan: Plan, state: LiveState, judgement: Judgement | null, now: number): Decision | undefined {
	if (state.status !== "rolling_back" || !state.lowered) return undefined;
	const { percent, sinceMs } = state.lowered;
	const lastsMs = now - sinceMs;
	if (lastsMs < (durationMs(plan.rollback.every) ?? 0)) {
		const left = state.stages.map((stage) => `${stage} %`).join(", ");
		return hold("rolling_back", `at ${percent} % for ${printDuration(lastsMs)} of ${plan.rollback.every}, then ${left}`, state, judgement);
	}
	const [next = 0] = state.stages;
	const reason = state.trigger as ChangeReason;
	if (next === 0) {
		const message = withReason(`from ${percent} % to 0 %`, state.reason);
		return { ...change("roll_back", reason, message, rolledBack(state, now, state.by, state.reason), judgement), strategy: "gradual" };
	}
	const message = withReason(`from ${percent} % to ${next} %`, state.reason);
	const { stages, by, trigger, reason: why } = state;
	return {
		...change("lower", reason, message, lowered(plan, state, stages, now, { by, trigger, reason: why }), judgement),
		strategy: "gradual",
	};
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

/** `told`: the kinds that this tick could tell of; all of them where it was judged. */
function alerted(decision: Decision, holding: readonly Alert[], told?: readonly string[]): Decision {
	if (decision.kind === "none" || !isLive(decision.state)) return decision;
	const { state, alerts } = raise(decision.state, holding, told);
	return { ...decision, state, alerts };
}
