import { createRoute, z } from "@hono/zod-openapi";
import { type FieldError, environmentName, flagKey } from "../../core/flags/model";
import { type Command, command, placeOf } from "../../core/rollouts/command";
import { candidateOf } from "../../core/rollouts/exposure";
import { type Plan, checkPlan, holdbackOf, plan, servedIn, signalKeysOf } from "../../core/rollouts/plan";
import { type RolloutState, isLive } from "../../core/rollouts/state";
import { minutesToProve } from "../../core/statistics/forecast";
import { BUCKETS } from "../../core/flags/bucket";
import type { MetricDefinition } from "../../core/metric";
import type { Act } from "../store/audit";
import type { Database } from "../store/database";
import { type StoredFlag, getFlags } from "../store/flags";
import {
	type StoredRollout,
	activeRolloutsOf,
	createRollout,
	getDamaged,
	getRollout,
	latestCheck,
	launchOf,
	listEvents,
	listRollouts,
} from "../store/rollouts";
import { commitChange, rollBackDamaged } from "../store/rolloutChanges";
import { damagedOr } from "../store/json";
import { listMetrics } from "../store/metrics";
import { getSegment } from "../store/segments";
import { actOf, body, json, publishBehind, reason, refusals, resource } from "./context";
import { orRefuse, refuse } from "./refusals";

const params = z.object({ id: flagKey });
const status = z.enum(["draft", "running", "paused", "rolled_back", "completed", "cancelled"]);

const summary = z.object({
	id: z.string(),
	environment: environmentName,
	name: z.string(),
	attempt: z.int(),
	flags: z.array(z.string()),
	status,
	phase: z.string().nullable().describe("the phase it is in, while it is live"),
	percent: z.number().describe("percent of users who are served the candidate, before any holdback"),
	holdback: z.number().describe("percent of users who stay on the baseline until completion"),
	revision: z.int(),
	createdAtMs: z.int(),
	startedAtMs: z.int().nullable(),
});
const damaged = z.array(z.string()).describe("ids of rollouts that cannot be read: roll them back");
const health = z.object({
	atMs: z.int(),
	decision: z.string(),
	reason: z.string(),
	message: z.string(),
	level: z.string(),
	score: z.int().nullable().describe("0 to 100; null: unknown"),
	percent: z.number(),
	judgement: z.unknown().describe("verdicts and evidence, with their arithmetic"),
});
export const detail = z.object({
	...summary.shape,
	plan: z.unknown().describe("as it was approved"),
	state: z.unknown(),
	health: health.nullable().describe("what the last tick found"),
	forecast: z
		.array(z.object({ riskRatio: z.number(), medianMinutes: z.number().nullable(), p80Minutes: z.number().nullable() }))
		.nullable()
		.describe("how long this phase would take to prove so much harm, at control's rate of harmed users; null: too early to tell"),
});
const event = z.object({
	rollout: z.string(),
	revision: z.int(),
	atMs: z.int(),
	recordedAtMs: z.int().describe("real time of the commit"),
	kind: z.string(),
	reason: z.string(),
	message: z.string(),
	actor: z.string(),
	correlationId: z.string(),
	before: z.unknown(),
	after: z.unknown(),
	evidence: z.unknown(),
});

export const rollouts = resource();

rollouts.openapi(
	createRoute({
		method: "post",
		path: "/",
		summary: "Create a rollout from a plan; it is a draft until it is started",
		request: body(plan),
		responses: { 201: { description: "created", ...json(detail) }, ...refusals(400, 401, 409, 413, 415, 422) },
	}),
	async (c) => {
		const { db } = c.get("deps");
		const given = c.req.valid("json");
		const wanted = completed(given, await listMetrics(db, given.environment));
		await checked(db, wanted, false);
		const row = await createRollout(db, wanted, actOf(c));
		return c.json(await detailOf(db, row), 201, { location: `/api/v1/rollouts/${row.id}` });
	},
);

rollouts.openapi(
	createRoute({
		method: "get",
		path: "/",
		summary: "Rollouts, newest first",
		request: {
			query: z.strictObject({
				environment: environmentName.optional(),
				status: status.optional(),
				limit: z.coerce.number().int().min(1).max(1_000).default(100),
			}),
		},
		responses: { 200: { description: "the rollouts", ...json(z.object({ rollouts: z.array(summary), damaged })) }, ...refusals(401, 422) },
	}),
	async (c) => {
		const { limit, ...filter } = c.req.valid("query");
		const { rows, corrupt } = await listRollouts(c.get("deps").db, filter, limit);
		return c.json({ rollouts: rows.map(summaryOf), damaged: [...corrupt] }, 200);
	},
);

rollouts.openapi(
	createRoute({
		method: "get",
		path: "/{id}",
		summary: "One rollout, with what the last tick found",
		request: { params },
		responses: { 200: { description: "the rollout", ...json(detail) }, ...refusals(401, 404, 422) },
	}),
	async (c) => {
		const { db } = c.get("deps");
		return c.json(await detailOf(db, await existing(db, c.req.valid("param").id)), 200);
	},
);

rollouts.openapi(
	createRoute({
		method: "get",
		path: "/{id}/events",
		summary: "Every change of a rollout's state, with its evidence",
		request: {
			params,
			query: z.strictObject({
				after: z.coerce.number().int().min(0).default(0).describe("a revision"),
				limit: z.coerce.number().int().min(1).max(500).default(100),
			}),
		},
		responses: {
			200: { description: "the events, oldest first", ...json(z.object({ events: z.array(event) })) },
			...refusals(401, 404, 422),
		},
	}),
	async (c) => {
		const { db } = c.get("deps");
		const { id } = await existing(db, c.req.valid("param").id);
		const { after, limit } = c.req.valid("query");
		return c.json({ events: await listEvents(db, id, after, limit) }, 200);
	},
);

rollouts.openapi(
	createRoute({
		method: "post",
		path: "/{id}/commands",
		summary: "Start, pause, resume, advance, roll back or cancel",
		description: "A rollback is served at the edge within 10 s of this answer: users go back to the baseline.",
		request: {
			params,
			...body(
				z.strictObject({
					command: z.enum(["start", "pause", "resume", "advance", "roll_back", "cancel"]),
					reason,
				}),
			),
		},
		responses: { 200: { description: "done", ...json(detail) }, ...refusals(400, 401, 404, 409, 413, 415, 422) },
	}),
	async (c) => {
		const { db, realNow } = c.get("deps");
		const given = c.req.valid("json");
		const { id } = c.req.valid("param");
		const act = actOf(c, given.reason);
		const isWayBack = given.command === "roll_back" || given.command === "cancel";
		for (let tries = 1; ; tries++) {
			// oxlint-disable-next-line no-await-in-loop -- a way back that lost against a tick is tried again on what that left
			const outcome = await carryOut(db, id, given.command, act, realNow());
			if (outcome === "lost" && isWayBack && tries < WAY_BACK_TRIES) continue;
			if (outcome === "lost") refuse({ kind: "changed_meanwhile" });
			publishBehind(c);
			return c.json(await detailAfter(db, id), 200);
		}
	},
);

/** Somebody else was faster each time: far more often than ticks and people can be. */
const WAY_BACK_TRIES = 6;

/** One try of a command: `lost` says that somebody else has changed the rollout first, and nothing was written. */
export async function carryOut(db: Database, id: string, kind: Command["kind"], act: Act, realNow: number): Promise<"done" | "lost"> {
	const row = await getRollout(db, id).catch(damagedOr(undefined));
	if (!row) return carryOutDamaged(db, id, kind, act, realNow);
	// What a person in need asked for twice, or a tick did first, is done.
	if (kind === "roll_back" && row.state.status === "rolled_back") return "done";
	const launch = kind === "start" ? await launchOf(db, row, act.atMs) : 1;
	const change = orRefuse(command(row.plan, row.state, { kind, by: act.actor, reason: act.reason, launch }, act.atMs));
	const flags =
		change.kind === "start"
			? await checked(db, row.plan, true)
			: change.kind === "complete"
				? await getFlags(db, row.environment, row.plan.flags)
				: [];
	const isCommitted = await commitChange(db, {
		row,
		change,
		act,
		realNow,
		evidence: isLive(row.state) ? { health: (await latestCheck(db, row.id)) ?? null } : null,
		flags,
		candidate: candidateOf(row.plan),
	});
	if (isCommitted) return "done";
	const [active] = kind === "start" ? await activeRolloutsOf(db, row.environment, row.plan.flags) : [];
	if (active && active.rollout !== row.id) refuse({ kind: "flag_active", flag: active.flag, rollout: active.rollout });
	return "lost";
}

/** A row that nobody can read can still be rolled back; everything else needs it whole. */
async function carryOutDamaged(db: Database, id: string, kind: Command["kind"], act: Act, realNow: number): Promise<"done" | "lost"> {
	const row = (await getDamaged(db, id)) ?? refuse({ kind: "not_found", what: `rollout ${id}` });
	if (row.status === "rolled_back" && kind === "roll_back") return "done";
	const isLiveRow = row.status === "running" || row.status === "paused";
	if (!isLiveRow || (kind !== "roll_back" && kind !== "cancel")) refuse({ kind: "rollout_damaged", id });
	return (await rollBackDamaged(db, row, act, realNow)) ? "done" : "lost";
}

/** With the definitions of its own metrics, and no others: so it means the same for ever. */
function completed(given: z.infer<typeof plan>, own: readonly MetricDefinition[]): Plan {
	const all: Plan = { ...given, metrics: [...own] };
	if (checkPlan(all).length > 0) return all;
	const named = new Set(signalKeysOf(all).map(({ metric }) => metric));
	return { ...given, metrics: own.filter(({ key }) => named.has(key)) };
}

/** The plan against the flags as they are now; refused with every reason at once. */
async function checked(db: Database, wanted: Plan, isStart: boolean): Promise<readonly StoredFlag[]> {
	const errors: FieldError[] = [...checkPlan(wanted)];
	if (isStart && wanted.metrics.length > 0) {
		const now = await listMetrics(db, wanted.environment);
		for (const { key, kind } of wanted.metrics)
			if (now.find((each) => each.key === key)?.kind !== kind)
				errors.push({
					pointer: "/metrics",
					message: `${key} is no ${kind} any more: edges read its events otherwise, so create the plan again`,
				});
	}
	const flags = await getFlags(db, wanted.environment, wanted.flags);
	const candidate = candidateOf(wanted);
	wanted.flags.forEach((key, i) => {
		const flag = flags.find((each) => each.key === key);
		const pointer = `/flags/${i}`;
		if (!flag) errors.push({ pointer, message: `there is no flag ${key} in ${wanted.environment}` });
		else if (!Object.hasOwn(flag.variants, candidate))
			errors.push({
				pointer: "/candidate",
				message: `flag ${key} has no variant "${candidate}": it has ${Object.keys(flag.variants).join(", ")}`,
			});
		else if (typeof flag.fallthrough !== "string")
			errors.push({ pointer, message: `flag ${key} splits its fallthrough: a rollout needs one variant as its baseline` });
		else if (isStart && !flag.enabled)
			errors.push({ pointer, message: `flag ${key} is killed, so nobody would be served the candidate: set enabled to true first` });
		else if (flag.fallthrough === candidate)
			errors.push({ pointer: "/candidate", message: `flag ${key} serves "${candidate}" to everybody already` });
	});
	const [first] = flags;
	const others = flags.filter(({ bucketBy }) => bucketBy !== first?.bucketBy);
	for (const { key, bucketBy } of others)
		errors.push({
			pointer: "/flags",
			message: `flag ${key} buckets by ${bucketBy}, ${first?.key ?? ""} by ${first?.bucketBy ?? ""}: one rollout has one cohort`,
		});
	for (const [i, segment] of wanted.exclude.segments.entries())
		// oxlint-disable-next-line no-await-in-loop -- 20 at most
		if (!(await getSegment(db, wanted.environment, segment)))
			errors.push({ pointer: `/exclude/segments/${i}`, message: `there is no segment ${segment} in ${wanted.environment}` });
	if (errors.length > 0) refuse({ kind: "invalid", errors });
	const [active] = await activeRolloutsOf(db, wanted.environment, wanted.flags);
	if (active) refuse({ kind: "flag_active", flag: active.flag, rollout: active.rollout });
	return flags;
}

async function existing(db: Database, id: string): Promise<StoredRollout> {
	const row = await getRollout(db, id).catch(damagedOr("damaged" as const));
	if (row === "damaged") refuse({ kind: "rollout_damaged", id });
	return row ?? refuse({ kind: "not_found", what: `rollout ${id}` });
}

/** What a way back has made of a rollout; of one that cannot be read, what is left. */
export async function detailAfter(db: Database, id: string) {
	const row = await getRollout(db, id).catch(damagedOr(undefined));
	if (row) return detailOf(db, row);
	const left = (await getDamaged(db, id)) ?? refuse({ kind: "not_found", what: `rollout ${id}` });
	const { data: knownStatus = "rolled_back" as const } = status.safeParse(left.status);
	const { data: environment = "production" as const } = environmentName.safeParse(left.environment);
	const { name, attempt, revision, createdAtMs, startedAtMs } = left;
	const place = { flags: [], status: knownStatus, phase: null, percent: 0, holdback: 0 };
	return {
		id,
		environment,
		name,
		attempt,
		revision,
		createdAtMs,
		startedAtMs,
		...place,
		plan: null,
		state: null,
		health: null,
		forecast: null,
	};
}

function summaryOf(row: StoredRollout) {
	return {
		id: row.id,
		environment: row.plan.environment,
		name: row.name,
		attempt: row.attempt,
		flags: row.plan.flags,
		status: row.state.status,
		...placeOf(row.plan, row.state),
		holdback: holdbackOf(row.plan),
		revision: row.revision,
		createdAtMs: row.createdAtMs,
		startedAtMs: row.startedAtMs,
	};
}

async function detailOf(db: Database, row: StoredRollout) {
	const check = (await latestCheck(db, row.id)) ?? null;
	return {
		...summaryOf(row),
		plan: row.plan as unknown,
		state: withoutEvidence(row.state),
		health: check,
		forecast: forecastOf(row),
	};
}

const FORECAST_RATIOS = [1.5, 2, 3, 10];

/** From the first harms that this phase's guards have counted so far. */
function forecastOf({ plan: of, state }: StoredRollout) {
	if (!isLive(state)) return null;
	const { heldMs, guards } = state.watch;
	const harmed = Math.max(0, ...guards.map((guard) => guard.units - guard.harmed));
	const share = servedIn(of, state.phase) / BUCKETS;
	if (heldMs === 0 || harmed === 0 || share === 0 || share === 1) return null;
	const controlHarmsPerMinute = harmed / (heldMs / 60_000);
	const alpha = state.alpha / guards.length;
	return FORECAST_RATIOS.map((riskRatio) => {
		const { medianMinutes, p80Minutes } = minutesToProve({ share, riskRatio, controlHarmsPerMinute, alpha });
		return { riskRatio, medianMinutes: Math.ceil(medianMinutes), p80Minutes: Math.ceil(p80Minutes) };
	});
}

/** The running tests' inner numbers are for replays; events have them. */
function withoutEvidence(state: RolloutState): unknown {
	if (!isLive(state)) return state;
	const { guards: _guards, exposures: _exposures, ...watch } = state.watch;
	return { ...state, watch };
}
