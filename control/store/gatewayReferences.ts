import { type SQL, and, asc, eq, sql } from "drizzle-orm";
import type { Database } from "./database";
import { gatewayProtections, gatewayRoutes } from "./schema";

/** What the gateway names: flags with their variants by routes, segments by protections. A corrupt row names nothing. */

/** Whether a row of routes names that flag, or has an origin for one of these variants of it. */
const namesFlag = (environment: string, flag: string, variants: readonly string[] | undefined): SQL => {
	const { config } = gatewayRoutes;
	const named = variants
		? sql`${config} ->> '$.flag' = ${flag} AND EXISTS (SELECT 1 FROM json_each(${config}, '$.origins') AS origin WHERE origin.key IN (SELECT value FROM json_each(${JSON.stringify(variants)})))`
		: sql`(${config} ->> '$.flag' = ${flag} OR EXISTS (SELECT 1 FROM json_each(${config}, '$.forward') AS forwarded WHERE forwarded.value = ${flag}))`;
	return sql`${gatewayRoutes.environment} = ${environment} AND CASE WHEN json_valid(${config}) THEN ${named} ELSE FALSE END`;
};

const namesSegment = (environment: string, segment: string): SQL => {
	const { config } = gatewayProtections;
	return sql`${gatewayProtections.environment} = ${environment} AND CASE WHEN json_valid(${config}) THEN EXISTS (SELECT 1 FROM json_each(${config}, '$.segments') AS named WHERE named.value = ${segment}) ELSE FALSE END`;
};

/** For a statement that must not be carried out then. */
export const isRouted = (environment: string, flag: string, variants?: readonly string[]): SQL =>
	sql`EXISTS (SELECT 1 FROM ${gatewayRoutes} WHERE ${namesFlag(environment, flag, variants)})`;
export const isProtecting = (environment: string, segment: string): SQL =>
	sql`EXISTS (SELECT 1 FROM ${gatewayProtections} WHERE ${namesSegment(environment, segment)})`;

/** As `routes/…`. */
export async function routesNaming(db: Database, environment: string, flag: string, variants?: readonly string[]): Promise<string[]> {
	const rows = await db
		.select({ key: gatewayRoutes.key })
		.from(gatewayRoutes)
		.where(namesFlag(environment, flag, variants))
		.orderBy(asc(gatewayRoutes.key));
	return rows.map(({ key }) => `routes/${key}`);
}

/** One statement, so it can stand in a batch. */
export function selectProtectionsNaming(db: Database, environment: string, segment: string) {
	return db
		.select({ key: gatewayProtections.key })
		.from(gatewayProtections)
		.where(namesSegment(environment, segment))
		.orderBy(asc(gatewayProtections.key));
}

/** Routes with a flag, and their origins' variants: for whoever looks at many flags at once. One statement, so it can stand in a batch. */
export function selectRouted(db: Database, environment: string) {
	const { config } = gatewayRoutes;
	return db
		.select({
			key: gatewayRoutes.key,
			flag: sql<string>`${config} ->> '$.flag'`,
			variants: sql<string>`(SELECT json_group_array(key) FROM json_each(${config}, '$.origins'))`,
		})
		.from(gatewayRoutes)
		.where(
			and(
				eq(gatewayRoutes.environment, environment),
				sql`CASE WHEN json_valid(${config}) THEN ${config} ->> '$.flag' IS NOT NULL ELSE FALSE END`,
			),
		);
}

/** Of these flags, those whose answers some route compares with that variant's. */
export async function shadowedFlags(
	db: Database,
	environment: string,
	flags: readonly string[],
	variant: string,
): Promise<ReadonlySet<string>> {
	const { config } = gatewayRoutes;
	const rows = await db
		.select({ flag: sql<string>`${config} ->> '$.flag'` })
		.from(gatewayRoutes)
		.where(
			and(
				eq(gatewayRoutes.environment, environment),
				sql`CASE WHEN json_valid(${config}) THEN ${config} ->> '$.shadow.variant' = ${variant} AND ${config} ->> '$.flag' IN (SELECT value FROM json_each(${JSON.stringify(flags)})) ELSE FALSE END`,
			),
		);
	return new Set(rows.map(({ flag }) => flag));
}

/** Rollout → the routes that go by its flags, in order; those without are left out. */
export async function routesOfRollouts(db: Database, ids: readonly string[]): Promise<ReadonlyMap<string, readonly string[]>> {
	const { results } = await db.$client
		.prepare(
			`SELECT o.id, r.key FROM rollouts AS o JOIN gateway_routes AS r ON r.environment = o.environment
			WHERE o.id IN (SELECT value FROM json_each(?1))
				AND CASE WHEN json_valid(o.plan) AND json_valid(r.config)
					THEN r.config ->> '$.flag' IN (SELECT value FROM json_each(o.plan, '$.flags')) ELSE FALSE END
			ORDER BY o.id, r.key`,
		)
		.bind(JSON.stringify(ids))
		.all<{ id: string; key: string }>();
	const byRollout = Map.groupBy(results, ({ id }) => id);
	return new Map([...byRollout].map(([id, rows]) => [id, rows.map(({ key }) => key)]));
}
