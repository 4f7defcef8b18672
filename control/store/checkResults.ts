import { sql } from "drizzle-orm";
import * as z from "zod";
import type { CheckResult } from "../../core/checks/result";
import { partsOf } from "../metrics/parts";
import { type Act, audited } from "./audit";
import { isConflict } from "./conflict";
import { type Database, commit } from "./database";
import { checkResults } from "./schema";

const DAY_MS = 86_400_000;
const KEPT_MS = 30 * DAY_MS;

/** Where a rollout is: 0 as long as it is not live, then the stage of its state. */
export interface RolloutStage {
	readonly rollout: string;
	readonly stage: number;
}

export interface StageResults extends RolloutStage {
	/** What is from before it counts for nothing. */
	readonly sinceMs: number;
	readonly results: readonly CheckResult[];
}

/**
 * Many rollouts' results, in one statement a part of 600 KB. What was found later stays, and what a person has confirmed meanwhile
 * is not pending again.
 */
export async function recordResults(db: Database, found: readonly StageResults[]): Promise<void> {
	const rows = found.flatMap(({ rollout, stage, sinceMs, results }) =>
		results.map((each) => [
			rollout,
			stage,
			each.name,
			each.status,
			each.message,
			Number(each.critical),
			each.attempts,
			each.durationMs,
			each.atMs,
			sinceMs,
		]),
	);
	const insert = db.$client.prepare(
		`INSERT INTO check_results (rollout, stage, name, status, message, critical, attempts, duration_ms, at_ms)
		SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6, value ->> 7, value ->> 8
		FROM json_each(?1) WHERE NOT (value ->> 3 = 'pending' AND value ->> 6 = 0 AND EXISTS (
			SELECT 1 FROM check_results AS known WHERE known.rollout = value ->> 0 AND known.stage = value ->> 1 AND known.name = value ->> 2
				AND known.status = 'passed' AND known.at_ms >= value ->> 9))
		ON CONFLICT DO UPDATE SET status = excluded.status, message = excluded.message, critical = excluded.critical,
			attempts = excluded.attempts, duration_ms = excluded.duration_ms, at_ms = excluded.at_ms
		WHERE excluded.at_ms >= at_ms`,
	);
	const parts = partsOf(rows);
	if (parts.length > 0) await db.$client.batch(parts.map((part) => insert.bind(part)));
}

const status = z.enum(["passed", "failed", "warning", "pending", "stale"]);

/** By rollout, of the stage that is asked for; in one query. A row that says what this version does not know is left out, so its check is due. */
export async function resultsOf(db: Database, asked: readonly RolloutStage[]): Promise<ReadonlyMap<string, readonly CheckResult[]>> {
	if (asked.length === 0) return new Map();
	const stages = JSON.stringify(asked.map(({ rollout, stage }) => [rollout, stage]));
	const rows = await db
		.select({
			rollout: checkResults.rollout,
			name: checkResults.name,
			status: checkResults.status,
			critical: checkResults.critical,
			message: checkResults.message,
			attempts: checkResults.attempts,
			durationMs: checkResults.durationMs,
			atMs: checkResults.atMs,
		})
		.from(checkResults)
		.where(sql`(${checkResults.rollout}, ${checkResults.stage}) IN (SELECT value ->> 0, value ->> 1 FROM json_each(${stages}))`)
		.orderBy(checkResults.rollout, checkResults.name);
	const known = rows.flatMap(({ rollout, ...row }) => {
		const { data: found } = status.safeParse(row.status);
		return found ? [{ rollout, result: { ...row, status: found } }] : [];
	});
	return new Map([...Map.groupBy(known, ({ rollout }) => rollout)].map(([rollout, own]) => [rollout, own.map(({ result }) => result)]));
}

/**
 * Also before a tick has asked for it: what a person has said is not lost. False: it does not wait for a person any more, and
 * nothing was written.
 */
export async function confirmCheck(
	db: Database,
	{ rollout, stage, sinceMs }: Omit<StageResults, "results">,
	{ name, critical }: Pick<CheckResult, "name" | "critical">,
	act: Act,
): Promise<boolean> {
	const message = `confirmed by ${act.actor}${act.reason === "" ? "" : `: ${act.reason}`}`;
	const atMs = Math.max(sinceMs, act.atMs);
	const isWaiting = sql`${checkResults.atMs} < ${sinceMs} OR ${checkResults.status} = 'pending' AND ${checkResults.attempts} = 0`;
	try {
		await commit(db, [
			db
				.insert(checkResults)
				.values({ rollout, stage, name, status: "passed", critical, message, attempts: 0, durationMs: 0, atMs })
				.onConflictDoUpdate({
					target: [checkResults.rollout, checkResults.stage, checkResults.name],
					// NULL aborts the batch.
					set: {
						status: sql`CASE WHEN ${isWaiting} THEN 'passed' END`,
						message,
						attempts: 0,
						atMs: sql`max(${checkResults.atMs}, ${atMs})`,
					},
				}),
			audited(db, act, `rollouts/${rollout}`, "check.confirmed", null, { check: name, stage }),
		]);
		return true;
	} catch (error) {
		if (!isConflict(error, "check_results")) throw error;
		return false;
	}
}

/** Of rollouts that ended 30 days ago: nothing happens to them after their end. */
export async function pruneResults(db: Database, now: number): Promise<void> {
	await db.$client
		.prepare(
			`DELETE FROM check_results WHERE rollout IN (
				SELECT id FROM rollouts WHERE status IN ('rolled_back', 'completed', 'cancelled')
					AND EXISTS (SELECT 1 FROM check_results AS own WHERE own.rollout = id)
					AND coalesce((SELECT max(at_ms) FROM rollout_events WHERE rollout_events.rollout = id), created_at_ms) < ?1)`,
		)
		.bind(now - KEPT_MS)
		.run();
}
