import { createRoute, z } from "@hono/zod-openapi";
import { environmentName } from "../../core/flags/model";
import { quantitiesOf } from "../../core/health/criteria";
import { STANDARD_METRICS, type MetricDefinition } from "../../core/metric";
import { metricDefinition, metricKey, metricReplacement, storedMetric } from "../../core/metricModel";
import {
	OWN_METRICS_MAX,
	type FoundMetric,
	type StoredMetric,
	changeMetric,
	createMetric,
	deleteMetric,
	findMetric,
	listStoredMetrics,
} from "../store/metrics";
import type { Database } from "../store/database";
import { actOf, body, json, publishBehind, reason, refusals, resource } from "./context";
import { orRefuse, refuse } from "./refusals";

const shown = z.object({
	...storedMetric.shape,
	environment: environmentName,
	standard: z.boolean().describe("there in every environment, and never changed"),
	quantities: z.array(z.string()).describe('what criteria say of it, as in "error_rate" and "latency_ms p95"'),
	updatedAtMs: z.int().nullable().describe("null: standard"),
});
type Shown = z.infer<typeof shown>;
const damaged = z.array(z.string()).describe("keys of metrics that cannot be read: replace or delete them");
const query = z.strictObject({ environment: environmentName });
const change = z.strictObject({ environment: environmentName, reason });
const params = z.object({ key: metricKey });

export const metrics = resource();

metrics.openapi(
	createRoute({
		method: "get",
		path: "/",
		summary: "All metrics of an environment, the standard ones first",
		request: { query },
		responses: { 200: { description: "the metrics", ...json(z.object({ metrics: z.array(shown), damaged })) }, ...refusals(401, 422) },
	}),
	async (c) => {
		const { environment } = c.req.valid("query");
		const own = await listStoredMetrics(c.get("deps").db, environment);
		const all = [...STANDARD_METRICS.map((each) => standard(each, environment)), ...own.metrics.map(answer)];
		return c.json({ metrics: all, damaged: own.damaged }, 200);
	},
);

metrics.openapi(
	createRoute({
		method: "post",
		path: "/",
		summary: `Define a metric, at most ${OWN_METRICS_MAX} an environment`,
		description: "Edges take events of it within 10 s.",
		request: { query: change, ...body(metricDefinition) },
		responses: { 201: { description: "defined", ...json(shown) }, ...refusals(400, 401, 409, 413, 415, 422) },
	}),
	async (c) => {
		const { environment, reason: why } = c.req.valid("query");
		const created = orRefuse(await createMetric(c.get("deps").db, environment, c.req.valid("json"), actOf(c, why)));
		publishBehind(c);
		return c.json(answer(created), 201);
	},
);

metrics.openapi(
	createRoute({
		method: "get",
		path: "/{key}",
		summary: "One metric",
		request: { params, query },
		responses: { 200: { description: "the metric", ...json(shown) }, ...refusals(401, 404, 422) },
	}),
	async (c) => {
		const { environment } = c.req.valid("query");
		const { key } = c.req.valid("param");
		const known = STANDARD_METRICS.find((each) => each.key === key);
		if (known) return c.json(standard(known, environment), 200);
		const { config, updatedAtMs } = await existing(c.get("deps").db, environment, key);
		return c.json(answer({ ...(config ?? refuse({ kind: "metric_damaged", key })), environment, updatedAtMs }), 200);
	},
);

metrics.openapi(
	createRoute({
		method: "put",
		path: "/{key}",
		summary: "Change a metric: the whole definition is replaced",
		description:
			"Rollouts keep the definitions that they were planned with; the kind, by which edges read events, stands still until they have ended.",
		request: { params, query: change, ...body(metricReplacement) },
		responses: { 200: { description: "changed", ...json(shown) }, ...refusals(400, 401, 404, 409, 413, 415, 422) },
	}),
	async (c) => {
		const { db } = c.get("deps");
		const { environment, reason: why } = c.req.valid("query");
		const { key } = c.req.valid("param");
		const given = c.req.valid("json");
		const after = { ...given, key: given.key ?? key };
		if (STANDARD_METRICS.some((each) => each.key === key)) refuse({ kind: "metric_standard", key });
		if (after.key !== key)
			refuse({ kind: "invalid", errors: [{ pointer: "/key", message: `must be the path's, ${key}: a metric keeps its key` }] });
		const changed = orRefuse(await changeMetric(db, await existing(db, environment, key), after, actOf(c, why)));
		publishBehind(c);
		return c.json(answer(changed), 200);
	},
);

metrics.openapi(
	createRoute({
		method: "delete",
		path: "/{key}",
		summary: "Delete a metric that no rollout looks at",
		request: { params, query: change },
		responses: { 204: { description: "deleted" }, ...refusals(401, 404, 409, 422) },
	}),
	async (c) => {
		const { db } = c.get("deps");
		const { environment, reason: why } = c.req.valid("query");
		const { key } = c.req.valid("param");
		if (STANDARD_METRICS.some((each) => each.key === key)) refuse({ kind: "metric_standard", key });
		orRefuse(await deleteMetric(db, await existing(db, environment, key), actOf(c, why)));
		publishBehind(c);
		return c.body(null, 204);
	},
);

async function existing(db: Database, environment: string, key: string): Promise<FoundMetric> {
	return (await findMetric(db, environment, key)) ?? refuse({ kind: "metric_missing", key });
}

const quantities = (definition: MetricDefinition): string[] => [...quantitiesOf(new Map([[definition.key, definition]])).keys()];
const answer = (found: StoredMetric): Shown => ({
	...found,
	environment: found.environment as Shown["environment"],
	standard: false,
	quantities: quantities(found),
});
const standard = (definition: MetricDefinition, environment: Shown["environment"]): Shown => ({
	...definition,
	environment,
	standard: true,
	quantities: quantities(definition),
	updatedAtMs: null,
});
