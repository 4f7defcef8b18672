import { and, asc, eq, max, sql } from "drizzle-orm";
import { type Flag, flag as flagSchema } from "../../core/flags/model";
import { type Segment, segment as segmentSchema } from "../../core/flags/segment";
import type { Route } from "../../core/gateway/model";
import type { Act } from "./audit";
import { isConflict } from "./conflict";
import { type Database, type Statement, commit } from "./database";
import { changedSince, killsOverlaid } from "./environments";
import { among, resource } from "./flags";
import { selectRoutes } from "./gateway";
import { parseJson } from "./json";
import { type RouteWrite, routesWritten } from "./manyRoutes";
import { type World, selectWorld, worldOf } from "./references";
import { activeFlags, audit, environments, flagVersions, flags, segmentKeys, segmentVersions, segments } from "./schema";
import { listedParts, resource as segmentResource } from "./segments";
import { selectBytesBeside } from "./size";

/** Many flags, segments and routes read as of one moment, and written in one transaction. */

/** One that cannot be read has no config: it can be replaced, and not compared. */
interface Existing<T> {
	readonly config: T | undefined;
	readonly version: number;
}
interface ExistingSegment extends Existing<Segment> {
	readonly listed: number;
	/** As packListed made them. */
	readonly digits: string;
}

/** An environment that a transfer goes to, as far as the transfer concerns it. */
export interface Target {
	readonly environment: string;
	/** Whoever changes the environment after this wins. */
	readonly changed: number;
	readonly flags: ReadonlyMap<string, Existing<Flag>>;
	readonly segments: ReadonlyMap<string, ExistingSegment>;
	/** The newest version of those that are there or were. */
	readonly flagVersions: ReadonlyMap<string, number>;
	readonly segmentVersions: ReadonlyMap<string, number>;
	/** Flag → the live rollout that holds it. */
	readonly rollouts: ReadonlyMap<string, string>;
	readonly world: World;
	/** Of all flags, segments and routes, and of those that are not named. */
	readonly bytes: { readonly all: number; readonly others: number };
}

export async function readTarget(
	db: Database,
	environment: string,
	flagKeys: readonly string[],
	segmentKeysWanted: readonly string[],
	routeKeys: readonly string[],
): Promise<Target> {
	const named = JSON.stringify(flagKeys);
	const namedSegments = JSON.stringify(segmentKeysWanted);
	const [changed, flagRows, flagLast, active, segmentRows, segmentLast, digits, all, others, worldSegments, worldFlags, routed] =
		await db.batch([
			db.select({ changed: environments.changed }).from(environments).where(eq(environments.name, environment)),
			db
				.select({ key: flags.key, version: flags.version, config: sql<string>`${flags.config}` })
				.from(flags)
				.where(among(environment, flagKeys)),
			db
				.select({ key: flagVersions.key, version: max(flagVersions.version) })
				.from(flagVersions)
				.where(and(eq(flagVersions.environment, environment), sql`${flagVersions.key} IN (SELECT value FROM json_each(${named}))`))
				.groupBy(flagVersions.key),
			db.select({ flag: activeFlags.flag, rollout: activeFlags.rollout }).from(activeFlags).where(eq(activeFlags.environment, environment)),
			db
				.select({ key: segments.key, version: segments.version, listed: segments.listed, config: sql<string>`${segments.config}` })
				.from(segments)
				.where(and(eq(segments.environment, environment), sql`${segments.key} IN (SELECT value FROM json_each(${namedSegments}))`)),
			db
				.select({ key: segmentVersions.key, version: max(segmentVersions.version) })
				.from(segmentVersions)
				.where(
					and(eq(segmentVersions.environment, environment), sql`${segmentVersions.key} IN (SELECT value FROM json_each(${namedSegments}))`),
				)
				.groupBy(segmentVersions.key),
			db
				.select({ segment: segmentKeys.segment, text: segmentKeys.text })
				.from(segmentKeys)
				.where(
					and(
						eq(segmentKeys.environment, environment),
						eq(segmentKeys.kind, "digits"),
						sql`${segmentKeys.segment} IN (SELECT value FROM json_each(${namedSegments}))`,
					),
				)
				.orderBy(asc(segmentKeys.segment), asc(segmentKeys.part)),
			selectBytesBeside(db, environment, [], []),
			selectBytesBeside(db, environment, flagKeys, segmentKeysWanted, routeKeys),
			...selectWorld(db, environment),
		]);
	const [row] = changed;
	if (!row) throw new Error(`no environment ${environment}`);
	const digitsOf = new Map<string, string>();
	for (const { segment, text } of digits) digitsOf.set(segment, (digitsOf.get(segment) ?? "") + text);
	return {
		environment,
		changed: row.changed,
		flags: new Map(flagRows.map(({ key, version, config }) => [key, { version, config: parseJson(flagSchema, config) }])),
		segments: new Map(
			segmentRows.map(({ key, version, listed, config }) => [
				key,
				{ version, listed, config: parseJson(segmentSchema, config), digits: digitsOf.get(key) ?? "" },
			]),
		),
		flagVersions: new Map(flagLast.map(({ key, version }) => [key, version ?? 0])),
		segmentVersions: new Map(segmentLast.map(({ key, version }) => [key, version ?? 0])),
		rollouts: new Map(active.map(({ flag, rollout }) => [flag, rollout])),
		world: worldOf(environment, worldSegments, worldFlags, routed),
		bytes: { all: all[0]?.bytes ?? 0, others: others[0]?.bytes ?? 0 },
	};
}

export interface Writes {
	readonly flags: readonly Flag[];
	/** Without keys the listed ones stay. */
	readonly segments: readonly { readonly segment: Segment; readonly keys: readonly string[] | undefined; readonly listed: number }[];
	readonly routes: readonly RouteWrite[];
}

/**
 * All of it in one transaction, each flag and segment with its version and its audit row. False: somebody has changed the
 * environment since it was read, and nothing was written.
 */
export async function writeTransfer(
	db: Database,
	target: Target,
	writes: Writes,
	act: Act,
	verb: "imported" | "promoted",
	realNow: number,
): Promise<boolean> {
	const { environment } = target;
	const { atMs, actor, reason } = act;
	const flagRows = writes.flags.map((config) => ({ key: config.key, version: (target.flagVersions.get(config.key) ?? 0) + 1, config }));
	const segmentRows = writes.segments.map(({ segment, listed }) => ({
		key: segment.key,
		version: (target.segmentVersions.get(segment.key) ?? 0) + 1,
		config: segment,
		listed,
	}));
	const relisted = writes.segments.flatMap(({ segment, keys }) => (keys ? [{ key: segment.key, keys }] : []));
	const audits = [
		...writes.flags.map((after) => ({
			resource: resource(environment, after.key),
			action: `flag.${verb}`,
			before: beforeOf(target.flags.get(after.key)),
			after,
		})),
		...writes.segments.map(({ segment, listed }) => {
			const before = target.segments.get(segment.key);
			return {
				resource: segmentResource(environment, segment.key),
				action: `segment.${verb}`,
				before: before ? { ...before.config, listed: before.listed } : null,
				after: { ...segment, listed },
			};
		}),
	];
	const version = (json: string) =>
		sql`SELECT ${environment}, value ->> 'key', value ->> 'version', value -> 'config', ${atMs}, ${actor}, ${reason} FROM json_each(${json}) WHERE true`;
	const statements: Statement[] = [
		changedSince(db, environment, target.changed, atMs),
		...inParts(flagRows, (json) => db.insert(flagVersions).select(version(json))),
		...inParts(flagRows, (json) =>
			db
				.insert(flags)
				.select(
					sql`SELECT ${environment}, value ->> 'key', value ->> 'version', value -> 'config', ${atMs} FROM json_each(${json}) WHERE true`,
				)
				.onConflictDoUpdate({
					target: [flags.environment, flags.key],
					set: { version: sql`excluded.version`, config: sql`excluded.config`, updatedAtMs: sql`excluded.updated_at_ms` },
				}),
		),
		...inParts(segmentRows, (json) => db.insert(segmentVersions).select(version(json))),
		...inParts(segmentRows, (json) =>
			db
				.insert(segments)
				.select(
					sql`SELECT ${environment}, value ->> 'key', value ->> 'version', value -> 'config', value ->> 'listed', ${atMs} FROM json_each(${json}) WHERE true`,
				)
				.onConflictDoUpdate({
					target: [segments.environment, segments.key],
					set: {
						version: sql`excluded.version`,
						config: sql`excluded.config`,
						listed: sql`excluded.listed`,
						updatedAtMs: sql`excluded.updated_at_ms`,
					},
				}),
		),
		db
			.delete(segmentKeys)
			.where(
				and(
					eq(segmentKeys.environment, environment),
					sql`${segmentKeys.segment} IN (SELECT value FROM json_each(${JSON.stringify(relisted.map(({ key }) => key))}))`,
				),
			),
		...inParts(
			relisted.flatMap(({ key, keys }) => listedParts(key, keys)),
			(json) =>
				db
					.insert(segmentKeys)
					.select(
						sql`SELECT ${environment}, value ->> 'segment', value ->> 'kind', value ->> 'part', value ->> 'text' FROM json_each(${json}) WHERE true`,
					),
		),
		...routesWritten(db, environment, writes.routes, target.changed, act, "imported"),
		...killsOverlaid(db, environment, ...killsOf(target, writes.flags), realNow),
		...inParts(audits, (json) =>
			db
				.insert(audit)
				.select(
					sql`SELECT NULL, ${atMs}, ${actor}, value ->> 'resource', value ->> 'action', ${reason}, ${act.correlationId}, nullif(value -> 'before', 'null'), value -> 'after' FROM json_each(${json}) WHERE true`,
				),
		),
	];
	try {
		await commit(db, statements);
		return true;
	} catch (error) {
		if (["environments", "flag_versions", "segment_versions", "gateway_routes"].some((table) => isConflict(error, table))) return false;
		throw error;
	}
}

function beforeOf(existing: Existing<Flag> | undefined): unknown {
	return existing ? (existing.config ?? { damaged: true }) : null;
}

/** Flags that edges must learn of with the head: killed, and enabled again. */
function killsOf(target: Target, after: readonly Flag[]): [killed: string[], lifted: string[]] {
	const wasEnabled = ({ key }: Flag): boolean | undefined => target.flags.get(key)?.config?.enabled;
	const killed = after.filter((flag) => !flag.enabled && target.flags.has(flag.key) && wasEnabled(flag) !== false);
	// A key that was deleted may have left its kill behind.
	const lifted = after.filter((flag) => flag.enabled && target.flagVersions.has(flag.key) && wasEnabled(flag) !== true);
	return [killed.map(({ key }) => key), lifted.map(({ key }) => key)];
}

/** A parameter holds 2 MB at most. */
const PARAMETER_BYTES = 1_500_000;

/** A statement for as many rows as fit into one JSON parameter: D1 takes 100 parameters a statement, and 50 statements a request at worst. */
function inParts(rows: readonly unknown[], statement: (json: string) => Statement): Statement[] {
	const parts: string[][] = [];
	let left = 0;
	for (const row of rows) {
		const json = JSON.stringify(row);
		const bytes = new TextEncoder().encode(json).length + 1;
		if (bytes > left) {
			parts.push([]);
			left = PARAMETER_BYTES;
		}
		left -= bytes;
		parts.at(-1)?.push(json);
	}
	return parts.map((part) => statement(`[${part.join(",")}]`));
}

export interface Exported {
	readonly flags: readonly Flag[];
	readonly segments: readonly (Segment & { readonly keys: readonly string[] })[];
	readonly routes: readonly Route[];
	readonly damaged: readonly string[];
}

/** Everything, as of one moment. */
export async function readExport(db: Database, environment: string): Promise<Exported> {
	const [flagRows, segmentRows, keyRows, routeRows] = await db.batch([
		db
			.select({ key: flags.key, config: sql<string>`${flags.config}` })
			.from(flags)
			.where(eq(flags.environment, environment))
			.orderBy(asc(flags.key)),
		db
			.select({ key: segments.key, config: sql<string>`${segments.config}` })
			.from(segments)
			.where(eq(segments.environment, environment))
			.orderBy(asc(segments.key)),
		db
			.select({ segment: segmentKeys.segment, text: segmentKeys.text })
			.from(segmentKeys)
			.where(and(eq(segmentKeys.environment, environment), eq(segmentKeys.kind, "keys"))),
		selectRoutes(db, environment),
	]);
	const damaged: string[] = [];
	const listed = new Map<string, string[]>();
	for (const { segment, text } of keyRows) {
		const keys = listed.get(segment) ?? [];
		for (const key of JSON.parse(text) as string[]) keys.push(key);
		listed.set(segment, keys);
	}
	const read = <T>(rows: readonly { key: string; config: string }[], parse: (config: string) => T | undefined): T[] =>
		rows.flatMap(({ key, config }) => {
			const found = parse(config);
			if (!found) damaged.push(key);
			return found ? [found] : [];
		});
	return {
		flags: read(flagRows, (config) => parseJson(flagSchema, config)),
		segments: read(segmentRows, (config) => parseJson(segmentSchema, config)).map((segment) => ({
			...segment,
			keys: (listed.get(segment.key) ?? []).sort(),
		})),
		routes: routeRows.flatMap(({ key, config }) => {
			if (!config) damaged.push(key);
			return config ?? [];
		}),
		damaged,
	};
}
