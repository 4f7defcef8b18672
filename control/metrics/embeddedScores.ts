import type { Arm, Scored } from "../../core/health/observation";
import { EVIDENCE, POINTS, adding } from "./embeddedPoints";
import { QUESTIONS, asked, readWatermark } from "./embeddedQuestions";
import type { Of, Question } from "./source";

/**
 * A user is scored once in a rollout: with the tenth scored request, or an hour after the first one with what there is by then.
 * From there on their row never changes again, so a window that is read twice says the same twice.
 */

const REQUESTS = 10;

/** The requests that bring users to ten, of those who have not been scored: whose first epoch is aged they have. */
export const SCORED = `INSERT INTO telemetry_scored (rollout, metric, unit, arm, served, first_epoch, tenth_epoch, requests, sum_log)
	WITH ${POINTS}, ${EVIDENCE},
	numbered AS (
		SELECT e.rollout, e.metric, e.unit, e.arm, e.served, e.epoch, e.ln,
			coalesce(s.requests, 0) + row_number() OVER (PARTITION BY e.rollout, e.metric, e.unit ORDER BY e.n) AS i
		FROM evidence AS e LEFT JOIN telemetry_scored AS s USING (rollout, metric, unit)
		WHERE e.scored AND (s.unit IS NULL OR s.first_epoch > (SELECT aged FROM telemetry_epoch))),
	-- With one min() the bare columns are those of the row that has it: the user's first request.
	taken AS (
		SELECT rollout, metric, unit, arm, served, epoch, min(i), sum(i = ${REQUESTS}) AS has_tenth, count(*) AS requests, sum(ln) AS sum_log
		FROM numbered WHERE i <= ${REQUESTS} GROUP BY rollout, metric, unit)
	SELECT rollout, metric, unit, arm, served, epoch, iif(has_tenth, epoch, NULL), requests, sum_log FROM taken WHERE true
	ON CONFLICT DO UPDATE SET tenth_epoch = excluded.tenth_epoch, ${adding("requests", "sum_log")}`;

/** A score in steps of 0.05, rounded toward 0 as casts do. */
const STEPS = 20;

const FIND = `WITH ${QUESTIONS},
	new AS (
		SELECT s.rollout, metric, arm, served, sum_log / requests AS mean
		FROM q CROSS JOIN telemetry_scored AS s ON s.rollout = q.rollout AND tenth_epoch > q.after AND tenth_epoch <= ?2
		UNION ALL
		SELECT s.rollout, metric, arm, served, sum_log / requests
		FROM q CROSS JOIN telemetry_scored AS s ON s.rollout = q.rollout AND first_epoch > q.aged_after AND first_epoch <= ?3
		WHERE tenth_epoch IS NULL),
	scores AS (
		SELECT rollout, score.value ->> 0 AS signal, score.value ->> 1 AS metric,
			score.value ->> 2 AS center, score.value ->> 3 AS spread, score.value ->> 4 AS shift
		FROM q, json_each(scores) AS score)
	SELECT rollout, signal, arm, served, count(*) AS units,
		CAST(${STEPS} * max(-1.0, min(1.0, (mean - center - iif(arm = 'candidate', shift, 0)) / (2 * spread))) AS INTEGER) AS steps
	FROM new JOIN scores USING (rollout, metric)
	GROUP BY rollout, signal, arm, served, steps`;

interface ScoredRow {
	readonly rollout: string;
	readonly signal: string;
	readonly arm: Arm;
	readonly served: number;
	readonly units: number;
	readonly steps: number;
}

export async function scored(db: D1Database, questions: readonly Question[], upTo: string): Promise<Of<Scored>[]> {
	const { epoch, aged } = readWatermark(upTo);
	const found = await db.prepare(FIND).bind(asked(questions), epoch, aged).all<ScoredRow>();
	return found.results.map(({ steps, ...row }) => ({ ...row, score: steps / STEPS }));
}
