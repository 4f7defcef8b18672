import { createRoute, z } from "@hono/zod-openapi";
import { parseInstant } from "../../core/flags/instant";
import { environmentName, flagKey } from "../../core/flags/model";
import { checkProtection } from "../../core/gateway/check";
import { protection, protectionReplacement } from "../../core/gateway/model";
import {
	PROTECTIONS_MAX,
	type StoredProtection,
	deleteProtection,
	findProtection,
	listProtections,
	putProtection,
} from "../store/protections";
import { readWorld } from "../store/references";
import { actOf, body, json, publishBehind, reason, refusals, resource } from "./context";
import { orRefuse, refuse } from "./refusals";

const [shed, lockDown, isolate] = protection.options;
const kept = { environment: environmentName, untilMs: z.int(), updatedAtMs: z.int() };
const shown = z.discriminatedUnion("kind", [shed.extend(kept), lockDown.extend(kept), isolate.extend(kept)]);
const query = z.strictObject({ environment: environmentName });
const change = z.strictObject({ environment: environmentName, reason });
const params = z.object({ key: flagKey });
const damaged = z.array(z.string()).describe("keys of protections that cannot be read: put them again, or delete them");

export const protections = resource();

protections.openapi(
	createRoute({
		method: "get",
		path: "/",
		summary: "The protections that are in force",
		request: { query },
		responses: {
			200: { description: "the protections, by key", ...json(z.object({ protections: z.array(shown), damaged })) },
			...refusals(401, 422),
		},
	}),
	async (c) => {
		const found = await listProtections(c.get("deps").db, c.req.valid("query").environment, c.get("now"));
		return c.json({ protections: found.protections.map(answer), damaged: found.damaged }, 200);
	},
);

protections.openapi(
	createRoute({
		method: "put",
		path: "/{key}",
		summary: `Switch a protection on, or change it: it ends by itself, within 7 days. At most ${PROTECTIONS_MAX} an environment`,
		description: "Needs no version. Edges follow within 10 s.",
		request: { params, query: change, ...body(protectionReplacement) },
		responses: { 200: { description: "in force", ...json(shown) }, ...refusals(400, 401, 409, 413, 415, 422) },
	}),
	async (c) => {
		const { db } = c.get("deps");
		const { environment, reason: why } = c.req.valid("query");
		const { key } = c.req.valid("param");
		const given = c.req.valid("json");
		const wanted = { ...given, key };
		const { segments } = await readWorld(db, environment);
		const errors = checkProtection(wanted, parseInstant(wanted.until) ?? 0, new Set(segments.keys()), c.get("now"));
		if (given.key !== undefined && given.key !== key) errors.push({ pointer: "/key", message: `must be the path's, ${key}` });
		if (errors.length > 0) refuse({ kind: "invalid", errors });
		const put = orRefuse(await putProtection(db, environment, wanted, actOf(c, why)));
		publishBehind(c);
		return c.json(answer(put), 200);
	},
);

protections.openapi(
	createRoute({
		method: "delete",
		path: "/{key}",
		summary: "Lift a protection",
		request: { params, query: change },
		responses: { 204: { description: "lifted" }, ...refusals(401, 404, 422) },
	}),
	async (c) => {
		const { db } = c.get("deps");
		const { environment, reason: why } = c.req.valid("query");
		const { key } = c.req.valid("param");
		const before = (await findProtection(db, environment, key)) ?? refuse({ kind: "protection_missing", key });
		await deleteProtection(db, before, actOf(c, why));
		publishBehind(c);
		return c.body(null, 204);
	},
);

const answer = ({ environment, config, untilMs, updatedAtMs }: StoredProtection): z.infer<typeof shown> => ({
	...config,
	environment: environment as z.infer<typeof environmentName>,
	untilMs,
	updatedAtMs,
});
