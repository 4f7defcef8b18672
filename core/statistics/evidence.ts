import { logSumExp } from "./special";

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

interface Rung {
	readonly ratio: number;
	readonly weight: number;
}

export function startBets(toleratedRatio: number): Bets {
	const stakes = rungsAbove(toleratedRatio).map(({ weight }) => STAKE_AT_START * weight);
	return { toleratedRatio, stakes, reserve: 1 - STAKE_AT_START };
}

/**
 * One tick: `minutes` whole minutes passed since the last applied one, then the new units are seen.
 * Counts that cannot be, NaN included, throw RangeError: they are a bug upstream and must not become evidence.
 */
export function placeBets(bets: Bets, minutes: number, strata: readonly Stratum[]): Bets {
	if (!Number.isInteger(minutes) || minutes < 0) throw new RangeError(`minutes ${minutes} must be whole and at least 0`);
	const { toleratedRatio } = bets;
	const rungs = rungsAbove(toleratedRatio);
	if (bets.stakes.length !== rungs.length) throw new RangeError(`${bets.stakes.length} stakes for ${rungs.length} ratios`);
	const comparable = comparableStrata(strata);
	const moved = moveStakes(bets, rungs, Math.min(minutes, MINUTES_MAX));
	// Gains are summed before they are applied: the order of strata cannot matter, not even at the cap or below the smallest double.
	const stakes = rungs.map(({ ratio }, j) => {
		let logGain = 0;
		for (const stratum of comparable) logGain += logLikelihoodRatio(stratum, ratio, toleratedRatio);
		return Math.min(STAKE_MAX, Math.exp(Math.log(moved.stakes[j] ?? 0) + logGain));
	});
	return { toleratedRatio, stakes, reserve: moved.reserve };
}

/** ln E. */
export function logEvidence(bets: Bets): number {
	return logSumExp([bets.reserve, ...bets.stakes].map(Math.log));
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
	return strata.filter(({ harmed, units, share }) => {
		if (!(harmed >= 0 && harmed <= units && Number.isFinite(units))) throw new RangeError(`harmed ${harmed} of ${units} units`);
		if (Number.isNaN(share)) throw new RangeError(`share ${share} of ${units} units`);
		return share > 0 && share < 1;
	});
}

/** How much better a hazard ratio explains where the units lie than another one does, in nats. */
export function logLikelihoodRatio({ harmed, units, share }: Stratum, ratio: number, against: number): number {
	return harmed * Math.log(ratio / against) - units * (Math.log1p(share * (ratio - 1)) - Math.log1p(share * (against - 1)));
}

/** Switching moves value between reserve and stakes before the data is seen and creates none. */
function moveStakes(bets: Bets, rungs: readonly Rung[], minutes: number): Pick<Bets, "stakes" | "reserve"> {
	let { stakes, reserve } = bets;
	for (let minute = 0; minute < minutes; minute++) {
		const entering = reserve * ENTER_PER_MINUTE;
		let leaving = 0;
		for (const stake of stakes) leaving += stake * LEAVE_PER_MINUTE;
		stakes = stakes.map((stake, j) => stake - stake * LEAVE_PER_MINUTE + entering * (rungs[j]?.weight ?? 0));
		reserve += leaving - entering;
	}
	return { stakes, reserve };
}

/** The ratios worth a bet, their weights renormalised. */
function rungsAbove(toleratedRatio: number): readonly Rung[] {
	const above = RATIOS.map((ratio, j) => ({ ratio, weight: WEIGHTS[j] ?? 0 })).filter(({ ratio }) => ratio > toleratedRatio);
	if (!(toleratedRatio >= 1) || above.length === 0) throw new RangeError(`tolerated ratio ${toleratedRatio} must be in [1, 20)`);
	const total = above.reduce((sum, { weight }) => sum + weight, 0);
	return above.map(({ ratio, weight }) => ({ ratio, weight: weight / total }));
}
