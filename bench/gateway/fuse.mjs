import { median, quantile } from "../stats.mjs";
import { load, requestText } from "./client.mjs";
import { startOrigin } from "./origins.mjs";
import { headersOf, startEdge } from "./world.mjs";

const BAR = 30;
/** Long enough that a fuse which has not blown by then would be told. */
const REQUESTS = 300;
const AT_ONCE = [1, 10];
const WAYS = [
	{ failing: "always", name: "a candidate that always fails" },
	{ failing: "every second", name: "one that fails every second request" },
	{ failing: 0.5, name: "one that fails half of the time, by chance" },
];

/** How many requests a candidate gets of an isolate from its first failing answer on, this one included. */
export async function measureFuse(report, tidegate, { times }) {
	const blue = await startOrigin("blue");
	const green = await startOrigin("green");
	const runs = WAYS.flatMap((way) =>
		AT_ONCE.flatMap((atOnce) =>
			Array.from({ length: times }, (_, i) => ({ ...way, atOnce, key: `canary-${WAYS.indexOf(way)}-${atOnce}-${i}` })),
		),
	);
	// A rollout has one fuse, and each run one of its own.
	const routes = runs.map(({ key }) => ({ key, host: `${key}.example`, flag: key, origins: { false: blue.url, true: green.url } }));
	const rollouts = runs.map(({ key }) => ({ key, served: 50_000 }));
	const edge = await startEdge(await tidegate.publishGateway({ version: 1, routes, rollouts }));
	let failed = 0;
	for (const { name, failing } of WAYS)
		for (const atOnce of AT_ONCE) {
			report.progress(`fuse: ${name}, ${atOnce} at once`);
			const counts = [];
			for (const { key } of runs.filter((run) => run.failing === failing && run.atOnce === atOnce)) {
				await green.fail(failing);
				let asked = 0;
				const next = () => (asked++ < REQUESTS ? requestText({ host: `${key}.example`, headers: headersOf(asked) }) : undefined);
				await load(edge.urls.edge, atOnce, next, ({ status }) => (failed += Number(status !== 200)));
				counts.push((await green.state()).sinceFailure);
			}
			const what = `${name}, ${atOnce} at once: its requests from the first failure to the fuse`;
			report.figure(`${what}, median of ${times}`, median(counts), "requests", BAR);
			// What fails by chance may stay below half for as long as chance likes.
			if (typeof failing === "string") report.figure(`${what}, most`, Math.max(...counts), "requests", BAR);
			else report.figure(`${what}, p95`, quantile(counts, 0.95), "requests");
		}
	report.figure("requests meanwhile that failed for their users", failed, "requests", 0);
	for (const each of [edge, blue, green]) await each.stop();
}
