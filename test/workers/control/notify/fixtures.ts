import { env } from "cloudflare:workers";
import type { Outcome } from "../../../../core/notify/settle";
import type { Message } from "../../../../control/notify/message";
import type { Notifier, Recipient } from "../../../../control/notify/notifier";
import { drawSecret } from "../../../../control/notify/sign";
import { type Database, open } from "../../../../control/store/database";
import { type StoredWebhook, type WebhookConfig, createWebhook, findWebhook } from "../../../../control/store/webhooks";
import { deliver } from "../../../../control/tick/deliver";

export const db: Database = open(env.DB);
export const START_MS = 1_800_000_000_000;
export const MINUTE_MS = 60_000;
export const act = { actor: "test", reason: "because", correlationId: "c", atMs: START_MS };

let count = 0;

/** Told of everything, at `https://<name>.example.com`. */
export async function aWebhook(name: string, change: Partial<WebhookConfig> = {}): Promise<StoredWebhook> {
	const wanted = { url: `https://${name}.example.com/`, events: ["*"], environment: null, description: name, ...change };
	const created = await createWebhook(db, { ...wanted, id: `${name}-${++count}` }, drawSecret(), act);
	if (!created.ok) throw new Error(created.error.kind);
	return created.value;
}

export async function current({ id }: { readonly id: string }): Promise<StoredWebhook> {
	const stored = (await findWebhook(db, id))?.stored;
	if (!stored) throw new Error(`no webhook ${id}`);
	return stored;
}

/** A row of the outbox; its id. */
export async function happened(
	subject: string,
	type = "rollout.advanced",
	payload: unknown = { environment: "production" },
): Promise<number> {
	const text = typeof payload === "string" ? payload : JSON.stringify(payload);
	const row = await env.DB.prepare("INSERT INTO outbox (at_ms, type, subject, payload) VALUES (?, ?, ?, ?) RETURNING id")
		.bind(START_MS, type, subject, text)
		.first<number>("id");
	return row ?? 0;
}

export interface Delivered {
	/** Of the URL. */
	readonly to: string;
	readonly event: number;
	readonly id: string;
	readonly type: string;
	readonly atMs: number;
	readonly secrets: readonly string[];
}

export interface Receivers extends Notifier {
	readonly requests: Delivered[];
	/** Of those that were under way together, the most. */
	atOnceMax: number;
}

export const OK: Outcome = { kind: "answered", status: 204 };
export const answered = (status: number): Outcome => ({ kind: "answered", status });
export const SILENT: Outcome = { kind: "silent", error: "no answer within 10000 ms" };

/** Subscribers that answer as told. */
export function receivers(answer: (request: Delivered) => Outcome | Promise<Outcome> = () => OK): Receivers {
	let atOnce = 0;
	const made: Receivers = {
		requests: [],
		atOnceMax: 0,
		refusal: () => undefined,
		async send({ url, secrets }: Recipient, { id, body }: Message, now: number): Promise<Outcome> {
			const { type } = JSON.parse(body) as { type: string };
			const request = {
				to: new URL(url).hostname.replace(".example.com", ""),
				event: Number(id.split("_").at(-1)),
				id,
				type,
				atMs: now,
				secrets,
			};
			made.requests.push(request);
			made.atOnceMax = Math.max(made.atOnceMax, ++atOnce);
			// As a request does, it lets others go on.
			await new Promise((done) => setTimeout(done));
			try {
				return await answer(request);
			} finally {
				atOnce--;
			}
		},
	};
	return made;
}

export const deliverAt = (nowMs: number, notifier: Notifier, on: Database = db): Promise<void> =>
	deliver({ db: on, notifier, realNow: () => nowMs });

/** `shop/7`: event 7 to the shop. */
export const sentOf = ({ requests }: Receivers): string[] => requests.map(({ to, event }) => `${to}/${event}`);

export interface DeliveryRow {
	readonly event: number;
	readonly status: string;
	readonly attempts: number;
	readonly due_at_ms: number;
	readonly error: string | null;
	readonly settled_at_ms: number | null;
}

export async function deliveriesOf({ id }: { readonly id: string }): Promise<DeliveryRow[]> {
	const { results } = await env.DB.prepare("SELECT * FROM webhook_deliveries WHERE webhook = ? ORDER BY event").bind(id).all<DeliveryRow>();
	return results;
}

export async function forgetAll(): Promise<void> {
	await env.DB.batch(["webhooks", "webhook_deliveries", "outbox", "rollbacks"].map((table) => env.DB.prepare(`DELETE FROM ${table}`)));
}

/** A database whose writes of that table's rows fail so many times. */
export function dbFailing(sqlPart: string, times: number): Database {
	let left = times;
	const isHit = (text: string): boolean => text.includes(sqlPart) && left-- > 0;
	const fail = (): Promise<never> => Promise.reject(new Error("D1_ERROR: Network connection lost."));
	const wrapped = (statement: D1PreparedStatement, text: string): D1PreparedStatement =>
		new Proxy(statement, {
			get(target, property) {
				const found = Reflect.get(target, property) as unknown;
				if (property === "bind") return (...values: unknown[]) => wrapped(target.bind(...values), text);
				if (["run", "all", "raw", "first"].includes(String(property)) && typeof found === "function")
					return (...given: unknown[]) => (isHit(text) ? fail() : (found as (...all: unknown[]) => unknown).apply(target, given));
				return typeof found === "function" ? (found.bind(target) as unknown) : found;
			},
		});
	return open(
		new Proxy(env.DB, {
			get(target, property) {
				if (property === "prepare") return (text: string) => wrapped(target.prepare(text), text);
				const found = Reflect.get(target, property) as unknown;
				return typeof found === "function" ? (found.bind(target) as unknown) : found;
			},
		}),
	);
}
