import type { MeanSums } from "../statistics/sequences";
import type { UserSums } from "../statistics/limits";
import type { Metric } from "../telemetry";

/** What the metrics say of one rollout since its watermark, as every metrics source gives it. Plain numbers, judged by judge.ts. */

export type Arm = "candidate" | "control";

/** Outcomes that arrived in the window; those that could not be attributed to an arm are counted too. */
export interface WindowTotal {
	readonly metric: Metric;
	readonly arm: Arm | "unattributed";
	readonly requests: number;
	readonly harms: number;
	readonly sum: number;
}

/** Units counted at first harm in the window, by stratum (STATISTICS: first harms). */
export interface FirstHarms {
	readonly metric: Metric;
	readonly arm: Arm;
	/** Buckets that were served the candidate then. */
	readonly served: number;
	/** Buckets served when these units were last counted in control; null: never harmed before. */
	readonly lastControlServed: number | null;
	readonly units: number;
}

/** Sums over the users of the current stage, up to the watermark. */
export interface ArmSums {
	readonly metric: Metric;
	readonly arm: Arm;
	readonly users: UserSums;
	readonly means: MeanSums;
	/** Users whose first request of the stage was harmed. */
	readonly harmedFirst: number;
}

/** Users seen for the first time in the window. */
export interface FirstExposures {
	readonly arm: Arm;
	readonly served: number;
	readonly units: number;
}

export interface Evidence {
	readonly kind: "evidence";
	/** Opaque: up to here has been read. */
	readonly watermark: string;
	readonly totals: readonly WindowTotal[];
	readonly firstHarms: readonly FirstHarms[];
	readonly userSums: readonly ArmSums[];
	readonly firstExposures: readonly FirstExposures[];
}

export type Observation = Evidence | { readonly kind: "source_error"; readonly message: string };

export function sumsOf(evidence: Evidence, metric: Metric, arm: Arm): ArmSums | undefined {
	return evidence.userSums.find((each) => each.metric === metric && each.arm === arm);
}

/** The most users any metric has seen: a lower bound of those who were there. */
export function usersOf(evidence: Evidence, arm: Arm): number {
	return Math.max(0, ...evidence.userSums.filter((each) => each.arm === arm).map((each) => each.users.users));
}

/** An arm that reported nothing in the window, of those that are served. What it would have said is not known. */
export function silentArm(evidence: Evidence, served: readonly Arm[]): Arm | undefined {
	return served.find((arm) => !evidence.totals.some((total) => total.arm === arm && total.requests > 0));
}

/** Whether every number is one. What is not must never become evidence. */
export function isFinite(evidence: Evidence): boolean {
	const numbers = [
		...evidence.totals.flatMap((each) => [each.requests, each.harms, each.sum]),
		...evidence.firstHarms.flatMap((each) => [each.units, each.served, each.lastControlServed ?? 0]),
		...evidence.userSums.flatMap((each) => [...Object.values(each.users), ...Object.values(each.means), each.harmedFirst] as number[]),
		...evidence.firstExposures.flatMap((each) => [each.units, each.served]),
	];
	return numbers.every((number) => Number.isFinite(number));
}

/** Outcomes of the window that no arm can claim, and all of them. */
export function unattributedOf(evidence: Evidence): { readonly events: number; readonly of: number } {
	const count = (totals: readonly WindowTotal[]): number => totals.reduce((sum, each) => sum + each.requests, 0);
	return { events: count(evidence.totals.filter((each) => each.arm === "unattributed")), of: count(evidence.totals) };
}
