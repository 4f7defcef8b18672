// What no well-behaved client writes, on real sockets: whatever comes in, no origin gets what its route does not say.
import { createHash } from "node:crypto";
import { type Socket, connect } from "node:net";
import type { Duplex } from "node:stream";
import { afterAll, beforeEach, describe, expect, test } from "vitest";
import { aRoute } from "../workers/edge/fixture";
import { aGateway, anOrigin, eventually } from "./gatewayWorld";

const blue = await anOrigin("blue");
const vault = await anOrigin("vault");
const single = { flag: undefined, origins: undefined } as const;
const routes = [
	aRoute({ key: "shop", host: "shop.example", ...single, origin: blue.url }),
	aRoute({ key: "bank", host: "bank.example", ...single, origin: `${vault.url}/base` }),
	aRoute({ key: "bound", host: "bound.example", ...single, origin: { service: "GREEN" } }),
	aRoute({ key: "own", host: "own.example", ...single, origin: { service: "HEAD" } }),
];
const gateway = await aGateway({ routes, protections: [] }, { services: ["GREEN"] });
const strict = await aGateway({ routes, protections: [] }, { bindings: { GATEWAY_ALLOW_PRIVATE: "" } });
afterAll(async () => {
	await Promise.all([gateway.stop(), strict.stop()]);
	for (const { server } of [blue, vault]) {
		server.closeAllConnections();
		server.close();
	}
});
beforeEach(() => {
	for (const each of [blue, vault]) Object.assign(each, { got: [], aborted: 0, handle: undefined });
});

const statusOf = (answer: string): number => Number(/^HTTP\/1\.1 (\d{3})/.exec(answer)?.[1] ?? 0);
const get = (target: string, host = "shop.example", more = ""): string => `GET ${target} HTTP/1.1\r\nHost: ${host}\r\n${more}\r\n`;

describe("a request's host", () => {
	test.each(["shop.example", "SHOP.Example", "shop.example.", "shop.example:80", "user@shop.example"])(
		"%s takes the route that it means",
		async (host) => {
			expect(statusOf(await gateway.raw(get("/", host)))).toBe(200);
			expect([blue.got.length, vault.got.length, blue.got[0]?.headers["x-forwarded-host"]]).toEqual([1, 0, "shop.example"]);
		},
	);

	test.each(["shop.example:8443", "shop.example.evil.example", "127.0.0.1", "[::1]", "shop.example@evil.example"])(
		"%s takes none",
		async (host) => {
			expect(statusOf(await gateway.raw(get("/", host)))).not.toBe(200);
			expect([blue.got.length, vault.got.length]).toEqual([0, 0]);
		},
	);

	test("is one, whatever a request says besides: the origin that answers is that of the host it is told of", async () => {
		const asked = [
			get("http://bank.example/"),
			get("http://user@bank.example/"),
			get("/", "shop.example", "Host: bank.example\r\n"),
			get("/", "shop.example", "X-Forwarded-Host: bank.example\r\n"),
			get("/", "bank.example/@shop.example"),
			get("/", "shop.example/x?"),
			get("//bank.example/"),
			get("/\\bank.example/"),
		];
		for (const each of asked) await gateway.raw(each);
		for (const { headers } of blue.got) expect(headers["x-forwarded-host"]).toBe("shop.example");
		for (const { headers, url } of vault.got)
			expect([headers["x-forwarded-host"], url.startsWith("/base/")]).toEqual(["bank.example", true]);
		expect(blue.got.length).toBeGreaterThan(0);
	});
});

describe("a request that two servers could read in two ways", () => {
	const post = (headers: string, body: string): string => `POST /first HTTP/1.1\r\nHost: shop.example\r\n${headers}\r\n\r\n${body}`;
	const smuggled = "GET /smuggled HTTP/1.1\r\nHost: bank.example\r\n\r\n";

	test.each<[string, string]>([
		["two lengths", post("Content-Length: 5\r\nContent-Length: 6", `hello!${smuggled}`)],
		["a length and chunks", post("Content-Length: 4\r\nTransfer-Encoding: chunked", `0\r\n\r\n${smuggled}`)],
		["chunks and a length", post("Transfer-Encoding: chunked\r\nContent-Length: 200", `0\r\n\r\n${smuggled}`)],
		["an unknown coding", post("Transfer-Encoding: xchunked", `0\r\n\r\n${smuggled}`)],
		["two codings", post("Transfer-Encoding: chunked, identity", `0\r\n\r\n${smuggled}`)],
		["two headers of codings", post("Transfer-Encoding: chunked\r\nTransfer-Encoding: x", `0\r\n\r\n${smuggled}`)],
		["a space before the colon", post("Transfer-Encoding : chunked", `0\r\n\r\n${smuggled}`)],
		["a folded header", post("X-A: b\r\n Transfer-Encoding: chunked", `0\r\n\r\n${smuggled}`)],
		["a length below zero", post("Content-Length: -1", smuggled)],
		["a length with a sign", post("Content-Length: +0", smuggled)],
		["a length in hex", post("Content-Length: 0x5", `hello${smuggled}`)],
		["a broken chunk", post("Transfer-Encoding: chunked", `zz\r\n${smuggled}`)],
		["a zero in a header", post("X-A: b\0c\r\nContent-Length: 0", smuggled)],
		["a request in a header's value", post("X-A: b\rGET /smuggled HTTP/1.1\r\nContent-Length: 0", "")],
	])("%s: at most one request reaches an origin, and never with a part of the next in it", async (_, text) => {
		await gateway.raw(text);
		expect(blue.got.length).toBeLessThanOrEqual(1);
		for (const got of blue.got) expect([got.url, got.body.includes("smuggled")]).toEqual(["/first", false]);
		// The next request of the connection is one of its own, by its own host, or it is none.
		for (const got of vault.got) expect([got.url, got.headers["x-forwarded-host"]]).toEqual(["/base/smuggled", "bank.example"]);
	});
});

describe("a method for proxies", () => {
	test.each([
		"CONNECT bank.example:443 HTTP/1.1\r\nHost: bank.example:443\r\n\r\n",
		"CONNECT shop.example HTTP/1.1\r\nHost: shop.example\r\n\r\n",
		"TRACE / HTTP/1.1\r\nHost: shop.example\r\n\r\n",
		"OPTIONS * HTTP/1.1\r\nHost: shop.example\r\n\r\n",
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
	])("reaches no origin: %j", async (text) => {
		expect(statusOf(await gateway.raw(text))).not.toBe(200);
		expect([blue.got.length, vault.got.length]).toEqual([0, 0]);
	});
});

test("a header that is huge is refused, by number as by size", async () => {
	for (const more of [
		`X-A: ${"x".repeat(40_000)}\r\n`,
		"X-A: b\r\n".repeat(8_000),
		`Cookie: ${"a=b; ".repeat(10_000)}\r\n`,
		`X-A: ${"x".repeat(1_000_000)}\r\n`,
	])
		expect(statusOf(await gateway.raw(get("/", "shop.example", more)))).not.toBe(200);
	expect(statusOf(await gateway.raw(get(`/${"a".repeat(40_000)}`)))).not.toBe(200);
	expect(blue.got).toEqual([]);
});

describe("a path of our own", () => {
	test.each(["/.tidegate/x", "/a/../.tidegate/x", "/a/%2e%2e/.tidegate/x", "/%2Etidegate/x", "/.%74idegate/x", "\\.tidegate/x"])(
		"reaches no origin: %s",
		async (path) => {
			expect(statusOf(await gateway.raw(get(path)))).not.toBe(200);
			expect(blue.got).toEqual([]);
		},
	);
});

describe("an origin", () => {
	test("at a private address is not asked unless that is allowed, and the answer says nothing of it", async () => {
		const answer = await strict.ask("shop.example", "/");
		expect([answer.status, blue.got.length]).toEqual([502, 0]);
		expect(answer.text).not.toMatch(/127|private|GATEWAY/);
	});

	test("may be a Worker, by a binding, which gets the host that was asked", async () => {
		const answer = await gateway.ask("bound.example", "/a?b=c");
		expect(JSON.parse(answer.text)).toEqual({ url: "http://bound.example/a?b=c", host: "bound.example" });
	});

	test("is never control, which is bound as well", async () => {
		expect((await gateway.ask("own.example", "/")).status).toBe(502);
		expect((await strict.ask("bound.example", "/")).status).toBe(502);
	});
});

describe("a WebSocket", () => {
	/** A server's side, as RFC 6455 §1.3 has it; it answers what it is told. */
	const open = new Set<Duplex>();
	blue.server.on("upgrade", (incoming, socket) => {
		blue.got.push({ method: "GET", url: incoming.url ?? "", headers: incoming.headers as Record<string, string>, body: "" });
		const key = `${incoming.headers["sec-websocket-key"] ?? ""}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`;
		const accept = createHash("sha1").update(key).digest("base64");
		socket.write(
			`HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
		);
		open.add(socket);
		socket.on("error", () => undefined);
		socket.on("end", () => socket.end());
		socket.on("close", () => open.delete(socket));
		socket.on("data", (frame: Buffer) => {
			if (frame[0] !== 0x81) return;
			const mask = frame.subarray(2, 6);
			const text = frame.subarray(6, 6 + ((frame[1] ?? 0) & 0x7f)).map((byte, i) => byte ^ (mask[i % 4] ?? 0));
			socket.write(Buffer.concat([Buffer.from([0x81, text.length]), text]));
		});
	});
	const upgrade =
		"GET /chat?room=1 HTTP/1.1\r\nHost: shop.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n";
	const connected = async (): Promise<{ socket: Socket; heard: () => string }> => {
		const socket = connect(gateway.port, "127.0.0.1");
		let all = "";
		socket.on("data", (data: Buffer) => (all += data.toString("latin1")));
		socket.write(upgrade);
		await eventually(() => all.includes("\r\n\r\n"));
		return { socket, heard: () => all };
	};

	test("passes through, both ways, and the origin knows for whom", async () => {
		const { socket, heard } = await connected();
		expect(heard()).toMatch(/^HTTP\/1.1 101 /);
		socket.write(Buffer.from([0x81, 0x82, 1, 2, 3, 4, 0x68 ^ 1, 0x69 ^ 2]));
		await eventually(() => heard().endsWith("hi"));
		expect(blue.got).toMatchObject([{ url: "/chat?room=1", headers: { "x-forwarded-host": "shop.example", upgrade: "websocket" } }]);
		expect(JSON.stringify(blue.got)).not.toContain("6.6.6.6");
		socket.destroy();
	});

	test("ends at the origin when its client leaves", async () => {
		const { socket } = await connected();
		await eventually(() => open.size > 0);
		socket.destroy();
		await eventually(() => open.size === 0);
	});

	test("that the origin refuses is an answer as any", async () => {
		const answer = await gateway.raw(upgrade.replace("shop.example", "bank.example"));
		expect(statusOf(answer)).toBe(200);
	});
});
