import { type SQL, asc, count, eq, getTableColumns, sql } from "drizzle-orm";
import type * as z from "zod";
import { diff } from "../../core/flags/diff";
import { type SigningSecrets, rotated, signingSecrets } from "../../core/notify/secrets";
import { type Result, err, ok } from "../../core/result";
import { type Act, audited, plain } from "./audit";
import { isConflict } from "./conflict";
import { type Database, type Statement, commit } from "./database";
import { parseJson } from "./json";
import { audit, disabled, outbox, patterns, webhookDeliveries, webhooks } from "./schema";
import { dueAtOnce, nothingOwed, owedAgain } from "./webhookDeliveries";

/** Each of them is told of everything by a request of its own. */
export const WEBHOOKS_MAX = 20;

/** What its owner decides. */
export interface WebhookConfig {
	readonly url: string;
	readonly events: string[];
	/** null: events of all. */
	readonly environment: string | null;
	readonly description: string;
	/** null: it is told. */
	readonly disabled: z.infer<typeof disabled> | null;
}

export interface StoredWebhook extends WebhookConfig {
	readonly id: string;
	readonly secrets: SigningSecrets;
	readonly revision: number;
	readonly createdAtMs: number;
	readonly updatedAtMs: number;
}

export interface FoundWebhook {
	readonly id: string;
	readonly revision: number;
	/** undefined: its row cannot be read. */
	readonly stored: StoredWebhook | undefined;
	readonly pending: number;
	readonly deadLetters: number;
}

export type WebhookRefusal =
	| { readonly kind: "too_many_webhooks"; readonly limit: number }
	| { readonly kind: "too_many_secrets"; readonly limit: number; readonly untilMs: number }
	| { readonly kind: "webhook_disabled"; readonly id: string }
	| { readonly kind: "changed_meanwhile" };

const owed = (status: "pending" | "dead"): SQL<number> =>
	sql`(SELECT count(*) FROM ${webhookDeliveries} WHERE ${webhookDeliveries.webhook} = ${webhooks.id} AND ${webhookDeliveries.status} = ${status})`;
/** All columns, their JSON as text: a row that cannot be read hides no other. */
const RAW = {
	...getTableColumns(webhooks),
	events: sql<string>`${webhooks.events}`,
	secrets: sql<string>`${webhooks.secrets}`,
	disabled: sql<string | null>`${webhooks.disabled}`,
	pending: owed("pending"),
	deadLetters: owed("dead"),
};
const select = (db: Database) => db.select(RAW).from(webhooks).orderBy(asc(webhooks.createdAtMs), asc(webhooks.id));

export async function listWebhooks(db: Database): Promise<FoundWebhook[]> {
	return (await select(db)).map(found);
}

export async function findWebhook(db: Database, id: string): Promise<FoundWebhook | undefined> {
	const [raw] = await select(db).where(eq(webhooks.id, id));
	return raw && found(raw);
}

function found({ pending, deadLetters, cursor: _cursor, ...raw }: Awaited<ReturnType<typeof select>>[number]): FoundWebhook {
	const [events, secrets] = [parseJson(patterns, raw.events), parseJson(signingSecrets, raw.secrets)];
	const off = raw.disabled === null ? null : parseJson(disabled, raw.disabled);
	const stored = events && secrets && off !== undefined ? { ...raw, events, secrets, disabled: off } : undefined;
	return { id: raw.id, revision: raw.revision, stored, pending, deadLetters };
}

const newestEvent = sql<number>`(SELECT coalesce(max(${outbox.id}), 0) FROM ${outbox})`;

/** It is told of what happens from now on. */
export async function createWebhook(
	db: Database,
	wanted: Omit<WebhookConfig, "disabled"> & { readonly id: string },
	secret: string,
	act: Act,
): Promise<Result<StoredWebhook, WebhookRefusal>> {
	const row: StoredWebhook = {
		...wanted,
		disabled: null,
		secrets: [{ secret, untilMs: null }],
		revision: 1,
		createdAtMs: act.atMs,
		updatedAtMs: act.atMs,
	};
	// NULL aborts the batch.
	const unlessFull = sql<string>`CASE WHEN (SELECT count(*) FROM ${webhooks}) < ${WEBHOOKS_MAX} THEN ${row.id} END`;
	try {
		await commit(db, [
			db.insert(webhooks).values({ ...row, id: unlessFull, cursor: newestEvent }),
			audited(db, act, resource(row.id), "webhook.created", null, configOf(row)),
		]);
		return ok(row);
	} catch (error) {
		if (!isConflict(error, "webhooks")) throw error;
	}
	const [all] = await db.select({ n: count() }).from(webhooks);
	return err((all?.n ?? 0) >= WEBHOOKS_MAX ? { kind: "too_many_webhooks", limit: WEBHOOKS_MAX } : { kind: "changed_meanwhile" });
}

/** `before` is as it was read; whoever has changed it since wins. Where nothing differs nothing is written. */
export async function changeWebhook(
	db: Database,
	before: StoredWebhook,
	after: WebhookConfig,
	act: Act,
	realNow: number,
): Promise<Result<StoredWebhook, WebhookRefusal>> {
	if (diff(configOf(before), after).length === 0) return ok(before);
	return write(db, { ...before, ...after, revision: before.revision + 1, updatedAtMs: act.atMs }, [
		auditedAsRead(db, before, act, "webhook.changed", configOf(before), after),
		db
			.update(webhooks)
			.set({
				...after,
				revision: before.revision + 1,
				updatedAtMs: act.atMs,
				// What happened while it was disabled passes it by.
				...(before.disabled && !after.disabled ? { cursor: newestEvent } : {}),
			})
			.where(eq(webhooks.id, before.id)),
		...(after.disabled ? [nothingOwed(db, before.id, "disabled by an operator", realNow)] : []),
		...(after.url === before.url ? [] : [dueAtOnce(db, before.id, realNow)]),
	]);
}

/** A subscriber that wants nothing any more, at the address that said so. False: it is another's by now, or disabled. */
export async function disableGone(db: Database, id: string, url: string, act: Act, realNow: number): Promise<boolean> {
	const before = (await findWebhook(db, id))?.stored;
	if (!before || before.disabled || before.url !== url) return false;
	const after: WebhookConfig = { ...configOf(before), disabled: { atMs: act.atMs, by: "gone" } };
	const { environment, description } = after;
	const payload = { webhook: id, environment, description, message: act.reason };
	const written = await write(db, before, [
		auditedAsRead(db, before, act, "webhook.disabled", configOf(before), after),
		db
			.update(webhooks)
			.set({ disabled: after.disabled, revision: before.revision + 1, updatedAtMs: act.atMs })
			.where(eq(webhooks.id, id)),
		nothingOwed(db, id, act.reason, realNow),
		db.insert(outbox).values({ atMs: act.atMs, type: "webhook.disabled", subject: resource(id), payload }),
	]);
	return written.ok;
}

/** The old secret signs beside the new one for a while. */
export async function rotateSecret(
	db: Database,
	before: StoredWebhook,
	secret: string,
	act: Act,
	realNow: number,
): Promise<Result<StoredWebhook, WebhookRefusal>> {
	const secrets = rotated(before.secrets, secret, realNow);
	if (!secrets.ok) return secrets;
	const after = { secrets: secrets.value, revision: before.revision + 1, updatedAtMs: act.atMs };
	return write(db, { ...before, ...after }, [
		auditedAsRead(db, before, act, "webhook.rotated", null, null),
		db.update(webhooks).set(after).where(eq(webhooks.id, before.id)),
	]);
}

export async function deleteWebhook(db: Database, before: FoundWebhook, act: Act): Promise<Result<null, WebhookRefusal>> {
	return write(db, null, [
		auditedAsRead(db, before, act, "webhook.deleted", before.stored ? configOf(before.stored) : { damaged: true }, null),
		db.delete(webhookDeliveries).where(eq(webhookDeliveries.webhook, before.id)),
		db.delete(webhooks).where(eq(webhooks.id, before.id)),
	]);
}

/** Dead letters, all of them or those of some events, are owed again. Returns how many. */
export async function replay(
	db: Database,
	before: StoredWebhook,
	events: readonly number[] | undefined,
	act: Act,
	realNow: number,
): Promise<Result<number, WebhookRefusal>> {
	if (before.disabled) return err({ kind: "webhook_disabled", id: before.id });
	try {
		const said = auditedAsRead(db, before, act, "webhook.replayed", null, { events: events ?? "all" });
		const [, again] = await db.batch([said, owedAgain(db, before.id, events, realNow)]);
		return ok(again.length);
	} catch (error) {
		if (!isConflict(error, "audit")) throw error;
		return err({ kind: "changed_meanwhile" });
	}
}

export async function auditTest(db: Database, id: string, act: Act, result: unknown): Promise<void> {
	await commit(db, [audited(db, act, resource(id), "webhook.tested", null, result)]);
}

const resource = (id: string): string => `webhooks/${id}`;

/** What may be shown and audited: never the secrets. */
export function configOf({ url, events, environment, description, disabled: off }: WebhookConfig): WebhookConfig {
	return { url, events, environment, description, disabled: off };
}

/** The audit's row, which nobody can write who has read something older: then NULL aborts the batch. */
function auditedAsRead(
	db: Database,
	{ id, revision }: { readonly id: string; readonly revision: number },
	act: Act,
	action: string,
	before: unknown,
	after: unknown,
): Statement {
	const actor = sql<string>`(SELECT ${act.actor} FROM ${webhooks} WHERE ${webhooks.id} = ${id} AND ${webhooks.revision} = ${revision})`;
	return db.insert(audit).values({ ...act, actor, resource: resource(id), action, before: plain(before), after: plain(after) });
}

async function write<T>(db: Database, after: T, statements: readonly Statement[]): Promise<Result<T, WebhookRefusal>> {
	try {
		await commit(db, statements);
		return ok(after);
	} catch (error) {
		if (!isConflict(error, "audit")) throw error;
		return err({ kind: "changed_meanwhile" });
	}
}
