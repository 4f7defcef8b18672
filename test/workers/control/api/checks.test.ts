import { env } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import { open } from "../../../../control/store/database";
import { recordResults } from "../../../../control/store/checkResults";
import { aResult } from "../../../unit/checks/fixtures";
import { ROLLOUTS, auditOf, auditRows, command, createFlag, createRollout, done, newKey, pointersOf, refused } from "./harness";

interface SummaryBody {
	readonly rollout?: string;
	readonly stage?: number;
	readonly passed: readonly string[];
	readonly failed: readonly string[];
	readonly pending: readonly string[];
	readonly warnings: readonly string[];
	readonly can_deploy: boolean;
	readonly execution_time_ms: number;
	readonly checks: readonly { readonly name: string; readonly status: string; readonly message: string; readonly attempts: number }[];
}

const RUN = "/api/v1/checks/run";
const reportAt = (name: string, more = ""): string => `/api/v1/checks/reports/${name}?environment=production${more}`;
const run = (list: readonly object[], change: object = {}): Promise<SummaryBody> =>
	done("POST", RUN, { body: { environment: "production", checks: list, ...change } });

describe("a run", () => {
	test("makes checks now, and stores nothing", async () => {
		const { key } = await createFlag();
		const before = await auditRows();
		const found = await run(
			[
				{ name: "flags", hygiene: { owner: true } },
				{ name: "told", manual: "support has been told", critical: false },
				{ name: "private", http: "https://169.254.169.254/", critical: false },
				{ name: "plain", http: "http://127.0.0.1:9/" },
			],
			{ flags: [key], rollout: "checkout", percent: 5 },
		);
		expect(found).toMatchObject({
			passed: [],
			failed: ["plain"],
			warnings: ["flags", "private"],
			pending: ["told"],
			can_deploy: false,
			execution_time_ms: expect.any(Number),
		});
		expect(found.checks.map(({ message }) => message)).toEqual([
			`${key} has no owner`,
			"confirm: support has been told",
			"http: 169.254.169.254 is not on the public Internet",
			"http: takes an https URL",
		]);
		expect(await auditRows()).toEqual(before);
		expect((await env.DB.prepare("SELECT count(*) AS n FROM check_results").first("n")) as number).toBe(0);
	});

	test("that has nothing against it can be deployed", async () => {
		expect(await run([{ name: "told", manual: "x", critical: false }])).toMatchObject({ can_deploy: true });
	});

	test("of checks that cannot be made is refused at their fields", async () => {
		const list = [
			{ name: "a", metric: "eror_rate < 3%" },
			{ name: "a", metric: "latency_ms p90 < 500" },
		];
		const problem = await refused(422, "POST", RUN, { body: { environment: "production", checks: list } });
		expect(pointersOf(problem)).toEqual(["/checks/0/metric", "/checks/1/name", "/checks/1/metric"]);
		const unknown = await refused(422, "POST", RUN, { body: { environment: "production", checks: [{ name: "a", htp: "x" }] } });
		expect(unknown.errors).toEqual([{ pointer: "/checks/0", message: "takes one of http, metric, dependency, hygiene, reported, manual" }]);
	});
});

describe("a report", () => {
	test("is kept, listed, audited, and looked at by the checks that name it", async () => {
		const name = newKey();
		const list = [{ name: "it", reported: name }];
		expect(await run(list)).toMatchObject({ pending: ["it"], can_deploy: false });
		await done("PUT", reportAt(name, "&reason=nightly"), { body: { status: "failed", detail: "3 of 412" } });
		expect(await run(list)).toMatchObject({ failed: ["it"], checks: [{ message: "reported failed by admin: 3 of 412" }] });
		await done("PUT", reportAt(name), { body: { status: "passed" } });
		expect(await run(list)).toMatchObject({ passed: ["it"], can_deploy: true });
		const { reports } = await done<{ reports: { name: string }[] }>("GET", "/api/v1/checks/reports?environment=production");
		expect(reports.find((each) => each.name === name)).toMatchObject({ status: "passed", detail: "", actor: "admin" });
		expect(await auditOf(`checks/production/${name}`)).toMatchObject([
			{ action: "check.reported", reason: "nightly", after: { status: "failed", detail: "3 of 412" } },
			{ action: "check.reported", after: { status: "passed" } },
		]);
	});

	test.each<[body: object, path: string]>([
		[{ status: "great" }, reportAt("e2e")],
		[{ status: "passed", detail: "x".repeat(2_001) }, reportAt("e2e")],
		[{ status: "passed", extra: 1 }, reportAt("e2e")],
		[{ status: "passed" }, reportAt("Not%20A%20Name")],
		[{ status: "passed" }, "/api/v1/checks/reports/e2e"],
	])("%j to %s is refused", async (body, path) => {
		await refused(422, "PUT", path, { body });
	});
});

describe("of a rollout", () => {
	const db = open(env.DB);
	const record = (rollout: string, stage: number, change: Parameters<typeof aResult>[0]) =>
		recordResults(db, [{ rollout, stage, sinceMs: 0, results: [aResult({ atMs: 1, ...change })] }]);
	const confirmAt = (id: string, name: string): string => `${ROLLOUTS}/${id}/checks/${name}/confirm`;

	const http = { http: "https://origin.example/health" };
	const MANUAL = { name: "told", manual: "support knows" };
	/** It waits for its checks, which nobody has made yet. */
	async function waiting(checks: readonly object[]): Promise<{ id: string; sinceMs: number }> {
		const { id } = await createRollout({ checks });
		const { state } = (await command(id, "start")) as unknown as { state: { status: string; sinceMs: number } };
		expect(state.status).toBe("validating");
		return { id, sinceMs: state.sinceMs };
	}

	test("what matters in its current stage is shown, and what was not made yet is pending", async () => {
		const { id, sinceMs } = await waiting([
			{ name: "before", ...http },
			{ name: "later", ...http },
			{ name: "during", ...http, when: "during" },
		]);
		await record(id, 0, { name: "before", status: "failed", durationMs: 12, atMs: sinceMs });
		await record(id, 0, { name: "unknown", atMs: sinceMs });
		expect(await done("GET", `${ROLLOUTS}/${id}/checks`)).toMatchObject({
			rollout: id,
			stage: 0,
			failed: ["before"],
			pending: ["later"],
			passed: [],
			can_deploy: false,
			execution_time_ms: 12,
		});
		await refused(404, "GET", `${ROLLOUTS}/nobody.1/checks`);
	});

	test("of one that has none nothing holds it", async () => {
		const { id } = await createRollout();
		expect(await done("GET", `${ROLLOUTS}/${id}/checks`)).toMatchObject({ stage: 0, checks: [], can_deploy: true });
	});

	test("an operator's advance goes past none that is critical, and an admin's with a reason does", async () => {
		const { id } = await createRollout({ checks: [{ name: "smoke", ...http, when: "during" }] });
		await command(id, "start");
		const stateOf = async () => (await done<{ state: { sinceMs: number; phase: number } }>("GET", `${ROLLOUTS}/${id}`)).state;
		const advance = (change: object = {}) => ({ body: { command: "advance", reason: "now", ...change } });
		const at = `${ROLLOUTS}/${id}/commands`;
		expect((await refused(409, "POST", at, advance())).detail).toContain("check smoke: has not run yet");
		await record(id, 1, { name: "smoke", status: "failed", message: "answered 500", atMs: (await stateOf()).sinceMs });
		expect((await refused(409, "POST", at, advance())).detail).toContain("check smoke: answered 500");
		await done("POST", at, advance({ force: true }));
		await record(id, 2, { name: "smoke", status: "passed", atMs: (await stateOf()).sinceMs });
		await done("POST", at, advance());
		expect((await stateOf()).phase).toBe(2);
	});

	test("what waits for a person is confirmed, and twice is once", async () => {
		const { id, sinceMs } = await waiting([MANUAL]);
		await record(id, 0, { name: "told", status: "pending", attempts: 0, atMs: sinceMs });
		expect(await done("GET", `${ROLLOUTS}/${id}/checks`)).toMatchObject({ pending: ["told"], can_deploy: false });
		for (const reason of ["on Monday", "again"])
			// oxlint-disable-next-line no-await-in-loop -- one, then the same again
			expect(await done("POST", confirmAt(id, "told"), { body: { reason } })).toMatchObject({
				passed: ["told"],
				can_deploy: true,
				checks: [{ message: "confirmed by admin: on Monday" }],
			});
		const rows = await auditOf(`rollouts/${id}`);
		expect(rows.filter(({ action }) => action === "check.confirmed")).toMatchObject([
			{ actor: "admin", reason: "on Monday", after: { check: "told", stage: 0 } },
		]);
	});

	test("a person who is faster than the tick has confirmed it all the same", async () => {
		const { id } = await waiting([MANUAL]);
		expect(await done("POST", confirmAt(id, "told"), { body: { reason: "on Monday" } })).toMatchObject({
			passed: ["told"],
			can_deploy: true,
		});
	});

	test("nothing else is: what a machine finds, what is not there, what belongs to another stage", async () => {
		const { id, sinceMs } = await waiting([
			{ name: "e2e", reported: "e2e" },
			{ name: "smoke", ...http },
		]);
		await record(id, 0, { name: "e2e", status: "pending", atMs: sinceMs });
		await record(id, 0, { name: "smoke", status: "failed", atMs: sinceMs });
		await record(id, 3, { name: "told", status: "pending", attempts: 0, atMs: sinceMs });
		for (const name of ["e2e", "smoke"])
			// oxlint-disable-next-line no-await-in-loop -- two
			expect((await refused(409, "POST", confirmAt(id, name), { body: {} })).type).toBe("urn:tidegate:problem:nothing_to_confirm");
		const { id: early } = await waiting([{ name: "smoke", ...http }]);
		expect((await refused(409, "POST", confirmAt(early, "smoke"), { body: {} })).detail).toContain("not one that a person confirms");
		await refused(404, "POST", confirmAt(id, "told"), { body: {} });
		await refused(404, "POST", confirmAt("nobody.1", "told"), { body: {} });
	});
});
