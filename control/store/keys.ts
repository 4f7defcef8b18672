import { asc, eq, sql } from "drizzle-orm";
import { type Act, audited } from "./audit";
import { isConflict } from "./conflict";
import { type Database, commit } from "./database";
import { headChanged } from "./environments";
import { sdkKeys } from "./schema";

export interface KeyRow {
	readonly id: string;
	readonly environment: string;
	readonly kind: "server" | "client";
	readonly name: string;
	readonly createdAtMs: number;
	readonly revokedAtMs: number | null;
}

export async function createKey(db: Database, key: Omit<KeyRow, "createdAtMs" | "revokedAtMs">, hash: string, act: Act): Promise<KeyRow> {
	const row: KeyRow = { ...key, createdAtMs: act.atMs, revokedAtMs: null };
	// Edges learn keys from the head.
	await commit(db, [
		db.insert(sdkKeys).values({ ...row, hash }),
		headChanged(db),
		audited(db, act, `keys/${key.id}`, "key.created", null, row),
	]);
	return row;
}

export async function listKeys(db: Database, environment: string | undefined): Promise<KeyRow[]> {
	const rows = await db
		.select()
		.from(sdkKeys)
		.where(environment === undefined ? undefined : eq(sdkKeys.environment, environment))
		.orderBy(asc(sdkKeys.createdAtMs), asc(sdkKeys.id));
	return rows.map(({ hash: _hash, ...row }) => row);
}

export async function environmentOfKey(db: Database, id: string): Promise<string | undefined> {
	const [row] = await db.select({ environment: sdkKeys.environment }).from(sdkKeys).where(eq(sdkKeys.id, id));
	return row?.environment;
}

/** False: there is no such key. Revoking a revoked key changes nothing. */
export async function revokeKey(db: Database, id: string, act: Act): Promise<boolean> {
	const [row] = await db.select().from(sdkKeys).where(eq(sdkKeys.id, id));
	if (!row) return false;
	if (row.revokedAtMs !== null) return true;
	const { hash: _hash, ...before } = row;
	// Of two at once the second is aborted by the NULL: one revocation, one row in the audit.
	const unlessRevoked = sql<string>`CASE WHEN ${sdkKeys.revokedAtMs} IS NULL THEN ${sdkKeys.hash} END`;
	try {
		await commit(db, [
			db.update(sdkKeys).set({ revokedAtMs: act.atMs, hash: unlessRevoked }).where(eq(sdkKeys.id, id)),
			headChanged(db),
			audited(db, act, `keys/${id}`, "key.revoked", before, { ...before, revokedAtMs: act.atMs }),
		]);
	} catch (error) {
		if (!isConflict(error, "sdk_keys")) throw error;
	}
	return true;
}
