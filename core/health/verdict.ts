import { firstRequestsAgainstLimit, rateAgainstLimit } from "../statistics/limits";
import { meanInterval } from "../statistics/sequences";
import { type Limit, isPercentile, meets, quantileOfPercentile, shareAbove } from "./criteria";
import { type Arm, type ArmSums, type Evidence, quantileOf, sumsOf } from "./observation";
import { printNumber, printPercent } from "./print";

export type VerdictStatus =
	| "met"
	/** On the wrong side, yet not proven to be. */
	| "beyond"
	/** Proven to be on the wrong side. */
	| "breached"
	| "no_data"
	| "insufficient"
	/** Of a percentile's guard: what is usual is still being learnt. */
	| "warming_up"
	| "saturated"
	| "not_applicable"
	/** An optional criterion without data. */
	| "not_reported";

/** What one criterion says, with its arithmetic. */
export interface Verdict {
	readonly role: "criterion" | "red_flag" | "guard";
	readonly criterion: string;
	readonly status: VerdictStatus;
	/** The candidate's point estimate, of a guard on a rate the ratio to the control's; null when there is none. */
	readonly value: number | null;
	/** The control's. */
	readonly control: number | null;
	/** Of a guard: the smallest risk ratio that it could have proven in this phase so far; null: none. */
	readonly provable: number | null;
	readonly message: string;
}

/** Fewer users prove nothing about a limit, in neither arm. */
export const BREACH_USERS_MIN = 10;
const BREACH_HARMED_MIN = 5;
/** A limit of 0 % is missed by the first harm; that it is proven to be missed takes more than one in a million. */
const RATE_MIN = 1e-6;
/** From here on a point estimate beyond its target is worth a warning. */
export const WARNING_USERS_MIN = 100;

/** A limit to be judged, and what tells its harm. */
export interface Judged {
	readonly limit: Limit;
	readonly role: Verdict["role"];
	readonly signal: string;
	readonly optional?: boolean;
}

/** In the limit's own terms: a fraction for a rate, the metric's unit for a mean, a count and a percentile. */
export function estimateOf({ limit, signal }: Judged, evidence: Evidence, arm: Arm): number | null {
	const sums = sumsOf(evidence, signal, arm);
	if (!sums) return null;
	if (isPercentile(limit.aggregate)) return quantileOf(evidence, limit.metric, arm, quantileOfPercentile(limit.aggregate));
	if (isRate(limit)) return sums.users.harms / sums.users.requests;
	const { sumOfMeans, users } = meansOf(limit, sums, evidence, arm);
	return sumOfMeans / users;
}

/** Harm is what counts: a rate that had better be high is judged by its users' means. */
const isRate = ({ aggregate, bad }: Limit): boolean => (aggregate === "rate" && bad === "above") || aggregate === "harm";

/** A count's mean is over everybody who was there, those who reported none of it too. */
function meansOf(limit: Limit, sums: ArmSums, evidence: Evidence, arm: Arm): ArmSums["means"] {
	if (limit.aggregate !== "count") return sums.means;
	const seen = evidence.userSums.filter((each) => each.arm === arm).map((each) => each.users.users);
	return { ...sums.totals, users: Math.max(sums.totals.users, ...seen) };
}

/** Whether an arm's estimate is on the bad side; a percentile is where more than its share of requests lies above the limit. */
export function isBeyond(judged: Judged, evidence: Evidence, arm: Arm): boolean | null {
	const { limit, signal } = judged;
	const sums = sumsOf(evidence, signal, arm);
	if (!sums) return null;
	if (isPercentile(limit.aggregate)) return sums.users.harms / sums.users.requests > shareAbove(limit.aggregate);
	const value = estimateOf(judged, evidence, arm);
	return value === null ? null : !meets(limit, value);
}

/**
 * An absolute limit on the candidate, judged by user because a user's requests are no independent ones. `alpha` is this
 * limit's part of the rollout's. Breached is proof; met asks for `usersMin` and an estimate on the right side.
 */
export function judgeLimit(judged: Judged, evidence: Evidence, usersMin: number, alpha: number): Verdict {
	const { limit, role, signal } = judged;
	const value = estimateOf(judged, evidence, "candidate");
	const control = estimateOf(judged, evidence, "control");
	const say = (status: VerdictStatus, message: string): Verdict => ({
		role,
		criterion: limit.text,
		status,
		value,
		control,
		provable: null,
		message,
	});
	const sums = sumsOf(evidence, signal, "candidate");
	if (!sums || value === null)
		return say(judged.optional === true ? "not_reported" : "no_data", `${limit.metric} was not reported by the candidate`);
	const users = limit.aggregate === "count" ? meansOf(limit, sums, evidence, "candidate").users : sums.users.users;
	const at = `${printEstimate(limit, value)} over ${printNumber(users)} users, limit ${printValue(limit, limit.limit)}`;
	const proof = proofOfBreach(judged, sums, evidence, alpha);
	if (proof) return say("breached", `${at}: ${proof}`);
	if (users < usersMin) return say("insufficient", `${printNumber(users)} users < ${printNumber(usersMin)} needed`);
	return isBeyond(judged, evidence, "candidate") === true ? say("beyond", `${at}: beyond, not proven`) : say("met", at);
}

/** `p95 384 ms`, `mean 8.2`, `0.86 % of requests`. */
function printEstimate(limit: Limit, value: number): string {
	const printed = printValue(limit, value);
	if (limit.aggregate === "rate" || limit.aggregate === "harm") return `${printed} of requests`;
	return limit.aggregate === "count" ? `${printed} a user` : `${limit.aggregate} ${printed}`;
}

/** In the limit's unit. */
export function printValue({ aggregate, unit }: Pick<Limit, "aggregate" | "unit">, value: number): string {
	if (aggregate === "rate" || aggregate === "harm") return printPercent(value);
	return unit === "" ? printNumber(value) : `${printNumber(value)} ${unit}`;
}

/** The proof in words, or undefined. */
function proofOfBreach({ limit, role }: Judged, sums: ArmSums, evidence: Evidence, alpha: number): string | undefined {
	const threshold = Math.log(1 / alpha);
	if (!isRate(limit) && !isPercentile(limit.aggregate)) {
		const { mean, halfWidth } = meanInterval(meansOf(limit, sums, evidence, "candidate"), alpha);
		const isOut = limit.bad === "above" ? mean - halfWidth > limit.limit : mean + halfWidth < limit.limit;
		// A few equal values have no variance, which is not certainty.
		return isOut && sums.users.users >= WARNING_USERS_MIN ? `mean ${printNumber(mean)} ± ${printNumber(halfWidth)}` : undefined;
	}
	// A percentile's limit is one on the rate of requests above it.
	const rate = isPercentile(limit.aggregate) ? shareAbove(limit.aggregate) : Math.max(limit.limit, RATE_MIN);
	const proof = (logE: number): string => `E = ${printNumber(Math.exp(logE))} ≥ ${printNumber(1 / alpha)}`;
	const { users, harmedUsers } = sums.users;
	if (users >= BREACH_USERS_MIN && harmedUsers >= BREACH_HARMED_MIN) {
		const found = rateAgainstLimit(sums.users, rate);
		if (found.kind === "evidence" && found.logE >= threshold)
			return `${printNumber(harmedUsers)} harmed, design effect ${printNumber(found.designEffect)}, ${proof(found.logE)}`;
	}
	if (role === "red_flag") {
		const logE = firstRequestsAgainstLimit(sums.harmedFirst, users, rate);
		if (logE >= threshold) return `${printNumber(sums.harmedFirst)} harmed at their first request, ${proof(logE)}`;
	}
	return undefined;
}
