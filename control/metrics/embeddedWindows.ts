import type { FirstExposures, WindowTotal } from "../../core/health/observation";
import { EVIDENCE, POINTS, adding } from "./embeddedPoints";
import { QUESTIONS, asked, readWatermark } from "./embeddedQuestions";
import { RING } from "./rings";
import type { Of, Question } from "./source";

/** What arrived in an epoch: outcomes, harms, and users who were never seen before. */

export const TOTALS = `INSERT INTO telemetry_totals (rollout, epoch, metric, arm, requests, sum)
	WITH ${POINTS}
	SELECT rollout, epoch, metric, arm || iif(ring > 0, '/' || ring, ''), count(*), sum(v) FROM points
	WHERE arm IS NOT 'outside' GROUP BY rollout, metric, arm, ring
	ON CONFLICT DO UPDATE SET ${adding("requests", "sum")}`;

export const HARMS = `INSERT INTO telemetry_harms (rollout, signal, unit, arm, served, epoch)
	WITH ${POINTS}, ${EVIDENCE}
	SELECT DISTINCT rollout, harm.value, unit, arm, served + ring * ${RING}, epoch FROM evidence, json_each(signals) AS harm WHERE true
	ON CONFLICT DO NOTHING`;

/** With one min() SQLite takes the bare columns from the row that has it: those of the user's first request. */
export const EXPOSED = `INSERT INTO telemetry_exposed (rollout, epoch, arm, served, units)
	WITH ${POINTS}, ${EVIDENCE}, earliest AS (SELECT rollout, epoch, unit, arm, served, min(n) FROM evidence GROUP BY rollout, unit)
	SELECT rollout, epoch, arm, served, count(*) FROM earliest
	WHERE NOT EXISTS (SELECT 1 FROM telemetry_exposures AS seen WHERE seen.rollout = earliest.rollout AND seen.unit = earliest.unit)
	GROUP BY rollout, epoch, arm, served
	ON CONFLICT DO UPDATE SET ${adding("units")}`;

/** Written after EXPOSED, which reads it. */
export const EXPOSURES = `INSERT INTO telemetry_exposures (rollout, unit)
	WITH ${POINTS}, ${EVIDENCE} SELECT DISTINCT rollout, unit FROM evidence WHERE true
	ON CONFLICT DO NOTHING`;

export async function totals(db: D1Database, questions: readonly Question[], upTo: string): Promise<Of<WindowTotal>[]> {
	const found = await db
		.prepare(
			`WITH ${QUESTIONS}
			SELECT t.rollout, metric, arm, sum(requests) AS requests, sum(sum) AS sum
			FROM q CROSS JOIN telemetry_totals AS t ON t.rollout = q.rollout AND t.epoch > q.after AND t.epoch <= ?2
			GROUP BY t.rollout, metric, arm`,
		)
		.bind(asked(questions), readWatermark(upTo).epoch)
		.all<Of<WindowTotal>>();
	return found.results.map(({ arm: kept, ...row }) => {
		// As TOTALS writes it.
		const [arm, ring] = kept.split("/") as [WindowTotal["arm"], string?];
		return { ...row, arm, ...(ring === undefined ? {} : { ring: Number(ring) }) };
	});
}

export async function firstExposures(db: D1Database, questions: readonly Question[], upTo: string): Promise<Of<FirstExposures>[]> {
	const found = await db
		.prepare(
			`WITH ${QUESTIONS}
			SELECT t.rollout, arm, served, sum(units) AS units
			FROM q CROSS JOIN telemetry_exposed AS t ON t.rollout = q.rollout AND t.epoch > q.after AND t.epoch <= ?2
			GROUP BY t.rollout, arm, served`,
		)
		.bind(asked(questions), readWatermark(upTo).epoch)
		.all<Of<FirstExposures>>();
	return found.results;
}
