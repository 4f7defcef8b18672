import * as fc from "fast-check";
import { expect, test } from "vitest";
import { bisect } from "../../../core/statistics/bisect";
import { incompleteBeta, incompleteGammaTail } from "../../../core/statistics/incomplete";
import { expectClose, expectRelativelyClose } from "./close";

// Computed with mpmath at 30 digits; beyond shapes of 1e4 the rounding of logGamma shows.
test.each([
	[0.5, 1e-8, 0.9998871620836666, 1e-12],
	[0.5, 1.49, 0.08429927240325934, 1e-12],
	[0.5, 1.51, 0.08224346614660624, 1e-12],
	[3, 50, 2.509303552201057e-19, 1e-12],
	[100, 80, 0.9828916869648668, 1e-12],
	[100, 130, 0.002750408367306526, 1e-11],
	[5_000, 5_100, 0.07932888107761897, 1e-10],
	[1e6, 1e6, 0.4998670192391274, 1e-8],
])("the gamma tail of shape %d at %d is %d within %d", (a, x, expected, tolerance) => {
	expectRelativelyClose(incompleteGammaTail(a, x), expected, tolerance);
});

test.each([
	[0.01, 0.02, 0.3, 0.6611784272511073, 1e-12],
	[500, 500, 0.48, 0.10291752730699572, 1e-10],
	[3000.25, 0.5, 0.999, 0.014281556913666315, 1e-10],
	[10_000, 10_000, 0.51, 0.9976629406698898, 1e-10],
	[2, 1e5, 1e-5, 0.2642447964668555, 1e-9],
	[1, 1, 0.25, 0.25, 1e-15],
])("the incomplete beta of shapes %d and %d at %d is %d within %d", (a, b, x, expected, tolerance) => {
	expectRelativelyClose(incompleteBeta(a, b, x), expected, tolerance);
});

const aShape = fc.double({ min: 0.01, max: 2_000, noNaN: true });
const aFraction = fc.double({ min: 0, max: 1, noNaN: true });

test("I_x(a, b) and I_1−x(b, a) make a whole", () => {
	fc.assert(
		fc.property(aShape, aShape, aFraction, (a, b, x) => expectClose(incompleteBeta(a, b, x) + incompleteBeta(b, a, 1 - x, x), 1, 1e-11)),
	);
});

test("an incomplete beta is a fraction and never falls", () => {
	fc.assert(
		fc.property(aShape, aShape, aFraction, aFraction, (a, b, x, y) => {
			const lower = incompleteBeta(a, b, Math.min(x, y));
			const upper = incompleteBeta(a, b, Math.max(x, y));
			expect(lower).toBeGreaterThanOrEqual(-1e-11);
			expect(upper).toBeLessThanOrEqual(1 + 1e-11);
			expect(upper - lower).toBeGreaterThanOrEqual(-1e-11);
		}),
	);
});

test("the gamma tail follows Q(a + 1, x) = Q(a, x) + x^a·e^−x/Γ(a + 1) across its two methods", () => {
	fc.assert(
		fc.property(fc.integer({ min: 1, max: 60 }), fc.double({ min: 0.01, max: 120, noNaN: true }), (a, x) => {
			let density = Math.exp(-x);
			for (let n = 1; n <= a; n++) density *= x / n;
			expectRelativelyClose(incompleteGammaTail(a + 1, x), incompleteGammaTail(a, x) + density, 1e-11);
		}),
	);
});

test("a complement that is known better than 1 − x counts", () => {
	// 1e-20 below 1, where 1 − x is 0: I = 1 − (1 − x)^b for a = 1.
	expectRelativelyClose(incompleteBeta(1, 0.5, 1, 1e-20), 1 - 1e-10, 1e-12);
});

test.each<[string, () => number]>([
	["a gamma of shape 0", () => incompleteGammaTail(0, 1)],
	["a gamma of shape NaN", () => incompleteGammaTail(Number.NaN, 1)],
	["a shape that would take forever", () => incompleteGammaTail(1e10, 1)],
	["a gamma below 0", () => incompleteGammaTail(1, -1)],
	["a gamma at NaN", () => incompleteGammaTail(1, Number.NaN)],
	["a beta of shape 0", () => incompleteBeta(1, 0, 0.5)],
	["a beta of an infinite shape", () => incompleteBeta(Infinity, 1, 0.5)],
	["a beta above 1", () => incompleteBeta(1, 1, 1.1)],
	["a beta at NaN", () => incompleteBeta(1, 1, Number.NaN)],
])("%s is refused", (_, call) => expect(call).toThrow(RangeError));

test("bisection finds the first double that holds", () => {
	expect(bisect(0, 4, (x) => x * x >= 2)).toBe(Math.SQRT2);
	expect(bisect(0, 1, (x) => x > 0.25)).toBe(0.25 + 2 ** -54);
	expect(bisect(3, 3, () => true)).toBe(3);
	expect(() => bisect(1, 0, () => true)).toThrow(RangeError);
	expect(() => bisect(0, Infinity, () => true)).toThrow(RangeError);
});
