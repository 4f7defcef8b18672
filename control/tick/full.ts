import { ACTIVE } from "../../core/rollouts/state";
import type { Act } from "../store/audit";
import type { Database } from "../store/database";
import { takeBack } from "../store/emergency";

const FOLLOWED_MS = 3_600_000;

/**
 * A full rollback takes back every rollout of its environment that somebody had started by then, in the name of whoever gave it. Asked
 * again with each tick, so that it does not matter where that one has died.
 */
export async function followFull(db: Database, act: Act, realNow: number): Promise<boolean> {
	const { results } = await db.$client
		.prepare(
			`SELECT o.id, o.environment, r.actor, max(r.at_ms) FROM rollbacks AS r JOIN rollouts AS o ON o.environment = r.environment
			WHERE r.strategy = 'full' AND r.recorded_at_ms > ?1 AND o.status IN (SELECT value FROM json_each(?2))
				AND coalesce((SELECT max(at_ms) FROM rollout_events WHERE rollout = o.id AND "before" ->> '$.status' = 'draft'), o.created_at_ms) <= r.at_ms
			GROUP BY o.id`,
		)
		.bind(realNow - FOLLOWED_MS, JSON.stringify(ACTIVE))
		.all<{ id: string; environment: string; actor: string }>();
	const lost: string[] = [];
	for (const rows of Map.groupBy(results, ({ environment, actor }) => JSON.stringify([environment, actor])).values()) {
		const [first] = rows;
		if (!first) continue;
		const { environment, actor } = first;
		const of = { kind: "rollouts" as const, keys: rows.map(({ id }) => id) };
		// oxlint-disable-next-line no-await-in-loop -- two environments
		if (!(await takeBack(db, { environment, of, kill: false }, { ...act, actor }, realNow))) lost.push(environment);
	}
	if (lost.length > 0) throw new Error(`lost against others in ${lost.join(", ")}`);
	return results.length > 0;
}
