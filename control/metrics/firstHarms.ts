import type { Arm, FirstHarms } from "../../core/health/observation";
import { partsOf } from "./parts";
import { RING } from "./rings";
import type { Of } from "./source";

/**
 * Who was harmed, once for each signal, arm and served share, whatever store the outcomes are in: it is the set of the counted,
 * and nothing else could tell a late harm from a repeated one.
 *
 * Time is counted in epochs. What arrives is stamped with the open epoch; a reader closes it first and reads up to it, so a
 * window that was read never grows, whatever arrives late, and two readers at once close two epochs.
 */

export interface HarmRow {
	readonly rollout: string;
	readonly signal: string;
	readonly unit: string;
	readonly arm: Arm;
	/** Buckets that were served the candidate then. */
	readonly served: number;
	readonly ring?: number;
}

/** Harms already known change nothing. For a batch of the caller's. */
export function insertHarms(db: D1Database, rows: readonly HarmRow[]): D1PreparedStatement[] {
	const insert = db.prepare(
		`INSERT INTO telemetry_harms (rollout, signal, unit, arm, served, epoch)
		SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, (SELECT epoch FROM telemetry_epoch) FROM json_each(?1) WHERE true
		ON CONFLICT DO NOTHING`,
	);
	return partsOf(rows.map(({ rollout, signal, unit, arm, served, ring = 0 }) => [rollout, signal, unit, arm, served + ring * RING])).map(
		(part) => insert.bind(part),
	);
}

/** So long after its epoch was closed, a user is old enough to be judged by what there is. */
const AGED_MS = 3_600_000;

export interface Closed {
	/** The epoch that was open: nothing will be stamped with it any more. */
	readonly epoch: number;
	/** The newest one that was closed an hour before; 0: none was. It never goes back, whatever the clocks of readers say. */
	readonly aged: number;
}

/** `nowMs` is the reader's clock. */
export async function closeEpoch(db: D1Database, nowMs: number): Promise<Closed> {
	const [, closed] = await db.batch<Closed>([
		db.prepare("INSERT INTO telemetry_epochs (epoch, closed_at_ms) SELECT epoch, ?1 FROM telemetry_epoch").bind(nowMs),
		db
			.prepare(
				`UPDATE telemetry_epoch SET epoch = epoch + 1,
					aged = max(aged, coalesce((SELECT max(old.epoch) FROM telemetry_epochs AS old WHERE old.closed_at_ms <= ?1), 0))
				RETURNING epoch - 1 AS epoch, aged`,
			)
			.bind(nowMs - AGED_MS),
	]);
	const row = closed?.results[0];
	if (!row) throw new Error("telemetry_epoch is empty: apply the migrations");
	return row;
}

/** What has been read of a rollout: every epoch up to this one. */
export interface HarmsQuestion {
	readonly rollout: string;
	readonly afterEpoch: number;
}

/** Of one epoch the smaller share comes first, and of one share, where a user has changed rings, the smaller number. */
const BEFORE = `(p.epoch < h.epoch OR (p.epoch = h.epoch AND (p.served % ${RING}, p.served) < (h.served % ${RING}, h.served)))`;

/**
 * A unit is counted at its first harm at a served share, unless it was harmed in the candidate before, or was counted in
 * control at the same share or a larger one (then its arm is known already, and nothing is learnt). What the candidate did at 0 %,
 * where answers are only compared, harmed nobody.
 */
export async function firstHarms(db: D1Database, questions: readonly HarmsQuestion[], upToEpoch: number): Promise<Of<FirstHarms>[]> {
	const asked = JSON.stringify(questions.map(({ rollout, afterEpoch }) => [rollout, afterEpoch]));
	const found = await db
		.prepare(
			`WITH found AS (
				SELECT h.rollout, h.signal, h.arm, h.served % ${RING} AS served, h.served / ${RING} AS ring,
					(SELECT max(p.served % ${RING}) FROM telemetry_harms AS p
					WHERE p.rollout = h.rollout AND p.signal = h.signal AND p.unit = h.unit AND ${BEFORE}) AS before,
					EXISTS (SELECT 1 FROM telemetry_harms AS p
					WHERE p.rollout = h.rollout AND p.signal = h.signal AND p.unit = h.unit AND p.arm = 'candidate' AND p.served % ${RING} > 0 AND ${BEFORE}) AS was_candidate
				FROM json_each(?1) AS q JOIN telemetry_harms AS h ON h.rollout = q.value ->> 0 AND h.epoch > q.value ->> 1 AND h.epoch <= ?2)
			SELECT rollout, signal, arm, served, ring, before AS lastControlServed, count(*) AS units FROM found
			WHERE NOT was_candidate AND NOT (arm = 'candidate' AND served = 0) AND (before IS NULL OR before < served)
			GROUP BY rollout, signal, arm, served, ring, before`,
		)
		.bind(asked, upToEpoch)
		.all<Of<FirstHarms> & { readonly ring: number }>();
	return found.results.map(({ ring, ...row }) => (ring === 0 ? row : { ...row, ring }));
}
