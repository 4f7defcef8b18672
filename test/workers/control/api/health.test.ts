import { createExecutionContext, waitOnExecutionContext } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { expect, test, vi } from "vitest";
import control from "../../../../control/index";
import { createFlag, done, TOKEN } from "./harness";

type Bindings = Parameters<typeof control.fetch>[1];
const open = { headers: { authorization: "" } };

/** A request to a control whose bindings are not as they should be. */
async function ask(path: string, bindings: Partial<Bindings>): Promise<Response> {
	const context = createExecutionContext();
	const request = new Request<unknown, IncomingRequestCfProperties>(`https://control.example${path}`, {
		headers: { authorization: `Bearer ${TOKEN}` },
	});
	const response = await control.fetch(request, { ...env, ...bindings }, context);
	await waitOnExecutionContext(context);
	return response;
}

/** D1 whose every call ends as `end` does. */
function aDatabase(end: () => Promise<never>): D1Database {
	const statement = { bind: () => statement, all: end, raw: end, run: end, first: end };
	return { prepare: () => statement, batch: end, exec: end } as unknown as D1Database;
}
const broken = aDatabase(async () => {
	throw new Error("D1_ERROR: a secret, tg_production_key");
});
const empty = aDatabase(async () => {
	throw new Error("D1_ERROR: no such table: environments, tg_production_key");
});
const hanging = aDatabase(() => new Promise(() => {}));

test("alive whatever is down, without a token", async () => {
	expect(await done("GET", "/health/liveness", open)).toEqual({ status: "ok" });
	for (const DB of [broken, hanging]) {
		// oxlint-disable-next-line no-await-in-loop -- two requests
		const response = await ask("/health/liveness", { DB });
		// oxlint-disable-next-line no-await-in-loop -- see above
		expect([response.status, await response.json()]).toEqual([200, { status: "ok" }]);
	}
});

interface Readiness {
	readonly status: string;
	readonly lastTickAgeMs: number | null;
	readonly pendingPublications: readonly string[];
}
const readiness = () => done<Readiness>("GET", "/health/readiness", open);

test("ready with a database, without a token; no tick before the first", async () => {
	expect(await readiness()).toEqual({ status: "ready", lastTickAgeMs: null, pendingPublications: ["production", "staging"] });
});

test("tells how long ago the last tick was, and what is not published yet", async () => {
	await createFlag();
	await vi.waitFor(async () => expect((await readiness()).pendingPublications).toEqual([]), 5_000);
	await env.DB.prepare("UPDATE head SET guarded_at_ms = ?1")
		.bind(Date.now() - 90_000)
		.run();
	await env.DB.prepare("UPDATE environments SET changed = changed + 1 WHERE name = 'staging'").run();
	const { lastTickAgeMs, pendingPublications } = await readiness();
	expect(lastTickAgeMs).toBeGreaterThanOrEqual(90_000);
	expect(lastTickAgeMs).toBeLessThan(100_000);
	expect(pendingPublications).toEqual(["staging"]);
});

test.each([
	["fails", "the database does not answer", broken],
	["hangs", "the database does not answer", hanging],
	["is empty", "the database has no tables: apply the migrations", empty],
])("not ready within 500 ms when the database %s, and says nothing more", { retry: 2 }, async (_, reason, DB) => {
	const startedAtMs = Date.now();
	const response = await ask("/health/readiness", { DB });
	expect(Date.now() - startedAtMs).toBeLessThan(500);
	expect([response.status, await response.json()]).toEqual([503, { status: "not ready", reason }]);
});

test("the API without a database is a 500 that tells nothing but where to look", async () => {
	const logged = vi.spyOn(console, "warn").mockImplementation(() => {});
	const response = await ask("/api/v1/flags?environment=production", { DB: broken });
	const text = await response.text();
	expect([response.status, response.headers.get("content-type")]).toEqual([500, "application/problem+json"]);
	expect(text).not.toContain("tg_production_key");
	const correlationId = response.headers.get("x-correlation-id") ?? "";
	expect(correlationId).toMatch(/./);
	expect(String(logged.mock.calls[0]?.[0])).toContain(correlationId);
	logged.mockRestore();
});

test("without the secret ADMIN_TOKEN nobody is let in; alive, and not ready until it is set", async () => {
	for (const ADMIN_TOKEN of ["", undefined]) {
		const bindings = { ADMIN_TOKEN } as Partial<Bindings>;
		// oxlint-disable-next-line no-await-in-loop -- two requests
		expect((await ask("/api/v1/keys", bindings)).status).toBe(401);
		// oxlint-disable-next-line no-await-in-loop -- see above
		expect((await ask("/health/liveness", bindings)).status).toBe(200);
		// oxlint-disable-next-line no-await-in-loop -- see above
		const notReady = await ask("/health/readiness", bindings);
		// oxlint-disable-next-line no-await-in-loop -- see above
		expect([notReady.status, await notReady.text()]).toEqual([503, expect.stringContaining("wrangler secret put ADMIN_TOKEN")]);
	}
});

test("without DEV_CLOCK=1 the header moves no clock", async () => {
	const context = createExecutionContext();
	const init = {
		method: "POST",
		headers: { authorization: `Bearer ${TOKEN}`, "content-type": "application/json", "x-tidegate-now": "5" },
		body: '{"key":"real-time","type":"boolean"}',
	};
	const request = new Request<unknown, IncomingRequestCfProperties>("https://control.example/api/v1/flags?environment=production", init);
	const response = await control.fetch(request, { ...env, DEV_CLOCK: "" }, context);
	expect((await response.json<{ updatedAtMs: number }>()).updatedAtMs).toBeGreaterThan(1_000_000);
	await waitOnExecutionContext(context);
});
