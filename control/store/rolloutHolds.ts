import { signalsOf } from "../../core/health/signals";
import { alertEvent } from "../../core/notify/events";
import type { Change, Hold } from "../../core/rollouts/decision";
import type { Database } from "./database";
import type { StoredRollout } from "./rollouts";

/** What ticks learn of rollouts that stay where they are, many in a few statements. */

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
			checksStatement(db.$client, checks, now),
		]);
	}
}

function alertStatements(db: Database, held: readonly Held[], now: number): D1PreparedStatement[] {
	const rows = held.flatMap(({ row, hold }) =>
		hold.alerts.map((alert) => ({
			type: alertEvent(alert),
			rollout: row.id,
			revision: row.revision,
			payload: { rollout: row.id, environment: row.environment, kind: alert.kind, message: alert.message },
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

export async function recordChecks(db: Database, checks: readonly Check[], now: number): Promise<void> {
	if (checks.length > 0) await checksStatement(db.$client, checks, now).run();
}

function checksStatement(client: D1Database, checks: readonly Check[], now: number): D1PreparedStatement {
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
	return client
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
