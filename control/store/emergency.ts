import { and, eq, notInArray, sql } from "drizzle-orm";
import { command } from "../../core/rollouts/command";
import type { Act } from "./audit";
import { changeStatements } from "./changeStatements";
import { isConflict } from "./conflict";
import type { Database } from "./database";
import { type Carried, carriedOutStatement, earlierIn, selectByKey } from "./emergencyByKey";
import type { Keyed } from "./idempotency";
import { KILLABLE, killStatements } from "./kills";
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
	/** Carried out once under it. */
	readonly keyed?: Keyed | undefined;
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
	/** Of the call that had the key before, and did this; absent: this one did. */
	readonly earlierHash?: string;
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
			if (!["rollout_events", "flag_versions", "audit"].some((table) => isConflict(error, table))) throw error;
		}
	}
	return undefined;
}

async function attempt(db: Database, given: Emergency, act: Act, realNow: number): Promise<EmergencyOutcome> {
	const { environment, of, keyed } = given;
	const named = JSON.stringify(of.kind === "all" ? [] : of.keys);
	const isNamed = sql`IN (SELECT value FROM json_each(${named}))`;
	const [rows, held, knownFlags, knownRollouts, heads, underKey] = await db.batch([
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
		selectByKey(db, environment, keyed),
	]);
	const earlier = earlierIn(underKey, act.atMs);
	if (earlier) return { ...earlier, headRevision: heads[0]?.revision ?? 0 };
	const ends = rows.flatMap((raw) => endOf(raw, given, act, realNow) ?? []);
	const isKilling = given.kill && of.kind === "flags" && knownFlags.length > 0;
	const killing = isKilling ? named : undefined;
	const keys = of.kind === "flags" ? of.keys : [];
	const isHeld = new Set(held.map(({ flag }) => flag));
	const isKnown = new Set([...knownFlags.map(({ key }) => key), ...knownRollouts.map(({ id }) => id)]);
	const told = {
		rolledBack: ends.map(({ row }) => row.id),
		notInRollout: keys.filter((key) => isKnown.has(key) && !isHeld.has(key)),
		unknown: of.kind === "all" ? [] : of.keys.filter((key) => !isKnown.has(key)),
	};
	const carried = keyed && { environment, keyed, told, seen: underKey[0]?.id ?? 0 };
	const committed = ends.length > 0 || isKilling ? await write(db, environment, ends, killing, carried, act, realNow) : undefined;
	return { ...told, killed: committed?.killed ?? [], headRevision: committed?.headRevision ?? heads[0]?.revision ?? 0 };
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
	{ of: { kind: asked } }: Emergency,
	act: Act,
	realNow: number,
): RolloutChange | undefined {
	const evidence = { health: raw.health === null ? null : (JSON.parse(raw.health) as unknown) };
	const of = { act, realNow, evidence, isEmergency: asked === "all" };
	const row = parsed(raw);
	if (!row) return { ...of, row: { ...raw, plan: null, state: null }, change: damagedBack(act) };
	// What has not come to serve anybody holds its flags all the same, and would start later.
	for (const kind of ["roll_back", "cancel"] as const) {
		const result = command(row.plan, row.state, { kind, by: act.actor, reason: act.reason, launch: 1 }, act.atMs);
		if (result.ok) return { ...of, row, change: result.value };
	}
	return undefined;
}

/** One transaction. Rejects with a conflict where somebody has changed one of the rollouts, or carried out the same, since that was read. */
async function write(
	{ $client: client }: Database,
	environment: string,
	ends: readonly RolloutChange[],
	killing: string | undefined,
	carried: Carried | undefined,
	act: Act,
	realNow: number,
): Promise<{ readonly killed: readonly string[]; readonly headRevision: number | undefined }> {
	const results = await client.batch<{ key?: string; revision?: number }>([
		client.prepare(`SELECT key FROM flags WHERE ${KILLABLE} ORDER BY key`).bind(environment, killing ?? "[]"),
		...(carried ? carriedOutStatement(client, carried, killing ?? "[]", act) : []),
		...(killing === undefined ? [] : killStatements(client, environment, killing, act, realNow)),
		...changeStatements(client, ends),
		client.prepare("SELECT revision FROM head"),
	]);
	return {
		killed: (results[0]?.results ?? []).flatMap(({ key }) => key ?? []),
		headRevision: results.at(-1)?.results[0]?.revision,
	};
}
