import type { Limit } from "./criteria";
import { type Verdict, WARNING_USERS_MIN } from "./verdict";

export type Level = "excellent" | "good" | "warning" | "critical" | "failure" | "unknown";

/** From this mean E on, harm is suspected: nothing advances. */
export const SUSPICION = 5;

export function levelOf(found: {
	readonly harm: { readonly e: number; readonly proven: boolean; readonly tripled: boolean };
	readonly verdicts: readonly Verdict[];
	readonly candidateUsers: number;
	readonly limits: readonly Limit[];
}): Level {
	const { harm, verdicts } = found;
	if (harm.tripled || verdicts.some((each) => each.role === "red_flag" && each.status === "breached")) return "failure";
	if (harm.proven || verdicts.some((each) => each.status === "breached")) return "critical";
	const isBeyond = found.candidateUsers >= WARNING_USERS_MIN && verdicts.some((each) => each.status === "beyond");
	if (isBeyond || harm.e >= SUSPICION) return "warning";
	// A red flag that is not reported raises no alarm, and stands in nobody's way.
	const counted = verdicts.filter((each) => each.status !== "not_applicable" && !(each.role === "red_flag" && each.status === "no_data"));
	if (counted.length === 0 || counted.some((each) => each.status !== "met")) return "unknown";
	// Half of a limit that must not be exceeded. A limit from below (satisfaction > 8) has no half: it is met or not.
	const isHalf =
		found.limits.length > 0 &&
		found.limits.every((limit) => {
			const value = verdicts.find((each) => each.criterion === limit.text)?.value;
			return limit.bad === "below" || (value !== null && value !== undefined && value < limit.limit / 2);
		});
	return isHalf ? "excellent" : "good";
}
