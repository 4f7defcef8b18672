// What happens between the CLI and whatever answers at control's URL.
import { describe, expect, test } from "vitest";
import * as z from "zod";
import { commands } from "../../../cli/commands";
import { controlAt } from "../../../cli/controlApi";
import { EXIT } from "../../../cli/exit";
import { DEFAULT_SETTINGS } from "../../../core/environmentSettings";
import { TOKEN, problem, standIn, tidegate } from "./world";

describe("a command that cannot be carried out says why, and what to do", () => {
	test("nobody listens", async () => {
		const env = { TIDEGATE_URL: "http://127.0.0.1:9", TIDEGATE_TOKEN: TOKEN };
		const { exit, err } = await tidegate(["rollout", "list"], { env });
		expect(exit).toBe(EXIT.unreachable);
		expect(err).toMatch(/^tidegate: control at http:\/\/127\.0\.0\.1:9 (refuses the connection: is it running\?|cannot be reached)/);
	});

	test("control is silent: the time-out says that a write may have been carried out", async () => {
		const silent = await standIn(() => "hang");
		const access = { url: silent.url, token: TOKEN, interrupted: new AbortController().signal, requestMs: 50 };
		const read = controlAt(access).get("/flags", z.unknown());
		await expect(read).rejects.toMatchObject({ exit: EXIT.unreachable, message: `control at ${silent.url} gave no answer in 0.05 s` });
		const write = controlAt(access).send({ method: "POST", path: "/rollouts" }, z.unknown());
		await expect(write).rejects.toMatchObject({ message: expect.stringContaining("Whether this was carried out is not known") as string });
	});

	test.each<[what: string, answer: Parameters<typeof standIn>[0], exit: number, says: string]>([
		["the connection breaks", () => "hang up", EXIT.unreachable, "closed the connection"],
		[
			"the token is not taken",
			() => problem("unauthorized", 401, "send a valid API token"),
			EXIT.unauthorized,
			"does not take the token: send a valid API token",
		],
		["a refusal", () => problem("flag_missing", 404, "there is no flag x in production"), EXIT.failure, "there is no flag x"],
		[
			"several mistakes, each on a line",
			() => problem("invalid", 422, "", { errors: [{ pointer: "/a", message: "is required" }] }),
			EXIT.failure,
			"invalid:\n  /a: is required",
		],
		[
			"a part that is down",
			() => problem("unavailable", 503, "the store gave no answer in time: try again"),
			EXIT.unreachable,
			"try again",
		],
		[
			"a bug there, with its correlation id",
			() => ({ ...(problem("internal", 500, "failed to answer") as object), headers: { "x-correlation-id": "abc-1" } }),
			EXIT.failure,
			"failed to answer (correlation id abc-1)",
		],
		["a proxy's page", () => ({ status: 502, body: "<html>" }), EXIT.unreachable, "status 502, and not by control: is http"],
		["somebody else's page", () => ({ status: 404, body: "<html>" }), EXIT.failure, "and not by control"],
		["something else entirely", () => ({ body: "<html>" }), EXIT.failure, "is not understood: is http"],
		["another version's answer", () => ({ body: { flags: [{}], damaged: [] } }), EXIT.failure, "is not understood (at flags/0/key)"],
		[
			"a login page",
			() => ({ status: 302, headers: { location: "https://access.example/login" } }),
			EXIT.failure,
			"on to https://access.example/login: log in with the URL of control itself",
		],
	])("%s", async (_what, answer, exit, says) => {
		const control = await standIn(answer);
		const done = await tidegate(["flags"], { env: control.env });
		expect(done.err).toContain(says);
		expect(done.exit).toBe(exit);
		expect(control.received).toHaveLength(1);
	});

	test("Ctrl-C ends what is under way with 130", async () => {
		const silent = await standIn(() => "hang");
		const { exit, err } = await tidegate(["flags"], { env: silent.env, interrupted: AbortSignal.timeout(50) });
		expect({ exit, err }).toEqual({ exit: EXIT.interrupted, err: "tidegate: interrupted\n" });
	});
});

test("a write carries a key of its own and its reason, a read carries none", async () => {
	const control = await standIn(() => problem("flag_missing", 404, "there is none"));
	await tidegate(["kill", "cart", "--reason", "why & how"], { env: control.env });
	await tidegate(["kill", "cart"], { env: control.env });
	await tidegate(["flags", "get", "cart"], { env: control.env });
	const [first, second, read] = control.received;
	expect(first).toMatchObject({
		method: "PATCH",
		path: "/api/v1/flags/cart?environment=production&reason=why+%26+how",
		body: { enabled: false },
	});
	expect(first?.headers["idempotency-key"]).toMatch(/^[\da-f-]{36}$/);
	expect(second?.headers["idempotency-key"]).not.toBe(first?.headers["idempotency-key"]);
	expect(read?.headers["idempotency-key"]).toBeUndefined();
});

test.each([["kill"], ["unkill"], ["flags get"]])(
	"%s of a flag that is not there names the environment, and the other one",
	async (name) => {
		const { env } = await standIn(({ path }) =>
			problem("flag_missing", 404, `there is no flag cart in ${path.includes("environment=staging") ? "staging" : "production"}`),
		);
		expect(await tidegate([...name.split(" "), "cart"], { env })).toMatchObject({
			exit: EXIT.failure,
			err: "tidegate: there is no flag cart in production: tidegate flags lists those there are, with -e staging those of staging\n",
		});
		expect((await tidegate([...name.split(" "), "cart", "-e", "staging"], { env })).err).toContain("no flag cart in staging");
	},
);

test("explain of a flag that is not there is a failure as well", async () => {
	const resolution = { reason: "ERROR", errorCode: "FLAG_NOT_FOUND" };
	const { env } = await standIn(() => ({ body: { snapshot: 3, steps: ["there is no flag cart"], resolution } }));
	const { exit, err } = await tidegate(["explain", "cart"], { env });
	expect(exit).toBe(EXIT.failure);
	expect(err).toContain("there is no flag cart in production");
});

test("the edge in place of control says what it is", async () => {
	const detail = "There is nothing at this path. There are: POST /ofrep/v1/evaluate/flags[/{key}], POST /v1/events.";
	const { env, url } = await standIn(() => ({ status: 404, body: { type: "about:blank", title: "Not Found", status: 404, detail } }));
	expect((await tidegate(["flags"], { env })).err).toBe(`tidegate: ${url} is the edge, which answers for flags: take control's URL\n`);
});

test("what control's people wrote moves no cursor", async () => {
	const control = await standIn(() => problem("x", 409, "gone\u001B[2J\u001B]0;owned\u0007"));
	expect((await tidegate(["flags"], { env: control.env })).err).toBe("tidegate: gone\uFFFD[2J\uFFFD]0;owned\uFFFD\n");
});

const WRITES = commands.filter(({ options }) => options.includes("dry-run") && !options.includes("edge")).map(({ name }) => name);

test.each(WRITES)("tidegate %s --dry-run writes nothing", async (name) => {
	const flag = {
		key: "f",
		type: "boolean",
		enabled: false,
		offVariant: "false",
		variants: {},
		fallthrough: "false",
		version: 3,
		updatedAtMs: 0,
	};
	const draft = {
		id: "x.1",
		environment: "production",
		name: "x",
		attempt: 1,
		flags: [],
		status: "running",
		phase: "a",
		percent: 5,
		holdback: 0,
		revision: 1,
		createdAtMs: 0,
		startedAtMs: 0,
	};
	const report = { created: ["f"], changed: [], unchanged: [] };
	const control = await standIn(({ path }) => {
		if (path.includes("/settings")) return { body: { ...DEFAULT_SETTINGS, version: 0, damaged: false } };
		if (path.includes("/import")) return { body: { ...report, segments: report, applied: false } };
		if (path.includes("/gateway/routes")) return problem("route_missing", 404, "there is no route");
		return { body: path.includes("/flags/") ? flag : { rollouts: [{ ...draft, rollout: "x.1" }], damaged: [] } };
	});
	const args: Record<string, string[]> = {
		kill: ["f"],
		unkill: ["f"],
		import: ["-"],
		"plan apply": ["-", "--start"],
		"environment settings": ["--file", "-"],
		"emergency-rollback": ["--yes"],
		"rollout extend": ["x.1", "--by", "2h"],
		"token create": ["x", "--role", "viewer"],
		"token revoke": ["x"],
		"checks report": ["e2e", "--status", "passed"],
		"checks confirm": ["x.1", "informed"],
		"routes put": ["--file", "-"],
		"routes delete": ["shop"],
		"protect shed": ["--share", "50"],
		"protect lock-down": ["--segments", "staff"],
		"protect isolate": ["--segments", "staff"],
		"protect off": ["shed"],
	};
	const plan = {
		rollout: "x",
		environment: "production",
		flags: ["f"],
		phases: [{ percent: 100, hold: "1h", criteria: ["error_rate < 3%"] }],
	};
	const bodies: Record<string, object> = { import: { flags: [] }, "environment settings": {}, "routes put": { key: "shop" } };
	const done = await tidegate([...name.split(" "), ...(args[name] ?? (name.startsWith("rollout") ? ["x.1"] : [])), "--dry-run", "--json"], {
		env: control.env,
		stdin: JSON.stringify(bodies[name] ?? plan),
	});
	expect(done).toMatchObject({ exit: EXIT.ok, err: "" });
	expect(() => JSON.parse(done.out) as unknown).not.toThrow();
	const written = control.received.filter(({ method, path }) => method !== "GET" && !path.includes("dryRun=true"));
	expect(written).toEqual([]);
});

test("what is exported is what control said, though a terminal would obey it", async () => {
	const file = { flags: [{ key: "f", description: "a\u009B2J\u202Eb\tc\u0007\u007F" }] };
	const control = await standIn(() => ({ body: file }));
	for (const argv of [["export"], ["export", "--json"]]) {
		// oxlint-disable-next-line no-await-in-loop -- two
		const { out } = await tidegate(argv, { env: control.env });
		expect(JSON.parse(out)).toEqual(file);
		// oxlint-disable-next-line no-control-regex -- those are what is looked for
		expect(out).not.toMatch(/[\u0000-\u0009\u000B-\u001F\u007F-\u009F\u202A-\u202E]/);
	}
});

describe("the token is never shown,", () => {
	const args: Readonly<Record<string, string[]>> = {
		"<flag>": ["f"],
		"<flag> [key=value…]": ["f"],
		"<id>": ["x.1"],
		"<id> <name>": ["x.1", "informed"],
		"<name>": ["e2e", "--status", "passed"],
		"<file>": ["-"],
		"<url>": ["http://127.0.0.1:9"],
		"<route>": ["shop"],
		"<protection>": ["shed"],
		"<subject>": ["shop"],
	};
	test.each(commands.map(({ name, takes }) => [name, takes] as const))("not by %s", async (name, takes) => {
		const control = await standIn(({ headers }) => problem("internal", 500, `asked with ${String(headers["user-agent"])}`));
		for (const more of [[], ["--json"]]) {
			// oxlint-disable-next-line no-await-in-loop -- two
			const { out, err } = await tidegate([...name.split(" "), ...(args[takes] ?? []), ...more], { env: control.env, stdin: "{}" });
			expect(out + err).not.toContain(TOKEN);
		}
	});
});
