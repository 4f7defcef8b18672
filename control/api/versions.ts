import { createRoute, z } from "@hono/zod-openapi";
import { type Difference, diff } from "../../core/flags/diff";
import { environmentName, flag, flagKey } from "../../core/flags/model";
import type { Database } from "../store/database";
import { type StoredFlag, changeFlag, createFlag, getFlagVersion } from "../store/flags";
import { type FlagVersion, getVersion, listVersions } from "../store/versions";
import { actOf, body, json, publishBehind, refusals, resource } from "./context";
import { answer, change, etag, existing, flagErrors, ifMatch, params, query, stored } from "./flags";
import { isVersion } from "./ifMatch";
import { orRefuse, refuse } from "./refusals";

/** A flag's history, and the way back. */

export const difference = z.object({
	path: z.string().describe("JSON Pointer; rules and others that have names are named: /rules/beta/serve"),
	before: z.unknown().optional().describe("absent: there was nothing"),
	after: z.unknown().optional().describe("absent: there is nothing any more"),
});
const number = z
	.int()
	.min(1)
	.max(2 ** 31);
const version = z.object({
	version: z.int(),
	atMs: z.int(),
	actor: z.string(),
	reason: z.string(),
	state: z
		.enum(["kept", "deleted", "damaged"])
		.describe("deleted: the flag was deleted in this version; damaged: it cannot be read any more"),
});

export const versions = resource();

versions.openapi(
	createRoute({
		method: "get",
		path: "/{key}/versions",
		summary: "The history of a flag, newest first, each version with what it changed",
		request: {
			params,
			query: query.extend({
				before: z.coerce.number().pipe(number).optional().describe("the last version that was read"),
				limit: z.coerce.number().int().min(1).max(200).default(50),
			}),
		},
		responses: {
			200: {
				description: "the versions; `diff` is against the version before",
				...json(z.object({ versions: z.array(version.extend({ diff: z.array(difference) })) })),
			},
			...refusals(401, 404, 422),
		},
	}),
	async (c) => {
		const { db } = c.get("deps");
		const { key } = c.req.valid("param");
		const { environment, before, limit } = c.req.valid("query");
		const found = await listVersions(db, environment, key, before, limit + 1);
		if (found.length === 0 && !(await latest(db, environment, key))) refuse({ kind: "flag_missing", key });
		const shown = found.slice(0, limit).map((each, i) => ({ ...written(each), diff: [...changeOf(found[i + 1], each)] }));
		return c.json({ versions: shown }, 200);
	},
);

versions.openapi(
	createRoute({
		method: "get",
		path: "/{key}/versions/{version}",
		summary: "A flag as it was in a version",
		request: { params: params.extend({ version: z.coerce.number().pipe(number) }), query },
		responses: {
			200: {
				description: "the whole flag then; null where it was deleted",
				...json(version.extend({ environment: environmentName, key: flagKey, flag: flag.nullable() })),
			},
			...refusals(401, 404, 422),
		},
	}),
	async (c) => {
		const { key, version: wanted } = c.req.valid("param");
		const { environment } = c.req.valid("query");
		const found =
			(await getVersion(c.get("deps").db, environment, key, wanted)) ??
			refuse({ kind: "not_found", what: `version ${wanted} of flag ${key} in ${environment}` });
		return c.json({ environment, key, ...written(found), flag: found.flag }, 200);
	},
);

versions.openapi(
	createRoute({
		method: "post",
		path: "/{key}/restore",
		summary: "Make an earlier version of a flag the new one",
		description:
			"All of it, `enabled` too, checked as a change is. Needs If-Match with the version that was read; a flag that is deleted comes back without. One that is as it was then stays as it is, without a new version.",
		request: { params, query: change, headers: ifMatch, ...body(z.strictObject({ version: number })) },
		responses: { 200: { description: "restored", ...json(stored) }, ...refusals(400, 401, 404, 409, 412, 413, 415, 422, 428) },
	}),
	async (c) => {
		const { db, realNow } = c.get("deps");
		const { key } = c.req.valid("param");
		const { environment, reason } = c.req.valid("query");
		const expected = c.req.valid("header")["if-match"];
		const isThere = (await getFlagVersion(db, environment, key)) !== undefined;
		const before = isThere ? await existing(db, environment, key) : undefined;
		const last = before ?? (await latest(db, environment, key)) ?? refuse({ kind: "flag_missing", key });
		if (before && expected === undefined) refuse({ kind: "version_required", current: last.version });
		if (expected !== undefined && !isVersion(expected, last.version)) refuse({ kind: "version_mismatch", current: last.version });
		const { version: wanted } = c.req.valid("json");
		const found = await getVersion(db, environment, key, wanted);
		if (found?.state !== "kept")
			return refuse({ kind: "invalid", errors: [{ pointer: "/version", message: whyNot(wanted, found, last.version) }] });
		const errors = await flagErrors(db, environment, found.flag);
		if (errors.length > 0) refuse({ kind: "invalid", errors: errors.map((each) => ({ ...each, pointer: `/version${each.pointer}` })) });
		const act = actOf(c, reason);
		const restored: StoredFlag = orRefuse(
			before
				? await changeFlag(db, before, found.flag, act, realNow(), "flag.restored")
				: await createFlag(db, environment, found.flag, act, "flag.restored"),
		);
		publishBehind(c);
		return c.json(answer(restored), 200, etag(restored));
	},
);

async function latest(db: Database, environment: string, key: string): Promise<FlagVersion | undefined> {
	const [found] = await listVersions(db, environment, key, undefined, 1);
	return found;
}

function written({ version: number_, atMs, actor, reason, state }: FlagVersion) {
	return { version: number_, atMs, actor, reason, state };
}

/** What cannot be read is compared with nothing. */
function changeOf(before: FlagVersion | undefined, after: FlagVersion): readonly Difference[] {
	if (before?.state === "damaged" || after.state === "damaged") return [];
	return diff(before?.flag ?? undefined, after.flag ?? undefined);
}

function whyNot(wanted: number, found: FlagVersion | undefined, newest: number): string {
	if (!found) return `there is no version ${wanted}: the newest is ${newest}`;
	return found.state === "deleted"
		? `the flag was deleted in version ${wanted}: name one before`
		: `version ${wanted} cannot be read any more`;
}
