import { LOST_METRIC, unscopedMetric } from "../metric";
import type { UserSums } from "../statistics/limits";
import type { MeanSums } from "../statistics/sequences";

/** What the metrics say of one rollout since its watermark, as every metrics source gives it. Plain numbers, judged by judge.ts. */

/** Of a rollout that goes ring by ring: the ring that a row is about alone. */
interface InRing {
	readonly ring?: number;
}

export type Arm = "candidate" | "control";

/** Outcomes that arrived in the window, each in its ring; those that could not be attributed to an arm are counted too. */
export interface WindowTotal extends InRing {
	readonly metric: string;
	readonly arm: Arm | "unattributed";
	readonly requests: number;
	readonly sum: number;
}

/** Units counted at first harm in the window, by stratum (STATISTICS: first harms). */
/** Each in its ring. */
export interface FirstHarms extends InRing {
	readonly signal: string;
	readonly arm: Arm;
	/** Buckets that were served the candidate then. */
	readonly served: number;
	/** Buckets served when these units were last counted in control; null: never harmed before. */
	readonly lastControlServed: number | null;
	readonly units: number;
}

/**
 * Sums over the users of the current stage, up to the watermark: one for each signal that the question names, and one more for
 * those of the newest ring.
 */
export interface ArmSums extends InRing {
	readonly signal: string;
	readonly metric: string;
	readonly arm: Arm;
	/** Requests of the signal's metric, and those of them that the signal took for harm. */
	readonly users: UserSums;
	/** Users whose first request of the stage was harmed. */
	readonly harmedFirst: number;
	/** Over users: the mean of a user's values, their sum, and the mean of their logarithms. */
	readonly means: MeanSums;
	readonly totals: MeanSums;
	readonly logs: MeanSums;
}

/** Users seen for the first time in the window. */
export interface FirstExposures {
	readonly arm: Arm;
	readonly served: number;
	readonly units: number;
}

/** Users who were scored in the window: once each, after ten requests or an hour. */
export interface Scored {
	/** The scored guard, by its signal. */
	readonly signal: string;
	readonly arm: Arm;
	/** Buckets that were served the candidate at the user's first scored request. */
	readonly served: number;
	/** −1 to 1 in steps of 0.05: how far the user's mean of ln values lies from the control's. */
	readonly score: number;
	readonly units: number;
}

export const QUANTILES = [0.5, 0.75, 0.9, 0.95, 0.99] as const;
export type Quantile = (typeof QUANTILES)[number];

/** Over the requests of the current stage, within 1 %; once more over those of the newest ring. */
export interface ArmQuantiles extends InRing {
	readonly metric: string;
	readonly arm: Arm;
	readonly p50: number;
	readonly p75: number;
	readonly p90: number;
	readonly p95: number;
	readonly p99: number;
}

export interface Evidence {
	readonly kind: "evidence";
	/** Opaque: up to here has been read. */
	readonly watermark: string;
	readonly totals: readonly WindowTotal[];
	readonly firstHarms: readonly FirstHarms[];
	readonly userSums: readonly ArmSums[];
	readonly firstExposures: readonly FirstExposures[];
	readonly scored: readonly Scored[];
	readonly quantiles: readonly ArmQuantiles[];
}

export type Observation = Evidence | { readonly kind: "source_error"; readonly message: string };

/** Of all users, of whatever ring. */
export function ofAll(evidence: Evidence, ring: number | undefined): Evidence {
	if (ring === undefined) return evidence;
	const isOfAll = (each: InRing): boolean => each.ring === undefined;
	return { ...evidence, userSums: evidence.userSums.filter(isOfAll), quantiles: evidence.quantiles.filter(isOfAll) };
}

/** Of the users of one ring, as far as it is known whose they are. */
export function ofRing(evidence: Evidence, ring: number | undefined): Evidence {
	if (ring === undefined) return evidence;
	const { totals, userSums, quantiles, firstHarms } = evidence;
	const isOfRing = (each: InRing): boolean => each.ring === ring;
	return {
		...evidence,
		totals: totals.filter(isOfRing),
		userSums: userSums.filter(isOfRing),
		quantiles: quantiles.filter(isOfRing),
		firstHarms: firstHarms.filter(isOfRing),
	};
}

export function sumsOf(evidence: Evidence, signal: string, arm: Arm): ArmSums | undefined {
	return evidence.userSums.find((each) => each.signal === signal && each.arm === arm && each.users.users > 0);
}

export function quantileOf(evidence: Evidence, metric: string, arm: Arm, quantile: Quantile): number | null {
	const found = evidence.quantiles.find((each) => each.metric === metric && each.arm === arm);
	return found?.[`p${Math.round(quantile * 100)}` as keyof Pick<ArmQuantiles, "p50" | "p75" | "p90" | "p95" | "p99">] ?? null;
}

/** The most users any metric has seen: a lower bound of those who were there. */
export function usersOf(evidence: Evidence, arm: Arm): number {
	return Math.max(0, ...evidence.userSums.filter((each) => each.arm === arm).map((each) => each.users.users));
}

/** An arm that reported nothing in the window, of those that are served. What it would have said is not known. */
export function silentArm(evidence: Evidence, served: readonly Arm[]): Arm | undefined {
	return served.find((arm) => !evidence.totals.some((total) => total.arm === arm && total.requests > 0));
}

/** Whether every number is one. What is not must never become evidence. A thousand rollouts are looked at each tick. */
export function isFinite(evidence: Evidence): boolean {
	const { totals, firstHarms, userSums, firstExposures, scored, quantiles } = evidence;
	return (
		totals.every((each) => areFinite(each.requests, each.sum)) &&
		firstHarms.every((each) => areFinite(each.units, each.served, each.lastControlServed ?? 0)) &&
		userSums.every(({ harmedFirst, users: of, means, totals: sums, logs }) => {
			const counts = areFinite(harmedFirst, of.users, of.harmedUsers, of.requests, of.harms);
			const squares = areFinite(of.harmsSquared, of.harmsTimesRequests, of.requestsSquared);
			return counts && squares && isFiniteMean(means) && isFiniteMean(sums) && isFiniteMean(logs);
		}) &&
		firstExposures.every((each) => areFinite(each.units, each.served)) &&
		scored.every((each) => areFinite(each.units, each.served, each.score)) &&
		quantiles.every((each) => areFinite(each.p50, each.p75, each.p90, each.p95, each.p99))
	);
}

function areFinite(...numbers: readonly number[]): boolean {
	for (const number of numbers) if (!Number.isFinite(number)) return false;
	return true;
}

const isFiniteMean = ({ users, sumOfMeans, sumOfSquaredMeans }: MeanSums): boolean => areFinite(users, sumOfMeans, sumOfSquaredMeans);

/** Outcomes of the window that no arm can claim, and all of them. What a flag's own guards read is counted with its rollout's already. */
export function unattributedOf(evidence: Evidence): { readonly events: number; readonly of: number } {
	const events = eventsOf(evidence);
	return { events: count(events.filter((each) => each.arm === "unattributed")), of: count(events) };
}

/** Where more than this share is missing, what did arrive may not stand for it. */
const LOST_SHARE_MAX = 0.05;

const isLost = ({ metric, arm }: WindowTotal): boolean => metric === LOST_METRIC && arm === "unattributed";
const eventsOf = ({ totals }: Evidence): WindowTotal[] =>
	totals.filter((each) => unscopedMetric(each.metric) === each.metric && !isLost(each));
const count = (totals: readonly WindowTotal[]): number => totals.reduce((sum, each) => sum + each.requests, 0);

/** Outcomes of the window that were measured and never stored, and all that an arm can claim with them; in which arm they were nobody knows. */
export function lostOf(evidence: Evidence): { readonly events: number; readonly of: number } {
	const events = evidence.totals.filter(isLost).reduce((sum, each) => sum + each.sum, 0);
	return { events, of: events + count(eventsOf(evidence).filter(({ arm }) => arm !== "unattributed")) };
}

/** Whether a window says too little for an advance. What it proves to be harm is harm all the same. */
export const isLosing = ({ events, of }: ReturnType<typeof lostOf>): boolean => events > of * LOST_SHARE_MAX;
