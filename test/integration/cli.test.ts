// The CLI as people and scripts run it, against both Workers.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Running, freePort, run, stateFolder } from "./processes";

const MINUTE_MS = 60_000;
const TOKEN = "token";

const state = stateFolder();
const folder = mkdtempSync(join(tmpdir(), "tidegate-cli-"));
const ports = { edge: 0, control: 0 };
let instance: Running;
let sdkKey = "";
/** The clock of ticks and events; it only goes forward. */
let now = Math.ceil(Date.now() / MINUTE_MS) * MINUTE_MS;

const at = (port: number, path: string): string => `http://127.0.0.1:${port}${path}`;
const tick = async (): Promise<void> => {
	now += MINUTE_MS;
	await (await fetch(at(ports.control, `/cdn-cgi/local/scheduled?cron=${encodeURIComponent("* * * * *")}&time=${now}`))).text();
};

beforeAll(async () => {
	Object.assign(ports, { edge: await freePort(), control: await freePort() });
	instance = run(["test/integration/instance.mjs", JSON.stringify({ ports, state })]);
	await instance.printed("ready");
	await tick();
	const made = await fetch(at(ports.control, "/api/v1/keys"), {
		method: "POST",
		headers: { authorization: `Bearer ${TOKEN}`, "content-type": "application/json" },
		body: JSON.stringify({ environment: "production", name: "test" }),
	});
	sdkKey = ((await made.json()) as { key: string }).key;
});
afterAll(async () => {
	await instance.end("SIGKILL");
	for (const each of [state, folder]) rmSync(each, { recursive: true, force: true });
});

interface Done {
	readonly exit: number | null;
	readonly out: string;
	readonly err: string;
}

/** As `npx tidegate` runs it, with the login of these tests. */
function start(args: readonly string[], { stdin = "", env = {} }: { stdin?: string; env?: Readonly<Record<string, string>> } = {}) {
	const child = spawn(process.execPath, ["cli/tidegate.mjs", ...args], { env: { ...process.env, XDG_CONFIG_HOME: folder, ...env } });
	const written = { out: "", err: "" };
	child.stdout.setEncoding("utf8").on("data", (text: string) => (written.out += text));
	child.stderr.setEncoding("utf8").on("data", (text: string) => (written.err += text));
	child.stdin.end(stdin);
	const done = once(child, "close").then(([exit]): Done => ({ exit: exit as number | null, ...written }));
	return { done, written, interrupt: () => child.kill("SIGINT") };
}
const tidegate = (args: string, given?: Parameters<typeof start>[1]): Promise<Done> => start(args.split(" "), given).done;
/** What --json says; the whole of stdout is one JSON value. */
const json = async <T>(args: string, given?: Parameters<typeof start>[1]): Promise<T> =>
	JSON.parse((await tidegate(`${args} --json`, given)).out) as T;

async function until(what: string, isSo: () => boolean | Promise<boolean>): Promise<void> {
	for (let tries = 0; tries < 300; tries++) {
		// oxlint-disable-next-line no-await-in-loop -- polls
		if (await isSo()) return;
		// oxlint-disable-next-line no-await-in-loop -- polls
		await new Promise((done) => setTimeout(done, 100));
	}
	throw new Error(`not after 30 s: ${what}`);
}

const FLAGS = ["cart", "healthy", "harmful", "unwanted", "first", "second", "forsaken", "third", "careful", "stepped"];

const planOf = (name: string): string => `rollout: ${name}
environment: production
flags: [${name}]
phases:
  - { name: half, percent: 50, hold: 1m, criteria: [error_rate < 50%] }
  - { name: all, percent: 100, hold: 1m, criteria: [error_rate < 50%] }
min_users: 5
advance: relaxed
`;
function planFile(name: string, text = planOf(name)): string {
	const path = join(folder, `${name}.yaml`);
	writeFileSync(path, text);
	return path;
}
const launch = async (name: string): Promise<string> => (await json<{ id: string }>(`plan apply ${planFile(name)} --start`)).id;

test("before anybody has logged in, it says how to", async () => {
	expect(await tidegate("status")).toMatchObject({ exit: 2, out: "", err: expect.stringContaining("tidegate login <url>") as string });
});

test("a token that is not taken is not kept, and the right one is", async () => {
	const url = at(ports.control, "");
	expect(await tidegate(`login ${url}`, { stdin: "wrong" })).toMatchObject({
		exit: 7,
		err: expect.stringContaining("does not take the token") as string,
	});
	expect(await tidegate(`login ${url} --edge ${at(ports.edge, "")}`, { stdin: `${TOKEN}\n` })).toMatchObject({ exit: 0 });
	expect(await tidegate("rollout list")).toMatchObject({ exit: 0, out: "there are no such rollouts in production\n" });
});

test("a token that is made is its owner's, for one environment, until it is revoked", async () => {
	const made = await tidegate("token create ci --role operator --environment staging");
	expect(made).toMatchObject({ exit: 0, out: expect.stringMatching(/^tgc_[\w-]{43}\n$/) as string });
	const env = { TIDEGATE_URL: at(ports.control, ""), TIDEGATE_TOKEN: made.out.trim() };
	expect(await tidegate("flags --environment staging", { env })).toMatchObject({ exit: 0 });
	expect(await tidegate("flags", { env })).toMatchObject({ exit: 7, err: expect.stringContaining("for staging only") as string });
	expect(await tidegate("token list", { env })).toMatchObject({ exit: 7, err: expect.stringContaining("takes an admin") as string });
	expect(await tidegate("token list")).toMatchObject({ exit: 0, out: expect.stringContaining("ci") as string });
	expect(await tidegate("token revoke ci")).toMatchObject({ exit: 0 });
	expect(await tidegate("flags --environment staging", { env })).toMatchObject({ exit: 7 });
});

describe("flags", () => {
	test("come in by import, first as a dry run that says what would be, and go out by export", async () => {
		const file = join(folder, "flags.json");
		writeFileSync(file, JSON.stringify({ schemaVersion: 1, flags: FLAGS.map((key) => ({ key, type: "boolean" })) }));
		const dry = await tidegate(`import ${file} --dry-run`);
		expect(dry.out).toContain("+ cart\n");
		expect(dry.out).toContain("nothing was written");
		expect(await json("flags list")).toEqual([]);
		expect(await json(`import ${file}`)).toMatchObject({ created: FLAGS, applied: true });
		const out = join(folder, "out.json");
		expect((await tidegate(`export --output ${out}`)).exit).toBe(0);
		const { flags } = JSON.parse(readFileSync(out, "utf8")) as { flags: unknown[] };
		expect(flags).toHaveLength(FLAGS.length);
		expect((await json<{ flags: unknown[] }>("export")).flags).toEqual(flags);
	});

	test("what cannot be imported is told at its place in the file, and nothing is written", async () => {
		const { exit, err } = await tidegate("import -", {
			stdin: "schemaVersion: 1\nflags:\n  - key: fine\n    type: boolean\n  - key: bad\n    type: colour\n",
		});
		expect(exit).toBe(1);
		expect(err).toContain("stdin:6:11: /flags/1/type: ");
		expect(await tidegate("flags get fine")).toMatchObject({
			exit: 1,
			err: expect.stringContaining("there is no flag fine in production") as string,
		});
	});

	test("are killed and served again", async () => {
		expect(await json("kill cart --reason test")).toMatchObject({ key: "cart", enabled: false });
		expect((await tidegate("flags")).out).toMatch(/^cart +boolean +killed/m);
		expect(await tidegate("unkill cart")).toMatchObject({ exit: 0, out: "cart is served again in production, within 10 s\n" });
		expect(await tidegate("unkill cart")).toMatchObject({ exit: 0, out: "cart is not killed in production\n" });
		expect(await tidegate("kill carr")).toMatchObject({ exit: 1, out: "" });
	});

	test("are explained for a context", async () => {
		await tick();
		const told = await json<{ steps: string[]; resolution: object }>("explain cart --context targetingKey=ann age:=42");
		expect(told.resolution).toMatchObject({ value: false, variant: "false" });
		expect(told.steps).not.toEqual([]);
	});
});

describe("a plan", () => {
	test("is validated here: no login, no request", async () => {
		const env = { XDG_CONFIG_HOME: join(folder, "nobody") };
		expect(await json(`plan validate ${planFile("healthy")}`, { env })).toMatchObject({ valid: true });
		const bad = planFile("bad", planOf("healthy").replace("percent: 50", "percent: fifty"));
		expect(await tidegate(`plan validate ${bad}`, { env })).toMatchObject({
			exit: 1,
			out: expect.stringContaining(`${bad}:5:28: /phases/0/percent: takes a number`) as string,
		});
		expect(await json(`plan validate ${bad}`, { env })).toMatchObject({
			valid: false,
			errors: [{ line: 5, column: 28, field: "/phases/0/percent" }],
		});
	});

	test("whose flag is not there is refused at the flag's place", async () => {
		const { exit, err } = await tidegate(`plan apply ${planFile("nobody")}`);
		expect(exit).toBe(1);
		expect(err).toContain("nobody.yaml:3:9: /flags/0: there is no flag nobody in production");
	});

	test("makes a draft, and differs from it where it is changed", async () => {
		const file = planFile("unwanted");
		expect((await tidegate(`plan diff ${file}`)).out).toContain("unwanted has no attempt yet");
		expect(await tidegate(`plan apply ${file}`)).toMatchObject({
			exit: 0,
			out: "unwanted.1 is a draft: tidegate rollout start unwanted.1\n",
		});
		expect(await json(`plan diff ${file}`)).toMatchObject({ against: "unwanted.1", differences: [] });
		planFile("unwanted", planOf("unwanted").replace("percent: 50", "percent: 25"));
		expect(await json(`plan diff ${file}`)).toMatchObject({ differences: [{ path: "/phases/0/percent", before: 50, after: 25 }] });
	});

	test("for one environment is not applied to another", async () => {
		expect(await tidegate(`plan apply ${planFile("healthy")} --environment staging`)).toMatchObject({ exit: 2 });
	});
});

describe("an environment", () => {
	test("is set by a file, shown as one that can be set again, and its breaker is reset", async () => {
		const file = join(folder, "staging.yaml");
		writeFileSync(file, "breaker: { rollbacks: 5 }\ndefaults: { guards: [error_rate vs control <= +25%] }\n");
		const set = await tidegate(`environment settings -e staging --file ${file} --reason calm`);
		expect(set).toMatchObject({ exit: 0, out: expect.stringContaining("# staging: version 1") as string });
		writeFileSync(file, set.out);
		expect(await json(`environment settings -e staging --file ${file}`)).toMatchObject({
			version: 2,
			automation: "act",
			breaker: { rollbacks: 5, within: "1h" },
			defaults: { guards: ["error_rate vs control <= +25%"] },
		});
		writeFileSync(file, "defaults: { red_flags: [moon_rate > 3%] }\n");
		expect(await tidegate(`environment settings -e staging --file ${file}`)).toMatchObject({
			exit: 1,
			err: expect.stringContaining(`${file}:1:25: /defaults/red_flags/0: unknown quantity "moon_rate"`) as string,
		});
		expect(await json("breaker reset -e staging --reason tried")).toMatchObject({
			state: "closed",
			resetAtMs: expect.any(Number) as number,
		});
		expect((await tidegate("environment")).out).toMatch(/production .*acts +closed\nstaging .*acts +closed/);
	});
});

describe("a rollout", () => {
	test("that is well is watched until it is completed: 0", async () => {
		const id = await launch("healthy");
		const watching = start(["rollout", "watch", id, "--interval", "1s"]);
		await playWell("healthy", id);
		const { exit, out } = await watching.done;
		expect(exit).toBe(0);
		expect(out).toMatch(/Z {2}start +operator/);
		expect(out).toMatch(/Z {2}advance .*\(tidegate\)\n/);
		expect(out.endsWith(`${id} is completed: everybody is served the candidate\n`)).toBe(true);
	});

	test("that somebody rolls back ends its watching with 3, and one that is cancelled with 4", async () => {
		const id = await launch("harmful");
		const watching = start(["rollout", "watch", id, "--interval", "1s", "--json"]);
		await until("it is watched", () => watching.written.err.includes("start"));
		expect(await tidegate(`rollout rollback ${id} --reason bad`)).toMatchObject({
			exit: 0,
			out: `${id} is rolled back: edges serve the baseline within 10 s\n`,
		});
		const { exit, out } = await watching.done;
		expect(exit).toBe(3);
		expect(JSON.parse(out)).toMatchObject({
			id,
			status: "rolled_back",
			exitCode: 3,
			changes: [{ kind: "start" }, { kind: "roll_back", message: "bad" }],
		});

		await tidegate("rollout cancel unwanted.1");
		expect(await tidegate("rollout watch unwanted.1")).toMatchObject({ exit: 4 });
	});

	test("takes the commands that fit, and says which do where one does not", async () => {
		const id = await launch("first");
		expect(await tidegate(`rollout pause ${id} --reason lunch`)).toMatchObject({ exit: 0, out: `${id} is paused: half, 50 %\n` });
		expect(await tidegate(`rollout pause ${id}`)).toMatchObject({
			exit: 1,
			err: expect.stringContaining("which takes resume, extend, rollback, cancel") as string,
		});
		expect((await tidegate(`rollout show ${id}`)).out).toMatch(/reason +lunch \(admin\)/);
		expect(await json(`rollout resume ${id}`)).toMatchObject({ status: "running" });
		expect(await json(`rollout advance ${id}`)).toMatchObject({ phase: "all" });
		expect((await json<{ kind: string }[]>(`rollout events ${id}`)).map(({ kind }) => kind)).toEqual([
			"start",
			"pause",
			"resume",
			"advance",
		]);
		expect(await tidegate("rollout show first")).toMatchObject({
			exit: 1,
			err: expect.stringContaining("an id ends in its attempt, as in first.1") as string,
		});
	});
});

test("status and doctor see what is live, and how everything is", async () => {
	await tick();
	const { out } = await tidegate("status");
	expect(out).toMatch(/^first\.1 +running +all +100 % +unknown/m);
	expect(await json("status")).toMatchObject({ environment: "production", rollouts: [{ id: "first.1", health: { level: "unknown" } }] });
	const found = await json<{ ok: boolean; checks: { name: string; status: string }[] }>("doctor");
	expect(found).toMatchObject({ ok: true });
	expect(Object.fromEntries(found.checks.map(({ name, status }) => [name, status]))).toMatchObject({
		control: "ok",
		token: "ok",
		tick: "ok",
		edge: "ok",
		head: "ok",
		isolates: "ok",
	});
});

test("an emergency ends all that is live, and then nothing is", async () => {
	await launch("second");
	const dry = await json<{ requests: { url: string; body: unknown }[]; rollouts: string[] }>("emergency-rollback --dry-run");
	expect(dry.requests).toMatchObject([{ body: { environment: "production", all: true } }]);
	expect(dry.rollouts).toEqual(["first.1", "second.1"]);
	expect(await json("rollout list --status running")).toHaveLength(2);
	expect(await json("emergency-rollback --reason test")).toEqual({
		environment: "production",
		done: ["first.1", "second.1"],
		failed: [],
		rolledBack: ["first.1", "second.1"],
		killed: [],
		notInRollout: [],
	});
	expect(await json("rollout list --status running")).toEqual([]);
	expect(await tidegate("emergency-rollback")).toMatchObject({ exit: 0, out: "nothing is live in production\n" });
	const id = await launch("third");
	expect(await json("emergency-rollback --flags third,cart")).toMatchObject({ done: [id], notInRollout: ["cart"], failed: [] });
	expect(await json("emergency-rollback --flags cart,nobody --kill")).toMatchObject({ done: ["cart"], failed: [{ name: "nobody" }] });
	const { statistics, history } = await json<{ statistics: unknown; history: unknown[] }>("rollbacks");
	expect(statistics).toMatchObject({ count: 4, manual: 4, byStrategy: { emergency: 2, immediate: 2 } });
	expect(history[0]).toMatchObject({ rollout: id, trigger: "operator" });
	expect((await tidegate("rollbacks")).out).toMatch(/third\.1 +immediate +operator +admin/);
});

describe("a rollout with approvals and stages", () => {
	const careful = planOf("careful").replace("percent: 50, hold: 1m", "percent: 50, hold: 1h, approval: manual");

	test("is scheduled, sent back and approved by another person, and lasts longer when it is told to", async () => {
		const file = planFile("careful", careful);
		expect((await tidegate(`plan validate ${file}`)).out).toMatch(/half +50 % +everybody +1h +manual/);
		const { id } = await json<{ id: string }>(`plan apply ${file}`);
		expect(await tidegate(`rollout start ${id} --at 2100-01-01T00:00:00Z`)).toMatchObject({
			exit: 0,
			out: expect.stringContaining(`${id} is scheduled: half (50 %, with careful), from 2100-01-01T00:00:00Z on\n`) as string,
		});
		expect((await tidegate("status")).out).toMatch(/^careful\.1 +scheduled/m);
		expect(await tidegate(`rollout cancel ${id}`)).toMatchObject({ exit: 0 });

		const again = (await json<{ id: string }>(`plan apply ${file} --start --manual`)).id;
		expect(await json(`rollout show ${again}`)).toMatchObject({ status: "validating", next: { waitsFor: ["approval"] } });
		expect(await tidegate(`rollout approve ${again}`)).toMatchObject({ exit: 1, out: "" });
		const watching = start(["rollout", "watch", again, "--interval", "1s"]);
		expect(await tidegate(`rollout reject ${again} --reason unready`)).toMatchObject({ exit: 0, out: `${again} is a draft\n` });
		expect(await watching.done).toMatchObject({ exit: 1, err: expect.stringContaining("is a draft again: unready") as string });

		const bob = (await tidegate("token create bob --role operator")).out.trim();
		const env = { TIDEGATE_URL: at(ports.control, ""), TIDEGATE_TOKEN: bob };
		expect(await tidegate(`rollout start ${again} --manual`)).toMatchObject({ exit: 0 });
		expect(await tidegate(`rollout approve ${again} --reason fine`, { env })).toMatchObject({ exit: 0 });
		await tick();
		expect(await json(`rollout extend ${again} --by 2h`)).toMatchObject({
			status: "running",
			state: { extendedMs: 7_200_000, manual: true },
		});
		expect(await tidegate(`rollout advance ${again} --force --reason known`, { env })).toMatchObject({ exit: 7 });
		expect(await json(`rollout advance ${again} --force --reason known`)).toMatchObject({ phase: "all" });
		await tidegate(`rollout cancel ${again}`);
	});

	test("starts in a later phase, goes down by stages, and its watching ends with 3 once nobody is served the candidate", async () => {
		const { id } = await json<{ id: string }>(`plan apply ${planFile("stepped")}`);
		expect(await tidegate(`rollout start ${id} --from-phase 2`)).toMatchObject({
			out: expect.stringContaining(`${id} is running: all, 100 %`) as string,
		});
		const watching = start(["rollout", "watch", id, "--interval", "1s"]);
		expect(await tidegate(`rollout rollback ${id} --strategy gradual --stages 50,0 --reason slow`)).toMatchObject({
			exit: 0,
			out: `${id} is on its way back: 50 % still, then 0 %\n`,
		});
		expect(await json("rollout list --status rolling_back,paused")).toMatchObject([{ id, percent: 50 }]);
		expect((await tidegate(`rollout show ${id}`)).out).toMatch(/way back +then 0 %/);
		await tidegate(`rollout rollback ${id} --reason now`);
		expect((await watching.done).exit).toBe(3);
	});
});

test("when control dies, watching ends with 5, and everything else says that it cannot be reached", async () => {
	const id = await launch("forsaken");
	const left = start(["rollout", "watch", id, "--interval", "1s"]);
	const watching = start(["rollout", "watch", id, "--interval", "1s", "--patience", "1s"]);
	await until("they are watched", () => watching.written.out.includes("start") && left.written.out.includes("start"));
	await instance.end("SIGKILL");
	expect(await watching.done).toMatchObject({
		exit: 5,
		err: expect.stringContaining("the rollout goes on without anybody watching") as string,
	});
	left.interrupt();
	expect((await left.done).exit).toBe(130);
	expect(await tidegate("rollout rollback forsaken.1")).toMatchObject({
		exit: 5,
		err: expect.stringContaining("is it running?") as string,
	});
	expect(await json("doctor")).toMatchObject({ ok: false });
});

/** Users whom the edge serves, without an error, and ticks, until the rollout has ended. */
async function playWell(name: string, id: string): Promise<void> {
	const users = Array.from({ length: 60 }, (_, i) => `user-${i}`);
	const ask = async (path: string, body: object) =>
		(
			await fetch(at(ports.edge, path), {
				method: "POST",
				headers: { authorization: `Bearer ${sdkKey}`, "x-tidegate-now": String(now) },
				body: JSON.stringify(body),
			})
		).json() as Promise<{ value?: boolean; accepted?: number; metadata?: { phase?: string } }>;
	let phase = "";
	await until("it is completed", async () => {
		const found = await json<{ status: string; phase: string }>(`rollout show ${id}`);
		if (found.status === "completed") return true;
		if (found.phase !== phase)
			await until(`the edge serves ${found.phase}`, async () => {
				const { metadata } = await ask(`/ofrep/v1/evaluate/flags/${name}`, { context: { targetingKey: "user-1" } });
				return metadata?.phase === found.phase;
			});
		({ phase } = found);
		await ask("/v1/events", { events: users.map((targetingKey) => ({ targetingKey, metric: "error", value: false })) });
		await tick();
		return false;
	});
}
