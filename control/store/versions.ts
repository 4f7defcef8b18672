import { and, desc, eq, getTableColumns, lt, sql } from "drizzle-orm";
import { type Flag, flag as flagSchema } from "../../core/flags/model";
import type { Database } from "./database";
import { parseJson } from "./json";
import { flagVersions } from "./schema";

/** A flag as it was. `damaged`: that version cannot be read any more. */
export type FlagVersion = {
	readonly version: number;
	readonly atMs: number;
	readonly actor: string;
	readonly reason: string;
} & ({ readonly state: "kept"; readonly flag: Flag } | { readonly state: "deleted" | "damaged"; readonly flag: null });

/** Newest first, those before version `before`. */
export async function listVersions(
	db: Database,
	environment: string,
	key: string,
	before: number | undefined,
	limit: number,
): Promise<FlagVersion[]> {
	const rows = await db
		.select({ ...getTableColumns(flagVersions), config: sql<string | null>`${flagVersions.config}` })
		.from(flagVersions)
		.where(and(of(environment, key), before === undefined ? undefined : lt(flagVersions.version, before)))
		.orderBy(desc(flagVersions.version))
		.limit(limit);
	return rows.map(read);
}

export async function getVersion(db: Database, environment: string, key: string, version: number): Promise<FlagVersion | undefined> {
	const [found] = await listVersions(db, environment, key, version + 1, 1);
	return found?.version === version ? found : undefined;
}

/** Of these (flag → version) those that there are, by flag. */
export async function getVersions(
	db: Database,
	environment: string,
	wanted: Readonly<Record<string, number>>,
): Promise<ReadonlyMap<string, FlagVersion>> {
	const named = sql`(${flagVersions.key}, ${flagVersions.version}) IN (SELECT key, value FROM json_each(${JSON.stringify(wanted)}))`;
	const rows = await db
		.select({ ...getTableColumns(flagVersions), config: sql<string | null>`${flagVersions.config}` })
		.from(flagVersions)
		.where(and(eq(flagVersions.environment, environment), named));
	return new Map(rows.map((row) => [row.key, read(row)]));
}

const of = (environment: string, key: string) => and(eq(flagVersions.environment, environment), eq(flagVersions.key, key));

type Raw = Omit<typeof flagVersions.$inferSelect, "config"> & { readonly config: string | null };

function read({ version, atMs, actor, reason, config }: Raw): FlagVersion {
	const written = { version, atMs, actor, reason };
	if (config === null) return { ...written, state: "deleted", flag: null };
	const flag = parseJson(flagSchema, config);
	return flag ? { ...written, state: "kept", flag } : { ...written, state: "damaged", flag: null };
}
