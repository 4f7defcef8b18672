// npm run bench:cold: workerd's CPU for an isolate's first answer, over the same Worker with no flags; and a snapshot's memory.
import { execFileSync } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { buildWorker, loadTidegate } from "./build.mjs";
import { someFlags } from "./flags.mjs";
import { isQuick, startReport } from "./report.mjs";
import { median, shuffled } from "./stats.mjs";
import { aControl, anEdge, aWorker, canMeasureCpu, startWorkerd } from "./workerd.mjs";

const COUNTS = [0, 100, 1_000, 10_000];
const BARS_MS = { 1_000: 3, 10_000: 10 };
const MEMORY_BAR = 3;
const PROCESSES = isQuick ? 2 : 8;
/** Fresh isolates of one process for each count: each answers once. */
const ISOLATES = 6;
/** Until what goes on behind an answer is over. */
const SETTLE_MS = 40;

const report = startReport("cold");
const tidegate = await loadTidegate();
if (canMeasureCpu) await measureFirstAnswers();
else report.note("first answers skipped: CPU is measured on Linux only");
measureMemory();
report.end();

async function measureFirstAnswers() {
	const environments = Object.fromEntries(COUNTS.map((count) => [`flags-${count}`, tidegate.author(someFlags(count))]));
	const { head, kv } = await tidegate.publish(environments);
	const edge = await anEdge();
	const control = await aControl(head);
	const { text: reader } = await buildWorker("bench/workers/read.mjs");
	const costs = Object.fromEntries(["edge", "read"].map((who) => [who, new Map(COUNTS.map((count) => [count, []]))]));

	for (let run = 0; run < PROCESSES; run++) {
		report.progress(`workerd ${run + 1} of ${PROCESSES}: ${2 * COUNTS.length * ISOLATES} fresh isolates`);
		const firsts = COUNTS.flatMap((count) =>
			Array.from({ length: ISOLATES }, (_, i) => [firstOf("edge", count, i, environments), firstOf("read", count, i, environments)]).flat(),
		);
		const warm = [firstOf("edge", 10_000, "warm", environments), firstOf("read", 10_000, "warm", environments)];
		const workers = [...warm, ...firsts].map(({ who, name }) =>
			who === "edge" ? edge(name) : aWorker(name, reader, { kvNamespaces: { SNAPSHOTS: "snapshots" } }),
		);
		const workerd = await startWorkerd([control, ...workers], kv);
		// KV's simulator and control's stand-in live in the same process, and have their own first times.
		for (const first of warm) for (let i = 0; i < 5; i++) await answer(workerd, first);
		for (const { count } of firsts) await answer(workerd, { ...warm[1], path: firstOf("read", count, "", environments).path });
		for (const first of shuffled(firsts)) costs[first.who].get(first.count).push(await cpuOf(workerd, first));
		await workerd.stop();
	}
	const over = (who, count) => median(costs[who].get(count)) - median(costs[who].get(0));
	report.figure("first answer with 0 flags", median(costs.edge.get(0)), "ms CPU");
	for (const count of COUNTS.slice(1)) {
		const name = `first answer with ${count.toLocaleString("en")} flags`;
		report.figure(name, over("edge", count), "ms CPU over 0 flags", BARS_MS[count]);
		report.figure(`${name}: of it KV's read of the body`, over("read", count), "ms CPU over 0 flags");
	}
	report.note(`workerd's user and system time until ${SETTLE_MS} ms after the first answer of a fresh isolate, KV's simulator included:`);
	report.note(`medians of ${PROCESSES * ISOLATES} isolates for each count, in shuffled order, in ${PROCESSES} processes.`);
}

/** One isolate's first request: one flag, evaluated by the edge, or a body, only read. */
function firstOf(who, count, i, environments) {
	const environment = `flags-${count}`;
	const flags = environments[environment];
	// With no flags the answer is 404, and everything but a flag was read.
	const key = flags.length > 0 ? flags[Math.floor(flags.length / 3)].key : "none";
	const path = who === "edge" ? `/ofrep/v1/evaluate/flags/${key}` : `/snapshot/${environment}/1`;
	return {
		who,
		count,
		name: `${who}-${count}-${i}`,
		path,
		sdkKey: tidegate.sdkKey(environment),
		status: who === "edge" && count === 0 ? 404 : 200,
	};
}

async function answer({ urls }, { name, path, sdkKey, status, count }) {
	const response = await fetch(urls[name] + path, {
		method: "POST",
		headers: { Authorization: `Bearer ${sdkKey}`, Connection: "close" },
		body: JSON.stringify({ context: { targetingKey: `user-${count}`, country: "CH", plan: "pro" } }),
	});
	const text = await response.text();
	if (response.status !== status) throw new Error(`${name}: ${response.status} ${text}`);
}

async function cpuOf(workerd, first) {
	const beforeMs = workerd.cpuMs();
	await answer(workerd, first);
	await sleep(SETTLE_MS);
	return workerd.cpuMs() - beforeMs;
}

function measureMemory() {
	for (const count of [1_000, 10_000]) {
		const path = `${process.cwd()}/.tmp/bench/tidegate.mjs`;
		const { held, bytes } = JSON.parse(
			execFileSync(process.execPath, ["--expose-gc", "bench/memory.mjs", path, String(count)], { encoding: "utf8" }),
		);
		report.figure(`memory with ${count.toLocaleString("en")} flags, all evaluated`, held / bytes, "× the snapshot's bytes", MEMORY_BAR);
	}
}
