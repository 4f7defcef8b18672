import type { Arm } from "../../core/health/observation";
import { log } from "../log";
import type { Query, Row } from "./analyticsEngineApi";
import { harms } from "./analyticsEngineQueries";
import { type HarmRow, insertHarms } from "./firstHarms";

/**
 * Analytics Engine cannot tell whether a harmed user was counted before, so harm is copied to D1, which can, as it arrives. It
 * is read twice: as soon as it can be, and once more when ten minutes old, for what came late. What is known already changes
 * nothing, so a copy may be repeated: the cursors are kept in the batch that inserts, and a process that dies before it leaves
 * them where they were.
 */

const SETTLED_SECONDS = 600;
/** Of one reading. What it could not hold is read by the next. */
export const HARMS_MAX = 50_000;

/** Whole seconds; everything up to here has been read. */
interface Cursors {
	readonly fresh: number;
	readonly settled: number;
}

export interface HarmLog {
	readonly db: D1Database;
	readonly query: Query;
	/** The dataset, as the queries name it. */
	readonly from: string;
	readonly limit: number;
}

/** Copies what arrived up to that second. */
export async function copyHarms(given: HarmLog, upTo: number): Promise<void> {
	const cursors = await given.db.prepare("SELECT fresh, settled FROM telemetry_ingest WHERE id = 1").first<Cursors>();
	const [fresh, settled] = await Promise.all([
		read(given, cursors?.fresh ?? 0, upTo),
		read(given, cursors?.settled ?? 0, Math.max(0, upTo - SETTLED_SECONDS)),
	]);
	await given.db.batch([
		...insertHarms(given.db, [...settled.rows, ...fresh.rows]),
		given.db
			.prepare(
				`INSERT INTO telemetry_ingest (id, fresh, settled) VALUES (1, ?1, ?2)
				ON CONFLICT DO UPDATE SET fresh = max(fresh, excluded.fresh), settled = max(settled, excluded.settled)`,
			)
			.bind(fresh.readTo, settled.readTo),
	]);
}

async function read(
	{ query, from, limit }: HarmLog,
	after: number,
	upTo: number,
): Promise<{ readonly rows: readonly HarmRow[]; readonly readTo: number }> {
	if (upTo <= after) return { rows: [], readTo: after };
	const found = await query(harms(from, after, upTo, limit));
	const rows = found.map(harmOf);
	if (found.length < limit) return { rows, readTo: upTo };
	// The last second may have more than was read. One that alone is more than can be read is left at that: a sample of its
	// harm, as Analytics Engine's own would be, rather than a reader that never gets past it.
	const last = found.at(-1)?.number("since") ?? upTo;
	const readTo = Math.max(last - 1, after) === after ? last : last - 1;
	log("harms_beyond_limit", { limit, readTo, upTo });
	return { rows, readTo };
}

const harmOf = (row: Row): HarmRow => ({
	rollout: row.text("rollout"),
	signal: row.text("signal"),
	unit: row.text("who"),
	arm: armOf(row),
	served: row.number("served"),
	...ringOf(row),
});

/** Of a row of one ring: which; of those of none nothing. */
export function ringOf(row: Row): { readonly ring?: number } {
	const ring = row.text("ring");
	return ring === "" ? {} : { ring: Number(ring) };
}

export function armOf(row: Row): Arm {
	return row.text("arm") === "candidate" ? "candidate" : "control";
}
