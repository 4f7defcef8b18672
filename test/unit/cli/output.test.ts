import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { bar, clip, inColour, paintFor, plainly, printable, table, widthOf } from "../../../cli/output";

test.each<[fraction: number, shown: string]>([
	[0, "░░░░░░░░"],
	[1 / 64, "▏░░░░░░░"],
	[0.5, "████░░░░"],
	[0.55, "████▍░░░"],
	[1, "████████"],
	[1.5, "████████"],
	[-1, "░░░░░░░░"],
])("a bar of %d is %s", (fraction, shown) => expect(bar(fraction, 8)).toBe(shown));

test("a bar is as wide as it should be, whatever the fraction", () => {
	fc.assert(
		fc.property(fc.double({ noNaN: true }), fc.integer({ min: 0, max: 60 }), (fraction, width) => widthOf(bar(fraction, width)) === width),
	);
});

test("what is clipped is never wider than asked for, and keeps its colours' ends", () => {
	const coloured = `${inColour("red", "abc")}${inColour("bold", "défg")}`;
	expect(clip(coloured, 5)).toBe("\u001B[31mabc\u001B[0m\u001B[1md\u001B[0m…");
	expect(clip(coloured, 7)).toBe(coloured);
	fc.assert(fc.property(fc.string(), fc.integer({ min: 1, max: 40 }), (text, width) => widthOf(clip(text, width)) <= width));
});

test("columns stand below each other, colours or not", () => {
	const rows = [
		["a", inColour("red", "killed"), "1"],
		["long", "on", "2"],
	];
	expect(table(["FLAG", "STATE", "V"], rows, plainly).split("\n")).toEqual([
		"FLAG  STATE   V",
		"a     \u001B[31mkilled\u001B[0m  1",
		"long  on      2",
	]);
});

test.each<[what: string, given: string, shown: string]>([
	["moves the cursor", "a\u001B[2Jb", "a\uFFFD[2Jb"],
	["sets a title", "\u001B]0;owned\u0007", "\uFFFD]0;owned\uFFFD"],
	["goes back over a line", "good\rbad", "good\uFFFDbad"],
	["turns the writing direction round", "a\u202Eb", "a\uFFFDb"],
	["is a C1 control", "a\u009Bb", "a\uFFFDb"],
])("text that %s is made harmless", (_what, given, shown) => expect(printable(given)).toBe(shown));

test("colours and line ends pass", () => expect(printable("\u001B[31ma\u001B[0m\n")).toBe("\u001B[31ma\u001B[0m\n"));

describe("colours are for a terminal", () => {
	test.each<[isTTY: boolean, env: Record<string, string>, isColoured: boolean]>([
		[true, {}, true],
		[false, {}, false],
		[true, { NO_COLOR: "1" }, false],
		[true, { NO_COLOR: "" }, true],
		[true, { TERM: "dumb" }, false],
	])("isTTY %s, %j: %s", (isTTY, env, isColoured) =>
		expect(paintFor({ isTTY }, env)("red", "x")).toBe(isColoured ? "\u001B[31mx\u001B[0m" : "x"),
	);
});
