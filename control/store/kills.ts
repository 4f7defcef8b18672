import type { Act } from "./audit";

/** Flags that are switched off for everybody, many in one transaction. */

/** Those of ?2 in ?1 that are on. A corrupt one is left: edges serve nobody its variants. */
export const KILLABLE =
	"environment = ?1 AND key IN (SELECT value FROM json_each(?2)) AND CASE WHEN json_valid(config) THEN config ->> '$.enabled' ELSE FALSE END";
const OFF = "json_set(config, '$.enabled', json('false'))";

/** Versions, audit rows and overlay first, by what the flags are; then the flags. The overlay has the number of the change that will absorb it. */
export function killStatements(client: D1Database, environment: string, named: string, act: Act, realNow: number): D1PreparedStatement[] {
	const { actor, reason, correlationId, atMs } = act;
	return [
		client.prepare("UPDATE environments SET changed = changed + 1, changed_at_ms = ?2 WHERE name = ?1").bind(environment, atMs),
		client
			.prepare(
				`INSERT INTO flag_versions (environment, key, version, config, at_ms, actor, reason)
				SELECT environment, key, version + 1, ${OFF}, ?3, ?4, ?5 FROM flags WHERE ${KILLABLE}`,
			)
			.bind(environment, named, atMs, actor, reason),
		client
			.prepare(
				`INSERT INTO audit (at_ms, actor, resource, action, reason, correlation_id, "before", "after")
				SELECT ?3, ?4, 'flags/' || environment || '/' || key, 'flag.killed', ?5, ?6, config, ${OFF} FROM flags WHERE ${KILLABLE}`,
			)
			.bind(environment, named, atMs, actor, reason, correlationId),
		client
			.prepare(
				`INSERT INTO overlays (environment, kind, key, changed, added_at_ms)
				SELECT environment, 'kill', key, (SELECT changed FROM environments WHERE name = ?1), ?3 FROM flags WHERE ${KILLABLE}
				ON CONFLICT (environment, kind, key) DO UPDATE SET changed = excluded.changed, added_at_ms = excluded.added_at_ms`,
			)
			.bind(environment, named, realNow),
		client
			.prepare(`UPDATE flags SET version = version + 1, config = ${OFF}, updated_at_ms = ?3 WHERE ${KILLABLE}`)
			.bind(environment, named, atMs),
		client.prepare("UPDATE head SET revision = revision + 1, content = revision + 1"),
	];
}
