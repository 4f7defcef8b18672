import { rmSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Running, freePort, run, stateFolder } from "./processes";

/** Both Workers in one workerd under steady traffic, while what they stand on is taken away in turn. */

const state = stateFolder();
let running: Running;
let ports: { edge: number; control: number };
let serverKey = "";
let clientKey = "";

type Part = "d1" | "kv" | "control";
type Outage = Partial<Record<Part, "down" | "hangs">>;

const to = (role: "edge" | "control", path: string, method: string, body?: string): Promise<Response> =>
	fetch(`http://127.0.0.1:${ports[role]}${path}`, {
		method,
		headers: { authorization: "Bearer token", "content-type": "application/json" },
		...(body === undefined ? {} : { body }),
	});
const api = async (path: string, body: object): Promise<Record<string, unknown>> => {
	const response = await to("control", `/api/v1${path}`, "POST", JSON.stringify(body));
	const answer = (await response.json()) as Record<string, unknown>;
	expect(response.status, JSON.stringify(answer)).toBeLessThan(300);
	return answer;
};
const take = async (outage: Outage): Promise<void> =>
	void (await Promise.all((["edge", "control"] as const).map((role) => to(role, "/.outage", "PUT", JSON.stringify(outage)))));
const tick = async (): Promise<void> => {
	const path = `/cdn-cgi/local/scheduled?cron=${encodeURIComponent("* * * * *")}&time=${Date.now()}`;
	await (await to("control", path, "GET")).text();
};

beforeAll(async () => {
	ports = { edge: await freePort(), control: await freePort() };
	running = run(["test/integration/instance.mjs", JSON.stringify({ ports, state, breakable: true })]);
	await running.printed("ready");
	await api("/flags?environment=production", { key: "open", type: "boolean", fallthrough: "true", public: true });
	await api("/flags?environment=production", {
		key: "split",
		type: "string",
		variants: { a: "A", b: "B" },
		offVariant: "a",
		fallthrough: [
			{ variant: "a", weight: 50_000 },
			{ variant: "b", weight: 50_000 },
		],
		public: true,
	});
	serverKey = String((await api("/keys", { environment: "production", name: "server" }))["key"]);
	clientKey = String((await api("/keys", { environment: "production", name: "client", kind: "client" }))["key"]);
	await tick();
});
afterAll(async () => {
	await running.end("SIGKILL");
	rmSync(state, { recursive: true, force: true });
});

interface Answer {
	readonly during: string;
	readonly status: number;
	readonly ms: number;
	readonly value: unknown;
	readonly reason: unknown;
	readonly overlay: unknown;
}

test(
	"D1, control and KV taken away in turn: no known flag gets a 5xx, and break-glass is honoured with D1 gone",
	{ timeout: 70_000 },
	async () => {
		const answers: Answer[] = [];
		let during = "all up";
		const over = new AbortController();
		const ask = async (key: string, sdkKey: string, user: string): Promise<void> => {
			const asked = during;
			const startedAtMs = performance.now();
			const single = key !== "";
			const response = await fetch(`http://127.0.0.1:${ports.edge}/ofrep/v1/evaluate/flags${single ? `/${key}` : ""}`, {
				method: "POST",
				headers: { authorization: `Bearer ${sdkKey}` },
				body: JSON.stringify({ context: { targetingKey: user } }),
			});
			const body = (await response.json()) as { value?: unknown; reason?: unknown; metadata?: { overlay?: unknown } };
			const ms = performance.now() - startedAtMs;
			answers.push({ during: asked, status: response.status, ms, value: body.value, reason: body.reason, overlay: body.metadata?.overlay });
		};
		/** A steady load, however long an answer takes: about 60 requests a second. */
		const load = async (): Promise<void> => {
			const under: Promise<void>[] = [];
			for (let i = 0; !over.signal.aborted; i++) {
				under.push(
					ask("open", i % 2 ? serverKey : clientKey, `user-${i}`),
					ask("split", serverKey, `user-${i}`),
					ask("", clientKey, `user-${i}`),
				);
				// oxlint-disable-next-line no-await-in-loop -- steady requests
				await pause(50);
			}
			await Promise.all(under);
		};
		/** Returns what was logged meanwhile: an outage that nobody noticed would show nothing. */
		const phase = async (name: string, outage: Outage, ms: number): Promise<string> => {
			const begin = running.output().length;
			await take(outage);
			during = name;
			await pause(ms);
			return running.output().slice(begin);
		};
		const until = async (wanted: (last: Answer) => boolean, ms: number): Promise<number> => {
			const startedAtMs = performance.now();
			const begin = answers.length;
			for (;;) {
				if (answers.slice(begin).some(wanted)) return performance.now() - startedAtMs;
				if (performance.now() - startedAtMs > ms) throw new Error(`not seen within ${ms} ms: ${JSON.stringify(answers.at(-1))}`);
				// oxlint-disable-next-line no-await-in-loop -- polls what the load has seen
				await pause(20);
			}
		};

		const loading = load();
		await phase("all up", {}, 1_000);
		await phase("D1 down", { d1: "down" }, 500);
		await to("control", "/.kv/override/production", "PUT", '{"kill": ["open"], "baseline": []}');
		await until((each) => each.overlay === "break-glass" && each.value === false, 10_000);
		expect((await to("control", "/health/readiness", "GET")).status).toBe(503);
		await to("control", "/.kv/override/production", "DELETE");
		await until((each) => each.value === true && each.overlay === undefined, 10_000);
		const logs = {
			d1: await phase("D1 hanging", { d1: "hangs" }, 3_000),
			control: (await phase("control down", { control: "down" }, 4_000)) + (await phase("control hanging", { control: "hangs" }, 4_000)),
			kv: (await phase("KV down", { kv: "down" }, 6_000)) + (await phase("KV hanging", { kv: "hangs" }, 6_000)),
		};
		await phase("all hanging", { d1: "hangs", kv: "hangs", control: "hangs" }, 3_000);
		await phase("all up again", {}, 1_000);
		await until((each) => each.reason === "STATIC" && each.value === true, 5_000);
		over.abort();
		await loading;

		const [failed, hung] = [(what: string) => `Error: ${what} is gone`, "Error: no answer within 500 ms"];
		expect(logs.d1).toContain(hung);
		for (const log of [failed("control"), hung]) expect(logs.control).toContain(log);
		for (const log of [failed("kv"), hung]) expect(logs.kv).toContain(log);
		const by = Map.groupBy(answers, (each) => each.during);
		expect([...by.keys()]).toEqual([
			"all up",
			"D1 down",
			"D1 hanging",
			"control down",
			"control hanging",
			"KV down",
			"KV hanging",
			"all hanging",
			"all up again",
		]);
		for (const [name, seen] of by) expect(seen.length, name).toBeGreaterThan(20);
		expect(answers.filter(({ status }) => status !== 200)).toEqual([]);
		// Nobody waits for a source that hangs, but for the one who finds out: 500 ms for control, as much for KV.
		const slow = answers.filter(({ ms }) => ms > 2_000);
		expect(slow).toEqual([]);
	},
);
