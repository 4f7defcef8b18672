import { and, asc, eq, getTableColumns, lte, sql } from "drizzle-orm";
import { parseInstant } from "../../core/flags/instant";
import { type Protection, packProtection, storedProtection } from "../../core/gateway/model";
import type { PackedProtection } from "../../core/gateway/packed";
import { type Result, err, ok } from "../../core/result";
import { log } from "../log";
import { type Act, audited, plain } from "./audit";
import { isConflict } from "./conflict";
import { type Database, type Statement, commit } from "./database";
import { changed } from "./environments";
import { parseJson } from "./json";
import { environments, gatewayProtections, segments } from "./schema";

/** An environment has so many at a time. */
export const PROTECTIONS_MAX = 100;

export interface StoredProtection {
	readonly environment: string;
	readonly config: Protection;
	readonly untilMs: number;
	readonly updatedAtMs: number;
}

/** Of a row that cannot be read there is no config. */
export interface FoundProtection {
	readonly environment: string;
	readonly key: string;
	readonly config: Protection | undefined;
	readonly untilMs: number;
	readonly updatedAtMs: number;
}

export type ProtectionRefusal =
	| { readonly kind: "protection_missing"; readonly key: string }
	| { readonly kind: "too_many_protections"; readonly limit: number }
	| { readonly kind: "changed_meanwhile" };

/** One statement, so it can stand in a batch. Those that are over are there until they are pruned. */
export function selectProtections(db: Database, environment: string) {
	return db
		.select(TOLERANT)
		.from(gatewayProtections)
		.where(eq(gatewayProtections.environment, environment))
		.orderBy(asc(gatewayProtections.key));
}

const TOLERANT = {
	...getTableColumns(gatewayProtections),
	config: sql`${gatewayProtections.config}`.mapWith((text: string): Protection | undefined => parseJson(storedProtection, text)),
};

/** Those that are in force. */
export async function listProtections(
	db: Database,
	environment: string,
	nowMs: number,
): Promise<{ readonly protections: StoredProtection[]; readonly damaged: string[] }> {
	const rows = (await selectProtections(db, environment)).filter(({ untilMs }) => untilMs > nowMs);
	return {
		protections: rows.flatMap(({ config, ...row }) => (config ? { ...row, config } : [])),
		damaged: rows.filter(({ config }) => !config).map(({ key }) => key),
	};
}

export async function findProtection(db: Database, environment: string, key: string): Promise<FoundProtection | undefined> {
	const [row] = await db.select(TOLERANT).from(gatewayProtections).where(at(environment, key));
	return row;
}

/** Whatever was set under that key before; without a version, since whoever switches it is in a hurry. */
export async function putProtection(
	db: Database,
	environment: string,
	config: Protection,
	act: Act,
): Promise<Result<StoredProtection, ProtectionRefusal>> {
	const { key } = config;
	const before = await findProtection(db, environment, key);
	const untilMs = parseInstant(config.until) ?? 0;
	const row = { environment, key, config: plain(config), untilMs, updatedAtMs: act.atMs };
	const named = JSON.stringify(config.kind === "shed" ? [] : [...new Set(config.segments)]);
	const others = sql`(SELECT count(*) FROM gateway_protections AS other WHERE other.environment = ${environment} AND other.key <> ${key})`;
	const unknown = sql`EXISTS (SELECT 1 FROM json_each(${named}) AS named WHERE NOT EXISTS (SELECT 1 FROM ${segments} WHERE ${segments.environment} = ${environment} AND ${segments.key} = named.value))`;
	// NULL aborts the batch: one too many, or a segment that was deleted since it was looked for.
	const guarded = sql<number>`CASE WHEN ${others} < ${PROTECTIONS_MAX} AND NOT ${unknown} THEN ${untilMs} END`;
	const isWritten = await write(db, [
		db
			.insert(gatewayProtections)
			.values({ ...row, untilMs: guarded })
			.onConflictDoUpdate({
				target: [gatewayProtections.environment, gatewayProtections.key],
				set: { config: row.config, untilMs, updatedAtMs: row.updatedAtMs },
			}),
		changed(db, environment, act.atMs),
		audited(db, act, resource(environment, key), "protection.set", before?.config ?? null, config),
	]);
	if (isWritten) return ok({ environment, config, untilMs, updatedAtMs: act.atMs });
	const all = await selectProtections(db, environment);
	const isFull = all.filter((each) => each.key !== key).length >= PROTECTIONS_MAX;
	return err(isFull ? { kind: "too_many_protections", limit: PROTECTIONS_MAX } : { kind: "changed_meanwhile" });
}

export async function deleteProtection(db: Database, before: FoundProtection, act: Act): Promise<void> {
	const { environment, key, config } = before;
	await commit(db, [
		db.delete(gatewayProtections).where(at(environment, key)),
		changed(db, environment, act.atMs),
		audited(db, act, resource(environment, key), "protection.lifted", config ?? { damaged: true }, null),
	]);
}

/** As of a change of the environment: what was over then is left out, and two publishers of one version find the same. */
export function packedProtections(environment: string, rows: readonly FoundProtection[], changedAtMs: number): PackedProtection[] {
	return rows.flatMap(({ key, config, untilMs }) => {
		if (!config) log("protection_damaged", { environment, protection: key });
		return config && untilMs > changedAtMs ? packProtection(config) : [];
	});
}

/** Their environments change with it: a version's snapshot must not depend on when it is read. */
export async function pruneProtections(db: Database, nowMs: number): Promise<void> {
	const over = lte(gatewayProtections.untilMs, nowMs);
	await commit(db, [
		db
			.update(environments)
			.set({ changed: sql`${environments.changed} + 1`, changedAtMs: nowMs })
			.where(sql`${environments.name} IN (SELECT ${gatewayProtections.environment} FROM ${gatewayProtections} WHERE ${over})`),
		db.delete(gatewayProtections).where(over),
	]);
}

async function write(db: Database, statements: readonly Statement[]): Promise<boolean> {
	try {
		await commit(db, statements);
		return true;
	} catch (error) {
		if (isConflict(error, "gateway_protections")) return false;
		throw error;
	}
}

const resource = (environment: string, key: string): string => `protections/${environment}/${key}`;
const at = (environment: string, key: string) => and(eq(gatewayProtections.environment, environment), eq(gatewayProtections.key, key));
