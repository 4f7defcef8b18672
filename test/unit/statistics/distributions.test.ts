import * as fc from "fast-check";
import { expect, test } from "vitest";
import { binomialCdf, chiSquareTail, normalCdf, normalQuantile, studentCdf, studentQuantile } from "../../../core/statistics/distributions";
import { incompleteBeta } from "../../../core/statistics/incomplete";
import vectors from "../../vectors/special_functions.json";
import { binomialMean, expectClose, expectRelativelyClose } from "./close";

type Arguments = Omit<(typeof vectors.cases)[number], "fn" | "out">;

const FUNCTIONS: Record<string, (given: Required<Arguments>) => number> = {
	normal_cdf: ({ x }) => normalCdf(x),
	normal_ppf: ({ p }) => normalQuantile(p),
	t_cdf: ({ t, df }) => studentCdf(t, df),
	t_ppf: ({ p, df }) => studentQuantile(p, df),
	chi2_sf: ({ x, df }) => chiSquareTail(x, df),
	betainc: ({ a, b, x }) => incompleteBeta(a, b, x),
};

test.each(vectors.cases)("$fn at x $x, t $t, p $p, df $df, a $a, b $b is $out", ({ fn, out, ...given }) => {
	expectRelativelyClose(FUNCTIONS[fn]?.(given as Required<Arguments>) ?? Number.NaN, out, 1e-10);
});

// Integrated with mpmath at 30 digits; at a million degrees of freedom the rounding of logGamma shows.
test.each([
	[-1e-9, 4, 0.499999999625, 1e-12],
	[-0.999, 1e6, 0.15889746650560457, 1e-9],
	[-5, 1e6, 2.866998935445371e-7, 1e-9],
	[-30, 10, 1.980896171015662e-11, 1e-12],
	[-1e5, 1, 3.1830988617318035e-6, 1e-12],
])("studentCdf(%d) at %d degrees of freedom is %d within %d", (t, df, expected, tolerance) => {
	expectRelativelyClose(studentCdf(t, df), expected, tolerance);
});

// Computed with mpmath at 40 digits.
test.each([
	[-37, 5.725571222524577e-300],
	[-10, 7.619853024160525e-24],
	[-6, 9.86587645037698e-10],
	[8.2, 0.9999999999999999],
])("normalCdf(%d) is %d", (x, expected) => expectRelativelyClose(normalCdf(x), expected, 1e-10));

const aProbability = fc.double({ min: 1e-12, max: 1 - 1e-12, noNaN: true });
const degreesOfFreedom = fc.double({ min: 0.5, max: 1e4, noNaN: true });
const aValue = fc.double({ min: -30, max: 30, noNaN: true });

test("the symmetric distributions are symmetric", () => {
	fc.assert(
		fc.property(aValue, degreesOfFreedom, (x, df) => {
			expectClose(normalCdf(x) + normalCdf(-x), 1, 1e-15);
			expectClose(studentCdf(x, df) + studentCdf(-x, df), 1, 1e-15);
		}),
	);
});

test("the binary fraction p and its complement have opposite quantiles, and a half has none", () => {
	fc.assert(
		fc.property(fc.integer({ min: 1, max: 511 }), degreesOfFreedom, (part, df) => {
			expect(normalQuantile(part / 1024)).toBe(-normalQuantile(1 - part / 1024));
			expect(studentQuantile(part / 1024, df)).toBe(-studentQuantile(1 - part / 1024, df));
		}),
	);
	expect(normalQuantile(0.5)).toBe(0);
	expect(studentQuantile(0.5, 3)).toBe(0);
});

test("quantiles invert their distribution functions", () => {
	fc.assert(
		fc.property(aProbability, degreesOfFreedom, (p, df) => {
			expectRelativelyClose(normalCdf(normalQuantile(p)), p, 1e-10);
			expectRelativelyClose(studentCdf(studentQuantile(p, df), df), p, 1e-10);
		}),
	);
});

test("distribution functions never fall, tails never rise", () => {
	fc.assert(
		fc.property(aValue, fc.double({ min: 0, max: 5, noNaN: true }), degreesOfFreedom, (x, step, df) => {
			expect(normalCdf(x + step)).toBeGreaterThanOrEqual(normalCdf(x) * (1 - 1e-13));
			expect(studentCdf(x + step, df)).toBeGreaterThanOrEqual(studentCdf(x, df) * (1 - 1e-11));
			expect(chiSquareTail(x * x + step, df)).toBeLessThanOrEqual(chiSquareTail(x * x, df) + 1e-11);
		}),
	);
});

test("a chi-square of one degree of freedom is a squared normal, of two an exponential", () => {
	fc.assert(
		fc.property(fc.double({ min: 0, max: 30, noNaN: true }), (x) => {
			expectRelativelyClose(chiSquareTail(x * x, 1), 2 * normalCdf(-x), 1e-12);
			expectRelativelyClose(chiSquareTail(x, 2), Math.exp(-x / 2), 1e-12);
		}),
	);
});

test("Student's t of one degree of freedom is Cauchy's, of very many nearly normal", () => {
	fc.assert(
		fc.property(fc.double({ min: -6, max: 6, noNaN: true }), (t) => {
			expectClose(studentCdf(t, 1), 0.5 + Math.atan(t) / Math.PI, 1e-13);
			expectClose(studentCdf(t, 1e8), normalCdf(t), 1e-7);
		}),
	);
});

test("the binomial sums its probabilities", () => {
	fc.assert(
		fc.property(
			fc.integer({ min: 0, max: 40 }),
			fc.double({ min: 0.01, max: 0.95, noNaN: true }),
			fc.integer({ min: -1, max: 41 }),
			(n, p, x) => {
				expectClose(
					binomialCdf(x, n, p),
					binomialMean(n, p, (count) => (count <= x ? 1 : 0)),
					1e-12,
				);
			},
		),
	);
});

test("a binomial counts whole successes, and certain ones", () => {
	expect(binomialCdf(2.9, 10, 0.3)).toBe(binomialCdf(2, 10, 0.3));
	expect(binomialCdf(9, 10, 1)).toBe(0);
	expect(binomialCdf(0, 10, 0)).toBe(1);
});

test("at the ends everything or nothing is left", () => {
	expect([normalCdf(-Infinity), normalCdf(Infinity), studentCdf(-Infinity, 3), studentCdf(Infinity, 3)]).toEqual([0, 1, 0, 1]);
	expect([chiSquareTail(0, 3), chiSquareTail(Infinity, 3)]).toEqual([1, 0]);
});

test.each<[string, () => number]>([
	["a NaN", () => normalCdf(Number.NaN)],
	["a t of NaN", () => studentCdf(Number.NaN, 3)],
	["no degrees of freedom", () => studentCdf(1, 0)],
	["NaN degrees of freedom", () => studentQuantile(0.9, Number.NaN)],
	["a probability of 0", () => normalQuantile(0)],
	["a probability of 1", () => studentQuantile(1, 3)],
	["a probability of NaN", () => normalQuantile(Number.NaN)],
	["a negative chi-square", () => chiSquareTail(-1, 1)],
	["half a trial", () => binomialCdf(0, 0.5, 0.5)],
	["a binomial of a probability of 2", () => binomialCdf(0, 1, 2)],
	["a count of NaN", () => binomialCdf(Number.NaN, 1, 0.5)],
])("%s is refused", (_, call) => expect(call).toThrow(RangeError));
