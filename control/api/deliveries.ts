import { createRoute, z } from "@hono/zod-openapi";
import type { Context } from "hono";
import { eventIn, messageId } from "../notify/message";
import { type Delivery, listDeliveries } from "../store/webhookDeliveries";
import { type FoundWebhook, type StoredWebhook, findWebhook, replay } from "../store/webhooks";
import { type ApiEnv, actOf, body, json, reason, refusals, resource } from "./context";
import { orRefuse, refuse } from "./refusals";

const PAGE_MAX = 500;

export const delivery = z.object({
	id: z.string().describe("the header webhook-id of all its attempts"),
	type: z.string(),
	subject: z.string().describe("what it is about: events of one subject are delivered in order"),
	atMs: z.int().describe("when it happened"),
	status: z.enum(["pending", "delivered", "dead"]),
	attempts: z.int(),
	nextAttemptAtMs: z.int().nullable().describe("null: none"),
	error: z.string().nullable().describe("what the last attempt failed with"),
	settledAtMs: z.int().nullable().describe("when it was delivered, or given up"),
});

export const params = z.object({ id: z.string().max(100) });
const query = z.strictObject({ reason });

export const deadLetters = resource();

deadLetters.openapi(
	createRoute({
		method: "get",
		path: "/{id}/dead-letters",
		summary: "Deliveries that were given up, newest first",
		request: {
			params,
			query: z.strictObject({
				before: z.string().max(100).optional().describe("the id of the last one of the page before"),
				limit: z.coerce.number().int().min(1).max(PAGE_MAX).default(100),
			}),
		},
		responses: {
			200: { description: "the dead letters", ...json(z.object({ deadLetters: z.array(delivery) })) },
			...refusals(401, 404, 422),
		},
	}),
	async (c) => {
		const { id } = await find(c);
		const { before, limit } = c.req.valid("query");
		const page = { status: "dead" as const, before: before === undefined ? undefined : numberOf(before, "/before"), limit };
		return c.json({ deadLetters: (await listDeliveries(c.get("deps").db, id, page)).map(shownDelivery) }, 200);
	},
);

deadLetters.openapi(
	createRoute({
		method: "post",
		path: "/{id}/dead-letters/replay",
		summary: "Try dead letters again, for another day: all of them, or those named",
		request: {
			params,
			query,
			...body(z.strictObject({ ids: z.array(z.string().max(100)).min(1).max(PAGE_MAX).optional().describe("left out: all of them") })),
		},
		responses: {
			200: { description: "how many", ...json(z.object({ replayed: z.int() })) },
			...refusals(400, 401, 404, 409, 413, 415, 422),
		},
	}),
	async (c) => {
		const { db, realNow } = c.get("deps");
		const { stored } = await existing(c);
		const chosen = c.req.valid("json").ids?.map((id, i) => numberOf(id, `/ids/${i}`));
		return c.json({ replayed: orRefuse(await replay(db, stored, chosen, actOf(c, c.req.valid("query").reason), realNow())) }, 200);
	},
);

type InPath = Context<ApiEnv, string, { out: { param: { id: string } } }>;

export async function find(c: InPath): Promise<FoundWebhook> {
	const { id } = c.req.valid("param");
	return (await findWebhook(c.get("deps").db, id)) ?? refuse({ kind: "not_found", what: `webhook ${id}` });
}

export interface ReadWebhook {
	readonly stored: StoredWebhook;
	readonly pending: number;
	readonly deadLetters: number;
}

export async function existing(c: InPath): Promise<ReadWebhook> {
	const { stored, ...rest } = await find(c);
	return { stored: stored ?? refuse({ kind: "webhook_damaged", id: rest.id }), pending: rest.pending, deadLetters: rest.deadLetters };
}

function numberOf(id: string, pointer: string): number {
	return eventIn(id) ?? refuse({ kind: "invalid", errors: [{ pointer, message: "takes a delivery's id, evt_…" }] });
}

export function shownDelivery({ event, dueAtMs, sinceMs: _sinceMs, ...rest }: Delivery): z.infer<typeof delivery> {
	return { id: messageId({ id: event, atMs: rest.atMs }), ...rest, nextAttemptAtMs: rest.status === "pending" ? dueAtMs : null };
}
