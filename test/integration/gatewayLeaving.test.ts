// Clients that leave, on real sockets: the origin's request goes with them, nothing is concluded, and nothing is kept.
import { once } from "node:events";
import type { ClientRequest, IncomingMessage } from "node:http";
import { afterAll, beforeEach, describe, expect, test } from "vitest";
import type { Point } from "../../core/telemetry";
import { aRoute } from "../workers/edge/fixture";
import { aGateway, anOrigin, eventually } from "./gatewayWorld";

const blue = await anOrigin("blue");
const green = await anOrigin("green");
const origins = { false: blue.url, true: green.url };
const common = { origins, targeting: { header: "x-user" } } as const;
const ended = ["error", "duration_ms", "response_bytes"].map((metric, slot) => ({
	key: metric,
	metric,
	slot,
	harm: null,
}));
const gateway = await aGateway(
	{
		routes: [
			aRoute({ key: "shop", host: "shop.example", ...common, timeout: "2s" }),
			aRoute({ key: "small", host: "small.example", ...common, body_max: 10_000 }),
			aRoute({ key: "compared", host: "compared.example", ...common, timeout: "2s", shadow: { variant: "true" } }),
			aRoute({ key: "plain", host: "plain.example", origin: blue.url, flag: undefined, origins: undefined }),
		],
		protections: [],
	},
	{ served: { signals: ended } },
);
afterAll(async () => {
	await gateway.stop();
	for (const { server } of [blue, green]) {
		server.closeAllConnections();
		server.close();
	}
});
beforeEach(() => {
	for (const each of [blue, green]) Object.assign(each, { got: [], aborted: 0, handle: undefined });
});

const [candidate, control] = await (async () => {
	const found = new Map<string, string>();
	let asked = 0;
	for (let i = 0; found.size < 2; i++) {
		asked++;
		// oxlint-disable-next-line no-await-in-loop -- until both are found
		const { text } = await gateway.ask("shop.example", "/", { headers: { "x-user": `user-${i}` } });
		found.set((JSON.parse(text) as { origin: string }).origin, `user-${i}`);
	}
	// What was learnt of these is told before anything else happens.
	await eventually(async () => (await gateway.told()).points.filter(({ metric }) => metric === "response_bytes").length === asked);
	return [found.get("green") ?? "", found.get("blue") ?? ""];
})();

const drips = (
	_: IncomingMessage,
	outgoing: { write(text: string): void; writeHead(status: number): void; on(name: "close", end: () => void): void },
): void => {
	outgoing.writeHead(200);
	const ticking = setInterval(() => outgoing.write("x".repeat(10_000)), 10);
	outgoing.on("close", () => clearInterval(ticking));
};
const opened = (host: string, user: string, options: Parameters<typeof gateway.open>[2] = {}): ClientRequest => {
	const asking = gateway.open(host, "/", { ...options, headers: { "x-user": user, ...(options.headers as Record<string, string>) } });
	asking.on("error", () => undefined);
	return asking;
};
/** All that has been learnt by the time a later request's points are there: they are sent in their order. */
async function learnt(before: number, host = "shop.example"): Promise<Point[]> {
	await gateway.ask(host, "/", { headers: { "x-user": control } });
	const all = async (): Promise<Point[]> => (await gateway.told()).points.slice(before);
	await eventually(async () => (await all()).some(({ arm, metric }) => arm === "control" && metric === "response_bytes"));
	return (await all()).filter(({ arm }) => arm === "candidate");
}
const pointsNow = async (): Promise<number> => (await gateway.told()).points.length;

describe("a client that leaves in the middle of an answer", () => {
	test.each([
		["that passes as it comes", "plain.example"],
		["whose end is looked at", "shop.example"],
		["that is compared", "compared.example"],
	])("%s takes the origin's request with it", async (_, host) => {
		blue.handle = drips;
		const before = await pointsNow();
		for (let i = 0; i < 5; i++) {
			const asking = opened(host, control);
			asking.end();
			const [answer] = (await once(asking, "response")) as [IncomingMessage];
			await once(answer, "data");
			asking.destroy();
		}
		// What is compared is read on for as long as it may be compared, and no longer.
		await eventually(() => blue.open === 0 && blue.aborted === 5);
		blue.handle = undefined;
		await learnt(before);
		const ends = (await gateway.told()).points.slice(before).filter(({ metric }) => metric === "response_bytes");
		// That of the request that came last.
		expect(ends).toHaveLength(1);
	});
});

describe("a client that leaves in the middle of its upload", () => {
	test.each([
		["of a length", { "content-length": "100000" }],
		["of a small length", { "content-length": "5000" }],
		["in chunks", { "transfer-encoding": "chunked" }],
	] as [string, Record<string, string>][])(
		"%s is no failure of the candidate, and the origin does not take the half for the whole",
		async (_, headers) => {
			const ends: string[] = [];
			green.handle = (incoming, outgoing) => {
				incoming.on("end", () => ends.push("end"));
				incoming.on("aborted", () => ends.push("aborted"));
				incoming.resume().on("end", () => outgoing.end("done"));
			};
			const before = await pointsNow();
			// More often than the fuse would bear.
			for (let i = 0; i < 6; i++) {
				const asking = opened("shop.example", candidate, { method: "POST", headers });
				asking.write("half");
				// oxlint-disable-next-line no-await-in-loop, no-loop-func -- one after the other
				await eventually(() => green.open === 1);
				asking.destroy();
				// oxlint-disable-next-line no-await-in-loop -- one after the other
				await eventually(() => green.open === 0);
			}
			expect(ends).toEqual(Array.from({ length: 6 }, () => "aborted"));
			expect((await learnt(before)).filter(({ metric }) => metric === "error")).toEqual([]);
		},
	);
});

test("a client that leaves before the answer keeps the origin's request no longer than the route's time-out", async () => {
	blue.handle = () => undefined;
	const asking = opened("shop.example", control);
	asking.end();
	await eventually(() => blue.open === 1);
	asking.destroy();
	await eventually(() => blue.open === 0);
});

describe("an upload", () => {
	test("takes as long as it takes, if it moves: a time-out is the origin's", async () => {
		const asking = opened("shop.example", candidate, { method: "PUT", headers: { "content-length": "100000" } });
		for (let i = 0; i < 6; i++) {
			asking.write("x".repeat(10_000));
			// oxlint-disable-next-line no-await-in-loop -- slowly
			await new Promise((wake) => setTimeout(wake, 500));
		}
		asking.end("x".repeat(40_000));
		const [answer] = (await once(asking, "response")) as [IncomingMessage];
		answer.resume();
		expect(answer.statusCode).toBe(200);
		expect(green.got[0]).toMatchObject({ method: "PUT", headers: { "content-length": "100000" } });
		expect(green.got[0]?.body.length).toBe(100_000);
	});

	test("that is larger than it may be is broken off, and the origin does not take its begin for all of it", async () => {
		const asking = opened("small.example", control, { method: "POST", headers: { "transfer-encoding": "chunked" } });
		const answered = once(asking, "response");
		for (let i = 0; i < 3; i++) {
			asking.write("x".repeat(6_000));
			// oxlint-disable-next-line no-await-in-loop -- piece by piece
			await new Promise((wake) => setTimeout(wake, 50));
		}
		const [answer] = (await answered) as [IncomingMessage];
		answer.resume();
		expect(answer.statusCode).toBe(413);
		await eventually(() => blue.open === 0);
		expect(blue.got).toEqual([]);
	});

	test.each([
		["sent on", "shop.example", candidate, "POST"],
		["compared", "compared.example", control, "GET"],
	])("that a client stalls, %s, is nobody's failure, and the client hears that its body did not come", async (_, host, user, method) => {
		green.handle = (incoming) => void incoming.resume();
		const before = await pointsNow();
		for (let i = 0; i < 2; i++) {
			const asking = opened(host, user, { method, headers: { "content-length": "1000" } });
			asking.write("x");
			// oxlint-disable-next-line no-await-in-loop -- one after the other
			const [answer] = (await once(asking, "response")) as [IncomingMessage];
			expect(answer.statusCode).toBe(408);
			asking.destroy();
		}
		green.handle = undefined;
		expect((await learnt(before)).filter(({ metric, value }) => metric === "error" && value > 0)).toEqual([]);
		expect((await gateway.ask("shop.example", "/", { headers: { "x-user": candidate } })).text).toContain("green");
	});

	test.each([
		["of a length", { "content-length": "1000000" }],
		["in chunks", { "transfer-encoding": "chunked" }],
	] as [string, Record<string, string>][])(
		"%s to a candidate that dies in the middle of it is the candidate's failure",
		async (_, headers) => {
			green.handle = (incoming) => void incoming.once("data", () => incoming.socket.destroy());
			const before = await pointsNow();
			const asking = opened("shop.example", candidate, { method: "POST", headers });
			asking.write("x".repeat(500_000));
			const [answer] = (await once(asking, "response")) as [IncomingMessage];
			answer.resume();
			expect(answer.statusCode).toBe(502);
			asking.destroy();
			const errors = (await learnt(before)).filter(({ metric }) => metric === "error");
			expect(errors.at(-1)).toMatchObject({ arm: "candidate", value: 1 });
		},
	);
});

describe("an answer", () => {
	test.each([
		["as it comes", "plain.example", control],
		["looked at to its end", "shop.example", control],
		["compared", "compared.example", control],
	])("that breaks off at the origin, %s, breaks off at the client", async (_, host, user) => {
		for (const head of [{ "content-length": "1000" }, {}]) {
			blue.handle = (_incoming, outgoing) => {
				outgoing.writeHead(200, head);
				outgoing.write("half");
				setTimeout(() => outgoing.destroy(), 50);
			};
			const asking = opened(host, user);
			asking.end();
			const [answer] = (await once(asking, "response")) as [IncomingMessage];
			answer.resume();
			const [error] = (await once(answer, "error")) as [Error];
			expect(error.message).toBe("aborted");
			expect(answer.complete).toBe(false);
		}
	});

	test("looked at to its end is the same, compressed or not, with the length that it announced", async () => {
		const { gzipSync } = await import("node:zlib");
		const zipped = gzipSync("hello ".repeat(1_000));
		for (const length of [{ "content-length": zipped.length }, {}]) {
			green.handle = (_incoming, outgoing) =>
				void outgoing.writeHead(200, { "content-encoding": "gzip", etag: '"1"', ...length }).end(zipped);
			const before = await pointsNow();
			const asking = opened("shop.example", candidate, { headers: { "accept-encoding": "gzip" } });
			asking.end();
			const [answer] = (await once(asking, "response")) as [IncomingMessage];
			const parts: Buffer[] = [];
			for await (const part of answer) parts.push(part as Buffer);
			expect(Buffer.concat(parts)).toEqual(zipped);
			expect(answer.headers).toMatchObject({ "content-encoding": "gzip", etag: '"1"' });
			expect(answer.headers["content-length"]).toBe("content-length" in length ? String(zipped.length) : undefined);
			expect((await learnt(before)).find(({ metric }) => metric === "response_bytes")?.value).toBe(zipped.length);
		}
	});

	test("of a HEAD has the length of what it would have been", async () => {
		green.handle = (_incoming, outgoing) => void outgoing.writeHead(200, { "content-length": "1000" }).end();
		const answer = await gateway.ask("shop.example", "/", { method: "HEAD", headers: { "x-user": candidate } });
		expect([answer.status, answer.headers["content-length"], answer.text]).toEqual([200, "1000", ""]);
	});

	test.each([204, 304])("of %i has no body, and passes", async (status) => {
		green.handle = (_incoming, outgoing) => void outgoing.writeHead(status, { etag: '"1"' }).end();
		const answer = await gateway.ask("shop.example", "/", { headers: { "x-user": candidate } });
		expect([answer.status, answer.headers["etag"], answer.text]).toEqual([status, '"1"', ""]);
	});

	test("is as streamed while it is compared, or looked at to its end", async () => {
		for (const host of ["compared.example", "shop.example"]) {
			let more: () => void = () => undefined;
			blue.handle = (_incoming, outgoing) => {
				outgoing.writeHead(200);
				outgoing.write("one");
				more = () => outgoing.end("two");
			};
			const asking = opened(host, control);
			asking.end();
			const [answer] = (await once(asking, "response")) as [IncomingMessage];
			let heard = "";
			answer.setEncoding("utf8").on("data", (part: string) => (heard += part));
			await eventually(() => heard === "one");
			more();
			await once(answer, "end");
			expect(heard).toBe("onetwo");
		}
	});
});

test("after many who left in the middle of an answer that was compared, requests are compared as before", async () => {
	green.handle = drips;
	blue.handle = drips;
	await Promise.all(
		Array.from({ length: 150 }, async () => {
			const asking = opened("compared.example", control);
			asking.end();
			await once(asking, "response");
			asking.destroy();
		}),
	);
	await eventually(() => blue.open === 0 && green.open === 0);
	blue.handle = green.handle = undefined;
	const queries = async (): Promise<number> => (await gateway.told()).compared.reduce((sum, each) => sum + each.queries, 0);
	const before = await queries();
	for (let i = 0; i < 20; i++) await gateway.ask("compared.example", "/", { headers: { "x-user": control } });
	await eventually(async () => (await queries()) >= before + 20);
});
