import { type SQL, and, asc, eq, inArray, or, sql } from "drizzle-orm";
import type { SQLiteColumn } from "drizzle-orm/sqlite-core";
import { packListed } from "../../core/flags/listed";
import { type Segment, segment as segmentSchema } from "../../core/flags/segment";
import { type Result, err, ok } from "../../core/result";
import { ACTIVE, type Status } from "../../core/rollouts/state";
import { type Act, audited } from "./audit";
import { isConflict } from "./conflict";
import { type Database, type Statement, commit } from "./database";
import { changed } from "./environments";
import { isProtecting, selectProtectionsNaming } from "./gatewayReferences";
import { parseJson } from "./json";
import { flags, rollouts, segmentKeys, segmentVersions, segments } from "./schema";
import { type SizeRefusal, bytesOf, segmentSizeRefusal } from "./size";

export interface StoredSegment extends Segment {
	readonly environment: string;
	readonly version: number;
	/** How many keys are listed. */
	readonly listed: number;
	readonly updatedAtMs: number;
}

export type SegmentRefusal =
	| { readonly kind: "segment_exists"; readonly key: string }
	| { readonly kind: "segment_missing"; readonly key: string }
	| { readonly kind: "segment_in_use"; readonly key: string; readonly by: readonly string[] }
	| { readonly kind: "segment_mismatch"; readonly current: number }
	| SizeRefusal;

/** A row holds 2 MB at most, and a UTF-16 unit is 3 bytes of UTF-8 at most. */
const PART_CHARACTERS = 500_000;

export async function listSegments(db: Database, environment: string): Promise<StoredSegment[]> {
	const rows = await db.select().from(segments).where(eq(segments.environment, environment)).orderBy(asc(segments.key));
	return rows.map(stored);
}

export async function getSegment(db: Database, environment: string, key: string): Promise<StoredSegment | undefined> {
	const [row] = await db.select().from(segments).where(at(environment, key));
	return row && stored(row);
}

/** Those of these keys that no segment has; one that cannot be read is there. */
export async function missingSegments(db: Database, environment: string, keys: readonly string[]): Promise<string[]> {
	if (keys.length === 0) return [];
	const isNamed = sql`${segments.key} IN (SELECT value FROM json_each(${JSON.stringify(keys)}))`;
	const rows = await db
		.select({ key: segments.key })
		.from(segments)
		.where(and(eq(segments.environment, environment), isNamed));
	return keys.filter((key) => !rows.some((row) => row.key === key));
}

export async function getListed(db: Database, environment: string, key: string): Promise<string[]> {
	const parts = await db
		.select({ text: segmentKeys.text })
		.from(segmentKeys)
		.where(and(eq(segmentKeys.environment, environment), eq(segmentKeys.segment, key), eq(segmentKeys.kind, "keys")))
		.orderBy(asc(segmentKeys.part));
	return parts.flatMap(({ text }) => JSON.parse(text) as string[]);
}

export async function createSegment(
	db: Database,
	environment: string,
	config: Segment,
	act: Act,
): Promise<Result<StoredSegment, SegmentRefusal>> {
	const [last] = await db
		.select({ version: sql<number>`coalesce(max(${segmentVersions.version}), 0)` })
		.from(segmentVersions)
		.where(and(eq(segmentVersions.environment, environment), eq(segmentVersions.key, config.key)));
	const row = { environment, key: config.key, version: (last?.version ?? 0) + 1, config, listed: 0, updatedAtMs: act.atMs };
	const tooLarge = await segmentSizeRefusal(db, environment, config, 0);
	if (tooLarge) return err(tooLarge);
	const isWritten =
		!(await getSegment(db, environment, config.key)) &&
		(await write(db, [
			versioned(db, row, act),
			db.insert(segments).values(row),
			changed(db, environment, act.atMs),
			audited(db, act, resource(environment, config.key), "segment.created", null, config),
		]));
	return isWritten ? ok(stored(row)) : err({ kind: "segment_exists", key: config.key });
}

/** `keys`: the whole list anew; undefined leaves it as it is. */
export async function changeSegment(
	db: Database,
	before: StoredSegment,
	after: Segment,
	keys: readonly string[] | undefined,
	act: Act,
): Promise<Result<StoredSegment, SegmentRefusal>> {
	const { environment, key } = before;
	const unique = keys && [...new Set(keys)];
	const row = {
		environment,
		key,
		version: before.version + 1,
		config: after,
		listed: unique?.length ?? before.listed,
		updatedAtMs: act.atMs,
	};
	const grows = bytesOf(after, row.listed) > bytesOf(configOf(before), before.listed);
	const tooLarge = grows && (await segmentSizeRefusal(db, environment, after, row.listed));
	if (tooLarge) return err(tooLarge);
	const isWritten = await write(db, [
		versioned(db, row, act),
		db.update(segments).set(row).where(at(environment, key)),
		...(unique ? listStatements(db, environment, key, unique) : []),
		changed(db, environment, act.atMs),
		audited(
			db,
			act,
			resource(environment, key),
			unique ? "segment.keys_replaced" : "segment.changed",
			{ ...configOf(before), listed: before.listed },
			{ ...after, listed: row.listed },
		),
	]);
	return isWritten ? ok(stored(row)) : err(await lost(db, before));
}

export async function deleteSegment(db: Database, before: StoredSegment, act: Act): Promise<Result<null, SegmentRefusal>> {
	const { environment, key } = before;
	const by = await usersOf(db, environment, key);
	if (by.length > 0) return err({ kind: "segment_in_use", key, by });
	const row = { environment, key, version: before.version + 1, config: null, atMs: act.atMs, actor: act.actor, reason: act.reason };
	// One that has come to name it since: NULL aborts the batch.
	const namedIn = (table: typeof flags | typeof segments) =>
		sql`EXISTS (SELECT 1 FROM ${table} WHERE ${table.environment} = ${environment} AND instr(${table.config}, ${naming(key)}) > 0)`;
	const used = sql`EXISTS (SELECT 1 FROM ${rollouts} WHERE ${uses(environment, key)})`;
	const unused = sql<number>`CASE WHEN ${namedIn(flags)} OR ${namedIn(segments)} OR ${used} OR ${isProtecting(environment, key)} THEN NULL ELSE ${row.version} END`;
	const isWritten = await write(db, [
		db.insert(segmentVersions).values({ ...row, version: unused }),
		db.delete(segments).where(at(environment, key)),
		db.delete(segmentKeys).where(and(eq(segmentKeys.environment, environment), eq(segmentKeys.segment, key))),
		changed(db, environment, act.atMs),
		audited(db, act, resource(environment, key), "segment.deleted", configOf(before), null),
	]);
	return isWritten ? ok(null) : err(await lost(db, before));
}

/** What names a segment, as `flags/…`, `segments/…`, `rollouts/…` and `protections/…`. */
async function usersOf(db: Database, environment: string, key: string): Promise<string[]> {
	const [inFlags, inSegments, inRollouts, inProtections] = await db.batch([
		db
			.select({ key: flags.key })
			.from(flags)
			.where(and(eq(flags.environment, environment), sql`instr(${flags.config}, ${naming(key)}) > 0`)),
		db
			.select({ key: segments.key })
			.from(segments)
			.where(and(eq(segments.environment, environment), sql`instr(${segments.config}, ${naming(key)}) > 0`)),
		db.select({ id: rollouts.id }).from(rollouts).where(uses(environment, key)).orderBy(asc(rollouts.id)),
		selectProtectionsNaming(db, environment, key),
	]);
	return [
		...inFlags.map((row) => `flags/${row.key}`),
		...inSegments.map((row) => `segments/${row.key}`),
		...inRollouts.map((row) => `rollouts/${row.id}`),
		...inProtections.map((row) => `protections/${row.key}`),
	];
}

/** A rollout that has ended needs none any more: what it leaves in its flags names them itself. */
const UNFINISHED: Status[] = ["draft", ...ACTIVE];

/**
 * Whether a row of rollouts names the segment: whom it excludes, whom its phases serve, whom its way back takes back, whom people
 * have taken back. What cannot be read of one names nothing; its users are served the baseline.
 */
function uses(environment: string, key: string) {
	const isAmong = (column: SQLiteColumn, path: string) =>
		sql`EXISTS (SELECT 1 FROM json_each(${column}, ${path}) AS named WHERE named.value = ${key})`;
	const isAudience = sql`EXISTS (SELECT 1 FROM json_tree(${rollouts.plan}, '$.phases') AS named WHERE named.key = 'audience' AND named.atom = ${key})`;
	const ofPlan = or(isAmong(rollouts.plan, "$.exclude.segments"), isAmong(rollouts.plan, "$.rollback.segments"), isAudience);
	const ofState = isAmong(rollouts.state, "$.excluded.segments");
	const where = (column: SQLiteColumn, named: SQL | undefined) => sql`CASE WHEN json_valid(${column}) THEN ${named} ELSE FALSE END`;
	return and(
		eq(rollouts.environment, environment),
		inArray(rollouts.status, UNFINISHED),
		or(where(rollouts.plan, ofPlan), where(rollouts.state, ofState)),
	);
}

/** As JSON.stringify writes a condition that names the segment; keys need no escape. */
const naming = (key: string): string => `{"segment":"${key}"}`;

/** What a snapshot needs of them: one statement each, so both can stand in a batch. */
export function selectForSnapshot(db: Database, environment: string) {
	return [
		db
			.select({ key: segments.key, config: sql<string>`${segments.config}` })
			.from(segments)
			.where(eq(segments.environment, environment)),
		db
			.select({ segment: segmentKeys.segment, text: segmentKeys.text })
			.from(segmentKeys)
			.where(and(eq(segmentKeys.environment, environment), eq(segmentKeys.kind, "digits")))
			.orderBy(asc(segmentKeys.segment), asc(segmentKeys.part)),
	] as const;
}

/** A segment that cannot be read is left out: the flags that name it resolve to PARSE_ERROR, the others go on. */
export function snapshotSegments(
	rows: readonly { readonly key: string; readonly config: string }[],
	parts: readonly { readonly segment: string; readonly text: string }[],
): { segment: Segment; listed: string }[] {
	return rows.flatMap(({ key, config }) => {
		const segment = parseJson(segmentSchema, config);
		const listed = parts.filter((part) => part.segment === key).map(({ text }) => text);
		return segment ? [{ segment, listed: listed.join("") }] : [];
	});
}

function listStatements(db: Database, environment: string, segment: string, keys: readonly string[]): Statement[] {
	return [
		db.delete(segmentKeys).where(and(eq(segmentKeys.environment, environment), eq(segmentKeys.segment, segment))),
		...listedParts(segment, keys).map((part) => db.insert(segmentKeys).values({ environment, ...part })),
	];
}

/** A segment's keys as rows: as they were given, and as the digits that ride in the snapshot. */
export function listedParts(segment: string, keys: readonly string[]): Omit<typeof segmentKeys.$inferSelect, "environment">[] {
	const lists: string[][] = [];
	let left = 0;
	for (const key of keys) {
		const characters = JSON.stringify(key).length + 1;
		if (characters > left) {
			lists.push([]);
			left = PART_CHARACTERS;
		}
		left -= characters;
		lists.at(-1)?.push(key);
	}
	const digits = packListed(keys);
	const parts = Array.from({ length: Math.ceil(digits.length / PART_CHARACTERS) }, (_, part) =>
		digits.slice(part * PART_CHARACTERS, (part + 1) * PART_CHARACTERS),
	);
	return [
		...lists.map((list, part) => ({ segment, kind: "keys" as const, part, text: JSON.stringify(list) })),
		...parts.map((text, part) => ({ segment, kind: "digits" as const, part, text })),
	];
}

function versioned(db: Database, row: { environment: string; key: string; version: number; config: Segment }, act: Act): Statement {
	const { environment, key, version, config } = row;
	return db.insert(segmentVersions).values({ environment, key, version, config, atMs: act.atMs, actor: act.actor, reason: act.reason });
}

async function write(db: Database, statements: readonly Statement[]): Promise<boolean> {
	try {
		await commit(db, statements);
		return true;
	} catch (error) {
		if (isConflict(error, "segment_versions") || isConflict(error, "segments")) return false;
		throw error;
	}
}

async function lost(db: Database, before: StoredSegment): Promise<SegmentRefusal> {
	const now = await getSegment(db, before.environment, before.key);
	if (!now) return { kind: "segment_missing", key: before.key };
	const by = now.version === before.version ? await usersOf(db, before.environment, before.key) : [];
	return by.length > 0 ? { kind: "segment_in_use", key: before.key, by } : { kind: "segment_mismatch", current: now.version };
}

export const resource = (environment: string, key: string): string => `segments/${environment}/${key}`;
const at = (environment: string, key: string) => and(eq(segments.environment, environment), eq(segments.key, key));

function stored(row: typeof segments.$inferSelect): StoredSegment {
	const { environment, version, listed, updatedAtMs } = row;
	return { ...row.config, environment, version, listed, updatedAtMs };
}

export function configOf({ key, description, when }: StoredSegment): Segment {
	return { key, description, when };
}
