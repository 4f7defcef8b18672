import { createRoute, z } from "@hono/zod-openapi";
import { environmentName, flagKey } from "../../core/flags/model";
import { sha256Hex } from "../sha256";
import { ADMIN, ROLES, TOKENS_MAX, createToken, listTokens, revokeToken } from "../store/tokens";
import { ENGINE } from "../tick/engine";
import { actOf, body, json, reason, refusals, resource } from "./context";
import { randomText } from "./randomText";
import { orRefuse, refuse } from "./refusals";

/** In the audit these are others. */
const TAKEN: readonly string[] = [ADMIN, ENGINE];

const name = flagKey.refine((given) => !TAKEN.includes(given), `${TAKEN.join(" and ")} are no names of tokens`);
const caller = z.object({
	name: z.string(),
	role: z.enum(ROLES).describe("a viewer reads; an operator changes flags and rollouts too; an admin does everything"),
	environment: z.string().nullable().describe("null: all"),
});
const shown = caller.extend({ createdAtMs: z.int(), revokedAtMs: z.int().nullable() });

/** Of the API, and who calls. */
export const tokens = resource();

tokens.openapi(
	createRoute({
		method: "get",
		path: "/me",
		summary: "Whose token this is, and what it may do",
		responses: { 200: { description: "the caller", ...json(caller) }, ...refusals(401) },
	}),
	(c) => c.json(c.get("caller"), 200),
);

tokens.openapi(
	createRoute({
		method: "get",
		path: "/tokens",
		summary: "API tokens, without their secrets; not the admin's, which is the secret ADMIN_TOKEN",
		responses: { 200: { description: "the tokens", ...json(z.object({ tokens: z.array(shown) })) }, ...refusals(401) },
	}),
	async (c) => c.json({ tokens: await listTokens(c.get("deps").db) }, 200),
);

tokens.openapi(
	createRoute({
		method: "post",
		path: "/tokens",
		summary: `Create an API token, at most ${TOKENS_MAX} of them; it is shown in this answer only`,
		request: {
			query: z.strictObject({ reason }),
			...body(
				z.strictObject({
					name: name.describe("who will act by it, as the audit has it; a revoked token's may be taken again"),
					role: caller.shape.role,
					environment: environmentName.nullable().default(null).describe("the only one that it is for; null: all"),
				}),
			),
		},
		responses: { 201: { description: "created", ...json(shown.extend({ token: z.string() })) }, ...refusals(400, 401, 409, 413, 415, 422) },
	}),
	async (c) => {
		const token = `tgc_${randomText(32)}`;
		const act = actOf(c, c.req.valid("query").reason);
		const row = orRefuse(await createToken(c.get("deps").db, c.req.valid("json"), await sha256Hex(token), act));
		return c.json({ ...row, token }, 201);
	},
);

tokens.openapi(
	createRoute({
		method: "delete",
		path: "/tokens/{name}",
		summary: "Revoke an API token: it is refused at once",
		request: { params: z.object({ name }), query: z.strictObject({ reason }) },
		responses: { 204: { description: "revoked" }, ...refusals(401, 404, 422) },
	}),
	async (c) => {
		const { name: of } = c.req.valid("param");
		if (!(await revokeToken(c.get("deps").db, of, actOf(c, c.req.valid("query").reason))))
			refuse({ kind: "not_found", what: `token ${of}` });
		return c.body(null, 204);
	},
);
