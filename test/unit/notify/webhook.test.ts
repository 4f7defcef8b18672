import { createServer } from "node:net";
import { Webhook } from "standardwebhooks";
import { afterAll, beforeEach, describe, expect, test, vi } from "vitest";
import { messageOf } from "../../../control/notify/message";
import { drawSecret } from "../../../control/notify/sign";
import { webhook } from "../../../control/notify/webhook";
import { type Receiver, aReceiver, status } from "./receiver";

const receiver = await aReceiver();
afterAll(() => receiver.close());
beforeEach(() => {
	receiver.received.length = 0;
	receiver.answer = status(204);
});

const secret = drawSecret();
const TIMEOUT_MS = 400;
const notifier = webhook(true, TIMEOUT_MS);
const message = messageOf({ id: 42, atMs: 1_800_000_000_000, type: "rollout.rolled_back", payload: { rollout: "café.1", percent: 5 } });
const send = (url = `${receiver.url}/hook?team=shop`, secrets = [secret]) => notifier.send({ url, secrets }, message, Date.now());
const silent = (error: string) => ({ kind: "silent", error: expect.stringContaining(error) });

test("a message is posted as JSON with the three headers, and verifies", async () => {
	expect(await send()).toEqual({ kind: "answered", status: 204 });
	const [got, ...more] = receiver.received;
	expect(more).toEqual([]);
	expect(got).toMatchObject({
		path: "/hook?team=shop",
		method: "POST",
		headers: { "content-type": "application/json", "user-agent": "Tidegate", "webhook-id": message.id },
	});
	expect(new Webhook(secret).verify(got?.body ?? "", (got?.headers ?? {}) as Record<string, string>)).toEqual({
		type: "rollout.rolled_back",
		timestamp: "2027-01-15T08:00:00.000Z",
		data: { rollout: "café.1", percent: 5 },
	});
});

test("what is sent again has the same id and body, and its own time", async () => {
	const now = Date.now();
	for (const at of [now, now + 120_000]) {
		// oxlint-disable-next-line no-await-in-loop -- the one, then the other
		await notifier.send({ url: receiver.url, secrets: [secret] }, message, at);
	}
	const [first, second] = receiver.received;
	expect(second?.body).toBe(first?.body);
	expect(second?.headers["webhook-id"]).toBe(first?.headers["webhook-id"]);
	expect(Number(second?.headers["webhook-timestamp"]) - Number(first?.headers["webhook-timestamp"])).toBe(120);
	expect(second?.headers["webhook-signature"]).not.toBe(first?.headers["webhook-signature"]);
});

describe("an answer is its status, whatever else it is", () => {
	test.each([200, 400, 410, 500, 503])("%d", async (code) => {
		receiver.answer = status(code);
		expect(await send()).toEqual({ kind: "answered", status: code });
	});

	test.each([301, 302, 307, 308])("%d: the message goes nowhere else", async (code) => {
		receiver.answer = (response, { path }) => void response.writeHead(path === "/elsewhere" ? 200 : code, { location: "/elsewhere" }).end();
		expect(await send()).toEqual({ kind: "answered", status: code });
		expect(receiver.received).toHaveLength(1);
	});

	test("a body without end is not read", async () => {
		let [isClosed, bytes] = [false, 0];
		receiver.answer = (response) => {
			response.on("close", () => (isClosed = true));
			const chunk = "x".repeat(65_536);
			const more = (): void => {
				if (isClosed) return;
				while (response.write(chunk)) bytes += chunk.length;
				response.once("drain", more);
			};
			more();
		};
		expect(await send()).toEqual({ kind: "answered", status: 200 });
		await vi.waitFor(() => expect(isClosed).toBe(true));
		expect(bytes).toBeLessThan(64 * 1024 * 1024);
	});

	test("a body that never comes is not waited for", async () => {
		receiver.answer = (response) => response.writeHead(202).flushHeaders();
		expect(await send()).toEqual({ kind: "answered", status: 202 });
	});
});

describe("no answer is an outcome that names neither URL nor secret", () => {
	const outcomeOf = async (url: string, secrets?: string[]) => {
		const outcome = await send(url, secrets);
		expect(JSON.stringify(outcome)).not.toMatch(/127\.0\.0\.1|team|whsec/);
		return outcome;
	};

	test("silence", async () => {
		receiver.answer = () => {};
		const startedMs = Date.now();
		expect(await outcomeOf(receiver.url)).toEqual(silent(`no answer within ${TIMEOUT_MS} ms`));
		expect(Date.now() - startedMs).toBeLessThan(TIMEOUT_MS * 10);
	});

	test("a connection that is cut", async () => {
		receiver.answer = (response) => response.socket?.destroy();
		expect(await outcomeOf(receiver.url)).toEqual(silent("the connection failed"));
	});

	test("nobody listens", async () => {
		const gone: Receiver = await aReceiver();
		await gone.close();
		expect(await outcomeOf(`${gone.url}/?team=shop`)).toEqual(silent("the connection failed"));
	});

	test("what answers is no HTTP", async () => {
		const server = createServer((socket) => void socket.end("SSH-2.0-OpenSSH\r\n"));
		await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
		const { port } = server.address() as { port: number };
		expect(await outcomeOf(`http://127.0.0.1:${port}`)).toEqual(silent("the connection failed"));
		server.close();
	});

	test("a secret that is none", async () => {
		expect(await outcomeOf(receiver.url, ["whsec_§"])).toEqual(silent("its secret cannot sign"));
		expect(receiver.received).toEqual([]);
	});
});

test("an address that may not be told is not told, though its row says so", async () => {
	const outcome = await webhook(false, TIMEOUT_MS).send({ url: receiver.url, secrets: [secret] }, message, Date.now());
	expect(outcome).toEqual(silent("url: takes an https URL"));
	expect(receiver.received).toEqual([]);
});
