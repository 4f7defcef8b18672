import { and, desc, eq, gte, sql } from "drizzle-orm";
import * as z from "zod";
import type { Taken } from "../../core/rollouts/rollbackStatistics";
import { stepResult } from "../../core/rollouts/verification";
import type { Database } from "./database";
import { parseJson } from "./json";
import { UNANNOUNCED } from "./rollbacks";
import { rollbacks } from "./schema";

export const rollbackRecord = z.object({
	rollout: z.string(),
	revision: z.int().describe("the rollout's, by which its event is found"),
	environment: z.string(),
	strategy: z.string().describe("immediate, gradual, feature, targeted, version, full or emergency"),
	trigger: z.string().describe("why: harm_proven, operator…"),
	actor: z.string().describe("tidegate: by itself; else who gave the command"),
	atMs: z.int(),
	recordedAtMs: z.int().describe("real time of the commit"),
	detectMs: z.int().nullable().describe("from the begin of the phase to the decision; null: not known"),
	headRevision: z.int().nullable().describe("what an edge must have heard of to be safe; null: not everybody is taken back yet"),
	edgeSafeAtMs: z.int().nullable().describe("real time at which every edge that serves had said that it has heard of it"),
	steps: z.array(stepResult).describe("the plan's rollback.steps as far as they are"),
	verifiedAtMs: z.int().nullable().describe("real time; null: not, or not yet"),
	failure: z.string().nullable().describe("why it could not be verified"),
	isFollowed: z.boolean().describe("ticks look after it still"),
});
export type RollbackRecord = z.infer<typeof rollbackRecord>;

/** A place in the history: what comes after it is older. */
export interface Place {
	readonly recordedAtMs: number;
	readonly revision: number;
	readonly rollout: string;
}

/** Newest first; one with steps that cannot be read is told without them. */
export async function listRollbackHistory(
	db: Database,
	environment: string | undefined,
	after: Place | undefined,
	limit: number,
): Promise<RollbackRecord[]> {
	const place =
		after &&
		sql`(${rollbacks.recordedAtMs}, ${rollbacks.revision}, ${rollbacks.rollout}) < (${after.recordedAtMs}, ${after.revision}, ${after.rollout})`;
	const rows = await db
		.select({
			rollout: rollbacks.rollout,
			revision: rollbacks.revision,
			environment: rollbacks.environment,
			strategy: rollbacks.strategy,
			trigger: rollbacks.trigger,
			actor: rollbacks.actor,
			atMs: rollbacks.atMs,
			recordedAtMs: rollbacks.recordedAtMs,
			detectMs: rollbacks.detectMs,
			headRevision: rollbacks.headRevision,
			edgeSafeAtMs: rollbacks.edgeSafeAtMs,
			steps: sql<string>`${rollbacks.steps}`,
			verifiedAtMs: rollbacks.verifiedAtMs,
			failure: rollbacks.failure,
			dueAtMs: rollbacks.dueAtMs,
		})
		.from(rollbacks)
		.where(and(environment === undefined ? undefined : eq(rollbacks.environment, environment), place))
		.orderBy(desc(rollbacks.recordedAtMs), desc(rollbacks.revision), desc(rollbacks.rollout))
		.limit(limit);
	return rows.map(({ steps, dueAtMs, headRevision, ...row }) => ({
		...row,
		headRevision: headRevision === UNANNOUNCED ? null : headRevision,
		steps: parseJson(z.array(stepResult), steps) ?? [],
		isFollowed: !hasEnded({ ...row, dueAtMs }),
	}));
}

/** What statistics are made of, newest first. */
export async function listTaken(db: Database, environment: string, sinceMs: number, engine: string, limit: number): Promise<Taken[]> {
	const rows = await db
		.select({
			strategy: rollbacks.strategy,
			trigger: rollbacks.trigger,
			actor: rollbacks.actor,
			detectMs: rollbacks.detectMs,
			recordedAtMs: rollbacks.recordedAtMs,
			edgeSafeAtMs: rollbacks.edgeSafeAtMs,
			verifiedAtMs: rollbacks.verifiedAtMs,
			failure: rollbacks.failure,
			dueAtMs: rollbacks.dueAtMs,
		})
		.from(rollbacks)
		.where(and(eq(rollbacks.environment, environment), gte(rollbacks.recordedAtMs, sinceMs)))
		.orderBy(desc(rollbacks.recordedAtMs))
		.limit(limit);
	return rows.map(({ actor, dueAtMs, failure, ...row }) => ({
		...row,
		isAutomatic: actor === engine,
		hasEnded: hasEnded({ ...row, dueAtMs, failure }),
	}));
}

/** One that goes back stage by stage is due for nothing before its end. */
function hasEnded({
	dueAtMs,
	verifiedAtMs,
	failure,
}: {
	readonly dueAtMs: number | null;
	readonly verifiedAtMs: number | null;
	readonly failure: string | null;
}): boolean {
	return dueAtMs === null && (verifiedAtMs !== null || failure !== null);
}
