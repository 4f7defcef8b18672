import { type SQL, and, desc, eq, gt, inArray, lt, ne, sql } from "drizzle-orm";
import * as z from "zod";
import type { Waiting } from "../../core/notify/round";
import type { Settlement } from "../../core/notify/settle";
import type { Json } from "./audit";
import { type Database, type Statement, commit } from "./database";
import { parseJson } from "./json";
import { outbox, webhookDeliveries as deliveries, webhooks } from "./schema";

const DAY_MS = 86_400_000;
const DELIVERED_KEPT_MS = 30 * DAY_MS;
const DEAD_KEPT_MS = 90 * DAY_MS;

/** Events that one tick deals out: a backlog, however long, takes several. */
const EVENTS_A_TICK = 1_000;
/** Of a lane in one tick: the others wait for the next. */
const LANE_MAX = 20;
const WAITING_MAX = 1_000;

/** Deals new events out to who wants them. In one transaction with the cursors, so nobody misses one or is owed one twice. */
export async function fanOut(db: Database, now: number): Promise<void> {
	const d1 = db.$client;
	const upTo = await d1
		.prepare(
			`SELECT max(id) AS id FROM (SELECT id FROM outbox WHERE id > (SELECT min("cursor") FROM webhooks) ORDER BY id LIMIT ${EVENTS_A_TICK})`,
		)
		.first<number>("id");
	if (upTo === null) return;
	// A payload that cannot be read is of no environment.
	const insert = `INSERT INTO webhook_deliveries (webhook, event, subject, status, attempts, due_at_ms, since_ms)
		SELECT w.id, o.id, o.subject, 'pending', 0, ?2, ?2
		FROM webhooks AS w CROSS JOIN outbox AS o
		WHERE o.id > w."cursor" AND o.id <= ?1 AND w.disabled IS NULL
			AND (w.environment IS NULL OR CASE WHEN json_valid(o.payload) THEN o.payload ->> 'environment' = w.environment END)
			AND EXISTS (SELECT 1 FROM json_each(CASE WHEN json_valid(w.events) THEN w.events ELSE '[]' END) AS p WHERE o.type GLOB p.value)
		ON CONFLICT DO NOTHING`;
	await d1.batch([d1.prepare(insert).bind(upTo, now), d1.prepare(`UPDATE webhooks SET "cursor" = ?1 WHERE "cursor" < ?1`).bind(upTo)]);
}

/**
 * What may be sent now, and what may follow it: a subscriber's and subject's events whose first is due. That one in flight is
 * leased, and so not due, is what keeps two ticks from overtaking each other.
 */
export async function listWaiting(db: Database, now: number): Promise<Waiting[]> {
	const { results } = await db.$client
		.prepare(
			`SELECT webhook, subject, event, attempts, due_at_ms AS dueAtMs, since_ms AS sinceMs, failing FROM (
				SELECT *, row_number() OVER lane AS place, first_value(due_at_ms) OVER lane AS lane_due_at_ms,
					max(error IS NOT NULL) OVER (PARTITION BY webhook) AS failing
				FROM webhook_deliveries WHERE status = 'pending'
				WINDOW lane AS (PARTITION BY webhook, subject ORDER BY event)
			) WHERE lane_due_at_ms <= ?1 AND place <= ${LANE_MAX} ORDER BY failing, place, event LIMIT ${WAITING_MAX}`,
		)
		.bind(now)
		.all<Omit<Waiting, "failing"> & { readonly failing: number }>();
	return results.map((row) => ({ ...row, failing: row.failing === 1 }));
}

export interface Claimed {
	readonly webhook: string;
	readonly event: number;
	readonly attempts: number;
	readonly sinceMs: number;
	/** Nobody else takes it before. */
	readonly leasedUntilMs: number;
	readonly type: string;
	readonly atMs: number;
	/** undefined: it cannot be read. */
	readonly payload: Json | undefined;
}

/** Takes a delivery for one attempt. undefined: another has taken or settled it since it was read. */
export async function claim(
	db: Database,
	{ webhook, event, attempts, dueAtMs, sinceMs }: Waiting,
	untilMs: number,
): Promise<Claimed | undefined> {
	const d1 = db.$client;
	const [taken, read] = await d1.batch<{ type: string; atMs: number; payload: string }>([
		d1
			.prepare(
				`UPDATE webhook_deliveries SET attempts = attempts + 1, due_at_ms = ?5
				WHERE webhook = ?1 AND event = ?2 AND status = 'pending' AND attempts = ?3 AND due_at_ms = ?4`,
			)
			.bind(webhook, event, attempts, dueAtMs, untilMs),
		d1.prepare("SELECT type, at_ms AS atMs, payload FROM outbox WHERE id = ?1").bind(event),
	]);
	const [found] = read?.results ?? [];
	if (taken?.meta.changes !== 1 || !found) return undefined;
	const { type, atMs, payload } = found;
	return {
		webhook,
		event,
		attempts: attempts + 1,
		sinceMs,
		leasedUntilMs: untilMs,
		type,
		atMs,
		payload: parseJson(z.json(), payload),
	};
}

/**
 * What became of an attempt. Whose lease is over says nothing any more, unless it was delivered, which is true whatever
 * happened since.
 */
export async function recordAttempt(
	db: Database,
	claimed: Claimed,
	settlement: Exclude<Settlement, { kind: "gone" }>,
	now: number,
): Promise<void> {
	const at = and(eq(deliveries.webhook, claimed.webhook), eq(deliveries.event, claimed.event));
	const stillMine = and(at, eq(deliveries.attempts, claimed.attempts), eq(deliveries.dueAtMs, claimed.leasedUntilMs), pending);
	if (settlement.kind === "delivered")
		await db
			.update(deliveries)
			.set({ status: "delivered", settledAtMs: now, error: null })
			.where(and(at, ne(deliveries.status, "delivered")));
	else if (settlement.kind === "retry")
		await db.update(deliveries).set({ dueAtMs: settlement.dueAtMs, error: settlement.error }).where(stillMine);
	else await db.update(deliveries).set({ status: "dead", settledAtMs: now, error: settlement.error }).where(stillMine);
}

const pending: SQL = sql`${deliveries.status} = 'pending'`;

/** Part of a batch: what a subscriber is still owed becomes dead letters. */
export function nothingOwed(db: Database, webhook: string, error: string, now: number): Statement {
	return db
		.update(deliveries)
		.set({ status: "dead", settledAtMs: now, error })
		.where(and(eq(deliveries.webhook, webhook), pending));
}

/** Part of a batch: nothing that a subscriber is owed waits for its next attempt. */
export function dueAtOnce(db: Database, webhook: string, now: number): Statement {
	return db
		.update(deliveries)
		.set({ dueAtMs: now })
		.where(and(eq(deliveries.webhook, webhook), pending, gt(deliveries.dueAtMs, now)));
}

/** Part of a batch: dead letters, or those of some events, are owed again from now on. */
export function owedAgain(db: Database, webhook: string, events: readonly number[] | undefined, now: number) {
	const some = events && sql`${deliveries.event} IN (SELECT value FROM json_each(${JSON.stringify(events)}))`;
	return db
		.update(deliveries)
		.set({ status: "pending", attempts: 0, dueAtMs: now, sinceMs: now, error: null, settledAtMs: null })
		.where(and(eq(deliveries.webhook, webhook), eq(deliveries.status, "dead"), some))
		.returning({ event: deliveries.event });
}

export interface Delivery {
	readonly event: number;
	readonly type: string;
	readonly subject: string;
	readonly atMs: number;
	readonly status: "pending" | "delivered" | "dead";
	readonly attempts: number;
	readonly dueAtMs: number;
	readonly sinceMs: number;
	readonly error: string | null;
	readonly settledAtMs: number | null;
}

/** Newest first, below the event `before`. */
export async function listDeliveries(
	db: Database,
	webhook: string,
	{ status, before, limit }: { readonly status?: "dead"; readonly before?: number | undefined; readonly limit: number },
): Promise<Delivery[]> {
	return db
		.select({
			event: deliveries.event,
			type: outbox.type,
			subject: deliveries.subject,
			atMs: outbox.atMs,
			status: deliveries.status,
			attempts: deliveries.attempts,
			dueAtMs: deliveries.dueAtMs,
			sinceMs: deliveries.sinceMs,
			error: deliveries.error,
			settledAtMs: deliveries.settledAtMs,
		})
		.from(deliveries)
		.innerJoin(outbox, eq(outbox.id, deliveries.event))
		.where(
			and(
				eq(deliveries.webhook, webhook),
				status && eq(deliveries.status, status),
				before === undefined ? undefined : lt(deliveries.event, before),
			),
		)
		.orderBy(desc(deliveries.event))
		.limit(limit);
}

/** By subscriber, so that the index finds what is old. */
export async function pruneDeliveries(db: Database, now: number): Promise<void> {
	const old = (status: "delivered" | "dead", keptMs: number): Statement =>
		db
			.delete(deliveries)
			.where(
				and(
					inArray(deliveries.webhook, db.select({ id: webhooks.id }).from(webhooks)),
					eq(deliveries.status, status),
					lt(deliveries.settledAtMs, now - keptMs),
				),
			);
	await commit(db, [old("delivered", DELIVERED_KEPT_MS), old("dead", DEAD_KEPT_MS)]);
}
