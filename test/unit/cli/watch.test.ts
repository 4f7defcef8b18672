import { describe, expect, test } from "vitest";
import { EXIT } from "../../../cli/exit";
import { problem, standIn, tidegate } from "./world";

describe("rollout watch", () => {
	const detail = {
		id: "x.1",
		environment: "production",
		name: "x",
		attempt: 1,
		flags: ["f"],
		status: "running",
		phase: "first",
		percent: 5,
		holdback: 0,
		revision: 0,
		createdAtMs: 0,
		startedAtMs: 0,
		plan: null,
		state: null,
		health: null,
	};

	test("goes on over a gap, and ends with 5 when contact is lost for too long", async () => {
		let asked = 0;
		const control = await standIn(() => {
			asked++;
			return asked === 2 ? problem("unavailable", 503, "try again") : asked > 4 ? "hang up" : { body: detail };
		});
		const { exit, err, out } = await tidegate(["rollout", "watch", "x.1", "--patience", "1s", "--json"], { env: control.env });
		expect(exit).toBe(EXIT.unreachable);
		expect(err.match(/control does not answer: trying again/g)).toHaveLength(2);
		expect(JSON.parse(out)).toMatchObject({
			error: {
				exitCode: 5,
				id: "x.1",
				status: "running",
				message: expect.stringContaining("the rollout goes on without anybody watching") as string,
			},
		});
	});

	test.each<[status: string, exit: number]>([
		["completed", EXIT.ok],
		["rolled_back", EXIT.rolledBack],
		["cancelled", EXIT.cancelled],
	])("of one that is %s ends with %i", async (status, exit) => {
		const control = await standIn(() => ({ body: { ...detail, status, phase: null } }));
		const done = await tidegate(["rollout", "watch", "x.1", "--json"], { env: control.env });
		expect(done.exit).toBe(exit);
		expect(JSON.parse(done.out)).toMatchObject({ id: "x.1", status, exitCode: exit });
	});

	test.each(["scheduled", "validating", "awaiting_approval", "paused", "rolling_back"])("goes on while it is %s", async (status) => {
		let asked = 0;
		const control = await standIn(() => ({ body: { ...detail, status: asked++ === 0 ? status : "completed" } }));
		expect(await tidegate(["rollout", "watch", "x.1", "--json"], { env: control.env })).toMatchObject({ exit: EXIT.ok });
		expect(asked).toBe(2);
	});

	test.each([
		["validation_failed", "check smoke: 500"],
		["reject", "support is not ready"],
	])("of one that is a draft again (%s) ends with 1 and why", async (kind, message) => {
		const event = { revision: 2, atMs: 0, kind, reason: "operator", message, actor: "ann" };
		const control = await standIn(({ path }) =>
			path.includes("/events") ? { body: { events: [event] } } : { body: { ...detail, status: "draft", phase: null, revision: 2 } },
		);
		const { exit, err } = await tidegate(["rollout", "watch", "x.1"], { env: control.env });
		expect({ exit, err }).toEqual({ exit: EXIT.failure, err: `tidegate: x.1 did not start, and is a draft again: ${message}\n` });
	});

	test("stops after --timeout with 6, and on Ctrl-C with 130", async () => {
		const control = await standIn(() => ({ body: detail }));
		expect(await tidegate(["rollout", "watch", "x.1", "--timeout", "1s"], { env: control.env })).toMatchObject({
			exit: EXIT.timedOut,
			err: "tidegate: x.1 has not ended in 1s\n",
		});
		expect((await tidegate(["rollout", "watch", "x.1"], { env: control.env, interrupted: AbortSignal.timeout(200) })).exit).toBe(
			EXIT.interrupted,
		);
	});

	test("draws over itself on a terminal, and leaves the cursor as it was", async () => {
		const control = await standIn(() => ({ body: detail }));
		const { out } = await tidegate(["rollout", "watch", "x.1", "--timeout", "1s"], { env: { ...control.env, NO_COLOR: "1" }, isTTY: true });
		expect(out.startsWith("\u001B[?25l")).toBe(true);
		expect(out.endsWith("\u001B[?25h")).toBe(true);
		// oxlint-disable-next-line no-control-regex -- those are what is looked for
		expect(out).not.toMatch(/\u001B\[\d+m/);
	});
});
