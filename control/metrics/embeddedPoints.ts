import { binOf } from "../../core/statistics/sketch";
import { LOG_VALUE_MIN, type Point } from "../../core/telemetry";
import { RING } from "./rings";

/** How points enter the embedded store's statements: a JSON array each, opened by SQL. And what these statements share. */

/** As JSON, and so in SQL, what is no number would be NULL, which sums pass over. */
export function finite(value: number): number {
	if (!Number.isFinite(value)) throw new RangeError(`${value} is no value`);
	return value;
}

export const rowOf = (point: Point): readonly unknown[] => [
	point.id,
	point.rollout,
	point.stage,
	point.served,
	point.arm,
	point.flag,
	point.variant,
	point.metric,
	point.unit,
	finite(point.value),
	Math.log(Math.max(point.value, LOG_VALUE_MIN)),
	binOf(point.value),
	Number(point.scored),
	Number(point.first),
	point.harms.map(({ signal }) => signal),
	point.ring ?? 0,
];

/** The points (?1) whose event is new in the environment (?2). Each statement of a batch sees the same ones: ids are written last. */
export const POINTS = `points AS (
	SELECT key AS n, value ->> 0 AS id, value ->> 1 AS rollout, (value ->> 2) + ${RING} * (value ->> 15) AS stage, value ->> 3 AS served, value ->> 4 AS arm,
		value ->> 5 AS flag, value ->> 6 AS variant, value ->> 7 AS metric, value ->> 8 AS unit,
		value ->> 9 AS v, value ->> 10 AS ln, value ->> 11 AS bin, value ->> 12 AS scored, value ->> 13 AS first, value -> 14 AS signals,
		value ->> 15 AS ring,
		(SELECT epoch FROM telemetry_epoch) AS epoch
	FROM json_each(?1)
	WHERE value ->> 0 IS NULL OR NOT EXISTS (SELECT 1 FROM telemetry_event_ids AS known WHERE known.environment = ?2 AND known.id = value ->> 0))`;

/** Unattributed points are counted in the totals, those outside a rollout in the performance of their flag: neither is evidence. */
export const EVIDENCE = `evidence AS (SELECT * FROM points WHERE arm NOT IN ('unattributed', 'outside'))`;

/** For ON CONFLICT: what is there and what comes are added up. */
export const adding = (...columns: readonly string[]): string => columns.map((each) => `${each} = ${each} + excluded.${each}`).join(", ");

/** A table's sketches are JSON objects, {bin: count}. */
export const addingBins = (table: string): string => `bins = (
	SELECT json_group_object(bin, n) FROM (
		SELECT key AS bin, sum(value) AS n
		FROM (SELECT key, value FROM json_each(${table}.bins) UNION ALL SELECT key, value FROM json_each(excluded.bins)) GROUP BY key))`;
