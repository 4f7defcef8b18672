import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startDev } from "../../scripts/dev-server.mjs";

const TOKEN = "bench";

/** Both Workers as they are deployed, with several isolates of the edge that follow the head each by itself. */
export async function startInstance(edgeCount) {
	const state = mkdtempSync(join(tmpdir(), "tidegate-bench-"));
	const edges = await Promise.all(Array.from({ length: edgeCount }, freePort));
	const control = await freePort();
	const dev = await startDev({
		ports: { control, edge: edges[0] },
		state,
		tickMs: 0,
		bindings: { control: { ADMIN_TOKEN: TOKEN }, edge: { USER_HASH_KEY: "bench" } },
		log: () => {},
		adapt: ([controlWorker, edgeWorker]) => [
			controlWorker,
			...edges.map((port, i) => ({ ...edgeWorker, name: `edge-${i}`, unsafeDirectSockets: [{ host: "127.0.0.1", port }] })),
		],
	});
	const call = async (method, path, body) => {
		const response = await fetch(`http://127.0.0.1:${control}/api/v1${path}`, {
			method,
			headers: { authorization: `Bearer ${TOKEN}`, "content-type": "application/json" },
			...(body === undefined ? {} : { body: JSON.stringify(body) }),
		});
		const answer = await response.json();
		if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${JSON.stringify(answer)}`);
		return answer;
	};
	await dev.tick(); // the first snapshot
	return {
		edges: edges.map((port) => `http://127.0.0.1:${port}`),
		call,
		/** How many transactions took back what this call did. */
		async transactionsOf(rollouts) {
			const database = await dev.database();
			const counted = database.prepare(
				"SELECT count(*) AS rows, count(DISTINCT head_revision) AS transactions FROM rollbacks WHERE rollout IN (SELECT value FROM json_each(?))",
			);
			return counted.bind(JSON.stringify(rollouts)).first();
		},
		async stop() {
			await dev.stop();
			rmSync(state, { recursive: true, force: true });
		},
	};
}

const freePort = () =>
	new Promise((done, fail) => {
		const server = createServer()
			.on("error", fail)
			.listen(0, "127.0.0.1", () => {
				const { port } = server.address();
				server.close(() => done(port));
			});
	});
