import * as fc from "fast-check";
import { expect, test } from "vitest";
import { quantileRanks } from "../../../core/statistics/quantileInterval";
import vectors from "../../vectors/quantiles.json";
import { binomialMean, expectClose, expectRelativelyClose } from "./close";

test.each(vectors.order_statistic_ci)("the ranks around the $q-quantile of $n values at alpha $alpha", (vector) => {
	const { n, q, alpha, lower_rank_1based, upper_rank_1based, coverage } = vector;
	const interval = quantileRanks(n, q, alpha);
	expect([interval.lowerRank, interval.upperRank]).toEqual([lower_rank_1based, upper_rank_1based]);
	expectRelativelyClose(interval.coverage, coverage, 1e-10);
});

const aSize = fc.integer({ min: 1, max: 60 });
const aFraction = fc.double({ min: 0.02, max: 0.95, noNaN: true });

test("each side is wrong with at most half of alpha, and no narrower ranks would do", () => {
	fc.assert(
		fc.property(aSize, aFraction, aFraction, (n, q, alpha) => {
			const { lowerRank, upperRank, coverage } = quantileRanks(n, q, alpha);
			const chance = (holds: (below: number) => boolean): number => binomialMean(n, q, (below) => (holds(below) ? 1 : 0));
			const rounding = 1e-12;
			expect(chance((below) => below < lowerRank)).toBeLessThanOrEqual(alpha / 2 + rounding);
			expect(chance((below) => below >= upperRank)).toBeLessThanOrEqual(alpha / 2 + rounding);
			expect(chance((below) => below < lowerRank + 1)).toBeGreaterThanOrEqual(alpha / 2 - rounding);
			expect(chance((below) => below >= upperRank - 1)).toBeGreaterThanOrEqual(alpha / 2 - rounding);
			expectClose(
				coverage,
				chance((below) => below >= lowerRank && below < upperRank),
				1e-11,
			);
		}),
	);
});

test("too few values leave a side open", () => {
	expect(quantileRanks(1, 0.5, 0.05)).toEqual({ lowerRank: 0, upperRank: 2, coverage: 1 });
	expect(quantileRanks(20, 0.99, 0.05).upperRank).toBe(21);
});

test.each([
	[0, 0.5, 0.05],
	[1.5, 0.5, 0.05],
	[10, 0, 0.05],
	[10, 1, 0.05],
	[10, 0.5, 0],
	[10, Number.NaN, 0.05],
	[10, 0.5, Number.NaN],
])("%d values, the %d-quantile, alpha %d are refused", (n, q, alpha) => expect(() => quantileRanks(n, q, alpha)).toThrow(RangeError));
