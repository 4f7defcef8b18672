import { rmSync } from "node:fs";
import { afterAll, expect, test } from "vitest";
import { type Running, freePort, run, stateFolder } from "./processes";

const state = stateFolder();
const started: Running[] = [];
afterAll(async () => {
	await Promise.all(started.map((each) => each.end("SIGKILL")));
	rmSync(state, { recursive: true, force: true });
});

async function dev(ports: { edge: number; control: number }, more: Readonly<Record<string, string>> = {}): Promise<Running> {
	const environment = { EDGE_PORT: String(ports.edge), CONTROL_PORT: String(ports.control), TIDEGATE_STATE: state };
	const running = run(["scripts/dev.mjs"], { ...environment, ...more });
	started.push(running);
	await running.printed("Ctrl-C stops");
	return running;
}

const said = (running: Running, name: string): string => new RegExp(`^${name} +(\\S+)`, "m").exec(running.output())?.[1] ?? "";

test("npm run dev seeds example flags, prints what is needed to try them, and keeps its state over a restart", async () => {
	const ports = { edge: await freePort(), control: await freePort() };
	const first = await dev(ports);
	const evaluate = async (key: string) => {
		const response = await fetch(`http://127.0.0.1:${ports.edge}/ofrep/v1/evaluate/flags/new-checkout`, {
			method: "POST",
			headers: { authorization: `Bearer ${key}` },
			body: JSON.stringify({ context: { targetingKey: "ann" } }),
		});
		return response.json();
	};
	const sdkKey = said(first, "SDK key");
	expect(await evaluate(sdkKey)).toMatchObject({ key: "new-checkout", value: false });
	const taken = run(["scripts/dev.mjs"], { EDGE_PORT: String(ports.edge), CONTROL_PORT: String(ports.control), TIDEGATE_STATE: state });
	started.push(taken);
	await taken.printed(`in use: EDGE_PORT (${ports.edge}) and CONTROL_PORT (${ports.control})`);
	await first.end("SIGTERM");

	const second = await dev(ports, { TIDEGATE_TICK_SECONDS: "1" });
	expect(said(second, "admin token")).toBe(said(first, "admin token"));
	expect(said(second, "SDK key")).toBe(sdkKey);
	expect(await evaluate(sdkKey)).toMatchObject({ key: "new-checkout", value: false });

	await new Promise((done) => setTimeout(done, 4_000));
	const readiness = await fetch(`http://127.0.0.1:${ports.control}/health/readiness`);
	const { lastTickAgeMs } = (await readiness.json()) as { lastTickAgeMs: number };
	expect(lastTickAgeMs).toBeLessThan(2_500);
	expect(second.output()).not.toContain("[cron]");
	await second.end("SIGTERM");
});
