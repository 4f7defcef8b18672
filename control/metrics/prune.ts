import { prunePerformance } from "./embeddedPerformance";
import { pruneSystem } from "./embeddedSystem";

const DAY_MS = 86_400_000;
const OF_ROLLOUTS = ["totals", "units", "arms", "harmed", "signals", "harms", "exposures", "exposed", "scored"];

/**
 * Forgets what nothing will ask for again: ids after a day, the numbers of rollouts that ended a day ago by the tick's clock (`nowMs`), what
 * flags and origins did after their time. Outcomes are stamped with real time, so theirs is `realNowMs`.
 */
export async function prune(db: D1Database, nowMs: number, realNowMs: number): Promise<void> {
	const ended = `SELECT r.id FROM rollouts AS r WHERE r.status IN ('rolled_back', 'completed', 'cancelled')
		AND (SELECT max(e.at_ms) FROM rollout_events AS e WHERE e.rollout = r.id) < ?1`;
	await db.batch([
		db.prepare("DELETE FROM telemetry_event_ids WHERE at_ms < ?1").bind(realNowMs - DAY_MS),
		db.prepare("DELETE FROM telemetry_epochs WHERE epoch <= (SELECT aged FROM telemetry_epoch)"),
		...OF_ROLLOUTS.map((table) => db.prepare(`DELETE FROM telemetry_${table} WHERE rollout IN (${ended})`).bind(nowMs - DAY_MS)),
		...prunePerformance(db, realNowMs),
		pruneSystem(db, realNowMs),
	]);
}
