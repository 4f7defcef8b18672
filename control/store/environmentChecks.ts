import { desc, eq } from "drizzle-orm";
import type { EnvironmentFinding } from "../../core/health/environment";
import type { Database } from "./database";
import { environmentChecks } from "./schema";

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

export async function latestEnvironmentChecks(db: Database, environment: string, limit: number) {
	return db
		.select()
		.from(environmentChecks)
		.where(eq(environmentChecks.environment, environment))
		.orderBy(desc(environmentChecks.atMs))
		.limit(limit);
}
