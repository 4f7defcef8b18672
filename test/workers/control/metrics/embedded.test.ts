import { env } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import { embedded, prune, recordPoints } from "../../../../control/metrics/embedded";
import type { Point } from "../../../../core/telemetry";
import { describeMetricsSource } from "./contract";
import { aPoint } from "./points";

const DAY_MS = 86_400_000;
const NOW_MS = 1_800_000_000_000;
const TABLES = ["totals", "units", "arms", "harms", "exposures", "exposed"] as const;

const source = embedded(env.DB);
const record = (points: readonly Point[], environment = "production", nowMs = NOW_MS) => recordPoints(env.DB, environment, points, nowMs);

describeMetricsSource("embedded", { record, source });

async function rowsOf(rollout: string): Promise<Record<string, number>> {
	const found = await env.DB.batch<{ n: number }>(
		TABLES.map((table) => env.DB.prepare(`SELECT count(*) AS n FROM telemetry_${table} WHERE rollout = ?1`).bind(rollout)),
	);
	return Object.fromEntries(TABLES.map((table, i) => [table, found[i]?.results[0]?.n ?? -1]));
}

async function requestsOf(rollout: string): Promise<number> {
	const upTo = await source.watermark(0);
	const totals = await source.totals([{ rollout, stage: 1, after: null }], upTo);
	return totals.reduce((sum, each) => sum + each.requests, 0);
}

const unattributed = (change: Partial<Point>): Point => ({ ...aPoint(), ...change, arm: "unattributed" });

const NOTHING = Object.fromEntries(TABLES.map((table) => [table, 0]));

describe("a batch that fails", () => {
	test.each(["unit", "rollout", "metric", "arm", "stage", "served"] as const)("for a NULL as %s stores nothing of it", async (field) => {
		const rollout = `whole_${field}.1`;
		const good = aPoint({ id: `${rollout}/good`, rollout, harm: true });
		await expect(record([good, { ...aPoint({ rollout, harm: true }), [field]: null }])).rejects.toThrow("NOT NULL");
		expect(await rowsOf(rollout)).toEqual(NOTHING);
		// Nor is its id known: the same batch, repaired, is taken in whole.
		await record([good]);
		expect(await requestsOf(rollout)).toBe(1);
	});

	test("an empty batch is stored at once", async () => {
		await expect(record([])).resolves.toBeUndefined();
	});
});

describe("points that no arm can claim", () => {
	const read = async (rollout: string, after: string | null = null) => {
		const upTo = await source.watermark(0);
		const questions = [{ rollout, stage: 1, after }];
		const [totals, ...others] = await Promise.all([
			source.totals(questions, upTo),
			source.firstHarms(questions, upTo),
			source.userSums(questions, upTo),
			source.firstExposures(questions, upTo),
		]);
		return { totals, others };
	};

	test("are counted in the totals, and appear nowhere else", async () => {
		const rollout = "unattributed.1";
		await record([unattributed({ rollout, harm: true, value: 1 }), unattributed({ rollout, unit: "bob" })]);
		expect(await read(rollout)).toEqual({
			totals: [{ rollout, metric: "error", arm: "unattributed", requests: 2, harms: 1, sum: 1 }],
			others: [[], [], []],
		});
		expect(await rowsOf(rollout)).toEqual({ ...NOTHING, totals: 1 });
	});

	test("do not become evidence beside points of the same user, nor take their place as the first", async () => {
		const [mixed, pure] = ["unattributed.2", "unattributed.3"];
		const points = (rollout: string) => [
			aPoint({ rollout }),
			aPoint({ rollout, harm: true }),
			aPoint({ rollout, unit: "bob", arm: "candidate" }),
		];
		const between = (rollout: string) => unattributed({ rollout, harm: true, value: 1, served: 1_000 });
		await record([between(mixed), ...points(mixed).flatMap((point) => [point, between(mixed)])]);
		await record(points(pure));
		const others = async (rollout: string) => JSON.stringify((await read(rollout)).others).replaceAll(rollout, "");
		expect(await others(mixed)).toBe(await others(pure));
		expect((await read(mixed)).totals).toContainEqual({
			rollout: mixed,
			metric: "error",
			arm: "unattributed",
			requests: 4,
			harms: 4,
			sum: 4,
		});
	});

	test("with a repeated id count once", async () => {
		const rollout = "unattributed.4";
		const point = unattributed({ id: "unattributed/1", rollout });
		await record([point, point]);
		await record([point]);
		expect((await read(rollout)).totals.map(({ requests }) => requests)).toEqual([1]);
	});
});

describe("more points than a statement takes", () => {
	/** D1 as it is deployed: a parameter holds 2 MB at most. */
	const limited = new Proxy(env.DB, {
		get: (target, property) =>
			property === "prepare"
				? (sql: string) => ({
						bind: (...values: unknown[]) => {
							const bytes = Math.max(...values.map((value) => new TextEncoder().encode(String(value)).length));
							if (bytes > 2_000_000) throw new Error(`a parameter of ${bytes} bytes`);
							return target.prepare(sql).bind(...values);
						},
					})
				: (Reflect.get(target, property).bind(target) as unknown),
	});
	/** With ids as long as they may be: all of them would be more than a parameter holds. */
	const many = (rollout: string, count: number): Point[] =>
		Array.from({ length: count }, (_, i) =>
			aPoint({ id: `${rollout}/${i}/`.padEnd(100, "-"), rollout, unit: `u${i % 4_000}`, harm: i % 4_000 === 7 }),
		);

	test("are stored whole, a user's points in different parts as one user's", { timeout: 30_000 }, async () => {
		const rollout = "many.1";
		await recordPoints(limited, "production", many(rollout, 16_000), NOW_MS);
		expect(await requestsOf(rollout)).toBe(16_000);
		const questions = [{ rollout, stage: 1, after: null }];
		const upTo = await source.watermark(0);
		expect(await source.userSums(questions, upTo)).toMatchObject([
			{ users: { users: 4_000, harmedUsers: 1, requests: 16_000, harms: 4, requestsSquared: 64_000 }, harmedFirst: 1 },
		]);
		expect(await source.firstHarms(questions, upTo)).toMatchObject([{ units: 1 }]);
		expect(await source.firstExposures(questions, upTo)).toMatchObject([{ units: 4_000 }]);
	});

	test("have each id once, whichever parts its repetitions are in", { timeout: 30_000 }, async () => {
		const rollout = "many.2";
		const points = many(rollout, 6_000);
		await record([...points, ...points]);
		expect(await requestsOf(rollout)).toBe(6_000);
		await record([...points.slice(3_000), ...many(rollout, 6_001).slice(-1)]);
		expect(await requestsOf(rollout)).toBe(6_001);
	});

	test("are stored not at all when the last part fails", { timeout: 30_000 }, async () => {
		const rollout = "many.3";
		await expect(record([...many(rollout, 6_000), { ...aPoint({ rollout }), unit: null as never }])).rejects.toThrow("NOT NULL");
		expect(await rowsOf(rollout)).toEqual(NOTHING);
	});
});

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

describe("pruning", () => {
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
		await record([aPoint({ rollout: id, harm: true }), aPoint({ rollout: id, unit: "bob" })]);
	}

	test.each(["running", "paused", "draft", "rolling_back"])("never touches a rollout that is %s, however old", async (status) => {
		const id = `live_${status}.1`;
		await aRolloutRow(id, status, 0);
		const before = await rowsOf(id);
		await prune(env.DB, NOW_MS + 365 * DAY_MS, NOW_MS);
		expect(await rowsOf(id)).toEqual(before);
		expect(before["harms"]).toBe(1);
	});

	test.each(["rolled_back", "completed", "cancelled"])("forgets one that is %s a day after its end, and not before", async (status) => {
		const id = `ended_${status}.1`;
		await aRolloutRow(id, status, NOW_MS);
		const before = await rowsOf(id);
		await prune(env.DB, NOW_MS + DAY_MS, NOW_MS);
		expect(await rowsOf(id)).toEqual(before);
		await prune(env.DB, NOW_MS + DAY_MS + 1, NOW_MS);
		expect(await rowsOf(id)).toEqual(NOTHING);
	});

	test("leaves telemetry alone whose rollout is not known", async () => {
		await record([aPoint({ rollout: "unknown.1" })]);
		await prune(env.DB, NOW_MS + 365 * DAY_MS, NOW_MS);
		expect(await requestsOf("unknown.1")).toBe(1);
	});
});
