import type { Context } from "hono";
import * as z from "zod";
import { environmentOfKey } from "../store/keys";
import { getDamaged } from "../store/rollouts";
import { accessOf } from "./access";
import type { ApiEnv } from "./context";
import { refuse } from "./refusals";

/** Refused, unless the caller's token is of that environment, or of all. */
function inReach(c: Context<ApiEnv>, environment: string): void {
	const { environment: own } = c.get("caller");
	if (own !== null && own !== environment) refuse({ kind: "forbidden", why: { reach: own, asked: environment } });
}

/**
 * Keeps a token of one environment there, whatever it asks for: every environment that the request names, as it was validated,
 * and those of the rollouts and keys that it names. A request that names none is refused, since it may be about any.
 */
export async function keepWithin(c: Context<ApiEnv>): Promise<void> {
	const { environment: own } = c.get("caller");
	const { reach } = accessOf(c.req.method, c.req.path);
	if (own === null || reach === "own") return;
	if (reach === "all") refuse({ kind: "forbidden", why: { reach: own, asked: null } });
	const asked = await environmentsIn(c, reach === "query");
	if (asked.length === 0) refuse({ kind: "forbidden", why: { reach: own, asked: undefined } });
	for (const environment of asked) inReach(c, environment);
}

const text = z.string().optional().catch(undefined);
const naming = z.object({ environment: text, to: text, rollout: text, id: text }).catch({});

/** What a request says of itself in one place, as it was validated; nothing of one that was refused before. */
const namedIn = (c: Context<ApiEnv>, target: "param" | "query" | "json") => naming.parse(c.req.valid(target as never));

/** The environment that the request is about, a promotion the one that it is into: its refusal calls it so. */
export function environmentNamed(c: Context<ApiEnv>): string | undefined {
	const json = namedIn(c, "json");
	return namedIn(c, "param").environment ?? namedIn(c, "query").environment ?? json.environment ?? json.to;
}

async function environmentsIn(c: Context<ApiEnv>, isByQuery: boolean): Promise<readonly string[]> {
	const { db } = c.get("deps");
	const [path, query, json] = [namedIn(c, "param"), namedIn(c, "query"), namedIn(c, "json")];
	if (isByQuery) return query.environment === undefined ? [] : [query.environment];
	const ids = [path, query, json].flatMap(({ rollout }) => rollout ?? []);
	const found = await Promise.all([subjectOf(c, path.id), ...ids.map(async (id) => (await getDamaged(db, id))?.environment)]);
	return [path.environment, query.environment, json.environment, ...found].filter((each) => each !== undefined);
}

/** Of the rollout or the key that the path names: it never changes. */
async function subjectOf(c: Context<ApiEnv>, id: string | undefined): Promise<string | undefined> {
	const { db } = c.get("deps");
	const [, , , resource] = c.req.path.split("/");
	if (id === undefined) return undefined;
	if (resource === "rollouts") return (await getDamaged(db, id))?.environment ?? refuse({ kind: "not_found", what: `rollout ${id}` });
	if (resource === "keys") return (await environmentOfKey(db, id)) ?? refuse({ kind: "not_found", what: `key ${id}` });
	return undefined;
}
