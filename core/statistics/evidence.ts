import { remember } from "./remember";

/**
 * Evidence of harm against the concurrent control: bets on the ratio of first-harm hazards, candidate to control.
 * As long as the ratio is at most the tolerated one, their value E is a supermartingale (a martingale at equality), so however often one
 * looks, E ≥ 1/α happens with probability at most α (Ville). Sources: arXiv:2205.14762 (counts), Herbster and Warmuth 1998 (switching).
 */

/** The hazard ratios that are bet on, and how the stake is spread over them. */
export const RATIOS: readonly number[] = [1.1, 1.2, 1.35, 1.5, 1.75, 2, 2.5, 3, 4, 6, 10, 20];
export const WEIGHTS: readonly number[] = [0.03, 0.04, 0.06, 0.1, 0.13, 0.18, 0.14, 0.12, 0.08, 0.05, 0.04, 0.03];

const STAKE_AT_START = 0.75;
/** Of the reserve, each minute: what finds regressions that begin late, when the bets of the first hour are lost. */
const ENTER_PER_MINUTE = 1 / 240;
/** Of each stake, each minute: back to the reserve. */
const LEAVE_PER_MINUTE = 1 / 480;
/** Far beyond any threshold; lowering a stake can only lose evidence. */
const STAKE_MAX = 1e100;
/** e^±700 is within the range of a double. */
const LOG_FACTOR_MAX = 700;
/** The split of stakes and reserve settles with a time constant of 160 min: after 14 days it no longer moves within a double. */
const MINUTES_MAX = 14 * 24 * 60;

/** New units of one stratum, counted at first harm, which by design share one probability of being in the candidate. */
export interface Stratum {
	/** x: how many of them are in the candidate */
	readonly harmed: number;
	/** k: how many there are, in both arms */
	readonly units: number;
	/** s: the candidate's share by design, a fraction; outside (0, 1) there is nothing to compare with */
	readonly share: number;
}

/** The state between ticks; reserve and stakes sum to E. */
export interface Bets {
	/** ψ0 ≥ 1: a hazard ratio up to this is no harm */
	readonly toleratedRatio: number;
	/** one for each of RATIOS above the tolerated ratio, in that order */
	readonly stakes: readonly number[];
	readonly reserve: number;
}

/** The ratios above a tolerated one, and what no tick changes about them; all in the order of RATIOS. */
interface Ladder {
	/** renormalised */
	readonly weights: readonly number[];
	/** ln(λ/ψ0), the gain of a unit in the candidate */
	readonly logRatios: readonly number[];
	/** ln[(1 + s(λ − 1))/(1 + s(ψ0 − 1))] at a share s, the price of a unit in either arm */
	readonly logPrices: (share: number) => readonly number[];
}

export function startBets(toleratedRatio: number): Bets {
	const stakes = ladderAbove(toleratedRatio).weights.map((weight) => STAKE_AT_START * weight);
	return { toleratedRatio, stakes, reserve: 1 - STAKE_AT_START };
}

/**
 * One tick: `minutes` whole minutes passed since the last applied one, then the new units are seen.
 * Counts that cannot be, NaN included, throw RangeError: they are a bug upstream and must not become evidence.
 */
export function placeBets(bets: Bets, minutes: number, strata: readonly Stratum[]): Bets {
	const { logRatios, logPrices } = ladderAbove(bets.toleratedRatio);
	const comparable = comparableStrata(strata);
	if (comparable.length === 0) return settleBets(bets, minutes, undefined);
	let inCandidate = 0;
	for (const { harmed } of comparable) inCandidate += harmed;
	// Gains are summed before they are applied: the order of strata cannot matter, not even at the cap or below the smallest double.
	const gains = logRatios.slice();
	for (let j = 0; j < gains.length; j++) gains[j] = inCandidate * (logRatios[j] ?? 0);
	for (const { units, share } of comparable) {
		const prices = logPrices(share);
		for (let j = 0; j < gains.length; j++) gains[j] = (gains[j] ?? 0) - units * (prices[j] ?? 0);
	}
	return settleBets(bets, minutes, gains);
}

/**
 * What a tick leaves of each stake: `minutes` pass, then the bets are won or lost by `logGains`, in nats and in the order of the stakes,
 * undefined if nothing was seen. Switching moves value between reserve and stakes before the data is seen and creates none.
 */
export function settleBets(bets: Bets, minutes: number, logGains: readonly number[] | undefined): Bets {
	if (!Number.isInteger(minutes) || minutes < 0) throw new RangeError(`minutes ${minutes} must be whole and at least 0`);
	const { toleratedRatio } = bets;
	const { weights } = ladderAbove(toleratedRatio);
	if (bets.stakes.length !== weights.length) throw new RangeError(`${bets.stakes.length} stakes for ${weights.length} ratios`);
	if (logGains !== undefined && logGains.length !== weights.length)
		throw new RangeError(`${logGains.length} gains for ${weights.length} ratios`);
	const stakes = bets.stakes.slice();
	let reserve = bets.reserve;
	let staked = 0;
	for (let j = 0; j < stakes.length; j++) staked += stakes[j] ?? 0;
	// The minutes move all stakes alike: what is left of each, and what entered to be spread by weight.
	let kept = 1;
	let entered = 0;
	for (let minute = Math.min(minutes, MINUTES_MAX); minute > 0; minute--) {
		const entering = reserve * ENTER_PER_MINUTE;
		const leaving = staked * LEAVE_PER_MINUTE;
		kept -= kept * LEAVE_PER_MINUTE;
		entered += entering - entered * LEAVE_PER_MINUTE;
		staked += entering - leaving;
		reserve += leaving - entering;
	}
	for (let j = 0; j < stakes.length; j++) {
		const moved = (stakes[j] ?? 0) * kept + (weights[j] ?? 0) * entered;
		stakes[j] = Math.min(STAKE_MAX, logGains === undefined ? moved : grown(moved, logGains[j] ?? 0));
	}
	return { toleratedRatio, stakes, reserve };
}

/** ln E. */
export function logEvidence({ stakes, reserve }: Bets): number {
	let evidence = reserve;
	for (let j = 0; j < stakes.length; j++) evidence += stakes[j] ?? 0;
	return Math.log(evidence);
}

/**
 * The probability that a unit newly harmed lies in the candidate, by design; all are fractions of the buckets. `controlShare` includes the
 * holdback; `lastControlPercent` is the candidate's percent when the unit was last counted in control, undefined if it never was.
 * For a unit counted before, exact where no bucket is excluded: all those outside the candidate were control's.
 */
export function shareOfCandidate(percent: number, controlShare: number, lastControlPercent: number | undefined): number {
	if (lastControlPercent === undefined) return percent === 0 ? 0 : percent / (percent + controlShare);
	// The candidate only grows: at the same percent or a smaller one, this unit is still in control.
	if (lastControlPercent >= percent) return 0;
	return (percent - lastControlPercent) / (1 - lastControlPercent);
}

/** The strata that can tell the arms apart, after a check of all. */
export function comparableStrata(strata: readonly Stratum[]): readonly Stratum[] {
	let comparable = true;
	for (const stratum of strata) if (!isComparable(stratum)) comparable = false;
	// As a rule all of them: no need for a copy.
	return comparable ? strata : strata.filter(isComparable);
}

function isComparable({ harmed, units, share }: Stratum): boolean {
	if (!(harmed >= 0 && harmed <= units && units < Infinity)) throw new RangeError(`harmed ${harmed} of ${units} units`);
	if (Number.isNaN(share)) throw new RangeError(`share ${share} of ${units} units`);
	return share > 0 && share < 1;
}

/** stake · exp(logGain), where the factor alone may be out of range: nothing stays nothing, whatever it is multiplied by. */
function grown(stake: number, logGain: number): number {
	return Math.abs(logGain) < LOG_FACTOR_MAX ? stake * Math.exp(logGain) : Math.exp(Math.log(stake) + logGain);
}

/** The ratios worth a bet. */
const ladderAbove = remember((toleratedRatio: number): Ladder => {
	const above = RATIOS.map((ratio, j) => ({ ratio, weight: WEIGHTS[j] ?? 0 })).filter(({ ratio }) => ratio > toleratedRatio);
	if (!(toleratedRatio >= 1) || above.length === 0) throw new RangeError(`tolerated ratio ${toleratedRatio} must be in [1, 20)`);
	const total = above.reduce((sum, { weight }) => sum + weight, 0);
	const ratios = above.map(({ ratio }) => ratio);
	return {
		weights: above.map(({ weight }) => weight / total),
		logRatios: ratios.map((ratio) => Math.log(ratio / toleratedRatio)),
		logPrices: remember((share) => {
			const tolerated = Math.log1p(share * (toleratedRatio - 1));
			return ratios.map((ratio) => Math.log1p(share * (ratio - 1)) - tolerated);
		}),
	};
});
