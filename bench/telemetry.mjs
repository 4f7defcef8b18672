// npm run bench:telemetry: what an evaluation's answer waits for while outcomes are measured beside it.
import { loadTidegate } from "./build.mjs";
import { someContexts, someFlags } from "./flags.mjs";
import { isQuick, startReport } from "./report.mjs";
import { median, quantile, shuffled } from "./stats.mjs";
import { aControl, anEdge, startWorkerd } from "./workerd.mjs";

const PAIRS = isQuick ? 400 : 4_000;
const WARM_UP = 200;
/** Batches of outcomes beside the evaluations, each as many events, a store 50 ms away. */
const EVENTS = { batches: 20, everyMs: 50 };

const report = startReport("telemetry");
const tidegate = await loadTidegate();
// Flags of one fallthrough: only such can be in a rollout.
const flags = tidegate.author(someFlags(50)).map((flag) => ({ ...flag, fallthrough: Object.keys(flag.variants).at(-1), rules: [] }));
const measuredFlags = flags.map((flag) => ({ ...flag, measured: true }));
const { head, kv } = await tidegate.publish(
	{ plain: flags, measured: measuredFlags },
	{ measured: [tidegate.rolloutOf(flags.slice(0, 3))] },
);
const edge = await startWorkerd([(await anEdge())("edge", { USER_HASH_KEY: "bench" }), await aControl(head)], kv);
const contexts = someContexts(100);
const headersOf = (environment) => ({ Authorization: `Bearer ${tidegate.sdkKey(environment)}`, "Content-Type": "application/json" });

let sent = 0;
let isOver = false;
async function sendOutcomes() {
	const events = contexts.slice(0, EVENTS.batches).flatMap(({ targetingKey }) => [
		{ targetingKey, flag: flags[0].key, metric: "error", value: false },
		{ targetingKey, flag: flags[0].key, metric: "latency_ms", value: 120 },
	]);
	const request = { method: "POST", headers: headersOf("measured"), body: JSON.stringify({ events }) };
	const response = await fetch(`${edge.urls.edge}/v1/events`, request);
	const { accepted } = await response.json();
	if (response.status !== 202 || accepted !== events.length) throw new Error(`events: ${response.status}`);
	sent += accepted;
}
const background = setInterval(() => void sendOutcomes().catch((error) => isOver || report.progress(error.message)), EVENTS.everyMs);

const taken = { plain: [], measured: [] };
for (let pair = -WARM_UP; pair < PAIRS; pair++) {
	if (pair % 1_000 === 0) report.progress(`${pair} of ${PAIRS} pairs`);
	const body = JSON.stringify({ context: contexts[(pair + WARM_UP) % contexts.length] });
	for (const environment of shuffled(Object.keys(taken))) {
		const start = performance.now();
		const url = `${edge.urls.edge}/ofrep/v1/evaluate/flags/${flags[0].key}`;
		const response = await fetch(url, { method: "POST", headers: headersOf(environment), body });
		await response.text();
		if (response.status !== 200) throw new Error(`${environment}: ${response.status}`);
		if (pair >= 0) taken[environment].push(performance.now() - start);
	}
}
clearInterval(background);
isOver = true;
const differences = taken.measured.map((ms, pair) => ms - taken.plain[pair]);
report.figure("an answer with telemetry over one without: median paired difference", median(differences), "ms", 0.5);
report.figure("the same, p95 of the differences", quantile(differences, 0.95), "ms");
report.figure("an answer without telemetry, median", median(taken.plain), "ms");
report.figure("outcomes stored meanwhile", sent, "events");
report.note(`One evaluation of a flag in a rollout, measured, against the same flag without either; ${PAIRS} pairs in random order,`);
report.note(`while ${(EVENTS.batches * 2 * 1_000) / EVENTS.everyMs} outcomes a second go to a store that takes 50 ms.`);
report.end();
await edge.stop();
