import { LOG_VALUE_MIN, type Point } from "../../core/telemetry";
import { binOf } from "../../core/statistics/sketch";
import { MINUTE_MS, MINUTES } from "./embeddedPerformance";
import { SCORED } from "./embeddedScores";
import { partsOf } from "./parts";
import { EVIDENCE, POINTS, mergedBins } from "./points";

/**
 * The embedded metric store: D1, aggregated on write. A batch of points enters as JSON parameters and is written in one
 * transaction, so it is stored whole or not at all. What arrives is stamped with the open epoch (see firstHarms.ts).
 */

/** By user; with one min() SQLite takes the bare columns from the row that has it, so the arm is the first request's. */
const BY_UNIT = `by_unit AS (
	SELECT rollout, stage, metric, unit, arm, min(n) AS first, count(*) AS r, sum(v) AS s, sum(ln) AS l
	FROM evidence GROUP BY rollout, stage, metric, unit)`;

/** By user and signal that took one of their requests for harm. */
const BY_SIGNAL = `by_signal AS (
	SELECT rollout, stage, metric, unit, arm, served, epoch, harm.value AS signal, min(n) AS first, count(*) AS y
	FROM evidence, json_each(signals) AS harm GROUP BY rollout, stage, metric, unit, harm.value)`;

const TOTALS = `INSERT INTO telemetry_totals (rollout, epoch, metric, arm, requests, sum)
	WITH ${POINTS} SELECT rollout, epoch, metric, arm, count(*), sum(v) FROM points WHERE arm IS NOT 'outside' GROUP BY rollout, metric, arm
	ON CONFLICT DO UPDATE SET requests = requests + excluded.requests, sum = sum + excluded.sum`;

/** What each user's growth from r0 requests to r1 adds to the sums over users: m their mean, s their sum, l their mean logarithm. */
const ARMS = `INSERT INTO telemetry_arms (rollout, stage, metric, arm, users, requests, requests_squared, sum_of_means, sum_of_squared_means,
		sum_of_totals, sum_of_squared_totals, sum_of_logs, sum_of_squared_logs, bins)
	WITH ${POINTS}, ${EVIDENCE}, ${BY_UNIT}, totals AS (
		SELECT b.rollout, b.stage, b.metric, b.arm, coalesce(u.requests, 0) AS r0, coalesce(u.sum, 0.0) AS s0, coalesce(u.sum_log, 0.0) AS l0, b.r, b.s, b.l
		FROM by_unit AS b LEFT JOIN telemetry_units AS u ON u.rollout = b.rollout AND u.stage = b.stage AND u.metric = b.metric AND u.unit = b.unit),
	grown AS (
		SELECT rollout, stage, metric, arm, r0, r0 + r AS r1, s0, s0 + s AS s1,
			iif(r0 = 0, 0, s0 / r0) AS m0, (s0 + s) / (r0 + r) AS m1, iif(r0 = 0, 0, l0 / r0) AS g0, (l0 + l) / (r0 + r) AS g1
		FROM totals),
	sums AS (
		SELECT rollout, stage, metric, arm, sum(r0 = 0) AS users, sum(r1 - r0) AS requests, sum(r1 * r1 - r0 * r0) AS requests_squared,
			sum(m1 - m0) AS means, sum(m1 * m1 - m0 * m0) AS squared_means, sum(s1 - s0) AS totals, sum(s1 * s1 - s0 * s0) AS squared_totals,
			sum(g1 - g0) AS logs, sum(g1 * g1 - g0 * g0) AS squared_logs
		FROM grown GROUP BY rollout, stage, metric, arm),
	counted AS (SELECT rollout, stage, metric, arm, bin, count(*) AS n FROM evidence GROUP BY rollout, stage, metric, arm, bin),
	sketches AS (SELECT rollout, stage, metric, arm, json_group_object(bin, n) AS bins FROM counted GROUP BY rollout, stage, metric, arm)
	SELECT rollout, stage, metric, arm, users, requests, requests_squared, means, squared_means, totals, squared_totals, logs, squared_logs, bins
	FROM sums JOIN sketches USING (rollout, stage, metric, arm) WHERE true
	ON CONFLICT DO UPDATE SET users = users + excluded.users, requests = requests + excluded.requests,
		requests_squared = requests_squared + excluded.requests_squared,
		sum_of_means = sum_of_means + excluded.sum_of_means, sum_of_squared_means = sum_of_squared_means + excluded.sum_of_squared_means,
		sum_of_totals = sum_of_totals + excluded.sum_of_totals, sum_of_squared_totals = sum_of_squared_totals + excluded.sum_of_squared_totals,
		sum_of_logs = sum_of_logs + excluded.sum_of_logs, sum_of_squared_logs = sum_of_squared_logs + excluded.sum_of_squared_logs,
		bins = ${mergedBins("telemetry_arms")}`;
