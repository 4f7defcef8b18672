import { and, asc, desc, eq, getTableColumns, sql } from "drizzle-orm";
import { diff } from "../../core/flags/diff";
import { type Flag, flag as flagSchema } from "../../core/flags/model";
import { type Result, err, ok } from "../../core/result";
import { type Act, audited } from "./audit";
import { isConflict } from "./conflict";
import { type Database, type Statement, commit } from "./database";
import { changed, headChanged, overlaid, overlayLifted } from "./environments";
import { parseJson } from "./json";
import { isRouted, routesNaming } from "./gatewayReferences";
import { activeFlags, flagVersions, flags } from "./schema";
import { type SizeRefusal, flagSizeRefusal } from "./size";

export interface StoredFlag extends Flag {
	readonly environment: string;
	readonly version: number;
	readonly updatedAtMs: number;
}

/** Fields that a rollout has judged its users by: they stand still while it is live. */
const PROTECTED = [
	"type",
	"variants",
	"salt",
	"bucketBy",
	"rules",
	"prerequisites",
	"fallthrough",
] as const satisfies readonly (keyof Flag)[];

export type FlagRefusal =
	| { readonly kind: "flag_exists"; readonly key: string }
	| { readonly kind: "flag_missing"; readonly key: string }
	| { readonly kind: "version_mismatch"; readonly current: number }
	| { readonly kind: "flag_required"; readonly key: string; readonly by: readonly string[] }
	| { readonly kind: "variant_required"; readonly key: string; readonly variants: readonly string[]; readonly by: readonly string[] }
	| SizeRefusal
	| { readonly kind: "flag_in_rollout"; readonly rollout: string; readonly fields: readonly string[] };

/** Those of its protected fields that a change would touch. */
export function touchedOf(before: Flag, after: Flag): readonly string[] {
	return PROTECTED.filter((field) => diff(before[field], after[field]).length > 0);
}

export const resource = (environment: string, key: string): string => `flags/${environment}/${key}`;

/** One flag that cannot be read does not hide the others. */
export async function listFlags(db: Database, environment: string): Promise<{ flags: StoredFlag[]; damaged: string[] }> {
	const rows = await db
		.select({ ...getTableColumns(flags), config: sql<string>`${flags.config}` })
		.from(flags)
		.where(eq(flags.environment, environment))
		.orderBy(asc(flags.key));
	const read = rows.map((row) => {
		const config = parseJson(flagSchema, row.config);
		return config ? stored({ ...row, config }) : row.key;
	});
	return { flags: read.filter((each) => typeof each !== "string"), damaged: read.filter((each) => typeof each === "string") };
}

export async function getFlag(db: Database, environment: string, key: string): Promise<StoredFlag | undefined> {
	const [row] = await db.select().from(flags).where(at(environment, key));
	return row && stored(row);
}

export async function getFlags(db: Database, environment: string, keys: readonly string[]): Promise<StoredFlag[]> {
	return (await db.select().from(flags).where(among(environment, keys))).map(stored);
}

/** As getFlags, but one that cannot be read is told as such. */
export async function findFlags(db: Database, environment: string, keys: readonly string[]): Promise<Map<string, StoredFlag | "damaged">> {
	const rows = await db
		.select({ ...getTableColumns(flags), config: sql<string>`${flags.config}` })
		.from(flags)
		.where(among(environment, keys));
	return new Map(
		rows.map((row) => {
			const config = parseJson(flagSchema, row.config);
			return [row.key, config ? stored({ ...row, config }) : "damaged"];
		}),
	);
}

export async function createFlag(
	db: Database,
	environment: string,
	flag: Flag,
	act: Act,
	action = "flag.created",
): Promise<Result<StoredFlag, FlagRefusal>> {
	const exists = err({ kind: "flag_exists" as const, key: flag.key });
	if ((await getFlagVersion(db, environment, flag.key)) !== undefined) return exists;
	const tooLarge = await flagSizeRefusal(db, environment, flag);
	if (tooLarge) return err(tooLarge);
	// A key that was deleted before goes on with its versions: its history stays one.
	const [last] = await db
		.select({ version: flagVersions.version })
		.from(flagVersions)
		.where(and(eq(flagVersions.environment, environment), eq(flagVersions.key, flag.key)))
		.orderBy(desc(flagVersions.version))
		.limit(1);
	const row = { environment, key: flag.key, version: (last?.version ?? 0) + 1, config: flag, updatedAtMs: act.atMs };
	const isWritten = await write(db, [
		db.insert(flagVersions).values(versionOf(row, act)),
		db.insert(flags).values(row),
		changed(db, environment, act.atMs),
		// The kill of a flag that was deleted since is not the new one's.
		...(last && flag.enabled ? [overlayLifted(db, environment, "kill", flag.key), headChanged(db)] : []),
		audited(db, act, resource(environment, flag.key), action, null, flag),
	]);
	return isWritten ? ok(stored(row)) : exists;
}

/**
 * `before` is what the caller read and checked the change against; whoever has changed it since wins. Where nothing differs
 * nothing is written, and the flag keeps its version.
 */
export async function changeFlag(
	db: Database,
	before: StoredFlag,
	after: Flag,
	act: Act,
	realNow: number,
	action = after.enabled === before.enabled ? "flag.changed" : killAction(after),
): Promise<Result<StoredFlag, FlagRefusal>> {
	const { environment, key } = before;
	if (diff(configOf(before), after).length === 0) return ok(before);
	const gone = Object.keys(before.variants).filter((name) => !Object.hasOwn(after.variants, name));
	const requiredBy = async (): Promise<FlagRefusal | undefined> => {
		const by = gone.length > 0 ? await dependentsOf(db, environment, key, gone) : [];
		return by.length > 0 ? { kind: "variant_required", key, variants: gone, by } : undefined;
	};
	const required = await requiredBy();
	if (required) return err(required);
	// Without a look at the others where this one shrinks: a kill must always go through.
	const tooLarge =
		JSON.stringify(after).length > JSON.stringify(configOf(before)).length + 1 && (await flagSizeRefusal(db, environment, after));
	if (tooLarge) return err(tooLarge);
	const touched = touchedOf(before, after);
	const row = { environment, key, version: before.version + 1, config: after, updatedAtMs: act.atMs };
	const version = gone.length > 0 ? unlessActive(row, unrequired(row, gone)) : touched.length > 0 ? unlessActive(row) : row.version;
	const isWritten = await write(db, [
		db.insert(flagVersions).values({ ...versionOf(row, act), version }),
		db.update(flags).set(row).where(at(environment, key)),
		changed(db, environment, act.atMs),
		...killStatements(db, before, after, realNow),
		audited(db, act, resource(environment, key), action, configOf(before), after),
	]);
	if (isWritten) return ok(stored(row));
	const refusal = await lost(db, before, touched);
	return err((isUnchanged(refusal, before) && (await requiredBy())) || refusal);
}

/** What even a corrupt row says, enough to delete it. */
export async function getFlagVersion(db: Database, environment: string, key: string): Promise<number | undefined> {
	const [row] = await db.select({ version: flags.version }).from(flags).where(at(environment, key));
	return row?.version;
}

/** `before` is as it was read, or its place and version alone where it could not be read. */
export async function deleteFlag(
	db: Database,
	before: StoredFlag | Pick<StoredFlag, "environment" | "key" | "version">,
	act: Act,
): Promise<Result<null, FlagRefusal>> {
	const { environment, key } = before;
	const by = await dependentsOf(db, environment, key);
	if (by.length > 0) return err({ kind: "flag_required", key, by });
	const row = { environment, key, version: before.version + 1, config: null, updatedAtMs: act.atMs };
	const config = "type" in before ? configOf(before) : { damaged: true };
	const isWritten = await write(db, [
		db.insert(flagVersions).values({ ...versionOf(row, act), version: unlessActive(row, unrequired(row)) }),
		db.delete(flags).where(at(environment, key)),
		changed(db, environment, act.atMs),
		audited(db, act, resource(environment, key), "flag.deleted", config, null),
	]);
	if (isWritten) return ok(null);
	const refusal = await lost(db, before, ["the flag itself"]);
	return err(isUnchanged(refusal, before) ? { kind: "flag_required", key, by: await dependentsOf(db, environment, key) } : refusal);
}

/** Nobody has changed the flag: what was lost against is a flag that has come to require it. */
const isUnchanged = (refusal: FlagRefusal, before: { readonly version: number }): boolean =>
	refusal.kind === "version_mismatch" && refusal.current === before.version;

/** A kill reaches the edges with the head, before any snapshot does. */
function killStatements(db: Database, before: StoredFlag, after: Flag, realNow: number): Statement[] {
	if (before.enabled === after.enabled) return [];
	const { environment, key } = before;
	return [after.enabled ? overlayLifted(db, environment, "kill", key) : overlaid(db, environment, "kill", key, realNow), headChanged(db)];
}

const killAction = (after: Flag): string => (after.enabled ? "flag.enabled" : "flag.killed");

/** NULL where the version must not be NULL aborts the batch: the check and the write are one transaction. */
function unlessActive(
	row: { readonly environment: string; readonly key: string; readonly version: number },
	version = sql<number>`${row.version}`,
) {
	return sql<number>`CASE WHEN EXISTS (SELECT 1 FROM ${activeFlags} WHERE ${activeFlags.environment} = ${row.environment} AND ${activeFlags.flag} = ${row.key}) THEN NULL ELSE ${version} END`;
}

/** As above: a flag or a route that has come to require it since it was looked for. */
function unrequired(row: { readonly environment: string; readonly key: string; readonly version: number }, variants?: readonly string[]) {
	return sql<number>`CASE WHEN EXISTS (SELECT 1 FROM ${flags} WHERE ${requires(row.environment, row.key, variants)}) OR ${isRouted(row.environment, row.key, variants)} THEN NULL ELSE ${row.version} END`;
}

/** Whether a row of flags names that one as a prerequisite, or one of these variants of it. A corrupt row requires nothing. */
const requires = (environment: string, key: string, variants?: readonly string[]) => {
	const oneOf =
		variants &&
		sql` AND EXISTS (SELECT 1 FROM json_each(${flags.config}, named.path || '.variants') AS wanted WHERE wanted.value IN (SELECT value FROM json_each(${JSON.stringify(variants)})))`;
	return sql`${flags.environment} = ${environment} AND ${flags.key} <> ${key} AND CASE WHEN json_valid(${flags.config}) THEN EXISTS (SELECT 1 FROM json_tree(${flags.config}, '$.prerequisites') AS named WHERE named.key = 'flag' AND named.atom = ${key}${oneOf}) ELSE FALSE END`;
};

/** Flags by their keys, and routes as `routes/…`. */
async function dependentsOf(db: Database, environment: string, key: string, variants?: readonly string[]): Promise<string[]> {
	const rows = await db
		.select({ key: flags.key })
		.from(flags)
		.where(requires(environment, key, variants))
		.orderBy(asc(flags.key));
	return [...rows.map((row) => row.key), ...(await routesNaming(db, environment, key, variants))];
}

async function write(db: Database, statements: readonly Statement[]): Promise<boolean> {
	try {
		await commit(db, statements);
		return true;
	} catch (error) {
		if (isConflict(error, "flag_versions") || isConflict(error, "flags")) return false;
		throw error;
	}
}

async function lost(
	db: Database,
	before: Pick<StoredFlag, "environment" | "key" | "version">,
	fields: readonly string[],
): Promise<FlagRefusal> {
	const now = await getFlagVersion(db, before.environment, before.key);
	if (now === undefined) return { kind: "flag_missing", key: before.key };
	const [active] = await db
		.select()
		.from(activeFlags)
		.where(and(eq(activeFlags.environment, before.environment), eq(activeFlags.flag, before.key)));
	if (now === before.version && active) return { kind: "flag_in_rollout", rollout: active.rollout, fields };
	return { kind: "version_mismatch", current: now };
}

const at = (environment: string, key: string) => and(eq(flags.environment, environment), eq(flags.key, key));
/** As one parameter: a statement takes 100. */
export const among = (environment: string, keys: readonly string[]) =>
	and(eq(flags.environment, environment), sql`${flags.key} IN (SELECT value FROM json_each(${JSON.stringify(keys)}))`);

function stored(row: typeof flags.$inferSelect): StoredFlag {
	return { ...row.config, environment: row.environment, version: row.version, updatedAtMs: row.updatedAtMs };
}

export function configOf({ environment: _environment, version: _version, updatedAtMs: _updatedAtMs, ...flag }: StoredFlag): Flag {
	return flag;
}

function versionOf(row: { environment: string; key: string; version: number; config: Flag | null }, act: Act) {
	const { environment, key, version, config } = row;
	return { environment, key, version, config, atMs: act.atMs, actor: act.actor, reason: act.reason };
}
