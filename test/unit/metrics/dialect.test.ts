import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { outsideDialect } from "./dialect";
import { HOSTILE, anAsked, arbitraryAsked, everyQuery } from "./questions";

describe("what the reader asks is inside Analytics Engine's dialect", () => {
	test("of one rollout", () => {
		for (const sql of everyQuery([anAsked()])) expect(outsideDialect(sql), sql).toEqual([]);
	});

	test("of any rollouts, whatever they are called", () => {
		fc.assert(
			fc.property(arbitraryAsked, fc.constantFrom("production", ...HOSTILE), (asked, environment) => {
				for (const sql of everyQuery(asked, environment)) expect(outsideDialect(sql), sql).toEqual([]);
			}),
			{ numRuns: 100 },
		);
	});

	test("of a thousand rollouts with watermarks of their own, no deeper than parsers go", () => {
		const scores = [{ signal: "p95", metric: "latency_ms", center: 4.5, spread: 0.4, shift: 0.2 }];
		const asked = Array.from({ length: 1_000 }, (_, i) =>
			anAsked({ rollout: `r${i}.1`, place: `production/r${i}.1`, stage: i, afterSeconds: 1_700_000_000 + i, scores }),
		);
		for (const sql of everyQuery(asked)) {
			expect(outsideDialect(sql)).toEqual([]);
			expect(depthOf(sql)).toBeLessThan(50);
		}
	});
});

function depthOf(sql: string): number {
	let depth = 0;
	let deepest = 0;
	for (const character of sql) {
		if (character === "(") deepest = Math.max(deepest, ++depth);
		if (character === ")") depth--;
	}
	return deepest;
}

describe("the dialect has", () => {
	test.each([
		[
			"every clause",
			"SELECT blob1 AS a, count() AS n FROM t WHERE double1 > 1 GROUP BY a ORDER BY n DESC, a LIMIT 10 OFFSET 5 FORMAT JSON",
		],
		["a subquery as the source", "SELECT sum(n) AS total FROM (SELECT blob1 AS a, count() AS n FROM t GROUP BY a) FORMAT JSON"],
		["a parameter of a quantile", "SELECT quantileExactWeighted(0.95)(double1, _sample_interval) AS p FROM t FORMAT JSON"],
		["intervals", "SELECT count() AS n FROM t WHERE timestamp > now() - INTERVAL '1' DAY FORMAT JSON"],
		["distinct counts", "SELECT count(DISTINCT blob1) AS n FROM t FORMAT JSON"],
		["escaped quotes", "SELECT count() AS n FROM t WHERE blob1 = 'a''b\\\\' FORMAT JSON"],
	])("%s", (_, sql) => expect(outsideDialect(sql)).toEqual([]));
});

describe("the dialect has no", () => {
	test.each([
		["JOIN", "SELECT count() AS n FROM t JOIN u USING (blob1) FORMAT JSON"],
		["JOIN by comma", "SELECT count() AS n FROM t, u FORMAT JSON"],
		["HAVING", "SELECT blob1 AS a, count() AS n FROM t GROUP BY a HAVING n > 1 FORMAT JSON"],
		["WITH", "WITH x AS (SELECT 1 AS one FROM t) SELECT one FROM x FORMAT JSON"],
		["UNION", "SELECT blob1 FROM t UNION ALL SELECT blob2 FROM t FORMAT JSON"],
		["window", "SELECT row_number() OVER (PARTITION BY blob1) AS n FROM t FORMAT JSON"],
		["window on a known function", "SELECT sum(double1) OVER (PARTITION BY blob1) AS n FROM t FORMAT JSON"],
		["array", "SELECT [1, 2] AS a FROM t FORMAT JSON"],
		["array function", "SELECT groupArray(double1) AS a FROM t FORMAT JSON"],
		["ARRAY JOIN", "SELECT blob1 FROM t ARRAY JOIN blob2 FORMAT JSON"],
		["unknown function", "SELECT uniqExact(blob1) AS n FROM t FORMAT JSON"],
		["function of another case", "SELECT COUNT() AS n FROM t FORMAT JSON"],
		["wrong number of arguments", "SELECT argMin(blob1) AS n FROM t FORMAT JSON"],
		["quantile without its parameter", "SELECT quantileExactWeighted(double1, _sample_interval) AS p FROM t FORMAT JSON"],
		["subquery in a condition", "SELECT count() AS n FROM t WHERE blob1 IN (SELECT blob2 FROM t) FORMAT JSON"],
		["SELECT DISTINCT", "SELECT DISTINCT blob1 FROM t FORMAT JSON"],
		["CASE", "SELECT CASE WHEN double1 > 1 THEN 1 ELSE 0 END AS a FROM t FORMAT JSON"],
		["LIKE", "SELECT count() AS n FROM t WHERE blob1 LIKE 'a%' FORMAT JSON"],
		["cast", "SELECT double1::String AS a FROM t FORMAT JSON"],
		["qualified name", "SELECT t.blob1 AS a FROM t FORMAT JSON"],
		["quoted name", 'SELECT "blob1" AS a FROM t FORMAT JSON'],
		["name of the answer in its own expressions", "SELECT double1 AS a, a + 1 AS b FROM t FORMAT JSON"],
		["name of the answer in WHERE", "SELECT double1 AS a FROM t WHERE a > 1 FORMAT JSON"],
		["name of the table outside a subquery", "SELECT blob2 FROM (SELECT blob1 AS a FROM t) FORMAT JSON"],
		["column that the table lacks", "SELECT blob21 FROM t FORMAT JSON"],
		["answer's name that hides a column", "SELECT sum(double1) AS double1 FROM t FORMAT JSON"],
		["comment", "SELECT blob1 FROM t -- all of it\nFORMAT JSON"],
		["second statement", "SELECT blob1 FROM t FORMAT JSON; SELECT 1"],
		["SETTINGS", "SELECT blob1 FROM t SETTINGS max_threads = 1 FORMAT JSON"],
		["other format", "SELECT blob1 FROM t FORMAT CSV"],
		["text that does not end", "SELECT count() AS n FROM t WHERE blob1 = 'a\\' FORMAT JSON"],
		["exponent", "SELECT double1 * 1e5 AS a FROM t FORMAT JSON"],
	])("%s", (_, sql) => expect(outsideDialect(sql)).toHaveLength(1));
});
