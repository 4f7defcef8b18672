import { bisect } from "./bisect";

/**
 * How long harm takes to be proven, and what could not have been proven yet. Each first harm brings information on average; evidence grows
 * at that rate until it reaches 1/α (Wald 1945), and some more to make up for betting on many ratios at once.
 */

/** Nats that the mixture loses to the best single bet; fitted to simulations. */
const COST_OF_MIXTURE = 0.7;
/** How much longer than the median four of five rollouts take at most; fitted to simulations. */
const P80_OVER_MEDIAN = 1.5;
const RISK_RATIO_MAX = 1_000;

/** What is expected of the traffic; `share` is the candidate's by design, a fraction. */
export interface Expectation {
	readonly share: number;
	readonly riskRatio: number;
	readonly controlHarmsPerMinute: number;
	readonly alpha: number;
}

/** Of one first harm in either arm, in nats: 0 where there is no ratio to see, or nothing to compare with. */
export function informationPerHarm(share: number, riskRatio: number): number {
	if (!(share >= 0 && share <= 1)) throw new RangeError(`share ${share} must be in [0, 1]`);
	if (!(riskRatio >= 1 && riskRatio < Infinity)) throw new RangeError(`risk ratio ${riskRatio} must be at least 1`);
	const shareOfHarms = (share * riskRatio) / (1 + share * (riskRatio - 1));
	// Kullback and Leibler's divergence between the arms that the harmed lie in and the designed ones.
	return Math.max(0, shareOfHarms * Math.log(riskRatio) - Math.log1p(share * (riskRatio - 1)));
}

/** Minutes until a risk ratio is proven, in one rollout of two and in four of five; Infinity where it never is. */
export function minutesToProve(expectation: Expectation): { readonly medianMinutes: number; readonly p80Minutes: number } {
	const { share, riskRatio, controlHarmsPerMinute, alpha } = expectation;
	if (!(controlHarmsPerMinute >= 0 && controlHarmsPerMinute < Infinity)) throw new RangeError(`${controlHarmsPerMinute} harms a minute`);
	const information = informationPerHarm(share, riskRatio);
	const needed = informationNeeded(alpha);
	// With no control there are no harms to scale up from, and no information either.
	const harmsPerMinute = share === 1 ? 0 : (controlHarmsPerMinute * (1 + share * (riskRatio - 1))) / (1 - share);
	const medianMinutes = information === 0 || harmsPerMinute === 0 ? Infinity : needed / (information * harmsPerMinute);
	return { medianMinutes, p80Minutes: medianMinutes * P80_OVER_MEDIAN };
}

/** The smallest risk ratio that so many harmed units of both arms could have proven in the median; undefined if not even 1000. */
export function smallestProvable(harmedUnits: number, share: number, alpha: number): number | undefined {
	if (!(harmedUnits >= 0 && harmedUnits < Infinity)) throw new RangeError(`${harmedUnits} harmed units`);
	const needed = informationNeeded(alpha);
	const isProvable = (riskRatio: number): boolean => informationPerHarm(share, riskRatio) * harmedUnits >= needed;
	return isProvable(RISK_RATIO_MAX) ? bisect(1, RISK_RATIO_MAX, isProvable) : undefined;
}

function informationNeeded(alpha: number): number {
	if (!(alpha > 0 && alpha <= 1)) throw new RangeError(`alpha ${alpha} must be in (0, 1]`);
	return Math.log(1 / alpha) + COST_OF_MIXTURE;
}
