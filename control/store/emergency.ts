import { and, eq, notInArray, sql } from "drizzle-orm";
import { command } from "../../core/rollouts/command";
import type { Act } from "./audit";
import { changeStatements } from "./changeStatements";
import { isConflict } from "./conflict";
import type { Database } from "./database";
import { type RolloutChange, damagedBack } from "./rolloutChanges";
import { AT_REST, parsed, selectAmong } from "./rollouts";
import { activeFlags, flags, head, rollouts } from "./schema";

/** Everything that is live taken back in one transaction, however much it is. */

export interface Emergency {
	readonly environment: string;
	/** Whose rollouts end: all, those that hold these flags, or those named. */
	readonly of: { readonly kind: "all" } | { readonly kind: "flags" | "rollouts"; readonly keys: readonly string[] };
	/** Flags that are named are switched off besides. */
	readonly kill: boolean;
	/** As events keep it. */
	readonly idempotencyKey?: string | undefined;
}

export interface EmergencyOutcome {
	readonly rolledBack: readonly string[];
	readonly killed: readonly string[];
	/** Flags that were named and are in no rollout. */
	readonly notInRollout: readonly string[];
	/** What was named and is not in this environment. */
	readonly unknown: readonly string[];
	/** An edge that has heard of it serves nobody what was taken back. */
	readonly headRevision: number;
}

/** Somebody else was faster each time: far more often than ticks and people can be. */
export const TRIES = 8;

/** undefined: it lost against others each time, and nothing was written. */
export async function takeBack(db: Database, given: Emergency, act: Act, realNow: number): Promise<EmergencyOutcome | undefined> {
	for (let tries = 0; tries < TRIES; tries++) {
		try {
			// oxlint-disable-next-line no-await-in-loop -- one that lost against a tick looks again at what that left
			return await attempt(db, given, act, realNow);
		} catch (error) {
			if (!["rollout_events", "flag_versions"].some((table) => isConflict(error, table))) throw error;
		}
	}
	return undefined;
}

async function attempt(db: Database, given: Emergency, act: Act, realNow: number): Promise<EmergencyOutcome> {
	const { environment, of } = given;
	const named = JSON.stringify(of.kind === "all" ? [] : of.keys);
	const isNamed = sql`IN (SELECT value FROM json_each(${named}))`;
	const [rows, held, knownFlags, knownRollouts, heads] = await db.batch([
		selectAmong(db, and(eq(rollouts.environment, environment), notInArray(rollouts.status, AT_REST), amongThose(environment, of))),
		db
			.select({ flag: activeFlags.flag })
			.from(activeFlags)
			.where(and(eq(activeFlags.environment, environment), sql`${activeFlags.flag} ${isNamed}`)),
		db
			.select({ key: flags.key })
			.from(flags)
			.where(and(eq(flags.environment, environment), sql`${flags.key} ${isNamed}`)),
		db
			.select({ id: rollouts.id })
			.from(rollouts)
			.where(and(eq(rollouts.environment, environment), sql`${rollouts.id} ${isNamed}`)),
		db.select({ revision: head.revision }).from(head),
	]);
	const ends = rows.flatMap((raw) => endOf(raw, given, act, realNow) ?? []);
	const isKilling = given.kill && of.kind === "flags" && knownFlags.length > 0;
	const killing = isKilling ? named : undefined;
	const committed = ends.length > 0 || isKilling ? await write(db, environment, ends, killing, act, realNow) : undefined;
	const keys = of.kind === "flags" ? of.keys : [];
	const isHeld = new Set(held.map(({ flag }) => flag));
	const isKnown = new Set([...knownFlags.map(({ key }) => key), ...knownRollouts.map(({ id }) => id)]);
	return {
		rolledBack: ends.map(({ row }) => row.id),
		killed: committed?.killed ?? [],
		notInRollout: keys.filter((key) => isKnown.has(key) && !isHeld.has(key)),
		unknown: of.kind === "all" ? [] : of.keys.filter((key) => !isKnown.has(key)),
		headRevision: committed?.headRevision ?? heads[0]?.revision ?? 0,
	};
}

function amongThose(environment: string, of: Emergency["of"]) {
	if (of.kind === "all") return undefined;
	const keys = sql`SELECT value FROM json_each(${JSON.stringify(of.keys)})`;
	return of.kind === "rollouts"
		? sql`${rollouts.id} IN (${keys})`
		: sql`${rollouts.id} IN (SELECT rollout FROM active_flags WHERE environment = ${environment} AND flag IN (${keys}))`;
}

/** How it ends; undefined: there is nothing to end. Of one that nobody can read it is certain only that it may be serving somebody. */
function endOf(
	raw: Awaited<ReturnType<typeof selectAmong>>[number],
	{ of: { kind: asked }, idempotencyKey }: Emergency,
	act: Act,
	realNow: number,
): RolloutChange | undefined {
	const evidence = { health: raw.health === null ? null : (JSON.parse(raw.health) as unknown) };
	const of = { act, realNow, evidence, idempotencyKey, isEmergency: asked === "all" };
	const row = parsed(raw);
	if (!row) return { ...of, row: { ...raw, plan: null, state: null }, change: damagedBack(act) };
	// What has not come to serve anybody holds its flags all the same, and would start later.
	for (const kind of ["roll_back", "cancel"] as const) {
		const result = command(row.plan, row.state, { kind, by: act.actor, reason: act.reason, launch: 1 }, act.atMs);
		if (result.ok) return { ...of, row, change: result.value };
	}
	return undefined;
}

/** One transaction. Rejects with a conflict where somebody has changed one of the rollouts since it was read. */
async function write(
	{ $client: client }: Database,
	environment: string,
	ends: readonly RolloutChange[],
	killing: string | undefined,
	act: Act,
	realNow: number,
): Promise<{ readonly killed: readonly string[]; readonly headRevision: number | undefined }> {
	const results = await client.batch<{ key?: string; revision?: number }>([
		client.prepare(`SELECT key FROM flags WHERE ${KILLABLE}`).bind(environment, killing ?? "[]"),
		...(killing === undefined ? [] : killStatements(client, environment, killing, act, realNow)),
		...changeStatements(client, ends),
		client.prepare("SELECT revision FROM head"),
	]);
	return {
		killed: (results[0]?.results ?? []).flatMap(({ key }) => key ?? []),
		headRevision: results.at(-1)?.results[0]?.revision,
	};
}

/** Those of ?2 in ?1 that are on. A corrupt one is left: edges serve nobody its variants. */
const KILLABLE =
	"environment = ?1 AND key IN (SELECT value FROM json_each(?2)) AND CASE WHEN json_valid(config) THEN config ->> '$.enabled' ELSE FALSE END";
const OFF = "json_set(config, '$.enabled', json('false'))";

/** Versions, audit rows and overlay first, by what the flags are; then the flags. The overlay has the number of the change that will absorb it. */
function killStatements(client: D1Database, environment: string, named: string, act: Act, realNow: number): D1PreparedStatement[] {
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
