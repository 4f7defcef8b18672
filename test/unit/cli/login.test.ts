import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { EXIT } from "../../../cli/exit";
import { TOKEN, configHome, problem, standIn, tidegate } from "./world";

/** To everything that these tests ask: who is it, and which rollouts are there? */
const ANNA = { body: { name: "anna", role: "operator", environment: "staging", rollouts: [], damaged: [] } };

describe("a login", () => {
	const config = (home: string): string => join(home, "tidegate/config.json");

	test("is tried, then kept for its owner alone, and never shown", async () => {
		const control = await standIn(() => ANNA);
		const env = { XDG_CONFIG_HOME: configHome() };
		const done = await tidegate(["login", `${control.url}/`, "--edge", "http://localhost:2/"], { env, stdin: `${TOKEN}\n` });
		expect(done).toMatchObject({ exit: EXIT.ok, err: "" });
		expect(control.received).toMatchObject([{ path: "/api/v1/me", headers: { authorization: `Bearer ${TOKEN}` } }]);
		expect(done.out).toContain("as anna (operator, staging only)");
		expect(statSync(config(env.XDG_CONFIG_HOME)).mode & 0o777).toBe(0o600);
		expect(JSON.parse(readFileSync(config(env.XDG_CONFIG_HOME), "utf8"))).toEqual({
			profiles: { default: { url: control.url, token: TOKEN, edge: "http://localhost:2" } },
		});
		expect(done.out + done.err).not.toContain(TOKEN);
		expect(await tidegate(["rollout", "list"], { env })).toMatchObject({ exit: EXIT.ok });
	});

	test("that is not taken is not kept", async () => {
		const control = await standIn(() => problem("unauthorized", 401, "send a valid API token"));
		const env = { XDG_CONFIG_HOME: configHome() };
		expect(await tidegate(["login", control.url], { env, typed: TOKEN })).toMatchObject({ exit: EXIT.unauthorized });
		expect(() => statSync(config(env.XDG_CONFIG_HOME))).toThrow("ENOENT");
	});

	test("of a dry run is neither sent nor kept", async () => {
		const control = await standIn(() => ANNA);
		const env = { XDG_CONFIG_HOME: configHome() };
		expect(await tidegate(["login", control.url, "--dry-run"], { env, stdin: TOKEN })).toMatchObject({ exit: EXIT.ok });
		expect(control.received).toEqual([]);
		expect(() => statSync(config(env.XDG_CONFIG_HOME))).toThrow("ENOENT");
	});

	test("goes to the URL that it was kept for, and to no other", async () => {
		const control = await standIn(() => ANNA);
		const other = await standIn(() => ANNA);
		const env = { XDG_CONFIG_HOME: configHome() };
		await tidegate(["login", control.url], { env, stdin: TOKEN });
		const elsewhere = await tidegate(["rollout", "list", "--url", other.url], { env });
		expect(elsewhere).toMatchObject({
			exit: EXIT.unauthorized,
			err: expect.stringContaining(`there is no API token for ${other.url}`) as string,
		});
		const byVariable = await tidegate(["rollout", "list"], { env: { ...env, TIDEGATE_URL: other.url } });
		expect(byVariable.exit).toBe(EXIT.unauthorized);
		expect(other.received).toEqual([]);
	});

	test("that is named goes before the environment's variables, and those before the default one", async () => {
		const kept = await standIn(() => ANNA);
		const variable = await standIn(() => ANNA);
		const env = { XDG_CONFIG_HOME: configHome() };
		await tidegate(["login", kept.url, "--profile", "staging"], { env, stdin: TOKEN });
		const both = { ...env, TIDEGATE_URL: variable.url, TIDEGATE_TOKEN: "of-the-variable" };
		await tidegate(["rollout", "list"], { env: both });
		expect(variable.received[0]?.headers.authorization).toBe("Bearer of-the-variable");
		await tidegate(["rollout", "list", "--profile", "staging"], { env: both });
		expect(kept.received.at(-1)?.headers.authorization).toBe(`Bearer ${TOKEN}`);
		expect(await tidegate(["rollout", "list", "--profile", "stagin"], { env })).toMatchObject({
			err: expect.stringContaining("did you mean staging?") as string,
		});
	});

	test("is gone after logout, and others stay", async () => {
		const control = await standIn(() => ANNA);
		const env = { XDG_CONFIG_HOME: configHome() };
		for (const name of ["default", "staging"])
			// oxlint-disable-next-line no-await-in-loop -- one file
			await tidegate(["login", control.url, "--profile", name], { env, stdin: TOKEN });
		expect(await tidegate(["logout"], { env })).toMatchObject({ exit: EXIT.ok, out: "profile default is gone\n" });
		expect(Object.keys((JSON.parse(readFileSync(config(env.XDG_CONFIG_HOME), "utf8")) as { profiles: object }).profiles)).toEqual([
			"staging",
		]);
	});

	test("over plain http to another machine is warned of", async () => {
		const { err } = await tidegate(["login", "http://control.example", "--dry-run"]);
		expect(err).toContain("warning: http://control.example is not https");
	});
});
