// Over real HTTP, in Node; test/integration/checks.test.ts does the same from workerd.
import { afterAll, beforeEach, describe, expect, test, vi } from "vitest";
import type { CheckResult } from "../../../core/checks/result";
import type { CheckContext, CheckDeps } from "../../../control/checks/finding";
import { runChecks } from "../../../control/checks/run";
import { metricsBy } from "../../../core/metric";
import { aReceiver, status } from "../notify/receiver";
import { aCheck } from "./fixtures";

const origin = await aReceiver();
afterAll(() => origin.close());
beforeEach(() => {
	origin.received.length = 0;
	origin.answer = status(200);
});

const unread = (): never => {
	throw new Error("tg_secret: nobody should ask");
};
const deps: CheckDeps = {
	db: new Proxy({}, { get: unread }) as CheckDeps["db"],
	metrics: { performance: unread, system: unread },
	allowPrivate: true,
	realNow: () => Date.now(),
};
const context: CheckContext = {
	environment: "production",
	rollout: "checkout.1",
	phase: "canary",
	percent: 5,
	flags: [],
	metrics: metricsBy([]),
};
const LIMITS = { wholeMs: 20_000, backoffMs: 1 };
const NOW = 1_800_000_000_000;

async function found(change: object = {}, given: Partial<CheckDeps> = {}, limits = LIMITS): Promise<CheckResult> {
	const check = aCheck({ http: `${origin.url}/health?token=tg_secret`, retries: 0, ...change });
	const [result] = await runChecks({ ...deps, ...given }, context, [check], NOW, limits);
	if (!result) throw new Error("no result");
	expect(JSON.stringify(result)).not.toMatch(/health\?|tg_secret/);
	return result;
}
const answering =
	(body: string, code = 200): typeof origin.answer =>
	(response) =>
		void response.writeHead(code).end(body);

describe("an answer passes", () => {
	test("by its status", async () => {
		expect(await found()).toMatchObject({ name: "smoke", status: "passed", critical: true, attempts: 1, atMs: NOW });
		expect(origin.received).toMatchObject([
			{ method: "GET", path: "/health?token=tg_secret", body: "", headers: { "user-agent": "Tidegate" } },
		]);
		origin.answer = status(204);
		expect(await found()).toMatchObject({ status: "failed", message: "answered 204, not 200" });
		expect(await found({ expect: [200, 204] })).toMatchObject({ status: "passed" });
	});

	test("by what stands in its JSON", async () => {
		origin.answer = answering('{"status": "degraded", "parts": [{"up": true}], "long": "' + "x".repeat(100) + '"}');
		const json = (path: string, equals: unknown) => found({ json: { path, equals } });
		expect(await json("$.parts[0].up", true)).toMatchObject({ status: "passed" });
		expect(await json("$.status", "ok")).toMatchObject({ status: "failed", message: '$.status is "degraded", not "ok"' });
		expect(await json("$.parts", "ok")).toMatchObject({ message: '$.parts is a list, not "ok"' });
		expect(await json("$.long", "ok")).toMatchObject({ message: '$.long is a text of 100 characters, not "ok"' });
		expect(await json("$.constructor", "ok")).toMatchObject({ message: "its body has no $.constructor" });
		origin.answer = answering("<html>");
		expect(await json("$.status", "ok")).toMatchObject({ message: "its body is no JSON" });
		origin.answer = answering("[".repeat(60_000));
		expect(await json("$.status", "ok")).toMatchObject({ message: "its body is no JSON" });
	});

	test("in its time", async () => {
		origin.answer = (response) => void setTimeout(() => response.writeHead(200).end(), 60);
		expect(await found({ latency: "20ms" })).toMatchObject({ status: "failed", message: expect.stringMatching(/^took \d+ ms > 20 ms$/) });
		expect(await found({ latency: "5s" })).toMatchObject({ status: "passed" });
	});
});

test("a validation function is posted which rollout it is, its phase and percent", async () => {
	expect(await found({ method: "POST" })).toMatchObject({ status: "passed" });
	expect(origin.received[0]).toMatchObject({ method: "POST", headers: { "content-type": "application/json" } });
	expect(JSON.parse(origin.received[0]?.body ?? "")).toEqual({ rollout: "checkout.1", phase: "canary", percent: 5 });
});

describe("what fails", () => {
	test("is tried again, as often as it may be", async () => {
		origin.answer = (response) => void response.writeHead(origin.received.length < 3 ? 503 : 200).end();
		expect(await found({ retries: 2 })).toMatchObject({ status: "passed", attempts: 3 });
		origin.answer = status(503);
		expect(await found({ retries: 2 })).toMatchObject({ status: "failed", attempts: 3, message: "answered 503, not 200" });
		expect(origin.received).toHaveLength(6);
	});

	test("is a warning where it is not critical", async () => {
		origin.answer = status(500);
		expect(await found({ critical: false })).toMatchObject({ status: "warning", critical: false });
	});

	test("is a connection that is cut, before or in the body", async () => {
		origin.answer = (response) => response.socket?.destroy();
		expect(await found()).toMatchObject({ status: "failed", message: "the connection failed" });
		origin.answer = (response) => {
			response.writeHead(200, { "content-length": 100 }).write('{"status":');
			setTimeout(() => response.socket?.destroy(), 20);
		};
		expect(await found({ json: { path: "$.status", equals: "ok" } })).toMatchObject({ status: "failed", message: "its body broke off" });
	});

	test("is silence, in each of its tries", async () => {
		origin.answer = () => {};
		expect(await found({ timeout: "100ms", retries: 1 })).toMatchObject({
			status: "failed",
			attempts: 2,
			message: "no answer within 100ms",
		});
	});
});

describe("a hostile answer ends, and is a failure:", () => {
	const json = { path: "$.status", equals: "ok" };
	const flood =
		(seen: { bytes: number; isClosed: boolean }): typeof origin.answer =>
		(response) => {
			response.on("close", () => (seen.isClosed = true));
			const chunk = `"${"x".repeat(65_534)}`;
			const more = (): void => {
				if (seen.isClosed) return;
				while (response.write(chunk)) seen.bytes += chunk.length;
				response.once("drain", more);
			};
			more();
		};

	test("a body without end", async () => {
		const seen = { bytes: 0, isClosed: false };
		origin.answer = flood(seen);
		expect(await found({ json })).toMatchObject({ status: "failed", message: "its body is larger than 65536 bytes" });
		await vi.waitFor(() => expect(seen.isClosed).toBe(true));
		expect(seen.bytes).toBeLessThan(64 * 1024 * 1024);
	});

	test("a body that nobody asked for is not read", async () => {
		const seen = { bytes: 0, isClosed: false };
		origin.answer = flood(seen);
		expect(await found()).toMatchObject({ status: "passed" });
		await vi.waitFor(() => expect(seen.isClosed).toBe(true));
	});

	test("a body a byte too large; one of the size is read", async () => {
		const of = (bytes: number): string => `{"status": "ok"}`.padEnd(bytes);
		origin.answer = answering(of(65_536));
		expect(await found({ json })).toMatchObject({ status: "passed" });
		origin.answer = answering(of(65_537));
		expect(await found({ json })).toMatchObject({ status: "failed" });
	});

	test("a body that trickles", async () => {
		let isClosed = false;
		origin.answer = (response) => {
			response.writeHead(200);
			const timer = setInterval(() => response.write(" "), 10);
			response.on("close", () => {
				isClosed = true;
				clearInterval(timer);
			});
		};
		expect(await found({ json, timeout: "200ms" })).toMatchObject({ status: "failed", message: "no answer within 200ms" });
		await vi.waitFor(() => expect(isClosed).toBe(true));
	});

	test.each([301, 302, 303, 307, 308])("%d, which is not followed", async (code) => {
		origin.answer = (response, { path }) =>
			void response.writeHead(path === "/private" ? 200 : code, { location: `${origin.url}/private` }).end('{"status": "ok"}');
		expect(await found({ json })).toMatchObject({ status: "failed", message: `answered ${code}, not 200: redirects are not followed` });
		expect(origin.received).toHaveLength(1);
	});
});

test.each([
	["http", () => origin.url],
	["a port", () => "https://origin.example.com:8443"],
	["loopback", () => "https://127.0.0.1/"],
	["loopback in another notation", () => "https://0x7f.1/"],
	["a private network", () => "https://10.1.2.3/"],
	["link-local", () => "https://169.254.169.254/latest/meta-data"],
	["IPv6 loopback", () => "https://[::1]/"],
	["a name of the network", () => "https://metadata.internal/"],
	["a password", () => "https://ann:tg_secret@origin.example.com/"],
])("%s is refused unless configuration allows it, and never asked", async (_what, url) => {
	const fetched = vi.spyOn(globalThis, "fetch");
	expect(await found({ http: url(), retries: 5 }, { allowPrivate: false })).toMatchObject({
		status: "failed",
		attempts: 1,
		message: expect.stringMatching(/^http: /),
	});
	expect(fetched).not.toHaveBeenCalled();
	fetched.mockRestore();
});

describe("all checks together", () => {
	const many = (count: number, change: object) =>
		Array.from({ length: count }, (_, i) => aCheck({ name: `check-${i}`, http: origin.url, retries: 0, ...change }));

	test("are made side by side, and told in their order", async () => {
		let [atOnce, most] = [0, 0];
		origin.answer = (response) => {
			most = Math.max(most, ++atOnce);
			setTimeout(() => {
				atOnce--;
				response.writeHead(200).end();
			}, 20);
		};
		const results = await runChecks(deps, context, many(20, {}), NOW, LIMITS);
		expect(results.map(({ name }) => name)).toEqual(Array.from({ length: 20 }, (_, i) => `check-${i}`));
		expect(results.every((each) => each.status === "passed")).toBe(true);
		expect(most).toBe(6);
	});

	test("end in time, those that had not begun too", async () => {
		origin.answer = () => {};
		const results = await runChecks(deps, context, many(8, { timeout: "1m", retries: 5 }), NOW, { wholeMs: 100, backoffMs: 1 });
		expect(results).toHaveLength(8);
		expect(results.every((each) => each.status === "failed")).toBe(true);
		expect(results[0]).toMatchObject({ attempts: 1, message: "not done within 100ms, which all checks have together" });
		expect(results[7]).toMatchObject({ message: "not begun within 100ms, which all checks have together" });
	});

	test("end in time while one waits to try again", async () => {
		origin.answer = status(500);
		const [result] = await runChecks(deps, context, many(1, { retries: 5 }), NOW, { wholeMs: 100, backoffMs: 60_000 });
		expect(result).toMatchObject({ status: "failed", attempts: 1, message: "answered 500, not 200" });
	});

	test("are found though one of them breaks, and say nothing of what broke", async () => {
		const checks = [aCheck({ name: "broken", metric: "error_rate < 3%", retries: 1 }), ...many(1, {})];
		const [broken, ...others] = await runChecks(deps, context, checks, NOW, LIMITS);
		expect(broken).toMatchObject({ status: "failed", attempts: 2, message: "it could not be carried out" });
		expect(others).toMatchObject([{ status: "passed" }]);
	});

	test("wait for a person where only that one knows", async () => {
		expect(await runChecks(deps, context, [aCheck({ manual: "support has been told" })], NOW, LIMITS)).toEqual([
			{
				name: "smoke",
				status: "pending",
				critical: true,
				message: "confirm: support has been told",
				attempts: 0,
				durationMs: 0,
				atMs: NOW,
			},
		]);
	});
});
