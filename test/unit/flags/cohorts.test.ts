import { expect, test } from "vitest";
import { BUCKETS, bucketOf, seedOf } from "../../../core/flags/bucket";

const PAIRS = 10_000_000;
const CELLS = 1_000;
const ROLLOUTS = 20_000;

/** Mulberry32: the same draws in every run, so that a bound either holds or does not. */
function drawing(seed: number): (below: number) => number {
	let state = seed;
	return (below) => {
		state = (state + 0x6d2b79f5) | 0;
		let mixed = Math.imul(state ^ (state >>> 15), state | 1);
		mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)) ^ mixed;
		return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * below);
	};
}

/** Names and attempts as people give them; an attempt differs from the one before by a single digit. */
const draw = drawing(1);
const names = ["checkout", "search", "kerykeion", "new_navigation", "a", "performance-optimization"];
const seeds = Uint32Array.from({ length: ROLLOUTS }, (_, i) => seedOf(`${names[i % names.length] ?? ""}_${draw(200)}.${1 + (i >> 3)}`));

const HEX = Array.from({ length: 65_536 }, (_, i) => i.toString(16).padStart(4, "0"));
const users: readonly ((n: number) => string)[] = [
	(n) => String(n),
	(n) => `user-${n}`,
	(n) => `${n}@example.org`,
	() => `${HEX[draw(65_536)] ?? ""}${HEX[draw(65_536)] ?? ""}-${HEX[draw(65_536)] ?? ""}-4${HEX[draw(65_536)] ?? ""}`,
];

interface Cohorts {
	readonly cells: Float64Array;
	/** Of buckets as numbers. */
	readonly correlation: number;
	/** Users in both, beyond what independence would give, in standard deviations. */
	readonly excessOf: ReadonlyMap<number, number>;
}

const SHARES = [1_000, 5_000, 50_000];

/** Each user is drawn with two rollouts: the first fills the cells, both are compared. */
function drawn(): Cohorts {
	const cells = new Float64Array(CELLS);
	const both = SHARES.map(() => 0);
	let [sumOne, sumOther, sumProduct, sumOneSquared, sumOtherSquared] = [0, 0, 0, 0, 0];
	for (let i = 0; i < PAIRS; i++) {
		const user = users[i & 3]?.(draw(5_000_000)) ?? "";
		const first = draw(ROLLOUTS);
		const one = bucketOf(user, seeds[first] ?? 0);
		// Another one, and every other time the one that was drawn up next to it.
		const other = bucketOf(user, seeds[(first + 1 + (i & 1) * draw(ROLLOUTS - 1)) % ROLLOUTS] ?? 0);
		const cell = Math.floor((one * CELLS) / BUCKETS);
		cells[cell] = (cells[cell] ?? 0) + 1;
		const greater = Math.max(one, other);
		for (let k = 0; k < SHARES.length; k++) if (greater < (SHARES[k] ?? 0)) both[k] = (both[k] ?? 0) + 1;
		sumOne += one;
		sumOther += other;
		sumProduct += one * other;
		sumOneSquared += one * one;
		sumOtherSquared += other * other;
	}
	const covariance = sumProduct / PAIRS - (sumOne / PAIRS) * (sumOther / PAIRS);
	const deviation = (sum: number, squares: number): number => Math.sqrt(squares / PAIRS - (sum / PAIRS) ** 2);
	const correlation = covariance / (deviation(sumOne, sumOneSquared) * deviation(sumOther, sumOtherSquared));
	const excess = SHARES.map((share, k): [number, number] => {
		const p = (share / BUCKETS) ** 2;
		return [share, ((both[k] ?? 0) - PAIRS * p) / Math.sqrt(PAIRS * p * (1 - p))];
	});
	return { cells, correlation, excessOf: new Map(excess) };
}

test(
	"10 million random pairs of rollout and user fall evenly, and a user's cohorts in two rollouts are independent",
	{ timeout: 60_000 },
	() => {
		const { cells, correlation, excessOf } = drawn();
		const expected = PAIRS / CELLS;
		const chiSquared = cells.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0);
		// 999 degrees of freedom, standard deviation √(2·999) = 44.7: four of them to either side.
		expect(chiSquared).toBeGreaterThan(999 - 179);
		expect(chiSquared).toBeLessThan(999 + 179);
		// Five standard deviations of one cell: 1,000 of them are looked at.
		for (const count of cells) expect(Math.abs(count - expected)).toBeLessThan(5 * Math.sqrt(expected));
		// Four standard deviations of 1/√10,000,000.
		expect(Math.abs(correlation)).toBeLessThan(4 / Math.sqrt(PAIRS));
		for (const [share, deviations] of excessOf) expect(Math.abs(deviations), `both below ${share}`).toBeLessThan(4);
	},
);
