import { desc, eq, sql } from "drizzle-orm";
import * as z from "zod";
import type { Act } from "./audit";
import type { Database } from "./database";
import type { EmergencyOutcome } from "./emergency";
import type { Keyed } from "./idempotency";
import { parseJson } from "./json";
import { KILLABLE } from "./kills";
import { audit } from "./schema";

/** What an emergency under a key has done is a row of the audit, written with it. */

/** Long after any sender has given up, and not so long that whoever uses one key for ever would take nothing back any more. */
const KEPT_MS = 3_600_000;

/** A row holds 2 MB at most. What is more is taken back all the same, and not kept. */
const KEPT_CHARACTERS_MAX = 500_000;

const names = z.array(z.string());
const kept = z.object({ hash: z.string(), rolledBack: names, killed: names, notInRollout: names, unknown: names });

export interface Carried {
	readonly environment: string;
	readonly keyed: Keyed;
	readonly told: Pick<EmergencyOutcome, "rolledBack" | "notInRollout" | "unknown">;
	/** The newest row under the key that was looked at. */
	readonly seen: number;
}

const resource = (environment: string, key: string): string => `emergencies/${environment}/${key}`;

/** The newest under this key; no key is empty. A statement, so that it can stand in a batch. */
export function selectByKey(db: Database, environment: string, keyed: Keyed | undefined) {
	return db
		.select({ id: audit.id, atMs: audit.atMs, after: sql<string | null>`${audit.after}` })
		.from(audit)
		.where(eq(audit.resource, resource(environment, keyed?.key ?? "")))
		.orderBy(desc(audit.id))
		.limit(1);
}

/** undefined: nothing was done under the key, or longer ago, or nobody can read what: then it is done. */
export function earlierIn(
	[row]: readonly { readonly atMs: number; readonly after: string | null }[],
	now: number,
): (Omit<EmergencyOutcome, "headRevision"> & { readonly earlierHash: string }) | undefined {
	if (!row || row.atMs <= now - KEPT_MS) return undefined;
	const found = parseJson(kept, row.after ?? "");
	if (!found) return undefined;
	const { hash: earlierHash, ...outcome } = found;
	return { ...outcome, earlierHash };
}

/** Stands before what it tells of. NULL aborts the batch of whoever comes second. */
export function carriedOutStatement(
	client: D1Database,
	{ environment, keyed: { key, hash }, told, seen }: Carried,
	killing: string,
	{ actor, reason, correlationId, atMs }: Act,
): D1PreparedStatement[] {
	const text = JSON.stringify({ hash, ...told });
	if (text.length > KEPT_CHARACTERS_MAX) return [];
	return [
		client
			.prepare(
				`INSERT INTO audit (at_ms, actor, resource, action, reason, correlation_id, "after")
				SELECT ?3, CASE WHEN NOT EXISTS (SELECT 1 FROM audit WHERE resource = ?5 AND id > ?6) THEN ?4 END, ?5, 'emergency.carried_out', ?7, ?8,
					json_set(?9, '$.killed', json((SELECT json_group_array(key) FROM (SELECT key FROM flags WHERE ${KILLABLE} ORDER BY key))))`,
			)
			.bind(environment, killing, atMs, actor, resource(environment, key), seen, reason, correlationId, text),
	];
}
