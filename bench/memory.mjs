// Run by cold.mjs with --expose-gc: what a body costs in memory once every one of its flags has been evaluated.
import { setTimeout as sleep } from "node:timers/promises";
import { someFlags } from "./flags.mjs";

const [, , path, count] = process.argv;
const tidegate = await import(path);
const body = () => new TextEncoder().encode(tidegate.packBody("production", tidegate.author(someFlags(Number(count)))).body);

const opened = () => {
	const bytes = body();
	const snapshot = tidegate.openBody(bytes);
	tidegate.evaluateAll(snapshot, { targetingKey: "user-1", country: "CH" });
	return { bytes, snapshot };
};

/** A new turn of the loop first: what the last one left on its stack would count. */
async function bytesHeld() {
	await sleep(10);
	for (let i = 0; i < 4; i++) globalThis.gc();
	const { heapUsed, arrayBuffers } = process.memoryUsage();
	return heapUsed + arrayBuffers;
}

opened(); // what the code itself takes is not the snapshot's
const before = await bytesHeld();
globalThis.held = opened();
const after = await bytesHeld();
process.stdout.write(JSON.stringify({ held: after - before, bytes: globalThis.held.bytes.byteLength }));
