import { describe, expect, test } from "vitest";
import { analyticsEngine } from "../../../control/metrics/analyticsEngine";
import { AnalyticsEngineError, Row } from "../../../control/metrics/analyticsEngineApi";
import type { MetricsSource, Question } from "../../../control/metrics/source";

const QUESTION: Question = {
	environment: "production",
	rollout: "checkout.1",
	stage: 1,
	startedAtMs: 1_799_990_000_000,
	after: null,
	signals: [{ key: "error", metric: "error", slot: 0 }],
	scores: [{ signal: "p95", metric: "latency_ms", center: 4.5, spread: 0.4, shift: 0.2 }],
};
const UP_TO = "1800000000s/7";

/** A D1 that no query of these tests reaches. */
const NO_DB = {} as D1Database;

/** A source whose API gives these rows to every query; what it was asked. */
function aSource(rows: readonly Record<string, unknown>[] | Error = [], db: D1Database = NO_DB) {
	const queries: string[] = [];
	const source = analyticsEngine(
		db,
		async (sql) => {
			queries.push(sql);
			if (rows instanceof Error) throw rows;
			return rows.map((cells) => new Row(cells));
		},
		"tidegate",
	);
	return { source, queries };
}

type Ask = (source: MetricsSource, question?: Question) => Promise<readonly unknown[]>;
const ASKED = {
	totals: (source, question = QUESTION) => source.totals([question], UP_TO),
	userSums: (source, question = QUESTION) => source.userSums([question], UP_TO),
	firstExposures: (source, question = QUESTION) => source.firstExposures([question], UP_TO),
	scored: (source, question = QUESTION) => source.scored([question], UP_TO),
	quantiles: (source, question = QUESTION) => source.quantiles([question], UP_TO),
} satisfies Record<string, Ask>;
const ALL: Record<string, Ask> = {
	...ASKED,
	performance: (source) => source.performance("production", 0, 1),
	system: (source) => source.system("production", 0),
};

describe("a failure of the API", () => {
	const failure = new AnalyticsEngineError("rate_limited", "answered 429, too many queries", 429);

	test.each(Object.entries(ALL))("rejects %s", async (_, ask) => {
		await expect(ask(aSource(failure).source)).rejects.toBe(failure);
	});

	test("rejects a watermark before anything is written", async () => {
		const db = { prepare: () => ({ first: async () => null }), batch: () => expect.unreachable() } as unknown as D1Database;
		await expect(aSource(failure, db).source.watermark(1_800_000_000_000)).rejects.toBe(failure);
	});
});

describe("a number that is none is an error, and never evidence", () => {
	const place = "production/checkout.1";
	const row: Record<string, unknown> = {
		place,
		metric: "error",
		arm: "control",
		served: 5_000,
		units: 1,
		score0: 0,
		flag: "",
		variant: "",
		origin: "",
	};

	test.each(
		Object.entries(ALL).flatMap(([name, ask]) => [null, "nan", undefined].map((cell): [string, unknown, Ask] => [name, cell, ask])),
	)("%s of %j", async (name, cell, ask) => {
		const metric = name === "scored" ? "latency_ms" : "error";
		const cells =
			name === "firstExposures" || name === "scored"
				? { ...row, metric, units: cell }
				: { ...row, users: cell, requests: cell, p50: cell, samples: cell };
		await expect(ask(aSource([cells]).source)).rejects.toThrow(AnalyticsEngineError);
	});
});

describe("a watermark", () => {
	test.each([
		[1_800_000_120_000, "1800000000"],
		[1_800_000_120_999, "1800000000"],
		[1_800_000_119_999, "1799999999"],
		[0, "0"],
	])("at %d is the last whole second that ended two minutes ago: %s", async (nowMs, second) => {
		const answers = [{ results: [] }, { results: [{ epoch: 7, aged: 0 }] }];
		const statement = { first: async () => null, bind: () => statement };
		const db = { prepare: () => statement, batch: async () => answers } as unknown as D1Database;
		expect(await aSource([], db).source.watermark(nowMs)).toBe(`${second}s/7`);
	});

	test.each(Object.entries(ASKED))("bounds %s to whole seconds, the first excluded, the last included", async (_, ask) => {
		const { source, queries } = aSource();
		await ask(source, { ...QUESTION, after: "1799999940s/6" });
		expect(queries).toHaveLength(1);
		expect(queries[0]).toContain("timestamp <= toDateTime(1800000000)");
	});

	test.each(["totals", "firstExposures"] as const)("begins the window of %s after itself", async (name) => {
		const { source, queries } = aSource();
		await ASKED[name](source, { ...QUESTION, after: "1799999940s/6" });
		expect(queries[0]).toMatch(/(timestamp|since) > toDateTime\(1799999940\)/);
	});

	test.each(["12", "12/3", null])("of the embedded store (%j) leaves outcomes to be read from the start", async (after) => {
		const { source, queries } = aSource();
		await ASKED.totals(source, { ...QUESTION, after });
		expect(queries[0]).not.toContain("timestamp > ");
	});

	test.each(["", "s", "1800000000s", "-1s/2", "1e9s/2", "1800000000s/7 OR 1", "x/1", "12/3/4"])("is never %j", async (after) => {
		const { source, queries } = aSource();
		await expect(ASKED.totals(source, { ...QUESTION, after })).rejects.toThrow("no watermark");
		expect(queries).toEqual([]);
	});
});

test("a dataset whose name would need quoting is refused at once", () => {
	expect(() => analyticsEngine(NO_DB, async () => [], "outcomes; DROP")).toThrow(RangeError);
});
