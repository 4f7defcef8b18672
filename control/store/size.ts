import { eq, sql } from "drizzle-orm";
import type { Flag } from "../../core/flags/model";
import type { Route } from "../../core/gateway/model";
import type { Segment } from "../../core/flags/segment";
import type { Database } from "./database";
import { environments, flags, gatewayRoutes, segments } from "./schema";

/** What the snapshot of an environment may hold; KV would take 25 MiB, an isolate's memory would not. */
const SNAPSHOT_BYTES_MAX = 8 * 1024 * 1024;

/** Of a listed key in the snapshot. */
const DIGITS_A_KEY = 16;

export interface SizeRefusal {
	readonly kind: "snapshot_too_large";
	readonly bytes: number;
	readonly limitBytes: number;
}

/** The bytes of what an environment holds beside these flags, segments and routes; the packed form is a little smaller. One statement, so it can stand in a batch. */
export function selectBytesBeside(
	db: Database,
	environment: string,
	flagKeys: readonly string[],
	segmentKeys: readonly string[],
	routeKeys: readonly string[] = [],
) {
	const others = (table: typeof flags | typeof segments | typeof gatewayRoutes, keys: readonly string[]) =>
		sql`${table.environment} = ${environment} AND ${table.key} NOT IN (SELECT value FROM json_each(${JSON.stringify(keys)}))`;
	return db
		.select({
			bytes: sql<number>`(SELECT coalesce(sum(length(CAST(${flags.config} AS BLOB))), 0) FROM ${flags} WHERE ${others(flags, flagKeys)})
				+ (SELECT coalesce(sum(length(CAST(${segments.config} AS BLOB)) + ${DIGITS_A_KEY} * ${segments.listed}), 0) FROM ${segments} WHERE ${others(segments, segmentKeys)})
				+ (SELECT coalesce(sum(length(CAST(${gatewayRoutes.config} AS BLOB))), 0) FROM ${gatewayRoutes} WHERE ${others(gatewayRoutes, routeKeys)})`,
		})
		.from(environments)
		.where(eq(environments.name, environment));
}

export function bytesOf(config: Flag | Segment | Route, listed = 0): number {
	return new TextEncoder().encode(JSON.stringify(config)).length + DIGITS_A_KEY * listed;
}

export function tooLarge(bytes: number): SizeRefusal | undefined {
	return bytes > SNAPSHOT_BYTES_MAX ? { kind: "snapshot_too_large", bytes, limitBytes: SNAPSHOT_BYTES_MAX } : undefined;
}

export async function flagSizeRefusal(db: Database, environment: string, flag: Flag): Promise<SizeRefusal | undefined> {
	const [others] = await selectBytesBeside(db, environment, [flag.key], []);
	return tooLarge((others?.bytes ?? 0) + bytesOf(flag));
}

export async function segmentSizeRefusal(
	db: Database,
	environment: string,
	segment: Segment,
	listed: number,
): Promise<SizeRefusal | undefined> {
	const [others] = await selectBytesBeside(db, environment, [], [segment.key]);
	return tooLarge((others?.bytes ?? 0) + bytesOf(segment, listed));
}

export async function routeSizeRefusal(db: Database, environment: string, route: Route): Promise<SizeRefusal | undefined> {
	const [others] = await selectBytesBeside(db, environment, [], [], [route.key]);
	return tooLarge((others?.bytes ?? 0) + bytesOf(route));
}
