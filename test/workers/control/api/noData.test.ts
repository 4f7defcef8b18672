import { expect, test } from "vitest";
import { tick } from "../../../../control/tick/tick";
import { aTick } from "../tick/fixtures";
import { type RolloutBody, command, createFlag, createRollout, done, newKey } from "./harness";

/** What a rollout that nothing is counted of has its reader look at. */

const ORIGINS = { true: "https://new.example.com", false: "https://old.example.com" };

interface Told {
	readonly health: { readonly message: string };
}

async function quiet(routed: (flag: string) => Promise<readonly string[]>) {
	const { key: flag } = await createFlag();
	const routes = await routed(flag);
	const { id } = await createRollout({ flags: [flag] });
	await command(id, "start");
	await tick(aTick(), Date.now() + 60_000);
	const { rolloutChecks } = await done<{ rolloutChecks: { rollout: string; message: string }[] }>(
		"GET",
		"/api/v1/deployment/health-checks",
	);
	const messages = [
		(await done<RolloutBody & Told>("GET", `/api/v1/rollouts/${id}`)).health.message,
		(await done<Told>("GET", `/api/v1/deployment/features/${flag}`)).health.message,
		rolloutChecks.find(({ rollout }) => rollout === id)?.message,
	];
	await command(id, "roll_back");
	return { routes, messages };
}

async function route(flag: string): Promise<string> {
	const key = newKey();
	const body = { key, host: `${key}.example.com`, flag, origins: ORIGINS };
	await done("POST", "/api/v1/gateway/routes?environment=production", { body });
	return key;
}

test("where a route serves the flag it is whether traffic reaches that, since the gateway measures by itself", async () => {
	const { routes, messages } = await quiet(async (flag) => [await route(flag)]);
	for (const message of messages) {
		expect(message).toMatch(/^no_data: no outcome counted for \d+ tick\(s\): the gateway measures by itself/);
		expect(message).toContain(`does traffic reach ${routes.join(", ")}, with a targeting key`);
		expect(message).not.toContain("events");
	}
});

test("of many routes the first ones are named", async () => {
	const { routes, messages } = await quiet(async (flag) => {
		const keys: string[] = [];
		// oxlint-disable-next-line no-await-in-loop -- few requests
		for (let i = 0; i < 7; i++) keys.push(await route(flag));
		return keys.sort();
	});
	expect(messages[0]).toContain(`does traffic reach ${routes.slice(0, 5).join(", ")} and 2 more, with`);
});

test("without a route it is whether events are sent", async () => {
	const { messages } = await quiet(async () => []);
	for (const message of messages) expect(message).toMatch(/: are events sent, and are the flags enabled\?$/);
});
