import fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import { choose, double, number, oneOf, text } from "../../control/metrics/sql";
import { HOSTILE as ALL_HOSTILE } from "../unit/metrics/questions";
import { openEngine } from "./engine";

const engine = openEngine();
afterAll(() => engine.close());

async function valuesOf(...expressions: readonly string[]): Promise<unknown[]> {
	const sql = `SELECT ${expressions.map((expression, i) => `${expression} AS value${i}`).join(", ")} FORMAT JSON`;
	const { data } = JSON.parse(await engine.query(sql)) as { data: [Record<string, unknown>] };
	return expressions.map((_, i) => data[0][`value${i}`]);
}

/** Where they are all in one query: ClickHouse reads 256 KiB of it. */
const HOSTILE = ALL_HOSTILE.filter((value) => value.length < 100);

describe("what a query says of a value is that value", () => {
	test.each(ALL_HOSTILE.map((value) => [JSON.stringify(value).slice(0, 30), value]))("%s", async (_, value) => {
		expect(await valuesOf(text(value), `length(${text(value)})`)).toEqual([
			value.toWellFormed(),
			String(Buffer.byteLength(value.toWellFormed())),
		]);
	});

	test("any text", async () => {
		const anyText = fc.oneof(fc.string({ unit: "binary" }), fc.string({ unit: fc.constantFrom("'", "\\", "\0", "-", "\n", "a") }));
		await fc.assert(
			fc.asyncProperty(fc.array(anyText, { minLength: 1, maxLength: 20 }), async (values) => {
				expect(await valuesOf(...values.map(text))).toEqual(values.map((value) => value.toWellFormed()));
			}),
			{ numRuns: 50 },
		);
	});

	test("any number", async () => {
		const anyNumber = fc.oneof(
			fc.double({ noNaN: true, min: 1e-30, max: 1e30 }),
			fc.double({ noNaN: true, min: -1e30, max: -1e-30 }),
			fc.integer(),
		);
		await fc.assert(
			fc.asyncProperty(fc.array(anyNumber, { minLength: 1, maxLength: 20 }), async (values) => {
				expect(await valuesOf(...values.map((value) => `0.0 + ${double(value)}`))).toEqual(values.map((value) => value + 0));
				expect((await valuesOf(...values.map(number))).map(Number)).toEqual(values.map((value) => value + 0));
			}),
		);
	});
});

test("a list has exactly its texts", async () => {
	expect(
		await valuesOf(
			...HOSTILE.map((value) =>
				oneOf(
					text(value),
					HOSTILE.filter((other) => other !== value),
				),
			),
		),
	).toEqual(HOSTILE.map(() => 0));
	expect(await valuesOf(...HOSTILE.map((value) => oneOf(text(value), HOSTILE)))).toEqual(HOSTILE.map(() => 1));
});

test("a choice finds each of its branches, whatever they are called", async () => {
	const names = [...new Set(HOSTILE.map((value) => value.toWellFormed())), "\u{1F30A}", "\uffee"];
	const branches = names.map((value, i) => ({ value, expression: number(i) }));
	expect(await valuesOf(...names.map((name) => choose(text(name), branches)))).toEqual(names.map((_, i) => i));
});
