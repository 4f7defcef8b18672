import { expect, test } from "vitest";
import { EXIT } from "../../../cli/exit";
import { problem, standIn, tidegate } from "./world";

const smoke = { name: "smoke", status: "passed", critical: true, message: "answered 200 in 5 ms" };
const summary = (change: object = {}) => ({
	passed: ["smoke"],
	failed: [],
	warnings: [],
	pending: [],
	can_deploy: true,
	execution_time_ms: 7,
	checks: [smoke],
	...change,
});
const holding = summary({
	passed: [],
	failed: ["smoke"],
	can_deploy: false,
	checks: [{ ...smoke, status: "stale", message: "older than 24h" }],
});

test("a rollout's checks are shown, and end with 1 where a critical one holds", async () => {
	const good = await standIn(() => ({ body: summary() }));
	expect(await tidegate(["checks", "x.1"], { env: good.env })).toMatchObject({ exit: EXIT.ok, out: expect.stringContaining("can deploy") });
	expect(good.received).toMatchObject([{ method: "GET", path: "/api/v1/rollouts/x.1/checks" }]);
	const bad = await standIn(() => ({ body: holding }));
	const shown = await tidegate(["checks", "x.1"], { env: bad.env });
	expect(shown).toMatchObject({ exit: EXIT.failure, out: expect.stringContaining("cannot deploy: smoke is stale") });
	const asJson = await tidegate(["checks", "x.1", "--json"], { env: bad.env });
	expect([asJson.exit, JSON.parse(asJson.out)]).toEqual([EXIT.failure, holding]);
});

test("a check that is not there is looked for among the rollout's", async () => {
	const { env } = await standIn(() => problem("not_found", 404, "there is no check nope in the current stage of rollout x.1"));
	expect((await tidegate(["checks", "confirm", "x.1", "nope"], { env })).err).toBe(
		"tidegate: there is no check nope in the current stage of rollout x.1: tidegate checks x.1 shows those there are\n",
	);
});

test("a plan's own checks are sent, with what they are told of it", async () => {
	const control = await standIn(() => ({ body: summary() }));
	const plan = {
		rollout: "x",
		environment: "staging",
		flags: ["f"],
		phases: [{ percent: 5, checks: [{ name: "later" }] }],
		checks: [{ name: "smoke" }],
	};
	expect(await tidegate(["checks", "run", "-"], { env: control.env, stdin: JSON.stringify(plan) })).toMatchObject({ exit: EXIT.ok });
	expect(control.received).toMatchObject([
		{ path: "/api/v1/checks/run", body: { environment: "staging", rollout: "x", flags: ["f"], percent: 5, checks: [{ name: "smoke" }] } },
	]);
});

test.each([
	["rollout: x", EXIT.failure, "has no checks of its own"],
	["checks: []", EXIT.failure, "has no checks of its own"],
	["- 1", EXIT.failure, "has no checks of its own"],
	["a: [", EXIT.failure, "stdin:1:"],
	["{environment: staging, checks: [{name: a}]}", EXIT.usage, "is a plan for staging, and --environment says production"],
])("%s: nothing is sent", async (stdin, exit, says) => {
	const control = await standIn(() => ({ body: summary() }));
	const done = await tidegate(["checks", "run", "-", "--environment", "production"], { env: control.env, stdin });
	expect(done).toMatchObject({ exit, err: expect.stringContaining(says) });
	expect(control.received).toEqual([]);
});

test("what control refuses is told at its place in the file", async () => {
	const errors = [{ pointer: "/checks/0/metric", message: "unknown quantity" }];
	const control = await standIn(() => problem("invalid", 422, "", { errors }));
	const { exit, err } = await tidegate(["checks", "run", "-"], { env: control.env, stdin: "checks:\n  - name: a\n    metric: eror < 1%" });
	expect(exit).toBe(EXIT.failure);
	expect(err).toContain("stdin:3:13: /checks/0/metric: unknown quantity");
});

test("a report says how it went", async () => {
	const control = await standIn(() => ({ body: { name: "e2e", status: "passed" } }));
	const argv = ["checks", "report", "e2e", "--status", "passed", "--detail", "412 tests", "--reason", "nightly"];
	expect(await tidegate(argv, { env: control.env })).toMatchObject({ exit: EXIT.ok, out: "e2e is reported passed in production\n" });
	expect(control.received).toMatchObject([
		{
			method: "PUT",
			path: "/api/v1/checks/reports/e2e?environment=production&reason=nightly",
			body: { status: "passed", detail: "412 tests" },
		},
	]);
	for (const wrong of [
		["checks", "report", "e2e"],
		["checks", "report", "e2e", "--status", "great"],
	])
		// oxlint-disable-next-line no-await-in-loop -- two
		expect(await tidegate(wrong, { env: control.env })).toMatchObject({
			exit: EXIT.usage,
			err: expect.stringContaining("--status takes passed, failed, warning"),
		});
});

test("a confirmation is sent with its reason, and done though other checks still hold", async () => {
	const control = await standIn(() => ({ body: holding }));
	const argv = ["checks", "confirm", "x.1", "told", "--reason", "on Monday"];
	expect(await tidegate(argv, { env: control.env })).toMatchObject({ exit: EXIT.ok });
	expect(control.received).toMatchObject([
		{ method: "POST", path: "/api/v1/rollouts/x.1/checks/told/confirm", body: { reason: "on Monday" } },
	]);
});
