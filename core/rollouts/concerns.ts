import type { Judgement } from "../health/judge";
import { isLosing } from "../health/observation";
import { printNumber } from "../health/print";
import type { Alert } from "./alert";

/** More of a window's outcomes than this without an arm: something that rules look at is not sent. */
const UNATTRIBUTED_SHARE_MAX = 0.05;
/** A handful says nothing about a share. */
const UNATTRIBUTED_OF_MIN = 100;

/** What a person should know although the engine holds. A rollback is news by itself. */
export function concerns({ level, split, shared, unattributed, lost, verdicts, harm }: Judgement): Alert[] {
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
	if (isLosing(lost))
		alerts.push({
			severity: "warn",
			kind: "lost",
			message: `${printNumber(lost.events)} of ${printNumber(lost.of)} outcomes were measured and did not arrive: the edge's log names the reason (measurements_lost)`,
		});
	return alerts;
}
