import { expect, test } from "vitest";
import { tableOf } from "../../../control/patterns/tables";
import type { Comparison } from "../../../core/flags/condition";
import { type Context, type ConditionStep, attributeOf, matches } from "../../../core/flags/match";
import { type PackedCondition, packCondition } from "../../../core/flags/packedCondition";

const parsed = (json: string): Context => JSON.parse(json) as Context;

const SEGMENTS = { isMember: (key: string) => key === "friends" };

const pack = (attribute: string, op: Comparison["op"], values: Comparison["values"]): PackedCondition =>
	packCondition({ attribute, op, values }, tableOf);

test.each<[op: Comparison["op"], values: Comparison["values"], context: Context, isMatch: boolean]>([
	["equals", ["CH"], { country: "CH" }, true],
	["equals", ["CH"], { country: "ch" }, false],
	["equals", [1], { country: 1 }, true],
	["equals", [1], { country: "1" }, false],
	["equals", [0], { country: false }, false],
	["equals", [true], { country: true }, true],
	["equals", [true], { country: "true" }, false],
	["equals", [""], { country: "" }, true],
	["in", ["CH", "AT"], { country: "AT" }, true],
	["in", ["CH", "AT"], { country: "DE" }, false],
	["in", ["CH", 1, true], { country: 1 }, true],
	["in", ["CH"], { country: ["CH"] }, false],
	["in", ["[object Object]"], { country: {} }, false],
	["in", ["null"], { country: null }, false],
	["in", ["undefined"], { country: undefined }, false],
	["in", ["CH"], {}, false],
	["in", ["CH"], { Country: "CH" }, false],
	["in", ["ü", "\u0075\u0308"], { country: "ü" }, true],
	["equals", ["ü"], { country: "\u0075\u0308" }, false],
	["not_in", ["CH"], { country: "AT" }, true],
	["not_in", ["CH"], { country: {} }, false],
	["not_in", ["CH"], { country: Number.NaN }, true],
	["lt", [1], { country: Number.NaN }, false],
	["gte", [1], { country: Number.NaN }, false],
	["gte", [1], { country: Infinity }, true],
	["between", [2, 1], { country: 1.5 }, false],
	["equals", [0], { country: -0 }, true],
	["before", ["2026-01-31T12:00:00Z"], { country: Number.NaN }, false],
	["after", ["2026-01-31T12:00:00Z"], { country: Infinity }, true],
	["exists", [], { country: [] }, true],
	["exists", [], { country: false }, true],
	["exists", [], { country: null }, false],
	["contains", ["a"], { country: ["a"] }, false],
	["matches", ["^\ufffd$"], { country: "\ud800" }, true],
	["ip_in", ["::/0"], { country: "::ffff:10.0.0.1" }, false],
	["ip_in", ["0.0.0.0/0"], { country: "::ffff:10.0.0.1" }, true],
])("%s %j against %j: %j", (op, values, context, isMatch) => {
	expect(matches(pack("country", op, values), context, SEGMENTS, undefined)).toBe(isMatch);
});

test.each(["constructor", "__proto__", "toString", "hasOwnProperty"])(
	"the inherited attribute %s is missing, an own one is not",
	(name) => {
		expect(attributeOf({}, name)).toBeUndefined();
		expect(attributeOf(parsed(`{"${name}":"own"}`), name)).toBe("own");
		expect(matches(pack(name, "in", ["own"]), parsed(`{"${name}":"own"}`), SEGMENTS, undefined)).toBe(true);
	},
);

const YES: PackedCondition = pack("country", "in", ["CH"]);
const NO: PackedCondition = pack("country", "in", ["AT"]);
const LACKS: PackedCondition = pack("plan", "in", ["gold"]);
const FRIENDS: PackedCondition = { segment: "friends" };
const NEWER = { attribute: "country", op: "newer", values: ["C."] } as unknown as PackedCondition;

test.each<[string, PackedCondition, holds: boolean, isIncomplete: boolean]>([
	["all of what holds", { all: [YES, FRIENDS] }, true, false],
	["all ends at the first that does not hold", { all: [NO, NEWER] }, false, false],
	["any ends at the first that holds", { any: [YES, NEWER] }, true, false],
	["any of nothing that holds", { any: [NO, { segment: "strangers" }] }, false, false],
	["not of what does not hold", { not: NO }, true, false],
	["not of what lacks its attribute", { not: LACKS }, true, true],
	["not not of what lacks its attribute", { not: { not: LACKS } }, false, true],
	["what lacks its attribute and was not looked at", { any: [YES, LACKS] }, true, false],
	["what lacks its attribute and was looked at", { any: [LACKS, YES] }, true, true],
	["exists of a missing attribute", pack("plan", "exists", []), false, true],
])("%s", (_, condition, holds, isIncomplete) => {
	const trace = { isIncomplete: false };
	expect(matches(condition, { country: "CH" }, SEGMENTS, trace)).toBe(holds);
	expect(trace.isIncomplete).toBe(isIncomplete);
	expect(matches(condition, { country: "CH" }, SEGMENTS, undefined)).toBe(holds);
});

test("each comparison and segment is told as it was made, and what was not looked at is not", () => {
	const steps: ConditionStep[] = [];
	const trace = { isIncomplete: false, step: (step: ConditionStep) => steps.push(step) };
	matches({ all: [{ any: [LACKS, FRIENDS] }, NO, YES] }, { country: "CH" }, SEGMENTS, trace);
	expect(steps).toEqual([
		{ kind: "comparison", comparison: LACKS, found: undefined, holds: false },
		{ kind: "segment", segment: "friends", holds: true },
		{ kind: "comparison", comparison: NO, found: "CH", holds: false },
	]);
});

test("a not is told after what it negates, with its own verdict", () => {
	const steps: ConditionStep[] = [];
	const trace = { isIncomplete: false, step: (step: ConditionStep) => steps.push(step) };
	matches({ not: { not: LACKS } }, {}, SEGMENTS, trace);
	expect(steps).toEqual([
		{ kind: "comparison", comparison: LACKS, found: undefined, holds: false },
		{ kind: "not", of: LACKS, holds: true },
		{ kind: "not", of: { not: LACKS }, holds: false },
	]);
});

test("an operator of a newer control throws, so that its flag alone fails", () => {
	expect(() => matches(NEWER, { country: "CH" }, SEGMENTS, undefined)).toThrow("unknown operator in");
});

test.each<[Comparison["op"], Comparison["values"], RegExp]>([
	["before", ["2026-02-30T00:00:00Z"], /before cannot compare with "2026-02-30T00:00:00Z"/],
	["semver_lt", ["1.2"], /semver_lt cannot compare with "1.2"/],
	["ip_in", ["10.0.0.0/33"], /ip_in cannot compare with "10.0.0.0\/33"/],
	["matches", ["("], /pattern \(/],
])("%s %j cannot be packed", (op, values, message) => expect(() => pack("country", op, values)).toThrow(message));
