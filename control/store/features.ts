import { and, eq, notInArray, sql } from "drizzle-orm";
import { isLive } from "../../core/rollouts/state";
import type { Database } from "./database";
import { AT_REST, type StoredRollout, parsed, selectAmong } from "./rollouts";
import { activeFlags, flags, rollouts } from "./schema";

/** What operators look at: flags with the rollout that moves them. */

/** Live rollouts of an environment, and the ids of those that nobody can read. */
export async function liveIn(db: Database, environment: string): Promise<{ readonly rows: StoredRollout[]; readonly damaged: string[] }> {
	const raw = await selectAmong(db, and(eq(rollouts.environment, environment), notInArray(rollouts.status, AT_REST)));
	const rows = raw.map(parsed);
	return {
		rows: rows.filter((row) => row !== undefined).filter(({ state }) => isLive(state)),
		damaged: raw.filter((_, i) => !rows[i]).map(({ id }) => id),
	};
}

/** Flag → the rollout that holds it. */
export async function holdersIn(db: Database, environment: string): Promise<ReadonlyMap<string, string>> {
	const held = await db.select().from(activeFlags).where(eq(activeFlags.environment, environment));
	return new Map(held.map(({ flag, rollout }) => [flag, rollout]));
}

export async function holderOf(db: Database, environment: string, flag: string): Promise<string | undefined> {
	const [held] = await db
		.select()
		.from(activeFlags)
		.where(and(eq(activeFlags.environment, environment), eq(activeFlags.flag, flag)));
	return held?.rollout;
}

export interface FlagCounts {
	readonly total: number;
	readonly enabled: number;
	readonly disabled: number;
	readonly damaged: number;
	readonly inRollout: number;
}

export async function countFlags(db: Database, environment: string): Promise<FlagCounts> {
	const is = (value: boolean) =>
		sql<number>`count(*) FILTER (WHERE CASE WHEN json_valid(${flags.config}) THEN ${flags.config} ->> '$.enabled' END = ${Number(value)})`;
	const inRollout = sql<number>`(SELECT count(*) FROM ${activeFlags} WHERE ${activeFlags.environment} = ${environment})`;
	const [found] = await db
		.select({ total: sql<number>`count(*)`, enabled: is(true), disabled: is(false), inRollout })
		.from(flags)
		.where(eq(flags.environment, environment));
	const { total = 0, enabled = 0, disabled = 0, inRollout: held = 0 } = found ?? {};
	return { total, enabled, disabled, damaged: total - enabled - disabled, inRollout: held };
}
