import { createRoute, z } from "@hono/zod-openapi";
import { environmentName, flagKey } from "../../core/flags/model";
import { metricsBy } from "../../core/metric";
import { environmentCheck, listEnvironmentChecks } from "../store/environmentChecks";
import { healthCheck, latestChecks, listChecks } from "../store/healthChecks";
import { listMetrics } from "../store/metrics";
import { getDamaged } from "../store/rollouts";
import { log, nameOf } from "../log";
import { within } from "../within";
import { json, refusals, resource } from "./context";
import { report, reportOf } from "./deploymentReport";
import { status, statusOf } from "./deploymentStatus";
import { explained } from "./noData";
import { refuse } from "./refusals";

const HOUR_MS = 3_600_000;
const REPORT_MS = 10_000;

const environment = environmentName.default("production");

/** The operators' overview. */
export const deployment = resource();

deployment.openapi(
	createRoute({
		method: "get",
		path: "/health-checks",
		summary: "What the ticks found: an environment and its live rollouts, or one rollout",
		request: {
			query: z.strictObject({
				environment,
				rollout: flagKey.optional().describe("the checks of this one, live or not, and not the environment's"),
				limit: z.coerce.number().int().min(1).max(1_000).default(50).describe("of each list"),
			}),
		},
		responses: {
			200: {
				description: "newest first; kept for 30 days",
				...json(
					z.object({
						environment: environmentName,
						environmentChecks: z.array(environmentCheck).optional().describe("absent where one rollout was asked for"),
						rolloutChecks: z.array(healthCheck).describe("the last of each live rollout, or all of the one that was asked for"),
					}),
				),
			},
			...refusals(401, 404, 422),
		},
	}),
	async (c) => {
		const { db } = c.get("deps");
		const { environment: name, rollout, limit } = c.req.valid("query");
		if (rollout === undefined) {
			const [environmentChecks, rolloutChecks] = await Promise.all([listEnvironmentChecks(db, name, limit), latestChecks(db, name, limit)]);
			return c.json({ environment: name, environmentChecks, rolloutChecks: await explained(db, rolloutChecks) }, 200);
		}
		// Its checks can be read even where its own row cannot.
		const found = await getDamaged(db, rollout);
		if (found?.environment !== name) refuse({ kind: "not_found", what: `rollout ${rollout} in ${name}` });
		return c.json({ environment: name, rolloutChecks: await listChecks(db, rollout, limit) }, 200);
	},
);

deployment.openapi(
	createRoute({
		method: "get",
		path: "/performance-report",
		summary: "How it went: an environment's outcomes, by flag and variant",
		request: {
			query: z.strictObject({ environment, hours: z.coerce.number().int().min(1).max(168).default(24).describe("the last so many") }),
		},
		responses: {
			200: {
				description: "of what arrived in that time",
				...json(
					z.object({
						environment: environmentName,
						hours: z.int(),
						fromMs: z.int(),
						toMs: z.int(),
						...report.shape,
						note: z.string().nullable().describe("why there is nothing; null: there is something"),
					}),
				),
			},
			...refusals(401, 422, 503),
		},
	}),
	async (c) => {
		const { db, realNow } = c.get("deps");
		const { environment: name, hours } = c.req.valid("query");
		// By arrival, which has the real clock.
		const toMs = realNow();
		const fromMs = toMs - hours * HOUR_MS;
		const [own, rows] = await Promise.all([
			listMetrics(db, name),
			within(REPORT_MS, c.get("metrics").performance(name, fromMs, toMs)).catch(late),
		]);
		const made = reportOf(rows, metricsBy(own));
		const isEmpty = made.totals.events === 0 && made.flags.length === 0;
		const note = isEmpty
			? `nothing was measured in ${name} in the last ${hours} h: outcomes come in by POST /v1/events of the edge, and those of flags in a live rollout, or with "measured": true, are kept`
			: null;
		return c.json({ environment: name, hours, fromMs, toMs, ...made, note }, 200);
	},
);

deployment.openapi(
	createRoute({
		method: "get",
		path: "/system-status",
		summary: "How Tidegate itself is: its ticks, publications, rollouts, rollbacks and alerts, and what origins say of themselves",
		description: "A part that gives no answer in time says so, and the others are told.",
		request: { query: z.strictObject({ environment }) },
		responses: {
			200: { description: "the status", ...json(z.object({ environment: environmentName, ...status.shape })) },
			...refusals(401, 422),
		},
	}),
	async (c) => {
		const deps = c.get("deps");
		const { environment: name } = c.req.valid("query");
		return c.json(
			{ environment: name, ...(await statusOf(deps, c.get("metrics"), name, c.get("now"), deps.realNow(), c.get("caller").environment)) },
			200,
		);
	},
);

function late(error: unknown): never {
	log("performance_not_read", { error: nameOf(error) });
	return refuse({ kind: "unavailable", what: "the store of outcomes" });
}
