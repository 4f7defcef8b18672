import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import { environmentSettings } from "../../../core/environmentSettings";
import { EXIT } from "../../../cli/exit";
import { problem, standIn, tidegate } from "./world";

const SETTINGS = { environment: "production", version: 3, damaged: false, ...environmentSettings.parse({ automation: "advise" }) };
const breaker = (state: string, more: object = {}) => ({
	state,
	untilMs: state === "closed" ? null : Date.now() + 600_000,
	settings: SETTINGS.breaker,
	resetAtMs: null,
	...more,
});
const file = (text: string): string => {
	const path = join(mkdtempSync(join(tmpdir(), "tidegate-settings-")), "settings.yaml");
	writeFileSync(path, text);
	return path;
};

describe("tidegate environment", () => {
	test("shows each environment's snapshot, engine and breaker", async () => {
		const environments = [
			{ environment: "production", version: 7, pending: true, breaker: breaker("half_open"), settings: SETTINGS },
			{ environment: "staging", version: 2, pending: false, breaker: breaker("closed"), settings: { ...SETTINGS, automation: "act" } },
		];
		const { env } = await standIn(() => ({ body: { environments } }));
		const { exit, out } = await tidegate(["environment"], { env });
		expect(exit).toBe(EXIT.ok);
		expect(out).toMatch(/production +7, to publish +advises only +half open for 10m: only the rollout with the smallest percent/);
		expect(out).toMatch(/staging +2 +acts +closed/);
		expect(JSON.parse((await tidegate(["environment", "--json"], { env })).out)).toEqual(environments);
	});
});

describe("tidegate environment settings", () => {
	const control = (answer: ReturnType<typeof problem> = { body: { ...SETTINGS, version: 4 } }) =>
		standIn(({ method }) => (method === "GET" ? { body: SETTINGS } : answer));

	test("prints them as a file that --file takes", async () => {
		const { env, received } = await control();
		const { out } = await tidegate(["environment", "settings"], { env });
		expect(out).toContain("# production: version 3");
		expect(environmentSettings.parse(parse(out))).toEqual(environmentSettings.parse({ automation: "advise" }));
		expect(received[0]?.path).toBe("/api/v1/environments/production/settings");
	});

	test("replaces those that it has read, with the reason", async () => {
		const { env, received } = await control();
		const path = file("automation: act\nbreaker: { open: 1h }\n");
		const { exit, out } = await tidegate(["environment", "settings", "-e", "staging", "--file", path, "--reason", "calm"], { env });
		expect([exit, out]).toEqual([EXIT.ok, expect.stringContaining("version 4") as string]);
		expect(received[1]).toMatchObject({
			method: "PUT",
			path: "/api/v1/environments/staging/settings?reason=calm",
			headers: { "if-match": '"3"' },
			body: { automation: "act", breaker: { open: "1h" } },
		});
	});

	test("takes them from stdin, and with --dry-run writes nothing", async () => {
		const { env, received } = await control();
		const args = ["environment", "settings", "--file", "-", "--dry-run", "--json"];
		const { out } = await tidegate(args, { env, stdin: "automation: act" });
		expect(JSON.parse(out)).toMatchObject({ dryRun: true, requests: [{ method: "PUT", body: { automation: "act" } }] });
		expect(received.map(({ method }) => method)).toEqual(["GET"]);
	});

	test("says where in the file a mistake is, and sends nothing", async () => {
		const { env, received } = await control();
		const path = file("automation: watch\nbreaker:\n  opens: 1h\n");
		const { exit, err } = await tidegate(["environment", "settings", "--file", path], { env });
		expect(exit).toBe(EXIT.failure);
		expect(err).toContain(`${path}:1:13: /automation: takes act or advise`);
		expect(err).toContain(`${path}:3:3: /breaker/opens: unknown field: did you mean "open"?`);
		expect(received).toEqual([]);
	});

	test("says where in the file control finds one", async () => {
		const errors = [{ pointer: "/defaults/guards/0", message: 'unknown quantity "moon_rate" (at character 1)' }];
		const { env } = await control(problem("invalid", 422, "wrong", { errors }));
		const path = file("defaults:\n  guards: [moon_rate vs control <= +10%]\n");
		const { exit, err } = await tidegate(["environment", "settings", "--file", path], { env });
		expect([exit, err]).toEqual([EXIT.failure, expect.stringContaining(`${path}:2:12: /defaults/guards/0: unknown quantity`) as string]);
	});

	test("that somebody has changed meanwhile are theirs", async () => {
		const { env } = await control(problem("settings_mismatch", 412, "the settings are at version 5 now: read them again"));
		const { exit, err } = await tidegate(["environment", "settings", "--file", file("automation: act")], { env });
		expect([exit, err]).toEqual([EXIT.failure, expect.stringContaining("at version 5 now") as string]);
	});

	test("are not written where no file is named", async () => {
		const { env, received } = await control();
		expect((await tidegate(["environment", "settings", "--reason", "calm"], { env })).exit).toBe(EXIT.usage);
		expect(received).toEqual([]);
	});
});

describe("tidegate breaker", () => {
	test("shows how it stands, by which settings", async () => {
		const environments = [{ environment: "production", version: 7, pending: false, breaker: breaker("open"), settings: SETTINGS }];
		const { env } = await standIn(() => ({ body: { environments } }));
		const { out } = await tidegate(["breaker"], { env });
		expect(out).toContain("production: open for 10m: after too many automatic rollbacks nothing advances by itself");
		expect(out).toContain("after 3 automatic rollbacks within 1h, for 30m; closes 1h after the last");
		expect(JSON.parse((await tidegate(["breaker", "--json"], { env })).out)).toMatchObject({ state: "open" });
	});

	test("is reset with a reason, and with --dry-run is not", async () => {
		const { env, received } = await standIn(() => ({ body: breaker("closed", { resetAtMs: 1_800_000_000_000 }) }));
		await tidegate(["breaker", "reset", "--dry-run"], { env });
		expect(received).toEqual([]);
		const { exit, out } = await tidegate(["breaker", "reset", "--reason", "one cause"], { env });
		expect([exit, out]).toEqual([EXIT.ok, expect.stringMatching(/production: closed[\s\S]*2027-01-15T08:00:00Z/) as string]);
		expect(received).toMatchObject([
			{ method: "POST", path: "/api/v1/environments/production/breaker/reset", body: { reason: "one cause" } },
		]);
	});
});

describe("a plan that leaves its guards to its environment", () => {
	const plan = "rollout: cart\nenvironment: production\nflags: [cart]\nphases: [{ percent: 5, hold: 1h }, { percent: 100, hold: 1h }]\n";
	const withDefaults = environmentSettings.parse({ defaults: { guards: ["error_rate vs control <= +25%"], min_users: 500 } });

	test("is valid where that has some", async () => {
		const { env } = await standIn(({ path }) => ({ body: path.includes("/metrics") ? { metrics: [] } : { ...SETTINGS, ...withDefaults } }));
		const { exit, out } = await tidegate(["plan", "validate", file(plan), "--json"], { env });
		expect(exit).toBe(EXIT.ok);
		expect(JSON.parse(out)).toMatchObject({ valid: true, plan: { guards: ["error_rate vs control <= +25%"], min_users: 500 } });
	});

	test("is a mistake where that has none, and where control cannot be asked", async () => {
		const { env } = await standIn(({ path }) => ({ body: path.includes("/metrics") ? { metrics: [] } : SETTINGS }));
		const path = file(plan);
		expect((await tidegate(["plan", "validate", path], { env })).out).toContain("nothing judges this phase");
		expect(await tidegate(["plan", "validate", path])).toMatchObject({
			exit: EXIT.failure,
			err: expect.stringContaining("metrics and defaults are not known here") as string,
		});
	});
});
