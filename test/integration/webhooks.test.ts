// Webhooks from workerd to a receiver over real HTTP, and read as docs/webhooks.md says.
import { readFileSync, rmSync } from "node:fs";
import { Webhook } from "standardwebhooks";
import { afterAll, beforeAll, beforeEach, expect, test, vi } from "vitest";
import { type Receiver, type Received, aReceiver, status } from "../unit/notify/receiver";
import { type Running, freePort, run, stateFolder } from "./processes";

const state = stateFolder();
const [, path = "", sent = ""] =
	/curl -X POST localhost:8788(\S+) [^']+'content-type: application\/json' \\\n +-d '(.+)'/.exec(
		readFileSync("docs/webhooks.md", "utf8"),
	) ?? [];
const documented = JSON.parse(sent) as Record<string, unknown>;

interface Subscriber {
	readonly id: string;
	readonly secret: string;
}

let running: Running;
let receiver: Receiver;
let control = "";
beforeAll(async () => {
	const ports = { edge: await freePort(), control: await freePort() };
	control = `http://127.0.0.1:${ports.control}`;
	[running, receiver] = [run(["test/integration/instance.mjs", JSON.stringify({ ports, state })]), await aReceiver()];
	await running.printed("ready");
	await call("/api/v1/flags?environment=production", { key: "cart", type: "boolean" });
});
afterAll(async () => {
	await Promise.all([running.end("SIGKILL"), receiver.close()]);
	rmSync(state, { recursive: true, force: true });
});
beforeEach(() => {
	receiver.received.length = 0;
	receiver.answer = status(204);
});

async function call<T>(to: string, body?: object, method = body ? "POST" : "GET"): Promise<T> {
	const headers = { authorization: "Bearer token", "content-type": "application/json" };
	const response = await fetch(control + to, { method, headers, ...(body ? { body: JSON.stringify(body) } : {}) });
	const text = await response.text();
	expect(response.status, text).toBeLessThan(300);
	return JSON.parse(text === "" ? "null" : text) as T;
}
const tick = async (): Promise<void> => {
	await (await fetch(`${control}/cdn-cgi/local/scheduled?cron=${encodeURIComponent("* * * * *")}&time=${Date.now()}`)).text();
};
const subscribe = (to: string): Promise<Subscriber> => call(path, { ...documented, url: `${receiver.url}${to}` });
const verified = (secret: string, { body, headers }: Received): unknown =>
	new Webhook(secret).verify(body, headers as Record<string, string>);

test("a rollout's start reaches who subscribed as documented, signed, once, and after a failure again", async () => {
	const { id, secret } = await subscribe("/hook");
	const plan = {
		rollout: "cart",
		environment: "production",
		flags: ["cart"],
		phases: [{ percent: 100, hold: "10m", criteria: ["error_rate < 3%"] }],
	};
	await call("/api/v1/rollouts", plan);
	await call("/api/v1/rollouts/cart.1/commands", { command: "start", reason: "first try" });
	receiver.answer = status(503);
	await tick();
	await tick();
	expect(receiver.received).toHaveLength(1);
	// Whoever moves is tried at once.
	receiver.answer = status(204);
	await call(`${path}/${id}`, { url: `${receiver.url}/moved` }, "PATCH");
	await tick();
	await tick();
	const [first, second, ...more] = receiver.received;
	expect(more).toEqual([]);
	expect([first?.path, second?.path]).toEqual(["/hook", "/moved"]);
	expect(second?.headers["webhook-id"]).toBe(first?.headers["webhook-id"]);
	for (const each of [first, second])
		expect(each && verified(secret, each)).toMatchObject({
			type: "rollout.started",
			timestamp: expect.stringMatching(/Z$/),
			data: { rollout: "cart.1", revision: 1, environment: "production", reason: "operator", status: "running" },
		});
	expect(await call(`${path}/${id}`)).toMatchObject({ pending: 0, deliveries: [{ status: "delivered", attempts: 2 }] });
	await call(`${path}/${id}`, { enabled: false }, "PATCH");
});

test("workerd does as the tests in Node do: redirects, endless bodies, silence, a connection that is cut", async () => {
	const answers: Record<string, Receiver["answer"]> = {
		"/redirects": (response) => void response.writeHead(307, { location: "/elsewhere" }).end(),
		"/endless": (response) => {
			const timer = setInterval(() => response.write("x".repeat(65_536)), 1);
			response.on("close", () => clearInterval(timer));
		},
		"/stalls": (response) => response.writeHead(202).flushHeaders(),
		"/silent": () => {},
		"/cut": (response) => response.socket?.destroy(),
	};
	const closed: string[] = [];
	receiver.answer = (response, received) => {
		response.on("close", () => closed.push(received.path));
		answers[received.path]?.(response, received);
	};
	const startedMs = Date.now();
	const results = await Promise.all(
		Object.keys(answers).map(async (to) => {
			const { id, secret } = await subscribe(to);
			const result = await call<object>(`${path}/${id}/test`, {});
			const got = receiver.received.filter((each) => each.path === to);
			return [to, { ...result, requests: got.map((each) => (verified(secret, each) as { type: string }).type) }];
		}),
	);
	const requests = ["webhook.test"];
	expect(Object.fromEntries(results)).toMatchObject({
		"/redirects": { delivered: false, status: 307, requests },
		"/endless": { delivered: true, status: 200, requests },
		"/stalls": { delivered: true, status: 202, requests },
		"/silent": { delivered: false, status: null, error: "no answer within 10000 ms", requests },
		"/cut": { delivered: false, status: null, error: "the connection failed" },
	});
	expect(receiver.received.map((each) => each.path)).not.toContain("/elsewhere");
	expect(Date.now() - startedMs).toBeLessThan(30_000);
	// Nothing is read on behind an answer.
	await vi.waitFor(() => expect(closed).toEqual(expect.arrayContaining(["/endless", "/stalls", "/silent"])), { timeout: 10_000 });
});
