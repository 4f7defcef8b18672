import type { Point } from "../../core/telemetry";
import { MINUTES, performance } from "./embeddedPerformance";
import { POINTS, rowOf } from "./embeddedPoints";
import { printWatermark, readWatermark } from "./embeddedQuestions";
import { SCORED, scored } from "./embeddedScores";
import { system } from "./embeddedSystem";
import { ARMS, HARMED, SIGNALS, UNITS, quantiles, userSums } from "./embeddedUsers";
import { EXPOSED, EXPOSURES, HARMS, TOTALS, firstExposures, totals } from "./embeddedWindows";
import { closeEpoch, firstHarms } from "./firstHarms";
import { partsOf } from "./parts";
import type { MetricsSource } from "./source";

/**
 * The embedded metric store: D1, aggregated on write. A batch of points enters as JSON parameters and is written in one
 * transaction, so it is stored whole or not at all; what arrives is stamped with the open epoch (see firstHarms.ts).
 */

/** In this order: sums are told from what users had before. */
const EVIDENCE_WRITES = [TOTALS, ARMS, SIGNALS, HARMED, UNITS, HARMS, EXPOSED, EXPOSURES, SCORED];

const IDS = `INSERT INTO telemetry_event_ids (environment, id, at_ms)
	WITH ${POINTS} SELECT DISTINCT ?2, id, ?3 FROM points WHERE id IS NOT NULL
	ON CONFLICT DO NOTHING`;

/** Stores all points or, rejecting, none. `nowMs` is when they arrived. */
export async function recordPoints(db: D1Database, environment: string, points: readonly Point[], nowMs: number): Promise<void> {
	if (points.length === 0) return;
	const parts = partsOf(withoutRepetitions(points).map((point) => rowOf(point)));
	const of = (statements: readonly string[], ...values: readonly unknown[]): D1PreparedStatement[] =>
		parts.flatMap((part) => statements.map((sql) => db.prepare(sql).bind(part, environment, ...values)));
	await db.batch([...of(EVIDENCE_WRITES), ...of([MINUTES], nowMs), ...of([IDS], nowMs)]);
}

/** An event is one point of a metric in each of its rollouts, and for each flag outside one. Ids of earlier batches are found in SQL, those of this one here. */
function withoutRepetitions(points: readonly Point[]): readonly Point[] {
	const seen = new Set<string>();
	return points.filter(({ id, rollout, flag, metric }) => {
		if (id === null) return true;
		const key = JSON.stringify(rollout === "" ? [id, "", flag] : [id, rollout, metric]);
		const isNew = !seen.has(key);
		seen.add(key);
		return isNew;
	});
}

export function embedded(db: D1Database): MetricsSource {
	return {
		watermark: async (nowMs) => printWatermark(await closeEpoch(db, nowMs)),
		totals: (questions, upTo) => totals(db, questions, upTo),
		firstHarms: (questions, upTo) =>
			firstHarms(
				db,
				questions.map(({ rollout, after }) => ({ rollout, afterEpoch: readWatermark(after ?? "0").epoch })),
				readWatermark(upTo).epoch,
			),
		// Sums and sketches are as new as they can be: what came after the watermark is part of them.
		userSums: (questions) => userSums(db, questions),
		quantiles: (questions) => quantiles(db, questions),
		firstExposures: (questions, upTo) => firstExposures(db, questions, upTo),
		scored: (questions, upTo) => scored(db, questions, upTo),
		performance: (environment, fromMs, toMs) => performance(db, environment, fromMs, toMs),
		system: (environment, fromMs) => system(db, environment, fromMs),
	};
}
