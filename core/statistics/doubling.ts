import { comparableStrata, type Stratum } from "./evidence";
import { remember } from "./remember";
import { logMeanExp } from "./special";

/**
 * Whether a doubling of harm is ruled out, which an advance needs: the absence of evidence of harm is no evidence of safety.
 * The same likelihood ratios as for harm, turned around: the null hypothesis is a risk ratio of 2 or more. Restarts in each phase.
 */

/** Hazard ratios of a release that is safe to advance. */
const SAFE_RATIOS: readonly number[] = [0.5, 0.75, 1, 1.2];
const LOG_SAFE_RATIOS = SAFE_RATIOS.map(Math.log);
const RULED_OUT_RISK_RATIO = 2;

/** ln M for each safe ratio. */
export function startDoubling(): readonly number[] {
	return SAFE_RATIOS.map(() => 0);
}

/**
 * One tick. `harmedShareOfSeen` is the fraction of the candidate's seen units that had been harmed before this tick: units are counted once,
 * so as the harmful arm uses up its units its hazard ratio falls below its risk ratio.
 */
export function updateDoubling(logs: readonly number[], strata: readonly Stratum[], harmedShareOfSeen: number): readonly number[] {
	if (!(harmedShareOfSeen >= 0 && harmedShareOfSeen <= 1)) throw new RangeError(`harmed share ${harmedShareOfSeen} must be in [0, 1]`);
	if (logs.length !== SAFE_RATIOS.length) throw new RangeError(`${logs.length} logarithms for ${SAFE_RATIOS.length} ratios`);
	const hazardRatio = RULED_OUT_RISK_RATIO * (1 - harmedShareOfSeen);
	const logHazardRatio = Math.log(hazardRatio);
	const next = logs.slice();
	for (const { harmed, units, share } of comparableStrata(strata)) {
		const prices = logPrices(share);
		const ruledOut = Math.log1p(share * (hazardRatio - 1));
		for (let j = 0; j < next.length; j++) {
			// A safe ratio that is no longer below the one to rule out would bet in the wrong direction.
			if (!((SAFE_RATIOS[j] ?? 0) < hazardRatio)) break;
			next[j] = (next[j] ?? 0) + harmed * ((LOG_SAFE_RATIOS[j] ?? 0) - logHazardRatio) - units * ((prices[j] ?? 0) - ruledOut);
		}
	}
	return next;
}

/** ln of the mean M; a doubling is ruled out from ln 10 on. */
export function logDoublingRuledOut(logs: readonly number[]): number {
	return logMeanExp(logs);
}

/** ln(1 + s(λ − 1)) of each safe ratio at a share s. */
const logPrices = remember((share) => SAFE_RATIOS.map((ratio) => Math.log1p(share * (ratio - 1))));
