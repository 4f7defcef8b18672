import { type Sketch, quantileOf } from "../../core/statistics/sketch";
import { POINTS, adding, addingBins } from "./embeddedPoints";
import type { Performance } from "./source";

/**
 * What flags served and how it went, in a row a minute, later an hour. A row belongs to the window that its start lies in, so windows
 * that follow each other count nothing twice.
 */

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;
/** Minutes are kept so long, then hours. */
const MINUTES_KEPT_MS = 2 * HOUR_MS;
const HOURS_KEPT_MS = 90 * DAY_MS;

const KEY = "flag, variant, metric";
const INSERT = `INSERT INTO telemetry_minutes (environment, start_ms, width_ms, ${KEY}, requests, sum, sum_of_squares, bins)`;
const ADD = `ON CONFLICT DO UPDATE SET ${adding("requests", "sum", "sum_of_squares")}, ${addingBins("telemetry_minutes")}`;

/**
 * Now is ?3. An event is a point for each of its flags, and one event for the environment as a whole; what is counted once
 * more for a flag's own guards is neither.
 */
export const MINUTES = `${INSERT}
	WITH ${POINTS},
	counted AS (
		SELECT ${KEY}, v, bin FROM points WHERE flag IS NOT '' AND instr(metric, '@') = 0
		UNION ALL
		SELECT '', '', metric, v, bin FROM points WHERE first),
	binned AS (SELECT ${KEY}, bin, count(*) AS n, sum(v) AS s, sum(v * v) AS ss FROM counted GROUP BY ${KEY}, bin)
	SELECT ?2, ?3 - ?3 % ${MINUTE_MS}, ${MINUTE_MS}, ${KEY}, sum(n), sum(s), sum(ss), json_group_object(bin, n) FROM binned GROUP BY ${KEY}
	${ADD}`;

interface FoundRow {
	readonly flag: string;
	readonly variant: string;
	readonly metric: string;
	readonly requests: number;
	readonly sum: number;
	readonly bins: string;
}

export async function performance(db: D1Database, environment: string, fromMs: number, toMs: number): Promise<Performance[]> {
	const found = await db
		.prepare(
			`WITH found AS (SELECT * FROM telemetry_minutes
				WHERE width_ms IN (${MINUTE_MS}, ${HOUR_MS}) AND start_ms >= ?2 AND start_ms < ?3 AND environment = ?1),
			sums AS (SELECT ${KEY}, sum(requests) AS requests, sum(sum) AS sum FROM found GROUP BY ${KEY}),
			binned AS (SELECT ${KEY}, bin.key AS bin, sum(bin.value) AS n FROM found, json_each(bins) AS bin GROUP BY ${KEY}, bin.key),
			sketches AS (SELECT ${KEY}, json_group_object(bin, n) AS bins FROM binned GROUP BY ${KEY})
			SELECT ${KEY}, requests, sum, bins FROM sums JOIN sketches USING (${KEY})`,
		)
		.bind(environment, fromMs, toMs)
		.all<FoundRow>();
	return found.results.map(({ bins, ...row }) => {
		const sketch = JSON.parse(bins) as Sketch;
		const [p50, p95, p99] = [0.5, 0.95, 0.99].map((each) => quantileOf(sketch, each) ?? 0) as [number, number, number];
		return { ...row, p50, p95, p99 };
	});
}

/** Minutes become hours, then go. For a batch, where no reader finds both or neither. `nowMs` is the clock that stamped arrivals. */
export function prunePerformance(db: D1Database, nowMs: number): D1PreparedStatement[] {
	const hour = nowMs - MINUTES_KEPT_MS;
	const before = hour - (hour % HOUR_MS);
	return [
		db
			.prepare(
				`${INSERT}
				WITH old AS (
					SELECT *, start_ms - start_ms % ${HOUR_MS} AS hour_ms FROM telemetry_minutes WHERE width_ms = ${MINUTE_MS} AND start_ms < ?1),
				sums AS (
					SELECT environment, hour_ms, ${KEY}, sum(requests) AS requests, sum(sum) AS s, sum(sum_of_squares) AS ss
					FROM old GROUP BY environment, hour_ms, ${KEY}),
				binned AS (
					SELECT environment, hour_ms, ${KEY}, bin.key AS bin, sum(bin.value) AS n
					FROM old, json_each(bins) AS bin GROUP BY environment, hour_ms, ${KEY}, bin.key),
				sketches AS (SELECT environment, hour_ms, ${KEY}, json_group_object(bin, n) AS bins FROM binned GROUP BY environment, hour_ms, ${KEY})
				SELECT environment, hour_ms, ${HOUR_MS}, ${KEY}, requests, s, ss, bins
				FROM sums JOIN sketches USING (environment, hour_ms, ${KEY}) WHERE true
				${ADD}`,
			)
			.bind(before),
		db.prepare(`DELETE FROM telemetry_minutes WHERE width_ms = ${MINUTE_MS} AND start_ms < ?1`).bind(before),
		db.prepare(`DELETE FROM telemetry_minutes WHERE width_ms = ${HOUR_MS} AND start_ms < ?1`).bind(nowMs - HOURS_KEPT_MS),
	];
}
