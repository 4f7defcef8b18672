import { createRoute, z } from "@hono/zod-openapi";
import { environmentName } from "../../core/flags/model";
import { sha256Hex } from "../sha256";
import { createKey, listKeys, revokeKey } from "../store/keys";
import { actOf, json, publishBehind, reason, refusals, resource } from "./context";
import { randomText } from "./randomText";
import { refuse } from "./refusals";

const key = z.object({
	id: z.string(),
	environment: z.string(),
	kind: z.enum(["server", "client"]),
	name: z.string(),
	createdAtMs: z.int(),
	revokedAtMs: z.int().nullable(),
});

export const keys = resource();

keys.openapi(
	createRoute({
		method: "post",
		path: "/",
		summary: "Create an SDK key; it is shown in this answer only",
		request: {
			query: z.strictObject({ reason }),
			body: {
				...json(
					z.strictObject({
						environment: environmentName,
						kind: z.enum(["server", "client"]).default("server").describe("client keys may be public: they open flags marked public only"),
						name: z.string().min(1).max(100),
					}),
				),
				required: true,
			},
		},
		responses: { 201: { description: "created", ...json(key.extend({ key: z.string() })) }, ...refusals(400, 401, 413, 415, 422) },
	}),
	async (c) => {
		const wanted = c.req.valid("json");
		const secret = `tg_${wanted.environment}_${randomText(24)}`;
		const row = await createKey(
			c.get("deps").db,
			{ id: randomText(9), ...wanted },
			await sha256Hex(secret),
			actOf(c, c.req.valid("query").reason),
		);
		publishBehind(c);
		return c.json({ ...row, key: secret }, 201);
	},
);

keys.openapi(
	createRoute({
		method: "get",
		path: "/",
		summary: "SDK keys, without their secrets",
		request: { query: z.strictObject({ environment: environmentName.optional() }) },
		responses: { 200: { description: "the keys", ...json(z.object({ keys: z.array(key) })) }, ...refusals(401, 422) },
	}),
	async (c) => c.json({ keys: await listKeys(c.get("deps").db, c.req.valid("query").environment) }, 200),
);

keys.openapi(
	createRoute({
		method: "delete",
		path: "/{id}",
		summary: "Revoke an SDK key: edges refuse it within 10 s",
		request: { params: z.object({ id: z.string().max(100) }), query: z.strictObject({ reason }) },
		responses: { 204: { description: "revoked" }, ...refusals(401, 404, 422) },
	}),
	async (c) => {
		const { id } = c.req.valid("param");
		if (!(await revokeKey(c.get("deps").db, id, actOf(c, c.req.valid("query").reason)))) refuse({ kind: "not_found", what: `key ${id}` });
		publishBehind(c);
		return c.body(null, 204);
	},
);
