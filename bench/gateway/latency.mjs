import { setTimeout as sleep } from "node:timers/promises";
import { median, quantile, shuffled } from "../stats.mjs";
import { load, openConnection, requestText } from "./client.mjs";
import { startOrigin } from "./origins.mjs";
import { headersOf, startBare, startEdge } from "./world.mjs";

const BAR_MS = 0.5;
const EVERY_MS = 20;
const ORIGIN_MS = 50;
const PATH = `/wait?ms=${ORIGIN_MS}`;
const WARM_UP = 50;
const CONNECTIONS = 20;
const VISITORS = 1_000;
/** As the first phase of most plans: all others are compared. */
const SERVED = 5_000;

/** How much later an answer comes than the bare proxy's: one request every 20 ms, whether others have been answered or not. */
export async function measureLatency(report, tidegate, { pairs, compiled }) {
	const blue = await startOrigin("blue");
	const green = await startOrigin("green");
	const origins = { false: blue.url, true: green.url };
	const routes = [{ key: "compared", host: "shop.example", flag: "canary", origins, shadow: { variant: "true" } }];
	const edge = await startEdge(await tidegate.publishGateway({ version: 1, routes, rollouts: [{ key: "canary", served: SERVED }] }));
	const bare = await startBare(blue.url);
	for (const url of [edge.urls.edge, bare.urls.url]) await warmUp(url, compiled);
	const ways = { gateway: clients(edge.urls.edge), bare: clients(bare.urls.url) };

	const { requests: before } = await green.state();
	const taken = { gateway: [], bare: [] };
	const underWay = [];
	const startedAtMs = performance.now();
	for (let pair = -WARM_UP; pair < pairs; pair++) {
		if (pair % 500 === 0) report.progress(`latency: ${pair} of ${pairs} pairs`);
		for (const way of shuffled(Object.keys(taken))) {
			const text = requestText({ host: "shop.example", path: PATH, headers: headersOf((pair + WARM_UP) % VISITORS) });
			const asked = ways[way].ask(text).then((ms) => pair >= 0 && (taken[way][pair] = ms));
			underWay.push(asked);
			await sleep(Math.max(0, startedAtMs + underWay.length * EVERY_MS - performance.now()));
		}
	}
	await Promise.all(underWay);
	const requests = (await green.state()).requests - before;
	const differences = taken.gateway.map((ms, pair) => ms - taken.bare[pair]);
	report.figure("measured, in a rollout and compared: median paired difference", median(differences), "ms over the bare proxy", BAR_MS);
	report.figure("the same, p95 of the differences", quantile(differences, 0.95), "ms over the bare proxy");
	report.figure("the bare proxy's latency, median", median(taken.bare), "ms");
	report.figure("requests that the candidate got, of the gateway's", requests / (pairs + WARM_UP), "of 1");
	for (const each of [...Object.values(ways), edge, bare, blue, green]) await each.stop();
}

/** So many requests at full speed, until the code is compiled as it is where there is traffic. */
async function warmUp(url, amount) {
	let asked = 0;
	const next = () => (asked++ < amount ? requestText({ host: "shop.example", headers: headersOf(asked % VISITORS) }) : undefined);
	await load(url, CONNECTIONS, next, ({ status }) => {
		if (status !== 200) throw new Error(`${url}: ${status}`);
	});
}

/** As many connections as it takes for none to wait. */
function clients(url) {
	const idle = [];
	return {
		async ask(text) {
			let connection = idle.pop();
			while (connection && !connection.isOpen()) connection = idle.pop();
			connection ??= openConnection(url);
			const startedAtMs = performance.now();
			const { status } = await connection.ask(text);
			const ms = performance.now() - startedAtMs;
			if (status !== 200) throw new Error(`${url}: ${status}`);
			idle.push(connection);
			return ms;
		},
		stop() {
			for (const connection of idle) connection.close();
		},
	};
}
