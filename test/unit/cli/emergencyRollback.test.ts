import { describe, expect, test } from "vitest";
import { EXIT } from "../../../cli/exit";
import { problem, standIn, tidegate } from "./world";

describe("emergency-rollback", () => {
	const rollout = (id: string, status = "running") => ({
		id,
		environment: "production",
		name: "x",
		attempt: 1,
		flags: [],
		status,
		phase: null,
		percent: 5,
		holdback: 0,
		revision: 1,
		createdAtMs: 0,
		startedAtMs: 0,
		plan: null,
		state: null,
		health: null,
	});
	/** A control with these live rollouts, whose commands are answered as told, one after the other. */
	const withLive = (live: readonly string[], answers: Readonly<Record<string, readonly ReturnType<typeof problem>[]>> = {}) => {
		const asked: Record<string, number> = {};
		const ended = new Set<string>();
		return standIn(({ method, path }) => {
			if (method === "GET")
				return {
					body: {
						rollouts: path.includes("status=running") ? live.filter((id) => !ended.has(id)).map((id) => rollout(id)) : [],
						damaged: path.includes("status=paused") && !ended.has("hurt.1") && live.length > 0 ? ["hurt.1"] : [],
					},
				};
			const id = path.split("/")[4] ?? "";
			const answer = answers[id]?.[(asked[id] = (asked[id] ?? 0) + 1) - 1];
			if (answer !== undefined) return answer;
			ended.add(id);
			return { body: rollout(id, "rolled_back") };
		});
	};

	test("ends every live rollout, damaged ones too, and tries again what failed for a moment, under the same key", async () => {
		const control = await withLive(["a.1", "b.1"], { "b.1": [problem("changed_meanwhile", 409, "again"), "hang up"] });
		const { exit, out } = await tidegate(["emergency-rollback", "--json"], { env: control.env });
		expect(JSON.parse(out)).toEqual({ environment: "production", done: ["a.1", "b.1", "hurt.1"], failed: [] });
		expect(exit).toBe(EXIT.ok);
		const sent = control.received.filter(({ path }) => path.includes("b.1"));
		expect(sent).toHaveLength(3);
		for (const { body } of sent) expect(body).toEqual({ command: "roll_back", reason: "emergency rollback" });
		expect(new Set(sent.map(({ headers }) => headers["idempotency-key"])).size).toBe(1);
	});

	test("one that fails keeps no other from being ended, and the exit code says so", async () => {
		const control = await withLive(["a.1", "b.1"], {
			"a.1": Array(9).fill(problem("internal", 500, "failed to answer")) as ReturnType<typeof problem>[],
		});
		const { exit, out } = await tidegate(["emergency-rollback"], { env: control.env });
		expect(exit).toBe(EXIT.failure);
		expect(out).toContain("✔ b.1 is rolled back");
		expect(out).toContain("✕ a.1 is NOT rolled back: failed to answer");
		expect(out).toContain("1 of 3 failed: run it again");
	});

	test.each<[typed: string | undefined, argv: string[], isSent: boolean]>([
		["n", [], false],
		["", [], false],
		["y", [], true],
		["n", ["--yes"], true],
		[undefined, [], true],
	])("a person who types %j with %j: sent is %s", async (typed, argv, isSent) => {
		const control = await withLive(["a.1"]);
		const { exit, err } = await tidegate(["emergency-rollback", ...argv], { env: control.env, ...(typed === undefined ? {} : { typed }) });
		expect(control.received.some(({ method }) => method === "POST")).toBe(isSent);
		expect(exit).toBe(isSent ? EXIT.ok : EXIT.failure);
		if (!isSent) expect(err).toContain("Roll back in production: a.1, hurt.1? [y/N] ");
	});

	test("where nothing is live there is nothing to do", async () => {
		const control = await withLive([]);
		expect(await tidegate(["emergency-rollback"], { env: control.env })).toMatchObject({
			exit: EXIT.ok,
			out: "nothing is live in production\n",
		});
	});
});
