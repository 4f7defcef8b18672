import { env } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import { open } from "../../../../control/store/database";
import { readHead } from "../../../../control/store/publication";
import {
	type FlagBody,
	ROLLOUTS,
	type RolloutBody,
	auditOf,
	command,
	commandsOf,
	createFlag,
	createRollout,
	done,
	flagAt,
	newKey,
	send,
} from "./harness";

/** A rollback to an earlier version: what it gives back, and what it leaves as people made it meanwhile. */

const changed = (key: string, version: number, body: object): Promise<FlagBody> =>
	done("PATCH", flagAt(key), { body, headers: { "if-match": `"${version}"` } });
const flagOf = (key: string): Promise<FlagBody> => done("GET", flagAt(key));
const back = (versions?: Record<string, number>) => ({
	body: { command: "roll_back", strategy: "version", reason: "wrong rule", ...(versions ? { versions } : {}) },
});
const messageOf = async (id: string): Promise<string> => {
	const { events } = await done<{ events: { message: string }[] }>("GET", `${ROLLOUTS}/${id}/events`);
	return events.at(-1)?.message ?? "";
};

async function running(): Promise<{ id: string; flag: string }> {
	const { key: flag } = await createFlag({ description: "at the start" });
	const { id } = await createRollout({ flags: [flag] });
	await command(id, "start");
	return { id, flag };
}

describe("a rollback to the version of the start", () => {
	test("gives back what was changed since, as a version of its own", async () => {
		const { id, flag } = await running();
		await changed(flag, 1, { description: "later" });
		expect((await done<RolloutBody>("POST", commandsOf(id), back())).status).toBe("rolled_back");
		expect(await flagOf(flag)).toMatchObject({ description: "at the start", version: 3 });
	});

	test("leaves killed what was killed meanwhile, and targeted who was targeted", async () => {
		const { id, flag } = await running();
		const targets = [{ variant: "false", keys: ["ann"] }];
		await changed(flag, 1, { description: "later", targets });
		await changed(flag, 2, { enabled: false });
		await done("POST", commandsOf(id), back());
		expect(await flagOf(flag)).toMatchObject({ description: "at the start", enabled: false, targets, version: 4 });
		expect((await auditOf(`flags/production/${flag}`)).at(-1)).toMatchObject({ action: "flag.restored", after: { enabled: false } });
		const { head } = await readHead(open(env.DB));
		expect(head.environments["production"]?.overlay.kill).toContain(flag);
	});

	test("writes nothing where only that differs", async () => {
		const { id, flag } = await running();
		await changed(flag, 1, { enabled: false });
		await done("POST", commandsOf(id), back());
		expect((await flagOf(flag)).version).toBe(2);
	});
});

describe("a version that cannot be restored", () => {
	test("keeps nobody from going back: the flag stays as it is, and the event says so", async () => {
		const { id, flag } = await running();
		await changed(flag, 1, { description: "later" });
		await env.DB.prepare("UPDATE flag_versions SET config = '{' WHERE key = ? AND version = 1").bind(flag).run();
		expect((await send<RolloutBody>("POST", commandsOf(id), back())).body.status).toBe("rolled_back");
		expect(await flagOf(flag)).toMatchObject({ description: "later", version: 2 });
		expect(await messageOf(id)).toBe(`wrong rule; ${flag} stays as it is: its version 1 cannot be read`);
	});

	test("nor one whose segment is gone, which nobody could be served by", async () => {
		const segment = newKey();
		await done("POST", "/api/v1/segments?environment=production", { body: { key: segment } });
		const { key } = await createFlag({ rules: [{ id: "r", when: { segment }, serve: "true" }] });
		await changed(key, 1, { rules: [] });
		await done("DELETE", `/api/v1/segments/${segment}?environment=production`, { headers: { "if-match": '"1"' } });
		const { id } = await createRollout({ flags: [key] });
		await command(id, "start");
		expect((await done<RolloutBody>("POST", commandsOf(id), back({ [key]: 1 }))).status).toBe("rolled_back");
		expect(await flagOf(key)).toMatchObject({ rules: [], version: 2 });
		expect(await messageOf(id)).toBe(`wrong rule; ${key} stays as it is: version 1: there is no segment ${segment}`);
	});
});
