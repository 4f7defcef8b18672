import * as fc from "fast-check";
import { expect, test } from "vitest";
import { informationPerHarm, minutesToProve, smallestProvable, type Expectation } from "../../../core/statistics/forecast";
import combine from "../../vectors/combine.json";
import { expectClose, expectRelativelyClose, shareOfHarms } from "./close";

function expectation(change: Partial<Expectation> = {}): Expectation {
	return { share: 0.05, riskRatio: 2, controlHarmsPerMinute: 1.9, alpha: 0.0125, ...change };
}

test.each(combine.forecast)("a risk ratio of $rr at $s, $control_harms_per_min harms a minute in control", (vector) => {
	const { s, rr, control_harms_per_min, alpha, wald_minutes, median_forecast, p80_forecast } = vector;
	const { medianMinutes, p80Minutes } = minutesToProve({ share: s, riskRatio: rr, controlHarmsPerMinute: control_harms_per_min, alpha });
	expectRelativelyClose(medianMinutes, median_forecast, 1e-12);
	expectRelativelyClose(p80Minutes, p80_forecast, 1e-12);
	const harmsPerMinute = control_harms_per_min / (1 - shareOfHarms(s, rr));
	expectRelativelyClose(Math.log(1 / alpha) / (informationPerHarm(s, rr) * harmsPerMinute), wald_minutes, 1e-12);
});

test.each([
	[1.5, 498],
	[2, 140],
	[3, 42],
	[10, 4],
])("a risk ratio of %d at 5 %% and 1.9 harms a minute takes about %d minutes", (riskRatio, minutes) => {
	expect(Math.floor(minutesToProve(expectation({ riskRatio })).medianMinutes)).toBe(minutes);
});

const aShare = fc.double({ min: 1e-4, max: 0.9999, noNaN: true });
const aRatio = fc.double({ min: 1, max: 100, noNaN: true });
const aFactor = fc.double({ min: 1.01, max: 10, noNaN: true });

test("information is the divergence between where the harmed lie and where they should", () => {
	fc.assert(
		fc.property(aShare, aRatio, (share, riskRatio) => {
			const lies = shareOfHarms(share, riskRatio);
			const divergence = lies * Math.log(lies / share) + (1 - lies) * Math.log((1 - lies) / (1 - share));
			expectClose(informationPerHarm(share, riskRatio), divergence, 1e-11);
		}),
	);
});

test("a larger ratio brings more information and is proven sooner", () => {
	fc.assert(
		fc.property(aShare, aRatio, aFactor, (share, riskRatio, factor) => {
			expect(informationPerHarm(share, riskRatio * factor)).toBeGreaterThan(informationPerHarm(share, riskRatio));
			const slower = minutesToProve(expectation({ share, riskRatio })).medianMinutes;
			expect(minutesToProve(expectation({ share, riskRatio: riskRatio * factor })).medianMinutes).toBeLessThan(slower);
		}),
	);
});

test.each<Partial<Expectation>>([{ share: 0 }, { share: 1 }, { riskRatio: 1 }, { controlHarmsPerMinute: 0 }])(
	"nothing is ever proven with %o",
	(change) => expect(minutesToProve(expectation(change))).toEqual({ medianMinutes: Infinity, p80Minutes: Infinity }),
);

test("the smallest provable ratio is just the one whose information suffices", () => {
	fc.assert(
		fc.property(fc.double({ min: 1, max: 1e6, noNaN: true }), aShare, (harmedUnits, share) => {
			const ratio = smallestProvable(harmedUnits, share, 0.0125);
			const needed = (Math.log(80) + 0.7) / harmedUnits;
			if (ratio === undefined) expect(informationPerHarm(share, 1_000)).toBeLessThan(needed);
			else expectRelativelyClose(informationPerHarm(share, ratio), needed, 1e-7);
		}),
	);
});

test("it is the forecast read backwards", () => {
	const { medianMinutes } = minutesToProve(expectation());
	const harmedUnits = (medianMinutes * 1.9) / (1 - shareOfHarms(0.05, 2));
	expectRelativelyClose(smallestProvable(harmedUnits, 0.05, 0.0125) ?? Number.NaN, 2, 1e-12);
});

test("more harmed units, or a larger alpha, make smaller ratios provable", () => {
	fc.assert(
		fc.property(fc.double({ min: 1, max: 1e5, noNaN: true }), aFactor, aShare, (harmedUnits, factor, share) => {
			const ratio = smallestProvable(harmedUnits, share, 0.0125) ?? Infinity;
			expect(smallestProvable(harmedUnits * factor, share, 0.0125) ?? Infinity).toBeLessThanOrEqual(ratio);
			expect(smallestProvable(harmedUnits, share, 0.05) ?? Infinity).toBeLessThanOrEqual(ratio);
		}),
	);
});

test.each([
	[0, 0.05],
	[1, 0.05],
	[1_000, 0],
	[1_000, 1],
])("%d harmed units at a share of %d could have proven nothing", (harmedUnits, share) => {
	expect(smallestProvable(harmedUnits, share, 0.0125)).toBeUndefined();
});

test.each<[string, () => unknown]>([
	["a share above 1", () => informationPerHarm(1.1, 2)],
	["a share of NaN", () => informationPerHarm(Number.NaN, 2)],
	["a ratio below 1", () => informationPerHarm(0.05, 0.9)],
	["an infinite ratio", () => informationPerHarm(0.05, Infinity)],
	["negative harms", () => minutesToProve(expectation({ controlHarmsPerMinute: -1 }))],
	["an alpha of 0", () => minutesToProve(expectation({ alpha: 0 }))],
	["an alpha of NaN", () => smallestProvable(1, 0.05, Number.NaN)],
	["negative harmed units", () => smallestProvable(-1, 0.05, 0.0125)],
	["harmed units of NaN", () => smallestProvable(Number.NaN, 0.05, 0.0125)],
])("%s is refused", (_, call) => expect(call).toThrow(RangeError));
