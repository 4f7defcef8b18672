// docs/webhooks.md is tried as its readers do: its receiver runs, and its table is complete.
import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { EVENTS } from "../../../core/notify/events";
import { type Message, messageOf } from "../../../control/notify/message";
import { drawSecret, signatureHeaders } from "../../../control/notify/sign";
import { webhook } from "../../../control/notify/webhook";

const root = resolve(import.meta.dirname, "../../..");
const text = readFileSync(join(root, "docs/webhooks.md"), "utf8");
const secret = drawSecret();

let folder = "";
let url = "";
let child: ChildProcess | undefined;
let printed = "";

beforeAll(async () => {
	// Inside the project, whose packages it takes.
	mkdirSync(join(root, ".tmp"), { recursive: true });
	folder = mkdtempSync(join(root, ".tmp/webhooks-"));
	const file = join(folder, "receiver.mjs");
	writeFileSync(file, /```js\n([\s\S]*?)```/.exec(text)?.[1] ?? "");
	const port = await freePort();
	child = spawn(process.execPath, [file], { env: { ...process.env, WEBHOOK_SECRET: secret, PORT: String(port) } });
	for (const stream of [child.stdout, child.stderr]) stream?.on("data", (chunk: Buffer) => (printed += chunk.toString()));
	url = `http://127.0.0.1:${port}/`;
	await vi.waitFor(async () => expect((await fetch(url, { method: "POST" })).status).toBe(400), { timeout: 20_000, interval: 50 });
});
afterAll(() => {
	child?.kill();
	if (folder !== "") rmSync(folder, { recursive: true, force: true });
});

const freePort = (): Promise<number> =>
	new Promise((done) => {
		const server = createServer().listen(0, "127.0.0.1", () => {
			const address = server.address();
			server.close(() => done(typeof address === "object" && address ? address.port : 0));
		});
	});

const aMessage = (id: number): Message =>
	messageOf({ id, atMs: 1_800_000_000_000, type: "rollout.rolled_back", payload: { message: `harm is proven, number ${id}` } });
const post = async (message: Message, signed: Message = message, timestampMs = Date.now()): Promise<number> => {
	const headers = await signatureHeaders({ ...signed, timestampMs }, [secret]);
	return (await fetch(url, { method: "POST", headers, body: message.body })).status;
};

test("the receiver takes an event, and acts on it once however often it comes", async () => {
	const notifier = webhook(true);
	for (const at of [Date.now(), Date.now() + 1_000]) {
		// oxlint-disable-next-line no-await-in-loop -- the one, then the other
		expect(await notifier.send({ url, secrets: [drawSecret(), secret] }, aMessage(1), at)).toEqual({ kind: "answered", status: 204 });
	}
	await vi.waitFor(() => expect(printed).toContain("rollout.rolled_back harm is proven, number 1"));
	expect(printed.split("number 1\n")).toHaveLength(2);
});

test("the receiver refuses what was tampered with, replayed after five minutes, or signed by another", async () => {
	expect(await post(aMessage(2), { ...aMessage(2), body: aMessage(3).body })).toBe(400);
	expect(await post(aMessage(2), { ...aMessage(2), id: "evt_1_2" })).toBe(204);
	expect(await post(aMessage(4), aMessage(4), Date.now() - 301_000)).toBe(400);
	const stranger = await webhook(true).send({ url, secrets: [drawSecret()] }, aMessage(5), Date.now());
	expect(stranger).toEqual({ kind: "answered", status: 400 });
	expect(printed).not.toMatch(/number [345]/);
});

test("the table has every event, and says of it what the code does", () => {
	const rows = [...text.matchAll(/^\| `([a-z_]+\.[a-z_]+)` +\| ([^|]+?) +\|/gm)].map(([, type, when]) => [type, when]);
	expect(Object.fromEntries(rows)).toEqual(EVENTS);
});
