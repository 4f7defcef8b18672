import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { anyOf, choose, dataset, double, instant, number, oneOf, text } from "../../../control/metrics/sql";
import { HOSTILE } from "./questions";

/** A literal as standard SQL reads it, where a backslash is a character: what follows must not be read as a query. */
function endOfStandardText(sql: string): number {
	let i = 1;
	while (i < sql.length) {
		if (sql[i] !== "'") i++;
		else if (sql[i + 1] === "'") i += 2;
		else return i + 1;
	}
	return Infinity;
}

describe("a text", () => {
	test.each(HOSTILE.map((value) => [JSON.stringify(value).slice(0, 30), value]))(
		"%s ends at its end, whether or not a backslash escapes",
		(_, value) => {
			const sql = text(value);
			expect(/^'(?:''|\\[\s\S]|[^'\\])*'$/.test(sql)).toBe(true);
			expect(endOfStandardText(sql)).toBe(sql.length);
		},
	);

	test("holds no byte that would end a query", () => expect(text("a\0b")).toBe("'a\\0b'"));
	test("holds no half of a character", () => expect(text("a\ud800b")).toBe("'a\ufffdb'"));
});

describe("a number", () => {
	test.each([
		[0, "0"],
		[-0, "0"],
		[42, "42"],
		[-1.5, "(-1.5)"],
		[0.1 + 0.2, "0.30000000000000004"],
		[1e21, "1000000000000000000000"],
		[1.25e-7, "0.000000125"],
		[-1.5e22, "(-15000000000000000000000)"],
		[1e-30, `0.${"0".repeat(29)}1`],
	])("%d is %s", (value, written) => expect(number(value)).toBe(written));

	test("reads back as itself, without an exponent", () => {
		fc.assert(
			fc.property(
				fc.double({ noNaN: true, min: -1e30, max: 1e30 }).filter((value) => value === 0 || Math.abs(value) >= 1e-30),
				(value) => {
					const written = number(value);
					expect(written).toMatch(/^(\d+(\.\d+)?|\(-\d+(\.\d+)?\))$/);
					expect(Number(written.replace(/[()]/g, ""))).toBe(value === 0 ? 0 : value);
				},
			),
		);
	});

	test.each([NaN, Infinity, -Infinity, 1e31, -1e31, 1e-31, Number.MIN_VALUE])("%d is none", (value) => {
		expect(() => number(value)).toThrow(RangeError);
		expect(() => double(value)).toThrow(RangeError);
	});

	test.each([
		[20, "20.0"],
		[-20, "(-20.0)"],
		[0.5, "0.5"],
	])("%d as a double is %s", (value, written) => expect(double(value)).toBe(written));
});

test.each([NaN, -1, 1.5, Infinity, 2 ** 60])("%d is no second", (value) => expect(() => instant(value)).toThrow(RangeError));

describe("a dataset", () => {
	test.each(["tidegate", "Tidegate_2"])("may be called %s", (name) => expect(dataset(name)).toBe(name));
	test.each(["", "1a", "a-b", "a.b", "a b", "a;", "a'", "ä", "system.tables", "a".repeat(101), "a\n"])("is never %j", (name) =>
		expect(() => dataset(name)).toThrow(RangeError),
	);
});

test("a list is of texts", () => expect(oneOf("blob1", ["a", "b'c"])).toBe("blob1 IN ('a', 'b''c')"));

describe("conditions", () => {
	test("none is never met", () => expect(anyOf([])).toBe("false"));
	test("are nested in halves", () => expect(anyOf(["a", "b", "c"])).toBe("((a) OR ((b) OR (c)))"));
});

describe("a choice", () => {
	test("is by bytes, in halves", () => {
		const branches = ["\u{1F30A}", "b", "a", "\uffee"].map((value, i) => ({ value, expression: String(i) }));
		expect(choose("x", branches)).toBe(`if(x < '\uffee', if(x < 'b', 2, 1), if(x < '\u{1F30A}', 3, 0))`);
	});
	test("of nothing is none", () => expect(() => choose("x", [])).toThrow(RangeError));
});
