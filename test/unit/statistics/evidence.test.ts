import * as fc from "fast-check";
import { expect, test } from "vitest";
import {
	logEvidence,
	placeBets,
	RATIOS,
	settleBets,
	shareOfCandidate,
	startBets,
	WEIGHTS,
	type Bets,
	type Stratum,
} from "../../../core/statistics/evidence";
import combine from "../../vectors/combine.json";
import vectors from "../../vectors/eprocess_switching.json";
import { binomialMean, expectClose, expectRelativelyClose, shareOfHarms } from "./close";

interface Tick {
	readonly minutes: number;
	readonly strata: readonly Stratum[];
}

const LATE_REGRESSION = "600 x {minutes 1, x 1, k 20, s .05}, then 40 x {x 2, k 21, s .05}";
/** Scores of latency are another kind of bet on the same stakes, with tests of their own. */
const OF_COUNTS = vectors.cases.filter(({ name }) => name !== "scores (mean log latency, once per user)");

function stratum(change: Partial<Stratum> = {}): Stratum {
	return { harmed: 1, units: 20, share: 0.05, ...change };
}

function ticksOf({ ticks }: (typeof OF_COUNTS)[number]): readonly Tick[] {
	if (ticks === LATE_REGRESSION) {
		return Array.from({ length: 640 }, (_, i) => ({ minutes: 1, strata: [i < 600 ? stratum() : stratum({ harmed: 2, units: 21 })] }));
	}
	if (typeof ticks === "string") throw new Error(`cannot read the ticks ${ticks}`);
	return ticks.map(({ minutes, rows }) => ({
		minutes,
		strata: rows.map((row) => {
			if (!("x" in row) || row.x === undefined) throw new Error("a row without counts");
			return { harmed: row.x, units: row.k, share: row.s };
		}),
	}));
}

test("the grid is the documented one", () => {
	expect(RATIOS).toEqual(vectors.grid);
	expect(WEIGHTS).toEqual(vectors.weight);
});

test.each(OF_COUNTS)("evidence, reserve and bets: $name", (vector) => {
	const ticks = ticksOf(vector);
	const states: Bets[] = [];
	let bets = startBets(vector.psi0);
	for (const { minutes, strata } of ticks) {
		bets = placeBets(bets, minutes, strata);
		states.push(bets);
	}
	for (const [i, expected] of vector.expected.entries()) {
		const state = states["tick" in expected && typeof expected.tick === "number" ? expected.tick - 1 : i];
		if (state === undefined) throw new Error(`no state for ${JSON.stringify(expected)}`);
		expectClose(logEvidence(state), expected.log_e, 1e-11);
		expectRelativelyClose(state.reserve, expected.reserve, 1e-11);
	}
	expect(bets.stakes).toHaveLength(vector.final_bets.length);
	for (const [j, stake] of bets.stakes.entries()) expectRelativelyClose(stake, vector.final_bets[j] ?? Number.NaN, 1e-11);
});

const aShare = fc.double({ min: 0.01, max: 0.95, noNaN: true });
const aToleratedRatio = fc.double({ min: 1, max: 4, noNaN: true });
const aStratum = fc
	.record({ units: fc.integer({ min: 0, max: 30 }), part: fc.double({ min: 0, max: 1, noNaN: true }), share: aShare })
	.map(({ units, part, share }): Stratum => ({ harmed: Math.round(part * units), units, share }));
const someStrata = fc.array(aStratum, { maxLength: 4 });
const minutesOfATick = fc.integer({ min: 0, max: 300 });

function betsAfter(toleratedRatio: number, history: readonly Stratum[]): Bets {
	return placeBets(startBets(toleratedRatio), 1, history);
}

/** E averaged over where the next units lie, relative to E after the same minutes without any. */
function expectedGain(bets: Bets, minutes: number, units: number, share: number, trueRatio: number): number {
	const before = logEvidence(placeBets(bets, minutes, []));
	return binomialMean(units, shareOfHarms(share, trueRatio), (harmed) =>
		Math.exp(logEvidence(placeBets(bets, minutes, [{ harmed, units, share }])) - before),
	);
}

test("evidence is a martingale when the true ratio is the tolerated one", () => {
	fc.assert(
		fc.property(
			aToleratedRatio,
			someStrata,
			minutesOfATick,
			fc.integer({ min: 0, max: 15 }),
			aShare,
			(tolerated, history, minutes, units, share) =>
				expectClose(expectedGain(betsAfter(tolerated, history), minutes, units, share, tolerated), 1),
		),
	);
});

test("evidence is not expected to grow when the true ratio is below the tolerated one", () => {
	fc.assert(
		fc.property(
			aToleratedRatio,
			fc.double({ min: 0.05, max: 1, noNaN: true }),
			someStrata,
			fc.integer({ min: 0, max: 15 }),
			aShare,
			(tolerated, part, history, units, share) => {
				expect(expectedGain(betsAfter(tolerated, history), 1, units, share, tolerated * part)).toBeLessThanOrEqual(1 + 1e-9);
			},
		),
	);
});

test("minutes without news move stakes but create no evidence", () => {
	fc.assert(
		fc.property(someStrata, minutesOfATick, (history, minutes) => {
			const bets = betsAfter(1, history);
			expectClose(logEvidence(placeBets(bets, minutes, [])), logEvidence(bets));
		}),
	);
});

test("the order of strata in a tick does not matter", () => {
	fc.assert(
		fc.property(someStrata, minutesOfATick, (strata, minutes) => {
			const one = placeBets(startBets(1), minutes, strata);
			const other = placeBets(startBets(1), minutes, strata.toReversed());
			for (const [j, stake] of one.stakes.entries()) expectRelativelyClose(other.stakes[j] ?? Number.NaN, stake);
		}),
	);
});

test("a split tick is the same as a whole one", () => {
	const whole = placeBets(startBets(1), 5, [stratum(), stratum({ harmed: 3 })]);
	const split = placeBets(placeBets(startBets(1), 5, [stratum()]), 0, [stratum({ harmed: 3 })]);
	expectClose(logEvidence(split), logEvidence(whole));
});

test("minutes that pass at once move what they would one by one", () => {
	fc.assert(
		fc.property(aToleratedRatio, someStrata, minutesOfATick, (tolerated, history, minutes) => {
			const bets = betsAfter(tolerated, history);
			let slowly = bets;
			for (let minute = 0; minute < minutes; minute++) slowly = placeBets(slowly, 1, []);
			const atOnce = placeBets(bets, minutes, []);
			expectRelativelyClose(atOnce.reserve, slowly.reserve, 1e-12);
			for (const [j, stake] of atOnce.stakes.entries()) expectRelativelyClose(stake, slowly.stakes[j] ?? Number.NaN, 1e-12);
		}),
	);
});

test("a tick leaves the state it is given alone", () => {
	const before = startBets(1);
	placeBets(before, 5, [stratum({ harmed: 3 })]);
	expect(before).toEqual(startBets(1));
});

test("after 14 days more minutes change nothing", () => {
	const settled = placeBets(betsAfter(1, [stratum({ harmed: 8 })]), 20_160, []);
	const later = placeBets(settled, 100_000_000, []);
	expectRelativelyClose(later.reserve, settled.reserve);
	expectClose(logEvidence(later), logEvidence(settled));
});

test("stakes stop at the cap and never turn into NaN", () => {
	const certain = placeBets(startBets(1), 1, [stratum({ harmed: 10_000, units: 10_000 })]);
	expect(Math.max(...certain.stakes)).toBe(1e100);
	const hopeless = placeBets(startBets(1), 1, [stratum({ harmed: 0, units: 1_000_000, share: 0.5 })]);
	expect(hopeless.stakes.at(-1)).toBe(0);
	const again = placeBets(hopeless, 0, [stratum({ harmed: 10_000, units: 10_000 })]);
	expect(again.stakes.every(Number.isFinite)).toBe(true);
});

test.each([0, 1, -0.1, 1.5, Infinity])("a candidate's share of %d bets nothing", (share) => {
	const before = startBets(1);
	expect(placeBets(before, 0, [stratum({ share, harmed: 20 })]).stakes.map((stake) => Math.round(stake * 1e12))).toEqual(
		before.stakes.map((stake) => Math.round(stake * 1e12)),
	);
});

test.each<Partial<Stratum>>([
	{ harmed: 21 },
	{ harmed: -1 },
	{ harmed: Number.NaN },
	{ units: Number.NaN },
	{ units: Infinity },
	{ units: -1, harmed: -2 },
	{ share: Number.NaN },
	{ share: 0, harmed: 21 },
])("counts that cannot be are refused: %o", (change) => {
	expect(() => placeBets(startBets(1), 1, [stratum(change)])).toThrow(RangeError);
});

test.each([-1, 0.5, Number.NaN, Infinity])("%d minutes are refused", (minutes) => {
	expect(() => placeBets(startBets(1), minutes, [])).toThrow(RangeError);
});

test.each([0.9, 20, Number.NaN])("a tolerated ratio of %d is refused", (ratio) => expect(() => startBets(ratio)).toThrow(RangeError));

test("stakes and gains of another grid are refused", () => {
	expect(() => placeBets({ ...startBets(1), stakes: [0.5] }, 1, [])).toThrow(RangeError);
	expect(() => settleBets(startBets(1), 1, [0.5])).toThrow(RangeError);
});

test.each(combine.stratum_share)(
	"the share at $percent, last in control at $last_seen_in_control_at",
	({ percent, last_seen_in_control_at, s }) => {
		expectRelativelyClose(shareOfCandidate(percent, 1 - percent, last_seen_in_control_at ?? undefined), s, 1e-12);
	},
);

test.each([
	[0.05, 0.45, undefined, 0.1],
	[0, 0, undefined, 0],
	[0.05, 0, undefined, 1],
	[0.2, 0.8, 0.2, 0],
	[0.1, 0.9, 0.2, 0],
	[1, 0, 1, 0],
])("the share of %d against %d, last in control at %s, is %d", (percent, controlShare, last, share) => {
	expectClose(shareOfCandidate(percent, controlShare, last), share, 1e-12);
});
