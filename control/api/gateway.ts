import { createRoute, z } from "@hono/zod-openapi";
import type { Context } from "hono";
import type { FieldError } from "../../core/flags/model";
import { environmentName, flagKey } from "../../core/flags/model";
import { type Route, changesTwice, route, routeReplacement } from "../../core/gateway/model";
import type { Database } from "../store/database";
import {
	type FoundRoute,
	ROUTES_MAX,
	type StoredRoute,
	changeRoute,
	createRoute as addRoute,
	deleteRoute,
	findRoute,
	listRoutes,
	readChanged,
	stored,
} from "../store/gateway";
import { routesSizeRefusal, routesToWrite } from "../store/manyRoutes";
import { readWorld } from "../store/references";
import { routeErrors, variantsIn } from "./checkedRoutes";
import { type ApiEnv, actOf, body, json, publishBehind, reason, refusals, resource } from "./context";
import { isVersion } from "./ifMatch";
import { orRefuse, refuse } from "./refusals";

const warnings = z.array(z.string()).describe("what it does that may not be meant");
const shown = z.object({
	...route.shape,
	environment: environmentName,
	version: z.int().describe("grows with each change, and goes on where the key is created again"),
	updatedAtMs: z.int(),
	warnings,
});
const query = z.strictObject({ environment: environmentName });
const change = z.strictObject({ environment: environmentName, reason });
const params = z.object({ key: flagKey });
const ifMatch = z.object({ "if-match": z.string().optional().describe('the version that was read, as in "3"') });
const damaged = z.array(z.string()).describe("keys of routes that cannot be read: replace or delete them");

export const gateway = resource();

gateway.openapi(
	createRoute({
		method: "get",
		path: "/",
		summary: "All routes of an environment",
		request: { query },
		responses: {
			200: { description: "the routes, by key", ...json(z.object({ routes: z.array(shown), damaged })) },
			...refusals(401, 422),
		},
	}),
	async (c) => {
		const found = await listRoutes(c.get("deps").db, c.req.valid("query").environment);
		return c.json({ routes: found.routes.map(answer), damaged: found.damaged }, 200);
	},
);

gateway.openapi(
	createRoute({
		method: "post",
		path: "/",
		summary: `Create a route, at most ${ROUTES_MAX} an environment`,
		description: "Edges take requests of its host within 10 s.",
		request: { query: change, ...body(route) },
		responses: { 201: { description: "created; its version is the ETag", ...json(shown) }, ...refusals(400, 401, 409, 413, 415, 422) },
	}),
	async (c) => {
		const { db } = c.get("deps");
		const { environment, reason: why } = c.req.valid("query");
		const wanted = c.req.valid("json");
		const read = await checked(c, environment, wanted);
		const created = orRefuse(await addRoute(db, environment, wanted, read, actOf(c, why)));
		publishBehind(c);
		return c.json(answer(created), 201, etag(created));
	},
);

gateway.openapi(
	createRoute({
		method: "post",
		path: "/validate",
		summary: "Whether a route could be written; nothing is",
		description: "As creating it, or replacing the one of its key, would be refused.",
		request: { query, ...body(route) },
		responses: {
			200: { description: "it could be", ...json(z.object({ route, warnings })) },
			...refusals(400, 401, 409, 413, 415, 422),
		},
	}),
	async (c) => {
		const { db } = c.get("deps");
		const { environment } = c.req.valid("query");
		const wanted = c.req.valid("json");
		await checked(c, environment, wanted);
		const writes = orRefuse(await routesToWrite(db, environment, [wanted]));
		const tooLarge = await routesSizeRefusal(db, environment, writes);
		if (tooLarge) refuse(tooLarge);
		return c.json({ route: wanted, warnings: warningsOf(wanted) }, 200);
	},
);

gateway.openapi(
	createRoute({
		method: "get",
		path: "/{key}",
		summary: "One route",
		request: { params, query },
		responses: { 200: { description: "the route; its version is the ETag", ...json(shown) }, ...refusals(401, 404, 422) },
	}),
	async (c) => {
		const { key } = c.req.valid("param");
		const found = await existing(c.get("deps").db, c.req.valid("query").environment, key);
		const whole = stored(found) ?? refuse({ kind: "route_damaged", key });
		return c.json(answer(whole), 200, etag(found));
	},
);

gateway.openapi(
	createRoute({
		method: "put",
		path: "/{key}",
		summary: "Change a route: the whole of it is replaced",
		request: { params, query: change, headers: ifMatch, ...body(routeReplacement) },
		responses: { 200: { description: "changed", ...json(shown) }, ...refusals(400, 401, 404, 409, 412, 413, 415, 422, 428) },
	}),
	async (c) => {
		const { db } = c.get("deps");
		const { environment, reason: why } = c.req.valid("query");
		const { key } = c.req.valid("param");
		const given = c.req.valid("json");
		const after: Route = { ...given, key };
		const before = await versioned(db, environment, key, c.req.valid("header")["if-match"]);
		const own = given.key === undefined || given.key === key;
		const errors: FieldError[] = own ? [] : [{ pointer: "/key", message: `must be the path's, ${key}: a route keeps its key` }];
		const read = await checked(c, environment, after, errors);
		const changed = orRefuse(await changeRoute(db, before, after, read, actOf(c, why)));
		publishBehind(c);
		return c.json(answer(changed), 200, etag(changed));
	},
);

gateway.openapi(
	createRoute({
		method: "delete",
		path: "/{key}",
		summary: "Delete a route: with its last one a host is proxied no more",
		request: { params, query: change, headers: ifMatch },
		responses: { 204: { description: "deleted" }, ...refusals(401, 404, 409, 412, 422, 428) },
	}),
	async (c) => {
		const { db } = c.get("deps");
		const { environment, reason: why } = c.req.valid("query");
		const read = await readChanged(db, environment);
		const before = await versioned(db, environment, c.req.valid("param").key, c.req.valid("header")["if-match"]);
		orRefuse(await deleteRoute(db, before, read, actOf(c, why)));
		publishBehind(c);
		return c.body(null, 204);
	},
);

/** The environment's newest change, as the route was checked against it; refused with every reason at once. */
async function checked(c: Context<ApiEnv>, environment: string, wanted: Route, found: readonly FieldError[] = []): Promise<number> {
	const { db } = c.get("deps");
	const read = await readChanged(db, environment);
	const errors = [...found, ...routeErrors(c, wanted, variantsIn(await readWorld(db, environment)))];
	if (errors.length > 0) refuse({ kind: "invalid", errors });
	return read;
}

async function existing(db: Database, environment: string, key: string): Promise<FoundRoute> {
	return (await findRoute(db, environment, key)) ?? refuse({ kind: "route_missing", key });
}

async function versioned(db: Database, environment: string, key: string, expected: string | undefined): Promise<FoundRoute> {
	const found = await existing(db, environment, key);
	if (expected === undefined) refuse({ kind: "version_required", current: found.version });
	if (!isVersion(expected, found.version)) refuse({ kind: "route_mismatch", current: found.version });
	return found;
}

const answer = (found: StoredRoute): z.infer<typeof shown> => ({
	...found,
	environment: found.environment as z.infer<typeof environmentName>,
	warnings: warningsOf(found),
});

function warningsOf(of: Route): string[] {
	const twice = changesTwice(of);
	return twice.length > 0 ? [`shadow sends ${twice.join(", ")} twice: what they change is changed twice`] : [];
}

const etag = ({ version }: Pick<FoundRoute, "version">) => ({ etag: `"${version}"` });
