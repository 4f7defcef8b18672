import { env } from "cloudflare:workers";
import { started } from "./fixtures";

/** So many running rollouts in a few statements, of a flag each: copies of the first one, named `<name>-<n>.1`. */
export async function manyLive(name: string, count: number): Promise<readonly string[]> {
	const { id } = await started(`${name}-0`);
	const numbers = JSON.stringify(Array.from({ length: count - 1 }, (_, i) => i + 1));
	const copied = (sql: string): D1PreparedStatement => env.DB.prepare(sql).bind(numbers, name, `${name}-0`);
	await env.DB.batch([
		copied(`INSERT INTO flags (environment, key, version, config, updated_at_ms)
			SELECT environment, ?2 || '-' || n.value, version, json_set(config, '$.key', ?2 || '-' || n.value), updated_at_ms
			FROM json_each(?1) AS n JOIN flags ON flags.key = ?3`),
		copied(`INSERT INTO rollouts (id, environment, name, attempt, plan, status, revision, state, ticked_at_ms, created_at_ms, started_at_ms, failed_changes, author)
			SELECT ?2 || '-' || n.value || '.1', environment, ?2 || '-' || n.value, attempt,
				json_set(plan, '$.rollout', ?2 || '-' || n.value, '$.flags[0]', ?2 || '-' || n.value), status, revision, state, ticked_at_ms,
				created_at_ms, started_at_ms, failed_changes, author
			FROM json_each(?1) AS n JOIN rollouts ON rollouts.name = ?3`),
		copied(`INSERT INTO active_flags (environment, flag, rollout)
			SELECT environment, ?2 || '-' || n.value, ?2 || '-' || n.value || '.1' FROM json_each(?1) AS n JOIN active_flags ON active_flags.flag = ?3`),
	]);
	return [id, ...Array.from({ length: count - 1 }, (_, i) => `${name}-${i + 1}.1`)];
}
