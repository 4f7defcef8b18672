import { env } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import { carryOut } from "../../../../control/api/rolloutCommands";
import { open } from "../../../../control/store/database";
import {
	ROLLOUTS,
	type RolloutBody,
	aPlan,
	command,
	commandsOf,
	createFlag,
	createRollout,
	done,
	newKey,
	pointersOf,
	refused,
} from "./harness";

/** A rollback that names what there is not is refused, and says how to go back all the same. */

function once(work: () => Promise<unknown>): () => Promise<unknown> {
	let begun: Promise<unknown> | undefined;
	return () => (begun ??= work());
}

const IMMEDIATE = { body: { command: "roll_back", reason: "all of it" } };
const statusOf = async (id: string): Promise<string> => (await done<RolloutBody>("GET", `${ROLLOUTS}/${id}`)).status;

async function running(): Promise<{ id: string; flag: string }> {
	const { key: flag } = await createFlag();
	const { id } = await createRollout({ flags: [flag] });
	await command(id, "start");
	return { id, flag };
}

describe("an unknown version", () => {
	const back = (versions: Record<string, number>) => ({ body: { command: "roll_back", strategy: "version", versions, reason: "x" } });

	test("is refused, as is that of a flag that is not in the rollout; immediate is not", async () => {
		const { id, flag } = await running();
		const other = newKey();
		const { errors, detail } = await refused(422, "POST", commandsOf(id), back({ [flag]: 99, [other]: 1 }));
		expect(errors?.map(({ pointer }) => pointer)).toEqual([`/versions/${flag}`, `/versions/${other}`]);
		expect(detail).toContain("strategy immediate");
		expect(await statusOf(id)).toBe("running");
		expect((await done<RolloutBody>("POST", commandsOf(id), IMMEDIATE)).status).toBe("rolled_back");
	});

	test("does not matter where everybody is back already", async () => {
		const { id, flag } = await running();
		await done("POST", commandsOf(id), IMMEDIATE);
		expect((await done<RolloutBody>("POST", commandsOf(id), back({ [flag]: 99 }))).status).toBe("rolled_back");
	});

	test("in a plan is refused when the plan is written", async () => {
		const { key } = await createFlag();
		const rollback = { strategy: "version", versions: { [key]: 2 } };
		expect(pointersOf(await refused(422, "POST", ROLLOUTS, { body: aPlan({ flags: [key], rollback }) }))).toEqual([
			`/rollback/versions/${key}`,
		]);
	});
});

describe("an unknown segment", () => {
	const back = (change: Record<string, unknown>) => ({
		body: { command: "roll_back", strategy: "targeted", reason: "theirs only", ...change },
	});

	test("is refused by its place, and changes nothing; immediate is not", async () => {
		const { id } = await running();
		const { key } = await done<{ key: string }>("POST", "/api/v1/segments?environment=production", { body: { key: newKey() } });
		const { errors, detail } = await refused(422, "POST", commandsOf(id), back({ segments: [key, "typo"], keys: ["ann"] }));
		expect(errors?.map(({ pointer }) => pointer)).toEqual(["/segments/1"]);
		expect(detail).toContain("there is no segment typo in production");
		expect(detail).toContain("strategy immediate");
		expect(await statusOf(id)).toBe("running");
		expect((await done<RolloutBody>("POST", commandsOf(id), back({ segments: [key] }))).status).toBe("running");
		expect((await done<RolloutBody>("POST", commandsOf(id), IMMEDIATE)).status).toBe("rolled_back");
	});

	test("of the plan's own is refused as well, unless others are named", async () => {
		const { key } = await done<{ key: string }>("POST", "/api/v1/segments?environment=production", { body: { key: newKey() } });
		const { id } = await createRollout({ rollback: { strategy: "targeted", segments: [key] } });
		await command(id, "start");
		await env.DB.prepare("DELETE FROM segments WHERE key = ?").bind(key).run();
		expect(pointersOf(await refused(422, "POST", commandsOf(id), back({})))).toEqual(["/strategy"]);
		expect((await done<RolloutBody>("POST", commandsOf(id), back({ keys: ["ann"] }))).status).toBe("running");
	});

	test("is one that is deleted between the look and the commit too: nobody is excluded, and it is refused by its place", async () => {
		const { id } = await running();
		const { key } = await done<{ key: string }>("POST", "/api/v1/segments?environment=production", { body: { key: newKey() } });
		const gone = once(() => done("DELETE", `/api/v1/segments/${key}?environment=production`, { headers: { "if-match": '"1"' } }));
		const racing = open(
			new Proxy(env.DB, {
				get(target, name) {
					if (name !== "batch") return Reflect.get(target, name).bind?.(target) as unknown;
					return async (statements: D1PreparedStatement[]) => {
						await gone();
						return target.batch(statements);
					};
				},
			}),
		);
		const wanted = { command: "roll_back" as const, strategy: "targeted" as const, segments: [key], reason: "theirs only" };
		const act = { actor: "ops", reason: wanted.reason, correlationId: "c", atMs: Date.now() };
		expect(await carryOut(racing, id, wanted, { act, isAdmin: false }, Date.now())).toBe("lost");
		expect((await done<RolloutBody>("GET", `${ROLLOUTS}/${id}`)).state).toMatchObject({ excluded: { segments: [] } });
		expect(pointersOf(await refused(422, "POST", commandsOf(id), back({ segments: [key] })))).toEqual(["/segments/0"]);
		expect((await done<RolloutBody>("POST", commandsOf(id), IMMEDIATE)).status).toBe("rolled_back");
	});

	test("is none where its row only cannot be read: those whom it names go back", async () => {
		const { id } = await running();
		const { key } = await done<{ key: string }>("POST", "/api/v1/segments?environment=production", { body: { key: newKey() } });
		await env.DB.prepare("UPDATE segments SET config = '{' WHERE key = ?").bind(key).run();
		expect((await done<RolloutBody>("POST", commandsOf(id), back({ segments: [key] }))).status).toBe("running");
	});
});

describe("a way back for some", () => {
	const back = (change: Record<string, unknown>) => ({ body: { command: "roll_back", reason: "theirs only", ...change } });

	test.each<[what: string, change: Record<string, unknown>, pointer: string]>([
		["of a flag that the rollout does not serve", { strategy: "feature", flags: ["nope"] }, "/flags/0"],
		["of nobody", { strategy: "targeted" }, "/strategy"],
		["down to more than is served", { strategy: "gradual", stages: [90, 80] }, "/stages"],
		["down to nobody by a stage above all that is served", { strategy: "gradual", stages: [90, 0] }, "/stages"],
	])("%s takes nobody back, and says what would", async (_, change, pointer) => {
		const { id } = await running();
		const refusal = await refused(422, "POST", commandsOf(id), back(change));
		expect(pointersOf(refusal)).toEqual([pointer]);
		expect(refusal.detail).toContain("strategy immediate");
		expect(await statusOf(id)).toBe("running");
		expect((await done<RolloutBody>("POST", commandsOf(id), IMMEDIATE)).status).toBe("rolled_back");
	});

	test("of whom it has taken back already takes nobody else", async () => {
		const { id } = await running();
		const ann = back({ strategy: "targeted", keys: ["ann"] });
		expect((await done<RolloutBody>("POST", commandsOf(id), ann)).status).toBe("running");
		expect((await refused(422, "POST", commandsOf(id), ann)).detail).toContain("on the baseline already");
		expect(await statusOf(id)).toBe("running");
	});
});

describe("a start at a time", () => {
	const at = (ms: number) => ({ body: { command: "start", reason: "", at: new Date(ms).toISOString() } });

	test("that is over is refused, and it stays a draft: a wrong year is not live at once", async () => {
		const { key: flag } = await createFlag();
		const { id } = await createRollout({ flags: [flag] });
		expect(pointersOf(await refused(422, "POST", commandsOf(id), at(Date.now() - 3_600_000)))).toEqual(["/at"]);
		expect(await statusOf(id)).toBe("draft");
		expect((await done<RolloutBody>("POST", commandsOf(id), at(Date.now() - 1_000))).status).toBe("running");
	});
});
