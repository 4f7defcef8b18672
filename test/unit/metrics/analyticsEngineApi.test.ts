import { afterAll, describe, expect, test } from "vitest";
import { AnalyticsEngineError, type Query, Row, analyticsEngineApi } from "../../../control/metrics/analyticsEngineApi";
import { ACCOUNT, type Fault, body, half, serveSqlApi, silence, status } from "../../clickhouse/server";

const SQL = "SELECT count() AS n FROM tidegate WHERE blob10 = 'a user' FORMAT JSON";
const LIMITS = { timeoutMs: 300, responseBytesMax: 20_000 };
const answerOf = (data: readonly object[], rows: unknown = data.length): string => JSON.stringify({ meta: [], data, rows });

/** An API over no engine: it gives the same answer to everything. */
const api = await serveSqlApi({ query: async () => answerOf([{ n: "18014398509481984", name: "ä" }]) });
afterAll(() => api.close());
const query = analyticsEngineApi(ACCOUNT, api.url, LIMITS);

async function failure(of: Query, ...faults: Fault[]): Promise<AnalyticsEngineError> {
	api.fail(...faults);
	const error: unknown = await of(SQL).catch((e: unknown) => e);
	expect(error).toBeInstanceOf(AnalyticsEngineError);
	return error as AnalyticsEngineError;
}

describe("an answer", () => {
	test("is rows, its 64-bit integers numbers", async () => {
		const [row, ...others] = await query(SQL);
		expect(others).toEqual([]);
		expect([row?.number("n"), row?.text("name")]).toEqual([18_014_398_509_481_984, "ä"]);
		expect(api.queries.at(-1)).toBe(SQL);
	});

	test.each([
		[{ n: 1.5 }, 1.5],
		[{ n: "0" }, 0],
		[{ n: "-12.5" }, -12.5],
		[{ n: "1e3" }, 1_000],
		[{ n: 0 }, 0],
	])("%j is a number", (cells, value) => expect(new Row(cells).number("n")).toBe(value));

	test.each([
		...[null, "", " ", "nan", "NaN", "inf", "-inf", "1,5", "0x10", "1e999", " 1", "1 "].map((n): [object] => [{ n }]),
		...[true, [], {}, NaN, Infinity].map((n): [object] => [{ n }]),
		[{}],
		[{ m: 1 }],
	])("%j is none, and refused", (cells) => {
		const row = new Row(cells as Record<string, unknown>);
		expect(() => row.number("n")).toThrow(AnalyticsEngineError);
	});

	test.each([[{}], [{ t: null }], [{ t: 1 }]])("%j is no text, and refused", (cells) =>
		expect(() => new Row(cells).text("t")).toThrow(AnalyticsEngineError),
	);
});

describe("a failure says what it was", () => {
	test.each<[what: string, fault: Fault, reason: AnalyticsEngineError["reason"], status: number | null]>([
		["too many queries", status(429), "rate_limited", 429],
		["the API is broken", status(500), "unavailable", 500],
		["the API is away", status(503), "unavailable", 503],
		["the query is refused", status(400), "refused", 400],
		["the token lacks the permission", status(403), "refused", 403],
		["a redirect", status(302), "refused", 302],
		["an empty success", status(204), "refused", 204],
		["no answer", silence, "timeout", null],
		["no JSON", body("<html>"), "malformed", 200],
		["an empty body", body(""), "malformed", 200],
		["half a body", body(answerOf([{ n: 1 }]).slice(0, 20)), "malformed", 200],
		["JSON of something else", body("[]"), "malformed", 200],
		["null", body("null"), "malformed", 200],
		["a row that is none", body(answerOf([null as never])), "malformed", 200],
		["fewer rows than it says", body(answerOf([{ n: 1 }], 2)), "malformed", 200],
		["more than is read", body(answerOf([{ n: "0".repeat(30_000) }])), "too_large", 200],
		["a connection that breaks", half, "unreachable", null],
	])("%s", async (_, fault, reason, code) => {
		const error = await failure(query, fault);
		expect([error.reason, error.status]).toEqual([reason, code]);
		if (code !== null && code !== 200) expect(error.message).toContain(String(code));
		expect(error.message).toMatch(/^Analytics Engine: /);
		expect(error.message).not.toMatch(/SELECT|a user|test-token/);
	});

	test("nobody is there", async () => {
		const error = await failure(analyticsEngineApi(ACCOUNT, "http://127.0.0.1:1", LIMITS));
		expect(error.reason).toBe("unreachable");
	});

	test("a wrong token", async () => {
		const error = await failure(analyticsEngineApi({ ...ACCOUNT, token: "another-token" }, api.url, LIMITS));
		expect([error.status, error.message]).toEqual([401, expect.stringContaining("Account Analytics: Read")]);
	});

	test("and the next query is asked anew", async () => {
		await failure(query, status(500));
		expect(await query(SQL)).toHaveLength(1);
	});
});

test("an account's id is one part of the path, whatever it holds", async () => {
	const error = await failure(analyticsEngineApi({ ...ACCOUNT, id: `x/../${ACCOUNT.id}` }, api.url, LIMITS));
	expect(error.status).toBe(404);
});
