// An origin in a process of its own, so that its CPU is none of the gateway's. Started by startOrigin in origins.mjs, which it answers.
import { createServer } from "node:http";
import { pipeline } from "node:stream/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { crc32 } from "node:zlib";

const [name] = process.argv.slice(2);
const CHUNK = Buffer.alloc(64 * 1_024, "x");
const PLAIN = JSON.stringify({
	origin: "either",
	items: Array.from({ length: 20 }, (_, i) => ({ id: i, name: `item ${i}`, price: 100 + i })),
});
const TEXT = { "content-type": "text/plain" };
const JSON_TYPE = { "content-type": "application/json" };

let sockets = 0;
let underWay = 0;
let requests = 0;
/** Which requests fail: "never", "always", "every second", or a share of them. */
let failing = "never";
let asked = 0;
/** Since and with the first failing answer. */
let sinceFailure = 0;

const server = createServer({ keepAliveTimeout: 60_000 }, (incoming, outgoing) => {
	requests++;
	underWay++;
	outgoing.on("close", () => underWay--);
	const { pathname, searchParams } = new URL(incoming.url, "http://origin");
	const [bytes, ms] = ["bytes", "ms"].map((each) => Number(searchParams.get(each)));
	if (isFailing()) outgoing.writeHead(500, TEXT).end("broken");
	else if (pathname === "/wait") setTimeout(() => outgoing.writeHead(200, JSON_TYPE).end(PLAIN), ms);
	else if (pathname === "/checked") outgoing.writeHead(200, TEXT).end(checked(bytes));
	else if (pathname === "/stream") void stream(outgoing, bytes, ms);
	else if (pathname === "/upload") swallow(incoming, outgoing);
	else outgoing.writeHead(200, JSON_TYPE).end(PLAIN);
});
server.on("connection", (socket) => {
	sockets++;
	socket.on("close", () => sockets--);
});

function isFailing() {
	if (failing === "never") return false;
	const isSo = failing === "always" || (failing === "every second" ? asked++ % 2 === 0 : Math.random() < failing);
	if (isSo || sinceFailure > 0) sinceFailure++;
	return isSo;
}

/** A text that tells when something of it is missing, or another origin's. */
function checked(bytes) {
	const payload = String.fromCharCode(97 + (requests % 26)).repeat(bytes);
	return `${name} ${bytes} ${crc32(`${name}${payload}`)} ${payload}`;
}

/** In pieces, of no length that is announced. */
async function* pieces(bytes, pauseMs) {
	for (let left = bytes; left > 0; left -= CHUNK.length) {
		yield left < CHUNK.length ? CHUNK.subarray(0, left) : CHUNK;
		if (pauseMs > 0) await sleep(pauseMs);
	}
}

async function stream(outgoing, bytes, pauseMs) {
	outgoing.writeHead(200, TEXT);
	// Whoever asked may be gone before the end.
	await pipeline(pieces(bytes, pauseMs), outgoing).catch(() => undefined);
}

function swallow(incoming, outgoing) {
	let bytes = 0;
	incoming.on("data", (chunk) => (bytes += chunk.length));
	incoming.on("end", () => outgoing.writeHead(200, TEXT).end(String(bytes)));
}

process.on("message", ({ id, fail }) => {
	if (fail !== undefined) {
		failing = fail;
		asked = 0;
		sinceFailure = 0;
	}
	process.send({ id, sockets, underWay, requests, sinceFailure });
});
process.on("disconnect", () => process.exit());
server.listen(0, "127.0.0.1", () => process.send({ port: server.address().port }));
