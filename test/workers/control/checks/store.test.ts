import { env } from "cloudflare:workers";
import { beforeEach, describe, expect, test } from "vitest";
import { waitsForPerson } from "../../../../core/checks/result";
import { REPORTS_MAX, listReports, pruneReports, putReport } from "../../../../control/store/checkReports";
import { confirmCheck, pruneResults, recordResults, resultsOf } from "../../../../control/store/checkResults";
import { open } from "../../../../control/store/database";
import { aResult } from "../../../unit/checks/fixtures";
import { auditOf, command, createRollout } from "../api/harness";

const db = open(env.DB);
const SINCE_MS = 1_800_000_000_000;
const DAY_MS = 86_400_000;
const act = { actor: "ann", reason: "told them", correlationId: "c", atMs: SINCE_MS + 10 };
const at = (rollout: string, stage = 1) => ({ rollout, stage });
const record = (rollout: string, change: Parameters<typeof aResult>[0] = {}, stage = 1) =>
	recordResults(db, [{ ...at(rollout, stage), sinceMs: SINCE_MS, results: [aResult({ atMs: SINCE_MS, ...change })] }]);
const WAITING = { status: "pending" as const, attempts: 0 };

beforeEach(() => env.DB.batch(["check_results", "check_reports"].map((table) => env.DB.prepare(`DELETE FROM ${table}`))));

describe("results", () => {
	test("of a thousand rollouts are written and read together, each of its own stage", async () => {
		const all = Array.from({ length: 1_000 }, (_, i) => ({
			...at(`many.${i}`, i % 3),
			sinceMs: SINCE_MS,
			results: ["a", "b"].map((name) => aResult({ name, atMs: SINCE_MS, message: `${i} ${"é".repeat(400)}` })),
		}));
		await recordResults(db, all);
		await record("many.7", { name: "a", message: "of another stage" }, 9);
		const found = await resultsOf(db, all);
		expect(found.size).toBe(1_000);
		for (const { rollout, results } of all) expect(found.get(rollout)).toEqual(results);
		expect((await resultsOf(db, [at("many.7", 2)])).size).toBe(0);
		expect((await resultsOf(db, [])).size).toBe(0);
	});

	test("that are newer replace older ones, never the other way round", async () => {
		await record("r.1", { status: "failed", atMs: SINCE_MS + 5, message: "newer", attempts: 3, durationMs: 9, critical: false });
		await record("r.1", { status: "passed", atMs: SINCE_MS + 4 });
		expect((await resultsOf(db, [at("r.1")])).get("r.1")).toMatchObject([
			{ status: "failed", message: "newer", attempts: 3, critical: false },
		]);
		await record("r.1", { status: "passed", atMs: SINCE_MS + 6 });
		expect((await resultsOf(db, [at("r.1")])).get("r.1")).toMatchObject([{ status: "passed", atMs: SINCE_MS + 6, critical: true }]);
	});

	test("that say what is not known are left out, so that the check is made again", async () => {
		await record("r.1");
		await env.DB.prepare("UPDATE check_results SET status = 'newer'").run();
		expect((await resultsOf(db, [at("r.1")])).size).toBe(0);
	});

	test("are kept for 30 days after the rollout's end, and as long as it lives", async () => {
		const [ended, live] = await Promise.all([createRollout(), createRollout()]);
		const earlier = { "x-tidegate-now": String(SINCE_MS) };
		await command(ended.id, "cancel", "", earlier);
		await command(live.id, "start", "", earlier);
		await Promise.all([ended.id, live.id].map((id) => record(id)));
		await pruneResults(db, SINCE_MS + 30 * DAY_MS);
		expect([...(await resultsOf(db, [at(ended.id), at(live.id)])).keys()].sort()).toEqual([ended.id, live.id].sort());
		await pruneResults(db, SINCE_MS + 30 * DAY_MS + 1);
		expect([...(await resultsOf(db, [at(ended.id), at(live.id)])).keys()]).toEqual([live.id]);
	});
});

describe("a confirmation", () => {
	const confirm = (id: string): Promise<boolean> =>
		confirmCheck(db, { ...at(id), sinceMs: SINCE_MS }, { name: "smoke", critical: true }, act);

	test("counts also before a tick has asked for it, and no tick asks again", async () => {
		expect(await confirm("r.4")).toBe(true);
		await record("r.4", { ...WAITING, atMs: SINCE_MS + 20 });
		expect((await resultsOf(db, [at("r.4")])).get("r.4")).toMatchObject([{ status: "passed", message: "confirmed by ann: told them" }]);
	});

	test("counts for the stage as it is now, whatever was found when it was here before", async () => {
		await record("r.5", { status: "failed", atMs: SINCE_MS - 1 });
		expect(await confirm("r.5")).toBe(true);
		expect((await resultsOf(db, [at("r.5")])).get("r.5")).toMatchObject([{ status: "passed", atMs: SINCE_MS + 10 }]);
	});

	test("passes what waits for a person, with who and why, once", async () => {
		await record("r.1", WAITING);
		expect(await confirm("r.1")).toBe(true);
		const [found] = (await resultsOf(db, [at("r.1")])).get("r.1") ?? [];
		expect(found).toMatchObject({ status: "passed", message: "confirmed by ann: told them", atMs: SINCE_MS + 10 });
		expect(await confirm("r.1")).toBe(false);
		expect(await auditOf("rollouts/r.1")).toMatchObject([
			{ actor: "ann", reason: "told them", action: "check.confirmed", after: { check: "smoke", stage: 1 } },
		]);
	});

	test("of what anything else waits for is none", async () => {
		await record("r.2", { status: "pending" });
		expect(await confirm("r.2")).toBe(false);
		expect((await resultsOf(db, [at("r.2")])).get("r.2")).toMatchObject([{ status: "pending" }]);
		expect(await auditOf("rollouts/r.2")).toEqual([]);
	});

	test("is not lost to a tick that had looked before, and counts for one visit of a stage", async () => {
		await record("r.3", WAITING);
		await confirm("r.3");
		await record("r.3", { ...WAITING, atMs: SINCE_MS + 20 });
		expect((await resultsOf(db, [at("r.3")])).get("r.3")).toMatchObject([{ status: "passed" }]);
		const again = { ...at("r.3"), sinceMs: SINCE_MS + 60_000, results: [aResult({ ...WAITING, atMs: SINCE_MS + 60_000 })] };
		await recordResults(db, [again]);
		const [asked] = (await resultsOf(db, [at("r.3")])).get("r.3") ?? [];
		expect(asked && waitsForPerson(asked)).toBe(true);
	});
});

describe("reports", () => {
	const put = (name: string, atMs = SINCE_MS) =>
		putReport(db, { environment: "production", name, status: "passed", detail: "" }, { ...act, atMs });

	test("of so many names are kept, and those go on being taken", async () => {
		const rows = JSON.stringify(Array.from({ length: REPORTS_MAX - 1 }, (_, i) => `r-${i}`));
		await env.DB.prepare(
			`INSERT INTO check_reports (environment, name, status, detail, actor, at_ms)
			SELECT 'production', value, 'failed', '', 'ci', ?2 FROM json_each(?1)`,
		)
			.bind(rows, SINCE_MS)
			.run();
		expect(await put("last")).toMatchObject({ ok: true });
		expect(await put("one-more")).toEqual({ ok: false, error: { kind: "too_many_reports", limit: REPORTS_MAX } });
		expect(await put("r-7", SINCE_MS + 1)).toMatchObject({ ok: true });
		const all = await listReports(db, "production");
		expect(all).toHaveLength(REPORTS_MAX);
		expect(all.find(({ name }) => name === "r-7")).toMatchObject({ status: "passed", actor: "ann" });
		expect(await auditOf("checks/production/one-more")).toEqual([]);
	});

	test("are kept for 30 days", async () => {
		await put("old", SINCE_MS - 30 * DAY_MS - 1);
		await put("new", SINCE_MS - 30 * DAY_MS);
		await pruneReports(db, SINCE_MS);
		expect((await listReports(db, "production")).map(({ name }) => name)).toEqual(["new"]);
	});
});
