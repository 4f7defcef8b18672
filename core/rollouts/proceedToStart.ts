import type { Circumstances } from "./circumstances";
import { type Decision, change } from "./decision";
import { printDuration } from "./duration";
import { type Plan, approvalTimeoutOf, approversOf } from "./plan";
import { stoppedBy } from "./proceed";
import type { WaitingState } from "./state";
import { entered, placeText, started } from "./transitions";

/** Started, and not served yet: what it waits for is a time, checks, and approvals. Waiting writes nothing. */
export function proceedToStart(plan: Plan, state: WaitingState, now: number, circumstances: Circumstances): Decision {
	const { launch, fromPhase, launchedAtMs, manual, author, versions, by } = state;
	const how = { launch, fromPhase, launchedAtMs, manual, author, versions };
	if (state.status === "scheduled") {
		if (now < state.startsAtMs) return { kind: "none" };
		if (stoppedBy(plan, { tickedAtMs: now }, circumstances)) return { kind: "none" };
		const next = entered(plan, how, now, by);
		if (next.status === "running") return change("start", "time_has_come", `on to ${placeText(plan, fromPhase)}, started by ${by}`, next);
		return change("validate", "time_has_come", "its time has come: its checks and approvals are next", next);
	}
	const { checks } = circumstances;
	if (checks.failed !== null) return change("validation_failed", "checks_failed", checks.failed, { status: "draft" });
	const needed = approversOf(plan, fromPhase);
	const approval = `${placeText(plan, fromPhase)} needs ${needed} ${needed === 1 ? "approval" : "approvals"}, ${state.approvals.length} so far`;
	const left = checks.pending ?? (state.approvals.length < needed ? approval : null);
	if (left !== null) {
		const { afterMs } = approvalTimeoutOf(plan);
		const waitsMs = now - state.sinceMs;
		// Nobody is served anything yet, so nobody is hurt by giving up; its flags are free again.
		if (waitsMs >= afterMs)
			return change("validation_failed", "timed_out", `waited ${printDuration(waitsMs)}: ${left}`, { status: "draft" });
		return { kind: "none" };
	}
	if (stoppedBy(plan, { tickedAtMs: now }, circumstances)) return { kind: "none" };
	return change("start", "checks_passed", `on to ${placeText(plan, fromPhase)}, started by ${by}`, started(plan, how, now));
}
