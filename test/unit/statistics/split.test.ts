import * as fc from "fast-check";
import { expect, test } from "vitest";
import { logSplitBayesFactor, splitChiSquare } from "../../../core/statistics/split";
import vectors from "../../vectors/split_mixture.json";
import chiSquareVectors from "../../vectors/srm_chi2.json";
import { binomialMean, expectClose, expectRelativelyClose } from "./close";

const LOG_ALARM = Math.log(1_000);

test.each(vectors.cases)("the Bayes factor of $counts at $p", ({ counts, p, log_bf }) => {
	expectRelativelyClose(logSplitBayesFactor(counts, p), log_bf);
});

test("no users are no evidence", () => expectClose(logSplitBayesFactor([0, 0], [0.05, 0.95]), 0));

test("a healthy split is expected to keep a Bayes factor of 1", () => {
	fc.assert(
		fc.property(fc.integer({ min: 0, max: 30 }), fc.double({ min: 0.01, max: 0.99, noNaN: true }), (users, share) => {
			const mean = binomialMean(users, share, (count) => Math.exp(logSplitBayesFactor([count, users - count], [share, 1 - share])));
			expectClose(mean, 1);
		}),
	);
});

test("a candidate that never reports is found after about 200 users at 5 %", () => {
	expect(logSplitBayesFactor([0, 150], [0.05, 0.95])).toBeLessThan(LOG_ALARM);
	expect(logSplitBayesFactor([0, 200], [0.05, 0.95])).toBeGreaterThan(LOG_ALARM);
});

test("shares are relative: control and candidate need not fill all buckets", () => {
	expectClose(logSplitBayesFactor([40, 960], [0.02, 0.38]), logSplitBayesFactor([40, 960], [0.05, 0.95]));
});

test("a user in an arm that receives nobody is certain proof, an empty one is none", () => {
	expect(logSplitBayesFactor([1, 99], [0, 1])).toBe(Infinity);
	expectClose(logSplitBayesFactor([0, 40, 960], [0, 0.05, 0.95]), logSplitBayesFactor([40, 960], [0.05, 0.95]));
});

test.each(chiSquareVectors.cases)("the chi-square of $users at $weights", ({ users, weights, chi2, p, alarm_0_001 }) => {
	const split = splitChiSquare(users, weights);
	expectRelativelyClose(split.chiSquare, chi2, 1e-12);
	expectRelativelyClose(split.p, p, 1e-10);
	expect(split.p < 0.001).toBe(alarm_0_001);
});

test("the chi-square test has its level: the share of splits below p is about p", () => {
	for (const level of [0.001, 0.01, 0.05]) {
		const rejected = binomialMean(1_000, 0.2, (count) => (splitChiSquare([count, 1_000 - count], [0.2, 0.8]).p <= level ? 1 : 0));
		expectRelativelyClose(rejected, level, 0.25);
	}
});

test("the chi-square test, too, takes a user in an arm that receives nobody for certain proof, and an empty one for none", () => {
	expect(splitChiSquare([1, 99], [0, 1])).toEqual({ chiSquare: Infinity, p: 0 });
	expect(splitChiSquare([0, 40, 960], [0, 0.05, 0.95])).toEqual(splitChiSquare([40, 960], [0.05, 0.95]));
	expect(splitChiSquare([0, 100], [0, 1])).toEqual({ chiSquare: 0, p: 1 });
});

test.each<[readonly number[], readonly number[]]>([
	[[1], [0.5, 0.5]],
	[
		[1, 1],
		[0, 0],
	],
	[
		[1, 1],
		[-0.5, 1.5],
	],
	[
		[-1, 1],
		[0.5, 0.5],
	],
	[
		[Number.NaN, 1],
		[0.5, 0.5],
	],
])("counts %o at shares %o are refused", (counts, shares) => {
	expect(() => logSplitBayesFactor(counts, shares)).toThrow(RangeError);
	expect(() => splitChiSquare(counts, shares)).toThrow(RangeError);
});
