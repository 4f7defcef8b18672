import { request } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { startOrigin } from "./origins.mjs";
import { headersOf, startBare, startEdge } from "./world.mjs";

const MIB = 1_024 * 1_024;
const BAR_MIB = 32;
const SAMPLE_MS = 50;
/** What one more stream takes at all is there before. */
const WARM_UP_MIB = 32;
const CHUNK = Buffer.alloc(64 * 1_024, "x");

/** How much more memory workerd takes while a large body passes, at most. */
export async function measureStreams(report, tidegate, { mebibytes }) {
	const origin = await startOrigin("origin");
	const origins = { false: origin.url, true: origin.url };
	const routes = [
		{ key: "plain", host: "plain.example", flag: undefined, origins: undefined, origin: origin.url, body_max: 5 * 1_024 * MIB },
		{ key: "compared", host: "compared.example", flag: "canary", origins, shadow: { variant: "true" } },
	];
	const edge = await startEdge(await tidegate.publishGateway({ version: 1, routes, rollouts: [{ key: "canary", served: 0 }] }));
	const bare = await startBare(origin.url);
	const ways = [
		{ name: "downloaded", of: edge, url: edge.urls.edge, host: "plain.example", stream: download },
		{ name: "uploaded", of: edge, url: edge.urls.edge, host: "plain.example", stream: upload },
		{ name: "downloaded, compared", of: edge, url: edge.urls.edge, host: "compared.example", stream: download },
		{ name: "downloaded through the bare proxy", of: bare, url: bare.urls.url, host: "bare.example", stream: download, isPeer: true },
	];
	for (const { name, of, url, host, stream, isPeer = false } of ways) {
		report.progress(`${mebibytes} MiB ${name}`);
		await stream(url, host, WARM_UP_MIB * MIB);
		const before = of.residentBytes();
		let most = before;
		const sampling = setInterval(() => (most = Math.max(most, of.residentBytes())), SAMPLE_MS);
		await stream(url, host, mebibytes * MIB);
		clearInterval(sampling);
		report.figure(
			`${mebibytes.toLocaleString("en")} MiB ${name}: memory`,
			(most - before) / MIB,
			"MiB above before",
			isPeer ? null : BAR_MIB,
		);
		await sleep(SAMPLE_MS);
	}
	for (const each of [edge, bare, origin]) await each.stop();
}

async function download(url, host, bytes) {
	const { status, received } = await answerTo(url, { host, path: `/stream?bytes=${bytes}`, method: "GET" });
	if (status !== 200 || received !== bytes) throw new Error(`${host}: ${status}, ${received} of ${bytes} bytes`);
}

async function upload(url, host, bytes) {
	const body = Readable.from(
		(function* () {
			for (let left = bytes; left > 0; left -= CHUNK.length) yield CHUNK;
		})(),
	);
	const { status, text } = await answerTo(url, { host, path: "/upload", method: "POST" }, body);
	if (status !== 200 || Number(text) !== bytes) throw new Error(`${host}: ${status}, ${text} of ${bytes} bytes`);
}

function answerTo(url, { host, path, method }, body = Readable.from([])) {
	return new Promise((done, fail) => {
		const asking = request(url + path, { method, agent: false, headers: { ...headersOf(1), host } }, (incoming) => {
			let received = 0;
			let text = "";
			incoming.on("data", (chunk) => {
				received += chunk.length;
				if (received < 100) text += chunk;
			});
			incoming.on("end", () => done({ status: incoming.statusCode, received, text })).on("error", fail);
		}).on("error", fail);
		pipeline(body, asking).catch(fail);
	});
}
