import { and, eq, gt, inArray, sql } from "drizzle-orm";
import { flagOfRollout } from "../../core/flags/overlay";
import { alertEvent, changeEvent } from "../../core/notify/events";
import type { Alert } from "../../core/rollouts/alert";
import type { Change } from "../../core/rollouts/decision";
import { liveRollout } from "../../core/rollouts/exposure";
import { type RolloutState, isActive, isLive } from "../../core/rollouts/state";
import { type Act, audited, plain } from "./audit";
import { isConflict } from "./conflict";
import { type Database, type Statement, commit } from "./database";
import { changed, headChanged, overlaid } from "./environments";
import type { StoredFlag } from "./flags";
import { recordedRollback } from "./rollbacks";
import { type FlagWrite, heldBy, written } from "./rolloutFlags";
import type { StoredRollout } from "./rollouts";
import { activeFlags, outbox, rolloutEvents, rollouts } from "./schema";

export interface RolloutChange {
	/** As it was read: the event's key is its revision plus one. */
	readonly row: StoredRollout;
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
			idempotencyKey: given.idempotencyKey ?? null,
		}),
		db
			.update(rollouts)
			.set({
				revision,
				status: after.status,
				state: after,
				failedChanges: 0,
				tickedAtMs: isLive(after) ? after.watch.tickedAtMs : row.tickedAtMs,
				...(!isLive(row.state) && isLive(after) ? { startedAtMs: act.atMs } : {}),
			})
			.where(eq(rollouts.id, row.id)),
		...exposureStatements(db, given),
		...rollbackStatements(db, given),
		audited(db, act, `rollouts/${row.id}`, `rollout.${change.kind}`, row.state, after),
		db.insert(outbox).values({
			atMs: act.atMs,
			type: changeEvent(change.kind),
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
		...(change.strategy === "full" ? [restartAsked(db, row, change.message, act.atMs)] : []),
		...change.alerts.map((alert) => alerted(db, row, alert, act.atMs)),
	];
	return committed(db, statements);
}

/** A full rollback asks whoever runs the origins to restart them. */
function restartAsked(db: Database, { id, environment }: StoredRollout, message: string, atMs: number): Statement {
	const payload = { rollout: id, environment, message };
	return db.insert(outbox).values({ atMs, type: "environment.restart_requested", subject: `environments/${environment}`, payload });
}

/** What somebody is to be told of a rollout, delivered from the outbox. */
function alerted(db: Database, { id, environment }: StoredRollout, alert: Alert, atMs: number): Statement {
	const { kind, message } = alert;
	return db.insert(outbox).values({ atMs, type: alertEvent(alert), subject: id, payload: { rollout: id, environment, kind, message } });
}

const FAILED_ROLLBACKS_PAGED = 2;

/** A change that could not be written is decided again by the next tick; of a rollback that fails again a person is told. */
export async function recordFailure(db: Database, row: StoredRollout, kind: Change["kind"], message: string, now: number): Promise<void> {
	if (!WAYS_BACK.includes(kind)) return;
	const [counted] = await db
		.update(rollouts)
		.set({ failedChanges: sql`${rollouts.failedChanges} + 1` })
		.where(eq(rollouts.id, row.id))
		.returning({ failed: rollouts.failedChanges });
	if (counted?.failed !== FAILED_ROLLBACKS_PAGED) return;
	const said = `the rollback could not be written ${FAILED_ROLLBACKS_PAGED} times and is tried again every minute: ${message}`;
	await commit(db, [alerted(db, row, { severity: "page", kind: "rollback_failed", message: said }, now)]);
}

/** Users went back, all or some of them; the rest of a gradual way belongs to its begin. */
const WAYS_BACK = ["roll_back", "begin_rollback", "drop_flags", "exclude"];
const isBegin = sql`coalesce(${rolloutEvents.before} ->> '$.status', '') <> 'rolling_back'`;

/** When the engine rolled back, by environment. */
export async function rollbacksSince(db: Database, actor: string, sinceMs: number): Promise<ReadonlyMap<string, number[]>> {
	const rows = await db
		.select({ environment: rollouts.environment, atMs: rolloutEvents.atMs })
		.from(rolloutEvents)
		.innerJoin(rollouts, eq(rollouts.id, rolloutEvents.rollout))
		.where(and(inArray(rolloutEvents.kind, WAYS_BACK), isBegin, gt(rolloutEvents.atMs, sinceMs), eq(rolloutEvents.actor, actor)));
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
			type: changeEvent("roll_back"),
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
function rollbackStatements(db: Database, { row, change, act, realNow }: RolloutChange): Statement[] {
	if (change.kind !== "roll_back" && change.kind !== "drop_flags") return [];
	const { strategy = "immediate" } = change;
	const detectMs = isLive(row.state) ? Math.max(0, act.atMs - row.state.sinceMs) : null;
	const { actor, atMs } = act;
	const of = { rollout: row.id, revision: row.revision + 1, environment: row.environment };
	return [recordedRollback(db, { ...of, strategy, trigger: change.reason, actor, atMs, realNow, detectMs })];
}

/** What edges are told of it; nothing of a plan whose criteria do not parse. */
function toldOf({ id, plan }: StoredRollout, state: RolloutState): string {
	try {
		return JSON.stringify(liveRollout(id, plan, state)) ?? "";
	} catch {
		return "";
	}
}

/** What the change does to flags, overlay and snapshot. */
function exposureStatements(db: Database, { row, change, act, realNow, held = [], writes = [] }: RolloutChange): Statement[] {
	const { environment, id, state: before } = row;
	const after = change.state;
	const statements: Statement[] = [];
	// What edges are told differs: pausing moves nobody, except into a retreat.
	if (toldOf(row, before) !== toldOf(row, after) || writes.length > 0) statements.push(changed(db, environment, act.atMs));
	if (!isActive(before) && isActive(after)) statements.push(...held.map((flag) => heldBy(db, flag, id)));
	if (isActive(before) && !isActive(after)) statements.push(db.delete(activeFlags).where(eq(activeFlags.rollout, id)));
	const dropped = isLive(before) && isLive(after) ? after.dropped.filter((flag) => !before.dropped.includes(flag)) : [];
	if (dropped.length > 0)
		statements.push(db.delete(activeFlags).where(and(eq(activeFlags.rollout, id), inArray(activeFlags.flag, dropped))));
	statements.push(...writes.flatMap((each) => written(db, each, act)));
	// Users go back with the head at once; the snapshot that says the same travels behind it.
	const isOver = isLive(before) && (change.kind === "roll_back" || change.kind === "cancel");
	const back = isOver ? [id] : dropped.map((flag) => flagOfRollout(id, flag));
	if (back.length > 0) statements.push(...back.map((key) => overlaid(db, environment, "baseline", key, realNow)), headChanged(db));
	return statements;
}
