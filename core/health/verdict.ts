import { meanInterval } from "../statistics/sequences";
import { firstRequestsAgainstLimit, rateAgainstLimit } from "../statistics/limits";
import { type Limit, meets } from "./criteria";
import type { ArmSums } from "./observation";
import { printNumber, printPercent } from "./print";

export type VerdictStatus =
	| "met"
	/** On the wrong side, yet not proven to be. */
	| "beyond"
	/** Proven to be on the wrong side. */
	| "breached"
	| "no_data"
	| "insufficient"
	| "saturated"
	| "not_applicable";

/** What one criterion says, with its arithmetic. */
export interface Verdict {
	readonly role: "criterion" | "red_flag" | "guard";
	readonly criterion: string;
	readonly status: VerdictStatus;
	/** The candidate's point estimate; null when there is none. */
	readonly value: number | null;
	/** The control's. */
	readonly control: number | null;
	readonly message: string;
}

/** Fewer users prove nothing about a limit, in neither arm. */
export const BREACH_USERS_MIN = 10;
const BREACH_HARMED_MIN = 5;
/** From here on a point estimate beyond its target is worth a warning. */
export const WARNING_USERS_MIN = 100;

export function estimateOf(limit: Limit, sums: ArmSums | undefined): number | null {
	if (!sums || sums.users.users === 0) return null;
	return limit.aggregate === "rate" ? sums.users.harms / sums.users.requests : sums.means.sumOfMeans / sums.means.users;
}

/**
 * An absolute limit on the candidate, judged by user because a user's requests are no independent ones. `alpha` is this
 * limit's part of the rollout's. Breached is proof; met asks for `usersMin` and an estimate on the right side.
 */
export function judgeLimit(
	limit: Limit,
	role: "criterion" | "red_flag",
	arms: { readonly candidate: ArmSums | undefined; readonly control: ArmSums | undefined },
	usersMin: number,
	alpha: number,
): Verdict {
	const value = estimateOf(limit, arms.candidate);
	const control = estimateOf(limit, arms.control);
	const say = (status: VerdictStatus, message: string): Verdict => ({ role, criterion: limit.text, status, value, control, message });
	if (!arms.candidate || value === null) return say("no_data", `${limit.metric} was not reported by the candidate`);
	const { users } = arms.candidate.users;
	const print = limit.aggregate === "rate" ? printPercent : printNumber;
	const at = `${print(value)} of ${printNumber(users)} users, limit ${print(limit.limit)}`;
	const proof = proofOfBreach(limit, role, arms.candidate, alpha);
	if (proof) return say("breached", `${at}: ${proof}`);
	if (users < usersMin) return say("insufficient", `${printNumber(users)} users < ${printNumber(usersMin)} needed`);
	return meets(limit, value) ? say("met", at) : say("beyond", `${at}: beyond, not proven`);
}

/** The proof in words, or undefined. */
function proofOfBreach(limit: Limit, role: "criterion" | "red_flag", sums: ArmSums, alpha: number): string | undefined {
	const threshold = Math.log(1 / alpha);
	if (limit.aggregate === "mean") {
		const { mean, halfWidth } = meanInterval(sums.means, alpha);
		const isOut = limit.bad === "above" ? mean - halfWidth > limit.limit : mean + halfWidth < limit.limit;
		// A few equal values have no variance, which is not certainty.
		return isOut && sums.users.users >= WARNING_USERS_MIN ? `mean ${printNumber(mean)} ± ${printNumber(halfWidth)}` : undefined;
	}
	const proof = (logE: number): string => `E = ${printNumber(Math.exp(logE))} ≥ ${printNumber(1 / alpha)}`;
	const { users, harmedUsers } = sums.users;
	if (users >= BREACH_USERS_MIN && harmedUsers >= BREACH_HARMED_MIN) {
		const evidence = rateAgainstLimit(sums.users, limit.limit);
		if (evidence.kind === "evidence" && evidence.logE >= threshold)
			return `${printNumber(harmedUsers)} harmed, design effect ${printNumber(evidence.designEffect)}, ${proof(evidence.logE)}`;
	}
	if (role === "red_flag") {
		const logE = firstRequestsAgainstLimit(sums.harmedFirst, users, limit.limit);
		if (logE >= threshold) return `${printNumber(sums.harmedFirst)} harmed at their first request, ${proof(logE)}`;
	}
	return undefined;
}
