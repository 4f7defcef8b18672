import { asc, eq } from "drizzle-orm";
import type { MetricDefinition } from "../../core/metric";
import type { Database } from "./database";
import { metricDefinitions } from "./schema";

/** One statement, so it can stand in a batch. */
export function selectMetrics(db: Database, environment: string) {
	return db.select().from(metricDefinitions).where(eq(metricDefinitions.environment, environment)).orderBy(asc(metricDefinitions.key));
}

/** An environment's own metrics, without the standard ones. */
export async function listMetrics(db: Database, environment: string): Promise<MetricDefinition[]> {
	return (await selectMetrics(db, environment)).map((row) => row.config);
}
