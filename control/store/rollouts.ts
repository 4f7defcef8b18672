import { type SQL, and, asc, count, desc, eq, getTableColumns, gt, gte, inArray, max, ne, sql } from "drizzle-orm";
import { DEFAULT_CANDIDATE, candidateOf } from "../../core/rollouts/exposure";
import type { Plan } from "../../core/rollouts/plan";
import { ACTIVE, LIVE, rolloutState } from "../../core/rollouts/state";
import { type Act, audited } from "./audit";
import { isConflict } from "./conflict";
import { type Database, type Statement, commit } from "./database";
import { hashIn, isUnder } from "./idempotency";
import { parseJson } from "./json";
import { activeFlags, healthChecks, readablePlan, rolloutEvents, rollouts } from "./schema";

export type StoredRollout = typeof rollouts.$inferSelect;
/** What is left of one that nobody can read. */
export type DamagedRollout = Omit<StoredRollout, "plan" | "state"> & { readonly plan: null; readonly state: null };

const RELAUNCH_WITHIN_MS = 30 * 86_400_000;
/** Not started, or ended: all others hold their flags. */
export const AT_REST = ["draft", "rolled_back", "completed", "cancelled"];
/** All columns, their JSON as text. */
const RAW = { ...getTableColumns(rollouts), plan: sql<string>`${rollouts.plan}`, state: sql<string>`${rollouts.state}` };

/** `beside`: what is written along with it; undefined: somebody has changed what that was checked against, and nothing was written. */
export async function createRollout(
	db: Database,
	plan: Plan,
	act: Act,
	beside: readonly Statement[] = [],
): Promise<StoredRollout | undefined> {
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
			author: act.actor,
		};
		try {
			// oxlint-disable-next-line no-await-in-loop -- see above
			await commit(db, [db.insert(rollouts).values(row), audited(db, act, `rollouts/${row.id}`, "rollout.created", null, plan), ...beside]);
			return row;
		} catch (error) {
			if (isConflict(error, "environments") || isConflict(error, "gateway_routes")) return undefined;
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
export async function getDamaged(db: Database, id: string): Promise<DamagedRollout | undefined> {
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
	filter: { readonly environment?: string | undefined; readonly status?: readonly string[] | undefined },
	limit: number,
): Promise<Listed> {
	const { environment, status } = filter;
	const raw = await db
		.select(RAW)
		.from(rollouts)
		.where(
			and(
				environment === undefined ? undefined : eq(rollouts.environment, environment),
				status === undefined ? undefined : inArray(rollouts.status, status),
			),
		)
		.orderBy(desc(rollouts.createdAtMs), desc(rollouts.id))
		.limit(limit);
	return listed(raw);
}

/** The rollouts of all environments that a tick has something to do with. */
export async function listActive(db: Database): Promise<Listed> {
	return listed(await db.select(RAW).from(rollouts).where(inArray(rollouts.status, ACTIVE)).orderBy(asc(rollouts.id)));
}

/** The live ones. With their JSON as text, for `parsed`; one statement, so it can stand in a batch. */
export function selectLive(db: Database, environment?: string) {
	return db
		.select(RAW)
		.from(rollouts)
		.where(and(inArray(rollouts.status, LIVE), environment === undefined ? undefined : eq(rollouts.environment, environment)))
		.orderBy(asc(rollouts.id));
}

/** As selectLive, by a condition, with what was last found of each. */
export function selectAmong(db: Database, condition: SQL | undefined) {
	const health = sql<
		string | null
	>`(SELECT json_object('atMs', at_ms, 'decision', decision, 'reason', reason, 'message', message, 'level', level,
		'score', score, 'percent', percent) FROM health_checks WHERE rollout = rollouts.id ORDER BY at_ms DESC LIMIT 1)`;
	return db
		.select({ ...RAW, health })
		.from(rollouts)
		.where(condition)
		.orderBy(asc(rollouts.id));
}

type Raw = Awaited<ReturnType<typeof selectLive>>[number];

/** undefined: the row is corrupt. */
export function parsed(raw: Raw): StoredRollout | undefined {
	const plan = parseJson(readablePlan, raw.plan);
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

/** What a command with this key has led to, and the hash of its body where it was kept. */
export async function eventByKey(db: Database, rollout: string, key: string) {
	const [event] = await db
		.select({ kind: rolloutEvents.kind, kept: rolloutEvents.idempotencyKey })
		.from(rolloutEvents)
		.where(and(eq(rolloutEvents.rollout, rollout), isUnder(key)));
	return event && { kind: event.kind, hash: hashIn(event.kept ?? "") };
}

/** The newest rollout of a flag that a command with this key was sent to. */
export async function rolloutByKey(db: Database, environment: string, flag: string, key: string): Promise<string | undefined> {
	const isOfFlag = sql`CASE WHEN json_valid(${rollouts.plan}) THEN EXISTS (SELECT 1 FROM json_each(${rollouts.plan}, '$.flags') WHERE value = ${flag}) ELSE FALSE END`;
	const [found] = await db
		.select({ id: rollouts.id })
		.from(rollouts)
		.innerJoin(rolloutEvents, eq(rolloutEvents.rollout, rollouts.id))
		.where(and(eq(rollouts.environment, environment), isUnder(key), isOfFlag))
		.orderBy(desc(rolloutEvents.atMs))
		.limit(1);
	return found?.id;
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
