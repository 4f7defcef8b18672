import { median, medianRatio, shuffled } from "../stats.mjs";
import { load, requestText } from "./client.mjs";
import { startOrigin } from "./origins.mjs";
import { headersOf, startBare, startEdge } from "./world.mjs";

const BAR = 1.3;
const CONNECTIONS = 50;
const VISITORS = 1_000;

/** CPU of workerd a request, over a Worker that does nothing but `fetch`, at full speed. */
export async function measureCpu(report, tidegate, { rounds, requests }) {
	const origin = await startOrigin("origin");
	const routes = [
		{ key: "plain", host: "plain.example", flag: undefined, origins: undefined, origin: origin.url },
		{ key: "guarded", host: "guarded.example", flag: "canary", origins: { false: origin.url, true: origin.url } },
	];
	const published = await tidegate.publishGateway({ version: 1, routes, rollouts: [{ key: "canary", served: 50_000 }] });
	const bare = await startBare(origin.url);
	const arms = [{ name: "bare", of: bare, url: bare.urls.bare, host: "bare.example", costs: [] }];
	for (const { key: name, host } of routes) {
		const of = await startEdge(published);
		arms.push({ name, of, url: of.urls.edge, host, costs: [] });
	}
	for (let round = -2; round < rounds; round++) {
		report.progress(round < 0 ? "CPU: warming up" : `CPU: round ${round + 1} of ${rounds}`);
		for (const arm of shuffled(arms)) {
			const cpuMs = arm.of.cpuMs();
			await ask(arm, requests);
			if (round >= 0) arm.costs.push((arm.of.cpuMs() - cpuMs) / requests);
		}
	}
	const [least, plain, guarded] = arms.map(({ costs }) => costs);
	report.figure("a route with one origin: CPU a request", medianRatio(plain, least), "× bare proxy", BAR);
	report.figure("a flag in a rollout, measured: CPU a request", medianRatio(guarded, least), "× bare proxy", BAR);
	report.figure("the bare proxy's", median(least) * 1_000, "µs");
	await Promise.all([...arms.map(({ of }) => of.stop()), origin.stop()]);
}

async function ask({ name, url, host }, amount) {
	let asked = 0;
	const next = () =>
		asked++ < amount ? requestText({ host, path: "/items/17?page=2", headers: headersOf(asked % VISITORS) }) : undefined;
	await load(url, CONNECTIONS, next, ({ status }) => {
		if (status !== 200) throw new Error(`${name}: ${status}`);
	});
}
