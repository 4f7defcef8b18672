import { createRoute, z } from "@hono/zod-openapi";
import { environmentName, flagKey } from "../../core/flags/model";
import { LISTED_MAX, listedKeys, segment, segmentInput, segmentPatch } from "../../core/flags/segment";
import { checkSegmentReferences } from "../store/references";
import {
	type StoredSegment,
	changeSegment,
	configOf,
	createSegment,
	deleteSegment,
	getListed,
	getSegment,
	listSegments,
} from "../store/segments";
import { actOf, body, json, publishBehind, reason, refusals, resource } from "./context";
import { isVersion } from "./ifMatch";
import { orRefuse, refuse } from "./refusals";

const stored = z.object({
	environment: environmentName,
	...segment.shape,
	version: z.int(),
	listed: z.int().describe("how many keys are listed"),
	updatedAtMs: z.int(),
});
const query = z.strictObject({ environment: environmentName });
const change = z.strictObject({ environment: environmentName, reason });
const params = z.object({ key: flagKey });
const ifMatch = z.object({ "if-match": z.string().optional().describe('the version that was read, as in "3"') });

export const segments = resource();

segments.openapi(
	createRoute({
		method: "get",
		path: "/",
		summary: "All segments of an environment",
		request: { query },
		responses: { 200: { description: "the segments, by key", ...json(z.object({ segments: z.array(stored) })) }, ...refusals(401, 422) },
	}),
	async (c) => c.json({ segments: (await listSegments(c.get("deps").db, c.req.valid("query").environment)).map(answer) }, 200),
);

segments.openapi(
	createRoute({
		method: "post",
		path: "/",
		summary: "Create a segment",
		request: { query: change, ...body(segmentInput) },
		responses: { 201: { description: "created", ...json(stored) }, ...refusals(400, 401, 409, 413, 415, 422) },
	}),
	async (c) => {
		const { db } = c.get("deps");
		const { environment, reason: why } = c.req.valid("query");
		const wanted = c.req.valid("json");
		const errors = await checkSegmentReferences(db, environment, wanted);
		if (errors.length > 0) refuse({ kind: "invalid", errors });
		const created = orRefuse(await createSegment(db, environment, wanted, actOf(c, why)));
		publishBehind(c);
		return c.json(answer(created), 201, etag(created));
	},
);

segments.openapi(
	createRoute({
		method: "get",
		path: "/{key}",
		summary: "One segment, without its listed keys",
		request: { params, query },
		responses: { 200: { description: "the segment; its version is the ETag", ...json(stored) }, ...refusals(401, 404, 422) },
	}),
	async (c) => {
		const found = await existing(c.get("deps").db, c.req.valid("query").environment, c.req.valid("param").key);
		return c.json(answer(found), 200, etag(found));
	},
);

segments.openapi(
	createRoute({
		method: "patch",
		path: "/{key}",
		summary: "Change a segment: the fields named are replaced",
		request: { params, query: change, headers: ifMatch, ...body(segmentPatch) },
		responses: { 200: { description: "changed", ...json(stored) }, ...refusals(400, 401, 404, 412, 413, 415, 422, 428) },
	}),
	async (c) => {
		const { db } = c.get("deps");
		const { environment, reason: why } = c.req.valid("query");
		const before = await versioned(db, environment, c.req.valid("param").key, c.req.valid("header")["if-match"]);
		const named = Object.fromEntries(Object.entries(c.req.valid("json")).filter(([, value]) => value !== undefined));
		const after = { ...configOf(before), ...named };
		const errors = await checkSegmentReferences(db, environment, after);
		if (errors.length > 0) refuse({ kind: "invalid", errors });
		const changed = orRefuse(await changeSegment(db, before, after, undefined, actOf(c, why)));
		publishBehind(c);
		return c.json(answer(changed), 200, etag(changed));
	},
);

segments.openapi(
	createRoute({
		method: "get",
		path: "/{key}/keys",
		summary: "The listed keys of a segment",
		request: { params, query },
		responses: { 200: { description: "the keys", ...json(z.object({ keys: z.array(z.string()) })) }, ...refusals(401, 404, 422) },
	}),
	async (c) => {
		const { environment, key } = await existing(c.get("deps").db, c.req.valid("query").environment, c.req.valid("param").key);
		return c.json({ keys: await getListed(c.get("deps").db, environment, key) }, 200);
	},
);

segments.openapi(
	createRoute({
		method: "put",
		path: "/{key}/keys",
		summary: `Replace the listed keys of a segment, at most ${LISTED_MAX}`,
		request: { params, query: change, headers: ifMatch, ...body(z.strictObject({ keys: listedKeys })) },
		responses: { 200: { description: "replaced", ...json(stored) }, ...refusals(400, 401, 404, 412, 413, 415, 422, 428) },
	}),
	async (c) => {
		const { db } = c.get("deps");
		const { environment, reason: why } = c.req.valid("query");
		const before = await versioned(db, environment, c.req.valid("param").key, c.req.valid("header")["if-match"]);
		const changed = orRefuse(await changeSegment(db, before, configOf(before), c.req.valid("json").keys, actOf(c, why)));
		publishBehind(c);
		return c.json(answer(changed), 200, etag(changed));
	},
);

segments.openapi(
	createRoute({
		method: "delete",
		path: "/{key}",
		summary: "Delete a segment that nothing names",
		request: { params, query: change, headers: ifMatch },
		responses: { 204: { description: "deleted" }, ...refusals(401, 404, 409, 412, 422, 428) },
	}),
	async (c) => {
		const { db } = c.get("deps");
		const { environment, reason: why } = c.req.valid("query");
		const before = await versioned(db, environment, c.req.valid("param").key, c.req.valid("header")["if-match"]);
		orRefuse(await deleteSegment(db, before, actOf(c, why)));
		publishBehind(c);
		return c.body(null, 204);
	},
);

type Db = Parameters<typeof getSegment>[0];

async function existing(db: Db, environment: string, key: string): Promise<StoredSegment> {
	return (await getSegment(db, environment, key)) ?? refuse({ kind: "segment_missing", key });
}

async function versioned(db: Db, environment: string, key: string, expected: string | undefined): Promise<StoredSegment> {
	const found = await existing(db, environment, key);
	if (expected === undefined) refuse({ kind: "version_required", current: found.version });
	if (!isVersion(expected, found.version)) refuse({ kind: "segment_mismatch", current: found.version });
	return found;
}

const answer = (found: StoredSegment) => found as z.infer<typeof stored>;
const etag = ({ version }: StoredSegment) => ({ etag: `"${version}"` });
