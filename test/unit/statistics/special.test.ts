import * as fc from "fast-check";
import { expect, test } from "vitest";
import { logGamma, logMeanExp, logSumExp } from "../../../core/statistics/special";
import combine from "../../vectors/combine.json";
import { expectClose, expectRelativelyClose } from "./close";

// Computed with mpmath at 40 digits; beside 1 from a binary fraction, since there the rounding of x itself would show.
test.each([
	[1e-300, 690.7755278982137],
	[1e-12, 27.63102111592797],
	[0.5, 0.5723649429247001],
	[0.7, 0.26086724653166654],
	[1 + 2 ** -20, -5.504750066148867e-7],
	[1.3, -0.10817480950786047],
	[1.999, -0.0004224618006921073],
	[2.25, 0.1248717148923966],
	[3.5, 1.2009736023470743],
	[14.9, 24.924132002217277],
	[100.5, 361.4355404677776],
	[20_200, 180_047.4074681807],
])("logGamma(%d) is %d", (x, expected) => expectRelativelyClose(logGamma(x), expected, 1e-12));

test("logGamma is zero at 1 and 2, exactly", () => {
	expect(logGamma(1)).toBe(0);
	expect(logGamma(2)).toBe(0);
});

test("logGamma follows Γ(x + 1) = x·Γ(x) across its three ranges", () => {
	fc.assert(
		fc.property(fc.double({ min: 1e-3, max: 1e6, noNaN: true }), (x) => expectClose(logGamma(x + 1), Math.log(x) + logGamma(x), 1e-12)),
	);
});

test.each([0, -1, Number.NaN])("logGamma(%d) is refused", (x) => expect(() => logGamma(x)).toThrow(RangeError));

test.each(combine.mean_of_e)("the mean of e-values $log_e", ({ log_e, log_mean }) => expectClose(logMeanExp(log_e), log_mean, 1e-12));

test.each<{ logs: readonly number[]; sum: number; mean: number }>([
	{ logs: [], sum: -Infinity, mean: -Infinity },
	{ logs: [-Infinity], sum: -Infinity, mean: -Infinity },
	{ logs: [-Infinity, 0], sum: 0, mean: -Math.LN2 },
	{ logs: [1000, 1000], sum: 1000 + Math.LN2, mean: 1000 },
	{ logs: [-1000, -1000], sum: -1000 + Math.LN2, mean: -1000 },
	{ logs: [Infinity, 0], sum: Infinity, mean: Infinity },
])("sums and means of $logs neither overflow nor turn into NaN", ({ logs, sum, mean }) => {
	expectClose(logSumExp(logs), sum, 1e-12);
	expectClose(logMeanExp(logs), mean, 1e-12);
});

test("NaN stays NaN, which no threshold accepts", () => expect(logMeanExp([Number.NaN, 1])).toBeNaN());
