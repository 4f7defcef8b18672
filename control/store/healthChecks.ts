import { and, asc, desc, eq, inArray, sql } from "drizzle-orm";
import * as z from "zod";
import { LIVE } from "../../core/rollouts/state";
import type { Database } from "./database";
import { parseJson } from "./json";
import { healthChecks, rollouts } from "./schema";

const verdict = z.object({
	role: z.string().describe("criterion, red_flag or guard"),
	criterion: z.string(),
	status: z.string().describe("met, beyond (not proven), breached (proven), or why nothing can be said"),
	value: z.number().nullable().describe("the candidate's"),
	message: z.string(),
});

/** What a tick found of a rollout, without the numbers behind it. */
export const healthCheck = z.object({
	rollout: z.string(),
	atMs: z.int(),
	level: z.string(),
	score: z.int().nullable().describe("0 to 100; null: unknown"),
	decision: z.string(),
	reason: z.string(),
	message: z.string(),
	percent: z.number().describe("of users, before any holdback"),
	verdicts: z.array(verdict),
});

export type HealthCheck = z.infer<typeof healthCheck>;

const { judgement, ...plain } = {
	rollout: healthChecks.rollout,
	atMs: healthChecks.atMs,
	decision: healthChecks.decision,
	reason: healthChecks.reason,
	message: healthChecks.message,
	level: healthChecks.level,
	score: healthChecks.score,
	percent: healthChecks.percent,
	judgement: healthChecks.judgement,
};
/** Verdicts are a part of the judgement, which is some kilobytes: what is not asked for stays in the database. */
const SUMMARY = {
	...plain,
	verdicts: sql`coalesce(CASE WHEN json_valid(${judgement}) THEN ${judgement} -> '$.verdicts' END, '[]')`.mapWith(
		(text: string) => parseJson(z.array(verdict), text) ?? [],
	),
};

/** The last check of each live rollout of an environment, newest first. */
export async function latestChecks(db: Database, environment: string, limit: number): Promise<HealthCheck[]> {
	const newest = sql`(SELECT max(newest.at_ms) FROM health_checks AS newest WHERE newest.rollout = ${rollouts.id})`;
	return db
		.select(SUMMARY)
		.from(rollouts)
		.innerJoin(healthChecks, and(eq(healthChecks.rollout, rollouts.id), eq(healthChecks.atMs, newest)))
		.where(and(eq(rollouts.environment, environment), inArray(rollouts.status, LIVE)))
		.orderBy(desc(healthChecks.atMs), asc(rollouts.id))
		.limit(limit);
}

/** Of one rollout, newest first. */
export async function listChecks(db: Database, rollout: string, limit: number): Promise<HealthCheck[]> {
	return db.select(SUMMARY).from(healthChecks).where(eq(healthChecks.rollout, rollout)).orderBy(desc(healthChecks.atMs)).limit(limit);
}
