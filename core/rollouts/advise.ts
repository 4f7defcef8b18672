import { type Alert, raise } from "./alert";
import type { ChangeKind, Decision } from "./decision";
import { type RolloutState, isLive } from "./state";

/** Whatever takes users back, all of them or some. */
export const WAYS_BACK: readonly Decision["kind"][] = ["roll_back", "begin_rollback", "drop_flags", "exclude"];
const WOULD: Partial<Record<ChangeKind, "would_complete" | "would_step_back" | "would_pause">> = {
	complete: "would_complete",
	step_back: "would_step_back",
	pause: "would_pause",
};

/**
 * What becomes of the engine's decision where it only advises: the rollout stays where it is, what was learnt is kept, and
 * somebody is told once for as long as it is advised. `state` is as the decision found it.
 */
export function advised(decision: Decision, state: RolloutState): Decision {
	if (decision.kind === "none" || decision.kind === "hold") return decision;
	if (!isLive(state)) return { kind: "none" };
	// It asks people, and moves nobody.
	if (decision.kind === "await_approval") return decision;
	// A person, or a plan's engine before it was told to advise only, has begun it: what is begun is brought to its end.
	if (state.status === "rolling_back" && (decision.kind === "lower" || decision.kind === "roll_back")) return decision;
	const message = `would ${decision.kind.replaceAll("_", " ")}: ${decision.message}`;
	const alert: Alert = WAYS_BACK.includes(decision.kind)
		? { severity: "page", kind: "would_roll_back", message }
		: { severity: "warn", kind: WOULD[decision.kind] ?? "would_advance", message };
	// Of a change that says nothing of what was learnt, the next tick learns it again from where the state stands.
	const { state: learnt, holding, told } = decision.learnt ?? { state, holding: [], told: [] };
	const raised = raise(learnt, [...holding, alert], told && [...told, alert.kind]);
	return { kind: "hold", reason: "advised", message, state: raised.state, judgement: decision.judgement, alerts: raised.alerts };
}
