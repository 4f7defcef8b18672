import { env } from "cloudflare:workers";
import { describe, expect, test, vi } from "vitest";
import type { EnvironmentFinding } from "../../../../core/health/environment";
import type { Point } from "../../../../core/telemetry";
import { recordPoints } from "../../../../control/metrics/embedded";
import { recordSystem } from "../../../../control/metrics/embeddedSystem";
import { open } from "../../../../control/store/database";
import { type EnvironmentCheck, recordEnvironments } from "../../../../control/store/environmentChecks";
import type { HealthCheck } from "../../../../control/store/healthChecks";
import { aPerformance, aSystemSummary, ask, failing, found, never, refusedOf } from "./composed";
import { type RolloutBody, command, createRollout, done, newKey, refused } from "./harness";

const DEPLOYMENT = "/api/v1/deployment";
/** A round minute. */
const NOW_MS = 1_800_000_000_000;
const MINUTE_MS = 60_000;
const HOUR_MS = 3_600_000;
const db = open(env.DB);

async function running(): Promise<RolloutBody> {
	const { id } = await createRollout();
	return command(id, "start");
}

const aFinding = (change: Partial<EnvironmentFinding> = {}): EnvironmentFinding => ({
	level: "good",
	score: 80,
	levels: { good: 1 },
	worst: [],
	breaker: "closed",
	breakerUntilMs: null,
	...change,
});

const aVerdict = { role: "guard", criterion: "error_rate vs control <= +25%", status: "met", value: 0.02, message: "no harm" };
/** As a tick writes it. */
async function checked(rollout: string, atMs: number, change: Record<string, unknown> = {}): Promise<void> {
	const row = {
		level: "good",
		score: 80,
		judgement: { verdicts: [{ ...aVerdict, control: 0.01, provable: null }], harm: { e: 1 } },
		...change,
	};
	await env.DB.prepare(
		`INSERT INTO health_checks (rollout, at_ms, decision, reason, message, level, score, percent, judgement)
		VALUES (?, ?, 'hold', 'hold_not_served', '1m of 10m', ?, ?, 5, ?)`,
	)
		.bind(rollout, atMs, row.level, row.score, typeof row.judgement === "string" ? row.judgement : JSON.stringify(row.judgement))
		.run();
}

interface Checks {
	readonly environment: string;
	readonly environmentChecks?: readonly EnvironmentCheck[];
	readonly rolloutChecks: readonly HealthCheck[];
}

describe("health checks", () => {
	const CHECKS = `${DEPLOYMENT}/health-checks`;

	test("are empty lists before the first tick", async () => {
		expect(await done("GET", `${CHECKS}?environment=staging`)).toEqual({
			environment: "staging",
			environmentChecks: [],
			rolloutChecks: [],
		});
	});

	test("are the environment's, and the last of each live rollout, newest first, without the numbers behind them", async () => {
		const [one, two, ended] = [await running(), await running(), await running()];
		await command(ended.id, "roll_back");
		for (const i of [1, 2, 3]) {
			const atMs = NOW_MS + i * MINUTE_MS;
			// oxlint-disable-next-line no-await-in-loop -- few rows
			await recordEnvironments(
				db,
				[
					["production", aFinding({ score: 80 + i })],
					["staging", aFinding()],
				],
				atMs,
			);
			// oxlint-disable-next-line no-await-in-loop -- see above
			await Promise.all([
				checked(one.id, atMs),
				checked(two.id, atMs - 30_000, { level: "unknown", score: null, judgement: null }),
				checked(ended.id, atMs),
			]);
		}
		const body = await done<Checks>("GET", CHECKS);
		expect(body.environment).toBe("production");
		expect(body.environmentChecks).toEqual([3, 2, 1].map((i) => ({ atMs: NOW_MS + i * MINUTE_MS, ...aFinding({ score: 80 + i }) })));
		const newest = { decision: "hold", reason: "hold_not_served", message: "1m of 10m", percent: 5 };
		expect(body.rolloutChecks).toEqual([
			{ rollout: one.id, atMs: NOW_MS + 3 * MINUTE_MS, level: "good", score: 80, ...newest, verdicts: [aVerdict] },
			{ rollout: two.id, atMs: NOW_MS + 3 * MINUTE_MS - 30_000, level: "unknown", score: null, ...newest, verdicts: [] },
		]);
		expect((await done<Checks>("GET", `${CHECKS}?limit=1`)).environmentChecks).toHaveLength(1);
		expect((await done<Checks>("GET", `${CHECKS}?limit=1`)).rolloutChecks.map(({ rollout }) => rollout)).toEqual([one.id]);
		expect((await done<Checks>("GET", `${CHECKS}?environment=staging`)).rolloutChecks).toEqual([]);
	});

	test("of one rollout are its history, ended or not, damaged or not", async () => {
		const { id } = await running();
		for (const i of [1, 2, 3])
			// oxlint-disable-next-line no-await-in-loop -- few rows
			await checked(id, NOW_MS + i);
		await command(id, "roll_back");
		await env.DB.prepare("UPDATE rollouts SET plan = '{' WHERE id = ?").bind(id).run();
		const body = await done<Checks>("GET", `${CHECKS}?rollout=${id}`);
		expect(body).not.toHaveProperty("environmentChecks");
		expect(body.rolloutChecks.map(({ rollout, atMs }) => [rollout, atMs])).toEqual([3, 2, 1].map((i) => [id, NOW_MS + i]));
		expect((await done<Checks>("GET", `${CHECKS}?rollout=${id}&limit=2`)).rolloutChecks).toHaveLength(2);
		expect((await refused(404, "GET", `${CHECKS}?rollout=${id}&environment=staging`)).detail).toContain(`${id} in staging`);
		await refused(404, "GET", `${CHECKS}?rollout=${newKey()}`);
	});

	test("that cannot be read hide no other", async () => {
		const { id } = await running();
		await checked(id, NOW_MS + 9, { judgement: "{" });
		await checked(id, NOW_MS + 8, { judgement: { verdicts: "none" } });
		await checked(id, NOW_MS + 7);
		const { rolloutChecks } = await done<Checks>("GET", `${CHECKS}?rollout=${id}`);
		expect(rolloutChecks.map(({ verdicts }) => verdicts.length)).toEqual([0, 0, 1]);
		await env.DB.prepare(
			"INSERT INTO environment_checks (environment, at_ms, level, score, findings) VALUES ('staging', 9999999999999, 'good', 80, '{')",
		).run();
		expect((await done<Checks>("GET", `${CHECKS}?environment=staging&limit=2`)).environmentChecks).toMatchObject([
			{ level: "unknown" },
			{ level: "good" },
		]);
		await env.DB.prepare("DELETE FROM environment_checks WHERE at_ms = 9999999999999").run();
	});

	test.each(["limit=0", "limit=1001", "limit=x", "rollout=%20", "environment=moon", "hours=3"])("refuse %s", async (query) => {
		await refused(422, "GET", `${CHECKS}?${query}`);
	});
});

interface Measured {
	readonly requests: number;
	readonly rate: number | null;
	readonly mean: number | null;
	readonly p95: number | null;
}
interface Outcomes {
	readonly events: number;
	readonly metrics: Readonly<Record<string, Measured>>;
}
interface Report {
	readonly hours: number;
	readonly fromMs: number;
	readonly toMs: number;
	readonly totals: Outcomes;
	readonly flags: readonly { readonly flag: string; readonly variants: readonly ({ readonly variant: string } & Outcomes)[] }[];
	readonly note: string | null;
}

describe("a performance report", () => {
	const REPORT = `${DEPLOYMENT}/performance-report`;

	test("of nothing says so, and what would be something", async () => {
		const report = await found<Report>(`${REPORT}?environment=staging`);
		expect(report).toMatchObject({ environment: "staging", hours: 24, totals: { events: 0, metrics: {} }, flags: [] });
		expect(report.note).toMatch(/nothing was measured in staging in the last 24 h: .*\/v1\/events/);
	});

	test("asks for the last hours of real time", async () => {
		const asked: unknown[] = [];
		const performance = async (...args: unknown[]) => {
			asked.push(args);
			return [];
		};
		const report = await found<Report>(`${REPORT}?hours=168`, { performance, nowMs: 5, realNowMs: NOW_MS });
		expect(asked).toEqual([["production", NOW_MS - 168 * HOUR_MS, NOW_MS]]);
		expect(report).toMatchObject({ fromMs: NOW_MS - 168 * HOUR_MS, toMs: NOW_MS });
	});

	test("tells each metric by what it is, for the whole environment and by flag and variant", async () => {
		const key = `basket_${newKey().slice(4)}_value`;
		await done("POST", "/api/v1/metrics?environment=production", { body: { key, kind: "quantile", unit: "EUR" } });
		const count = `orders_${newKey().slice(4)}_made`;
		await done("POST", "/api/v1/metrics?environment=production", { body: { key: count, kind: "count", better: "higher" } });
		const quantiles = { p50: 100, p95: 900, p99: 2_000 };
		const rows = [
			aPerformance({ flag: "b", variant: "true", requests: 10, sum: 5 }),
			aPerformance({ flag: "a", variant: "true", requests: 40, sum: 2 }),
			aPerformance({ flag: "a", variant: "false", metric: "latency_ms", requests: 30, sum: 6_000, ...quantiles }),
			aPerformance({ flag: "a", variant: "false", requests: 60, sum: 0 }),
			aPerformance({ metric: "latency_ms", requests: 50, sum: 10_000, ...quantiles }),
			aPerformance({ requests: 100, sum: 3 }),
			aPerformance({ metric: "satisfaction", requests: 4, sum: 30 }),
			aPerformance({ metric: "fallback", requests: 100, sum: 0 }),
			aPerformance({ metric: key, requests: 2, sum: 50, p50: 20, p95: 30, p99: 30 }),
			aPerformance({ metric: count, requests: 3, sum: 6 }),
			aPerformance({ metric: "forgotten", requests: 1, sum: 7, p50: 7, p95: 7, p99: 7 }),
		];
		const report = await found<Report>(REPORT, { performance: async () => rows });
		const none = { rate: null, mean: null, total: null, p50: null, p95: null, p99: null };
		expect(report.note).toBeNull();
		expect(report.totals).toEqual({
			events: 260,
			metrics: {
				error: { ...none, kind: "rate", unit: "", requests: 100, rate: 0.03 },
				fallback: { ...none, kind: "rate", unit: "", requests: 100, rate: 0 },
				latency_ms: { ...none, kind: "quantile", unit: "ms", requests: 50, mean: 200, ...quantiles },
				satisfaction: { ...none, kind: "mean", unit: "", requests: 4, mean: 7.5 },
				[key]: { ...none, kind: "quantile", unit: "EUR", requests: 2, mean: 25, p50: 20, p95: 30, p99: 30 },
				[count]: { ...none, kind: "count", unit: "", requests: 3, mean: 2, total: 6 },
				forgotten: { ...none, kind: null, unit: "", requests: 1, mean: 7 },
			},
		});
		expect(report.flags.map(({ flag, variants }) => [flag, variants.map(({ variant, events }) => [variant, events])])).toEqual([
			[
				"a",
				[
					["false", 90],
					["true", 40],
				],
			],
			["b", [["true", 10]]],
		]);
		expect(report.flags[0]?.variants[1]?.metrics["error"]).toMatchObject({ requests: 40, rate: 0.05 });
		expect(report.flags[0]?.variants[0]?.metrics["latency_ms"]).toMatchObject({ p95: 900 });
	});

	test("is 503 when the outcomes cannot be read, and tells no secret", async () => {
		const logged = vi.spyOn(console, "warn").mockImplementation(() => {});
		const problem = await refusedOf(503, REPORT, { performance: failing });
		expect(problem.type).toBe("urn:tidegate:problem:unavailable");
		expect(JSON.stringify(problem)).not.toContain("tg_production_key");
		logged.mockRestore();
	});

	test("is 503 when the outcomes do not come in time", async () => {
		const logged = vi.spyOn(console, "warn").mockImplementation(() => {});
		vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
		const hanging = vi.fn(never);
		const problem = refusedOf(503, REPORT, { performance: hanging });
		await vi.waitUntil(() => hanging.mock.calls.length > 0);
		await vi.advanceTimersByTimeAsync(10_000);
		expect((await problem).type).toBe("urn:tidegate:problem:unavailable");
		vi.useRealTimers();
		logged.mockRestore();
	});

	test("tells what the Worker's own store holds", async () => {
		const point = (change: Partial<Point>): Point => ({
			id: null,
			rollout: "",
			stage: 0,
			served: 0,
			arm: "outside",
			flag: "shop",
			variant: "true",
			metric: "error",
			unit: "u",
			value: 0,
			harms: [],
			scored: false,
			first: true,
			...change,
		});
		const points = [
			point({}),
			point({ value: 1 }),
			point({ metric: "latency_ms", value: 250, variant: "false" }),
			point({ flag: "two", first: false }),
		];
		await recordPoints(env.DB, "staging", points, Date.now());
		const report = await done<Report>("GET", `${REPORT}?environment=staging&hours=1`);
		expect(report).toMatchObject({
			note: null,
			totals: { events: 3, metrics: { error: { requests: 2, rate: 0.5 }, latency_ms: { requests: 1, mean: 250, unit: "ms" } } },
			flags: [
				{ flag: "shop", variants: [{ variant: "false" }, { variant: "true", events: 2, metrics: { error: { rate: 0.5 } } }] },
				{ flag: "two", variants: [{ variant: "true", events: 1 }] },
			],
		});
		expect(Math.abs((report.totals.metrics["latency_ms"]?.p95 ?? 0) / 250 - 1)).toBeLessThan(0.011);
	});

	test.each(["hours=0", "hours=169", "hours=1.5", "environment=moon", "flag=a"])("refuses %s", async (query) => {
		await refused(422, "GET", `${REPORT}?${query}`);
	});
});

interface Status {
	readonly environment: string;
	readonly tick: unknown;
	readonly publications: unknown;
	readonly environments: readonly { readonly environment: string; readonly check: unknown }[];
	readonly rollouts: { readonly running: number; readonly paused: number; readonly damaged: readonly string[] };
	readonly breaker: unknown;
	readonly breakGlass: unknown;
	readonly origins: unknown;
	readonly alerts: readonly { readonly rollout: string; readonly active: boolean }[];
	readonly rollbacks: readonly { readonly rollout: string; readonly atMs: number; readonly message: string; readonly actor: string }[];
}

describe("the system's status", () => {
	const STATUS = `${DEPLOYMENT}/system-status`;
	const UNAVAILABLE = { unavailable: expect.stringContaining("no answer within 2000 ms") };
	const status = (parts = {}, environment = "production") =>
		found<Status>(`${STATUS}?environment=${environment}`, { nowMs: NOW_MS, realNowMs: NOW_MS, ...parts });

	async function alerted(rollout: string, severity: string, kind: string, atMs: number, environment = "production"): Promise<void> {
		await env.DB.prepare("INSERT INTO outbox (at_ms, type, subject, payload) VALUES (?, ?, ?, ?)")
			.bind(
				atMs,
				`${severity === "page" ? "page" : "alert"}.${kind}`,
				rollout,
				JSON.stringify({ rollout, environment, kind, message: `${kind}!` }),
			)
			.run();
	}

	test("tells how long ago the last tick was, and whether that is guard enough", async () => {
		await env.DB.prepare("UPDATE head SET guarded_at_ms = 0").run();
		expect((await status()).tick).toEqual({ lastTickAgeMs: null, guarded: false });
		await env.DB.prepare("UPDATE head SET guarded_at_ms = ?")
			.bind(NOW_MS - 70_000)
			.run();
		expect((await status()).tick).toEqual({ lastTickAgeMs: 70_000, guarded: true });
		await env.DB.prepare("UPDATE head SET guarded_at_ms = ?")
			.bind(NOW_MS - 900_000)
			.run();
		expect((await status()).tick).toEqual({ lastTickAgeMs: 900_000, guarded: false });
	});

	test.each([
		['{"kill": ["cart"]}', { kill: ["cart"], baseline: [], isUsable: true }],
		['{"kill": [], "baseline": ["x.1"]}', { kill: [], baseline: ["x.1"], isUsable: true }],
		['{"kil": ["cart"]}', { kill: [], baseline: [], isUsable: false }],
		["cart", { kill: [], baseline: [], isUsable: false }],
	])("tells what somebody has written by hand for the edges: %s", async (text, told) => {
		expect((await status()).breakGlass).toBeNull();
		await env.SNAPSHOTS.put("override/production", text);
		expect((await status()).breakGlass).toEqual(told);
		expect((await status({}, "staging")).breakGlass).toBeNull();
		await env.SNAPSHOTS.delete("override/production");
	});

	test("tells what is not published yet", async () => {
		await env.DB.prepare("UPDATE environments SET changed = version + (name = 'staging')").run();
		expect((await status()).publications).toEqual({ pending: ["staging"] });
	});

	test("tells the last check of every environment", async () => {
		await env.DB.prepare("DELETE FROM environment_checks").run();
		expect((await status()).environments).toEqual(["production", "staging"].map((environment) => ({ environment, check: null })));
		const bad = aFinding({ level: "critical", score: 20, levels: { critical: 1, good: 3 }, worst: ["shop.1"], breakerUntilMs: 7 });
		await recordEnvironments(db, [["production", aFinding()]], NOW_MS - MINUTE_MS);
		await recordEnvironments(db, [["production", bad]], NOW_MS);
		expect((await status()).environments).toEqual([
			{ environment: "production", check: { atMs: NOW_MS, ...bad } },
			{ environment: "staging", check: null },
		]);
	});

	test("counts live rollouts, and names those that cannot be read", async () => {
		const before = (await status()).rollouts;
		const [one, two, three] = [await running(), await running(), await running()];
		await createRollout();
		await command(two.id, "pause");
		await env.DB.prepare("UPDATE rollouts SET state = '{}' WHERE id = ?").bind(three.id).run();
		const { running: live, paused, damaged } = (await status()).rollouts;
		expect([live - before.running, paused - before.paused]).toEqual([2, 1]);
		expect(damaged).toContain(three.id);
		expect(damaged).not.toContain(one.id);
		expect((await status({}, "staging")).rollouts).toEqual({ running: 0, awaitingApproval: 0, paused: 0, rollingBack: 0, damaged: [] });
		await command(three.id, "roll_back");
	});

	test("tells a breaker that three automatic rollbacks have opened, with no rollout left too", async () => {
		const settings = { rollbacks: 3, within: "1h", open: "30m", reset: "1h" };
		const closed = { state: "closed", untilMs: null, settings, resetAtMs: null };
		expect((await status()).breaker).toEqual(closed);
		for (const [i, actor] of ["tidegate", "admin", "tidegate", "tidegate"].entries()) {
			// oxlint-disable-next-line no-await-in-loop -- few rows
			const { id } = await createRollout();
			// oxlint-disable-next-line no-await-in-loop -- see above
			await env.DB.prepare(
				`INSERT INTO rollout_events (rollout, revision, at_ms, recorded_at_ms, kind, reason, message, actor, correlation_id, before, after)
				VALUES (?, 1, ?, 0, 'roll_back', 'harm_proven', '', ?, '', '{}', '{}')`,
			)
				.bind(id, NOW_MS - (10 - i) * MINUTE_MS, actor)
				.run();
		}
		const untilMs = NOW_MS - 7 * MINUTE_MS + 30 * MINUTE_MS;
		expect((await status()).breaker).toEqual({ ...closed, state: "open", untilMs });
		const halfOpen = { ...closed, state: "half_open", untilMs: untilMs + 30 * MINUTE_MS };
		expect((await status({ nowMs: untilMs })).breaker).toEqual(halfOpen);
		expect((await status({ nowMs: halfOpen.untilMs })).breaker).toEqual(closed);
		expect((await status({}, "staging")).breaker).toEqual(closed);
	});

	test("tells the last hour's rollbacks, automatic and by hand, newest first", async () => {
		await env.DB.prepare("DELETE FROM rollout_events WHERE kind = 'roll_back'").run();
		const [old, automatic, byHand] = [await running(), await running(), await running()];
		const atMs = Date.now();
		await command(old.id, "roll_back");
		await command(automatic.id, "roll_back");
		await command(byHand.id, "roll_back", "too slow");
		const at = "UPDATE rollout_events SET at_ms = ? WHERE kind = 'roll_back' AND rollout = ?";
		await env.DB.batch([
			env.DB.prepare(at).bind(atMs - HOUR_MS - 1, old.id),
			env.DB.prepare(at).bind(atMs - HOUR_MS, automatic.id),
			env.DB.prepare(at).bind(atMs, byHand.id),
			env.DB.prepare(
				"UPDATE rollout_events SET actor = 'tidegate', reason = 'harm_proven', message = 'errors' WHERE kind = 'roll_back' AND rollout = ?",
			).bind(automatic.id),
		]);
		expect((await status({ nowMs: atMs })).rollbacks).toEqual([
			{ rollout: byHand.id, atMs, reason: "operator", message: expect.any(String), actor: "admin" },
			{ rollout: automatic.id, atMs: atMs - HOUR_MS, reason: "harm_proven", message: "errors", actor: "tidegate" },
		]);
		expect((await status({ nowMs: atMs }, "staging")).rollbacks).toEqual([]);
	});

	test("tells what origins said of themselves in the last 10 minutes", async () => {
		const asked: unknown[] = [];
		const { origin: _, metric: __, ...cpu } = aSystemSummary();
		const rows = [aSystemSummary({ origin: "web-2" }), aSystemSummary({ metric: "connections", last: 7 }), aSystemSummary()];
		const system = async (...args: unknown[]) => {
			asked.push(args);
			return rows;
		};
		expect((await status({ system, nowMs: 5 })).origins).toEqual([
			{ origin: "web-1", metrics: { connections: { ...cpu, last: 7 }, cpu_percent: cpu } },
			{ origin: "web-2", metrics: { cpu_percent: cpu } },
		]);
		expect(asked).toEqual([["production", NOW_MS - 10 * MINUTE_MS]]);
		expect((await status()).origins).toEqual([]);
	});

	test("tells what the Worker's own store holds of them", async () => {
		await recordSystem(env.DB, "staging", [{ origin: "web-1", metric: "cpu_percent", value: 43.5 }], Date.now());
		expect(await done("GET", `${STATUS}?environment=staging`)).toMatchObject({
			origins: [{ origin: "web-1", metrics: { cpu_percent: { samples: 1, mean: 43.5, max: 43.5, last: 43.5 } } }],
		});
	});

	test("tells the last hour's alerts, newest first, and which of them still hold", async () => {
		const [one, ended] = [await running(), await running()];
		await env.DB.prepare(
			`UPDATE rollouts SET state = json_set(state, '$.watch.alerting', json('["no_data.warn","split_broken.page"]')) WHERE id IN (?, ?)`,
		)
			.bind(one.id, ended.id)
			.run();
		await alerted(one.id, "warn", "no_data", NOW_MS - 3 * MINUTE_MS);
		await alerted(one.id, "page", "no_data", NOW_MS - 2 * MINUTE_MS);
		await alerted(one.id, "page", "split_broken", NOW_MS - MINUTE_MS);
		await alerted(ended.id, "page", "split_broken", NOW_MS);
		await alerted(one.id, "page", "no_data", NOW_MS - HOUR_MS - 1);
		await alerted("elsewhere.1", "page", "no_data", NOW_MS, "staging");
		await env.DB.prepare("INSERT INTO outbox (at_ms, type, subject, payload) VALUES (?, 'page.no_data', 'x', '{')").bind(NOW_MS).run();
		await env.DB.prepare("UPDATE rollouts SET status = 'rolled_back' WHERE id = ?").bind(ended.id).run();
		expect((await status()).alerts).toEqual([
			{ atMs: NOW_MS, severity: "page", rollout: ended.id, kind: "split_broken", message: "split_broken!", active: false },
			{ atMs: NOW_MS - MINUTE_MS, severity: "page", rollout: one.id, kind: "split_broken", message: "split_broken!", active: true },
			{ atMs: NOW_MS - 2 * MINUTE_MS, severity: "page", rollout: one.id, kind: "no_data", message: "no_data!", active: false },
			{ atMs: NOW_MS - 3 * MINUTE_MS, severity: "warn", rollout: one.id, kind: "no_data", message: "no_data!", active: true },
		]);
		expect((await status({}, "staging")).alerts.map(({ rollout }) => rollout)).toEqual(["elsewhere.1"]);
	});

	test.each([
		["fails", failing],
		["hangs", never],
	])("is told without the origins when their store %s", { timeout: 10_000 }, async (_, system) => {
		const logged = vi.spyOn(console, "warn").mockImplementation(() => {});
		const answer = await status({ system });
		expect(answer.origins).toEqual(UNAVAILABLE);
		expect(JSON.stringify(answer)).not.toContain("tg_production_key");
		expect(answer.tick).toMatchObject({ guarded: expect.any(Boolean) });
		expect(answer.alerts).toEqual(expect.any(Array));
		expect(JSON.parse(String(logged.mock.calls[0]?.[0]))).toMatchObject({ event: "status_part_unavailable", part: "origins" });
		logged.mockRestore();
	});

	test("is told in part when a table cannot be read", async () => {
		const logged = vi.spyOn(console, "warn").mockImplementation(() => {});
		await env.DB.prepare("ALTER TABLE outbox RENAME TO outbox_gone").run();
		const answer = await status();
		await env.DB.prepare("ALTER TABLE outbox_gone RENAME TO outbox").run();
		expect(answer.alerts).toEqual(UNAVAILABLE);
		expect(answer.rollouts).toMatchObject({ running: expect.any(Number) });
		logged.mockRestore();
	});

	test("refuses what it does not know", async () => {
		await refused(422, "GET", `${STATUS}?environment=moon`);
		await refused(422, "GET", `${STATUS}?hours=3`);
	});
});

test.each(["health-checks", "performance-report", "system-status"])(
	"%s is of production unless another is named, and needs a token",
	async (path) => {
		expect(await found(`${DEPLOYMENT}/${path}`)).toMatchObject({ environment: "production" });
		expect((await ask(`${DEPLOYMENT}/${path}`, { token: "wrong" })).status).toBe(401);
	},
);
