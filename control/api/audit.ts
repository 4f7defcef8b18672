import { createRoute, z } from "@hono/zod-openapi";
import { listAudit } from "../store/audit";
import { refusals, resource } from "./context";

const row = z.object({
	id: z.int(),
	atMs: z.int(),
	actor: z.string(),
	resource: z.string(),
	action: z.string(),
	reason: z.string(),
	correlationId: z.string(),
	before: z.unknown(),
	after: z.unknown(),
});

export const audit = resource();

audit.openapi(
	createRoute({
		method: "get",
		path: "/",
		summary: "Who changed what, when and why",
		request: {
			query: z.strictObject({
				resource: z.string().max(200).optional().describe("as in rollouts/checkout.1, flags/production/checkout, keys/<id>"),
				after: z.coerce.number().int().min(0).default(0).describe("the last id that was read"),
				order: z.enum(["asc", "desc"]).default("asc").describe("desc: the newest first"),
				limit: z.coerce.number().int().min(1).max(500).default(100),
			}),
		},
		responses: {
			200: { description: "the rows", content: { "application/json": { schema: z.object({ audit: z.array(row) }) } } },
			...refusals(401, 422),
		},
	}),
	async (c) => {
		const { resource: of, after, order, limit } = c.req.valid("query");
		return c.json({ audit: await listAudit(c.get("deps").db, of, after, order, limit) }, 200);
	},
);
