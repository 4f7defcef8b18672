import type { SystemPoint } from "../../core/telemetry";
import { adding, finite } from "./embeddedPoints";
import { partsOf } from "./parts";
import type { SystemSummary } from "./source";

/** What origins say of themselves, in a row a minute. */

const MINUTE_MS = 60_000;
const KEPT_MS = 2 * 86_400_000;

interface Minute {
	samples: number;
	sum: number;
	max: number;
	last: number;
}

/** Stores all points or, rejecting, none. */
export async function recordSystem(db: D1Database, environment: string, points: readonly SystemPoint[], nowMs: number): Promise<void> {
	if (points.length === 0) return;
	const insert = db.prepare(
		`INSERT INTO telemetry_system (environment, start_ms, origin, metric, samples, sum, max, last, last_at_ms)
		SELECT ?2, ?3 - ?3 % ${MINUTE_MS}, value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, ?3 FROM json_each(?1) WHERE true
		ON CONFLICT DO UPDATE SET ${adding("samples", "sum")}, max = max(max, excluded.max),
			last = iif(excluded.last_at_ms >= last_at_ms, excluded.last, last), last_at_ms = max(last_at_ms, excluded.last_at_ms)`,
	);
	await db.batch(partsOf(summed(points)).map((part) => insert.bind(part, environment, nowMs)));
}

function summed(points: readonly SystemPoint[]): unknown[][] {
	const minutes = new Map<string, Minute>();
	for (const { origin, metric, value } of points) {
		const key = JSON.stringify([origin, metric]);
		const { samples, sum, max } = minutes.get(key) ?? { samples: 0, sum: 0, max: -Infinity };
		minutes.set(key, { samples: samples + 1, sum: sum + finite(value), max: Math.max(max, value), last: value });
	}
	return [...minutes].map(([key, { samples, sum, max, last }]) => [...(JSON.parse(key) as string[]), samples, sum, max, last]);
}

/** Whole minutes: the one that `fromMs` lies in is told from its start. */
export async function system(db: D1Database, environment: string, fromMs: number): Promise<SystemSummary[]> {
	const found = await db
		.prepare(
			`WITH found AS (SELECT * FROM telemetry_system WHERE environment = ?1 AND start_ms >= ?2 - ?2 % ${MINUTE_MS}),
			sums AS (SELECT origin, metric, sum(samples) AS samples, sum(sum) / sum(samples) AS mean, max(max) AS max FROM found GROUP BY origin, metric),
			latest AS (SELECT origin, metric, last, max(last_at_ms) AS lastAtMs FROM found GROUP BY origin, metric)
			SELECT origin, metric, samples, mean, max, last, lastAtMs FROM sums JOIN latest USING (origin, metric)`,
		)
		.bind(environment, fromMs)
		.all<SystemSummary>();
	return found.results;
}

export function pruneSystem(db: D1Database, nowMs: number): D1PreparedStatement {
	return db.prepare("DELETE FROM telemetry_system WHERE start_ms < ?1").bind(nowMs - KEPT_MS);
}
