import { and, eq, sql } from "drizzle-orm";
import * as z from "zod";
import { alertEvent } from "../../core/notify/events";
import type { Alert } from "../../core/rollouts/alert";
import { type StepResult, stepResult } from "../../core/rollouts/verification";
import { type RollbackStep, storedWayBack } from "../../core/rollouts/wayBack";
import { plain } from "./audit";
import type { Database, Statement } from "./database";
import { parseJson } from "./json";
import { head, rollbacks } from "./schema";

/** Ways back that were taken: written with the change, followed by ticks until users are known to be safe. */

/** The `head_revision` of one whose users no head takes back yet: greater than any that an edge can have heard of. */
export const UNANNOUNCED = Number.MAX_SAFE_INTEGER;

/**
 * Comes after the publication in its batch: with nothing pending the head announces all users who were excluded. The `+` keeps
 * SQLite from reading the environment's whole history.
 */
export function exclusionsAnnounced(db: Database, environment: string): Statement {
	return db
		.update(rollbacks)
		.set({ headRevision: sql`(SELECT ${head.revision} FROM ${head})` })
		.where(
			sql`+${rollbacks.environment} = ${environment} AND ${rollbacks.dueAtMs} > 0 AND ${rollbacks.headRevision} = ${UNANNOUNCED}
				AND (SELECT changed = version FROM environments WHERE name = ${environment})`,
		);
}

const steps = z.object({ steps: storedWayBack.shape.steps });
const results = z.array(stepResult);

/** One that is followed still. */
export interface Followed {
	readonly rollout: string;
	readonly revision: number;
	readonly environment: string;
	readonly trigger: string;
	/** Real time at which the last of its users were taken back. */
	readonly sinceMs: number;
	readonly headRevision: number;
	readonly edgeSafeAtMs: number | null;
	readonly dueAtMs: number;
	readonly failure: string | null;
	/** The plan's, and what has become of them. */
	readonly steps: readonly RollbackStep[];
	readonly results: readonly StepResult[];
	/** The plan has checks that must pass. */
	readonly hasChecks: boolean;
}

/** Those that are due, the first one first. The steps of a gradual one that a full one cuts short are that one's, or they would be carried out twice. */
export async function listDue(db: Database, realNow: number, limit: number): Promise<Followed[]> {
	const { results: rows } = await db.$client
		.prepare(
			`SELECT r.rollout, r.revision, r.environment, r."trigger", r.head_revision AS headRevision,
				r.edge_safe_at_ms AS edgeSafeAtMs, r.due_at_ms AS dueAtMs, r.failure, r.steps AS results,
				CASE r.strategy WHEN 'gradual' THEN (SELECT max(recorded_at_ms) FROM rollout_events WHERE rollout = r.rollout)
					ELSE r.recorded_at_ms END AS sinceMs,
				CASE WHEN json_valid(rollouts.plan) AND NOT (r.strategy = 'gradual' AND EXISTS (SELECT 1 FROM rollbacks AS cut
						WHERE cut.rollout = r.rollout AND cut.revision > r.revision AND cut.strategy = 'full'))
					THEN rollouts.plan -> '$.rollback' END AS wayBack,
				CASE WHEN json_valid(rollouts.plan) THEN coalesce(json_array_length(rollouts.plan, '$.checks'), 0) ELSE 0 END AS checks
			FROM rollbacks AS r LEFT JOIN rollouts ON rollouts.id = r.rollout WHERE r.due_at_ms <= ?1 ORDER BY r.due_at_ms, r.rollout LIMIT ?2`,
		)
		.bind(realNow, limit)
		.all<Omit<Followed, "steps" | "results" | "hasChecks"> & { wayBack: string | null; results: string; checks: number }>();
	return rows.map(({ wayBack: way, results: found, checks, ...row }) => ({
		...row,
		hasChecks: checks > 0,
		steps: (way === null ? undefined : parseJson(steps, way))?.steps ?? [],
		results: parseJson(results, found) ?? [],
	}));
}

/** Whoever gets it carries out its steps until then. False: somebody else does. */
export async function claimSteps(db: Database, { rollout, revision, dueAtMs }: Followed, untilMs: number): Promise<boolean> {
	const claimed = await db.$client
		.prepare("UPDATE rollbacks SET due_at_ms = ?4 WHERE rollout = ?1 AND revision = ?2 AND due_at_ms = ?3")
		.bind(rollout, revision, dueAtMs, untilMs)
		.run();
	return claimed.meta.changes > 0;
}

export async function recordSteps(db: Database, followed: Followed, found: readonly StepResult[], dueAtMs: number): Promise<void> {
	await db
		.update(rollbacks)
		.set({ steps: plain(found), dueAtMs })
		.where(and(eq(rollbacks.rollout, followed.rollout), eq(rollbacks.revision, followed.revision)));
}

/** How following one ends, or why it cannot be verified any more. */
export interface Settled {
	readonly followed: Followed;
	/** null: users are safe. */
	readonly failure: string | null;
	/** Still followed, to learn when the edge was safe. */
	readonly goesOn: boolean;
	/** Told with the first one only, where several failed for the same reason. */
	readonly alert: Alert | null;
}

/** Many at once. One that another tick has settled meanwhile stays as it is, and nobody is told of it twice. */
export async function settleRollbacks(db: Database, settled: readonly Settled[], now: number, realNow: number): Promise<void> {
	if (settled.length === 0) return;
	const rows = settled.map(({ followed: { rollout, revision, environment }, failure, goesOn, alert }) => ({
		rollout,
		revision,
		failure,
		goesOn,
		type: alert && alertEvent(alert),
		payload: alert && { rollout, environment, kind: alert.kind, message: alert.message },
	}));
	const json = JSON.stringify(rows);
	const unsettled = "r.verified_at_ms IS NULL AND r.failure IS NULL AND r.due_at_ms IS NOT NULL";
	const { $client: client } = db;
	await client.batch([
		client
			.prepare(
				`INSERT INTO outbox (at_ms, type, subject, payload) SELECT ?2, j.value ->> 'type', r.rollout, j.value -> 'payload'
				FROM json_each(?1) AS j JOIN rollbacks AS r ON r.rollout = j.value ->> 'rollout' AND r.revision = j.value ->> 'revision'
				WHERE j.value ->> 'type' IS NOT NULL AND ${unsettled}`,
			)
			.bind(json, now),
		client
			.prepare(
				`UPDATE rollbacks AS r SET failure = coalesce(r.failure, j.value ->> 'failure'), due_at_ms = CASE WHEN j.value ->> 'goesOn' THEN ?2 END,
					verified_at_ms = CASE WHEN j.value ->> 'failure' IS NULL AND r.failure IS NULL THEN ?2 END
				FROM json_each(?1) AS j
				WHERE r.rollout = j.value ->> 'rollout' AND r.revision = j.value ->> 'revision' AND r.verified_at_ms IS NULL AND r.due_at_ms IS NOT NULL`,
			)
			.bind(json, realNow),
	]);
}
