import { describe, expect, test } from "vitest";
import { checkErrors, checks, isFor, storedChecks } from "../../../core/checks/model";
import { fieldErrors } from "../../../core/flags/fieldErrors";
import { metricsBy } from "../../../core/metric";
import { aCheck } from "./fixtures";

const HTTP = { name: "smoke", http: "https://origin.example/health" };
const METRICS = metricsBy([]);

/** What is wrong, as "pointer: message". */
function wrongIn(list: unknown): string[] {
	const parsed = checks.safeParse(list);
	const errors = parsed.success ? checkErrors(parsed.data, METRICS) : fieldErrors(parsed.error.issues, list);
	return errors.map(({ pointer, message }) => `${pointer}: ${message}`);
}

test("every kind needs no more than its own key", () => {
	const kinds = [
		HTTP,
		{ name: "errors", metric: "error_rate < 3%" },
		{ name: "db", dependency: "postgres-1" },
		{ name: "load", dependency: "postgres-1", metric: "cpu_percent mean < 80" },
		{ name: "flags", hygiene: true },
		{ name: "e2e", reported: "e2e" },
		{ name: "told", manual: "support has been told" },
	];
	expect(wrongIn(kinds)).toEqual([]);
	expect(checks.parse(kinds)).toMatchObject([
		{ method: "GET", expect: 200, timeout: "10s", retries: 2, critical: true },
		{ over: "15m", critical: true },
		{ fresh: "10m" },
		{ metric: "cpu_percent mean < 80" },
		{ critical: false },
		{ stale: "24h" },
		{ critical: true },
	]);
});

test("what is stored reads as it was written, and a field that is not known is dropped", () => {
	const given = checks.parse([
		HTTP,
		{ name: "load", dependency: "db", metric: "cpu_percent < 80", every: "1h" },
		{ name: "f", hygiene: { owner: true } },
	]);
	expect(storedChecks.parse(given)).toEqual(given);
	expect(storedChecks.parse(given.map((each) => ({ ...each, later: 1 })))).toEqual(given);
});

describe("a mistake is told at its field", () => {
	test.each<[given: object, says: string]>([
		[{ name: "a" }, "/0: takes one of http, metric, dependency, hygiene, reported, manual"],
		[{ ...HTTP, manual: "x" }, "/0: takes one of http, metric"],
		[{ http: HTTP.http }, "/0/name: is required"],
		[{ ...HTTP, name: "Not A Name" }, "/0/name: lower-case"],
		[{ ...HTTP, name: "x".repeat(64) }, "/0/name: "],
		[{ ...HTTP, http: "origin.example" }, "/0/http: takes a URL"],
		[{ ...HTTP, http: "file:///etc/passwd" }, "/0/http: takes a URL"],
		[{ ...HTTP, http: `https://${"x".repeat(1_900)} ` }, "/0/http: takes a URL"],
		[{ ...HTTP, method: "DELETE" }, "/0/method: takes GET or POST"],
		[{ ...HTTP, expect: 302 }, "/0/expect: "],
		[{ ...HTTP, expect: [] }, "/0/expect: "],
		[{ ...HTTP, json: { path: "$.a[?(@.b)]", equals: 1 } }, '/0/json/path: takes names and places, as in "$.parts[0].status"'],
		[{ ...HTTP, json: { path: "$.a", equals: [] } }, "/0/json/equals: takes a text, a number, true, false or null"],
		[{ ...HTTP, timeout: "soon" }, "/0/timeout: is no duration"],
		[{ ...HTTP, timeout: "10ms" }, "/0/timeout: takes 100ms to 1m"],
		[{ ...HTTP, timeout: "2m" }, "/0/timeout: takes 100ms to 1m"],
		[{ ...HTTP, retries: 6 }, "/0/retries: "],
		[{ ...HTTP, every: "5s" }, "/0/every: takes 1m to 7d"],
		[{ ...HTTP, every: "1h", when: "before" }, "/0/when: what repeats"],
		[{ ...HTTP, retrys: 1 }, "/0/retrys: unknown field"],
		[{ name: "m", metric: "eror_rate < 3%" }, '/0/metric: unknown quantity "eror_rate": did you mean "error_rate"?'],
		[{ name: "m", metric: "error_rate vs control <= +25%" }, "/0/metric: a criterion is an absolute limit"],
		[{ name: "m", metric: "latency_ms p90 < 500" }, "/0/metric: p90 is not known of a whole environment"],
		[{ name: "m", metric: "satisfaction harm < 5%" }, "/0/metric: harm is not known"],
		[{ name: "m", metric: "error_rate < 3%", fresh: "5m" }, "/0/fresh: unknown field"],
		[{ name: "d", dependency: "db", metric: "cpu_percent p95 < 80" }, "/0/metric: write a metric, perhaps mean, max or last"],
		[{ name: "d", dependency: "no blanks" }, "/0/dependency: takes the name"],
		[{ name: "h", hygiene: false }, "/0/hygiene: takes true"],
		[{ name: "r", reported: "e2e", stale: "31d" }, "/0/stale: takes 1m to 30d"],
		[{ name: "p", manual: "" }, "/0/manual: "],
		[{ name: "p", manual: "x", every: "1h" }, "/0/every: unknown field"],
	])("%j", (given, says) => {
		const wrong = wrongIn([given]);
		expect(wrong).toEqual([expect.stringContaining(says)]);
	});

	test("names are used once in a plan", () => {
		expect(wrongIn([HTTP, HTTP])).toEqual(['/1/name: "smoke" is used twice']);
		expect(checkErrors([aCheck(HTTP)], METRICS, "/phases/0/checks", [aCheck(HTTP)])).toEqual([
			{ pointer: "/phases/0/checks/0/name", message: '"smoke" is used twice' },
		]);
	});

	test("20 are the most", () => {
		const many = Array.from({ length: 21 }, (_, i) => ({ ...HTTP, name: `smoke-${i}` }));
		expect(wrongIn(many)).toHaveLength(1);
		expect(wrongIn(many.slice(1))).toEqual([]);
	});
});

test("a check is for before the first phase, unless it says otherwise or repeats", () => {
	const moments = (change: object) => (["before", "during"] as const).filter((moment) => isFor(aCheck({ ...HTTP, ...change }), moment));
	expect(moments({})).toEqual(["before"]);
	expect(moments({ every: "1h" })).toEqual(["before", "during"]);
	expect(moments({ when: "both" })).toEqual(["before", "during"]);
	expect(moments({ when: "during", every: "1h" })).toEqual(["during"]);
});
