import type { Judgement } from "../health/judge";
import type { Alert } from "./alert";
import type { LiveState, RolloutState } from "./state";
import type { WayBackStrategy } from "./wayBack";

/** Why a rollout stays where it is. */
export type HoldReason =
	| "no_data"
	| "source_error"
	| "control_breaches_too"
	| "split_broken"
	| "paused"
	| "hold_not_served"
	| "not_before"
	| "not_enough_users"
	| "suspected_harm"
	| "guard_unmet"
	| "criterion_unmet"
	| "doubling_not_ruled_out"
	| "margin_not_proven"
	| "measuring_baseline"
	| "warmed_up"
	| "check_failed"
	| "check_pending"
	| "awaiting_approval"
	| "manual_advance"
	| "rolling_back"
	| "breaker_open"
	| "breaker_half_open"
	| "breaker_unknown"
	| "advised";

export type ChangeKind =
	| "schedule"
	| "validate"
	| "validation_failed"
	| "start"
	| "await_approval"
	| "approve"
	| "reject"
	| "extend"
	| "advance"
	| "step_back"
	| "begin_rollback"
	| "lower"
	| "drop_flags"
	| "exclude"
	| "roll_back"
	| "complete"
	| "pause"
	| "resume"
	| "cancel";

export type ChangeReason =
	| "harm_proven"
	| "red_flag_breached"
	| "limit_breached"
	| "shared_overload"
	| "source_error"
	| "engine_error"
	| "unguarded"
	| "timed_out"
	| "time_has_come"
	| "approval_needed"
	| "checks_failed"
	| "checks_passed"
	| "evidence_sufficient"
	| "baseline_measured"
	| "operator";

/** Same place, more known: the new state holds the evidence so far. */
export interface Hold {
	readonly kind: "hold";
	readonly reason: HoldReason;
	readonly message: string;
	readonly state: LiveState;
	readonly judgement: Judgement | null;
	/** What is newly to be told. */
	readonly alerts: readonly Alert[];
}

/** A change of state, with the reason and the numbers behind it. */
export interface Change {
	readonly kind: ChangeKind;
	readonly reason: ChangeReason;
	readonly message: string;
	readonly state: RolloutState;
	readonly judgement: Judgement | null;
	readonly alerts: readonly Alert[];
	/** Of a way back: which. */
	readonly strategy?: WayBackStrategy;
	/** Flag → the version that it gets back. */
	readonly restore?: Readonly<Record<string, number>>;
	/** For whoever does not take the engine's change; absent of what people command. */
	readonly learnt?: Learnt;
}

/** What a tick knows of a rollout that stays where it is. */
export interface Learnt {
	readonly state: LiveState;
	/** Alerts that hold there. */
	readonly holding: readonly Alert[];
	/** The kinds that the tick could tell of; absent: all of them. */
	readonly told?: readonly string[];
}

/** `none`: this tick has been applied before, or nothing is to be done. */
export type Decision = { readonly kind: "none" } | Hold | Change;

export function hold(reason: HoldReason, message: string, state: LiveState, judgement: Judgement | null): Hold {
	return { kind: "hold", reason, message, state, judgement, alerts: [] };
}

export function change(
	kind: ChangeKind,
	reason: ChangeReason,
	message: string,
	state: RolloutState,
	judgement: Judgement | null = null,
): Change {
	return { kind, reason, message, state, judgement, alerts: [] };
}

/** Whoever acts need not say why. */
export const withReason = (said: string, reason: string): string => (reason === "" ? said : `${said}: ${reason}`);
