import { createRoute, z } from "@hono/zod-openapi";
import {
	type FieldError,
	type Flag,
	checkFlag,
	completeFlag,
	environmentName,
	flag,
	flagInput,
	flagKey,
	flagPatch,
} from "../../core/flags/model";
import { type StoredFlag, changeFlag, configOf, createFlag, deleteFlag, getFlag, getFlagVersion, listFlags } from "../store/flags";
import { damagedOr } from "../store/json";
import { checkFlagReferences } from "../store/references";
import { actOf, body, json, publishBehind, reason, refusals, resource } from "./context";
import { isVersion } from "./ifMatch";
import { orRefuse, refuse } from "./refusals";

export const stored = z.object({ environment: environmentName, ...flag.shape, version: z.int(), updatedAtMs: z.int() });
export const query = z.strictObject({ environment: environmentName });
export const change = z.strictObject({ environment: environmentName, reason });
const damaged = z.array(z.string()).describe("keys of flags that cannot be read: delete and create them again");
export const params = z.object({ key: flagKey });
export const ifMatch = z.object({ "if-match": z.string().optional().describe('the version that was read, as in "3"') });

export const flags = resource();

flags.openapi(
	createRoute({
		method: "get",
		path: "/",
		summary: "All flags of an environment",
		request: { query },
		responses: { 200: { description: "the flags, by key", ...json(z.object({ flags: z.array(stored), damaged })) }, ...refusals(401, 422) },
	}),
	async (c) => {
		const found = await listFlags(c.get("deps").db, c.req.valid("query").environment);
		return c.json({ flags: found.flags as z.infer<typeof stored>[], damaged: found.damaged }, 200);
	},
);

flags.openapi(
	createRoute({
		method: "post",
		path: "/",
		summary: "Create a flag",
		request: { query: change, ...body(flagInput) },
		responses: { 201: { description: "created", ...json(stored) }, ...refusals(400, 401, 409, 413, 415, 422) },
	}),
	async (c) => {
		const { environment } = c.req.valid("query");
		const complete = completeFlag(c.req.valid("json"));
		const errors = await flagErrors(c.get("deps").db, environment, complete);
		if (errors.length > 0) refuse({ kind: "invalid", errors });
		const created = orRefuse(await createFlag(c.get("deps").db, environment, complete, actOf(c, c.req.valid("query").reason)));
		publishBehind(c);
		return c.json(answer(created), 201, etag(created));
	},
);

flags.openapi(
	createRoute({
		method: "get",
		path: "/{key}",
		summary: "One flag",
		request: { params, query },
		responses: { 200: { description: "the flag; its version is the ETag", ...json(stored) }, ...refusals(401, 404, 422) },
	}),
	async (c) => {
		const found = await existing(c.get("deps").db, c.req.valid("query").environment, c.req.valid("param").key);
		return c.json(answer(found), 200, etag(found));
	},
);

flags.openapi(
	createRoute({
		method: "patch",
		path: "/{key}",
		summary: "Change a flag: the fields named are replaced",
		description:
			'Needs If-Match with the version that was read, except to kill: {"enabled": false} alone is taken at any time. A change after which nothing differs makes no new version.',
		request: { params, query: change, headers: ifMatch, ...body(flagPatch) },
		responses: { 200: { description: "changed", ...json(stored) }, ...refusals(400, 401, 404, 409, 412, 413, 415, 422, 428) },
	}),
	async (c) => {
		const { db, realNow } = c.get("deps");
		const patch = c.req.valid("json");
		if (Object.keys(patch).length === 0)
			refuse({ kind: "invalid", errors: [{ pointer: "", message: "name at least one field to change" }] });
		const isKill = patch.enabled === false && Object.keys(patch).length === 1;
		for (let tries = 0; ; tries++) {
			// oxlint-disable-next-line no-await-in-loop -- a kill that lost against another change is tried again on what that left
			const before = await existing(db, c.req.valid("query").environment, c.req.valid("param").key);
			const expected = c.req.valid("header")["if-match"];
			if (expected === undefined && !isKill) refuse({ kind: "version_required", current: before.version });
			if (expected !== undefined && !isVersion(expected, before.version)) refuse({ kind: "version_mismatch", current: before.version });
			const named = Object.fromEntries(Object.entries(patch).filter(([, value]) => value !== undefined));
			const after = { ...configOf(before), ...named };
			// A kill is taken even where what the flag names has gone.
			// oxlint-disable-next-line no-await-in-loop -- see above
			const errors = isKill ? [] : await flagErrors(db, c.req.valid("query").environment, after);
			if (errors.length > 0) refuse({ kind: "invalid", errors });
			// oxlint-disable-next-line no-await-in-loop -- see above
			const result = await changeFlag(db, before, after, actOf(c, c.req.valid("query").reason), realNow());
			if (!result.ok && isKill && expected === undefined && result.error.kind === "version_mismatch" && tries < 5) continue;
			const changed = orRefuse(result);
			publishBehind(c);
			return c.json(answer(changed), 200, etag(changed));
		}
	},
);

flags.openapi(
	createRoute({
		method: "delete",
		path: "/{key}",
		summary: "Delete a flag that no other flag requires",
		request: { params, query: change, headers: ifMatch },
		responses: { 204: { description: "deleted" }, ...refusals(401, 404, 409, 412, 422, 428) },
	}),
	async (c) => {
		const { db } = c.get("deps");
		const { environment } = c.req.valid("query");
		const { key } = c.req.valid("param");
		const version = (await getFlagVersion(db, environment, key)) ?? refuse({ kind: "flag_missing", key });
		const expected = c.req.valid("header")["if-match"];
		if (expected === undefined) refuse({ kind: "version_required", current: version });
		if (!isVersion(expected, version)) refuse({ kind: "version_mismatch", current: version });
		const found = await getFlag(db, environment, key).catch(damagedOr(undefined));
		const before = found?.version === version ? found : { environment, key, version };
		orRefuse(await deleteFlag(db, before, actOf(c, c.req.valid("query").reason)));
		publishBehind(c);
		return c.body(null, 204);
	},
);

export async function existing(db: Parameters<typeof getFlag>[0], environment: string, key: string): Promise<StoredFlag> {
	const found = await getFlag(db, environment, key).catch(damagedOr("damaged" as const));
	if (found === "damaged") refuse({ kind: "flag_damaged", key });
	return found ?? refuse({ kind: "flag_missing", key });
}

export const answer = (found: StoredFlag) => found as z.infer<typeof stored>;
export const etag = ({ version }: StoredFlag) => ({ etag: `"${version}"` });

export async function flagErrors(db: Parameters<typeof getFlag>[0], environment: string, wanted: Flag): Promise<readonly FieldError[]> {
	const own = checkFlag(wanted);
	return own.length > 0 ? own : checkFlagReferences(db, environment, wanted);
}
