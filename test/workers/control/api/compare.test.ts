import { env } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import type { Compared, ComparedSample } from "../../../../core/wire";
import { open } from "../../../../control/store/database";
import { pruneCompared, recordCompared, unheardIds } from "../../../../control/store/compared";
import { createFlag, done, newKey, pointersOf, refused } from "./harness";

const db = open(env.DB);
const DAY_MS = 86_400_000;
const NOON_MS = Date.UTC(2026, 0, 31, 12);

interface Report {
	readonly phase: string | null;
	readonly status: string;
	readonly total_queries: number;
	readonly samples: readonly unknown[];
}
const reportOf = (subject: string, date = "2026-01-31"): Promise<Report> =>
	done("GET", `/api/v1/compare/${subject}/report?environment=production&date=${date}`);
const aSample = (change: Partial<ComparedSample> = {}): ComparedSample => ({
	input: "GET /cart",
	legacy: '{"total":1}',
	candidate: '{"total":2}',
	differences: [{ at: "$.total", legacy: 1, candidate: 2 }],
	...change,
});
const aCompared = (subject: string, change: Partial<Compared> = {}): Compared => ({
	subject,
	phase: "compare",
	queries: 1,
	discrepancies: 0,
	errors: 0,
	legacyMs: 10,
	candidateMs: 20,
	timed: 1,
	samples: [],
	...change,
});
const record = (compared: readonly unknown[], atMs = NOON_MS): Promise<void> =>
	recordCompared(db, "production", compared as Compared[], atMs);

test("a day with 1,254 queries and 3 discrepancies says exactly that", async () => {
	const subject = newKey();
	for (let minute = 0; minute < 11; minute++)
		// oxlint-disable-next-line no-await-in-loop -- as the day goes by
		await record([aCompared(subject, { queries: 114, timed: 114, legacyMs: 1_140, candidateMs: 2_280 })], NOON_MS + minute * 60_000);
	const inputs = ["GET /a", "GET /b", "GET /c"];
	const different = inputs.map((input) =>
		aCompared(subject, { queries: 0, timed: 0, legacyMs: 0, candidateMs: 0, discrepancies: 1, samples: [aSample({ input })] }),
	);
	await record(different, NOON_MS + 3_600_000);
	await record([aCompared(subject, { queries: 7 })], NOON_MS + DAY_MS);
	expect(await reportOf(subject)).toEqual({
		phase: "compare",
		date: "2026-01-31",
		total_queries: 1_254,
		discrepancies: 3,
		errors: 0,
		status: "discrepancies",
		samples: inputs.map((input) => ({ input, legacy_result: '{"total":1}', new_result: '{"total":2}', match: false })),
	});
	const { subjects } = await done<{ subjects: object[] }>("GET", "/api/v1/compare?environment=production", {
		headers: { "x-tidegate-now": String(NOON_MS + 2 * DAY_MS) },
	});
	expect(subjects).toContainEqual({
		subject,
		kind: "route",
		total_queries: 1_261,
		discrepancies: 3,
		errors: 0,
		legacy_ms: (11 * 1_140 + 10) / 1_255,
		new_ms: (11 * 2_280 + 20) / 1_255,
		last_date: "2026-02-01",
	});
});

test("an event that compares is heard of once, beside its outcome, and in each environment", async () => {
	const [a, b] = [newKey(), newKey()];
	const asked = (ids: readonly unknown[], environment = "production") => unheardIds(env.DB, environment, ids as string[], NOON_MS);
	expect((await asked([a, b, b])).sort()).toEqual([a, b].sort());
	expect(await asked([b])).toEqual([]);
	expect(await asked([b], "staging")).toEqual([b]);
	expect(await asked([7, "x".repeat(101)])).toEqual([]);
	await env.DB.prepare("INSERT INTO telemetry_event_ids (environment, id, at_ms) VALUES ('production', 'measured', 1)").run();
	expect(await asked(["measured"])).toEqual(["measured"]);
});

test("a route and a flag of one key have a report each", async () => {
	const key = newKey();
	await record([aCompared(`flag/${key}`, { discrepancies: 1, samples: [aSample({ input: "flag" })] })]);
	expect(await reportOf(key)).toMatchObject({ total_queries: 1, samples: [{ input: "flag" }] });
	await record([aCompared(key, { queries: 5 })]);
	expect(await reportOf(key)).toMatchObject({ total_queries: 5, samples: [] });
	expect(await reportOf(key, "2026-01-31&kind=route")).toMatchObject({ total_queries: 5 });
	expect(await reportOf(key, "2026-01-31&kind=flag")).toMatchObject({ total_queries: 1, samples: [{ input: "flag" }] });
	await refused(404, "GET", `/api/v1/compare/${newKey()}/report?environment=production&kind=flag`);
	await refused(422, "GET", `/api/v1/compare/${key}/report?environment=production&kind=other`);
});

describe("a report", () => {
	test("of a day without any says so, of a subject that nobody knows there is none", async () => {
		const { key } = await createFlag();
		const nothing = { phase: null, date: "2026-01-31", total_queries: 0, discrepancies: 0, errors: 0, status: "no_data", samples: [] };
		expect(await reportOf(key)).toEqual(nothing);
		await refused(404, "GET", `/api/v1/compare/${newKey()}/report?environment=production&date=2026-01-31`);
		const gone = newKey();
		await record([aCompared(gone)]);
		expect(await reportOf(gone, "2026-02-02")).toMatchObject({ status: "no_data" });
	});

	test("says match, errors or discrepancies, and keeps a phase that was seen", async () => {
		const subject = newKey();
		await record([aCompared(subject)]);
		expect(await reportOf(subject)).toMatchObject({ status: "match", phase: "compare" });
		await record([aCompared(subject, { errors: 1, phase: "" })]);
		expect(await reportOf(subject)).toMatchObject({ status: "errors", phase: "compare" });
		await record([aCompared(subject, { discrepancies: 1, phase: "again" })]);
		expect(await reportOf(subject)).toMatchObject({ status: "discrepancies", phase: "again" });
	});

	test.each(["2026-02-30", "2026-1-31", "yesterday", "2026-01-31T00:00:00Z"])("of %s is refused", async (date) => {
		const path = `/api/v1/compare/x/report?environment=production&date=${date}`;
		expect(pointersOf(await refused(422, "GET", path))).toEqual(["?date="]);
	});
});

describe("what the edge tells", () => {
	test("is kept in samples up to 100 a subject and day, however it comes", async () => {
		const [one, other] = [newKey(), newKey()];
		const samples = Array.from({ length: 60 }, (_, i) => aSample({ input: `GET /${i}` }));
		await record([aCompared(one, { samples }), aCompared(other, { samples: samples.slice(0, 2) }), aCompared(one, { samples })]);
		await record([aCompared(one, { samples })]);
		expect((await reportOf(one)).samples).toHaveLength(100);
		expect((await reportOf(one)).total_queries).toBe(3);
		expect((await reportOf(other)).samples).toHaveLength(2);
		await record([aCompared(one, { samples })], NOON_MS + DAY_MS);
		expect((await reportOf(one, "2026-02-01")).samples).toHaveLength(60);
	});

	test("is bounded: what is malformed, too large or too much is left out, and the rest is counted", async () => {
		const good = newKey();
		const bad: unknown[] = [
			null,
			1,
			{},
			{ ...aCompared("x"), queries: Number.NaN },
			{ ...aCompared("x"), errors: -1 },
			{ ...aCompared("x"), legacyMs: Infinity },
			{ ...aCompared("x"), subject: "s".repeat(64) },
			{ ...aCompared("x"), samples: "none" },
		];
		const samples = [aSample(), { input: 1 }, aSample({ legacy: "x".repeat(16 * 1_024) }), null] as ComparedSample[];
		await record([...bad, aCompared(good, { samples })]);
		expect(await reportOf(good)).toMatchObject({ total_queries: 1, samples: [expect.anything()] });
		const last = newKey();
		await record([...Array.from({ length: 50 }, (_, i) => aCompared(`subject-${i}`)), aCompared(last)]);
		await refused(404, "GET", `/api/v1/compare/${last}/report?environment=production`);
		const large = newKey();
		const full = Array.from({ length: 100 }, () => aSample({ legacy: "ü".repeat(8_000) }));
		await record([aCompared(large, { samples: full }), aCompared(newKey(), { samples: full })]);
		expect((await reportOf(large)).samples.length).toBeGreaterThan(50);
	});

	test("of an environment that is none is kept nowhere", async () => {
		await recordCompared(db, "moon", [aCompared("x", { samples: [aSample()] })], NOON_MS);
		const found = await env.DB.batch<{ n: number }>(
			["compare_days", "compare_samples"].map((table) => env.DB.prepare(`SELECT count(*) AS n FROM ${table} WHERE environment = 'moon'`)),
		);
		expect(found.map(({ results }) => results[0]?.n)).toEqual([0, 0]);
	});

	test("is forgotten after 90 days", async () => {
		const subject = newKey();
		await record([aCompared(subject, { samples: [aSample()] })]);
		await pruneCompared(db, NOON_MS + 90 * DAY_MS);
		expect(await reportOf(subject)).toMatchObject({ total_queries: 1, samples: [{ match: false }] });
		await pruneCompared(db, NOON_MS + 91 * DAY_MS);
		await refused(404, "GET", `/api/v1/compare/${subject}/report?environment=production`);
	});
});
