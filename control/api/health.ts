import { Hono } from "hono";
import { nameOf } from "../log";
import { pendingEnvironments, readHead } from "../store/publication";
import { within } from "../within";
import type { ApiEnv } from "./context";
import { healthMetricsOf } from "./healthMetrics";

const DEADLINE_MS = 400;

/** Open to everybody, but for the metrics, and saying nothing that everybody may not know. */
export const health = new Hono<ApiEnv>();

health.get("/liveness", (c) => c.json({ status: "ok" }));

health.get("/readiness", async (c) => {
	const { db, realNow } = c.get("deps");
	const notReady = (reason: string) => c.json({ status: "not ready", reason }, 503);
	try {
		const [{ guardedAtMs }, pending] = await within(DEADLINE_MS, Promise.all([readHead(db), pendingEnvironments(db)]));
		if (!c.get("hasAdminToken"))
			return notReady("the secret ADMIN_TOKEN is not set: wrangler secret put ADMIN_TOKEN -c control/wrangler.toml");
		// null: no tick yet. Cron may take 15 minutes after the first deployment.
		return c.json({ status: "ready", lastTickAgeMs: guardedAtMs === 0 ? null : realNow() - guardedAtMs, pendingPublications: pending });
	} catch (error) {
		const isEmpty = nameOf(error).includes("no such table");
		return notReady(isEmpty ? "the database has no tables: apply the migrations" : "the database does not answer");
	}
});

/** Scores and alerts, for those with a token: app.ts asks for it. */
health.get("/metrics", async (c) => {
	const { db, realNow } = c.get("deps");
	const found = await healthMetricsOf(db, c.get("metrics"), c.get("now"), realNow());
	return c.json(found, found.unavailable.includes("state") ? 503 : 200);
});
