import { env } from "cloudflare:workers";
import { readHead } from "../../../../control/store/publication";
import { db } from "./fixtures";

/** What a database and KV say of rollouts, and the way back to what they said before. */

async function tables(withTelemetry: boolean): Promise<readonly string[]> {
	const { results } = await env.DB.prepare(
		`SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%' AND name NOT LIKE 'd1%' AND name NOT LIKE '\\_cf%' ESCAPE '\\' AND name NOT LIKE 'saved_%'`,
	).all<{ name: string }>();
	return results.map(({ name }) => name).filter((name) => withTelemetry || !name.startsWith("telemetry"));
}

/** Remembers everything as it is, under a name. The function that is returned brings it back. Of telemetry ticks write the epochs only, which only grow. */
export async function saved(as: string, withTelemetry: boolean): Promise<() => Promise<void>> {
	const names = await tables(withTelemetry);
	const copy = (name: string): string => `saved_${as}_${name}`;
	await env.DB.batch(
		names.flatMap((name) => [
			env.DB.prepare(`DROP TABLE IF EXISTS ${copy(name)}`),
			env.DB.prepare(`CREATE TABLE ${copy(name)} AS SELECT * FROM ${name}`),
		]),
	);
	const kept = new Map<string, string>();
	// oxlint-disable-next-line no-await-in-loop -- few
	for (const { name } of (await env.SNAPSHOTS.list()).keys) kept.set(name, (await env.SNAPSHOTS.get(name)) ?? "");
	return async () => {
		await env.DB.batch(
			names.flatMap((name) => [env.DB.prepare(`DELETE FROM ${name}`), env.DB.prepare(`INSERT INTO ${name} SELECT * FROM ${copy(name)}`)]),
		);
		const { keys } = await env.SNAPSHOTS.list();
		await Promise.all(keys.filter(({ name }) => !kept.has(name)).map(({ name }) => env.SNAPSHOTS.delete(name)));
		await Promise.all([...kept].map(([name, text]) => env.SNAPSHOTS.put(name, text)));
	};
}

/** In an order that does not depend on who was first, without numbers that are drawn and real times. */
const ASKED: Readonly<Record<string, string>> = {
	rollouts: "SELECT id, status, revision, state, failed_changes, ticked_at_ms, started_at_ms FROM rollouts ORDER BY id",
	events: `SELECT rollout, revision, at_ms, kind, reason AS trigger, message, actor, correlation_id, "before", "after", evidence
		FROM rollout_events ORDER BY rollout, revision`,
	audit: `SELECT at_ms, actor, resource, action, reason, correlation_id, "before", "after" FROM audit ORDER BY resource, id`,
	outbox: "SELECT at_ms, type, subject, payload FROM outbox ORDER BY subject, type, id",
	flags: "SELECT environment, key, version, config, updated_at_ms FROM flags ORDER BY environment, key",
	versions: "SELECT environment, key, version, config, at_ms, actor, reason FROM flag_versions ORDER BY environment, key, version",
	overlays: "SELECT environment, kind, key FROM overlays ORDER BY environment, kind, key",
	active: "SELECT environment, flag, rollout FROM active_flags ORDER BY environment, flag",
	checks: "SELECT rollout, stage, name, status, critical, at_ms FROM check_results ORDER BY rollout, stage, name",
	rollbacks: `SELECT rollout, revision, strategy, "trigger", actor, at_ms, detect_ms, due_at_ms IS NULL AS done,
		(SELECT group_concat(value ->> 'step' || ' ' || (value ->> 'status')) FROM json_each(steps)) AS steps,
		edge_safe_at_ms IS NULL AS unsafe, verified_at_ms IS NULL AS unverified, failure FROM rollbacks ORDER BY rollout, revision`,
	deliveries: `SELECT d.webhook, d.subject, o.type, d.status FROM webhook_deliveries AS d JOIN outbox AS o ON o.id = d.event
		ORDER BY d.webhook, d.subject, o.type, o.id`,
	pending: "SELECT name, changed - version AS pending FROM environments ORDER BY name",
	head: "SELECT content > kv AS pending, last_tick_ms FROM head",
};

/** What depends on the minute in which something was decided, and on how often was looked. */
const OF_THE_MINUTE = new Set([
	"message",
	"reason",
	"evidence",
	"correlation_id",
	"quietTicks",
	"failedReads",
	"ticks",
	"alerting",
	"guards",
	"before",
	"after",
]);

export type Story = Readonly<Record<string, unknown>>;

/** Everything that ticks have made, in words that two runs can be compared by; as an outline where they decided in other minutes. */
export async function story(as: "exact" | "outline"): Promise<Story> {
	const found = await env.DB.batch<Record<string, unknown>>(Object.values(ASKED).map((sql) => env.DB.prepare(sql)));
	const { head } = await readHead(db);
	const { version = 0, overlay } = head.environments["production"] ?? {};
	const body = (await env.SNAPSHOTS.get(`snapshot/production/${version}`)) ?? "";
	const inKv = (JSON.parse((await env.SNAPSHOTS.get("head")) ?? "null") as typeof head | null)?.environments["production"];
	const whole = {
		...Object.fromEntries(Object.keys(ASKED).map((name, i) => [name, found[i]?.results])),
		// Their hashes are the version's.
		served: body
			.split("\n")
			.slice(1)
			.map((line) => ({ key: line.split("\t")[0], is: line.split("\t")[2] })),
		inKv: inKv?.version === version && JSON.stringify(inKv.overlay) === JSON.stringify(overlay),
	};
	return plainOf(whole, as) as Story;
}

/** With JSON as what it says, so that a difference is shown where it is; how far metrics were read is a number that is drawn. */
function plainOf(value: unknown, as: "exact" | "outline"): unknown {
	if (typeof value === "string" && /^[[{]/.test(value)) return plainOf(JSON.parse(value), as);
	if (Array.isArray(value)) return value.map((each) => plainOf(each, as));
	if (typeof value !== "object" || value === null) return value;
	const isLeftOut = (name: string): boolean => as === "outline" && (OF_THE_MINUTE.has(name) || /(_ms|Ms)$/.test(name));
	return Object.fromEntries(
		Object.entries(value).flatMap(([name, each]) => {
			if (isLeftOut(name)) return [];
			return [[name, name === "watermark" && each !== null ? "read" : plainOf(each, as)]];
		}),
	);
}

/** Where two stories differ; empty: nowhere. */
export function differences(wanted: unknown, found: unknown, path = ""): readonly string[] {
	if (JSON.stringify(wanted) === JSON.stringify(found)) return [];
	const isOpen = (value: unknown): value is object => typeof value === "object" && value !== null;
	if (!isOpen(wanted) || !isOpen(found) || (Array.isArray(wanted) && wanted.length !== (found as unknown[]).length))
		return [`${path}: ${textOf(found)}, not ${textOf(wanted)}`];
	const names = new Set([...Object.keys(wanted), ...Object.keys(found)]);
	return [...names].flatMap((name) => differences(Reflect.get(wanted, name), Reflect.get(found, name), `${path}/${name}`));
}

const textOf = (value: unknown): string => (JSON.stringify(value) ?? "nothing").slice(0, 300);
