import { createRoute, z } from "@hono/zod-openapi";
import { withDefaults } from "../../core/environmentSettings";
import { environmentName, flagKey } from "../../core/flags/model";
import { completePlan, plan, withPreset } from "../../core/rollouts/writtenPlan";
import { changedSince } from "../store/environments";
import { readChanged } from "../store/gateway";
import { routesWritten } from "../store/manyRoutes";
import { listMetrics } from "../store/metrics";
import { getSettings } from "../store/settings";
import { createRollout, listEvents, listRollouts } from "../store/rollouts";
import { checkedPlan, stepErrors } from "./checkedPlan";
import { plannedRouteErrors, plannedWrites } from "./checkedRoutes";
import { actOf, body, json, publishBehind, refusals, resource } from "./context";
import { refuse } from "./refusals";
import { damaged, detail, detailOf, existing, status, summary, summaryOf } from "./rolloutAnswers";

const params = z.object({ id: flagKey });

const statuses = z
	.string()
	.max(200)
	.describe("one status, or several with commas between them")
	.transform((text) => text.split(","))
	.pipe(z.array(status));

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
		description:
			"A plan's routes are written with it, all or nothing; where they are not there already as it has them, it takes an admin. One that is there and goes by no flag of the plan is not changed. Until the rollout is started they lead to the baseline.",
		request: body(plan),
		responses: { 201: { description: "created", ...json(detail) }, ...refusals(400, 401, 409, 413, 415, 422) },
	}),
	async (c) => {
		const { db } = c.get("deps");
		const given = c.req.valid("json");
		const written = Object.keys(await c.req.json<object>());
		const [own, { settings }] = await Promise.all([listMetrics(db, given.environment), getSettings(db, given.environment)]);
		const wanted = completePlan(withDefaults(withPreset(given), written, settings.defaults), own);
		if (!wanted.plan) return refuse({ kind: "invalid", errors: wanted.errors });
		const { environment } = wanted.plan;
		const read = await readChanged(db, environment);
		const routeErrors = await plannedRouteErrors(c, environment, wanted.routes);
		// Steps may go where webhooks may.
		const refused = stepErrors(wanted.plan, wanted.errors, (url) => c.get("notifier").refusal(url));
		await checkedPlan(db, wanted.plan, false, [...wanted.errors, ...routeErrors, ...refused]);
		const writes = await plannedWrites(c, db, environment, wanted.routes, wanted.plan.flags);
		const act = actOf(c);
		const beside =
			writes.length > 0 ? [changedSince(db, environment, read, act.atMs), ...routesWritten(db, environment, writes, read, act)] : [];
		const row = (await createRollout(db, wanted.plan, act, beside)) ?? refuse({ kind: "changed_meanwhile" });
		if (beside.length > 0) publishBehind(c);
		return c.json(await detailOf(db, row, c.get("now")), 201, { location: `/api/v1/rollouts/${row.id}` });
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
				status: statuses.optional(),
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
		return c.json(await detailOf(db, await existing(db, c.req.valid("param").id), c.get("now")), 200);
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
