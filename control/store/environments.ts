import { eq, sql } from "drizzle-orm";
import type { Database, Statement } from "./database";
import { environments, head, overlays } from "./schema";

/** Parts of a batch: what makes publication pending, and what reaches the edges with the head at once. */

export function changed(db: Database, environment: string, atMs: number): Statement {
	return db
		.update(environments)
		.set({ changed: sql`${environments.changed} + 1`, changedAtMs: atMs })
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
