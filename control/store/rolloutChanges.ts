import { and, eq, gt, sql } from "drizzle-orm";
import type { Alert } from "../../core/rollouts/alert";
import type { Change } from "../../core/rollouts/decision";
import { isLive } from "../../core/rollouts/state";
import type { WayBackStrategy } from "../../core/rollouts/wayBack";
import { type Act, audited, plain } from "./audit";
import { isConflict } from "./conflict";
import { type Database, type Statement, commit } from "./database";
import { changed, headChanged, overlaid } from "./environments";
import type { StoredFlag } from "./flags";
import { recordedRollback } from "./rollbacks";
import type { StoredRollout } from "./rollouts";
import { activeFlags, flagVersions, flags, outbox, rolloutEvents, rollouts } from "./schema";

export interface RolloutChange {
	/** As it was read: the event's key is its revision plus one. */
	readonly row: StoredRollout;
	readonly change: Change;
	readonly act: Act;
	readonly realNow: number;
	readonly evidence: unknown;
	/** For start: the flags as they were checked. For complete: the flags whose fallthrough becomes the candidate. */
	readonly flags: readonly StoredFlag[];
	readonly candidate: string;
	/** Of a rollback; default immediate. */
	readonly strategy?: WayBackStrategy;
}

/** One transaction. False: somebody changed this rollout (or, at a start, its flags) first, and nothing was written. */
export async function commitChange(db: Database, given: RolloutChange): Promise<boolean> {
	const { row, change, act, realNow } = given;
	const revision = row.revision + 1;
	const after = change.state;
	const statements: Statement[] = [
		db.insert(rolloutEvents).values({
			rollout: row.id,
			revision,
			atMs: act.atMs,
			recordedAtMs: realNow,
			kind: change.kind,
			reason: change.reason,
			message: change.message,
			actor: act.actor,
			correlationId: act.correlationId,
			before: plain(row.state),
			after: plain(after),
			evidence: plain(given.evidence),
		}),
		db
			.update(rollouts)
			.set({
				revision,
				status: after.status,
				state: after,
				failedChanges: 0,
				tickedAtMs: isLive(after) ? after.watch.tickedAtMs : row.tickedAtMs,
				...(change.kind === "start" ? { startedAtMs: act.atMs } : {}),
			})
			.where(eq(rollouts.id, row.id)),
		...exposureStatements(db, given),
		...rollbackStatements(db, given),
		audited(db, act, `rollouts/${row.id}`, `rollout.${change.kind}`, row.state, after),
		db.insert(outbox).values({
			atMs: act.atMs,
			type: `rollout.${change.kind}`,
			subject: row.id,
			payload: {
				rollout: row.id,
				revision,
				environment: row.environment,
				reason: change.reason,
				message: change.message,
				status: after.status,
			},
		}),
		...change.alerts.map((alert) => alerted(db, row, alert, act.atMs)),
	];
	return committed(db, statements);
}

/** What somebody is to be told of a rollout, delivered from the outbox. */
function alerted(db: Database, { id, environment }: StoredRollout, { severity, kind, message }: Alert, atMs: number): Statement {
	return db.insert(outbox).values({ atMs, type: `alert.${severity}`, subject: id, payload: { rollout: id, environment, kind, message } });
}

const FAILED_ROLLBACKS_PAGED = 2;

/** A change that could not be written is decided again by the next tick; of a rollback that fails again a person is told. */
export async function recordFailure(db: Database, row: StoredRollout, kind: Change["kind"], message: string, now: number): Promise<void> {
	if (kind !== "roll_back") return;
	const [counted] = await db
		.update(rollouts)
		.set({ failedChanges: sql`${rollouts.failedChanges} + 1` })
		.where(eq(rollouts.id, row.id))
		.returning({ failed: rollouts.failedChanges });
	if (counted?.failed !== FAILED_ROLLBACKS_PAGED) return;
	const said = `the rollback could not be written ${FAILED_ROLLBACKS_PAGED} times and is tried again every minute: ${message}`;
	await commit(db, [alerted(db, row, { severity: "page", kind: "rollback_failed", message: said }, now)]);
}

/** When the engine rolled back, by environment. */
export async function rollbacksSince(db: Database, actor: string, sinceMs: number): Promise<ReadonlyMap<string, number[]>> {
	const rows = await db
		.select({ environment: rollouts.environment, atMs: rolloutEvents.atMs })
		.from(rolloutEvents)
		.innerJoin(rollouts, eq(rollouts.id, rolloutEvents.rollout))
		.where(and(eq(rolloutEvents.kind, "roll_back"), gt(rolloutEvents.atMs, sinceMs), eq(rolloutEvents.actor, actor)));
	const found = new Map<string, number[]>();
	for (const { environment, atMs } of rows) found.set(environment, [...(found.get(environment) ?? []), atMs]);
	return found;
}

/** Takes the users of a rollout that nobody can read back to the baseline. False: somebody changed it first. */
export async function rollBackDamaged(
	db: Database,
	row: { readonly id: string; readonly environment: string; readonly status: string; readonly revision: number },
	act: Act,
	realNow: number,
): Promise<boolean> {
	const state = { status: "rolled_back" as const, atMs: act.atMs, fromPhase: 0, by: act.actor, reason: act.reason };
	const before = { status: row.status, damaged: true };
	const event = { kind: "roll_back", reason: "operator", message: act.reason, actor: act.actor, correlationId: act.correlationId };
	return committed(db, [
		db.insert(rolloutEvents).values({
			...event,
			rollout: row.id,
			revision: row.revision + 1,
			atMs: act.atMs,
			recordedAtMs: realNow,
			before,
			after: plain(state),
			evidence: null,
		}),
		db
			.update(rollouts)
			.set({ revision: row.revision + 1, status: state.status, state })
			.where(eq(rollouts.id, row.id)),
		changed(db, row.environment, act.atMs),
		db.delete(activeFlags).where(eq(activeFlags.rollout, row.id)),
		overlaid(db, row.environment, "baseline", row.id, realNow),
		headChanged(db),
		recordedRollback(db, {
			rollout: row.id,
			revision: row.revision + 1,
			environment: row.environment,
			strategy: "immediate",
			trigger: "operator",
			actor: act.actor,
			atMs: act.atMs,
			realNow,
			detectMs: null,
		}),
		audited(db, act, `rollouts/${row.id}`, "rollout.roll_back", before, state),
		db.insert(outbox).values({
			atMs: act.atMs,
			type: "rollout.roll_back",
			subject: row.id,
			payload: {
				rollout: row.id,
				revision: row.revision + 1,
				environment: row.environment,
				reason: "operator",
				message: act.reason,
				status: state.status,
			},
		}),
	]);
}

async function committed(db: Database, statements: readonly Statement[]): Promise<boolean> {
	try {
		await commit(db, statements);
		return true;
	} catch (error) {
		if (["rollout_events", "active_flags", "flag_versions"].some((table) => isConflict(error, table))) return false;
		throw error;
	}
}

/** Comes after the exposure's statements: the head's revision is the one that they have made. */
function rollbackStatements(db: Database, { row, change, act, realNow, strategy = "immediate" }: RolloutChange): Statement[] {
	if (change.kind !== "roll_back") return [];
	const detectMs = isLive(row.state) ? Math.max(0, act.atMs - row.state.sinceMs) : null;
	const { actor, atMs } = act;
	const of = { rollout: row.id, revision: row.revision + 1, environment: row.environment };
	return [recordedRollback(db, { ...of, strategy, trigger: change.reason, actor, atMs, realNow, detectMs })];
}

/** What the change does to flags, overlay and snapshot. */
function exposureStatements(db: Database, { row, change, act, realNow, flags: of, candidate }: RolloutChange): Statement[] {
	const { environment, id } = row;
	// Pausing and resuming move nobody, except into a retreat and out of it.
	const moves = (isLive(row.state) && row.state.retreated) !== (isLive(change.state) && change.state.retreated);
	if ((change.kind === "pause" || change.kind === "resume") && !moves) return [];
	const wasLive = isLive(row.state);
	if (!wasLive && !isLive(change.state)) return [];
	const statements: Statement[] = [changed(db, environment, act.atMs)];
	if (change.kind === "start") statements.push(...of.map((flag) => heldBy(db, flag, id)));
	if (!isLive(change.state)) statements.push(db.delete(activeFlags).where(eq(activeFlags.rollout, id)));
	if (change.kind === "complete") statements.push(...of.flatMap((flag) => fellThrough(db, flag, candidate, act)));
	// Users go back with the head at once; the snapshot that leaves the rollout out travels behind it.
	if (change.kind === "roll_back" || change.kind === "cancel")
		statements.push(overlaid(db, environment, "baseline", id, realNow), headChanged(db));
	return statements;
}

/** The flag is this rollout's from now on, unless it has changed since it was checked (NULL aborts the batch). */
function heldBy(db: Database, flag: StoredFlag, rollout: string): Statement {
	const unchanged = sql<string>`(SELECT ${flags.key} FROM ${flags} WHERE ${flags.environment} = ${flag.environment} AND ${flags.key} = ${flag.key} AND ${flags.version} = ${flag.version})`;
	return db.insert(activeFlags).values({ environment: flag.environment, flag: unchanged, rollout });
}

function fellThrough(db: Database, flag: StoredFlag, candidate: string, act: Act): Statement[] {
	const { environment, version: _version, updatedAtMs: _updatedAtMs, ...config } = flag;
	const after = { ...config, fallthrough: candidate };
	const version = flag.version + 1;
	return [
		db
			.insert(flagVersions)
			.values({ environment, key: flag.key, version, config: after, atMs: act.atMs, actor: act.actor, reason: act.reason }),
		db
			.update(flags)
			.set({ version, config: after, updatedAtMs: act.atMs })
			.where(and(eq(flags.environment, environment), eq(flags.key, flag.key))),
		audited(db, act, `flags/${environment}/${flag.key}`, "flag.rolled_out", config, after),
	];
}
