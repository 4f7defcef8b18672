import { sql } from "drizzle-orm";
import { type Difference, diff } from "../../core/flags/diff";
import { type Route, packRoute } from "../../core/gateway/model";
import { conflict } from "../../core/gateway/routes";
import { type Result, err, ok } from "../../core/result";
import { type Act, plain } from "./audit";
import type { Database, Statement } from "./database";
import { type FoundRoute, ROUTES_MAX, type RouteRefusal, routeResource, selectRoutes } from "./gateway";
import { audit, gatewayRoutes } from "./schema";
import { bytesOf, selectBytesBeside, tooLarge } from "./size";

/** Routes that come together, with a plan or an import: those that are there as they are wanted are left alone, all others are written at once. */

export interface RouteWrite {
	readonly route: Route;
	/** undefined: there is none of that key. */
	readonly before: FoundRoute | undefined;
	/** Of the one that is there; all of it where there is none, or one that cannot be read. */
	readonly diff: readonly Difference[];
}

/** Those that differ from what is there. */
export async function routesToWrite(
	db: Database,
	environment: string,
	wanted: readonly Route[],
): Promise<Result<readonly RouteWrite[], RouteRefusal>> {
	if (wanted.length === 0) return ok([]);
	const all = await selectRoutes(db, environment);
	const there = new Map(all.map((each) => [each.key, each]));
	const writes = wanted.flatMap((route): RouteWrite[] => {
		const before = there.get(route.key);
		const found = diff(plain(before?.config), plain(route));
		return found.length > 0 ? [{ route, before, diff: found }] : [];
	});
	if (writes.length === 0) return ok([]);
	const created = writes.filter(({ before }) => !before);
	if (all.length + created.length > ROUTES_MAX) return err({ kind: "too_many_routes", limit: ROUTES_MAX });
	const named = new Set(wanted.map(({ key }) => key));
	const others = [...all.flatMap(({ key, config }) => (config && !named.has(key) ? [config] : [])), ...wanted].map(packRoute);
	for (const { route } of writes) {
		const packed = packRoute(route);
		const other = others.find((each) => each.key !== route.key && conflict(packed, each));
		if (other) return err({ kind: "route_conflict", key: route.key, with: other.key });
	}
	const taken = await takenHost(db, environment, writes);
	return taken ? err(taken) : ok(writes);
}

/** Why the snapshot would become too large; one that was so before may not grow. */
export async function routesSizeRefusal(
	db: Database,
	environment: string,
	writes: readonly RouteWrite[],
): Promise<RouteRefusal | undefined> {
	const of = async (keys: readonly string[]) => (await selectBytesBeside(db, environment, [], [], keys))[0]?.bytes ?? 0;
	const [all, others] = await Promise.all([of([]), of(writes.map(({ route }) => route.key))]);
	const bytes = others + writes.reduce((sum, { route }) => sum + bytesOf(route), 0);
	return bytes > all ? tooLarge(bytes) : undefined;
}

async function takenHost(db: Database, environment: string, writes: readonly RouteWrite[]): Promise<RouteRefusal | undefined> {
	const hosts = JSON.stringify(writes.map(({ route }) => route.host));
	const [taken] = await db
		.select({ host: gatewayRoutes.host, environment: gatewayRoutes.environment })
		.from(gatewayRoutes)
		.where(sql`${gatewayRoutes.environment} <> ${environment} AND ${gatewayRoutes.host} IN (SELECT value FROM json_each(${hosts}))`)
		.limit(1);
	return taken && { kind: "host_taken", host: taken.host, environment: taken.environment };
}

/** Parts of a batch that holds `changedSince(read)` too. A host that has come to be another environment's aborts it. */
export function routesWritten(
	db: Database,
	environment: string,
	writes: readonly RouteWrite[],
	read: number,
	act: Act,
	verb?: "imported",
): readonly Statement[] {
	if (writes.length === 0) return [];
	const { atMs, actor, reason, correlationId } = act;
	const rows = writes.map(({ route, before }) => ({
		key: route.key,
		version: (before?.version ?? read) + 1,
		host: route.host,
		config: plain(route),
	}));
	const audits = writes.map(({ route, before }) => ({
		resource: routeResource(environment, route.key),
		action: `route.${verb ?? (before ? "changed" : "created")}`,
		before: before ? plain(before.config ?? { damaged: true }) : null,
		after: plain(route),
	}));
	const isTaken = sql`EXISTS (SELECT 1 FROM gateway_routes AS other WHERE other.host = value ->> 'host' AND other.environment <> ${environment})`;
	return [
		db
			.insert(gatewayRoutes)
			.select(
				sql`SELECT ${environment}, value ->> 'key', CASE WHEN NOT ${isTaken} THEN value ->> 'version' END, value ->> 'host', value -> 'config', ${atMs} FROM json_each(${JSON.stringify(rows)}) WHERE true`,
			)
			.onConflictDoUpdate({
				target: [gatewayRoutes.environment, gatewayRoutes.key],
				set: {
					version: sql`excluded.version`,
					host: sql`excluded.host`,
					config: sql`excluded.config`,
					updatedAtMs: sql`excluded.updated_at_ms`,
				},
			}),
		db
			.insert(audit)
			.select(
				sql`SELECT NULL, ${atMs}, ${actor}, value ->> 'resource', value ->> 'action', ${reason}, ${correlationId}, nullif(value -> 'before', 'null'), value -> 'after' FROM json_each(${JSON.stringify(audits)}) WHERE true`,
			),
	];
}
