import { Hono } from "hono";
import { pendingEnvironments, readHead } from "../store/publication";
import type { ApiEnv } from "./context";

const DEADLINE_MS = 400;

/** Open to everybody, and saying nothing that everybody may not know. */
export const health = new Hono<ApiEnv>();

health.get("/liveness", (c) => c.json({ status: "ok" }));

health.get("/readiness", async (c) => {
	const { db, realNow } = c.get("deps");
	let timer: ReturnType<typeof setTimeout> | undefined;
	const late = new Promise<never>((_, reject) => {
		timer = setTimeout(() => reject(new Error("D1 did not answer in time")), DEADLINE_MS);
	});
	try {
		const [{ guardedAtMs }, pending] = await Promise.race([Promise.all([readHead(db), pendingEnvironments(db)]), late]);
		return c.json({ status: "ready", lastTickAgeMs: guardedAtMs === 0 ? null : realNow() - guardedAtMs, pendingPublications: pending });
	} catch {
		return c.json({ status: "unavailable", reason: "the database does not answer" }, 503);
	} finally {
		clearTimeout(timer);
	}
});
