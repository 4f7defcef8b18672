import * as fc from "fast-check";
import { expect, test } from "vitest";
import {
	binOf,
	LARGEST_BIN,
	LOG_GAMMA,
	mergeSketches,
	quantileOf,
	SMALLEST_BIN,
	valueOf,
	ZERO_BIN,
	type Sketch,
} from "../../../core/statistics/sketch";
import { expectRelativelyClose } from "./close";

function sketchOf(values: readonly number[]): Sketch {
	return mergeSketches(values.map((value) => ({ [binOf(value)]: 1 })));
}

/** The smallest value that at least the share q of all are not above. */
function nearestRank(values: readonly number[], q: number): number {
	const sorted = values.toSorted((one, other) => one - other);
	return sorted[Math.max(0, Math.ceil(q * sorted.length) - 1)] ?? Number.NaN;
}

/** Alike likely at every order of magnitude. */
const aValue = fc.double({ min: Math.log(1e-3), max: Math.log(1e9), noNaN: true }).map(Math.exp);
const someValues = fc.array(fc.oneof(aValue, fc.integer({ min: 1, max: 30 }), fc.constant(0)), { minLength: 1, maxLength: 60 });
const aQuantile = fc.oneof(fc.double({ min: 0, max: 1, noNaN: true }), fc.constantFrom(0, 0.5, 0.95, 0.99, 1));

test("a bin stands for its values within 1 %", () => {
	fc.assert(fc.property(aValue, (value) => expectRelativelyClose(valueOf(binOf(value)), value, 0.01)));
	for (const value of [1e-3, 1, 1.02, 1.02 ** 100, 1e9]) expectRelativelyClose(valueOf(binOf(value)), value, 0.01);
});

test("every quantile is within 1 % of the exact one", () => {
	fc.assert(
		fc.property(someValues, aQuantile, (values, q) => {
			expectRelativelyClose(quantileOf(sketchOf(values), q) ?? Number.NaN, nearestRank(values, q), 0.01);
		}),
	);
});

test("bins rise with their values, and a bin's own value lies in it", () => {
	fc.assert(
		fc.property(aValue, aValue, (one, other) => {
			expect(Math.sign(binOf(one) - binOf(other)) * Math.sign(one - other)).toBeGreaterThanOrEqual(0);
		}),
	);
	fc.assert(
		fc.property(fc.integer({ min: ZERO_BIN, max: LARGEST_BIN }), (bin) => {
			expect(binOf(valueOf(bin))).toBe(bin);
		}),
	);
});

test("a bin is a ceiling of logarithms, as a store can compute it", () => {
	fc.assert(
		fc.property(aValue, (value) => {
			expect(binOf(value)).toBe(Math.ceil(Math.log(value) / LOG_GAMMA) + 0);
		}),
	);
	expect([binOf(1e-3), binOf(1e9)]).toEqual([SMALLEST_BIN, LARGEST_BIN]);
});

test.each([
	[0, ZERO_BIN],
	[-0, ZERO_BIN],
	[-5, ZERO_BIN],
	[1e-12, SMALLEST_BIN],
	[1e30, LARGEST_BIN],
])("%d is in bin %d", (value, bin) => expect(binOf(value)).toBe(bin));

test("zeros count, and stay zero", () => {
	expect(quantileOf(sketchOf([0, 0, 100]), 0.5)).toBe(0);
	expectRelativelyClose(quantileOf(sketchOf([0, 0, 100]), 1) ?? Number.NaN, 100, 0.01);
});

test("sketches of parts add up to the sketch of the whole, in any order", () => {
	fc.assert(
		fc.property(fc.array(someValues, { maxLength: 4 }), (parts) => {
			const whole = sketchOf(parts.flat());
			expect(mergeSketches(parts.map(sketchOf))).toEqual(whole);
			expect(mergeSketches(parts.map(sketchOf).toReversed())).toEqual(whole);
		}),
	);
});

test("a sketch survives JSON", () => {
	fc.assert(
		fc.property(someValues, (values) => {
			expect(JSON.parse(JSON.stringify(sketchOf(values)))).toEqual(sketchOf(values));
		}),
	);
});

test("weights are relative: scaled ones, whole or not, have the same quantiles", () => {
	fc.assert(
		fc.property(someValues, fc.constantFrom(0, 0.5, 0.75, 1), fc.constantFrom(0.125, 2, 1024), (values, q, scale) => {
			const scaled = Object.fromEntries(Object.entries(sketchOf(values)).map(([bin, weight]) => [bin, weight * scale]));
			expect(quantileOf(scaled, q)).toBe(quantileOf(sketchOf(values), q));
		}),
	);
	expect(quantileOf({ 1: 0.1, 2: 0.1, 3: 0.1 }, 1)).toBe(valueOf(3));
});

test("a sketch without weight has no quantile, and empty bins are none", () => {
	expect(quantileOf({}, 0.5)).toBeUndefined();
	expect(quantileOf({ 3: 0 }, 0.5)).toBeUndefined();
	expect(quantileOf({ 3: 0, 5: 1, 9: 0 }, 0)).toBe(valueOf(5));
	expect(quantileOf({ 3: 0, 5: 1, 9: 0 }, 1)).toBe(valueOf(5));
	expect(mergeSketches([])).toEqual({});
});

test.each<[string, () => unknown]>([
	["a value of NaN", () => binOf(Number.NaN)],
	["an infinite value", () => binOf(Infinity)],
	["half a bin", () => valueOf(0.5)],
	["a bin beyond the largest", () => valueOf(LARGEST_BIN + 1)],
	["a bin below that of zero", () => valueOf(ZERO_BIN - 1)],
	["a quantile above 1", () => quantileOf({}, 1.1)],
	["a quantile of NaN", () => quantileOf({}, Number.NaN)],
	["a negative weight", () => quantileOf({ 1: -1 }, 0.5)],
	["a weight of NaN", () => mergeSketches([{ 1: Number.NaN }])],
	["a bin with a name", () => mergeSketches([{ p95: 1 }])],
])("%s is refused", (_, call) => expect(call).toThrow(RangeError));
