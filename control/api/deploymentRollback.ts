import { createRoute, z } from "@hono/zod-openapi";
import { environmentName, flagKey } from "../../core/flags/model";
import { rollbackStatistics } from "../../core/rollouts/rollbackStatistics";
import { type Emergency, takeBack } from "../store/emergency";
import { type Place, listRollbackHistory, listTaken, rollbackRecord } from "../store/rollbackHistory";
import { ENGINE } from "../tick/engine";
import { actOf, body, json, publishBehind, refusals, resource } from "./context";
import { REPLAYED, idempotencyKey, keyedBy } from "./idempotency";
import { refuse } from "./refusals";

const KEYS_MAX = 1_000;
const DAY_MS = 86_400_000;
/** Enough for any statistics; more would be read for nothing. */
const TAKEN_MAX = 10_000;
const keys = z.array(flagKey).min(1).max(KEYS_MAX);

const emergency = z
	.strictObject({
		environment: environmentName.default("production"),
		flags: keys.optional().describe("the rollouts that hold these flags"),
		rollouts: keys.optional().describe("these rollouts"),
		all: z.literal(true).optional().describe("every live rollout of the environment"),
		kill: z.boolean().default(false).describe("with flags: they are switched off besides, in a rollout or not"),
		reason: z.string().trim().min(1).max(1_000).describe("kept in the audit"),
	})
	.superRefine(({ flags, rollouts, all, kill }, context) => {
		const given = [flags, rollouts, all].filter((each) => each !== undefined).length;
		if (given !== 1) context.addIssue({ code: "custom", path: [], message: "takes one of flags, rollouts and all: true" });
		if (kill && flags === undefined)
			context.addIssue({ code: "custom", path: ["kill"], message: "needs flags, by which it is told what to kill" });
	});

const outcome = z.object({
	environment: environmentName,
	rolledBack: z.array(z.string()).describe("rollouts that this call has ended"),
	killed: z.array(z.string()).describe("flags that this call has switched off"),
	notInRollout: z.array(z.string()).describe("flags that were named and are in no rollout"),
	unknown: z.array(z.string()).describe("what was named and is not in this environment"),
	headRevision: z.int().describe("an edge that has heard of it serves nobody what was taken back"),
	publishing: z.literal(true),
});

export const deploymentRollback = resource();

deploymentRollback.openapi(
	createRoute({
		method: "post",
		path: "/rollback/manual",
		summary: "Emergency: roll back everything, or what is named, in one transaction",
		description:
			"Served at the edge within 10 s of this answer. Sent again it takes back what is live then; within an hour under the same Idempotency-Key it changes nothing and answers as it did first, if it has ended anything or was to kill flags that are there. What cannot be read is rolled back too, what is scheduled is cancelled, drafts stay.",
		request: { headers: idempotencyKey, ...body(emergency) },
		responses: { 200: { description: "done", ...json(outcome) }, ...refusals(400, 401, 409, 413, 415, 422) },
	}),
	async (c) => {
		const { db, realNow } = c.get("deps");
		const { environment, flags, rollouts, kill, reason } = c.req.valid("json");
		const of: Emergency["of"] = flags ? { kind: "flags", keys: flags } : rollouts ? { kind: "rollouts", keys: rollouts } : { kind: "all" };
		const act = actOf(c, reason);
		const keyed = await keyedBy(c.req.valid("header")["idempotency-key"], c.req.valid("json"));
		const taken = (await takeBack(db, { environment, of, kill, keyed }, act, realNow())) ?? refuse({ kind: "changed_meanwhile" });
		const { rolledBack, killed, notInRollout, unknown, headRevision, earlierHash } = taken;
		const isRepeated = earlierHash !== undefined;
		if (isRepeated && earlierHash !== keyed?.hash) refuse({ kind: "idempotency_key_used", by: "rollback/manual" });
		if (!isRepeated) publishBehind(c);
		return c.json(
			{
				environment,
				rolledBack: [...rolledBack],
				killed: [...killed],
				notInRollout: [...notInRollout],
				unknown: [...unknown],
				headRevision,
				publishing: true as const,
			},
			200,
			isRepeated ? REPLAYED : {},
		);
	},
);

const durations = z.object({
	count: z.int(),
	meanMs: z.int().nullable(),
	p50Ms: z.int().nullable(),
	p95Ms: z.int().nullable(),
	maxMs: z.int().nullable(),
});

deploymentRollback.openapi(
	createRoute({
		method: "get",
		path: "/rollback/statistics",
		summary: "How the ways back of an environment went",
		request: {
			query: z.strictObject({
				environment: environmentName.default("production"),
				days: z.coerce.number().int().min(1).max(365).default(30).describe("the last so many"),
			}),
		},
		responses: {
			200: {
				description: `of the newest ${TAKEN_MAX}`,
				...json(
					z.object({
						environment: environmentName,
						days: z.int(),
						count: z.int(),
						automatic: z.int(),
						manual: z.int(),
						byTrigger: z.record(z.string(), z.int()),
						byStrategy: z.record(z.string(), z.int()),
						timeToDetect: durations.describe("from the begin of the phase to the decision"),
						timeToSafe: durations.describe("from the commit until every edge that serves had said that it has heard of it"),
						ended: z.int().describe("those that nobody follows any more"),
						verified: z.int().describe("of these: the edge is safe, the steps are done, the checks pass"),
						successShare: z.number().nullable().describe("verified of ended; null: none has ended"),
					}),
				),
			},
			...refusals(401, 422),
		},
	}),
	async (c) => {
		const { db, realNow } = c.get("deps");
		const { environment, days } = c.req.valid("query");
		const taken = await listTaken(db, environment, realNow() - days * DAY_MS, ENGINE, TAKEN_MAX);
		return c.json({ environment, days, ...rollbackStatistics(taken) }, 200);
	},
);

const PLACE = /^(\d{1,15})-(\d{1,9})-(.{1,63})$/;

deploymentRollback.openapi(
	createRoute({
		method: "get",
		path: "/rollback/history",
		summary: "The ways back that were taken, newest first, with what followed them",
		request: {
			query: z.strictObject({
				environment: environmentName.optional().describe("default: all"),
				after: z.string().regex(PLACE, "takes the `next` of the page before").optional(),
				limit: z.coerce.number().int().min(1).max(500).default(50),
			}),
		},
		responses: {
			200: {
				description: "a page",
				...json(
					z.object({
						rollbacks: z.array(rollbackRecord),
						next: z.string().nullable().describe("`after` of the next page; null: the last one"),
					}),
				),
			},
			...refusals(401, 422),
		},
	}),
	async (c) => {
		const { environment, after, limit } = c.req.valid("query");
		const rows = await listRollbackHistory(c.get("deps").db, environment, after === undefined ? undefined : placeIn(after), limit);
		const last = rows.length === limit ? rows.at(-1) : undefined;
		return c.json({ rollbacks: rows, next: last ? `${last.recordedAtMs}-${last.revision}-${last.rollout}` : null }, 200);
	},
);

function placeIn(text: string): Place | undefined {
	const [, recordedAtMs, revision, rollout] = PLACE.exec(text) ?? [];
	return rollout === undefined ? undefined : { recordedAtMs: Number(recordedAtMs), revision: Number(revision), rollout };
}
