import { halfWidthOneSided } from "./sequences";

/**
 * The strict way to advance: proof that the candidate's share of harmed units is within a margin of control's, which may be looked at
 * after every unit. A one-sided asymptotic confidence sequence, arXiv:2103.06476v7, on the difference to control's share and margin.
 */

/** Where the interval is narrowest compared with other tunings, in units of both arms. */
const TUNED_FOR_UNITS = 5_000;

/** Of one arm, in one phase: pooling phases would compare arms of different mixtures (Simpson's paradox). */
export interface ArmCounts {
	readonly units: number;
	readonly harmed: number;
}

export interface Comparison {
	readonly candidate: ArmCounts;
	readonly control: ArmCounts;
	/** relative to control, a fraction: 0.25 tolerates a quarter more harm */
	readonly margin: number;
	/** the probability of ever proving what is not so, in (0, 1/2) */
	readonly alpha: number;
}

/**
 * `difference` is the candidate's share less (1 + margin) times control's, `halfWidth` how far above it the truth may be, both as
 * fractions of units; infinite as long as an arm is empty. Counts that cannot be throw RangeError.
 */
export function provenWithinMargin({ candidate, control, margin, alpha }: Comparison): {
	readonly difference: number;
	readonly halfWidth: number;
	readonly proven: boolean;
} {
	if (!(margin >= 0 && margin < Infinity)) throw new RangeError(`margin ${margin} must be at least 0`);
	const candidateShare = shareHarmed(candidate);
	const controlShare = shareHarmed(control);
	const tolerated = 1 + margin;
	const difference = candidateShare - tolerated * controlShare;
	if (candidate.units === 0 || control.units === 0) return { difference, halfWidth: Infinity, proven: false };
	// The candidate's variance at the margin's end, not as observed: an arm without any harm yet would have none.
	const atMargin = Math.min(1, tolerated * Math.max(controlShare, 1 / control.units));
	const variance =
		(atMargin * (1 - atMargin)) / candidate.units + (tolerated * tolerated * controlShare * (1 - controlShare)) / control.units;
	const units = candidate.units + control.units;
	const halfWidth = halfWidthOneSided(units, variance * units, alpha, TUNED_FOR_UNITS);
	return { difference, halfWidth, proven: difference + halfWidth < 0 };
}

/** 0 without units. */
function shareHarmed({ units, harmed }: ArmCounts): number {
	if (!(harmed >= 0 && harmed <= units && units < Infinity)) throw new RangeError(`harmed ${harmed} of ${units} units`);
	return units === 0 ? 0 : harmed / units;
}
