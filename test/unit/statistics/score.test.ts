import * as fc from "fast-check";
import { expect, test } from "vitest";
import { binomialCdf } from "../../../core/statistics/distributions";
import { logEvidence, placeBets, startBets, type Bets } from "../../../core/statistics/evidence";
import { placeScoredBets, scoreOf, type ScoredUnits } from "../../../core/statistics/score";
import vectors from "../../vectors/eprocess_switching.json";
import { binomialMean, expectClose, expectRelativelyClose } from "./close";
import { drawing } from "./draw";

const PROVEN = Math.log(80);

function scored(change: Partial<ScoredUnits> = {}): ScoredUnits {
	return { arm: "candidate", score: 0.5, units: 1, share: 0.05, ...change };
}

const OF_SCORES = vectors.cases.filter(({ name }) => name === "scores (mean log latency, once per user)");

test.each(OF_SCORES)("evidence, reserve and bets: $name", ({ ticks, psi0, expected, final_bets }) => {
	if (typeof ticks === "string") throw new Error(`cannot read the ticks ${ticks}`);
	let bets = startBets(psi0);
	for (const [i, { minutes, rows }] of ticks.entries()) {
		const units = rows.map((row) => {
			if (!("z" in row) || row.z === undefined) throw new Error("a row without a score");
			return scored({ arm: row.arm === 1 ? "candidate" : "control", score: row.z, share: row.s });
		});
		bets = placeScoredBets(bets, minutes, units);
		expectClose(logEvidence(bets), expected[i]?.log_e ?? Number.NaN, 1e-12);
		expectRelativelyClose(bets.reserve, expected[i]?.reserve ?? Number.NaN, 1e-12);
	}
	for (const [j, stake] of bets.stakes.entries()) expectRelativelyClose(stake, final_bets[j] ?? Number.NaN, 1e-12);
});

test("the vectors have scores", () => expect(OF_SCORES).toHaveLength(1));

test.each([
	[5, 0],
	[6, 1],
	[60, 1],
	[4, -1],
	[5.5, 0.5],
	[5.31, 0.3],
	[5.099, 0.05],
	[4.901, -0.05],
	[5.04, 0],
	[4.96, 0],
])("a mean of %d around 5 ± 0.5 scores %d", (meanLog, score) => expect(scoreOf(meanLog, 5, 0.5)).toBe(score));

const aLog = fc.double({ min: -10, max: 25, noNaN: true });
const aSpread = fc.double({ min: 0.01, max: 5, noNaN: true });

test("scores are multiples of 0.05 in [−1, 1], toward zero and never −0", () => {
	fc.assert(
		fc.property(aLog, aLog, aSpread, (meanLog, center, spread) => {
			const score = scoreOf(meanLog, center, spread);
			const exact = Math.max(-1, Math.min(1, (meanLog - center) / (2 * spread)));
			expect(score).toBe(Math.round(score * 20) / 20 + 0);
			expect(Math.abs(score)).toBeLessThanOrEqual(Math.abs(exact) + 1e-15);
			expect(Math.abs(score - exact)).toBeLessThan(0.05 + 1e-15);
		}),
	);
});

test("slower units never score lower", () => {
	fc.assert(
		fc.property(aLog, aLog, aLog, aSpread, (one, other, center, spread) => {
			expect(scoreOf(Math.max(one, other), center, spread)).toBeGreaterThanOrEqual(scoreOf(Math.min(one, other), center, spread));
		}),
	);
});

const aScore = fc.integer({ min: -20, max: 20 }).map((steps) => steps / 20);
const aShare = fc.double({ min: 0.01, max: 0.95, noNaN: true });
const aRow = fc.record({
	arm: fc.constantFrom<ScoredUnits["arm"]>("candidate", "control"),
	score: aScore,
	units: fc.integer({ min: 0, max: 5 }),
	share: aShare,
});
const someRows = fc.array(aRow, { maxLength: 4 });
const minutesOfATick = fc.integer({ min: 0, max: 300 });

function betsAfter(history: readonly ScoredUnits[]): Bets {
	return placeScoredBets(startBets(1), 1, history);
}

/** E averaged over the arm that a unit lies in, relative to E before; in the candidate it may score otherwise. */
function expectedGain(bets: Bets, minutes: number, score: number, scoreInCandidate: number, share: number): number {
	const gain = (arm: ScoredUnits["arm"], z: number): number =>
		Math.exp(logEvidence(placeScoredBets(bets, minutes, [scored({ arm, score: z, share })])) - logEvidence(bets));
	return share * gain("candidate", scoreInCandidate) + (1 - share) * gain("control", score);
}

test("evidence is an exact martingale when both arms score alike", () => {
	fc.assert(
		fc.property(someRows, minutesOfATick, aScore, aShare, (history, minutes, score, share) => {
			expectClose(expectedGain(betsAfter(history), minutes, score, score, share), 1, 1e-12);
		}),
	);
});

test("so it is for several units of one score, counted together", () => {
	fc.assert(
		fc.property(someRows, fc.integer({ min: 0, max: 12 }), aScore, aShare, (history, units, score, share) => {
			const before = betsAfter(history);
			const mean = binomialMean(units, share, (candidates) => {
				const rows = [scored({ score, share, units: candidates }), scored({ arm: "control", score, share, units: units - candidates })];
				return Math.exp(logEvidence(placeScoredBets(before, 1, rows)) - logEvidence(before));
			});
			expectClose(mean, 1, 1e-11);
		}),
	);
});

test("evidence is not expected to grow when the candidate scores units lower than control does", () => {
	fc.assert(
		fc.property(someRows, minutesOfATick, aScore, aScore, aShare, (history, minutes, one, other, share) => {
			const mean = expectedGain(betsAfter(history), minutes, Math.max(one, other), Math.min(one, other), share);
			expect(mean).toBeLessThanOrEqual(1 + 1e-12);
		}),
	);
});

test("rows in any order, grouped or one by one, are the same", () => {
	fc.assert(
		fc.property(someRows, minutesOfATick, (rows, minutes) => {
			const single = rows.flatMap((row) => Array.from({ length: row.units }, () => ({ ...row, units: 1 })));
			const grouped = placeScoredBets(startBets(1), minutes, rows);
			for (const others of [single, single.toReversed()]) {
				const bets = placeScoredBets(startBets(1), minutes, others);
				for (const [j, stake] of grouped.stakes.entries()) expectRelativelyClose(bets.stakes[j] ?? Number.NaN, stake, 1e-11);
			}
		}),
	);
});

test("a score of 0 bets nothing", () => {
	const rows = [scored({ score: 0, units: 1_000 }), scored({ score: 0, units: 5, arm: "control" })];
	expectClose(logEvidence(placeScoredBets(startBets(1), 1, rows)), 0, 1e-15);
});

test.each([0, 1, -0.1, 1.5, Infinity])("a candidate's share of %d bets nothing", (share) => {
	expect(placeScoredBets(startBets(1), 7, [scored({ share, units: 50 })])).toEqual(placeBets(startBets(1), 7, []));
});

test("stakes stop at the cap and never turn into NaN", () => {
	const certain = placeScoredBets(startBets(1), 1, [scored({ score: 1, units: 10_000 })]);
	expect(Math.max(...certain.stakes)).toBe(1e100);
	const hopeless = placeScoredBets(startBets(1), 1, [scored({ score: -1, units: 10_000, share: 0.5 })]);
	expect(hopeless.stakes.at(-1)).toBe(0);
	expect(placeScoredBets(hopeless, 0, [scored({ score: 1, units: 10_000 })]).stakes.every(Number.isFinite)).toBe(true);
});

/** The minute in which a shift of the candidate's latencies is proven, 20 units being scored each minute; undefined if it never is. */
function minuteOfProof(seed: number, share: number, factor: number, minutesMax: number): number | undefined {
	const { normal, uniform } = drawing(seed);
	let bets = startBets(1);
	for (let minute = 1; minute <= minutesMax; minute++) {
		const rows = Array.from({ length: 20 }, () => {
			const arm = uniform() < share ? "candidate" : "control";
			const meanLog = 5 + 0.5 * normal() + (arm === "candidate" ? Math.log(factor) : 0);
			// The warm-up has found a center and a spread that are somewhat off.
			return scored({ arm, score: scoreOf(meanLog, 5.1, 0.45), share });
		});
		bets = placeScoredBets(bets, 1, rows);
		if (logEvidence(bets) >= PROVEN) return minute;
	}
	return undefined;
}

test("a shift by 20 % at a share of 20 % is found within hours, not days", () => {
	const minutes = Array.from({ length: 60 }, (_, seed) => minuteOfProof(seed, 0.2, 1.2, 600) ?? Infinity);
	const median = minutes.toSorted((one, other) => one - other)[30] ?? Number.NaN;
	expect(median).toBeLessThan(60);
	expect(Math.max(...minutes)).toBeLessThan(Infinity);
});

/** In how many of the runs a shift is proven. */
function proofs(runs: number, factor: number): number {
	return Array.from({ length: runs }, (_, seed) => minuteOfProof(seed, 0.2, factor, 120)).filter((minute) => minute !== undefined).length;
}

test("where no shift is, one is proven no more often than α = 1/80 allows", () => {
	const runs = 300;
	const allowed = Array.from({ length: runs }, (_, count) => count).find((count) => binomialCdf(count, runs, 1 / 80) > 0.99);
	expect(proofs(runs, 1)).toBeLessThanOrEqual(allowed ?? 0);
});

test("a faster candidate is never proven slow", () => expect(proofs(100, 0.9)).toBe(0));

test.each<[string, () => unknown]>([
	["a mean of NaN", () => scoreOf(Number.NaN, 5, 0.5)],
	["an infinite mean", () => scoreOf(Infinity, 5, 0.5)],
	["a center of NaN", () => scoreOf(5, Number.NaN, 0.5)],
	["no spread", () => scoreOf(5, 5, 0)],
	["a negative spread", () => scoreOf(5, 5, -1)],
	["a spread of NaN", () => scoreOf(5, 5, Number.NaN)],
	["bets with a margin", () => placeScoredBets(startBets(1.25), 1, [])],
	["stakes of another grid", () => placeScoredBets({ ...startBets(1), stakes: [0.5] }, 1, [])],
	["half a minute", () => placeScoredBets(startBets(1), 0.5, [])],
])("%s is refused", (_, call) => expect(call).toThrow(RangeError));

test.each<Partial<ScoredUnits>>([
	{ score: 1.05 },
	{ score: -1.05 },
	{ score: Number.NaN },
	{ units: -1 },
	{ units: Infinity },
	{ units: Number.NaN },
	{ share: Number.NaN },
	{ share: 0, units: -1 },
])("rows that cannot be are refused: %o", (change) => {
	expect(() => placeScoredBets(startBets(1), 1, [scored(change)])).toThrow(RangeError);
});
