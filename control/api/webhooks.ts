import { createRoute, z } from "@hono/zod-openapi";
import type { Context } from "hono";
import { environmentName } from "../../core/flags/model";
import { EVENTS, eventPattern } from "../../core/notify/events";
import { OVERLAP_MS, signing } from "../../core/notify/secrets";
import { isSuccess } from "../../core/notify/settle";
import { URL_CHARACTERS_MAX } from "../address";
import { bodyOf } from "../notify/message";
import { drawSecret } from "../notify/sign";
import { listDeliveries } from "../store/webhookDeliveries";
import {
	WEBHOOKS_MAX,
	auditTest,
	changeWebhook,
	configOf,
	createWebhook,
	deleteWebhook,
	listWebhooks,
	rotateSecret,
} from "../store/webhooks";
import { type ApiEnv, actOf, body, json, reason, refusals, resource } from "./context";
import { type ReadWebhook, delivery, existing, find, params, shownDelivery } from "./deliveries";
import { orRefuse, refuse } from "./refusals";

const ID_BYTES = 9;
const DELIVERIES_SHOWN = 50;

const config = z.strictObject({
	url: z.string().max(URL_CHARACTERS_MAX).describe("https, on the public Internet; shown and audited, so it should hold no secret"),
	events: z
		.array(eventPattern)
		.min(1)
		.max(20)
		.default(["*"])
		.describe(`a type, a family as in "rollout.*", or "*": ${Object.keys(EVENTS).join(", ")}`),
	environment: environmentName.nullable().default(null).describe("only what happens there; null: everything"),
	description: z.string().max(500).default(""),
});
const { url, events, environment, description } = config.shape;
const change = z.strictObject({
	url: url.optional(),
	events: events.unwrap().optional(),
	environment: environment.unwrap().optional(),
	description: description.unwrap().optional(),
	enabled: z.boolean().optional().describe("false: what it is owed becomes dead letters, and what happens meanwhile passes it by"),
});

const shown = z.object({
	id: z.string(),
	url: z.string(),
	events: z.array(z.string()),
	environment: z.string().nullable(),
	description: z.string(),
	disabled: z
		.object({ atMs: z.int(), by: z.enum(["operator", "gone"]) })
		.nullable()
		.describe("gone: it answered 410"),
	oldSecretsUntilMs: z.array(z.int()).describe("when secrets that were rotated away stop signing, in real time"),
	pending: z.int().describe("deliveries that are still tried"),
	deadLetters: z.int().describe("deliveries that were given up"),
	createdAtMs: z.int(),
	updatedAtMs: z.int(),
});
const withSecret = shown.extend({ secret: z.string().describe("whsec_…, shown in this answer only") });

const query = z.strictObject({ reason });

export const webhooks = resource();

webhooks.openapi(
	createRoute({
		method: "post",
		path: "/",
		summary: `Subscribe a URL to events, at most ${WEBHOOKS_MAX} of them; its secret is shown in this answer only`,
		request: { query, ...body(config) },
		responses: { 201: { description: "subscribed", ...json(withSecret) }, ...refusals(400, 401, 409, 413, 415, 422) },
	}),
	async (c) => {
		const wanted = c.req.valid("json");
		mayBeSentTo(c, wanted.url);
		const secret = drawSecret();
		const id = hex(crypto.getRandomValues(new Uint8Array(ID_BYTES)));
		const stored = orRefuse(await createWebhook(c.get("deps").db, { ...wanted, id }, secret, actOf(c, c.req.valid("query").reason)));
		return c.json({ ...answer({ stored, pending: 0, deadLetters: 0 }, c), secret }, 201);
	},
);

webhooks.openapi(
	createRoute({
		method: "get",
		path: "/",
		summary: "Subscribers, without their secrets",
		responses: {
			200: {
				description: "the subscribers",
				...json(
					z.object({ webhooks: z.array(shown), damaged: z.array(z.string()).describe("ids of those that cannot be read: delete them") }),
				),
			},
			...refusals(401),
		},
	}),
	async (c) => {
		const all = await listWebhooks(c.get("deps").db);
		const read = all.flatMap(({ stored, ...rest }) => (stored ? [answer({ stored, ...rest }, c)] : []));
		return c.json({ webhooks: read, damaged: all.filter(({ stored }) => !stored).map(({ id }) => id) }, 200);
	},
);

webhooks.openapi(
	createRoute({
		method: "get",
		path: "/{id}",
		summary: `One subscriber with its last ${DELIVERIES_SHOWN} deliveries`,
		request: { params },
		responses: {
			200: { description: "the subscriber", ...json(shown.extend({ deliveries: z.array(delivery) })) },
			...refusals(401, 404, 422),
		},
	}),
	async (c) => {
		const webhook = await existing(c);
		const deliveries = await listDeliveries(c.get("deps").db, webhook.stored.id, { limit: DELIVERIES_SHOWN });
		return c.json({ ...answer(webhook, c), deliveries: deliveries.map(shownDelivery) }, 200);
	},
);

webhooks.openapi(
	createRoute({
		method: "patch",
		path: "/{id}",
		summary: "Change a subscriber; what is not named stays",
		request: { params, query, ...body(change) },
		responses: { 200: { description: "changed", ...json(shown) }, ...refusals(400, 401, 404, 409, 413, 415, 422) },
	}),
	async (c) => {
		const { stored: before } = await existing(c);
		const { enabled, ...wanted } = c.req.valid("json");
		if (wanted.url !== undefined) mayBeSentTo(c, wanted.url);
		const given = Object.fromEntries(Object.entries(wanted).filter(([, value]) => value !== undefined));
		const off = enabled === false ? (before.disabled ?? { atMs: c.get("now"), by: "operator" as const }) : null;
		const after = { ...configOf(before), ...given, ...(enabled === undefined ? {} : { disabled: off }) };
		const { db, realNow } = c.get("deps");
		orRefuse(await changeWebhook(db, before, after, actOf(c, c.req.valid("query").reason), realNow()));
		return c.json(answer(await existing(c), c), 200);
	},
);

webhooks.openapi(
	createRoute({
		method: "delete",
		path: "/{id}",
		summary: "Unsubscribe, and forget what was owed",
		request: { params, query },
		responses: { 204: { description: "unsubscribed" }, ...refusals(401, 404, 409, 422) },
	}),
	async (c) => {
		orRefuse(await deleteWebhook(c.get("deps").db, await find(c), actOf(c, c.req.valid("query").reason)));
		return c.body(null, 204);
	},
);

webhooks.openapi(
	createRoute({
		method: "post",
		path: "/{id}/rotate",
		summary: `Give a subscriber a new secret; the old one signs too for ${OVERLAP_MS / 3_600_000} h`,
		request: { params, query },
		responses: { 200: { description: "rotated", ...json(withSecret) }, ...refusals(401, 404, 409, 422) },
	}),
	async (c) => {
		const { db, realNow } = c.get("deps");
		const { stored: before, ...rest } = await existing(c);
		const secret = drawSecret();
		const stored = orRefuse(await rotateSecret(db, before, secret, actOf(c, c.req.valid("query").reason), realNow()));
		return c.json({ ...answer({ ...rest, stored }, c), secret }, 200);
	},
);

webhooks.openapi(
	createRoute({
		method: "post",
		path: "/{id}/test",
		summary: "Send webhook.test now, once, and say what was answered",
		request: { params, query },
		responses: {
			200: {
				description: "what became of it",
				...json(
					z.object({
						id: z.string().describe("the header webhook-id"),
						delivered: z.boolean(),
						status: z.int().nullable().describe("null: no answer"),
						error: z.string().nullable(),
					}),
				),
			},
			...refusals(401, 404, 422),
		},
	}),
	async (c) => {
		const { db, realNow } = c.get("deps");
		const { stored } = await existing(c);
		const act = actOf(c, c.req.valid("query").reason);
		const id = `test_${hex(crypto.getRandomValues(new Uint8Array(ID_BYTES)))}`;
		const data = { webhook: stored.id, environment: stored.environment, description: stored.description };
		const recipient = { url: stored.url, secrets: signing(stored.secrets, realNow()).map(({ secret }) => secret) };
		const outcome = await c.get("notifier").send(recipient, { id, body: bodyOf("webhook.test", realNow(), data) }, realNow());
		const result = {
			id,
			delivered: isSuccess(outcome),
			status: outcome.kind === "answered" ? outcome.status : null,
			error: outcome.kind === "silent" ? outcome.error : isSuccess(outcome) ? null : `answered ${outcome.status}`,
		};
		await auditTest(db, stored.id, act, result);
		return c.json(result, 200);
	},
);

function mayBeSentTo(c: Context<ApiEnv>, text: string): void {
	const message = c.get("notifier").refusal(text);
	if (message !== undefined) refuse({ kind: "invalid", errors: [{ pointer: "/url", message }] });
}

function answer({ stored, pending, deadLetters }: ReadWebhook, c: Context<ApiEnv>): z.infer<typeof shown> {
	const { id, secrets, createdAtMs, updatedAtMs } = stored;
	const oldSecretsUntilMs = signing(secrets, c.get("deps").realNow()).flatMap(({ untilMs }) => untilMs ?? []);
	return { id, ...configOf(stored), oldSecretsUntilMs, pending, deadLetters, createdAtMs, updatedAtMs };
}

const hex = (bytes: Uint8Array): string => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
