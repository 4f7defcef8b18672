import { chiSquareTail } from "./distributions";
import { logGamma, logMeanExp } from "./special";

/**
 * Split health: whether users' first exposures fall as designed (sample ratio mismatch). Bayes factors of a Dirichlet-multinomial
 * against the designed shares can be looked at after every user; source: Lindon and Malek, arXiv:2011.03567.
 */

/** From "anything is possible" to "off by a percent or so": small ones see a missing arm at once, large ones slight drifts. */
const CONCENTRATIONS: readonly number[] = [10, 100, 1_000, 10_000];

interface Arm {
	readonly count: number;
	readonly share: number;
}

/** ln of the mean Bayes factor for users counted per arm; shares are relative to their sum. The split is broken from ln 1000 on. */
export function logSplitBayesFactor(counts: readonly number[], shares: readonly number[]): number {
	const arms = armsOf(counts, shares);
	// A user in an arm that receives nobody needs no statistics.
	if (arms.some(({ count, share }) => share === 0 && count > 0)) return Infinity;
	const possible = arms.filter(({ share }) => share > 0);
	return logMeanExp(CONCENTRATIONS.map((concentration) => logBayesFactor(possible, concentration)));
}

/** Pearson's test for users counted per arm: p is the probability of such a split by chance. For one look only, from 8 expected an arm on. */
export function splitChiSquare(counts: readonly number[], shares: readonly number[]): { readonly chiSquare: number; readonly p: number } {
	const arms = armsOf(counts, shares);
	const users = arms.reduce((sum, { count }) => sum + count, 0);
	if (users === 0) return { chiSquare: 0, p: 1 };
	let chiSquare = 0;
	let possible = 0;
	for (const { count, share } of arms) {
		// Nobody where nobody belongs is as it should be, anybody there is impossible.
		if (share === 0) chiSquare += count === 0 ? 0 : Infinity;
		else {
			possible++;
			chiSquare += (count - users * share) ** 2 / (users * share);
		}
	}
	if (chiSquare === Infinity) return { chiSquare, p: 0 };
	// A single arm leaves nothing to chance.
	return { chiSquare, p: possible < 2 ? 1 : chiSquareTail(chiSquare, possible - 1) };
}

function logBayesFactor(arms: readonly Arm[], concentration: number): number {
	let users = 0;
	let log = 0;
	for (const { count, share } of arms) {
		users += count;
		log += logRising(concentration * share, count) - count * Math.log(share);
	}
	return log - logRising(concentration, users);
}

/** ln of a·(a + 1)···(a + n − 1). */
function logRising(a: number, n: number): number {
	return logGamma(a + n) - logGamma(a);
}

function armsOf(counts: readonly number[], shares: readonly number[]): readonly Arm[] {
	if (counts.length !== shares.length) throw new RangeError(`${counts.length} counts for ${shares.length} shares`);
	const total = shares.reduce((sum, share) => sum + share, 0);
	return shares.map((weight, i) => {
		const count = counts[i] ?? 0;
		const share = weight / total;
		if (!(share >= 0 && share <= 1)) throw new RangeError(`share ${weight} of ${total}`);
		if (!(count >= 0 && count < Infinity)) throw new RangeError(`count ${count}`);
		return { count, share };
	});
}
