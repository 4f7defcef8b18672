import { and, asc, count, desc, eq, getTableColumns, gt, gte, inArray, max, ne, sql } from "drizzle-orm";
import { signalsOf } from "../../core/health/signals";
import type { Alert } from "../../core/rollouts/alert";
import type { Change, Hold } from "../../core/rollouts/decision";
import { DEFAULT_CANDIDATE, candidateOf } from "../../core/rollouts/exposure";
import { type Plan, storedPlan } from "../../core/rollouts/plan";
import { isLive, rolloutState } from "../../core/rollouts/state";
import { type Act, audited, plain } from "./audit";
import { isConflict } from "./conflict";
import { type Database, type Statement, commit } from "./database";
import { changed, headChanged, overlaid } from "./environments";
import { parseJson } from "./json";
import type { StoredFlag } from "./flags";
import { activeFlags, flagVersions, flags, healthChecks, outbox, rolloutEvents, rollouts } from "./schema";

export type StoredRollout = typeof rollouts.$inferSelect;

const RELAUNCH_WITHIN_MS = 30 * 86_400_000;
const LIVE = ["running", "paused"];
/** All columns, their JSON as text. */
const RAW = { ...getTableColumns(rollouts), plan: sql<string>`${rollouts.plan}`, state: sql<string>`${rollouts.state}` };

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
			failedChanges: 0,
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

/** undefined: there is no such rollout. Throws when its row is corrupt; `getDamaged` reads what is left of it. */
export async function getRollout(db: Database, id: string): Promise<StoredRollout | undefined> {
	const [row] = await db.select().from(rollouts).where(eq(rollouts.id, id));
	return row;
}

/** What even a corrupt row says, enough to roll it back. */
export async function getDamaged(db: Database, id: string) {
	const [row] = await db
		.select({ ...getTableColumns(rollouts), plan: sql<null>`NULL`, state: sql<null>`NULL` })
		.from(rollouts)
		.where(eq(rollouts.id, id));
	return row;
}

export interface Listed {
	readonly rows: readonly StoredRollout[];
	/** Ids of rows that cannot be read. */
	readonly corrupt: readonly string[];
}

export async function listRollouts(
	db: Database,
	filter: { readonly environment?: string | undefined; readonly status?: string | undefined },
	limit: number,
): Promise<Listed> {
	const { environment, status } = filter;
	const raw = await db
		.select(RAW)
		.from(rollouts)
		.where(
			and(
				environment === undefined ? undefined : eq(rollouts.environment, environment),
				status === undefined ? undefined : eq(rollouts.status, status),
			),
		)
		.orderBy(desc(rollouts.createdAtMs), desc(rollouts.id))
		.limit(limit);
	return listed(raw);
}

/** The live rollouts of all environments. */
export async function listLive(db: Database): Promise<Listed> {
	return listed(await selectLive(db));
}

/** With their JSON as text, for `parsed`; one statement, so it can stand in a batch. */
export function selectLive(db: Database, environment?: string) {
	return db
		.select(RAW)
		.from(rollouts)
		.where(and(inArray(rollouts.status, LIVE), environment === undefined ? undefined : eq(rollouts.environment, environment)))
		.orderBy(asc(rollouts.id));
}

type Raw = Awaited<ReturnType<typeof selectLive>>[number];

/** undefined: the row is corrupt. */
export function parsed(raw: Raw): StoredRollout | undefined {
	const plan = parseJson(storedPlan, raw.plan);
	const state = parseJson(rolloutState, raw.state);
	return plan && state && { ...raw, plan, state };
}

function listed(raw: readonly Raw[]): Listed {
	const rows = raw.map(parsed);
	return { rows: rows.filter((row) => row !== undefined), corrupt: raw.filter((_, i) => !rows[i]).map(({ id }) => id) };
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
	const sameFlag = sql`EXISTS (SELECT 1 FROM json_each(${rollouts.plan}, '$.flags') AS theirs JOIN json_each(${JSON.stringify(row.plan.flags)}) AS ours ON ours.value = theirs.value)`;
	const sameCandidate = sql`coalesce(json_extract(${rollouts.plan}, '$.candidate'), ${DEFAULT_CANDIDATE}) = ${candidateOf(row.plan)}`;
	const [earlier] = await db
		.select({ n: count() })
		.from(rollouts)
		.where(
			and(
				eq(rollouts.environment, row.environment),
				ne(rollouts.id, row.id),
				gte(rollouts.startedAtMs, now - RELAUNCH_WITHIN_MS),
				// A corrupt plan is no launch that could be known.
				sql`CASE WHEN json_valid(${rollouts.plan}) THEN ${sameFlag} AND ${sameCandidate} ELSE FALSE END`,
			),
		);
	return 1 + (earlier?.n ?? 0);
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

export interface Held {
	readonly row: StoredRollout;
	readonly hold: Hold;
	readonly percent: number;
}

/** A statement's parameter holds 2 MB at most, and a UTF-16 unit is 3 bytes of UTF-8 at most. */
const STATEMENT_CHARACTERS = 600_000;

/** So many at a time that neither their states nor their judgements are too long for one parameter. */
function inGroups(held: readonly Held[]): Held[][] {
	const groups: Held[][] = [];
	let length = Infinity;
	for (const each of held) {
		const own = JSON.stringify(each.hold.state).length + JSON.stringify(each.hold.judgement).length;
		length += own;
		if (length > STATEMENT_CHARACTERS) {
			groups.push([]);
			length = own;
		}
		groups.at(-1)?.push(each);
	}
	return groups;
}

/** A rollout as it was read, and no tick at `?2` or later has moved it on: `?1` holds rows of {rollout, revision}. */
const UNMOVED = `json_each(?1) AS j JOIN rollouts
	ON rollouts.id = j.value ->> 'rollout' AND rollouts.revision = j.value ->> 'revision' AND rollouts.ticked_at_ms < ?2`;

/**
 * Keeps what the ticks have learnt, many rollouts in a few statements. A state that changed since it was read, or that a later
 * tick has already moved on, is left alone: its evidence is read again from where it stands, and nobody is told anything of it.
 */
export async function recordHolds(db: Database, held: readonly Held[], now: number): Promise<void> {
	for (const some of inGroups(held)) {
		const states = some.map(({ row, hold }) => ({ id: row.id, revision: row.revision, state: hold.state }));
		const checks = some.map(({ row, hold, percent }) => ({ rollout: row.id, decision: hold, percent }));
		// oxlint-disable-next-line no-await-in-loop -- D1 has one writer
		await db.$client.batch([
			// Before the states, by which they tell whether this tick is the one that moves them.
			...alertStatements(db, some, now),
			...remeasuredStatements(db, some, now),
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

function alertStatements(db: Database, held: readonly Held[], now: number): D1PreparedStatement[] {
	const rows = held.flatMap(({ row, hold }) =>
		hold.alerts.map(({ severity, kind, message }) => ({
			type: `alert.${severity}`,
			rollout: row.id,
			revision: row.revision,
			payload: { rollout: row.id, environment: row.environment, kind, message },
		})),
	);
	if (rows.length === 0) return [];
	const insert = `INSERT INTO outbox (at_ms, type, subject, payload)
		SELECT ?2, j.value ->> 'type', j.value ->> 'rollout', j.value -> 'payload' FROM ${UNMOVED}`;
	return [db.$client.prepare(insert).bind(JSON.stringify(rows), now)];
}

/** Where a warm-up has ended edges must learn what is harm now. */
function remeasuredStatements(db: Database, held: readonly Held[], now: number): D1PreparedStatement[] {
	const moved = held.filter(({ row, hold }) => {
		const [before, after] = [signalsOf(row.plan, row.state), signalsOf(row.plan, hold.state)];
		return after.some(({ harm }, i) => harm !== null && before[i]?.harm === null);
	});
	if (moved.length === 0) return [];
	const rows = moved.map(({ row }) => ({ rollout: row.id, revision: row.revision }));
	const update = `UPDATE environments SET changed = changed + 1, changed_at_ms = ?2 WHERE name IN (SELECT rollouts.environment FROM ${UNMOVED})`;
	return [db.$client.prepare(update).bind(JSON.stringify(rows), now)];
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
		score: decision.judgement?.score ?? null,
		percent,
		judgement: decision.judgement,
	}));
	return db.$client
		.prepare(
			`INSERT INTO health_checks (rollout, at_ms, decision, reason, message, level, score, percent, judgement)
			SELECT value ->> 'rollout', ?2, value ->> 'decision', value ->> 'reason', value ->> 'message', value ->> 'level', value ->> 'score',
				value ->> 'percent', value -> 'judgement'
			FROM json_each(?1) WHERE true ON CONFLICT DO NOTHING`,
		)
		.bind(JSON.stringify(rows), now);
}

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const CHECKS_KEPT_MS = 30 * DAY_MS;
const CHECKS_WHOLE_MS = DAY_MS;
const THINNED_EVERY_MS = 10 * 60_000;

/**
 * By rollout, so that the primary key finds what is old. After a day every tenth minute is kept, without its judgement: whole,
 * a thousand rollouts would fill the database in days, and a full one takes no rollback. Looks at two days, so that hours in
 * which nobody pruned are made up for.
 */
export async function pruneChecks(db: Database, now: number): Promise<void> {
	const [old, whole, seen] = [now - CHECKS_KEPT_MS, now - CHECKS_WHOLE_MS, now - CHECKS_WHOLE_MS - 2 * DAY_MS];
	const ofAny = "rollout IN (SELECT id FROM rollouts)";
	const client = db.$client;
	await client.batch([
		client.prepare(`DELETE FROM health_checks WHERE ${ofAny} AND at_ms < ?1`).bind(old),
		client
			.prepare(
				`DELETE FROM health_checks WHERE ${ofAny} AND at_ms >= ?1 AND at_ms < ?2 AND decision = 'hold' AND (at_ms / 60000 * 60000) % ?3 <> 0`,
			)
			.bind(seen, whole, THINNED_EVERY_MS),
		client
			.prepare(`UPDATE health_checks SET judgement = NULL WHERE ${ofAny} AND at_ms >= ?1 AND at_ms < ?2 AND judgement IS NOT NULL`)
			.bind(seen, whole),
		client.prepare("DELETE FROM environment_checks WHERE environment IN (SELECT name FROM environments) AND at_ms < ?1").bind(old),
	]);
}
