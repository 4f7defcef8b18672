import { and, asc, eq, getTableColumns, sql } from "drizzle-orm";
import { type Route, packRoute, storedRoute } from "../../core/gateway/model";
import type { PackedRoute } from "../../core/gateway/packed";
import { conflict } from "../../core/gateway/routes";
import { type Result, err, ok } from "../../core/result";
import { log } from "../log";
import { type Act, audited, plain } from "./audit";
import { isConflict } from "./conflict";
import { type Database, type Statement, commit } from "./database";
import { changedSince } from "./environments";
import { parseJson } from "./json";
import { environments, gatewayRoutes } from "./schema";
import { type SizeRefusal, routeSizeRefusal } from "./size";

/** An environment has so many: they ride in the snapshot, and each host's are looked through. */
export const ROUTES_MAX = 200;

export interface StoredRoute extends Route {
	readonly environment: string;
	readonly version: number;
	readonly updatedAtMs: number;
}

/** Of a row that cannot be read there is no config. */
export interface FoundRoute {
	readonly environment: string;
	readonly key: string;
	readonly version: number;
	readonly config: Route | undefined;
	readonly updatedAtMs: number;
}

export type RouteRefusal =
	| { readonly kind: "route_exists"; readonly key: string }
	| { readonly kind: "route_missing"; readonly key: string }
	| { readonly kind: "route_conflict"; readonly key: string; readonly with: string }
	| { readonly kind: "route_mismatch"; readonly current: number }
	| { readonly kind: "host_taken"; readonly host: string; readonly environment: string }
	| { readonly kind: "too_many_routes"; readonly limit: number }
	| { readonly kind: "changed_meanwhile" }
	| SizeRefusal;

/** One statement, so it can stand in a batch. */
export function selectRoutes(db: Database, environment: string) {
	return db.select(TOLERANT).from(gatewayRoutes).where(eq(gatewayRoutes.environment, environment)).orderBy(asc(gatewayRoutes.key));
}

const TOLERANT = {
	...getTableColumns(gatewayRoutes),
	config: sql`${gatewayRoutes.config}`.mapWith((text: string): Route | undefined => parseJson(storedRoute, text)),
};

export async function listRoutes(db: Database, environment: string): Promise<{ routes: StoredRoute[]; damaged: string[] }> {
	const read = (await selectRoutes(db, environment)).map((row) => stored(row) ?? row.key);
	return { routes: read.filter((each) => typeof each !== "string"), damaged: read.filter((each) => typeof each === "string") };
}

export async function findRoute(db: Database, environment: string, key: string): Promise<FoundRoute | undefined> {
	const [row] = await db.select(TOLERANT).from(gatewayRoutes).where(at(environment, key));
	return row;
}

/**
 * The environment as a route is checked against it, and the number of its newest change: whoever changes flags or routes after this wins,
 * and the write is refused.
 */
export async function readChanged(db: Database, environment: string): Promise<number> {
	const [row] = await db.select({ changed: environments.changed }).from(environments).where(eq(environments.name, environment));
	if (!row) throw new Error(`no environment ${environment}`);
	return row.changed;
}

/** `read` is what readChanged said before the route was checked. */
export async function createRoute(
	db: Database,
	environment: string,
	config: Route,
	read: number,
	act: Act,
): Promise<Result<StoredRoute, RouteRefusal>> {
	const { key } = config;
	const all = await selectRoutes(db, environment);
	if (all.some((each) => each.key === key)) return err({ kind: "route_exists", key });
	if (all.length >= ROUTES_MAX) return err({ kind: "too_many_routes", limit: ROUTES_MAX });
	const refusal = await refusalOf(db, environment, config, all, true);
	if (refusal) return err(refusal);
	// The number of the change: a key that was deleted goes on with greater versions, so no If-Match of the old route fits the new one.
	const row = { environment, key, version: read + 1, host: config.host, config: plain(config), updatedAtMs: act.atMs };
	const isWritten = await write(db, [
		changedSince(db, environment, read, act.atMs),
		db.insert(gatewayRoutes).values({ ...row, version: unlessTaken(environment, row) }),
		audited(db, act, routeResource(environment, key), "route.created", null, config),
	]);
	return isWritten ? ok({ ...config, environment, version: row.version, updatedAtMs: act.atMs }) : err({ kind: "changed_meanwhile" });
}

/** `before` is as it was read; whoever has changed it since wins. */
export async function changeRoute(
	db: Database,
	before: FoundRoute,
	config: Route,
	read: number,
	act: Act,
): Promise<Result<StoredRoute, RouteRefusal>> {
	const { environment, key } = before;
	const all = await selectRoutes(db, environment);
	const grows = JSON.stringify(config).length > JSON.stringify(before.config ?? null).length;
	const refusal = await refusalOf(db, environment, config, all, grows);
	if (refusal) return err(refusal);
	const row = { host: config.host, version: before.version + 1, config: plain(config), updatedAtMs: act.atMs };
	const isWritten = await write(db, [
		changedSince(db, environment, read, act.atMs),
		db
			.update(gatewayRoutes)
			.set({ ...row, version: unlessTaken(environment, row) })
			.where(at(environment, key)),
		audited(db, act, routeResource(environment, key), "route.changed", before.config ?? { damaged: true }, config),
	]);
	return isWritten ? ok({ ...config, environment, version: row.version, updatedAtMs: act.atMs }) : err(await lost(db, before));
}

export async function deleteRoute(db: Database, before: FoundRoute, read: number, act: Act): Promise<Result<null, RouteRefusal>> {
	const { environment, key } = before;
	const isWritten = await write(db, [
		changedSince(db, environment, read, act.atMs),
		db.delete(gatewayRoutes).where(at(environment, key)),
		audited(db, act, routeResource(environment, key), "route.deleted", before.config ?? { damaged: true }, null),
	]);
	return isWritten ? ok(null) : err(await lost(db, before));
}

/** What the edge gets of a route: a damaged one is left out, and the others go on. */
export function packedRoutes(
	environment: string,
	rows: readonly Pick<FoundRoute, "key" | "config">[],
	flags: ReadonlyMap<string, { readonly variants: readonly string[]; readonly off: string }>,
): PackedRoute[] {
	return rows.flatMap(({ key, config }) => {
		if (!config) {
			log("route_damaged", { environment, route: key });
			return [];
		}
		return complete(packRoute(config), flags);
	});
}

/** A variant that the flag got since has no origin yet: whoever is served it goes where the off variant goes. */
function complete(
	route: PackedRoute,
	flags: ReadonlyMap<string, { readonly variants: readonly string[]; readonly off: string }>,
): PackedRoute {
	const { flag, origins } = route;
	const known = flag === undefined ? undefined : flags.get(flag);
	const off = known && origins?.[known.off];
	if (!known || !origins || !off) return route;
	const added = known.variants.filter((variant) => !Object.hasOwn(origins, variant));
	return added.length === 0 ? route : { ...route, origins: { ...origins, ...Object.fromEntries(added.map((variant) => [variant, off])) } };
}

async function refusalOf(
	db: Database,
	environment: string,
	config: Route,
	all: readonly FoundRoute[],
	grows: boolean,
): Promise<RouteRefusal | undefined> {
	const packed = packRoute(config);
	const other = all.find((each) => each.key !== config.key && each.config && conflict(packed, packRoute(each.config)));
	if (other) return { kind: "route_conflict", key: config.key, with: other.key };
	const [taken] = await db
		.select({ environment: gatewayRoutes.environment })
		.from(gatewayRoutes)
		.where(elsewhere(environment, config.host));
	if (taken) return { kind: "host_taken", host: config.host, environment: taken.environment };
	return grows ? routeSizeRefusal(db, environment, config) : undefined;
}

/** Routes of a host in another environment: the edge knows by the host whose request it is. */
const elsewhere = (environment: string, host: string) =>
	sql`${gatewayRoutes.host} = ${host} AND ${gatewayRoutes.environment} <> ${environment}`;

/** NULL aborts the batch: another environment has come to have the host since it was looked for. */
function unlessTaken(environment: string, { host, version }: { readonly host: string; readonly version: number }) {
	return sql<number>`CASE WHEN EXISTS (SELECT 1 FROM gateway_routes AS other WHERE other.host = ${host} AND other.environment <> ${environment}) THEN NULL ELSE ${version} END`;
}

async function write(db: Database, statements: readonly Statement[]): Promise<boolean> {
	try {
		await commit(db, statements);
		return true;
	} catch (error) {
		if (isConflict(error, "environments") || isConflict(error, "gateway_routes")) return false;
		throw error;
	}
}

async function lost(db: Database, { environment, key, version }: FoundRoute): Promise<RouteRefusal> {
	const now = await findRoute(db, environment, key);
	if (!now) return { kind: "route_missing", key };
	return now.version === version ? { kind: "changed_meanwhile" } : { kind: "route_mismatch", current: now.version };
}

/** What its audit is kept under. */
export const routeResource = (environment: string, key: string): string => `routes/${environment}/${key}`;
const at = (environment: string, key: string) => and(eq(gatewayRoutes.environment, environment), eq(gatewayRoutes.key, key));

export function stored({ environment, config, version, updatedAtMs }: FoundRoute): StoredRoute | undefined {
	return config && { ...config, environment, version, updatedAtMs };
}
