// Both Workers deploy from their own wrangler.toml, and `wrangler dev` starts them, as Cloudflare's documentation has people expect.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { join, resolve } from "node:path";
import { afterAll, expect, test } from "vitest";
import { unstable_readConfig as readConfig } from "wrangler";

const root = resolve(import.meta.dirname, "../..");
const WORKERS = { edge: "wrangler.toml", control: "control/wrangler.toml" };

mkdirSync(join(root, ".tmp"), { recursive: true });
const scratch = mkdtempSync(join(root, ".tmp/deploy-"));
const started: ChildProcess[] = [];

/** Signals the whole process group: workerd outlives a wrangler killed alone. */
function signalGroup({ pid }: ChildProcess, signal: NodeJS.Signals): void {
	try {
		if (pid !== undefined) process.kill(-pid, signal);
	} catch {
		// The group has already ended, which is what was wanted.
	}
}
const killAll = () => started.forEach((child) => signalGroup(child, "SIGKILL"));
process.once("exit", killAll);
afterAll(() => {
	process.off("exit", killAll);
	killAll();
	rmSync(scratch, { recursive: true, force: true, maxRetries: 5 });
});

/** Wrangler without telemetry, and with its logs and registry of running Workers kept here. */
function wrangler(args: string[]): { child: ChildProcess; output: () => string } {
	const child = spawn(join(root, "node_modules/.bin/wrangler"), args, {
		cwd: root,
		detached: true,
		stdio: ["ignore", "pipe", "pipe"],
		env: {
			...process.env,
			CI: "true",
			NO_COLOR: "1",
			XDG_CONFIG_HOME: join(scratch, "config"),
			WRANGLER_SEND_METRICS: "false",
			WRANGLER_SEND_ERROR_REPORTS: "false",
			CLOUDFLARE_CF_FETCH_ENABLED: "false",
		},
	});
	started.push(child);
	let output = "";
	for (const stream of [child.stdout, child.stderr]) stream?.setEncoding("utf8").on("data", (text: string) => (output += text));
	return { child, output: () => output };
}

async function freePort(): Promise<number> {
	const server = createServer().listen(0, "127.0.0.1");
	await once(server, "listening");
	const address = server.address();
	server.close();
	if (address === null || typeof address === "string") throw new Error(`no port: ${String(address)}`);
	return address.port;
}

test.each(Object.entries(WORKERS))(
	"the %s Worker builds for deployment from %s alone",
	async (name, config) => {
		const outdir = join(scratch, name);
		const { child, output } = wrangler(["deploy", "--dry-run", "-c", config, "--outdir", outdir]);
		const [code] = (await once(child, "close", { signal: AbortSignal.timeout(60_000) })) as [number | null];
		expect(code, output()).toBe(0);
		expect(readdirSync(outdir)).toContain("index.js");
	},
	70_000,
);

test.each(Object.entries(WORKERS))("the %s Worker's %s carries no secret and no test clock", (_name, config) => {
	const { vars } = readConfig({ config: join(root, config) }, { hideWarnings: true });
	for (const name of [
		"DEV_CLOCK",
		"WEBHOOKS_ALLOW_PRIVATE",
		"CHECKS_ALLOW_PRIVATE",
		"GATEWAY_ALLOW_PRIVATE",
		"ADMIN_TOKEN",
		"USER_HASH_KEY",
		"GATEWAY_PREVIEW_KEY",
	])
		expect(vars).not.toHaveProperty(name);
});

test("wrangler dev starts both Workers, and the edge says it is alive", async () => {
	const port = await freePort();
	const configs = Object.values(WORKERS).flatMap((path) => ["-c", path]);
	const { child, output } = wrangler([
		"dev",
		...configs,
		"--ip=127.0.0.1",
		`--port=${port}`,
		`--inspector-port=${await freePort()}`,
		`--persist-to=${join(scratch, "state")}`,
		"--show-interactive-dev-session=false",
	]);
	try {
		let status = 0;
		for (const deadline = Date.now() + 45_000; status === 0 && child.exitCode === null && Date.now() < deadline;) {
			await new Promise((wake) => setTimeout(wake, 200));
			status = await fetch(`http://127.0.0.1:${port}/health/liveness`, { signal: AbortSignal.timeout(5_000) }).then(
				(response) => response.status,
				() => 0, // not listening yet
			);
		}
		expect(status, output()).toBe(200);
	} finally {
		if (child.exitCode === null) {
			const closed = once(child, "close", { signal: AbortSignal.timeout(10_000) }).catch(() => undefined);
			signalGroup(child, "SIGTERM");
			await closed;
		}
		signalGroup(child, "SIGKILL");
	}
}, 70_000);
