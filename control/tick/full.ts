import { ACTIVE } from "../../core/rollouts/state";
import type { Act } from "../store/audit";
import type { Database } from "../store/database";
import { takeBack } from "../store/emergency";

const FOLLOWED_MS = 3_600_000;

/**
 * A full rollback takes back every rollout of its environment that was there. Asked again with each tick, so that it does not
 * matter where whoever began it has died.
 */
export async function followFull(db: Database, act: Act, realNow: number): Promise<boolean> {
	const { results } = await db.$client
		.prepare(
			`SELECT DISTINCT o.id, o.environment FROM rollbacks AS r JOIN rollouts AS o ON o.environment = r.environment
			WHERE r.strategy = 'full' AND r.recorded_at_ms > ?1 AND o.status IN (SELECT value FROM json_each(?2))
				AND coalesce(o.started_at_ms, o.created_at_ms) <= r.at_ms`,
		)
		.bind(realNow - FOLLOWED_MS, JSON.stringify(ACTIVE))
		.all<{ id: string; environment: string }>();
	const lost: string[] = [];
	for (const [environment, rows] of Map.groupBy(results, (each) => each.environment)) {
		const of = { kind: "rollouts" as const, keys: rows.map(({ id }) => id) };
		// oxlint-disable-next-line no-await-in-loop -- two environments
		if (!(await takeBack(db, { environment, of, kill: false }, act, realNow))) lost.push(environment);
	}
	if (lost.length > 0) throw new Error(`lost against others in ${lost.join(", ")}`);
	return results.length > 0;
}
