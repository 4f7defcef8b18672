// An own instance on free ports, spoken to through HTTP only. Time is moved on by a header and by ticks with later scheduled times.
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startDev } from "../dev-server.mjs";
import { call, closePool, mustCall, pooled } from "./http.mjs";

const MINUTE_MS = 60_000;
const EVENTS_A_BATCH = 500;
const TOKEN = "demo-admin-token";

const freePort = () =>
	new Promise((done, fail) => {
		const server = createServer()
			.on("error", fail)
			.listen(0, "127.0.0.1", () => {
				const { port } = server.address();
				server.close(() => done(port));
			});
	});

export async function startInstance() {
	const state = mkdtempSync(join(tmpdir(), "tidegate-demo-"));
	const ports = { edge: await freePort(), control: await freePort() };
	const dev = await startDev({
		ports,
		state,
		tickMs: 0,
		bindings: {
			control: { ADMIN_TOKEN: TOKEN, DEV_CLOCK: "1" },
			edge: { USER_HASH_KEY: "demo-user-hash-key", DEV_CLOCK: "1" },
		},
	});
	let now = Math.ceil(Date.now() / MINUTE_MS) * MINUTE_MS;
	const api = (method, path, body) => mustCall(ports.control, method, `/api/v1${path}`, { token: TOKEN, body, now });
	const tick = () => mustCall(ports.control, "GET", `/cdn-cgi/local/scheduled?cron=${encodeURIComponent("* * * * *")}&time=${now}`);
	await tick(); // the first snapshot
	const { key } = await api("POST", "/keys", { environment: "production", name: "demo" });

	return {
		api,
		now: () => now,
		/** A minute later. */
		async tick() {
			now += MINUTE_MS;
			await tick();
		},
		/** → { value, variant, reason, metadata } */
		async evaluate(flag, user) {
			const { status, body } = await call(ports.edge, "POST", `/ofrep/v1/evaluate/flags/${flag}`, {
				token: key,
				body: { context: { targetingKey: user } },
			});
			if (status !== 200) throw new Error(`evaluating ${flag}: ${status} ${JSON.stringify(body)}`);
			return body;
		},
		async report(events) {
			const batches = [];
			for (let i = 0; i < events.length; i += EVENTS_A_BATCH) batches.push(events.slice(i, i + EVENTS_A_BATCH));
			await pooled(batches, 4, async (batch) => {
				const { accepted, rejected } = await mustCall(ports.edge, "POST", "/v1/events", { token: key, body: { events: batch }, now });
				if (accepted !== batch.length) throw new Error(`${rejected.length} events rejected: ${JSON.stringify(rejected[0])}`);
			});
		},
		async stop() {
			closePool();
			await dev.stop();
			rmSync(state, { recursive: true, force: true });
		},
	};
}
