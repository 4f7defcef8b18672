import { expect, test } from "vitest";
import { printNumber, printPercent } from "../../../core/health/print";

test.each([
	[0, "0"],
	[7, "7"],
	[17_100, "17,100"],
	[1_083.4, "1,083"],
	[0.0431, "0.0431"],
	[2.345, "2.35"],
	[-4.5, "-4.5"],
	[3.21e12, "3.2e+12"],
	[Infinity, "∞"],
	[-Infinity, "-Infinity"],
	[Number.NaN, "NaN"],
])("%d is printed as %s", (value, text) => expect(printNumber(value)).toBe(text));

test.each([
	[0, "0 %"],
	[0.005, "0.5 %"],
	[0.03, "3 %"],
	[0.12345, "12.3 %"],
])("the fraction %d is printed as %s", (value, text) => expect(printPercent(value)).toBe(text));
