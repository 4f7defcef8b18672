import { gte, lt, sql } from "drizzle-orm";
import * as z from "zod";
import type { EdgeSeen } from "../../core/wire";
import { log, nameOf } from "../log";
import type { Database } from "./database";
import { edges } from "./schema";

/** Isolates of the edge, by what they say of themselves when they ask for the head. */

/** One that was heard of within this time is taken to be serving. */
const SERVING_MS = 120_000;
/** What has not changed is written so often. */
const RENEWED_MS = 60_000;
const KEPT_MS = 3_600_000;

const edgeSeen = z.object({
	isolate: z.string().min(1).max(64),
	colo: z.string().max(16),
	revision: z.int().min(0),
});

/** Never rejects: an edge gets its head whatever becomes of this. */
export async function recordEdge(db: Database, said: EdgeSeen, realNow: number): Promise<void> {
	try {
		const seen = edgeSeen.parse(said);
		const { meta } = await db
			.insert(edges)
			.values({ ...seen, seenAtMs: realNow })
			.onConflictDoUpdate({
				target: edges.isolate,
				// A question that was overtaken by a later one tells nothing new.
				set: { colo: seen.colo, revision: sql`max(${edges.revision}, excluded.revision)`, seenAtMs: realNow },
				setWhere: sql`excluded.revision > ${edges.revision} OR ${edges.seenAtMs} < ${realNow - RENEWED_MS}`,
			});
		if (meta.changes > 0) await markSafe(db, realNow);
	} catch (error) {
		log("edge_not_recorded", { error: error instanceof z.ZodError ? "what it says of itself cannot be read" : nameOf(error) });
	}
}

export interface ServingEdge {
	readonly isolate: string;
	readonly colo: string;
	readonly revision: number;
}

/** Those that serve now, as far as is known. */
export async function servingEdges(db: Database, realNow: number): Promise<readonly ServingEdge[]> {
	return db
		.select({ isolate: edges.isolate, colo: edges.colo, revision: edges.revision })
		.from(edges)
		.where(gte(edges.seenAtMs, realNow - SERVING_MS));
}

export async function pruneEdges(db: Database, realNow: number): Promise<void> {
	await db.delete(edges).where(lt(edges.seenAtMs, realNow - KEPT_MS));
}

/** Rollbacks that every isolate which serves has heard of, as of now. That nobody serves says nothing. */
export async function markSafe(db: Database, realNow: number): Promise<void> {
	await db.$client
		.prepare(
			`UPDATE rollbacks SET edge_safe_at_ms = max(recorded_at_ms, ?2) WHERE due_at_ms IS NOT NULL AND edge_safe_at_ms IS NULL
				AND head_revision <= (SELECT min(revision) FROM edges WHERE seen_at_ms >= ?1)`,
		)
		.bind(realNow - SERVING_MS, realNow)
		.run();
}
