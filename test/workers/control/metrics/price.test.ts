import { env } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import { embedded, recordPoints } from "../../../../control/metrics/embedded";
import type { Point } from "../../../../core/telemetry";
import { aQuestion } from "./contract/store";
import { NOW_MS, record } from "./fixtures";
import { aPoint } from "./points";

/** What D1 bills: docs/storage.md says these figures. */

interface Meter {
	readonly db: D1Database;
	readonly written: () => number;
	readonly statements: () => number;
}

function metered(): Meter {
	let written = 0;
	let statements = 0;
	const db = new Proxy(env.DB, {
		get: (target, property) => {
			if (property === "prepare") statements++;
			if (property !== "batch") return Reflect.get(target, property).bind(target) as unknown;
			return async (batch: D1PreparedStatement[]) => {
				const results = await target.batch(batch);
				for (const { meta } of results) written += meta.rows_written;
				return results;
			};
		},
	});
	return { db, written: () => written, statements: () => statements };
}

interface Traffic {
	readonly rollout: string;
	readonly batch: number;
	readonly signals: number;
	readonly scored?: boolean;
	readonly requestsOfUser?: number;
	readonly ids?: string;
}

const POINTS = 2_000;
/** Of 100. */
const HARMED = 2;
const SERVED = 20_000;

/** Requests, each a point of error and one of latency_ms; so many of 100 users are harmed, as each of the metric's signals says. */
function requests({ rollout, signals, scored = false, requestsOfUser = 1, ids }: Traffic): Point[] {
	return Array.from({ length: POINTS / 2 }, (_, i) => Math.floor(i / requestsOfUser)).flatMap((user, i) => {
		const arm = (user * 7_919) % 100 < SERVED / 1_000 ? ("candidate" as const) : ("control" as const);
		return ["error", "latency_ms"].map((metric) => {
			const isHarmed = (user * 37) % 100 < HARMED;
			const harms = Array.from({ length: isHarmed ? signals : 0 }, (_, slot) => ({ signal: `${metric} ${slot}`, slot }));
			const value = metric === "error" ? Number(isHarmed) : 20 + ((i * 7_919) % 900);
			const id = ids === undefined ? null : `${ids}/${rollout}/${i}/${metric}`;
			return aPoint({
				id,
				rollout,
				unit: `user ${user}`,
				served: SERVED,
				arm,
				metric,
				value,
				harms,
				scored: scored && metric === "latency_ms",
			});
		});
	});
}

/** Rows written a point. */
async function price(traffic: Traffic): Promise<number> {
	const meter = metered();
	const points = requests(traffic);
	for (let from = 0; from < points.length; from += traffic.batch) {
		// oxlint-disable-next-line no-await-in-loop -- batches arrive one after the other
		await recordPoints(meter.db, "production", points.slice(from, from + traffic.batch), NOW_MS);
	}
	return Math.round((100 * meter.written()) / POINTS) / 100;
}

describe("rows written a point", () => {
	test.each<[what: string, traffic: Omit<Traffic, "rollout" | "ids">, fresh: number, again: number]>([
		["batches of 500, no signal", { batch: 500, signals: 0 }, 1.53, 1.03],
		["batches of 500, three signals a metric", { batch: 500, signals: 3 }, 1.74, 1.11],
		["batches of 500, three signals a metric, scored", { batch: 500, signals: 3, scored: true }, 2.74, 1.61],
		[
			"batches of 500, three signals a metric, scored, five requests a user",
			{ batch: 500, signals: 3, scored: true, requestsOfUser: 5 },
			0.58,
			0.45,
		],
		["batches of 20, no signal", { batch: 20, signals: 0 }, 2.3, 1.7],
		["batches of 20, three signals a metric", { batch: 20, signals: 3 }, 2.54, 1.82],
		["batches of 20, three signals a metric, scored", { batch: 20, signals: 3, scored: true }, 3.54, 2.32],
	])("%s", { timeout: 30_000 }, async (what, traffic, fresh, again) => {
		const rollout = `${what}.1`;
		const found = [await price({ ...traffic, rollout }), await price({ ...traffic, rollout })];
		expect(found).toEqual([fresh, again]);
	});

	test("an id is one more", { timeout: 30_000 }, async () => {
		const [without, withIds] = [
			await price({ rollout: "ids.1", batch: 500, signals: 0 }),
			await price({ rollout: "ids.2", batch: 500, signals: 0, ids: "a" }),
		];
		expect(withIds - without).toBeCloseTo(1, 2);
	});
});

const READS = ["totals", "firstHarms", "userSums", "firstExposures", "scored", "quantiles"] as const;

describe("a tick over 1,000 rollouts", () => {
	const signals = [
		{ key: "error", metric: "error", slot: 0 },
		{ key: "latency_ms>2500", metric: "latency_ms", slot: 0 },
	];
	const scores = [{ signal: "latency_ms>2500", metric: "latency_ms", center: 5, spread: 1, shift: 0.1 }];
	const questions = Array.from({ length: 1_000 }, (_, i) => aQuestion(`thousand_${i}.1`, { after: "1/1", signals, scores }));

	test.each(READS)("is one statement for %s", async (method) => {
		await record(questions.slice(0, 20).map(({ rollout }) => aPoint({ rollout })));
		const meter = metered();
		await embedded(meter.db)[method](questions, "1000000/1000000");
		expect(meter.statements()).toBe(1);
	});
});

test("no statement reads a table from end to end", async () => {
	const seen: { readonly sql: string; readonly values: readonly unknown[] }[] = [];
	const watched = new Proxy(env.DB, {
		get: (target, property) =>
			property === "prepare"
				? (sql: string) => ({
						bind: (...values: unknown[]) => {
							seen.push({ sql, values });
							return target.prepare(sql).bind(...values);
						},
					})
				: (Reflect.get(target, property).bind(target) as unknown),
	});
	const source = embedded(watched);
	const question = aQuestion("plan.1", { scores: [{ signal: "error", metric: "error", center: 0, spread: 1, shift: 0 }] });
	await recordPoints(watched, "production", [aPoint({ rollout: "plan.1" })], NOW_MS);
	await Promise.all(READS.map(async (method) => source[method]([question], "2/1")));
	await source.performance("production", 0, 1);
	await source.system("production", 0);

	const scans: string[] = [];
	for (const { sql, values } of seen) {
		const tables = new Set([...sql.matchAll(/(telemetry_\w+)(?: AS (\w+))?/g)].map(([, table, alias]) => alias ?? table));
		// One row.
		tables.delete("telemetry_epoch");
		// oxlint-disable-next-line no-await-in-loop -- a plan after the other
		const plan = await env.DB.prepare(`EXPLAIN QUERY PLAN ${sql}`)
			.bind(...values)
			.all<{ detail: string }>();
		scans.push(...plan.results.map(({ detail }) => detail).filter((detail) => tables.has(/^SCAN (\w+)/.exec(detail)?.[1] ?? "")));
	}
	expect(seen.length).toBeGreaterThan(READS.length);
	expect(scans).toEqual([]);
});
