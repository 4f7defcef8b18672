import { expect, test } from "vitest";
import { type Context, attributeOf, matches } from "../../../core/flags/match";
import type { Condition } from "../../../core/flags/model";

const parsed = (json: string): Context => JSON.parse(json) as Context;

test.each<[op: Condition["op"], values: Condition["values"], context: Context, isMatch: boolean]>([
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
])("%s %j against %j: %j", (op, values, context, isMatch) => {
	expect(matches({ attribute: "country", op, values }, context)).toBe(isMatch);
});

test.each(["constructor", "__proto__", "toString", "hasOwnProperty"])(
	"the inherited attribute %s is missing, an own one is not",
	(name) => {
		expect(attributeOf({}, name)).toBeUndefined();
		expect(attributeOf(parsed(`{"${name}":"own"}`), name)).toBe("own");
		expect(matches({ attribute: name, op: "in", values: ["own"] }, parsed(`{"${name}":"own"}`))).toBe(true);
	},
);

test("an operator of a newer control throws, so that its flag alone fails", () => {
	const newer = { attribute: "country", op: "matches", values: ["C."] } as unknown as Condition;
	expect(() => matches(newer, { country: "CH" })).toThrow("unknown operator matches");
});
