// docs/runbooks/wrangler.md, tried on a local instance: an operator with nothing but wrangler.
import { execFile } from "node:child_process";
import { readFileSync, rmSync } from "node:fs";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Running, freePort, run, stateFolder } from "./processes";

const RUNBOOK = readFileSync("docs/runbooks/wrangler.md", "utf8");
const ADMIN = { authorization: "Bearer token", "content-type": "application/json" };
const execute = promisify(execFile);

const folder = stateFolder();
const ports = { edge: 0, control: 0 };
let instance: Running;
let sdkKey = "";

const post = async (path: string, body: object): Promise<unknown> =>
	(await fetch(`http://127.0.0.1:${ports.control}${path}`, { method: "POST", headers: ADMIN, body: JSON.stringify(body) })).json();

beforeAll(async () => {
	Object.assign(ports, { edge: await freePort(), control: await freePort() });
	instance = run(["test/integration/instance.mjs", JSON.stringify({ ports, state: `${folder}/v3` })]);
	await instance.printed("ready");
	await post("/api/v1/flags?environment=production", { key: "new-checkout", type: "boolean", fallthrough: "true" });
	({ key: sdkKey } = (await post("/api/v1/keys", { environment: "production", name: "test" })) as { key: string });
	await (await fetch(`http://127.0.0.1:${ports.control}/cdn-cgi/local/scheduled?cron=${encodeURIComponent("* * * * *")}`)).text();
});
afterAll(async () => {
	await instance.end("SIGKILL");
	rmSync(folder, { recursive: true, force: true });
});

/** On this instance's state in place of that of `npm run dev`. */
async function wrangler(...args: readonly string[]): Promise<string> {
	const { stdout } = await execute("node_modules/.bin/wrangler", [...args, "--local", "--persist-to", folder], {
		env: { ...process.env, WRANGLER_SEND_METRICS: "false" },
	});
	return stdout;
}

async function seen(): Promise<unknown> {
	const answer = await fetch(`http://127.0.0.1:${ports.edge}/ofrep/v1/evaluate/flags/new-checkout`, {
		method: "POST",
		headers: { authorization: `Bearer ${sdkKey}` },
		body: JSON.stringify({ context: { targetingKey: "ann" } }),
	});
	return answer.json();
}

async function untilSeen(wanted: object): Promise<void> {
	for (let tries = 0; ; tries++) {
		// oxlint-disable-next-line no-await-in-loop -- polls
		const found = await seen();
		try {
			expect(found).toMatchObject(wanted);
			return;
		} catch (error) {
			if (tries >= 60) throw error;
			// oxlint-disable-next-line no-await-in-loop -- polls
			await new Promise((done) => setTimeout(done, 500));
		}
	}
}

test("a flag goes by kv key put, and is back once the key is deleted", { timeout: 90_000 }, async () => {
	expect(await seen()).toMatchObject({ value: true });
	const put = "kv key put --namespace-id snapshots --local --persist-to .wrangler/state override/production";
	const text = new RegExp(`wrangler -- ${put} '(.*)'`).exec(RUNBOOK)?.[1] ?? "";
	expect(JSON.parse(text)).toMatchObject({ kill: ["new-checkout"] });
	await wrangler("kv", "key", "put", "--namespace-id", "snapshots", "override/production", text);
	await untilSeen({ value: false, reason: "DISABLED", metadata: { overlay: "break-glass" } });
	await wrangler("kv", "key", "delete", "--namespace-id", "snapshots", "override/production");
	await untilSeen({ value: true });
});

test("state is read by d1 execute: every query of the runbook runs, and no migration is missing", { timeout: 90_000 }, async () => {
	const phases = [{ percent: 100, hold: "10m", criteria: ["error_rate < 3%"] }];
	await post("/api/v1/flags?environment=production", { key: "other", type: "boolean" });
	await post("/api/v1/rollouts", { rollout: "checkout", environment: "production", flags: ["other"], phases });
	await post("/api/v1/rollouts/checkout.1/commands", { command: "start" });
	const queries = [...RUNBOOK.matchAll(/^q "(.*?)"/gm)].map(([, query]) => query ?? "");
	expect(queries.length).toBeGreaterThan(5);
	const d1 = ["DB", "-c", "control/wrangler.toml"];
	// One call for all: each starts a workerd.
	const found = JSON.parse(await wrangler("d1", "execute", ...d1, "--json", "--command", queries.join("; "))) as {
		success: boolean;
		results: unknown[];
	}[];
	expect(found).toHaveLength(queries.length);
	expect(found.every(({ success }) => success)).toBe(true);
	expect(found[queries.findIndex((each) => each.includes("FROM rollouts"))]?.results).toEqual([
		{ id: "checkout.1", status: "running", revision: 1 },
	]);
	expect(await wrangler("d1", "migrations", "list", ...d1)).toContain("No migrations to apply");
});
