import { expect, test } from "vitest";
import { provenWithinMargin, type ArmCounts, type Comparison } from "../../../core/statistics/margin";
import { halfWidthOneSided } from "../../../core/statistics/sequences";
import vectors from "../../vectors/asymptotic_cs_growthbook.json";
import { expectRelativelyClose } from "./close";
import { drawing } from "./draw";

const ALPHA = 0.05;

function comparison(change: Partial<Comparison> = {}): Comparison {
	return { candidate: { units: 20_000, harmed: 180 }, control: { units: 380_000, harmed: 3_800 }, margin: 0.25, alpha: ALPHA, ...change };
}

/** The variance at the margin's end is the observed one where candidate and control are harmed alike. */
const ALIKE = vectors.cases.filter(({ proportion, relative, tuning }) => proportion && !relative && tuning === 5_000);

test.each(ALIKE)("difference and half-width: $name, alpha $alpha", ({ alpha, control, treatment, expected }) => {
	const arms = { candidate: { units: treatment.n, harmed: treatment.sum }, control: { units: control.n, harmed: control.sum } };
	const { difference, halfWidth } = provenWithinMargin({ ...arms, margin: 0, alpha });
	expectRelativelyClose(difference, expected.estimate, 1e-12);
	// The vectors have the candidate's own variance; ours stands for it at control's share.
	const own = (share: number): number => share * (1 - share);
	const exchanged = own(control.sum / control.n) - own(treatment.sum / treatment.n);
	const s2 = expected.s2 + (exchanged / treatment.n) * expected.n;
	expectRelativelyClose(halfWidth / expected.halfwidth_one_sided, Math.sqrt(s2 / expected.s2), 1e-11);
});

test("with a margin the variances are the candidate's at its end and control's scaled by it", () => {
	// p = 0.0125: 0.0125·0.9875/20,000 + 1.25²·0.01·0.99/380,000.
	const variance = 6.171875e-7 + 4.070723684210526e-8;
	const { difference, halfWidth, proven } = provenWithinMargin(comparison());
	expectRelativelyClose(difference, 0.009 - 0.0125, 1e-12);
	expectRelativelyClose(halfWidth, halfWidthOneSided(400_000, variance * 400_000, ALPHA, 5_000), 1e-12);
	expect(proven).toBe(difference + halfWidth < 0);
	expect(proven).toBe(true);
});

test.each<[string, Partial<Comparison>]>([
	["as harmed as the margin allows", { candidate: { units: 20_000, harmed: 250 } }],
	["beyond the margin", { candidate: { units: 20_000, harmed: 400 } }],
	["few", { candidate: { units: 100, harmed: 0 } }],
	["all alone", { control: { units: 0, harmed: 0 } }],
	["not there", { candidate: { units: 0, harmed: 0 } }],
	["without any harm, like control", { candidate: { units: 20_000, harmed: 0 }, control: { units: 380_000, harmed: 0 } }],
	["seen without tolerance", { margin: 0, candidate: { units: 20_000, harmed: 200 } }],
	["harmed altogether, like control", { candidate: { units: 1_000, harmed: 1_000 }, control: { units: 1_000, harmed: 1_000 }, margin: 0 }],
])("a candidate that is %s is not proven", (_, change) => expect(provenWithinMargin(comparison(change)).proven).toBe(false));

test("an empty arm leaves an infinite interval", () => {
	expect(provenWithinMargin(comparison({ candidate: { units: 0, harmed: 0 } })).halfWidth).toBe(Infinity);
});

test("a smaller alpha or margin proves less", () => {
	const { difference, halfWidth } = provenWithinMargin(comparison());
	expect(provenWithinMargin(comparison({ alpha: 0.01 })).halfWidth).toBeGreaterThan(halfWidth);
	expect(provenWithinMargin(comparison({ margin: 0.1 })).difference).toBeGreaterThan(difference);
});

/** The candidate's units when it is first proven, looked at after every 5 of them; undefined if that never happens. */
function unitsUntilProven(seed: number, riskRatio: number, unitsMax: number): number | undefined {
	const { successes } = drawing(seed);
	let candidate: ArmCounts = { units: 0, harmed: 0 };
	let control: ArmCounts = { units: 0, harmed: 0 };
	while (candidate.units < unitsMax) {
		candidate = { units: candidate.units + 5, harmed: candidate.harmed + successes(5, 0.05 * riskRatio) };
		control = { units: control.units + 95, harmed: control.harmed + successes(95, 0.05) };
		if (provenWithinMargin({ candidate, control, margin: 0.25, alpha: ALPHA }).proven) return candidate.units;
	}
	return undefined;
}

test("a candidate just at the margin, looked at thousands of times, is hardly ever proven", () => {
	const runs = Array.from({ length: 150 }, (_, seed) => unitsUntilProven(seed, 1.25, 6_000));
	// 14 of 150 would be beyond α = 5 % with 98 % confidence.
	expect(runs.filter((units) => units !== undefined).length).toBeLessThan(14);
});

test("a healthy candidate at 5 % with 5 % errors needs about 2,900 units", () => {
	const runs = Array.from({ length: 150 }, (_, seed) => unitsUntilProven(seed, 1, 40_000) ?? Infinity);
	const median = runs.toSorted((one, other) => one - other)[75] ?? Number.NaN;
	expectRelativelyClose(median, 2_899, 0.15);
});

test.each<[string, Partial<Comparison>]>([
	["more harmed than there are", { candidate: { units: 10, harmed: 11 } }],
	["negative harm", { control: { units: 10, harmed: -1 } }],
	["units of NaN", { control: { units: Number.NaN, harmed: 0 } }],
	["infinite units", { control: { units: Infinity, harmed: 0 } }],
	["a negative margin", { margin: -0.1 }],
	["a margin of NaN", { margin: Number.NaN }],
	["an alpha of a half", { alpha: 0.5 }],
])("%s is refused", (_, change) => expect(() => provenWithinMargin(comparison(change))).toThrow(RangeError));
