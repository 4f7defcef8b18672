import { afterEach, beforeEach, expect, test } from "vitest";
import { type RollbackStep, storedWayBack } from "../../../core/rollouts/wayBack";
import { stepCaller } from "../../../control/notify/stepCaller";
import { type Receiver, aReceiver, status } from "./receiver";

let receiver: Receiver;
beforeEach(async () => {
	receiver = await aReceiver();
});
afterEach(() => receiver.close());

function aStep(change: Record<string, unknown> = {}): RollbackStep {
	const [step] = storedWayBack.shape.steps.parse([{ name: "purge", http: `${receiver.url}/purge`, ...change }]);
	if (!step) throw new Error("no step");
	return step;
}
const body = { rollout: "a.1", revision: 4, environment: "production", reason: "harm_proven", step: "purge" };
const KEY = "a.1/4/0";

test.each(["POST", "PUT", "PATCH", "DELETE"] as const)("%s: one request, with the key that makes a second one the same", async (method) => {
	expect(await stepCaller(true).call(aStep({ method }), KEY, body)).toEqual({ kind: "answered", status: 204 });
	expect(receiver.received).toMatchObject([
		{ method, path: "/purge", headers: { "idempotency-key": KEY, "content-type": "application/json" } },
	]);
	expect(JSON.parse(receiver.received[0]?.body ?? "")).toEqual(body);
});

test("GET sends no body", async () => {
	await stepCaller(true).call(aStep({ method: "GET" }), KEY, body);
	expect(receiver.received).toMatchObject([{ method: "GET", body: "", headers: { "idempotency-key": KEY } }]);
});

test("what leads to a private address is not called, unless configuration allows it", async () => {
	for (const http of [
		receiver.url,
		"https://10.0.0.1/",
		"https://169.254.169.254/latest",
		"https://[::1]/",
		"https://localhost/",
		"ftp://example.com",
	]) {
		// oxlint-disable-next-line no-await-in-loop -- six addresses
		expect(await stepCaller(false).call(aStep({ http }), KEY, body)).toMatchObject({
			kind: "silent",
			error: expect.stringMatching(/^http: /),
		});
	}
	expect(receiver.received).toEqual([]);
});

test("an answer that does not come within the step's time-out is none", async () => {
	receiver.answer = () => {};
	expect(await stepCaller(true).call(aStep({ timeout: "1s" }), KEY, body)).toEqual({ kind: "silent", error: "no answer within 1000 ms" });
});

test("one that was planned to have no time at all has a second", async () => {
	expect(await stepCaller(true).call(aStep({ timeout: "0s" }), KEY, body)).toEqual({ kind: "answered", status: 204 });
});

test("a redirect is not followed, and an endless answer not read", async () => {
	receiver.answer = (response) => void response.writeHead(307, { location: "/elsewhere" }).end();
	expect(await stepCaller(true).call(aStep(), KEY, body)).toEqual({ kind: "answered", status: 307 });
	expect(receiver.received).toHaveLength(1);
	receiver.answer = (response) => {
		response.writeHead(200);
		const flood = setInterval(() => response.write("x".repeat(65_536)), 1);
		response.on("close", () => clearInterval(flood));
	};
	expect(await stepCaller(true).call(aStep(), KEY, body)).toEqual({ kind: "answered", status: 200 });
});

test("a connection that fails is an outcome that does not tell the address", async () => {
	receiver.answer = (response) => void response.destroy();
	const secret = { http: `${receiver.url}/?token=secret` };
	expect(await stepCaller(true).call(aStep(secret), KEY, body)).toEqual({ kind: "silent", error: "the connection failed" });
	receiver.answer = status(500);
	expect(await stepCaller(true).call(aStep(secret), KEY, body)).toEqual({ kind: "answered", status: 500 });
});
