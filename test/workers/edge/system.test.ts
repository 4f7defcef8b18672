import { describe, expect, test, vi } from "vitest";
import { aState, CLIENT_KEY, publish, SDK_KEY, STAGING_KEY } from "./fixture";
import { anEdge, down } from "./harness";

const published = await publish([aState(), aState({ environment: "staging" })]);
const SYSTEM = "/v1/system";
const aReport = (change: Record<string, unknown> = {}) => ({ origin: "web-1.example:8443", metrics: { cpu_percent: 43.5 }, ...change });

async function sent(body: unknown, key: string = SDK_KEY) {
	const edge = await anEdge(published);
	const calls: unknown[] = [];
	edge.parts.recordSystem = async (environment, points) => void calls.push({ environment, points });
	const response = await edge.post(SYSTEM, body, { Authorization: `Bearer ${key}` });
	return {
		status: response.status,
		type: response.headers.get("Content-Type"),
		body: await response.json<Record<string, unknown>>(),
		calls,
	};
}

describe("an origin's measurements", () => {
	test("are handed to the store of the key's environment in one call", async () => {
		const metrics = { cpu_percent: 43.5, memory_percent: 0, connections: 120, balance: -3 };
		const { status, body, calls } = await sent(aReport({ metrics }));
		expect([status, body]).toEqual([202, { accepted: 4 }]);
		const points = Object.entries(metrics).map(([metric, value]) => ({ origin: "web-1.example:8443", metric, value }));
		expect(calls).toEqual([{ environment: "production", points }]);
		expect((await sent(aReport(), STAGING_KEY)).calls).toMatchObject([{ environment: "staging" }]);
	});

	test("may be none, and then nobody is asked", async () => {
		expect(await sent(aReport({ metrics: {} }))).toMatchObject({ status: 202, body: { accepted: 0 }, calls: [] });
	});

	test("are taken at the limits", async () => {
		const names = Array.from({ length: 49 }, (_, i) => `m_${i}`);
		const metrics = { ...Object.fromEntries(names.map((name) => [name, 1e15])), [`a${"b".repeat(62)}`]: -1e15 };
		expect(await sent(aReport({ origin: "x".repeat(63), metrics }))).toMatchObject({ status: 202, body: { accepted: 50 } });
	});

	test.each<[string, unknown, string]>([
		["no JSON", "{", "The body is not"],
		["nothing", "", "The body is not"],
		["a list", [], "The body is not"],
		["null", null, "The body is not"],
		["an unknown field", aReport({ host: "a" }), 'Unknown field "host"'],
		["an inherited name as field", JSON.parse('{"origin":"a","metrics":{},"__proto__":{}}'), 'Unknown field "__proto__"'],
		["no origin", aReport({ origin: undefined }), "origin takes"],
		["an empty origin", aReport({ origin: "" }), "origin takes"],
		["a long origin", aReport({ origin: "x".repeat(64) }), "origin takes"],
		["an origin with a blank", aReport({ origin: "web 1" }), "origin takes"],
		["an origin with a newline", aReport({ origin: "web\n" }), "origin takes"],
		["a number as origin", aReport({ origin: 1 }), "origin takes"],
		["no metrics", aReport({ metrics: undefined }), "metrics takes"],
		["a list of metrics", aReport({ metrics: [1] }), "metrics takes"],
		["51 metrics", aReport({ metrics: Object.fromEntries(Array.from({ length: 51 }, (_, i) => [`m${i}`, i])) }), "51 metrics > limit 50"],
		["a name in capitals", aReport({ metrics: { CPU: 1 } }), '"CPU" is no metric'],
		["an inherited name", aReport({ metrics: JSON.parse('{"__proto__": 1}') }), '"__proto__" is no metric'],
		["a name of 64 letters", aReport({ metrics: { ["a".repeat(64)]: 1 } }), "is no metric"],
		["a text as value", aReport({ metrics: { cpu_percent: "43" } }), "cpu_percent takes a number"],
		["null as value", aReport({ metrics: { cpu_percent: null } }), "cpu_percent takes a number"],
		["a value beyond all numbers", '{"origin":"a","metrics":{"cpu_percent":1e999}}', "cpu_percent takes a number"],
		["a huge value", aReport({ metrics: { bytes: 1.1e15 } }), "bytes takes a number"],
	])("with %s are refused as a whole, with the reason", async (_, body, reason) => {
		const answer = await sent(body);
		expect(answer).toMatchObject({ status: 400, type: "application/problem+json", calls: [] });
		expect(answer.body["detail"]).toContain(reason);
	});

	test("of more than 64 KiB name the limit", async () => {
		expect(await sent(aReport({ origin: "x".repeat(64 * 1024) }))).toMatchObject({
			status: 413,
			body: { detail: expect.stringContaining("65536") },
			calls: [],
		});
	});

	test("with a client key are refused, whatever they say", async () => {
		for (const body of [aReport(), "{"])
			// oxlint-disable-next-line no-await-in-loop -- two requests
			expect(await sent(body, CLIENT_KEY)).toMatchObject({
				status: 403,
				type: "application/problem+json",
				body: { title: "Forbidden", detail: expect.stringContaining("server key") },
				calls: [],
			});
	});

	test("without a key, or with a wrong one, are 401; by GET 405", async () => {
		expect([(await sent(aReport(), "")).status, (await sent(aReport(), "wrong")).status]).toEqual([401, 401]);
		const response = await (await anEdge(published)).send(SYSTEM);
		expect([response.status, response.headers.get("Allow")]).toEqual([405, "POST, OPTIONS"]);
	});

	test("that the store does not take are 503 with the time to try again, and nothing is claimed", async () => {
		const log = vi.spyOn(console, "warn").mockImplementation(() => {});
		const edge = await anEdge(published);
		edge.parts.recordSystem = down;
		const response = await edge.post(SYSTEM, aReport());
		expect([response.status, response.headers.get("Retry-After")]).toEqual([503, "5"]);
		expect(await response.json()).not.toHaveProperty("accepted");
		expect(JSON.parse(String(log.mock.calls[0]?.[0]))).toMatchObject({
			event: "system_not_recorded",
			environment: "production",
			points: 1,
		});
		log.mockRestore();
	});

	test("need no secret: they name no user", async () => {
		const edge = await anEdge(published, { userHashKey: undefined });
		expect((await edge.post(SYSTEM, aReport())).status).toBe(202);
	});
});
