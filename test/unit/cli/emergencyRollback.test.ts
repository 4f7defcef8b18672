import { describe, expect, test } from "vitest";
import { EXIT } from "../../../cli/exit";
import { problem, standIn, tidegate } from "./world";

describe("emergency-rollback", () => {
	type Answers = readonly ReturnType<typeof problem>[];
	/** A control with these live rollouts: it ends all of them at once, after it has answered as told. */
	const withLive = (live: readonly string[], first: Answers = [], then: readonly string[] = []) => {
		const answers = [...first];
		const left = [...live];
		const later = [...then];
		return standIn(({ method, body }) => {
			if (method === "GET") return { body: { rollouts: left.slice(1).map((rollout) => ({ rollout })), damaged: left.slice(0, 1) } };
			const answer = answers.shift();
			if (answer !== undefined) return answer;
			const { flags = [], kill = false } = body as { flags?: string[]; kill?: boolean };
			const known = flags.filter((key) => key !== "nobody");
			const rolledBack = left.splice(0);
			left.push(...later.splice(0, 1));
			const unknown = flags.filter((key) => key === "nobody");
			return { body: { environment: "production", rolledBack, killed: kill ? known : [], notInRollout: known, unknown } };
		});
	};
	const sentTo = (control: Awaited<ReturnType<typeof withLive>>) => control.received.filter(({ method }) => method === "POST");

	test("is one call for all that is live, tried again under the same key when it fails for a moment", async () => {
		const control = await withLive(["a.1", "b.1"], [problem("changed_meanwhile", 409, "again"), "hang up"]);
		const { exit, out } = await tidegate(["emergency-rollback", "--json"], { env: control.env });
		expect(JSON.parse(out)).toEqual({
			environment: "production",
			done: ["a.1", "b.1"],
			failed: [],
			rolledBack: ["a.1", "b.1"],
			killed: [],
			notInRollout: [],
		});
		expect(exit).toBe(EXIT.ok);
		const sent = sentTo(control);
		expect(sent).toHaveLength(4); // two that failed, the one that was carried out, and the look at what is live still
		for (const { path, body } of sent) {
			expect(path).toBe("/api/v1/deployment/rollback/manual");
			expect(body).toEqual({ environment: "production", all: true, reason: "emergency rollback" });
		}
		const keys = sent.map(({ headers }) => headers["idempotency-key"]);
		expect(new Set(keys.slice(0, 3)).size).toBe(1);
		expect(keys[3]).not.toBe(keys[0]);
	});

	test("ends what was started meanwhile", async () => {
		const control = await withLive(["a.1"], [], ["late.1"]);
		const { exit, out } = await tidegate(["emergency-rollback"], { env: control.env });
		expect(exit).toBe(EXIT.ok);
		expect(out).toContain("✔ a.1 is rolled back\n✔ late.1 is rolled back\nedges serve it within 10 s");
	});

	test("where rollouts are started all the time the exit code says that something may be live still", async () => {
		const control = await withLive(["a.1"], [], ["b.1", "c.1", "d.1", "e.1"]);
		const { exit, out } = await tidegate(["emergency-rollback"], { env: control.env });
		expect(exit).toBe(EXIT.failure);
		expect(out).toContain("✔ c.1 is rolled back");
		expect(out).toContain("what else may be live: rollouts are being started all the time: run it again");
	});

	test.each([
		["refused", Array(9).fill(problem("internal", 500, "failed to answer")) as Answers, EXIT.failure, "failed to answer"],
		["out of reach", Array(9).fill("hang up") as Answers, EXIT.unreachable, "closed the connection"],
		["unauthorized", [problem("unauthorized", 401, "not valid")], EXIT.unauthorized, "not valid"],
	])("that is %s ends with the code for it, and says what else can be done", async (_, answers, code, said) => {
		const control = await withLive(["a.1"], answers);
		const { exit, err } = await tidegate(["emergency-rollback"], { env: control.env });
		expect(exit).toBe(code);
		expect(err).toContain(said);
		expect(err).toContain("docs/runbooks/break-glass.md");
	});

	test.each<[typed: string | undefined, argv: string[], isSent: boolean]>([
		["n", [], false],
		["", [], false],
		["y", [], true],
		["n", ["--yes"], true],
		[undefined, [], true],
	])("a person who types %j with %j: sent is %s", async (typed, argv, isSent) => {
		const control = await withLive(["hurt.1", "a.1"]);
		const { exit, err } = await tidegate(["emergency-rollback", ...argv], { env: control.env, ...(typed === undefined ? {} : { typed }) });
		expect(sentTo(control).length > 0).toBe(isSent);
		expect(exit).toBe(isSent ? EXIT.ok : EXIT.failure);
		if (!isSent) expect(err).toContain("Roll back in production: a.1, hurt.1? [y/N] ");
	});

	test("a control that cannot tell what is live is no reason not to end it", async () => {
		const control = await standIn(({ method }) =>
			method === "GET" ? problem("internal", 500, "no") : { body: { rolledBack: [], killed: [], notInRollout: [], unknown: [] } },
		);
		const { exit, err } = await tidegate(["emergency-rollback"], { env: control.env, typed: "y" });
		expect(err).toContain("Roll back in production: everything that is live? [y/N] ");
		expect(exit).toBe(EXIT.ok);
	});

	test("where nothing is live there is nothing to do", async () => {
		const control = await withLive([]);
		const nothing = { exit: EXIT.ok, out: "nothing is live in production\n" };
		expect(await tidegate(["emergency-rollback"], { env: control.env })).toMatchObject(nothing);
		expect(await tidegate(["emergency-rollback"], { env: control.env, typed: "y" })).toMatchObject(nothing);
	});

	describe("--dry-run", () => {
		const withFlags = () =>
			standIn(({ path }) => {
				const flag = {
					type: "boolean",
					enabled: true,
					offVariant: "false",
					variants: {},
					fallthrough: "false",
					version: 1,
					updatedAtMs: 0,
				};
				if (path.includes("/flags")) return { body: { flags: [{ ...flag, key: "page" }], damaged: [] } };
				return {
					body: {
						rollouts: [
							{ rollout: "b.1", flags: ["search"] },
							{ rollout: "a.1", flags: ["cart"] },
						],
						damaged: ["hurt.1"],
					},
				};
			});

		test("names what it would roll back, and sends nothing", async () => {
			const control = await withFlags();
			const { exit, out } = await tidegate(["emergency-rollback", "--dry-run"], { env: control.env });
			expect(exit).toBe(EXIT.ok);
			expect(out).toContain("it would roll back a.1, b.1, hurt.1\n");
			expect(sentTo(control)).toEqual([]);
		});

		test("of flags tells what holds them, which are in no rollout, and which are not there", async () => {
			const control = await withFlags();
			const argv = ["emergency-rollback", "--dry-run", "--flags", "cart,page,nope"];
			const { exit, out } = await tidegate(argv, { env: control.env });
			expect(out).toContain("it would roll back a.1\npage is in no rollout\nthere is no flag nope in production\n");
			expect(exit).toBe(EXIT.failure);
			expect(JSON.parse((await tidegate([...argv, "--json"], { env: control.env })).out)).toMatchObject({
				dryRun: true,
				rollouts: ["a.1"],
				unknown: ["nope"],
			});
		});

		test("shows the request where control cannot tell what is live", async () => {
			const control = await standIn(() => problem("internal", 500, "no"));
			const { exit, out, err } = await tidegate(["emergency-rollback", "--dry-run"], { env: control.env });
			expect(exit).toBe(EXIT.ok);
			expect(out).toContain("/deployment/rollback/manual");
			expect(err).toContain("what it would find cannot be told");
		});
	});

	describe("--flags", () => {
		test("names what the rollouts hold; those in none are told, which is no failure", async () => {
			const control = await withLive(["a.1"]);
			const { exit, out } = await tidegate(["emergency-rollback", "--flags", "cart, search,cart"], { env: control.env });
			expect(exit).toBe(EXIT.ok);
			expect(sentTo(control)[0]?.body).toEqual({ environment: "production", flags: ["cart", "search"], reason: "emergency rollback" });
			expect(out).toContain("cart is in no rollout: with --kill it is switched off");
		});

		test("with --kill they are switched off, and one that is not there is a failure beside what was done", async () => {
			const control = await withLive([]);
			const { exit, out } = await tidegate(["emergency-rollback", "--flags", "cart,nobody", "--kill"], { env: control.env });
			expect(exit).toBe(EXIT.failure);
			expect(sentTo(control)[0]?.body).toMatchObject({ flags: ["cart", "nobody"], kill: true });
			expect(out).toContain("✔ cart is killed");
			expect(out).toContain("✕ nobody: there is no flag nobody in production");
		});

		test.each([
			[["--kill"], "--kill switches off what --flags names"],
			[["--flags", "a,,b"], "--flags takes keys with commas between them"],
			[["--flags", Array.from({ length: 1_001 }, (_, i) => `f${i}`).join(",")], "1000 keys at most"],
		])("%j is a mistake that is told before anything is sent", async (argv, said) => {
			const control = await withLive(["a.1"]);
			const { exit, err } = await tidegate(["emergency-rollback", ...argv], { env: control.env });
			expect(exit).toBe(EXIT.usage);
			expect(err).toContain(said);
			expect(control.received).toEqual([]);
		});
	});
});
