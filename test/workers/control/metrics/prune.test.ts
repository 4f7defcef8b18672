import { env } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import { recordSystem } from "../../../../control/metrics/embeddedSystem";
import { prune } from "../../../../control/metrics/prune";
import { DAY_MS, NOTHING, NOW_MS, record, requestsOf, rowsOf, source } from "./fixtures";
import { aHarm, aPoint } from "./points";

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;

describe("event ids", () => {
	test("are forgotten after 24 h, and not before", async () => {
		const rollout = "ids.1";
		const point = aPoint({ id: "ids/1", rollout });
		await record([point]);
		await prune(env.DB, 0, NOW_MS + DAY_MS);
		await record([point], "production", NOW_MS + DAY_MS);
		expect(await requestsOf(rollout)).toBe(1);
		await prune(env.DB, 0, NOW_MS + DAY_MS + 1);
		await record([point], "production", NOW_MS + DAY_MS + 1);
		expect(await requestsOf(rollout)).toBe(2);
	});

	test("a repetition does not renew them", async () => {
		const rollout = "ids.2";
		const point = aPoint({ id: "ids/2", rollout });
		await record([point]);
		await record([point], "production", NOW_MS + DAY_MS - 1);
		await prune(env.DB, 0, NOW_MS + DAY_MS + 1);
		await record([point], "production", NOW_MS + DAY_MS + 1);
		expect(await requestsOf(rollout)).toBe(2);
	});
});

describe("a rollout's telemetry", () => {
	/** A rollout's row and its last event, as control leaves them. */
	async function aRolloutRow(id: string, status: string, endedAtMs: number): Promise<void> {
		await env.DB.batch([
			env.DB.prepare(
				`INSERT INTO rollouts (id, environment, name, attempt, plan, status, revision, state, ticked_at_ms, created_at_ms, started_at_ms)
				VALUES (?1, 'production', ?1, 1, '{}', ?2, 2, '{}', 0, 0, 0)`,
			).bind(id, status),
			...[0, endedAtMs].map((atMs, i) =>
				env.DB.prepare(
					`INSERT INTO rollout_events (rollout, revision, at_ms, recorded_at_ms, kind, reason, message, actor, correlation_id, before, after)
					VALUES (?1, ?2, ?3, ?3, '', '', '', '', '', '{}', '{}')`,
				).bind(id, i + 1, atMs),
			),
		]);
		await record([aHarm({ rollout: id, scored: true }), aPoint({ rollout: id, unit: "bob" })]);
	}
	const EVERYTHING = { totals: 1, units: 2, arms: 1, harmed: 1, signals: 1, harms: 1, exposures: 2, exposed: 1, scored: 1 };

	test.each(["running", "paused", "draft", "rolling_back"])("is never touched while it is %s, however old", async (status) => {
		const id = `live_${status}.1`;
		await aRolloutRow(id, status, 0);
		await prune(env.DB, NOW_MS + 365 * DAY_MS, NOW_MS);
		expect(await rowsOf(id)).toEqual(EVERYTHING);
	});

	test.each(["rolled_back", "completed", "cancelled"])("goes a day after it was %s, and not before", async (status) => {
		const id = `ended_${status}.1`;
		await aRolloutRow(id, status, NOW_MS);
		await prune(env.DB, NOW_MS + DAY_MS, NOW_MS);
		expect(await rowsOf(id)).toEqual(EVERYTHING);
		await prune(env.DB, NOW_MS + DAY_MS + 1, NOW_MS);
		expect(await rowsOf(id)).toEqual(NOTHING);
	});

	test("is left alone when the rollout is not known", async () => {
		await record([aPoint({ rollout: "unknown.1" })]);
		await prune(env.DB, NOW_MS + 365 * DAY_MS, NOW_MS);
		expect(await requestsOf("unknown.1")).toBe(1);
	});
});

describe("what flags did", () => {
	const HOUR_START_MS = NOW_MS - (NOW_MS % HOUR_MS);
	const widths = async (environment: string) => {
		const found = env.DB.prepare(
			`SELECT start_ms - ?2 AS start, width_ms AS width, requests, sum_of_squares AS squares FROM telemetry_minutes
			WHERE environment = ?1 AND flag = '' ORDER BY start_ms`,
		).bind(environment, HOUR_START_MS);
		return (await found.all<{ start: number; width: number; requests: number; squares: number }>()).results;
	};
	/** Two in the first hour, one in the second. */
	async function minutes(environment: string): Promise<void> {
		const of = (value: number, flag: string) => aPoint({ metric: "latency_ms", rollout: `${environment}.1`, flag, value });
		await record([of(100, "a"), of(200, "b")], environment, HOUR_START_MS + 5 * MINUTE_MS);
		await record([of(300, "a")], environment, HOUR_START_MS + 50 * MINUTE_MS);
		await record([of(400, "a")], environment, HOUR_START_MS + 70 * MINUTE_MS);
	}

	test("is told by the minute for two hours, then by the hour, and means the same", async () => {
		await minutes("hours");
		const told = async () => JSON.stringify(await source.performance("hours", HOUR_START_MS, HOUR_START_MS + 2 * HOUR_MS));
		const before = await told();
		await prune(env.DB, 0, HOUR_START_MS + 3 * HOUR_MS - 1);
		expect(await widths("hours")).toHaveLength(3);
		await prune(env.DB, 0, HOUR_START_MS + 3 * HOUR_MS);
		const hour = { start: 0, width: HOUR_MS, requests: 3, squares: 100 ** 2 + 200 ** 2 + 300 ** 2 };
		const minute = { start: 70 * MINUTE_MS, width: MINUTE_MS, requests: 1, squares: 400 ** 2 };
		expect(await widths("hours")).toEqual([hour, minute]);
		expect(await told()).toBe(before);
		await prune(env.DB, 0, HOUR_START_MS + 3 * HOUR_MS);
		expect(await told()).toBe(before);
	});

	test("what comes later to an hour that is told as such is added to it", async () => {
		await minutes("late");
		await prune(env.DB, 0, HOUR_START_MS + 3 * HOUR_MS);
		await record([aPoint({ metric: "latency_ms", value: 600 })], "late", HOUR_START_MS);
		const [whole] = await source.performance("late", HOUR_START_MS, HOUR_START_MS + HOUR_MS);
		expect(whole).toMatchObject({ flag: "", requests: 4, sum: 1_200 });
		await prune(env.DB, 0, HOUR_START_MS + 3 * HOUR_MS);
		expect((await widths("late"))[0]).toMatchObject({ width: HOUR_MS, requests: 4 });
		expect((await source.performance("late", HOUR_START_MS, HOUR_START_MS + HOUR_MS))[0]).toEqual(whole);
	});

	test("is forgotten after 90 days", async () => {
		await minutes("old");
		await prune(env.DB, 0, HOUR_START_MS + 90 * DAY_MS);
		expect(await widths("old")).toHaveLength(2);
		await prune(env.DB, 0, HOUR_START_MS + 90 * DAY_MS + 1);
		expect(await widths("old")).toHaveLength(1);
	});
});

test("what origins said is forgotten after two days", async () => {
	await recordSystem(env.DB, "forgetful", [{ origin: "eu", metric: "cpu_percent", value: 5 }], NOW_MS);
	const start = NOW_MS - (NOW_MS % MINUTE_MS);
	await prune(env.DB, 0, start + 2 * DAY_MS);
	expect(await source.system("forgetful", 0)).toHaveLength(1);
	await prune(env.DB, 0, start + 2 * DAY_MS + 1);
	expect(await source.system("forgetful", 0)).toEqual([]);
});

test("when epochs were closed is forgotten once they are aged, and no user's age with it", async () => {
	const epochs = async () => (await env.DB.prepare("SELECT epoch FROM telemetry_epochs").all()).results.length;
	const scores = [{ signal: "error", metric: "error", center: 0, spread: 1, shift: 0 }];
	const question = { environment: "production", rollout: "aged.1", stage: 1, startedAtMs: 0, after: null, signals: [], scores };
	const later = NOW_MS + 400 * DAY_MS;
	await record([aPoint({ rollout: "aged.1", scored: true })]);
	await source.watermark(later);
	await source.watermark(later + HOUR_MS - 1);
	await prune(env.DB, 0, NOW_MS);
	expect(await epochs()).toBe(2);
	const upTo = await source.watermark(later + HOUR_MS);
	await prune(env.DB, 0, NOW_MS);
	expect(await epochs()).toBe(2);
	expect(await source.scored([question], upTo)).toMatchObject([{ rollout: "aged.1", units: 1 }]);
	expect(await source.scored([{ ...question, after: upTo }], await source.watermark(later + 2 * HOUR_MS))).toEqual([]);
});
