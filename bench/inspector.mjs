import { setTimeout as sleep } from "node:timers/promises";

const LOOK_MS = 100;
const COLLECTED_WITHIN_MS = 30_000;

/**
 * A session with a Worker's inspector, kept for as long as it is wanted: what a new one asks for is not always done. `wake` sends the Worker a
 * request, without which it does nothing for the inspector either.
 */
export async function inspect(url, wake) {
	const socket = new WebSocket(url);
	await new Promise((open, fail) => {
		socket.addEventListener("open", open);
		socket.addEventListener("error", fail);
	});
	const asked = new Map();
	socket.addEventListener("message", ({ data }) => {
		const { id, result, error } = JSON.parse(data);
		const { done, fail } = asked.get(id) ?? {};
		if (error) fail?.(new Error(error.message));
		else done?.(result);
		asked.delete(id);
	});
	socket.addEventListener("close", () => {
		for (const { fail } of asked.values()) fail(new Error("the inspector has gone"));
	});
	let lastId = 0;
	const call = (method) =>
		new Promise((done, fail) => {
			asked.set(++lastId, { done, fail });
			socket.send(JSON.stringify({ id: lastId, method }));
		});
	return {
		/** What the Worker's JavaScript holds, and nothing that could be collected. */
		async heldBytes() {
			const collected = call("HeapProfiler.collectGarbage");
			for (const until = performance.now() + COLLECTED_WITHIN_MS; !(await Promise.race([collected, sleep(LOOK_MS)])); await wake())
				if (performance.now() > until) throw new Error("the inspector did not collect the garbage in time");
			const { usedSize, embedderHeapUsedSize, backingStorageSize } = await call("Runtime.getHeapUsage");
			return usedSize + embedderHeapUsedSize + backingStorageSize;
		},
		close: () => socket.close(),
	};
}
