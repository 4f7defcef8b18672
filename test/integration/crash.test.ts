import { rmSync } from "node:fs";
import { afterAll, expect, test } from "vitest";
import { type Running, freePort, run, stateFolder } from "./processes";

const state = stateFolder();
const started: Running[] = [];
afterAll(async () => {
	await Promise.all(started.map((each) => each.end("SIGKILL")));
	rmSync(state, { recursive: true, force: true });
});

async function instance(stuckKv: boolean) {
	const ports = { edge: await freePort(), control: await freePort() };
	const running = run(["test/integration/instance.mjs", JSON.stringify({ ports, state, stuckKv })]);
	started.push(running);
	await running.printed("ready");
	const call = async (path: string, body?: object) => {
		const response = await fetch(`http://127.0.0.1:${ports.control}${path}`, {
			method: body ? "POST" : "GET",
			headers: { authorization: "Bearer token", "content-type": "application/json" },
			...(body ? { body: JSON.stringify(body) } : {}),
		});
		return (await response.json()) as Record<string, unknown>;
	};
	const tick = async (): Promise<void> => {
		const path = `/cdn-cgi/local/scheduled?cron=${encodeURIComponent("* * * * *")}&time=${Date.now()}`;
		await (await fetch(`http://127.0.0.1:${ports.control}${path}`)).text();
	};
	return { running, ports, call, tick };
}

test("a crash between commit and publish: the snapshot is published after the restart", async () => {
	const before = await instance(false);
	await before.tick();
	const { key } = await before.call("/api/v1/keys", { environment: "production", name: "test" });
	await before.running.end("SIGTERM");

	const crashing = await instance(true);
	expect(await crashing.call("/api/v1/flags?environment=production", { key: "survivor", type: "boolean" })).toMatchObject({ version: 1 });
	await crashing.running.printed("stuck in put snapshot/production/");
	expect(await crashing.call("/health/readiness")).toMatchObject({ pendingPublications: ["production"] });
	await crashing.running.end("SIGKILL");

	const after = await instance(false);
	expect(await after.call("/health/readiness")).toMatchObject({ pendingPublications: ["production"] });
	const ask = () =>
		fetch(`http://127.0.0.1:${after.ports.edge}/ofrep/v1/evaluate/flags/survivor`, {
			method: "POST",
			headers: { authorization: `Bearer ${String(key)}` },
			body: JSON.stringify({ context: { targetingKey: "ann" } }),
		});
	await after.tick();
	expect(await after.call("/health/readiness")).toMatchObject({ pendingPublications: [] });
	const answer = await ask();
	expect(answer.status).toBe(200);
	expect(await answer.json()).toMatchObject({ key: "survivor", value: false, reason: "STATIC" });
});
