import { type Check, type Moment, isFor } from "../checks/model";
import { type CheckResult, resultsFor } from "../checks/result";
import type { ChecksFound } from "./circumstances";
import { durationMs } from "./duration";
import { BASELINE_PHASE, type Plan } from "./plan";
import type { LiveState, RolloutState } from "./state";

/** Which of a plan's checks matter where its rollout stands. */
export interface ChecksNow {
	readonly checks: readonly Check[];
	readonly moment: Moment;
	/** What was found before counts for nothing. */
	readonly sinceMs: number;
	/** Under which their results are kept; 0 before it is live. */
	readonly stage: number;
	/** The phase that they are about. */
	readonly phase: number;
}

/** What must pass before anybody is served. */
export function checksBefore(plan: Plan, phase: number): readonly Check[] {
	return [...plan.checks, ...(plan.phases[phase]?.checks ?? [])].filter((check) => isFor(check, "before"));
}

/** Undefined: none matters now. */
export function checksNow(plan: Plan, state: RolloutState): ChecksNow | undefined {
	const found = momentOf(plan, state);
	return found && found.checks.length > 0 ? found : undefined;
}

/** What must have passed before somebody leaves the phase, whether it has lasted or not. */
export function checksToLeave(plan: Plan, state: LiveState): ChecksNow | undefined {
	return momentOf(plan, state, true);
}

/** What the next phase begins with is looked at once this one has lasted. */
export function hasLasted(plan: Plan, { phase, watch, extendedMs }: LiveState): boolean {
	return watch.heldMs >= (durationMs(plan.phases[phase]?.hold ?? "") ?? 0) + extendedMs;
}

function momentOf(plan: Plan, state: RolloutState, isLeaving = false): ChecksNow | undefined {
	if (state.status === "validating") {
		const { fromPhase: phase, sinceMs } = state;
		return { checks: checksBefore(plan, phase), moment: "before", sinceMs, stage: 0, phase };
	}
	if ((state.status !== "running" && state.status !== "awaiting_approval") || state.phase === BASELINE_PHASE) return undefined;
	const { phase, sinceMs, stage } = state;
	const own = plan.phases[phase];
	const during = [...plan.checks, ...(own?.checks ?? [])].filter((check) => isFor(check, "during"));
	// And again until it passes.
	const next = isLeaving || hasLasted(plan, state) ? (plan.phases[phase + 1]?.checks ?? []).filter((check) => isFor(check, "before")) : [];
	return { checks: [...during, ...next.map((check): Check => ({ ...check, when: "during" }))], moment: "during", sinceMs, stage, phase };
}

/** What decides: the first critical check that failed, and the first that is not known to have passed. */
export function checksFound({ checks, moment, sinceMs }: ChecksNow, results: readonly CheckResult[]): ChecksFound {
	const critical = resultsFor(checks, results, sinceMs, moment).filter((each) => each.critical);
	const first = (...statuses: readonly CheckResult["status"][]): string | null => {
		const found = critical.find(({ status }) => statuses.includes(status));
		return found ? `check ${found.name}: ${found.message}` : null;
	};
	return { failed: first("failed"), pending: first("pending", "stale") };
}
