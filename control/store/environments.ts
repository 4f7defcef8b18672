import { asc, eq, sql } from "drizzle-orm";
import type { Database, Statement } from "./database";
import { environments, head, overlays } from "./schema";

export async function listEnvironments(db: Database): Promise<string[]> {
	return (await db.select({ name: environments.name }).from(environments).orderBy(asc(environments.name))).map(({ name }) => name);
}

/** With the newest version that is published. */
export async function listVersions(db: Database): Promise<{ name: string; version: number; isPending: boolean }[]> {
	const { name, version, changed: newest } = environments;
	const rows = await db.select({ name, version, newest }).from(environments).orderBy(asc(name));
	return rows.map((row) => ({ name: row.name, version: row.version, isPending: row.newest > row.version }));
}

/** Parts of a batch: what makes publication pending, and what reaches the edges with the head at once. */

export function changed(db: Database, environment: string, atMs: number): Statement {
	return db
		.update(environments)
		.set({ changed: sql`${environments.changed} + 1`, changedAtMs: atMs })
		.where(eq(environments.name, environment));
}

/** As `changed`, unless somebody has changed the environment since it was read: NULL aborts the batch. */
export function changedSince(db: Database, environment: string, read: number, atMs: number): Statement {
	return db
		.update(environments)
		.set({ changed: sql`CASE WHEN ${environments.changed} = ${read} THEN ${read} + 1 END`, changedAtMs: atMs })
		.where(eq(environments.name, environment));
}

/** The head has something new to say, and KV's copy must follow. */
export function headChanged(db: Database): Statement {
	return db.update(head).set({ revision: sql`${head.revision} + 1`, content: sql`${head.revision} + 1` });
}

/** Comes after `changed` in its batch: it carries the number of the change that will absorb it. */
export function overlaid(db: Database, environment: string, kind: "kill" | "baseline", key: string, realNow: number): Statement {
	const change = sql<number>`(SELECT ${environments.changed} FROM ${environments} WHERE ${environments.name} = ${environment})`;
	const row = { environment, kind, key, changed: change, addedAtMs: realNow };
	return db
		.insert(overlays)
		.values(row)
		.onConflictDoUpdate({ target: [overlays.environment, overlays.kind, overlays.key], set: { changed: change, addedAtMs: realNow } });
}

export function overlayLifted(db: Database, environment: string, kind: "kill" | "baseline", key: string): Statement {
	return db
		.delete(overlays)
		.where(sql`${overlays.environment} = ${environment} AND ${overlays.kind} = ${kind} AND ${overlays.key} = ${key}`);
}

/** Many kills and liftings in two statements; comes after `changed` in its batch, as `overlaid`. */
export function killsOverlaid(
	db: Database,
	environment: string,
	killed: readonly string[],
	lifted: readonly string[],
	realNow: number,
): Statement[] {
	if (killed.length + lifted.length === 0) return [];
	const rows = sql`SELECT ${environment}, 'kill', value, (SELECT changed FROM environments WHERE name = ${environment}), ${realNow} FROM json_each(${JSON.stringify(killed)}) WHERE true`;
	return [
		db
			.insert(overlays)
			.select(rows)
			.onConflictDoUpdate({
				target: [overlays.environment, overlays.kind, overlays.key],
				set: { changed: sql`excluded.changed`, addedAtMs: sql`excluded.added_at_ms` },
			}),
		db
			.delete(overlays)
			.where(
				sql`${overlays.environment} = ${environment} AND ${overlays.kind} = 'kill' AND ${overlays.key} IN (SELECT value FROM json_each(${JSON.stringify(lifted)}))`,
			),
		headChanged(db),
	];
}
