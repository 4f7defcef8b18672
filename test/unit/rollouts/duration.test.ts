import * as fc from "fast-check";
import { expect, test } from "vitest";
import { durationMs, printDuration } from "../../../core/rollouts/duration";

test.each([
	["0s", 0],
	["90s", 90_000],
	["5m", 300_000],
	["2h", 7_200_000],
	["3d", 259_200_000],
	["999999s", 999_999_000],
])("%s are %i ms", (text, ms) => expect(durationMs(text)).toBe(ms));

test.each(["", "5", "m", "5 m", "5min", "1.5h", "-5m", "+5m", "1h30m", "5M", "1e3s", "1000000s", "5m\n", " 5m", "٥m"])(
	"%j is no duration",
	(text) => {
		expect(durationMs(text)).toBeUndefined();
	},
);

test.each([
	[0, "0s"],
	[90_000, "1.5m"],
	[59_400, "59s"],
	[60_000, "1m"],
	[3_600_000, "1h"],
	[5_400_000, "1.5h"],
	[86_400_000, "1d"],
	[90_000_000, "1d"],
])("%i ms are printed as %s", (ms, text) => expect(printDuration(ms)).toBe(text));

test("a printed duration is within a tenth of its unit of what was meant", () => {
	fc.assert(
		fc.property(fc.nat({ max: 10 * 86_400_000 }), (ms) => {
			const found = /^([\d.]+)([smhd])$/.exec(printDuration(ms));
			const unitMs = durationMs(`1${found?.[2] ?? ""}`) ?? 0;
			expect(Math.abs(Number(found?.[1]) * unitMs - ms)).toBeLessThanOrEqual(unitMs / 2);
		}),
	);
});
