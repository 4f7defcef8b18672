import { setTimeout as sleep } from "node:timers/promises";
import { isQuick } from "../report.mjs";
import { median, medianRatio, shuffled } from "../stats.mjs";
import { load, requestText } from "./client.mjs";
import { startOrigin } from "./origins.mjs";
import { headersOf, startBare, startEdge } from "./world.mjs";

const BAR = 1.3;
const CONNECTIONS = 50;
const VISITORS = 1_000;
/** Until what goes on behind the last answers is over. */
const SETTLE_MS = 1_500;

/**
 * CPU of workerd a request, over a Worker that does nothing but `fetch`, at full speed. Rounds are short and many, so that what slows the machine
 * for a while slows all arms.
 */
export async function measureCpu(report, tidegate, { rounds, requests, warmUp }) {
	const origin = await startOrigin("origin");
	const ways = isQuick ? { url: origin.url } : { url: origin.url, bound: { service: "ORIGIN" } };
	const routes = Object.entries(ways).flatMap(([way, to]) => [
		{ key: `plain-${way}`, host: `plain-${way}.example`, flag: undefined, origins: undefined, origin: to },
		{ key: `guarded-${way}`, host: `guarded-${way}.example`, flag: "canary", origins: { false: to, true: to } },
	]);
	const published = await tidegate.publishGateway({ version: 1, routes, rollouts: [{ key: "canary", served: 50_000 }] });
	const arms = [];
	for (const way of Object.keys(ways)) {
		const of = await startBare(origin.url);
		arms.push({ name: `bare-${way}`, of, url: of.urls[way], host: "bare.example" });
	}
	for (const { key: name, host } of routes) {
		const of = await startEdge(published, { origin: origin.url });
		arms.push({ name, of, url: of.urls.edge, host, isGateway: true });
	}
	for (const arm of arms) {
		arm.startsMs = [];
		await ask(arm, warmUp);
	}
	await sleep(SETTLE_MS);
	for (let round = 0; round < rounds; round++) {
		if (round % 20 === 0) report.progress(`CPU: round ${round + 1} of ${rounds}`);
		for (const arm of shuffled(arms)) {
			arm.startsMs.push(arm.of.cpuMs());
			await ask(arm, requests);
		}
	}
	await sleep(SETTLE_MS);
	// What goes on behind the answers is theirs as well: each arm has a process of its own, and nothing else to do until its next round.
	for (const arm of arms) {
		const endsMs = [...arm.startsMs.slice(1), arm.of.cpuMs()];
		arm.costs = arm.startsMs.map((startMs, round) => (endsMs[round] - startMs) / requests);
	}
	const told = await Promise.all(arms.filter(({ isGateway }) => isGateway).map(async ({ of }) => (await fetch(of.urls.control)).json()));
	const [points, lost] = ["points", "lost"].map((name) => told.reduce((sum, each) => sum + each[name], 0));
	const costsOf = (name) => arms.find((arm) => arm.name === name).costs;
	const over = (name, way) => medianRatio(costsOf(`${name}-${way}`), costsOf(`bare-${way}`));
	report.figure("a route with one origin: CPU a request", over("plain", "url"), "× bare fetch proxy", BAR);
	report.figure("a flag in a rollout, measured: CPU a request", over("guarded", "url"), "× bare fetch proxy", BAR);
	report.figure("the bare proxy's", median(costsOf("bare-url")) * 1_000, "µs");
	if (!isQuick) {
		report.figure("a route with one origin, by a binding", over("plain", "bound"), "× bare proxy by a binding");
		report.figure("a flag in a rollout, measured, by a binding", over("guarded", "bound"), "× bare proxy by a binding");
		report.figure("the bare proxy's by a binding", median(costsOf("bare-bound")) * 1_000, "µs");
	}
	report.figure("measurements at full speed: lost", (100 * lost) / (points + lost), "%");
	await Promise.all(arms.map(({ of }) => of.stop()));
	origin.stop();
}

async function ask({ name, url, host }, amount) {
	let asked = 0;
	const next = () => (asked++ < amount ? requestText({ host, path: "/items/17?page=2", headers: headersOf(asked % VISITORS) }) : undefined);
	await load(url, CONNECTIONS, next, ({ status }) => {
		if (status !== 200) throw new Error(`${name}: ${status}`);
	});
}
