import { RATIOS, settleBets, type Bets } from "./evidence";
import { remember } from "./remember";

/**
 * Evidence of slowness from one score a unit: where its mean latency lies in control's distribution. As long as the candidate scores units
 * no higher than control would, bets on the score are a supermartingale, whatever the distribution: which arm scores them is chance by
 * design. Finds shifts of everybody that first harm, made for tails, finds late. Each bet is an exponential tilt (Hoeffding 1963).
 */

/** Scores are multiples of 1/20, so that stores can count units by score. */
const STEPS = 20;

const LOG_RATIOS = RATIOS.map(Math.log);
/** ln(1 + s(λ^z − 1)) for each ratio at a share s and a score z, the price of a unit in either arm. */
const logPricesAt = remember((share) =>
	remember((score) => LOG_RATIOS.map((logRatio) => Math.log1p(share * Math.expm1(score * logRatio)))),
);

/** Units of one arm and one score, counted once each. */
export interface ScoredUnits {
	readonly arm: "candidate" | "control";
	/** in [−1, 1] */
	readonly score: number;
	readonly units: number;
	/** s: the candidate's share by design, a fraction; outside (0, 1) there is nothing to compare with */
	readonly share: number;
}

/**
 * The score of a unit whose latencies have `meanLog`, the mean of ln ms; `center` and `spread` > 0 are the mean and the standard deviation
 * of control's, frozen before units are scored. Rounded toward zero, which is fair: a bet may use any function of a unit's own latencies.
 */
export function scoreOf(meanLog: number, center: number, spread: number): number {
	if (!Number.isFinite(meanLog) || !Number.isFinite(center)) throw new RangeError(`mean ${meanLog}, center ${center} of ln ms`);
	if (!(spread > 0 && spread < Infinity)) throw new RangeError(`spread ${spread} of ln ms must be above 0`);
	const deviations = (meanLog - center) / (2 * spread);
	// Without the 0 a score just below zero would be −0, which no other zero is equal to.
	return Math.trunc(Math.max(-1, Math.min(1, deviations)) * STEPS) / STEPS + 0;
}

/**
 * One tick: `minutes` whole minutes passed since the last applied one, then the newly scored units are seen.
 * Scores have no margin, so bets that tolerate one throw RangeError, and so do counts that cannot be.
 */
export function placeScoredBets(bets: Bets, minutes: number, rows: readonly ScoredUnits[]): Bets {
	if (bets.toleratedRatio !== 1) throw new RangeError(`tolerated ratio ${bets.toleratedRatio}: scores tolerate none`);
	const comparable = rows.filter(isComparable);
	if (comparable.length === 0) return settleBets(bets, minutes, undefined);
	let scoreInCandidate = 0;
	for (const { arm, score, units } of comparable) if (arm === "candidate") scoreInCandidate += units * score;
	const gains = LOG_RATIOS.map((logRatio) => scoreInCandidate * logRatio);
	for (const { score, units, share } of comparable) {
		const prices = logPricesAt(share)(score);
		for (let j = 0; j < gains.length; j++) gains[j] = (gains[j] ?? 0) - units * (prices[j] ?? 0);
	}
	return settleBets(bets, minutes, gains);
}

function isComparable({ score, units, share }: ScoredUnits): boolean {
	if (!(score >= -1 && score <= 1)) throw new RangeError(`score ${score} must be in [-1, 1]`);
	if (!(units >= 0 && units < Infinity)) throw new RangeError(`${units} units of score ${score}`);
	if (Number.isNaN(share)) throw new RangeError(`share ${share} of ${units} units`);
	return share > 0 && share < 1;
}
