import { and, asc, desc, eq, sql } from "drizzle-orm";
import * as z from "zod";
import type { EnvironmentFinding } from "../../core/health/environment";
import { LEVELS } from "../../core/health/level";
import type { Database } from "./database";
import { parseJson } from "./json";
import { environmentChecks, environments } from "./schema";

export async function recordEnvironments(
	db: Database,
	found: readonly (readonly [environment: string, finding: EnvironmentFinding])[],
	now: number,
): Promise<void> {
	if (found.length === 0) return;
	const rows = found.map(([environment, { level, score, ...findings }]) => ({ environment, level, score, findings }));
	await db.$client
		.prepare(
			`INSERT INTO environment_checks (environment, at_ms, level, score, findings)
			SELECT value ->> 'environment', ?2, value ->> 'level', value ->> 'score', value -> 'findings' FROM json_each(?1) WHERE true ON CONFLICT DO NOTHING`,
		)
		.bind(JSON.stringify(rows), now)
		.run();
}

/** What a tick found of a whole environment. */
export const environmentCheck = z.object({
	atMs: z.int(),
	level: z.enum(LEVELS),
	score: z.int().nullable().describe("0 to 100, the lowest of its live rollouts'; null: unknown"),
	levels: z.partialRecord(z.enum(LEVELS), z.int()).describe("live rollouts by level"),
	worst: z.array(z.string()).describe("rollouts at the environment's level, unless it is well"),
	breaker: z.enum(["closed", "open", "half_open", "unknown"]).default("unknown").describe("as that tick knew it"),
	breakerUntilMs: z.int().nullable().describe("until when it was open or half open"),
}) satisfies z.ZodType<EnvironmentFinding>;

export type EnvironmentCheck = z.infer<typeof environmentCheck>;

/** Newest first. */
export async function listEnvironmentChecks(db: Database, environment: string, limit: number): Promise<EnvironmentCheck[]> {
	const rows = await db
		.select(RAW)
		.from(environmentChecks)
		.where(eq(environmentChecks.environment, environment))
		.orderBy(desc(environmentChecks.atMs))
		.limit(limit);
	return rows.map(checkOf);
}

/** What the last tick that looked found of every environment, or of one; null: none has. */
export async function latestEnvironmentChecks(
	db: Database,
	only: string | null = null,
): Promise<{ readonly environment: string; readonly check: EnvironmentCheck | null }[]> {
	const newest = sql`(SELECT max(newest.at_ms) FROM environment_checks AS newest WHERE newest.environment = ${environments.name})`;
	const rows = await db
		.select({ environment: environments.name, check: RAW })
		.from(environments)
		.leftJoin(environmentChecks, and(eq(environmentChecks.environment, environments.name), eq(environmentChecks.atMs, newest)))
		.where(only === null ? undefined : eq(environments.name, only))
		.orderBy(asc(environments.name));
	return rows.map(({ environment, check }) => ({ environment, check: check && checkOf(check) }));
}

const RAW = {
	atMs: environmentChecks.atMs,
	level: environmentChecks.level,
	score: environmentChecks.score,
	findings: sql<string>`${environmentChecks.findings}`,
};

/** A row that cannot be read says that nothing is known, and hides no other. */
function checkOf({ findings, ...row }: { atMs: number; level: string; score: number | null; findings: string }): EnvironmentCheck {
	const found = parseJson(z.record(z.string(), z.unknown()), findings);
	const { data } = environmentCheck.safeParse({ ...found, ...row });
	return data ?? { atMs: row.atMs, level: "unknown", score: null, levels: {}, worst: [], breaker: "unknown", breakerUntilMs: null };
}
