// Checks from workerd to an origin over real HTTP, asked for by the CLI and by the API.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { rmSync } from "node:fs";
import { afterAll, beforeAll, beforeEach, expect, test, vi } from "vitest";
import { type Receiver, aReceiver, status } from "../unit/notify/receiver";
import { type Running, freePort, run, stateFolder } from "./processes";

interface Found {
	readonly can_deploy: boolean;
	readonly failed: readonly string[];
	readonly checks: readonly { readonly name: string; readonly status: string; readonly message: string; readonly attempts: number }[];
}

const state = stateFolder();
let running: Running;
let origin: Receiver;
let control = "";
beforeAll(async () => {
	const ports = { edge: await freePort(), control: await freePort() };
	control = `http://127.0.0.1:${ports.control}`;
	[running, origin] = [run(["test/integration/instance.mjs", JSON.stringify({ ports, state })]), await aReceiver()];
	await running.printed("ready");
});
afterAll(async () => {
	await Promise.all([running.end("SIGKILL"), origin.close()]);
	rmSync(state, { recursive: true, force: true });
});
beforeEach(() => {
	origin.received.length = 0;
	origin.answer = status(200);
});

async function checked(checks: readonly object[]): Promise<Found> {
	const response = await fetch(`${control}/api/v1/checks/run`, {
		method: "POST",
		headers: { authorization: "Bearer token", "content-type": "application/json" },
		body: JSON.stringify({ environment: "production", checks, rollout: "cart", phase: "canary", percent: 5 }),
	});
	const text = await response.text();
	expect(response.status, text).toBe(200);
	return JSON.parse(text) as Found;
}

test("workerd does as the tests in Node do: redirects, endless and trickling bodies, silence, a connection that is cut", async () => {
	const trickle =
		(bytes: number): Receiver["answer"] =>
		(response) => {
			const timer = setInterval(() => response.write("x".repeat(bytes)), 1);
			response.on("close", () => clearInterval(timer));
		};
	const answers: Record<string, Receiver["answer"]> = {
		"/good": (response) => void response.writeHead(200).end('{"status": "ok"}'),
		"/redirects": (response) => void response.writeHead(302, { location: "/elsewhere" }).end('{"status": "ok"}'),
		"/endless": trickle(65_536),
		"/trickles": trickle(1),
		"/silent": () => {},
		"/cut": (response) => response.socket?.destroy(),
	};
	const closed: string[] = [];
	origin.answer = (response, received) => {
		response.on("close", () => closed.push(received.path));
		answers[received.path]?.(response, received);
	};
	const found = await checked(
		Object.keys(answers).map((path) => ({
			name: path.slice(1),
			http: origin.url + path,
			json: { path: "$.status", equals: "ok" },
			timeout: "1s",
			retries: 1,
		})),
	);
	expect(Object.fromEntries(found.checks.map(({ name, message, attempts }) => [name, [attempts, message]]))).toEqual({
		good: [1, expect.stringMatching(/^answered 200 in \d+ ms$/)],
		redirects: [2, "answered 302, not 200: redirects are not followed"],
		endless: [2, "its body is larger than 65536 bytes"],
		trickles: [2, "no answer within 1s"],
		silent: [2, "no answer within 1s"],
		cut: [2, "the connection failed"],
	});
	expect(found).toMatchObject({ can_deploy: false, failed: ["redirects", "endless", "trickles", "silent", "cut"] });
	expect(origin.received.map(({ path }) => path)).not.toContain("/elsewhere");
	// Nothing is read on behind an answer.
	await vi.waitFor(() => expect(closed).toEqual(expect.arrayContaining(["/endless", "/trickles", "/silent"])), { timeout: 10_000 });
});

test("20 checks of slow origins are made side by side, and none of them runs out of its time while it waits for another", async () => {
	origin.answer = (response) => void setTimeout(() => response.writeHead(200).end(), 300);
	const checks = Array.from({ length: 20 }, (_, i) => ({ name: `slow-${i}`, http: `${origin.url}/${i}`, timeout: "5s", retries: 0 }));
	expect(await checked(checks)).toMatchObject({ can_deploy: true, failed: [] });
	expect(origin.received).toHaveLength(20);
});

test("the CLI makes a plan's checks: 0 where they pass, and 1 where a critical one does not", async () => {
	const plan = `rollout: cart
environment: production
flags: [cart]
phases: [{ percent: 5, hold: 10m }]
checks:
  - { name: validate, http: "${origin.url}/validate", method: POST, retries: 0 }
  - { name: told, manual: support has been told, critical: false }
`;
	const tidegate = async (stdin: string) => {
		const env = { ...process.env, TIDEGATE_URL: control, TIDEGATE_TOKEN: "token" };
		const child = spawn(process.execPath, ["cli/tidegate.mjs", "checks", "run", "-"], { env });
		let [out, err] = ["", ""];
		child.stdout.setEncoding("utf8").on("data", (text: string) => (out += text));
		child.stderr.setEncoding("utf8").on("data", (text: string) => (err += text));
		child.stdin.end(stdin);
		const [exit] = (await once(child, "close")) as [number | null];
		return { exit, out, err };
	};
	expect(await tidegate(plan)).toMatchObject({ exit: 0, out: expect.stringMatching(/validate +passed +yes[^]*can deploy/), err: "" });
	expect(JSON.parse(origin.received[0]?.body ?? "")).toEqual({ rollout: "cart", phase: null, percent: 5 });
	origin.answer = status(500);
	expect(await tidegate(plan)).toMatchObject({ exit: 1, out: expect.stringContaining("cannot deploy: validate is failed"), err: "" });
	const mistaken = await tidegate(plan.replace("method: POST", "metod: POST"));
	expect(mistaken).toMatchObject({ exit: 1, out: "" });
	expect(mistaken.err).toContain("stdin:6:");
	expect(mistaken.err).toContain("/checks/0/metod: unknown field");
});
