import { createRoute, z } from "@hono/zod-openapi";
import { environmentName, flag, flagKey } from "../../core/flags/model";
import { placeOf } from "../../core/rollouts/command";
import { nextOf } from "../../core/rollouts/next";
import { isLive } from "../../core/rollouts/state";
import { isSpread } from "../../core/wire";
import type { Database } from "../store/database";
import { servingEdges } from "../store/edges";
import { countFlags, holderOf, holdersIn, liveIn } from "../store/features";
import { configOf, getFlag, listFlags } from "../store/flags";
import { type HealthCheck, healthCheck, latestChecks, listChecks } from "../store/healthChecks";
import { damagedOr } from "../store/json";
import { readHead } from "../store/publication";
import { type StoredRollout, getRollout, rolloutByKey } from "../store/rollouts";
import { type Results, knownResults } from "../tick/check";
import { actOf, body, json, publishBehind, reason, refusals, resource } from "./context";
import { REPLAYED, idempotencyKey, keyedBy } from "./idempotency";
import { explained } from "./noData";
import { type Refusal, refuse } from "./refusals";
import { detail, detailAfter, next } from "./rolloutAnswers";
import { carryOut } from "./rolloutCommands";

const CHECKS_MAX = 1_000;

const environment = environmentName.default("production");
const query = z.strictObject({ environment });
const params = z.object({ key: flagKey });

const place = z.object({
	rollout: z.string(),
	status: z.string(),
	phase: z.string().nullable(),
	percent: z.number().describe("of users, before any holdback"),
	level: z.string().describe("what the last tick found; unknown: nothing yet"),
	score: z.int().nullable(),
});
const liveRollout = z.object({
	...place.shape,
	flags: z.array(z.string()),
	next,
});
const feature = z.object({ key: z.string(), type: z.string(), enabled: z.boolean(), rollout: place.nullable() });

export const deploymentFeatures = resource();

deploymentFeatures.openapi(
	createRoute({
		method: "get",
		path: "/status",
		summary: "What is under way: live rollouts, flags and edges of an environment",
		request: { query },
		responses: {
			200: {
				description: "the deployment's status",
				...json(
					z.object({
						environment: environmentName,
						rollouts: z.array(liveRollout),
						damaged: z.array(z.string()).describe("rollouts that cannot be read: roll them back"),
						flags: z.object({ total: z.int(), enabled: z.int(), disabled: z.int(), damaged: z.int(), inRollout: z.int() }),
						edges: z
							.object({
								isolates: z.int(),
								colos: z.int(),
								isSpread: z.boolean().describe("several edges serve, so what one isolate does is no news of all"),
								behind: z.int().describe("isolates that have not said that they have heard of the newest head"),
								headRevision: z.int(),
								oldestRevision: z.int().nullable().describe("the oldest that one of them serves by; null: there are none"),
							})
							.describe("heard of within 2 minutes"),
					}),
				),
			},
			...refusals(401, 422),
		},
	}),
	async (c) => {
		const { db, realNow } = c.get("deps");
		const { environment: name } = c.req.valid("query");
		const [live, checks, flags, edges, { head }] = await Promise.all([
			liveIn(db, name),
			latestChecks(db, name, CHECKS_MAX),
			countFlags(db, name),
			servingEdges(db, realNow()),
			readHead(db),
		]);
		const results = await knownResults(db, live.rows);
		const colos = new Set(edges.map(({ colo }) => colo)).size;
		const oldestRevision = edges.length > 0 ? Math.min(...edges.map(({ revision }) => revision)) : null;
		const behind = edges.filter(({ revision }) => revision < head.revision).length;
		return c.json(
			{
				environment: name,
				rollouts: live.rows.map((row) => liveAnswer(row, checks, results, c.get("now"))),
				damaged: live.damaged,
				flags,
				edges: { isolates: edges.length, colos, isSpread: isSpread(edges), behind, headRevision: head.revision, oldestRevision },
			},
			200,
		);
	},
);

deploymentFeatures.openapi(
	createRoute({
		method: "get",
		path: "/features",
		summary: "All flags of an environment, with the rollout that moves them",
		request: { query },
		responses: {
			200: {
				description: "by key",
				...json(
					z.object({
						environment: environmentName,
						features: z.array(feature),
						damaged: z.array(z.string()).describe("keys of flags that cannot be read"),
					}),
				),
			},
			...refusals(401, 422),
		},
	}),
	async (c) => {
		const { db } = c.get("deps");
		const { environment: name } = c.req.valid("query");
		const [found, holders, live, checks] = await Promise.all([
			listFlags(db, name),
			holdersIn(db, name),
			liveIn(db, name),
			latestChecks(db, name, CHECKS_MAX),
		]);
		const features = found.flags.map(({ key, type, enabled }) => {
			const row = live.rows.find(({ id }) => id === holders.get(key));
			return { key, type, enabled, rollout: row ? placed(row, checks) : null };
		});
		return c.json({ environment: name, features, damaged: found.damaged }, 200);
	},
);

deploymentFeatures.openapi(
	createRoute({
		method: "get",
		path: "/features/{key}",
		summary: "One flag, with the rollout that moves it and what the last tick found",
		request: { params, query },
		responses: {
			200: {
				description: "the flag",
				...json(
					z.object({
						environment: environmentName,
						key: z.string(),
						version: z.int(),
						flag,
						rollout: liveRollout.nullable(),
						health: healthCheck.nullable().describe("what the last tick found of its rollout"),
					}),
				),
			},
			...refusals(401, 404, 422, 500),
		},
	}),
	async (c) => {
		const { db } = c.get("deps");
		const { environment: name } = c.req.valid("query");
		const { key } = c.req.valid("param");
		const found = (await getFlag(db, name, key).catch(damagedOr("damaged" as const))) ?? refuse({ kind: "flag_missing", key });
		if (found === "damaged") refuse({ kind: "flag_damaged", key });
		const row = await rolloutOf(db, name, key);
		const [checks, results] = row ? await Promise.all([listChecks(db, row.id, 1), knownResults(db, [row])]) : [[], new Map()];
		const rollout = row && isLive(row.state) ? liveAnswer(row, checks, results, c.get("now")) : null;
		const [check = null] = await explained(db, checks);
		const answer = { environment: name, key, version: found.version, rollout, health: check };
		return c.json({ ...answer, flag: configOf(found) }, 200);
	},
);

deploymentFeatures.openapi(
	createRoute({
		method: "post",
		path: "/features/{key}/advance-phase",
		summary: "The rollout that holds the flag goes on to its next phase now; after the last it completes",
		request: { params, query, headers: idempotencyKey, ...body(z.strictObject({ reason })) },
		responses: { 200: { description: "done", ...json(detail) }, ...refusals(400, 401, 404, 409, 413, 415, 422) },
	}),
	async (c) => {
		const { db, realNow } = c.get("deps");
		const { key } = c.req.valid("param");
		const { environment: name } = c.req.valid("query");
		const act = actOf(c, c.req.valid("json").reason);
		const wanted = { command: "advance" as const, reason: act.reason };
		const keyed = await keyedBy(c.req.valid("header")["idempotency-key"], wanted);
		// Read before the key is looked for: its twin may complete the rollout after that, and the flag be another's.
		const holder = await holderOf(db, name, key);
		const id = (keyed && (await rolloutByKey(db, name, key, keyed.key))) ?? holder ?? refuse(unheld(name, key));
		const outcome = await carryOut(db, id, wanted, { act, keyed, isAdmin: false }, realNow());
		if (outcome === "lost") refuse({ kind: "changed_meanwhile" });
		if (outcome === "done") publishBehind(c);
		return c.json(await detailAfter(db, id, act.atMs), 200, outcome === "repeated" ? REPLAYED : {});
	},
);

const unheld = (name: string, key: string): Refusal => ({ kind: "not_found", what: `rollout in ${name} that holds flag ${key}` });

async function rolloutOf(db: Database, name: string, key: string): Promise<StoredRollout | undefined> {
	const id = await holderOf(db, name, key);
	return id === undefined ? undefined : getRollout(db, id).catch(damagedOr(undefined));
}

function liveAnswer(row: StoredRollout, checks: readonly HealthCheck[], results: Results, now: number) {
	const { id, plan, state } = row;
	return { ...placed(row, checks), flags: plan.flags, next: nextOf(plan, state, results.get(id) ?? [], now) };
}

function placed(row: StoredRollout, checks: readonly HealthCheck[]) {
	const check = checks.find(({ rollout }) => rollout === row.id);
	const { level = "unknown", score = null } = check ?? {};
	return { rollout: row.id, status: row.state.status, ...placeOf(row.plan, row.state), level, score };
}
