import { parentPort, workerData } from "node:worker_threads";
import { RUNS } from "./run.mjs";

const judge = await import(workerData);

/** Some repetitions of one cell. */
parentPort.on("message", ({ kind, cell, from, to }) => {
	const results = [];
	for (let repetition = from; repetition < to; repetition++) results.push(RUNS[kind](judge, cell, repetition));
	// oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread has no origin
	parentPort.postMessage(results);
});
