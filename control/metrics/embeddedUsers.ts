import { type Arm, type ArmQuantiles, type ArmSums, QUANTILES } from "../../core/health/observation";
import type { MeanSums } from "../../core/statistics/sequences";
import { type Sketch, mergeSketches, quantileOf } from "../../core/statistics/sketch";
import { EVIDENCE, POINTS, adding, addingBins } from "./embeddedPoints";
import { QUESTIONS, askedByRing } from "./embeddedQuestions";
import { RING, sumOf, withNewest } from "./rings";
import type { Of, Question } from "./source";

/**
 * What users did in a stage of a rollout, and the sums over them. Users are many and sums few, so the sums are kept up with every
 * write, by what each user's growth adds to them: from r0 requests, of which y0 were harmed, to r1 and y1.
 */

const USER = "rollout, stage, metric, unit";
const ARM = "rollout, stage, metric, arm";

/** A batch by user; with one min() SQLite takes the bare columns from the row that has it, so the arm is the first request's. */
const BY_UNIT = `by_unit AS (
	SELECT ${USER}, arm, min(n) AS earliest, count(*) AS r, sum(v) AS s, sum(ln) AS l FROM evidence GROUP BY ${USER})`;

/** By user and signal that took any of their requests for harm. */
const BY_SIGNAL = `by_signal AS (
	SELECT ${USER}, harm.value AS signal, min(n) AS earliest, count(*) AS y FROM evidence, json_each(signals) AS harm GROUP BY ${USER}, harm.value)`;

/** s is the sum of a user's values, m their mean, g the mean of their logarithms. 0.0: whole values would divide as integers. */
export const ARMS = `INSERT INTO telemetry_arms (${ARM}, users, requests, requests_squared,
		sum_of_means, sum_of_squared_means, sum_of_totals, sum_of_squared_totals, sum_of_logs, sum_of_squared_logs, bins)
	WITH ${POINTS}, ${EVIDENCE}, ${BY_UNIT},
	grown AS (
		SELECT b.rollout, b.stage, b.metric, b.arm,
			coalesce(u.requests, 0) AS r0, coalesce(u.requests, 0) + r AS r1,
			coalesce(u.sum, 0.0) AS s0, coalesce(u.sum, 0.0) + s AS s1,
			coalesce(u.sum / u.requests, 0.0) AS m0, (coalesce(u.sum, 0.0) + s) / (coalesce(u.requests, 0) + r) AS m1,
			coalesce(u.sum_log / u.requests, 0.0) AS g0, (coalesce(u.sum_log, 0.0) + l) / (coalesce(u.requests, 0) + r) AS g1
		FROM by_unit AS b LEFT JOIN telemetry_units AS u USING (${USER})),
	sums AS (
		SELECT ${ARM}, sum(r0 = 0) AS users, sum(r1 - r0) AS requests, sum(r1 * r1 - r0 * r0) AS requests_squared,
			sum(m1 - m0) AS m, sum(m1 * m1 - m0 * m0) AS mm, sum(s1 - s0) AS s, sum(s1 * s1 - s0 * s0) AS ss,
			sum(g1 - g0) AS g, sum(g1 * g1 - g0 * g0) AS gg
		FROM grown GROUP BY ${ARM}),
	counted AS (SELECT ${ARM}, bin, count(*) AS n FROM evidence GROUP BY ${ARM}, bin),
	sketches AS (SELECT ${ARM}, json_group_object(bin, n) AS bins FROM counted GROUP BY ${ARM})
	SELECT ${ARM}, users, requests, requests_squared, m, mm, s, ss, g, gg, bins FROM sums JOIN sketches USING (${ARM}) WHERE true
	ON CONFLICT DO UPDATE SET ${adding("users", "requests", "requests_squared")},
		${adding("sum_of_means", "sum_of_squared_means", "sum_of_totals", "sum_of_squared_totals", "sum_of_logs", "sum_of_squared_logs")},
		${addingBins("telemetry_arms")}`;

/** Σy·r grows with every request of a user who was ever harmed: those who come again are looked up among the harmed. */
export const SIGNALS = `INSERT INTO telemetry_signals (${ARM}, signal, harmed_users, harms, harms_squared, harms_times_requests, harmed_first)
	WITH ${POINTS}, ${EVIDENCE}, ${BY_UNIT}, ${BY_SIGNAL},
	parts AS (
		SELECT ${USER}, signal, 0 AS y0, y, earliest FROM by_signal
		UNION ALL
		SELECT ${USER}, signal, harms, 0, NULL FROM by_unit JOIN telemetry_harmed USING (${USER})),
	harmed AS (SELECT ${USER}, signal, sum(y0) AS y0, sum(y0) + sum(y) AS y1, min(earliest) AS earliest FROM parts GROUP BY ${USER}, signal),
	grown AS (
		SELECT h.rollout, h.stage, h.metric, b.arm, h.signal, y0, y1, coalesce(u.requests, 0) AS r0, coalesce(u.requests, 0) + r AS r1,
			u.unit IS NULL AND h.earliest = b.earliest AS is_first
		FROM harmed AS h JOIN by_unit AS b USING (${USER}) LEFT JOIN telemetry_units AS u USING (${USER}))
	SELECT ${ARM}, signal, sum(y0 = 0), sum(y1 - y0), sum(y1 * y1 - y0 * y0), sum(y1 * r1 - y0 * r0), sum(is_first)
	FROM grown WHERE true GROUP BY ${ARM}, signal
	ON CONFLICT DO UPDATE SET ${adding("harmed_users", "harms", "harms_squared", "harms_times_requests", "harmed_first")}`;

/** Written after SIGNALS, which reads it. */
export const HARMED = `INSERT INTO telemetry_harmed (${USER}, signal, harms)
	WITH ${POINTS}, ${EVIDENCE}, ${BY_SIGNAL} SELECT ${USER}, signal, y FROM by_signal WHERE true
	ON CONFLICT DO UPDATE SET ${adding("harms")}`;

/** Written after ARMS and SIGNALS, which read it. */
export const UNITS = `INSERT INTO telemetry_units (${USER}, arm, requests, sum, sum_log)
	WITH ${POINTS}, ${EVIDENCE}, ${BY_UNIT} SELECT ${USER}, arm, r, s, l FROM by_unit WHERE true
	ON CONFLICT DO UPDATE SET ${adding("requests", "sum", "sum_log")}`;

interface SumsRow {
	readonly rollout: string;
	/** Of one ring. */
	readonly stage: number;
	readonly metric: string;
	readonly arm: Arm;
	readonly users: number;
	readonly requests: number;
	readonly requests_squared: number;
	readonly sum_of_means: number;
	readonly sum_of_squared_means: number;
	readonly sum_of_totals: number;
	readonly sum_of_squared_totals: number;
	readonly sum_of_logs: number;
	readonly sum_of_squared_logs: number;
	/** JSON: by signal, its sums in the order of the statement. */
	readonly signals: string;
}

type SignalSums = readonly [harmedUsers: number, harms: number, harmsSquared: number, harmsTimesRequests: number, harmedFirst: number];
const UNHARMED: SignalSums = [0, 0, 0, 0, 0];

export async function userSums(db: D1Database, questions: readonly Question[]): Promise<Of<ArmSums>[]> {
	const found = await db
		.prepare(
			`WITH ${QUESTIONS}
			SELECT a.rollout, a.stage, metric, arm, users, requests, requests_squared,
				sum_of_means, sum_of_squared_means, sum_of_totals, sum_of_squared_totals, sum_of_logs, sum_of_squared_logs,
				(SELECT json_group_object(signal, json_array(harmed_users, harms, harms_squared, harms_times_requests, harmed_first))
					FROM telemetry_signals AS s WHERE (s.rollout, s.stage, s.metric, s.arm) = (a.rollout, a.stage, a.metric, a.arm)) AS signals
			FROM q CROSS JOIN telemetry_arms AS a ON a.rollout = q.rollout AND a.stage = q.stage`,
		)
		.bind(askedByRing(questions))
		.all<SumsRow>();
	const wanted = new Map(questions.map(({ rollout, signals }) => [rollout, signals]));
	const sums = found.results.flatMap((row) => {
		const harms = new Map(Object.entries(JSON.parse(row.signals) as Record<string, SignalSums>));
		const ofMetric = wanted.get(row.rollout)?.filter(({ metric }) => metric === row.metric) ?? [];
		return ofMetric.map(({ key }) => armSums(row, key, harms.get(key) ?? UNHARMED));
	});
	return withNewest(sums, questions, ({ signal, arm }) => [signal, arm], sumOf);
}

/** Of a row of one ring: which; of those of none nothing. */
const ringOf = ({ stage }: { readonly stage: number }): { readonly ring?: number } =>
	stage < RING ? {} : { ring: Math.floor(stage / RING) };

function armSums(row: SumsRow, signal: string, sums: SignalSums): Of<ArmSums> {
	const [harmedUsers, harms, harmsSquared, harmsTimesRequests, harmedFirst] = sums;
	const { rollout, metric, arm, users, requests } = row;
	// Differences of sums: rounding may leave a hair below zero.
	const of = (sum: number, squared: number): MeanSums => ({ users, sumOfMeans: sum, sumOfSquaredMeans: Math.max(0, squared) });
	return {
		rollout,
		...ringOf(row),
		signal,
		metric,
		arm,
		users: { users, harmedUsers, requests, harms, harmsSquared, harmsTimesRequests, requestsSquared: row.requests_squared },
		harmedFirst,
		means: of(row.sum_of_means, row.sum_of_squared_means),
		totals: of(row.sum_of_totals, row.sum_of_squared_totals),
		logs: of(row.sum_of_logs, row.sum_of_squared_logs),
	};
}

interface BinsRow {
	readonly rollout: string;
	readonly stage: number;
	readonly metric: string;
	readonly arm: Arm;
	readonly bins: string;
}

export async function quantiles(db: D1Database, questions: readonly Question[]): Promise<Of<ArmQuantiles>[]> {
	const found = await db
		.prepare(
			`WITH ${QUESTIONS}
			SELECT a.rollout, a.stage, metric, arm, bins FROM q CROSS JOIN telemetry_arms AS a ON a.rollout = q.rollout AND a.stage = q.stage`,
		)
		.bind(askedByRing(questions))
		.all<BinsRow>();
	const sketches = found.results.map(({ rollout, stage, metric, arm, bins }) => ({
		rollout,
		...ringOf({ stage }),
		metric,
		arm,
		sketch: JSON.parse(bins) as Sketch,
	}));
	const merged = withNewest(
		sketches,
		questions,
		({ metric, arm }) => [metric, arm],
		(a, b) => ({ ...a, sketch: mergeSketches([a.sketch, b.sketch]) }),
	);
	return merged.map(({ sketch, ...of }) => {
		const [p50, p75, p90, p95, p99] = QUANTILES.map((each) => quantileOf(sketch, each) ?? 0) as [number, number, number, number, number];
		return { ...of, p50, p75, p90, p95, p99 };
	});
}
