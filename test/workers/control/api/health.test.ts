import { createExecutionContext, waitOnExecutionContext } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { describe, expect, test, vi } from "vitest";
import { open as opened } from "../../../../control/store/database";
import type { HealthMetrics } from "../../../../control/api/healthMetrics";
import control from "../../../../control/index";
import { recordEnvironments } from "../../../../control/store/environmentChecks";
import { aDatabase as aStore, aPerformance, ask as answerOf, failing, found, never, refusedOf } from "./composed";
import { command, createFlag, createRollout, done, send, TOKEN } from "./harness";

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

describe("health metrics", () => {
	const METRICS = "/health/metrics";
	const nowMs = 1_800_000_000_000;
	const db = opened(env.DB);
	const finding = { level: "good", score: 80, levels: {}, worst: [], breaker: "closed", breakerUntilMs: null } as const;
	const rows = [
		aPerformance({ requests: 200, sum: 4 }),
		aPerformance({ metric: "fallback", requests: 50, sum: 5 }),
		aPerformance({ metric: "latency_ms", requests: 180, sum: 1, p50: 20, p95: 120, p99: 300 }),
		aPerformance({ flag: "checkout", variant: "true", requests: 1_000, sum: 1_000 }),
	];
	const none = { requests: 0, error_rate: null, fallback_rate: null, latency_p50_ms: null, latency_p95_ms: null, latency_p99_ms: null };
	const unknown = { ...none, requests: null };
	const metrics = (parts: Parameters<typeof found>[1] = {}) => found<HealthMetrics>(METRICS, { nowMs, realNowMs: nowMs, ...parts });
	const ticked = (agoMs: number) =>
		env.DB.prepare("UPDATE head SET guarded_at_ms = ?1, last_tick_ms = ?1")
			.bind(agoMs === 0 ? 0 : nowMs - agoMs)
			.run();
	const checked = async (production: object, staging: object, atMs = nowMs - 60_000) => {
		await env.DB.prepare("DELETE FROM environment_checks").run();
		await recordEnvironments(
			db,
			[
				["production", { ...finding, ...production }],
				["staging", { ...finding, ...staging }],
			],
			atMs,
		);
	};

	test("need a token", async () => {
		for (const authorization of ["", "Bearer wrong"])
			// oxlint-disable-next-line no-await-in-loop -- two requests
			expect((await send("GET", METRICS, { headers: { authorization } })).status).toBe(401);
		expect((await send("GET", METRICS)).status).toBe(200);
	});

	test("are unknown before the first tick, with no alert and nothing measured", async () => {
		await ticked(0);
		const each = {
			score: null,
			level: "unknown",
			atMs: null,
			alerts: { active: 0, critical: 0 },
			rollbacks: 0,
			metrics: { windowMs: 600_000, ...none },
		};
		expect(await metrics()).toEqual({
			score: null,
			level: "unknown",
			lastTickAgeMs: null,
			alerts: { active: 0, critical: 0 },
			rollbacks: 0,
			metrics: { windowMs: 600_000, ...none },
			environments: [
				{ environment: "production", ...each },
				{ environment: "staging", ...each },
			],
			unavailable: [],
		});
	});

	test("are the worst of the environments", async () => {
		await ticked(60_000);
		await checked({ level: "critical", score: 23 }, { level: "excellent", score: 95 });
		expect(await metrics()).toMatchObject({
			score: 23,
			level: "critical",
			lastTickAgeMs: 60_000,
			environments: [
				{ environment: "production", score: 23, level: "critical", atMs: nowMs - 60_000 },
				{ environment: "staging", score: 95, level: "excellent" },
			],
		});
		await checked({ level: "unknown", score: null }, {});
		expect(await metrics()).toMatchObject({ score: null, level: "unknown" });
		await checked({ level: "unknown", score: null }, { level: "critical", score: 20 });
		expect(await metrics()).toMatchObject({ score: 20, level: "critical" });
	});

	test("take nothing for known that was found before nobody looked any more", async () => {
		await ticked(900_000);
		await checked({}, {}, nowMs - 900_000);
		expect(await metrics()).toMatchObject({ score: null, level: "unknown", lastTickAgeMs: 900_000 });
		await ticked(60_000);
		await checked({}, {}, nowMs - 960_000);
		expect(await metrics()).toMatchObject({ score: null, level: "unknown", lastTickAgeMs: 60_000 });
		await checked({}, {});
		expect(await metrics()).toMatchObject({ score: 80, level: "good" });
	});

	test("count the alerts that hold, and those that somebody was paged for", async () => {
		const before = (await metrics()).alerts.active;
		const alerting = async (names: string) => {
			const { id } = await createRollout();
			await command(id, "start");
			await env.DB.prepare("UPDATE rollouts SET state = json_set(state, '$.watch.alerting', json(?)) WHERE id = ?").bind(names, id).run();
			return id;
		};
		await alerting('["no_data.warn","split_broken.page"]');
		const ended = await alerting('["source_error.page"]');
		const damaged = await alerting('["no_data.page"]');
		await command(ended, "roll_back");
		await env.DB.prepare("UPDATE rollouts SET state = '{' WHERE id = ?").bind(damaged).run();
		const { alerts, environments } = await metrics();
		expect([before, alerts]).toEqual([0, { active: 2, critical: 1 }]);
		expect(environments.map((each) => each.alerts)).toEqual([
			{ active: 2, critical: 1 },
			{ active: 0, critical: 0 },
		]);
		await command(damaged, "roll_back");
	});

	test("count the last hour's rollbacks, by the clock that stamps them", async () => {
		await env.DB.prepare("DELETE FROM rollout_events WHERE kind = 'roll_back'").run();
		const { id } = await createRollout();
		await command(id, "start");
		const at = Date.now();
		await command(id, "roll_back");
		const { rollbacks, environments } = await metrics({ nowMs: at });
		expect([rollbacks, environments.map((each) => each.rollbacks)]).toEqual([1, [1, 0]]);
		expect((await metrics({ nowMs: at + 2 * 3_600_000 })).rollbacks).toBe(0);
	});

	test("tell how it went in the last ten minutes of real time", async () => {
		const asked: unknown[] = [];
		const performance = async (environment: string, fromMs: number, toMs: number) => {
			asked.push([environment, fromMs, toMs]);
			return environment === "production"
				? rows
				: [aPerformance({ requests: 100, sum: 20 }), aPerformance({ metric: "latency_ms", p95: 150 })];
		};
		const { metrics: all, environments } = await metrics({ performance, nowMs: 5 });
		expect(asked).toEqual(["production", "staging"].map((environment) => [environment, nowMs - 600_000, nowMs]));
		expect(environments[0]?.metrics).toEqual({
			windowMs: 600_000,
			requests: 200,
			error_rate: 0.02,
			fallback_rate: 0.1,
			latency_p50_ms: 20,
			latency_p95_ms: 120,
			latency_p99_ms: 300,
		});
		expect(all).toMatchObject({ requests: 300, error_rate: 0.08, fallback_rate: 0.1, latency_p95_ms: 150 });
	});

	test.each([
		["fail", failing],
		["hang", never],
	])("are told without outcomes within 500 ms when these %s", { retry: 2 }, async (_, performance) => {
		const logged = vi.spyOn(console, "warn").mockImplementation(() => {});
		const startedAtMs = Date.now();
		const answer = await metrics({ performance });
		expect(Date.now() - startedAtMs).toBeLessThan(500);
		expect(answer).toMatchObject({ metrics: unknown, unavailable: ["metrics"], lastTickAgeMs: 60_000 });
		logged.mockRestore();
	});

	test.each([
		["fails", failing],
		["hangs", never],
	])("are 503 with what is known within 500 ms when the database %s", { retry: 2 }, async (_, end) => {
		const logged = vi.spyOn(console, "warn").mockImplementation(() => {});
		const parts = { db: aStore(end), nowMs, realNowMs: nowMs };
		const nothing = {
			score: null,
			level: "unknown",
			lastTickAgeMs: null,
			alerts: { active: null, critical: null },
			rollbacks: null,
			environments: [],
		};
		const startedAtMs = Date.now();
		const known = await answerOf(METRICS, { ...parts, performance: async (environment) => (environment === "staging" ? [] : rows) });
		expect(Date.now() - startedAtMs).toBeLessThan(500);
		expect(known).toMatchObject({
			status: 503,
			body: { ...nothing, metrics: { requests: 200, error_rate: 0.02 }, unavailable: ["state"] },
		});
		const againAtMs = Date.now();
		const unknownAll = await answerOf(METRICS, { ...parts, performance: end });
		expect(Date.now() - againAtMs).toBeLessThan(500);
		expect(unknownAll).toMatchObject({ status: 503, body: { ...nothing, metrics: unknown, unavailable: ["state", "metrics"] } });
		expect(JSON.stringify(unknownAll)).not.toContain("tg_production_key");
		logged.mockRestore();
	});

	test.each([
		["fails", failing],
		["hangs", never],
	])("are nobody's but the admin's, within 500 ms, while the database %s", { retry: 2 }, async (_, end) => {
		const startedAtMs = Date.now();
		const problem = await refusedOf(503, METRICS, { db: aStore(end), token: "perhaps-somebodys", performance: async () => rows });
		expect(Date.now() - startedAtMs).toBeLessThan(500);
		expect(problem.type).toBe("urn:tidegate:problem:unavailable");
	});
});
