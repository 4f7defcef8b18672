import { and, eq, gt, inArray, ne, sql } from "drizzle-orm";
import { alertEvent } from "../../core/notify/events";
import { WAYS_BACK } from "../../core/rollouts/advise";
import type { Alert } from "../../core/rollouts/alert";
import { type Change, change } from "../../core/rollouts/decision";
import { LIVE } from "../../core/rollouts/state";
import type { Act } from "./audit";
import { changeStatements, learntBy } from "./changeStatements";
import { isConflict } from "./conflict";
import { type Database, type Statement, commit } from "./database";
import type { StoredFlag } from "./flags";
import type { FlagWrite } from "./rolloutFlags";
import type { DamagedRollout, StoredRollout } from "./rollouts";
import { outbox, rolloutEvents, rollouts } from "./schema";

export interface RolloutChange {
	/** As it was read: the event's key is its revision plus one. */
	readonly row: StoredRollout | DamagedRollout;
	readonly change: Change;
	readonly act: Act;
	readonly realNow: number;
	readonly evidence: unknown;
	/** For a start: the flags as they were checked. */
	readonly held?: readonly StoredFlag[];
	/** What it makes of flags. */
	readonly writes?: readonly FlagWrite[];
	/** Of the command's sender: what bears it is carried out once. */
	readonly idempotencyKey?: string | undefined;
	/** Everything of its environment goes back with it. */
	readonly isEmergency?: boolean;
}

/** One transaction. False: somebody changed this rollout (or, at a start, its flags) first, or a tick has learnt more of it, and nothing was written. */
export const commitChange = (db: Database, given: RolloutChange): Promise<boolean> => commitChanges(db, [given]);

/** Many in one transaction. False: somebody changed one of them first, and nothing was written of any. */
export async function commitChanges(db: Database, changes: readonly RolloutChange[]): Promise<boolean> {
	return committed(() => db.$client.batch(changeStatements(db.$client, changes)));
}

/** Those of them that somebody has changed since they were read, or of which a tick has learnt more. */
export async function movedSince(db: Database, changes: readonly RolloutChange[]): Promise<ReadonlySet<string>> {
	const { results } = await db.$client
		.prepare(
			`SELECT r.id FROM json_each(?1) AS j CROSS JOIN rollouts AS r ON r.id = j.value ->> 0
			WHERE r.revision <> j.value ->> 1 OR r.ticked_at_ms <> coalesce(j.value ->> 2, r.ticked_at_ms)`,
		)
		.bind(JSON.stringify(changes.map((each) => [each.row.id, each.row.revision, learntBy(each)])))
		.all<{ id: string }>();
	return new Set(results.map(({ id }) => id));
}

/** What somebody is to be told of a rollout, delivered from the outbox. */
function alerted(db: Database, { id, environment }: RolloutChange["row"], alert: Alert, atMs: number): Statement {
	const { kind, message } = alert;
	return db.insert(outbox).values({ atMs, type: alertEvent(alert), subject: id, payload: { rollout: id, environment, kind, message } });
}

const FAILED_ROLLBACKS_PAGED = 2;

/** A change that could not be written is decided again by the next tick; of a rollback that fails again a person is told. */
export async function recordFailure(
	db: Database,
	row: RolloutChange["row"],
	kind: Change["kind"],
	message: string,
	now: number,
): Promise<void> {
	if (!WAYS_BACK.includes(kind)) return;
	const [counted] = await db
		.update(rollouts)
		.set({ failedChanges: sql`${rollouts.failedChanges} + 1` })
		// One whose answer alone was lost has been written.
		.where(and(eq(rollouts.id, row.id), eq(rollouts.revision, row.revision)))
		.returning({ failed: rollouts.failedChanges });
	if (counted?.failed !== FAILED_ROLLBACKS_PAGED) return;
	const said = `the rollback could not be written ${FAILED_ROLLBACKS_PAGED} times and is tried again every minute: ${message}`;
	await commit(db, [alerted(db, row, { severity: "page", kind: "rollback_failed", message: said }, now)]);
}

const CORRUPT: Alert = {
	severity: "page",
	kind: "rollout_corrupt",
	message: "its row cannot be read: nobody guards it, and its users get the baseline with the next snapshot; roll it back",
};

/**
 * Of live rollouts that nobody can read somebody is paged, once for as long as no tick can read them, and their environments get
 * a snapshot without them: nobody would guard what the old one serves.
 */
export async function leaveOutCorrupt({ $client: client }: Database, ids: readonly string[], now: number): Promise<void> {
	if (ids.length === 0) return;
	const [type, json] = [alertEvent(CORRUPT), JSON.stringify(ids)];
	const untold = `id IN (SELECT value FROM json_each(?1)) AND status IN (SELECT value FROM json_each(?2))
		AND NOT EXISTS (SELECT 1 FROM outbox WHERE type = ?3 AND subject = rollouts.id AND at_ms > rollouts.ticked_at_ms)`;
	const about = [json, JSON.stringify(LIVE), type, now];
	await client.batch([
		client
			.prepare(
				`UPDATE environments SET changed = changed + 1, changed_at_ms = ?4 WHERE name IN (SELECT environment FROM rollouts WHERE ${untold})`,
			)
			.bind(...about),
		client
			.prepare(
				`INSERT INTO outbox (at_ms, type, subject, payload)
				SELECT ?4, ?3, id, json_object('rollout', id, 'environment', environment, 'kind', ?5, 'message', ?6) FROM rollouts WHERE ${untold}`,
			)
			.bind(...about, CORRUPT.kind, CORRUPT.message),
	]);
}

/** The rest of a gradual way belongs to its begin. */
const isBegin = sql`coalesce(${rolloutEvents.before} ->> '$.status', '') <> 'rolling_back'`;

/** When the engine rolled back for reasons of its own, by environment: what its full rollback took with it was ordered. */
export async function rollbacksSince(db: Database, actor: string, sinceMs: number): Promise<ReadonlyMap<string, number[]>> {
	const rows = await db
		.select({ environment: rollouts.environment, atMs: rolloutEvents.atMs })
		.from(rolloutEvents)
		.innerJoin(rollouts, eq(rollouts.id, rolloutEvents.rollout))
		.where(
			and(
				inArray(rolloutEvents.kind, [...WAYS_BACK]),
				isBegin,
				gt(rolloutEvents.atMs, sinceMs),
				eq(rolloutEvents.actor, actor),
				ne(rolloutEvents.reason, "operator"),
			),
		);
	const found = new Map<string, number[]>();
	for (const { environment, atMs } of rows) found.set(environment, [...(found.get(environment) ?? []), atMs]);
	return found;
}

/** Takes the users of a rollout that nobody can read back to the baseline. False: somebody changed it first. */
export const rollBackDamaged = (db: Database, row: DamagedRollout, act: Act, realNow: number): Promise<boolean> =>
	commitChange(db, { row, change: damagedBack(act), act, realNow, evidence: null });

export function damagedBack({ actor: by, reason, atMs }: Act): Change {
	return change("roll_back", "operator", reason, { status: "rolled_back", atMs, fromPhase: 0, by, reason });
}

async function committed(write: () => Promise<unknown>): Promise<boolean> {
	try {
		await write();
		return true;
	} catch (error) {
		if (["rollout_events", "active_flags", "flag_versions"].some((table) => isConflict(error, table))) return false;
		throw error;
	}
}
