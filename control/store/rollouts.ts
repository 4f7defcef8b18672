import { and, asc, desc, eq, getTableColumns, gt, gte, inArray, lt, max, ne, sql } from "drizzle-orm";
import type { Change, Hold } from "../../core/rollouts/decision";
import { candidateOf } from "../../core/rollouts/exposure";
import { type Plan, plan as planSchema } from "../../core/rollouts/plan";
import { isLive, rolloutState } from "../../core/rollouts/state";
import { type Act, audited, plain } from "./audit";
import { isConflict } from "./conflict";
import { type Database, type Statement, commit } from "./database";
import { changed, headChanged, overlaid } from "./environments";
import type { StoredFlag } from "./flags";
import { activeFlags, flagVersions, flags, healthChecks, outbox, rolloutEvents, rollouts } from "./schema";

export type StoredRollout = typeof rollouts.$inferSelect;

const RELAUNCH_WITHIN_MS = 30 * 86_400_000;
const LIVE = ["running", "paused"];

export async function createRollout(db: Database, plan: Plan, act: Act): Promise<StoredRollout> {
	// Attempts are never used again, so a relaunch draws new buckets; two creations at once: the second one takes the next number.
	for (let tries = 0; ; tries++) {
		// oxlint-disable-next-line no-await-in-loop -- each try depends on what the one before found
		const [last] = await db
			.select({ attempt: max(rollouts.attempt) })
			.from(rollouts)
			.where(eq(rollouts.name, plan.rollout));
		const attempt = (last?.attempt ?? 0) + 1;
		const row: StoredRollout = {
			id: `${plan.rollout}.${attempt}`,
			environment: plan.environment,
			name: plan.rollout,
			attempt,
			plan,
			status: "draft",
			revision: 0,
			state: { status: "draft" },
			tickedAtMs: 0,
			createdAtMs: act.atMs,
			startedAtMs: null,
		};
		try {
			// oxlint-disable-next-line no-await-in-loop -- see above
			await commit(db, [db.insert(rollouts).values(row), audited(db, act, `rollouts/${row.id}`, "rollout.created", null, plan)]);
			return row;
		} catch (error) {
			if (tries >= 5 || !isConflict(error, "rollouts")) throw error;
		}
	}
}

export async function getRollout(db: Database, id: string): Promise<StoredRollout | undefined> {
	const [row] = await db.select().from(rollouts).where(eq(rollouts.id, id));
	return row;
}

export async function listRollouts(db: Database, filter: { environment?: string | undefined; status?: string | undefined }, limit: number) {
	const { environment, status } = filter;
	return db
		.select()
		.from(rollouts)
		.where(
			and(
				environment === undefined ? undefined : eq(rollouts.environment, environment),
				status === undefined ? undefined : eq(rollouts.status, status),
			),
		)
		.orderBy(desc(rollouts.createdAtMs), desc(rollouts.id))
		.limit(limit);
}

/** The live rollouts of all environments; those whose row is corrupt are named, and do not hide the others. */
export async function listLive(db: Database): Promise<{ readonly rows: readonly StoredRollout[]; readonly corrupt: readonly string[] }> {
	const rows: StoredRollout[] = [];
	const corrupt: string[] = [];
	for (const raw of await selectLive(db).orderBy(asc(rollouts.id))) {
		const row = parsed(raw);
		if (row) rows.push(row);
		else corrupt.push(raw.id);
	}
	return { rows, corrupt };
}

/** Live rollouts with their JSON as text, for `parsed`; one statement, so it can stand in a batch. */
export function selectLive(db: Database, environment?: string) {
	return db
		.select({ ...getTableColumns(rollouts), plan: sql<string>`${rollouts.plan}`, state: sql<string>`${rollouts.state}` })
		.from(rollouts)
		.where(and(inArray(rollouts.status, LIVE), environment === undefined ? undefined : eq(rollouts.environment, environment)))
		.$dynamic();
}

/** Each row is parsed by itself; undefined when it is corrupt. */
export function parsed(raw: Awaited<ReturnType<typeof selectLive>>[number]): StoredRollout | undefined {
	try {
		return { ...raw, plan: planSchema.parse(JSON.parse(raw.plan)), state: rolloutState.parse(JSON.parse(raw.state)) };
	} catch {
		return undefined;
	}
}

export async function listEvents(db: Database, rollout: string, after: number, limit: number) {
	return db
		.select()
		.from(rolloutEvents)
		.where(and(eq(rolloutEvents.rollout, rollout), gt(rolloutEvents.revision, after)))
		.orderBy(asc(rolloutEvents.revision))
		.limit(limit);
}

export async function latestCheck(db: Database, rollout: string) {
	const [row] = await db.select().from(healthChecks).where(eq(healthChecks.rollout, rollout)).orderBy(desc(healthChecks.atMs)).limit(1);
	return row;
}

/** The live rollouts that hold these flags: flag → rollout. */
export async function activeRolloutsOf(db: Database, environment: string, keys: readonly string[]) {
	return db
		.select()
		.from(activeFlags)
		.where(and(eq(activeFlags.environment, environment), inArray(activeFlags.flag, [...keys])));
}

/** Which launch of the same flag and candidate this is within 30 days, counted from 1: every relaunch halves the tolerated false-alarm rate. */
export async function launchOf(db: Database, row: StoredRollout, now: number): Promise<number> {
	const earlier = await db
		.select({ plan: rollouts.plan })
		.from(rollouts)
		.where(and(eq(rollouts.environment, row.environment), ne(rollouts.id, row.id), gte(rollouts.startedAtMs, now - RELAUNCH_WITHIN_MS)));
	const isSame = ({ plan }: { readonly plan: Plan }): boolean =>
		candidateOf(plan) === candidateOf(row.plan) && plan.flags.some((flag) => row.plan.flags.includes(flag));
	return 1 + earlier.filter(isSame).length;
}

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
			before: row.state,
			after,
			evidence: plain(given.evidence),
		}),
		db
			.update(rollouts)
			.set({
				revision,
				status: after.status,
				state: after,
				tickedAtMs: isLive(after) ? after.watch.tickedAtMs : row.tickedAtMs,
				...(change.kind === "start" ? { startedAtMs: act.atMs } : {}),
			})
			.where(eq(rollouts.id, row.id)),
		...exposureStatements(db, given),
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
	];
	try {
		await commit(db, statements);
		return true;
	} catch (error) {
		if (["rollout_events", "active_flags", "flag_versions"].some((table) => isConflict(error, table))) return false;
		throw error;
	}
}

/** What the change does to flags, overlay and snapshot. */
function exposureStatements(db: Database, { row, change, act, realNow, flags: of, candidate }: RolloutChange): Statement[] {
	const { environment, id } = row;
	if (change.kind === "pause" || change.kind === "resume") return [];
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
		db.insert(flagVersions).values({ environment, key: flag.key, version, config: after, atMs: act.atMs, actor: act.actor }),
		db
			.update(flags)
			.set({ version, config: after, updatedAtMs: act.atMs })
			.where(and(eq(flags.environment, environment), eq(flags.key, flag.key))),
		audited(db, act, `flags/${environment}/${flag.key}`, "flag.rolled_out", config, after),
	];
}

export interface Held {
	readonly row: StoredRollout;
	readonly hold: Hold;
	readonly percent: number;
}

/** A statement's parameter holds 2 MB at most, and a rollout's state and judgement some kilobytes. */
const ROWS_A_STATEMENT = 200;

/**
 * Keeps what the ticks have learnt, many rollouts in two statements. A state that changed since it was read, or that a later
 * tick has already moved on, is left alone: its evidence is read again from where it stands.
 */
export async function recordHolds(db: Database, held: readonly Held[], now: number): Promise<void> {
	for (let from = 0; from < held.length; from += ROWS_A_STATEMENT) {
		const some = held.slice(from, from + ROWS_A_STATEMENT);
		const states = some.map(({ row, hold }) => ({ id: row.id, revision: row.revision, state: hold.state }));
		const checks = some.map(({ row, hold, percent }) => ({ rollout: row.id, decision: hold, percent }));
		// oxlint-disable-next-line no-await-in-loop -- D1 has one writer
		await db.$client.batch([
			db.$client
				.prepare(
					`UPDATE rollouts SET state = json_extract(j.value, '$.state'), ticked_at_ms = ?2 FROM json_each(?1) AS j
					WHERE rollouts.id = j.value ->> 'id' AND rollouts.revision = j.value ->> 'revision' AND rollouts.ticked_at_ms < ?2`,
				)
				.bind(JSON.stringify(states), now),
			checksStatement(db, checks, now),
		]);
	}
}

export interface Check {
	readonly rollout: string;
	readonly decision: Hold | Change;
	readonly percent: number;
}

export async function recordCheck(db: Database, check: Check, now: number): Promise<void> {
	await checksStatement(db, [check], now).run();
}

function checksStatement(db: Database, checks: readonly Check[], now: number): D1PreparedStatement {
	const rows = checks.map(({ rollout, decision, percent }) => ({
		rollout,
		decision: decision.kind,
		reason: decision.reason,
		message: decision.message,
		level: decision.judgement?.level ?? "unknown",
		percent,
		judgement: decision.judgement,
	}));
	return db.$client
		.prepare(
			`INSERT INTO health_checks (rollout, at_ms, decision, reason, message, level, percent, judgement)
			SELECT value ->> 'rollout', ?2, value ->> 'decision', value ->> 'reason', value ->> 'message', value ->> 'level', value ->> 'percent', value -> 'judgement'
			FROM json_each(?1) WHERE true ON CONFLICT DO NOTHING`,
		)
		.bind(JSON.stringify(rows), now);
}

const CHECKS_KEPT_MS = 30 * 86_400_000;

/** By rollout, so that the primary key finds what is old. */
export async function pruneChecks(db: Database, now: number): Promise<void> {
	await db
		.delete(healthChecks)
		.where(and(inArray(healthChecks.rollout, db.select({ id: rollouts.id }).from(rollouts)), lt(healthChecks.atMs, now - CHECKS_KEPT_MS)));
}
