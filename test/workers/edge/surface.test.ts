import { createExecutionContext, waitOnExecutionContext } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { describe, expect, test, vi } from "vitest";
import type { Point } from "../../../core/telemetry";
import worker from "../../../worker/index";
import { aFlag, aRollout, aState, publish, SDK_KEY } from "./fixture";
import { anEdge, down, put } from "./harness";

const FLAGS = "/ofrep/v1/evaluate/flags";
const hang = (): Promise<never> => new Promise(() => {});

describe("health", () => {
	test("is alive whatever is down", async () => {
		const edge = await anEdge(await publish([]));
		edge.parts.askHead = down;
		const response = await edge.send("/health/liveness");
		expect([response.status, await response.json()]).toEqual([200, { status: "ok" }]);
	});

	test("is ready with a head, and says how old it is", async () => {
		const edge = await anEdge(await publish([aState({ version: 4 })]));
		await edge.send("/health/readiness");
		edge.later(3_000);
		const response = await edge.send("/health/readiness");
		const body = await response.json<{ status: string; environments: { production: { version: number; ageMs: number } } }>();
		expect([response.status, body.status, body.environments.production.version]).toEqual([200, "ready", 4]);
		expect(body.environments.production.ageMs).toBeGreaterThanOrEqual(3_000);
	});

	test("is ready with KV's head alone, whose age nobody knows", async () => {
		const edge = await anEdge(await publish([aState()]));
		edge.parts.askHead = down;
		const response = await edge.send("/health/readiness");
		expect([response.status, await response.json()]).toEqual([
			200,
			{ status: "ready", events: "ready", environments: { production: { version: 1, ageMs: null } } },
		]);
	});

	test.each([undefined, ""])("serves flags without the secret that events need (%j), and says so", async (userHashKey) => {
		const edge = await anEdge(await publish([aState()]), { userHashKey });
		const response = await edge.send("/health/readiness");
		expect([response.status, await response.json()]).toMatchObject([
			200,
			{ status: "ready", events: expect.stringContaining("USER_HASH_KEY"), environments: { production: { version: 1 } } },
		]);
	});

	test("is not ready without a head", async () => {
		const edge = await anEdge(await publish([]));
		await env.SNAPSHOTS.delete("head");
		edge.parts.askHead = down;
		expect((await edge.send("/health/readiness")).status).toBe(503);
	});

	test("answers within 500 ms when control hangs", async () => {
		const edge = await anEdge(await publish([aState()]));
		edge.parts.askHead = hang;
		const startedAtMs = Date.now();
		const response = await edge.respond("/health/readiness");
		expect(Date.now() - startedAtMs).toBeLessThan(500);
		expect([response.status, response.headers.get("Retry-After")]).toEqual([503, "1"]);
		// What came too late for that answer serves the next one.
		await scheduler.wait(300);
		expect((await edge.respond("/health/readiness")).status).toBe(200);
	});
});

describe("browsers", () => {
	test.each([`${FLAGS}/checkout`, FLAGS, "/v1/events"])("may ask %s", async (path) => {
		const edge = await anEdge(await publish([aState()]));
		const preflight = await edge.send(path, { method: "OPTIONS", headers: { Origin: "https://app.example" } });
		expect(preflight.status).toBe(204);
		expect(preflight.headers.get("Access-Control-Allow-Origin")).toBe("*");
		expect(preflight.headers.get("Access-Control-Allow-Headers")).toContain("Authorization");
		for (const response of [await edge.post(path, {}), await edge.post(path, {}, {})]) {
			expect(response.headers.get("Access-Control-Allow-Origin")).toBe("*");
			expect(response.headers.get("Access-Control-Expose-Headers")).toContain("ETag");
			expect(response.headers.has("Access-Control-Allow-Credentials")).toBe(false);
		}
	});

	test("get nothing from health", async () => {
		const edge = await anEdge(await publish([aState()]));
		expect((await edge.send("/health/liveness")).headers.has("Access-Control-Allow-Origin")).toBe(false);
	});
});

test.each<[string, string, number, string | null]>([
	["GET", FLAGS, 405, "POST, OPTIONS"],
	["PUT", `${FLAGS}/checkout`, 405, "POST, OPTIONS"],
	["GET", "/v1/events", 405, "POST, OPTIONS"],
	["POST", "/health/liveness", 405, "GET, HEAD"],
	["DELETE", "/health/readiness", 405, "GET, HEAD"],
	["GET", "/", 404, null],
	["POST", "/v1/unknown", 404, null],
	["POST", "/ofrep/v2/evaluate/flags", 404, null],
])("%s %s is %d as problem+json", async (method, path, status, allow) => {
	const edge = await anEdge(await publish([aState()]));
	const response = await edge.send(path, { method });
	expect([response.status, response.headers.get("Allow")]).toEqual([status, allow]);
	expect(response.headers.get("Content-Type")).toBe("application/problem+json");
	expect(await response.json()).toMatchObject({ status });
});

test("a bug is a 500 that says nothing, and one JSON line in the log", async () => {
	const log = vi.spyOn(console, "warn").mockImplementation(() => {});
	const published = await publish([aState()]);
	const edge = await anEdge({ ...published, head: { ...published.head } });
	// A head whose keys cannot be read is none that control could have written.
	edge.parts.head = {
		...published.head,
		keys: new Proxy(
			{},
			{
				getOwnPropertyDescriptor: () => {
					throw new Error("secret of the house");
				},
			},
		),
	};
	const response = await edge.post(`${FLAGS}/checkout`, { context: { targetingKey: "ada" } });
	const text = await response.text();
	expect([response.status, response.headers.get("Access-Control-Allow-Origin")]).toEqual([500, "*"]);
	expect(text).not.toContain("secret");
	const lines = log.mock.calls.map(([line]) => JSON.parse(String(line)) as { event: string });
	expect(lines.map(({ event }) => event)).toEqual(["unexpected_error"]);
	expect(JSON.stringify(lines)).not.toContain("ada");
});

test("the Worker wires KV, control, the secret and the development clock", async () => {
	const now = 1_760_000_000_000;
	const state = aState({
		version: 77,
		flags: [aFlag({ key: "natal" })],
		rollouts: [aRollout({ served: 100_000, sinceMs: now, before: null })],
	});
	const published = await publish([state]);
	await put(published);
	const recorded: Point[] = [];
	const bindings = {
		SNAPSHOTS: env.SNAPSHOTS,
		HEAD: { head: async () => published.head, body: async () => null },
		TELEMETRY: {
			record: async (_: string, points: readonly Point[]) => void recorded.push(...points),
			recordSystem: async () => undefined,
		},
		USER_HASH_KEY: "test-hash-key",
	};
	const send = async (path: string, body: unknown, more: Record<string, string>, dev: object = {}): Promise<Response> => {
		const request = new Request<unknown, IncomingRequestCfProperties>(`https://edge.example${path}`, {
			method: "POST",
			headers: { Authorization: `Bearer ${SDK_KEY}`, ...more },
			body: JSON.stringify(body),
		});
		const context = createExecutionContext();
		const response = await worker.fetch(request, { ...bindings, ...dev }, context);
		await waitOnExecutionContext(context);
		return response;
	};
	expect(await (await send(`${FLAGS}/natal`, { context: { targetingKey: "ada" } }, {})).json()).toMatchObject({
		value: true,
		reason: "SPLIT",
	});
	const events = { events: [{ targetingKey: "ada", metric: "error", value: true, at: now }] };
	const moved = { "x-tidegate-now": String(now) };
	expect(await (await send("/v1/events", events, moved)).json()).toMatchObject({ accepted: 0, rejected: [{ index: 0 }] });
	expect(await (await send("/v1/events", events, moved, { DEV_CLOCK: "1" })).json()).toEqual({ accepted: 1, rejected: [] });
	expect(recorded).toMatchObject([{ rollout: "kerykeion", arm: "candidate", value: 1, harms: [{ signal: "error", slot: 0 }] }]);
});
