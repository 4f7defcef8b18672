// What checks find in the stores: outcomes, origins, flags and reports.
import { env } from "cloudflare:workers";
import { beforeEach, describe, expect, test } from "vitest";
import { checks } from "../../../../core/checks/model";
import type { CheckResult } from "../../../../core/checks/result";
import { metricsBy } from "../../../../core/metric";
import type { CheckContext } from "../../../../control/checks/finding";
import { runChecks } from "../../../../control/checks/run";
import { embedded, recordPoints } from "../../../../control/metrics/embedded";
import { recordSystem } from "../../../../control/metrics/embeddedSystem";
import { putReport } from "../../../../control/store/checkReports";
import { open } from "../../../../control/store/database";
import { createFlag, done, flagAt } from "../api/harness";
import { aPoint } from "../metrics/points";

const NOW = 1_800_000_000_000;
const MINUTE_MS = 60_000;
const db = open(env.DB);

async function found(given: object, change: Partial<CheckContext> = {}): Promise<CheckResult> {
	const context: CheckContext = {
		environment: "production",
		rollout: null,
		phase: null,
		percent: 0,
		flags: [],
		metrics: metricsBy([]),
		...change,
	};
	const deps = { db, metrics: embedded(env.DB), allowPrivate: false, realNow: () => NOW };
	const [result] = await runChecks(deps, context, checks.parse([{ name: "it", ...given }]), NOW);
	if (!result) throw new Error("no result");
	return result;
}

beforeEach(async () => {
	await env.DB.batch(
		["telemetry_minutes", "telemetry_system", "telemetry_event_ids", "check_reports"].map((table) =>
			env.DB.prepare(`DELETE FROM ${table}`),
		),
	);
});

describe("a metric", () => {
	const outcomes = (metric: string, values: readonly number[], atMs = NOW - MINUTE_MS): Promise<void> =>
		recordPoints(
			env.DB,
			"production",
			values.map((value) => aPoint({ metric, value })),
			atMs,
		);

	test("is judged by the whole environment's requests within the window", async () => {
		await outcomes("error", [...Array.from({ length: 98 }, () => 0), 1, 1]);
		await outcomes("error", [1, 1, 1, 1], NOW - 20 * MINUTE_MS);
		expect(await found({ metric: "error_rate < 3%" })).toMatchObject({
			status: "passed",
			attempts: 1,
			message: "2 % over 100 requests within 15m",
		});
		expect(await found({ metric: "error_rate < 2%" })).toMatchObject({
			status: "failed",
			message: "2 % over 100 requests within 15m: not error_rate < 2%",
		});
		expect(await found({ metric: "error_rate < 3%", over: "30m" })).toMatchObject({ status: "failed" });
		expect(await found({ metric: "error_rate < 2%", critical: false })).toMatchObject({ status: "warning" });
	});

	test("may be a mean or a percentile", async () => {
		await outcomes("satisfaction", [8, 9]);
		await outcomes("latency_ms", [100, 100, 100, 2_000]);
		expect(await found({ metric: "satisfaction mean > 8" })).toMatchObject({ status: "passed", message: "8.5 over 2 requests within 15m" });
		expect(await found({ metric: "latency_ms p50 < 200" })).toMatchObject({ status: "passed" });
		expect(await found({ metric: "latency_ms p99 < 200" })).toMatchObject({ status: "failed" });
	});

	test("that nobody reports is pending: nothing is known, so it holds", async () => {
		expect(await found({ metric: "error_rate < 3%" })).toMatchObject({
			status: "pending",
			message: "nobody has reported error within 15m",
		});
	});

	test("of another environment says nothing", async () => {
		await outcomes("error", [0]);
		expect(await found({ metric: "error_rate < 3%" }, { environment: "staging" })).toMatchObject({ status: "pending" });
	});
});

describe("a dependency", () => {
	const says = (metric: string, value: number, atMs = NOW - MINUTE_MS): Promise<void> =>
		recordSystem(env.DB, "production", [{ origin: "db-1", metric, value }], atMs);

	test("must have reported", async () => {
		expect(await found({ dependency: "db-1" })).toMatchObject({ status: "failed", message: "db-1 has reported nothing within 10m" });
		await says("cpu_percent", 40, NOW - 11 * MINUTE_MS);
		expect(await found({ dependency: "db-1" })).toMatchObject({ status: "failed" });
		expect(await found({ dependency: "db-1", fresh: "15m" })).toMatchObject({ status: "passed" });
		expect(await found({ dependency: "db-2", fresh: "15m" })).toMatchObject({ status: "failed" });
	});

	test("keeps to a limit, by its mean, its highest or its last value", async () => {
		await says("cpu_percent", 90, NOW - 3 * MINUTE_MS);
		await says("cpu_percent", 40);
		expect(await found({ dependency: "db-1", metric: "cpu_percent mean < 80" })).toMatchObject({
			status: "passed",
			message: "cpu_percent mean of db-1 is 65",
		});
		expect(await found({ dependency: "db-1", metric: "cpu_percent max < 80" })).toMatchObject({
			status: "failed",
			message: "cpu_percent max of db-1 is 90: not cpu_percent max < 80",
		});
		expect(await found({ dependency: "db-1", metric: "cpu_percent last < 80" })).toMatchObject({ status: "passed" });
		expect(await found({ dependency: "db-1", metric: "connections < 80" })).toMatchObject({
			status: "failed",
			message: "db-1 has not reported connections within 10m",
		});
	});
});

describe("hygiene", () => {
	test("is that flags are there and enabled, and as asked have an owner, a description and no expiry that has passed", async () => {
		const { key: bare } = await createFlag();
		const { key: kept } = await createFlag({ owner: "shop", description: "text", expiresAt: new Date(NOW + 1).toISOString() });
		const { key: expired } = await createFlag({ expiresAt: new Date(NOW).toISOString() });
		const { key: killed } = await createFlag();
		await done("PATCH", flagAt(killed), { body: { enabled: false }, headers: { "if-match": '"1"' } });
		const of = (flags: readonly string[], hygiene: unknown = true) => found({ hygiene, critical: true }, { flags });
		expect(await of([kept])).toMatchObject({ status: "passed" });
		expect(await of([bare])).toMatchObject({ status: "failed", message: `${bare} has no owner; ${bare} has no description` });
		expect(await of([bare], { expired: true })).toMatchObject({ status: "passed" });
		expect(await of([expired], { expired: true })).toMatchObject({ message: `${expired} has expired` });
		expect(await of([expired], { owner: false })).toMatchObject({ status: "passed" });
		expect(await of([killed, "missing"], { owner: false })).toMatchObject({ message: `${killed} is killed; missing is not there` });
		expect(await of([])).toMatchObject({ status: "failed" });
		expect(await found({ hygiene: true }, { flags: [bare] })).toMatchObject({ status: "warning", critical: false });
	});
});

describe("a reported result", () => {
	const report = (status: "passed" | "failed" | "warning", atMs: number, detail = "") =>
		putReport(db, { environment: "production", name: "e2e", status, detail }, { actor: "ci", reason: "", correlationId: "c", atMs });

	test("is pending until somebody posts it, then what was posted last", async () => {
		expect(await found({ reported: "e2e" })).toMatchObject({ status: "pending", message: "nobody has reported e2e yet" });
		await report("failed", NOW - 2, "3 of 412");
		expect(await found({ reported: "e2e" })).toMatchObject({ status: "failed", message: "reported failed by ci: 3 of 412" });
		await report("passed", NOW - 1);
		expect(await found({ reported: "e2e" })).toMatchObject({ status: "passed" });
		// One that was sent earlier, and came late.
		await report("failed", NOW - 3);
		expect(await found({ reported: "e2e" })).toMatchObject({ status: "passed" });
	});

	test("is stale after a day, or after what the check says", async () => {
		await report("passed", NOW - 25 * 60 * MINUTE_MS);
		expect(await found({ reported: "e2e" })).toMatchObject({ status: "stale" });
		expect(await found({ reported: "e2e", stale: "2d" })).toMatchObject({ status: "passed" });
	});
});
