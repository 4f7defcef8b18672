import { BUCKETS } from "../flags/bucket";
import type { GuardWatch } from "../rollouts/state";
import { logDoublingRuledOut, startDoubling, updateDoubling } from "../statistics/doubling";
import { type Stratum, logEvidence, placeBets, shareOfCandidate, startBets } from "../statistics/evidence";
import { smallestProvable } from "../statistics/forecast";
import { placeScoredBets } from "../statistics/score";
import { logMeanExp } from "../statistics/special";
import { provenWithinMargin } from "../statistics/margin";
import { type VersusControl, isPercentile, quantileOfPercentile, signalKeyOf, toleratedRatioOf } from "./criteria";
import { type Arm, type Evidence, quantileOf, sumsOf } from "./observation";
import { printNumber } from "./print";
import { BREACH_USERS_MIN, type Verdict, WARNING_USERS_MIN, printValue } from "./verdict";

/** A ratio of hazards that is a failure, not only harm. */
const TRIPLING = 3;
/** With more of control's units harmed than this, hardly any is left to be counted: evidence stands still. */
const SATURATION = 0.7;
const DOUBLING_RULED_OUT = 10;
/** No harm among 300 users: below 1 % with 95 % confidence (the rule of three). */
const HARMLESS_USERS_MIN = 300;
/** What the control must have reported before its percentile is taken for what is usual. */
const WARM_UP_USERS = 100;
const WARM_UP_REQUESTS = 1_000;
/** Users whose means hardly differ: scores stay finite. */
const SPREAD_MIN = 0.01;
/** Of a strict advance: how often a margin that is not kept may be taken for one that is. */
const STRICT_ALPHA = 0.05;

type StoredBets = GuardWatch["harm"];
const stored = (bets: ReturnType<typeof startBets>): StoredBets => ({ ...bets, stakes: [...bets.stakes] });

/** `frozen`: what a percentile's guard has learnt before is usual, which it need not learn again. */
export function startGuard(guard: VersusControl, frozen: GuardWatch["frozen"] = null): GuardWatch {
	const ratio = toleratedRatioOf(guard);
	return {
		harm: stored(startBets(ratio)),
		tripling: stored(startBets(Math.max(TRIPLING, ratio))),
		score: frozen && stored(startBets(1)),
		frozen,
		...startPhase(),
	};
}

/** Evidence of harm goes on through the phases; evidence of safety is each phase's own. */
export function restartGuard(watch: GuardWatch): GuardWatch {
	const { harm, tripling, score, frozen } = watch;
	return { harm, tripling, score, frozen, ...startPhase() };
}

function startPhase() {
	return {
		doubling: [...startDoubling()],
		harmed: 0,
		units: 0,
		candidateWeight: 0,
		controlWeight: 0,
		harmedShare: 0,
		controlHarmedShare: 0,
	};
}

/** The window's first harms of one signal by stratum, with the share that each has by design. */
export function strataOf(evidence: Evidence, signal: string): Stratum[] {
	const strata = new Map<string, { harmed: number; units: number; readonly share: number }>();
	for (const row of evidence.firstHarms) {
		if (row.signal !== signal) continue;
		const served = row.served / BUCKETS;
		const share = shareOfCandidate(served, 1 - served, row.lastControlServed === null ? undefined : row.lastControlServed / BUCKETS);
		const key = `${row.served}/${row.lastControlServed ?? "never"}`;
		const stratum = strata.get(key) ?? { harmed: 0, units: 0, share };
		stratum.units += row.units;
		if (row.arm === "candidate") stratum.harmed += row.units;
		strata.set(key, stratum);
	}
	return [...strata.values()];
}

/**
 * One tick of one guard. `minutes` have passed since the last applied one. Whoever is harmed is evidence of harm; `newest`, the
 * evidence of those by whom the phase is judged, is alone what speaks for going on.
 */
export function watchGuard(
	guard: VersusControl,
	watch: GuardWatch,
	evidence: Evidence,
	minutes: number,
	newest: Evidence = evidence,
): GuardWatch {
	const shares = { harmedShare: shareHarmed(newest, guard, "candidate"), controlHarmedShare: shareHarmed(evidence, guard, "control") };
	if (isWarmingUp(guard, watch)) return warmUp(guard, watch, evidence);
	if (isSaturated(watch)) return { ...watch, ...shares };
	const strata = strataOf(evidence, signalKeyOf(guard));
	const own = newest === evidence ? strata : strataOf(newest, signalKeyOf(guard));
	const counted = own.filter(({ share }) => share > 0 && share < 1);
	const add = (of: (stratum: Stratum) => number): number => counted.reduce((sum, stratum) => sum + of(stratum), 0);
	const placed = (bets: StoredBets) => stored(placeBets(bets, minutes, strata));
	return {
		harm: placed(watch.harm),
		tripling: placed(watch.tripling),
		score: watch.score && stored(placeScoredBets(watch.score, minutes, scoresOf(evidence, guard))),
		frozen: watch.frozen,
		doubling: [...updateDoubling(watch.doubling, own, watch.harmedShare)],
		harmed: watch.harmed + add(({ harmed }) => harmed),
		units: watch.units + add(({ units }) => units),
		candidateWeight: watch.candidateWeight + add(({ harmed, share }) => harmed * (1 - share)),
		controlWeight: watch.controlWeight + add(({ harmed, units, share }) => (units - harmed) * share),
		...shares,
	};
}

/** A percentile's guard counts nothing until the control has shown what is usual: what is harm is fixed before it is counted. */
export function isWarmingUp(guard: VersusControl, watch: GuardWatch): boolean {
	return isPercentile(guard.aggregate) && watch.frozen === null;
}

function warmUp(guard: VersusControl, watch: GuardWatch, evidence: Evidence): GuardWatch {
	const sums = sumsOf(evidence, signalKeyOf(guard), "control");
	const limit = isPercentile(guard.aggregate) ? quantileOf(evidence, guard.metric, "control", quantileOfPercentile(guard.aggregate)) : null;
	if (!sums || sums.users.users < WARM_UP_USERS || sums.users.requests < WARM_UP_REQUESTS || limit === null || limit <= 0) return watch;
	const { users, sumOfMeans, sumOfSquaredMeans } = sums.logs;
	const center = sumOfMeans / users;
	const spread = Math.max(SPREAD_MIN, Math.sqrt(Math.max(0, sumOfSquaredMeans / users - center * center)));
	return { ...watch, frozen: { limit, center, spread }, score: stored(startBets(1)) };
}

function scoresOf(evidence: Evidence, guard: VersusControl) {
	const signal = signalKeyOf(guard);
	return evidence.scored
		.filter((each) => each.signal === signal)
		.map(({ arm, score, units, served }) => ({
			arm,
			score,
			units,
			share: shareOfCandidate(served / BUCKETS, 1 - served / BUCKETS, undefined),
		}));
}

/** ln E of one guard: of a percentile's, the mean of what first harms and what users' means say. */
export function logEvidenceOf(watch: GuardWatch): number {
	const harm = logEvidence(watch.harm);
	return watch.score ? logMeanExp([harm, logEvidence(watch.score)]) : harm;
}

/** By what was known before the tick: a decision that looked at the window it drops would no longer bet fairly. */
function isSaturated(watch: GuardWatch): boolean {
	return watch.controlHarmedShare > SATURATION;
}

/** Of the users seen in this stage; 0 as long as there are too few to tell. */
function shareHarmed(evidence: Evidence, guard: VersusControl, arm: Arm): number {
	const { users = 0, harmedUsers = 0 } = sumsOf(evidence, signalKeyOf(guard), arm)?.users ?? {};
	return users >= BREACH_USERS_MIN || arm === "candidate" ? harmedUsers / Math.max(1, users) : 0;
}

/** The phase's ratio of hazards over the strata; Infinity with harm in the candidate alone, null with none at all. */
export function ratioOf(watch: GuardWatch): number | null {
	if (watch.units === 0) return null;
	return watch.controlWeight === 0 ? Infinity : watch.candidateWeight / watch.controlWeight;
}

/** Why the margin is not proven to be kept yet; undefined when it is. A percentile's margin is part of its harm: see doublingLeft. */
export function marginLeft(guard: VersusControl, evidence: Evidence): string | undefined {
	const key = signalKeyOf(guard);
	const [candidate, control] = [sumsOf(evidence, key, "candidate")?.users, sumsOf(evidence, key, "control")?.users];
	const arm = (users: typeof candidate) => ({ units: users?.users ?? 0, harmed: users?.harmedUsers ?? 0 });
	if (!candidate || !control) return `${guard.text}: ${candidate ? "the control" : "the candidate"} has not reported it in this phase`;
	const { difference, halfWidth, proven } = provenWithinMargin({
		candidate: arm(candidate),
		control: arm(control),
		margin: guard.margin,
		alpha: STRICT_ALPHA,
	});
	return proven ? undefined : `${guard.text}: not proven to be kept, ${printNumber(difference)} ± ${printNumber(halfWidth)} is not below 0`;
}

/** Why a doubling is not ruled out yet; undefined when it is. */
export function doublingLeft(guard: VersusControl, watch: GuardWatch, evidence: Evidence): string | undefined {
	const { users = 0, harmedUsers = 0 } = sumsOf(evidence, signalKeyOf(guard), "candidate")?.users ?? {};
	if (watch.units === 0 && harmedUsers === 0) {
		// Nothing to double, so no ratio to test: what is left is that a harm of its own would have shown.
		if (users >= HARMLESS_USERS_MIN) return undefined;
		return `${guard.metric}: no harm yet among ${printNumber(users)} users < ${HARMLESS_USERS_MIN}, too few to rule any out`;
	}
	const m = Math.exp(logDoublingRuledOut(watch.doubling));
	return m >= DOUBLING_RULED_OUT
		? undefined
		: `${guard.metric}: a doubling is not ruled out, M = ${printNumber(m)} < ${DOUBLING_RULED_OUT}`;
}

/** The smallest risk ratio that this phase could have proven so far, by this guard alone; null: none. */
function provableOf(watch: GuardWatch, served: number, alpha: number): number | null {
	return smallestProvable(watch.units, served / BUCKETS, alpha) ?? null;
}

/** `alpha` is what this guard has of the rollout's: α/m, by which it could prove harm alone; `newest` as in watchGuard. */
export function judgeGuard(
	guard: VersusControl,
	watch: GuardWatch,
	evidence: Evidence,
	phase: { readonly served: number; readonly isLast: boolean },
	alpha: number,
	newest: Evidence = evidence,
): Verdict {
	const key = signalKeyOf(guard);
	const candidate = sumsOf(evidence, key, "candidate")?.users;
	const control = sumsOf(evidence, key, "control")?.users;
	const ratio = ratioOf(watch);
	const provable = phase.served > 0 && phase.served < BUCKETS ? provableOf(watch, phase.served, alpha) : null;
	const percentiles = percentilesOf(guard, evidence);
	const say = (status: Verdict["status"], message: string): Verdict => ({
		role: "guard",
		criterion: guard.text,
		status,
		value: percentiles ? percentiles.candidate : ratio === Infinity ? null : ratio,
		control: percentiles?.control ?? null,
		provable,
		message,
	});
	if (phase.served >= BUCKETS) return say("not_applicable", "everybody is served the candidate: there is no control");
	if (isWarmingUp(guard, watch)) {
		const { users = 0, requests = 0 } = control ?? {};
		const needed = `${printNumber(users)} of ${WARM_UP_USERS} users, ${printNumber(requests)} of ${printNumber(WARM_UP_REQUESTS)} requests`;
		return say(
			control ? "warming_up" : "no_data",
			`warm-up, nothing is counted yet: the control has reported ${guard.metric} for ${needed}`,
		);
	}
	if (!candidate || !control) return say("no_data", `${guard.metric} was not reported by ${candidate ? "the control" : "the candidate"}`);
	const counts = [
		...(percentiles ? [`${guard.aggregate} ${printPair(guard, percentiles)}`] : []),
		`harmed users ${printNumber(candidate.harmedUsers)} of ${printNumber(candidate.users)}` +
			` vs ${printNumber(control.harmedUsers)} of ${printNumber(control.users)}` +
			(watch.frozen
				? ` (above ${printPair(guard, { candidate: watch.frozen.limit * (1 + guard.margin), control: watch.frozen.limit })})`
				: ""),
	].join(", ");
	if (isSaturated(watch)) return say("saturated", `${counts}: above ${SATURATION * 100} % of control is harmed, evidence stands still`);
	const logE = logEvidenceOf(watch);
	const parts = watch.score ? [logEvidence(watch.harm), logEvidence(watch.score)].map((log) => printNumber(Math.exp(log))) : [];
	const e = `${counts}: E = ${printNumber(Math.exp(logE))}${parts.length > 0 ? `, by harm ${parts[0]}, by users' means ${parts[1]}` : ""}`;
	if (logE >= Math.log(1 / alpha)) return say("breached", e);
	const judged = sumsOf(newest, key, "candidate")?.users;
	if (!judged || !sumsOf(newest, key, "control"))
		return say("no_data", `${guard.metric} was not reported by the ${judged ? "control" : "candidate"} of the newest ring`);
	const tolerated = toleratedRatioOf(guard);
	// Of a percentile only few are harmed, and the margin is in what harms: the ratio of two such counts is mostly luck.
	if (ratio !== null && ratio > tolerated && !isPercentile(guard.aggregate)) {
		const estimate = `${e}, ratio ${printRatio(ratio)} > ${printRatio(tolerated)}`;
		// At the end the ratio to the few users held back is mostly luck: the evidence alone counts.
		if (phase.isLast) return say("met", `${estimate}, which is not judged beside so few users of control`);
		return judged.users >= WARNING_USERS_MIN ? say("beyond", estimate) : say("insufficient", estimate);
	}
	return say("met", e);
}

/** What both arms have in this phase, of a percentile's guard. */
function percentilesOf({ aggregate, metric }: VersusControl, evidence: Evidence): { candidate: number; control: number } | undefined {
	if (!isPercentile(aggregate)) return undefined;
	const [candidate, control] = [
		quantileOf(evidence, metric, "candidate", quantileOfPercentile(aggregate)),
		quantileOf(evidence, metric, "control", quantileOfPercentile(aggregate)),
	];
	return candidate === null || control === null ? undefined : { candidate, control };
}

const printPair = (guard: VersusControl, { candidate, control }: { candidate: number; control: number }): string =>
	`${printNumber(candidate)} vs ${printValue(guard, control)}`;

/** One digit more than other numbers: a ratio is read beside its limit. */
const printRatio = (ratio: number): string => (ratio < 100 ? String(Number(ratio.toPrecision(4))) : printNumber(ratio));
