import { type Alert, raise } from "./alert";
import type { Decision } from "./decision";
import { type RolloutState, isLive } from "./state";

/**
 * What becomes of the engine's decision where it only advises: the rollout stays where it is, what was learnt is kept, and
 * somebody is told once for as long as it is advised. `state` is as the decision found it.
 */
export function advised(decision: Decision, state: RolloutState): Decision {
	if (decision.kind === "none" || decision.kind === "hold") return decision;
	if (!isLive(state)) return { kind: "none" };
	const message = `would ${decision.kind.replaceAll("_", " ")}: ${decision.message}`;
	const kind = `would_${decision.kind}`;
	const alert: Alert = { severity: decision.kind === "roll_back" ? "page" : "warn", kind, message };
	// Of a change that says nothing of what was learnt, the next tick learns it again from where the state stands.
	const { state: learnt, holding, told } = decision.learnt ?? { state, holding: [], told: [] };
	const raised = raise(learnt, [...holding, alert], told && [...told, kind]);
	return { kind: "hold", reason: "advised", message, state: raised.state, judgement: decision.judgement, alerts: raised.alerts };
}
