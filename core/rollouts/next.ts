import { type CheckResult, isHolding, resultsFor } from "../checks/result";
import { durationMs } from "./duration";
import { BASELINE_PHASE, type Plan, approversOf, joinedFlags, notBeforeMs, phaseName } from "./plan";
import { checksBefore, checksNow } from "./planChecks";
import { type LiveState, type RolloutState, type WaitingState, isLive, isWaiting } from "./state";

/** What a rollout does next, and what that waits for, for people who look at it; what decides is `decide`. */

/** `lower`: a stage down on the way back; `roll_back`: the last of them. */
export const NEXT_KINDS = ["phase", "complete", "lower", "roll_back"] as const;

/** What can be told beforehand; where nothing of it is left, it is evidence. */
export const WAITS = ["time", "hold", "checks", "approval", "person"] as const;

export interface Next {
	readonly kind: (typeof NEXT_KINDS)[number];
	/** null: none, or on the way back. */
	readonly phase: string | null;
	readonly percent: number;
	/** A segment; null: everybody. */
	readonly audience: string | null;
	/** Flags that join then. */
	readonly flags: string[];
	/** Of the present phase, at least. */
	readonly holdLeftMs: number;
	readonly notBeforeMs: number | null;
	readonly approvals: { readonly needed: number; readonly given: string[]; /** Who may not. */ readonly author: string };
	/** Critical checks that have not passed. */
	readonly checks: string[];
	readonly waitsFor: (typeof WAITS)[number][];
}

/** `results`: what is known of its checks. null: it stays where it is until a person does something, or for ever. */
export function nextOf(plan: Plan, state: RolloutState, results: readonly CheckResult[], now: number): Next | null {
	if (isWaiting(state)) return toStart(plan, state, results, now);
	if (!isLive(state) || state.status === "paused") return null;
	if (state.status === "rolling_back") return wayBack(plan, state, now);
	const { watch, phase, extendedMs } = state;
	const isBaseline = phase === BASELINE_PHASE;
	const hold = durationMs(isBaseline ? plan.baseline_window : (plan.phases[phase]?.hold ?? "")) ?? 0;
	const next = isBaseline ? state.fromPhase : phase + 1;
	const holdLeftMs = Math.max(0, hold + extendedMs - watch.heldMs);
	const earliestMs = isBaseline ? 0 : notBeforeMs(plan, next, state.launchedAtMs);
	const approvals = isBaseline ? 0 : approversOf(plan, next);
	const isByHand = state.manual && !isBaseline;
	return waiting(plan, next, state, { holdLeftMs, earliestMs, approvals, isByHand, checks: pendingOf(plan, state, results) }, now);
}

function toStart(plan: Plan, state: WaitingState, results: readonly CheckResult[], now: number): Next {
	const isScheduled = state.status === "scheduled";
	const checks = isScheduled ? checksBefore(plan, state.fromPhase).filter((each) => each.critical) : undefined;
	const pending = checks?.map(({ name }) => name) ?? pendingOf(plan, state, results);
	const approvals = approversOf(plan, state.fromPhase);
	const earliestMs = isScheduled ? state.startsAtMs : 0;
	return waiting(plan, state.fromPhase, state, { holdLeftMs: 0, earliestMs, approvals, isByHand: false, checks: pending }, now);
}

function wayBack(plan: Plan, { stages, lowered, author }: Extract<LiveState, { status: "rolling_back" }>, now: number): Next {
	const [percent = 0] = stages;
	const dueMs = (lowered?.sinceMs ?? now) + (durationMs(plan.rollback.every) ?? 0);
	return {
		kind: percent === 0 ? "roll_back" : "lower",
		phase: null,
		percent,
		audience: null,
		flags: [],
		holdLeftMs: 0,
		notBeforeMs: dueMs,
		approvals: { needed: 0, given: [], author },
		checks: [],
		waitsFor: dueMs > now ? ["time"] : [],
	};
}

interface Waiting {
	readonly holdLeftMs: number;
	/** 0: at any time. */
	readonly earliestMs: number;
	readonly approvals: number;
	readonly isByHand: boolean;
	readonly checks: string[];
}

function waiting(plan: Plan, next: number, state: LiveState | WaitingState, by: Waiting, now: number): Next {
	const phase = plan.phases[next];
	const { holdLeftMs, earliestMs, approvals: needed, isByHand, checks } = by;
	const given = "approvals" in state ? state.approvals.map((each) => each.by) : [];
	const isServed = isLive(state) && state.phase !== BASELINE_PHASE;
	const before = isServed ? joinedFlags(plan, next - 1) : [];
	const waits: readonly [(typeof WAITS)[number], boolean][] = [
		["time", earliestMs > now],
		["hold", holdLeftMs > 0],
		["checks", checks.length > 0],
		["approval", given.length < needed],
		["person", isByHand],
	];
	return {
		kind: phase ? "phase" : "complete",
		phase: phase ? phaseName(plan, next) : null,
		percent: phase?.percent ?? plan.target_percent,
		audience: phase?.audience ?? null,
		flags: phase ? joinedFlags(plan, next).filter((flag) => !before.includes(flag)) : [],
		holdLeftMs,
		notBeforeMs: earliestMs > 0 ? earliestMs : null,
		approvals: { needed, given, author: state.author },
		checks,
		waitsFor: waits.flatMap(([what, isLeft]) => (isLeft ? [what] : [])),
	};
}

function pendingOf(plan: Plan, state: RolloutState, results: readonly CheckResult[]): string[] {
	const matter = checksNow(plan, state);
	if (!matter) return [];
	const { checks, sinceMs, moment } = matter;
	return resultsFor(checks, results, sinceMs, moment)
		.filter(isHolding)
		.map(({ name }) => name);
}
