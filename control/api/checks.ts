import { createRoute, z } from "@hono/zod-openapi";
import { checkErrors, checkName, checks as checkList } from "../../core/checks/model";
import { summaryOf } from "../../core/checks/result";
import { environmentName, flagKey } from "../../core/flags/model";
import { metricsBy } from "../../core/metric";
import { runChecks } from "../checks/run";
import { listReports, putReport, reportStatus } from "../store/checkReports";
import { listMetrics } from "../store/metrics";
import { actOf, body, json, reason, refusals, resource } from "./context";
import { orRefuse, refuse } from "./refusals";

const result = z.object({
	name: z.string(),
	status: z.enum(["passed", "failed", "warning", "pending", "stale"]),
	critical: z.boolean(),
	message: z.string(),
	attempts: z.int().describe("0: nothing can be tried, it waits for a person"),
	durationMs: z.int(),
	atMs: z.int().describe("0: never"),
});
const names = z.array(z.string()).readonly();
/** What checks found, as operators and pipelines read it. */
export const checkSummary = z.object({
	passed: names,
	failed: names.describe("critical ones; stale ones among them"),
	warnings: names.describe("what is wrong and not critical"),
	pending: names.describe("what is not known yet, or waits for a person"),
	can_deploy: z.boolean().describe("no critical check failed, is stale or pending"),
	execution_time_ms: z.int(),
	checks: z.array(result).readonly(),
});

const report = z.object({
	environment: z.string(),
	name: z.string(),
	status: reportStatus,
	detail: z.string(),
	actor: z.string(),
	atMs: z.int(),
});

export const checks = resource();

checks.openapi(
	createRoute({
		method: "get",
		path: "/reports",
		summary: "The newest result of each name that others have posted",
		request: { query: z.strictObject({ environment: environmentName }) },
		responses: { 200: { description: "the reports", ...json(z.object({ reports: z.array(report) })) }, ...refusals(401, 422) },
	}),
	async (c) => c.json({ reports: await listReports(c.get("deps").db, c.req.valid("query").environment) }, 200),
);

checks.openapi(
	createRoute({
		method: "put",
		path: "/reports/{name}",
		summary: "Post a result, as a pipeline its tests'; checks that are `reported` look at the newest",
		request: {
			params: z.object({ name: checkName }),
			query: z.strictObject({ environment: environmentName, reason }),
			...body(z.strictObject({ status: reportStatus, detail: z.string().max(2_000).default("") })),
		},
		responses: { 200: { description: "kept", ...json(report) }, ...refusals(400, 401, 409, 413, 415, 422) },
	}),
	async (c) => {
		const { environment, reason: why } = c.req.valid("query");
		const { name } = c.req.valid("param");
		return c.json(orRefuse(await putReport(c.get("deps").db, { environment, name, ...c.req.valid("json") }, actOf(c, why))), 200);
	},
);

checks.openapi(
	createRoute({
		method: "post",
		path: "/run",
		summary: "Make checks now, side by side, within 5 minutes; nothing is stored",
		request: body(
			z.strictObject({
				environment: environmentName,
				checks: checkList,
				flags: z.array(flagKey).max(50).default([]).describe("whose hygiene is looked at"),
				rollout: flagKey.optional(),
				phase: z.string().max(63).optional(),
				percent: z.number().min(0).max(100).default(0),
			}),
		),
		responses: { 200: { description: "what they found", ...json(checkSummary) }, ...refusals(400, 401, 413, 415, 422) },
	}),
	async (c) => {
		const { environment, checks: list, flags, rollout = null, phase = null, percent } = c.req.valid("json");
		const { db, realNow } = c.get("deps");
		const metrics = metricsBy(await listMetrics(db, environment));
		const errors = checkErrors(list, metrics, "/checks");
		if (errors.length > 0) refuse({ kind: "invalid", errors });
		const startedMs = realNow();
		const context = { environment, rollout, phase, percent, flags, metrics };
		const results = await runChecks(c.get("checks"), context, list, c.get("now"));
		return c.json(summaryOf(results, realNow() - startedMs), 200);
	},
);
