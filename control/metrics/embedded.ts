import type { ArmSums, FirstExposures, FirstHarms, WindowTotal } from "../../core/health/observation";
import type { Point } from "../../core/telemetry";
import type { MetricsSource, Of, Question } from "./source";

/**
 * The embedded metric store: D1, aggregated on write. A batch of points enters as one JSON parameter and is written in one
 * transaction, so it is stored whole or not at all, and D1's limit of 100 bound parameters does not matter.
 *
 * Time is counted in epochs. What arrives is stamped with the open epoch; a reader closes it first and reads up to it, so a
 * window that was read never grows, whatever arrives late, and two readers at once close two epochs.
 */

/** The points whose event is new. Each statement of a batch sees the same ones: ids are written last. */
const POINTS = `points AS (
	SELECT key AS n, value ->> 0 AS id, value ->> 1 AS rollout, value ->> 2 AS stage, value ->> 3 AS served, value ->> 4 AS arm,
		value ->> 5 AS metric, value ->> 6 AS unit, value ->> 7 AS v, value ->> 8 AS harm, (SELECT epoch FROM telemetry_epoch) AS epoch
	FROM json_each(?1)
	WHERE value ->> 0 IS NULL OR NOT EXISTS (SELECT 1 FROM telemetry_event_ids AS known WHERE known.environment = ?2 AND known.id = value ->> 0))`;

/** Unattributed ones are counted in the totals, and are no evidence. */
const EVIDENCE = `evidence AS (SELECT * FROM points WHERE arm <> 'unattributed')`;

/** By user; with one min() SQLite takes the bare columns from the row that has it, so `harmed_first` is the first request's. */
const BY_UNIT = `by_unit AS (
	SELECT rollout, stage, metric, unit, arm, harm AS harmed_first, min(n), count(*) AS r, sum(harm) AS y, sum(v) AS s
	FROM evidence GROUP BY rollout, stage, metric, unit)`;

const TOTALS = `INSERT INTO telemetry_totals (rollout, epoch, metric, arm, requests, harms, sum)
	WITH ${POINTS} SELECT rollout, epoch, metric, arm, count(*), sum(harm), sum(v) FROM points WHERE true GROUP BY rollout, epoch, metric, arm
	ON CONFLICT DO UPDATE SET requests = requests + excluded.requests, harms = harms + excluded.harms, sum = sum + excluded.sum`;

/** What each user's growth from (r0, y0, s0) to (r1, y1, s1) adds to the sums over users. 0.0: whole values would divide as integers. */
const ARMS = `INSERT INTO telemetry_arms (rollout, stage, metric, arm, users, harmed_users, requests, harms, harms_squared,
		harms_times_requests, requests_squared, sum_of_means, sum_of_squared_means, harmed_first)
	WITH ${POINTS}, ${EVIDENCE}, ${BY_UNIT}, grown AS (
		SELECT b.rollout, b.stage, b.metric, b.arm, b.harmed_first, u.unit IS NULL AS is_new,
			coalesce(u.requests, 0) AS r0, coalesce(u.harms, 0) AS y0, coalesce(u.sum / u.requests, 0) AS m0,
			coalesce(u.requests, 0) + b.r AS r1, coalesce(u.harms, 0) + b.y AS y1, (coalesce(u.sum, 0.0) + b.s) / (coalesce(u.requests, 0) + b.r) AS m1
		FROM by_unit AS b LEFT JOIN telemetry_units AS u ON u.rollout = b.rollout AND u.stage = b.stage AND u.metric = b.metric AND u.unit = b.unit)
	SELECT rollout, stage, metric, arm, sum(is_new), sum(y0 = 0 AND y1 > 0), sum(r1 - r0), sum(y1 - y0), sum(y1 * y1 - y0 * y0),
		sum(y1 * r1 - y0 * r0), sum(r1 * r1 - r0 * r0), sum(m1 - m0), sum(m1 * m1 - m0 * m0), sum(is_new AND harmed_first)
	FROM grown WHERE true GROUP BY rollout, stage, metric, arm
	ON CONFLICT DO UPDATE SET users = users + excluded.users, harmed_users = harmed_users + excluded.harmed_users,
		requests = requests + excluded.requests, harms = harms + excluded.harms, harms_squared = harms_squared + excluded.harms_squared,
		harms_times_requests = harms_times_requests + excluded.harms_times_requests,
		requests_squared = requests_squared + excluded.requests_squared, sum_of_means = sum_of_means + excluded.sum_of_means,
		sum_of_squared_means = sum_of_squared_means + excluded.sum_of_squared_means, harmed_first = harmed_first + excluded.harmed_first`;

const UNITS = `INSERT INTO telemetry_units (rollout, stage, metric, unit, arm, requests, harms, sum, harmed_first)
	WITH ${POINTS}, ${EVIDENCE}, ${BY_UNIT} SELECT rollout, stage, metric, unit, arm, r, y, s, harmed_first FROM by_unit WHERE true
	ON CONFLICT DO UPDATE SET requests = requests + excluded.requests, harms = harms + excluded.harms, sum = sum + excluded.sum`;

const HARMS = `INSERT INTO telemetry_harms (rollout, metric, unit, arm, served, epoch)
	WITH ${POINTS}, ${EVIDENCE} SELECT DISTINCT rollout, metric, unit, arm, served, epoch FROM evidence WHERE harm ON CONFLICT DO NOTHING`;

const EXPOSED = `INSERT INTO telemetry_exposed (rollout, epoch, arm, served, units)
	WITH ${POINTS}, ${EVIDENCE}, first AS (SELECT rollout, epoch, unit, arm, served, min(n) FROM evidence GROUP BY rollout, unit)
	SELECT rollout, epoch, arm, served, count(*) FROM first
	WHERE NOT EXISTS (SELECT 1 FROM telemetry_exposures AS seen WHERE seen.rollout = first.rollout AND seen.unit = first.unit)
	GROUP BY rollout, epoch, arm, served
	ON CONFLICT DO UPDATE SET units = units + excluded.units`;

const EXPOSURES = `INSERT INTO telemetry_exposures (rollout, unit)
	WITH ${POINTS}, ${EVIDENCE} SELECT DISTINCT rollout, unit FROM evidence WHERE true ON CONFLICT DO NOTHING`;

const IDS = `INSERT INTO telemetry_event_ids (environment, id, at_ms)
	WITH ${POINTS} SELECT DISTINCT ?2, id, ?3 FROM points WHERE id IS NOT NULL ON CONFLICT DO NOTHING`;

const WRITES = [TOTALS, ARMS, UNITS, HARMS, EXPOSED, EXPOSURES];
/** A parameter holds 2 MB at most, and a point some 150 bytes: an event is one in every live rollout. */
const POINTS_A_STATEMENT = 2_000;

/** Stores all points or, rejecting, none. */
export async function recordPoints(db: D1Database, environment: string, points: readonly Point[], nowMs: number): Promise<void> {
	if (points.length === 0) return;
	const rows = withoutRepetitions(points).map(({ id, rollout, stage, served, arm, metric, unit, value, harm }) =>
		JSON.stringify([id, rollout, stage, served, arm, metric, unit, value, Number(harm)]),
	);
	const parts: string[] = [];
	for (let i = 0; i < rows.length; i += POINTS_A_STATEMENT) parts.push(`[${rows.slice(i, i + POINTS_A_STATEMENT).join()}]`);
	await db.batch([
		...parts.flatMap((part) => WRITES.map((sql) => db.prepare(sql).bind(part, environment))),
		...parts.map((part) => db.prepare(IDS).bind(part, environment, nowMs)),
	]);
}

/** An event is one point in each of its rollouts. Ids of earlier batches are found in SQL, those of this batch here. */
function withoutRepetitions(points: readonly Point[]): readonly Point[] {
	const seen = new Set<string>();
	return points.filter(({ id, rollout }) => {
		if (id === null) return true;
		const key = JSON.stringify([id, rollout]);
		const isNew = !seen.has(key);
		seen.add(key);
		return isNew;
	});
}

/**
 * A unit is counted at its first harm at a served share, unless it was harmed in the candidate before, or was counted in
 * control at the same share or a larger one (then its arm is known already, and nothing is learnt).
 */
const FIRST_HARMS = `WITH found AS (
		SELECT h.rollout, h.metric, h.arm, h.served, (SELECT max(p.served) FROM telemetry_harms AS p
			WHERE p.rollout = h.rollout AND p.metric = h.metric AND p.unit = h.unit
			AND (p.epoch < h.epoch OR (p.epoch = h.epoch AND p.served < h.served))) AS before,
			EXISTS (SELECT 1 FROM telemetry_harms AS p
			WHERE p.rollout = h.rollout AND p.metric = h.metric AND p.unit = h.unit AND p.arm = 'candidate'
			AND (p.epoch < h.epoch OR (p.epoch = h.epoch AND p.served < h.served))) AS was_candidate
		FROM json_each(?1) AS q JOIN telemetry_harms AS h ON h.rollout = q.value ->> 0 AND h.epoch > q.value ->> 2 AND h.epoch <= ?2)
	SELECT rollout, metric, arm, served, before AS lastControlServed, count(*) AS units FROM found
	WHERE NOT was_candidate AND (before IS NULL OR before < served)
	GROUP BY rollout, metric, arm, served, before`;

interface SumsRow {
	rollout: string;
	metric: ArmSums["metric"];
	arm: ArmSums["arm"];
	users: number;
	harmed_users: number;
	requests: number;
	harms: number;
	harms_squared: number;
	harms_times_requests: number;
	requests_squared: number;
	sum_of_means: number;
	sum_of_squared_means: number;
	harmed_first: number;
}

export function embedded(db: D1Database): MetricsSource {
	const ask = async <Row>(sql: string, questions: readonly Question[], upTo: string): Promise<Row[]> => {
		const asked = JSON.stringify(questions.map(({ rollout, stage, after }) => [rollout, stage, Number(after ?? 0)]));
		return (await db.prepare(sql).bind(asked, Number(upTo)).all<Row>()).results;
	};
	return {
		async watermark() {
			const closed = await db.prepare("UPDATE telemetry_epoch SET epoch = epoch + 1 RETURNING epoch - 1 AS epoch").first<number>("epoch");
			if (closed === null) throw new Error("telemetry_epoch is empty: apply the migrations");
			return String(closed);
		},
		totals: (questions, upTo) =>
			ask<Of<WindowTotal>>(
				`SELECT t.rollout, metric, arm, sum(requests) AS requests, sum(harms) AS harms, sum(sum) AS sum
				FROM json_each(?1) AS q JOIN telemetry_totals AS t ON t.rollout = q.value ->> 0 AND t.epoch > q.value ->> 2 AND t.epoch <= ?2
				GROUP BY t.rollout, metric, arm`,
				questions,
				upTo,
			),
		firstHarms: (questions, upTo) => ask<Of<FirstHarms>>(FIRST_HARMS, questions, upTo),
		async userSums(questions, upTo) {
			const rows = await ask<SumsRow>(
				`SELECT a.* FROM json_each(?1) AS q JOIN telemetry_arms AS a ON a.rollout = q.value ->> 0 AND a.stage = q.value ->> 1 WHERE ?2 IS NOT NULL`,
				questions,
				upTo,
			);
			return rows.map((row) => ({
				rollout: row.rollout,
				metric: row.metric,
				arm: row.arm,
				users: {
					users: row.users,
					harmedUsers: row.harmed_users,
					requests: row.requests,
					harms: row.harms,
					harmsSquared: row.harms_squared,
					harmsTimesRequests: row.harms_times_requests,
					requestsSquared: row.requests_squared,
				},
				// Differences of sums: rounding may leave a hair below zero.
				means: { users: row.users, sumOfMeans: row.sum_of_means, sumOfSquaredMeans: Math.max(0, row.sum_of_squared_means) },
				harmedFirst: row.harmed_first,
			}));
		},
		firstExposures: (questions, upTo) =>
			ask<Of<FirstExposures>>(
				`SELECT t.rollout, arm, served, sum(units) AS units
				FROM json_each(?1) AS q JOIN telemetry_exposed AS t ON t.rollout = q.value ->> 0 AND t.epoch > q.value ->> 2 AND t.epoch <= ?2
				GROUP BY t.rollout, arm, served`,
				questions,
				upTo,
			),
	};
}

const DAY_MS = 86_400_000;

/** Forgets what nothing will ask for again: ids after a day of real time, and the numbers of rollouts that ended a day ago. */
export async function prune(db: D1Database, nowMs: number, realNowMs: number): Promise<void> {
	const ended = `SELECT r.id FROM rollouts AS r WHERE r.status IN ('rolled_back', 'completed', 'cancelled')
		AND (SELECT max(e.at_ms) FROM rollout_events AS e WHERE e.rollout = r.id) < ?1`;
	await db.batch([
		db.prepare("DELETE FROM telemetry_event_ids WHERE at_ms < ?1").bind(realNowMs - DAY_MS),
		...["totals", "units", "arms", "harms", "exposures", "exposed"].map((table) =>
			db.prepare(`DELETE FROM telemetry_${table} WHERE rollout IN (${ended})`).bind(nowMs - DAY_MS),
		),
	]);
}
