import { afterAll, beforeAll, expect, test } from "vitest";
import { createTestHarness } from "wrangler";

// Both production Workers from their own wrangler.toml, in one workerd; only the secrets are added.
const server = createTestHarness({
	workers: [
		{ configPath: "./wrangler.toml", vars: { USER_HASH_KEY: "test-hash-key" } },
		{ configPath: "./control/wrangler.toml", vars: { ADMIN_TOKEN: "test-admin-token" } },
	],
});
const MINUTE_MS = 60_000;
let now = Date.now();

beforeAll(async () => {
	await server.listen();
	await server.getWorker("tidegate-control").applyD1Migrations("DB");
});
afterAll(() => server.close());

async function tick(): Promise<void> {
	now += MINUTE_MS;
	const { outcome } = await server.getWorker("tidegate-control").scheduled({ cron: "* * * * *", scheduledTime: new Date(now) });
	expect(outcome).toBe("ok");
}

async function control<T>(method: string, path: string, body?: object): Promise<T> {
	const response = await server.getWorker("tidegate-control").fetch(`http://control/api/v1${path}`, {
		method,
		headers: { authorization: "Bearer test-admin-token", "content-type": "application/json" },
		...(body ? { body: JSON.stringify(body) } : {}),
	});
	const answer = (await response.json()) as T;
	expect(response.status, JSON.stringify(answer)).toBeLessThan(300);
	return answer;
}

test("a flag is rolled out, its users' outcomes flow back, and proven harm takes everybody to the baseline", async () => {
	const flag = "checkout";
	await control("POST", "/flags?environment=production", { key: flag, type: "boolean" });
	const { key } = await control<{ key: string }>("POST", "/keys", { environment: "production", name: "test" });
	const { id } = await control<{ id: string }>("POST", "/rollouts", {
		rollout: flag,
		environment: "production",
		flags: [flag],
		phases: [
			{ percent: 20, hold: "10m" },
			{ percent: 100, hold: "10m" },
		],
		guards: ["error_rate vs control <= +25%"],
	});
	await control("POST", `/rollouts/${id}/commands`, { command: "start", reason: "test" });
	await tick();

	const edge = async <T>(path: string, body: object): Promise<T> => {
		const response = await server.fetch(`http://edge${path}`, {
			method: "POST",
			headers: { authorization: `Bearer ${key}` },
			body: JSON.stringify(body),
		});
		const answer = (await response.json()) as T;
		expect(response.status, JSON.stringify(answer)).toBeLessThan(300);
		return answer;
	};
	const users = Array.from({ length: 400 }, (_, i) => `user-${i}`);
	const served = async (): Promise<string[]> => {
		const answers = await Promise.all(
			users.map((targetingKey) => edge<{ value: boolean }>(`/ofrep/v1/evaluate/flags/${flag}`, { context: { targetingKey } })),
		);
		return users.filter((_, i) => answers[i]?.value);
	};
	const candidates = await served();
	expect(candidates.length).toBeGreaterThan(40);
	expect(candidates.length).toBeLessThan(120);

	const harmed = new Set(candidates.slice(0, 40));
	const events = users.map((targetingKey) => ({ targetingKey, metric: "error", value: harmed.has(targetingKey) }));
	expect(await edge("/v1/events", { events })).toEqual({ accepted: 400, rejected: [] });
	await tick();

	const { events: changes } = await control<{ events: { kind: string; reason: string; recordedAtMs: number }[] }>(
		"GET",
		`/rollouts/${id}/events`,
	);
	expect(changes.map(({ kind, reason }) => [kind, reason])).toEqual([
		["start", "operator"],
		["roll_back", "harm_proven"],
	]);
	// The edge's own promise, on the real clock: within 10 s of the commit nobody is served the candidate.
	const committedAtMs = changes[1]?.recordedAtMs ?? 0;
	let left = await served();
	while (left.length > 0 && Date.now() < committedAtMs + 10_000) {
		// oxlint-disable-next-line no-await-in-loop -- steady requests
		await new Promise((done) => setTimeout(done, 200));
		// oxlint-disable-next-line no-await-in-loop -- steady requests
		left = await served();
	}
	expect(left).toEqual([]);
});
