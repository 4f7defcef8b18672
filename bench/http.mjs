// npm run bench:http: workerd's CPU a request, over a Worker that answers a constant of the same size to the same requests.
import { buildWorker, loadTidegate } from "./build.mjs";
import { someContexts, someFlags } from "./flags.mjs";
import { arePeersInstalled } from "./install.mjs";
import { isQuick, startReport } from "./report.mjs";
import { median, medianRatio, quantile, shuffled } from "./stats.mjs";
import { aControl, anEdge, aWorker, canMeasureCpu, startWorkerd } from "./workerd.mjs";

const PATH = "/ofrep/v1/evaluate/flags";
const CONNECTIONS = 50;
const ROUNDS = isQuick ? 3 : 15;
/** Flags, requests a round, bar. One flag is asked for by its key, several in bulk. */
const SIZES = [
	{ count: 1, requests: isQuick ? 1_000 : 5_000, bar: 1.5 },
	{ count: 50, requests: isQuick ? 400 : 2_000, bar: 2 },
	{ count: 1_000, requests: isQuick ? 60 : 300, bar: 6 },
];
/** The first second opens connections and is left out; the head then expires (5 s). The rate leaves workerd idle most of the time. */
const EXPIRY = { seconds: 7, skippedMs: 1_000, rate: 500, rounds: isQuick ? 1 : 3 };

const report = startReport("http");
if (!canMeasureCpu) skip("CPU is measured on Linux only");
if (!arePeersInstalled()) skip("autocannon is not installed");
const { default: autocannon } = await import("autocannon");
const tidegate = await loadTidegate();
const contexts = someContexts(CONNECTIONS);

const flagsOf = Object.fromEntries(SIZES.map(({ count }) => [String(count), tidegate.author(someFlags(count))]));
const { head, kv } = await tidegate.publish(flagsOf);
const edge = await startWorkerd([(await anEdge())("edge"), await aControl(head)], kv);
const arms = [];
for (const size of SIZES) {
	const path = size.count === 1 ? `${PATH}/${flagsOf[size.count][0].key}` : PATH;
	arms.push({ ...size, name: `tidegate ${size.count}`, of: edge, url: edge.urls.edge + path, costs: [] });
}
for (const arm of arms) arm.bytes = await answerTo(arm);

const texts = Object.fromEntries(arms.map(({ count, text }) => [String(count), text]));
const constant = await startWorkerd([aWorker("constant", (await buildWorker("bench/workers/constant.mjs")).text, { bindings: texts })]);
const growthbook = await startWorkerd([await aGrowthbook(flagsOf[1])]);
for (const size of SIZES)
	arms.push({ ...size, name: `constant ${size.count}`, of: constant, url: `${constant.urls.constant}/${size.count}`, costs: [] });
arms.push({ ...SIZES[0], name: "growthbook 1", of: growthbook, url: `${growthbook.urls.growthbook}/${flagsOf[1][0].key}`, costs: [] });
for (const arm of arms) arm.bytes = await answerTo(arm);

for (let round = -1; round < ROUNDS; round++) {
	report.progress(round < 0 ? "warming up" : `round ${round + 1} of ${ROUNDS}`);
	for (const arm of shuffled(arms)) {
		const cpuMs = arm.of.cpuMs();
		await load(arm, { amount: arm.requests });
		if (round >= 0) arm.costs.push((arm.of.cpuMs() - cpuMs) / arm.requests);
	}
}
const armOf = (name) => arms.find((arm) => arm.name === name);
for (const { count, bar } of SIZES) {
	const [mine, least] = [armOf(`tidegate ${count}`), armOf(`constant ${count}`)];
	const name = count === 1 ? "one flag" : `${count.toLocaleString("en")} flags`;
	report.figure(`${name}: CPU a request`, medianRatio(mine.costs, least.costs), "× constant", bar);
	report.figure(`${name}: the constant Worker's`, median(least.costs) * 1_000, "µs");
	report.figure(`${name}: the answer`, mine.bytes, "bytes");
}
report.figure("one flag: GrowthBook in a Worker", medianRatio(armOf("growthbook 1").costs, armOf("constant 1").costs), "× constant");

const latencies = { tidegate: [], constant: [] };
for (let round = 0; round < EXPIRY.rounds; round++)
	for (const who of shuffled(Object.keys(latencies))) {
		report.progress(`a head that expires, round ${round + 1} of ${EXPIRY.rounds}: ${who}`);
		latencies[who].push(
			...(await load(armOf(`${who} 1`), { duration: EXPIRY.seconds, overallRate: EXPIRY.rate, skippedMs: EXPIRY.skippedMs })),
		);
	}
for (const p of [0.95, 0.999]) {
	const name = `latency p${p * 100} while the head expires`;
	report.figure(name, quantile(latencies.tidegate, p), "ms");
	report.figure(`${name}: the constant Worker's`, quantile(latencies.constant, p), "ms");
}
report.note(
	`workerd's user and system time, medians over interleaved rounds of ${CONNECTIONS} keep-alive connections; each ratio over a constant`,
);
report.note(
	`Worker with the same requests and an answer of the same size. Head: refreshed every 5 s from a control 20 ms away, at ${EXPIRY.rate} requests a second.`,
);
report.end();
await Promise.all([edge, constant, growthbook].map((each) => each.stop()));

async function aGrowthbook(flags) {
	const { translate } = await import("./peers/growthbook.mjs");
	return aWorker("growthbook", (await buildWorker("bench/workers/growthbook.mjs")).text, { bindings: { FEATURES: translate(flags) } });
}

function requestsOf({ count }) {
	const headers = { Authorization: `Bearer ${tidegate.sdkKey(String(count))}`, "Content-Type": "application/json" };
	return contexts.map((context) => ({ method: "POST", headers, body: JSON.stringify({ context }) }));
}

/** The size of an arm's first answer, which must be a 200. */
async function answerTo(arm) {
	const [request] = requestsOf(arm);
	const response = await fetch(arm.url, request);
	arm.text = await response.text();
	if (response.status !== 200) throw new Error(`${arm.name}: ${response.status} ${arm.text}`);
	return arm.text.length;
}

/** Sends requests and returns their latencies in ms. Anything but a 200 would be another benchmark. */
async function load(arm, { skippedMs = 0, ...amount }) {
	const taken = [];
	const countsFromMs = Date.now() + skippedMs;
	const run = autocannon({ url: arm.url, connections: CONNECTIONS, requests: requestsOf(arm), sampleInt: 50, ...amount });
	run.on("response", (_client, _status, _bytes, ms) => Date.now() >= countsFromMs && taken.push(ms));
	const { non2xx, errors } = await run;
	if (non2xx + errors > 0) throw new Error(`${arm.name}: ${non2xx} answers were no 2xx, ${errors} errors`);
	return taken;
}

function skip(why) {
	report.note(`skipped: ${why}`);
	report.end();
	process.exit(0);
}
