import { and, eq, notInArray, sql } from "drizzle-orm";
import { changeEvent } from "../../core/notify/events";
import { command } from "../../core/rollouts/command";
import { type RolloutState, isLive } from "../../core/rollouts/state";
import type { Act } from "./audit";
import { isConflict } from "./conflict";
import type { Database } from "./database";
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
const TRIES = 8;

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
	const ends = rows.flatMap((raw) => endOf(raw, act) ?? []);
	const isKilling = given.kill && of.kind === "flags" && knownFlags.length > 0;
	const committed = ends.length > 0 || isKilling ? await write(db, given, ends, isKilling ? named : undefined, act, realNow) : undefined;
	const keys = of.kind === "flags" ? of.keys : [];
	const isHeld = new Set(held.map(({ flag }) => flag));
	const isKnown = new Set([...knownFlags.map(({ key }) => key), ...knownRollouts.map(({ id }) => id)]);
	return {
		rolledBack: ends.map(({ id }) => id),
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

/** How one rollout ends. */
interface End {
	readonly id: string;
	/** That of its event: whoever has written the same one first wins. */
	readonly revision: number;
	readonly kind: string;
	/** Of the event that tells of it. */
	readonly type: string;
	readonly status: string;
	readonly after: RolloutState;
	/** Somebody was served by it, or may have been. */
	readonly moves: boolean;
	readonly detectMs: number | null;
}

/** undefined: there is nothing to end. Of one that nobody can read it is certain only that it may be serving somebody. */
function endOf(raw: Awaited<ReturnType<typeof selectAmong>>[number], { actor: by, reason, atMs }: Act): End | undefined {
	const row = parsed(raw);
	const [id, revision] = [raw.id, raw.revision + 1];
	if (!row) {
		const after = { status: "rolled_back" as const, atMs, fromPhase: 0, by, reason };
		return { id, revision, kind: "roll_back", type: changeEvent("roll_back"), status: after.status, after, moves: true, detectMs: null };
	}
	const { plan, state } = row;
	// What has not come to serve anybody holds its flags all the same, and would start later.
	for (const kind of ["roll_back", "cancel"] as const) {
		const result = command(plan, state, { kind, by, reason, launch: 1 }, atMs);
		if (!result.ok) continue;
		const { state: after } = result.value;
		const detectMs = isLive(state) ? Math.max(0, atMs - state.sinceMs) : null;
		return { id, revision, kind, type: changeEvent(kind), status: after.status, after, moves: isLive(state), detectMs };
	}
	return undefined;
}

/** A parameter holds 2 MB at most, and a UTF-16 unit is 3 bytes of UTF-8 at most. */
const PARAMETER_CHARACTERS = 600_000;

function inParameters(ends: readonly End[]): string[] {
	const groups: string[][] = [];
	let length = Infinity;
	for (const end of ends) {
		const json = JSON.stringify(end);
		length += json.length + 1;
		if (length > PARAMETER_CHARACTERS) {
			groups.push([]);
			length = json.length + 3;
		}
		groups.at(-1)?.push(json);
	}
	return groups.map((group) => `[${group.join(",")}]`);
}

/** One transaction. Rejects with a conflict where somebody has changed one of the rollouts since it was read. */
async function write(
	db: Database,
	{ environment, of, idempotencyKey }: Emergency,
	ends: readonly End[],
	killing: string | undefined,
	act: Act,
	realNow: number,
): Promise<{ readonly killed: readonly string[]; readonly headRevision: number }> {
	const parameters = inParameters(ends);
	const each = (statement: (json: string) => D1PreparedStatement): D1PreparedStatement[] => parameters.map(statement);
	const strategy = of.kind === "all" ? "emergency" : "immediate";
	const { $client: client } = db;
	const at = { client, environment, act, realNow };
	// As of the same moment: what will be killed, and the revision that the head has before it gets its next one.
	const [killed, before] = await client.batch<{ key?: string; revision?: number }>([
		client.prepare(`SELECT key FROM flags WHERE ${KILLABLE}`).bind(environment, killing ?? "[]"),
		client.prepare("SELECT revision FROM head"),
		...each((json) => eventsInserted(at, json, idempotencyKey)),
		...each((json) => endsAudited(at, json)),
		...each((json) => statesSet(at, json)),
		...each((json) => flagsFreed(at, json)),
		client.prepare("UPDATE environments SET changed = changed + 1, changed_at_ms = ?2 WHERE name = ?1").bind(environment, act.atMs),
		...each((json) => baselinesOverlaid(at, json)),
		...(killing === undefined ? [] : killStatements(at, killing)),
		client.prepare("UPDATE head SET revision = revision + 1, content = revision + 1"),
		...each((json) => rollbacksRecorded(at, json, strategy)),
		...each((json) => endsTold(at, json)),
	]);
	return {
		killed: (killed?.results ?? []).flatMap(({ key }) => key ?? []),
		headRevision: (before?.results[0]?.revision ?? 0) + 1,
	};
}

/** What all statements of one transaction know. */
interface At {
	readonly client: D1Database;
	readonly environment: string;
	readonly act: Act;
	readonly realNow: number;
}

/** As it was; of one that nobody can read, what it was called. */
const STATE = "CASE WHEN json_valid(r.state) THEN r.state ELSE json_object('status', r.status, 'damaged', json('true')) END";
const ENDING = "json_each(?1) AS j JOIN rollouts AS r ON r.id = j.value ->> 'id'";
const HEALTH = `json((SELECT json_object('atMs', at_ms, 'decision', decision, 'reason', reason, 'message', message, 'level', level, 'score', score,
	'percent', percent) FROM health_checks WHERE rollout = r.id ORDER BY at_ms DESC LIMIT 1))`;

function eventsInserted(
	{ client, act: { actor, reason, correlationId, atMs }, realNow }: At,
	json: string,
	idempotencyKey: string | undefined,
): D1PreparedStatement {
	return client
		.prepare(
			`INSERT INTO rollout_events (rollout, revision, at_ms, recorded_at_ms, kind, reason, message, actor, correlation_id, "before", "after", evidence,
				idempotency_key)
			SELECT r.id, j.value ->> 'revision', ?2, ?3, j.value ->> 'kind', 'operator', ?4, ?5, ?6, ${STATE}, j.value -> 'after', json_object('health', ${HEALTH}),
				?7 FROM ${ENDING}`,
		)
		.bind(json, atMs, realNow, reason, actor, correlationId, idempotencyKey ?? null);
}

/** Before the states: it tells what they were. */
function endsAudited({ client, act: { actor, reason, correlationId, atMs } }: At, json: string): D1PreparedStatement {
	return client
		.prepare(
			`INSERT INTO audit (at_ms, actor, resource, action, reason, correlation_id, "before", "after")
			SELECT ?2, ?3, 'rollouts/' || r.id, 'rollout.' || (j.value ->> 'kind'), ?4, ?5, ${STATE}, j.value -> 'after' FROM ${ENDING}`,
		)
		.bind(json, atMs, actor, reason, correlationId);
}

function statesSet({ client }: At, json: string): D1PreparedStatement {
	return client
		.prepare(
			`UPDATE rollouts SET revision = j.value ->> 'revision', status = j.value ->> 'status', state = j.value -> 'after', failed_changes = 0
			FROM json_each(?1) AS j WHERE rollouts.id = j.value ->> 'id'`,
		)
		.bind(json);
}

function flagsFreed({ client, environment }: At, json: string): D1PreparedStatement {
	return client
		.prepare("DELETE FROM active_flags WHERE environment = ?2 AND rollout IN (SELECT value ->> 'id' FROM json_each(?1))")
		.bind(json, environment);
}

/** After the environment's change (?1): it carries the number of the one that will absorb it. */
const OVERLAID = "(SELECT changed FROM environments WHERE name = ?1)";
const OVERLAID_AGAIN = "ON CONFLICT (environment, kind, key) DO UPDATE SET changed = excluded.changed, added_at_ms = excluded.added_at_ms";

function baselinesOverlaid({ client, environment, realNow }: At, json: string): D1PreparedStatement {
	return client
		.prepare(
			`INSERT INTO overlays (environment, kind, key, changed, added_at_ms)
			SELECT ?1, 'baseline', value ->> 'id', ${OVERLAID}, ?2 FROM json_each(?3) WHERE value ->> 'moves' ${OVERLAID_AGAIN}`,
		)
		.bind(environment, realNow, json);
}

/** After the head's change. */
function rollbacksRecorded({ client, environment, act, realNow }: At, json: string, strategy: string): D1PreparedStatement {
	return client
		.prepare(
			`INSERT INTO rollbacks (rollout, revision, environment, strategy, "trigger", actor, at_ms, recorded_at_ms, detect_ms, head_revision, steps, due_at_ms)
			SELECT value ->> 'id', value ->> 'revision', ?2, ?3, 'operator', ?4, ?5, ?6, value ->> 'detectMs', (SELECT revision FROM head), '[]', ?6
			FROM json_each(?1) WHERE value ->> 'moves'`,
		)
		.bind(json, environment, strategy, act.actor, act.atMs, realNow);
}

function endsTold({ client, environment, act: { reason, atMs } }: At, json: string): D1PreparedStatement {
	return client
		.prepare(
			`INSERT INTO outbox (at_ms, type, subject, payload)
			SELECT ?2, value ->> 'type', value ->> 'id', json_object('rollout', value ->> 'id', 'revision', value ->> 'revision',
				'environment', ?3, 'reason', 'operator', 'message', ?4, 'status', value ->> 'status')
			FROM json_each(?1)`,
		)
		.bind(json, atMs, environment, reason);
}

/** Those of ?2 in ?1 that are on. A corrupt one is left: edges serve nobody its variants. */
const KILLABLE =
	"environment = ?1 AND key IN (SELECT value FROM json_each(?2)) AND CASE WHEN json_valid(config) THEN config ->> '$.enabled' ELSE FALSE END";
const OFF = "json_set(config, '$.enabled', json('false'))";

/** Versions, audit rows and overlay first, by what the flags are; then the flags. */
function killStatements({ client, environment, act, realNow }: At, named: string): D1PreparedStatement[] {
	const { actor, reason, correlationId, atMs } = act;
	return [
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
				SELECT environment, 'kill', key, ${OVERLAID}, ?3 FROM flags WHERE ${KILLABLE} ${OVERLAID_AGAIN}`,
			)
			.bind(environment, named, realNow),
		client
			.prepare(`UPDATE flags SET version = version + 1, config = ${OFF}, updated_at_ms = ?3 WHERE ${KILLABLE}`)
			.bind(environment, named, atMs),
	];
}
