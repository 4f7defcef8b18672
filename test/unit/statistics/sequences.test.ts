import { expect, test } from "vitest";
import { halfWidthOneSided, meanInterval, tuningRho } from "../../../core/statistics/sequences";
import vectors from "../../vectors/asymptotic_cs_growthbook.json";
import { expectRelativelyClose } from "./close";

test.each(vectors.rho_reference.filter(({ two_sided }) => !two_sided))(
	"rho at alpha $alpha tuned for $tuning",
	({ alpha, tuning, rho }) => {
		expectRelativelyClose(tuningRho(alpha, tuning), rho, 1e-12);
	},
);

test.each(vectors.cases)("half-width: $name, relative $relative, alpha $alpha, tuned for $tuning", ({ alpha, tuning, expected }) => {
	expectRelativelyClose(tuningRho(alpha, tuning), expected.rho_one_sided, 1e-12);
	const halfWidth = halfWidthOneSided(expected.n, expected.s2, alpha, tuning);
	expectRelativelyClose(halfWidth, expected.halfwidth_one_sided, 1e-11);
	expectRelativelyClose(expected.estimate + halfWidth, expected.upper_one_sided, 1e-9);
});

test("the interval of a mean uses the sample variance over users", () => {
	// 100, 200, 300 and 400 ms: mean 250, variance 50,000 / 3.
	const { mean, halfWidth } = meanInterval({ users: 4, sumOfMeans: 1_000, sumOfSquaredMeans: 300_000 }, 0.05);
	expect(mean).toBe(250);
	expectRelativelyClose(halfWidth, halfWidthOneSided(4, 50_000 / 3, 0.05, 1_000), 1e-12);
});

test("the interval narrows as users arrive and widens with confidence", () => {
	const at = (users: number, alpha: number): number =>
		meanInterval({ users, sumOfMeans: users * 5, sumOfSquaredMeans: users * 26 }, alpha).halfWidth;
	expect(at(1_000, 0.05)).toBeLessThan(at(100, 0.05));
	expect(at(1_000, 0.01)).toBeGreaterThan(at(1_000, 0.05));
});

test.each([
	{ users: 0, sumOfMeans: 0, sumOfSquaredMeans: 0, mean: 0 },
	{ users: 1, sumOfMeans: 3, sumOfSquaredMeans: 9, mean: 3 },
])("with $users users the interval is infinite", ({ mean, ...sums }) => {
	expect(meanInterval(sums, 0.05)).toEqual({ mean, halfWidth: Infinity });
});

test("rounding never makes a variance negative", () => {
	const users = 10;
	expect(meanInterval({ users, sumOfMeans: users * 0.1, sumOfSquaredMeans: users * 0.01 * (1 - 1e-15) }, 0.05).halfWidth).toBeLessThan(
		1e-6,
	);
});

test("alphas, users and sums that cannot be are refused", () => {
	for (const alpha of [0, 0.5, Number.NaN]) expect(() => tuningRho(alpha, 1_000)).toThrow(RangeError);
	expect(() => tuningRho(0.05, 0)).toThrow(RangeError);
	expect(() => halfWidthOneSided(0, 1, 0.05, 1_000)).toThrow(RangeError);
	expect(() => halfWidthOneSided(10, -1, 0.05, 1_000)).toThrow(RangeError);
	expect(() => meanInterval({ users: 10, sumOfMeans: Number.NaN, sumOfSquaredMeans: 1 }, 0.05)).toThrow(RangeError);
});
