import { env } from "cloudflare:workers";
import { beforeEach, describe, expect, test } from "vitest";
import { recordEdge } from "../../../../control/store/edges";
import { open } from "../../../../control/store/database";
import { tick } from "../../../../control/tick/tick";
import { aTick } from "../tick/fixtures";
import { type RolloutBody, command, createFlag, createRollout, done, pointersOf, refused } from "./harness";

const D = "/api/v1/deployment";
const reason = "checked by hand";

beforeEach(async () => {
	await done("POST", `${D}/rollback/manual`, { body: { all: true, reason: "clean" } });
	await env.DB.prepare("DELETE FROM edges").run();
});

async function running(): Promise<{ id: string; flag: string }> {
	const { key: flag } = await createFlag();
	const { id } = await createRollout({ flags: [flag] });
	await command(id, "start");
	return { id, flag };
}

interface Status {
	readonly rollouts: readonly { rollout: string }[];
	readonly damaged: readonly string[];
	readonly flags: Readonly<Record<string, number>>;
	readonly edges: Readonly<Record<string, unknown>>;
}

describe("GET /status", () => {
	test("has each live rollout with where it is and what comes next, and says which cannot be read", async () => {
		const [one, hurt] = [await running(), await running()];
		await env.DB.prepare("UPDATE rollouts SET state = '{' WHERE id = ?").bind(hurt.id).run();
		const { rollouts, damaged } = await done<Status>("GET", `${D}/status`);
		expect(rollouts).toEqual([
			{
				rollout: one.id,
				status: "running",
				phase: "phase_1",
				percent: 5,
				level: "unknown",
				score: null,
				flags: [one.flag],
				next: {
					kind: "phase",
					phase: "phase_2",
					percent: 20,
					audience: null,
					flags: [],
					holdLeftMs: 600_000,
					notBeforeMs: null,
					approvals: { needed: 0, given: [], author: "admin" },
					checks: [],
					waitsFor: ["hold"],
				},
			},
		]);
		expect(damaged).toEqual([hurt.id]);
	});

	test("what is paused has nothing next, and after the last phase it completes", async () => {
		const { id } = await running();
		await command(id, "advance");
		await command(id, "advance");
		expect((await done<Status>("GET", `${D}/status`)).rollouts).toMatchObject([{ phase: "phase_3", next: { phase: null, percent: 100 } }]);
		await command(id, "pause");
		expect((await done<Status>("GET", `${D}/status`)).rollouts).toMatchObject([{ status: "paused", next: null }]);
	});

	test("counts flags by their state", async () => {
		const before = (await done<Status>("GET", `${D}/status`)).flags;
		await running();
		await createFlag({ enabled: false });
		const { key } = await createFlag();
		await env.DB.prepare("UPDATE flags SET config = '{' WHERE key = ?").bind(key).run();
		const { flags } = await done<Status>("GET", `${D}/status`);
		const more = Object.fromEntries(Object.entries(flags).map(([name, value]) => [name, value - (before[name] ?? 0)]));
		expect(more).toEqual({ total: 3, enabled: 1, disabled: 1, damaged: 1, inRollout: 1 });
	});

	test("knows of the edges that serve, and whether they are several", async () => {
		const db = open(env.DB);
		expect((await done<Status>("GET", `${D}/status`)).edges).toMatchObject({ isolates: 0, isSpread: false, behind: 0 });
		await recordEdge(db, { isolate: "a", colo: "ZRH", revision: 1 }, Date.now());
		await recordEdge(db, { isolate: "b", colo: "ZRH", revision: 1_000_000 }, Date.now());
		expect((await done<Status>("GET", `${D}/status`)).edges).toMatchObject({ isolates: 2, colos: 1, isSpread: false, behind: 1 });
		await recordEdge(db, { isolate: "c", colo: "FRA", revision: 1_000_000 }, Date.now());
		expect((await done<Status>("GET", `${D}/status`)).edges).toMatchObject({ isolates: 3, colos: 2, isSpread: true });
	});
});

describe("features", () => {
	test("are flags with the rollout that moves them", async () => {
		const { id, flag } = await running();
		const { key: free } = await createFlag();
		const { features } = await done<{ features: { key: string; rollout: unknown }[] }>("GET", `${D}/features`);
		expect(features.find(({ key }) => key === flag)).toMatchObject({
			type: "boolean",
			enabled: true,
			rollout: { rollout: id, percent: 5 },
		});
		expect(features.find(({ key }) => key === free)).toMatchObject({ rollout: null });
	});

	test("one has its flag, its rollout and what the last tick found", async () => {
		const { id, flag } = await running();
		await tick(aTick(), Date.now() + 60_000);
		expect(await done("GET", `${D}/features/${flag}`)).toMatchObject({
			key: flag,
			version: 1,
			flag: { key: flag, enabled: true },
			rollout: { rollout: id, phase: "phase_1", next: { phase: "phase_2" } },
			health: { rollout: id, reason: "no_data" },
		});
		await refused(404, "GET", `${D}/features/nobody`);
	});

	test("advance-phase moves the rollout that holds the flag", async () => {
		const { id, flag } = await running();
		const after = await done<RolloutBody>("POST", `${D}/features/${flag}/advance-phase`, { body: { reason } });
		expect(after).toMatchObject({ id, phase: "phase_2", percent: 20 });
		await command(id, "pause");
		await refused(409, "POST", `${D}/features/${flag}/advance-phase`, { body: { reason } });
		const { key: free } = await createFlag();
		const { detail } = await refused(404, "POST", `${D}/features/${free}/advance-phase`, { body: { reason } });
		expect(detail).toBe(`there is no rollout in production that holds flag ${free}`);
	});
});

describe("rollbacks", () => {
	interface Page {
		readonly rollbacks: readonly { rollout: string; recordedAtMs: number }[];
		readonly next: string | null;
	}

	test("have a history in pages, newest first, none twice and none left out", async () => {
		await env.DB.prepare("DELETE FROM rollbacks").run();
		const ids: string[] = [];
		for (let i = 0; i < 5; i++) ids.push((await running()).id); // oxlint-disable-line no-await-in-loop -- D1 has one writer
		await done("POST", `${D}/rollback/manual`, { body: { all: true, reason } });
		const found: string[] = [];
		let next: string | null = "";
		while (next !== null) {
			// oxlint-disable-next-line no-await-in-loop -- page after page
			const page: Page = await done<Page>("GET", `${D}/rollback/history?limit=2${next === "" ? "" : `&after=${next}`}`);
			found.push(...page.rollbacks.map(({ rollout }) => rollout));
			({ next } = page);
		}
		expect(found.toSorted()).toEqual(ids.toSorted());
		expect(found).toHaveLength(5);
	});

	test("say what followed them", async () => {
		const { id } = await running();
		await command(id, "roll_back", reason);
		const { rollbacks } = await done<Page>("GET", `${D}/rollback/history?environment=production&limit=1`);
		expect(rollbacks).toMatchObject([
			{
				rollout: id,
				revision: 2,
				strategy: "immediate",
				trigger: "operator",
				actor: "admin",
				steps: [],
				verifiedAtMs: null,
				isFollowed: true,
			},
		]);
	});

	test("have statistics, of an environment and a time", async () => {
		await env.DB.prepare("DELETE FROM rollbacks").run();
		await running();
		await done("POST", `${D}/rollback/manual`, { body: { all: true, reason } });
		expect(await done("GET", `${D}/rollback/statistics?days=1`)).toMatchObject({
			environment: "production",
			days: 1,
			count: 1,
			automatic: 0,
			manual: 1,
			byTrigger: { operator: 1 },
			byStrategy: { emergency: 1 },
			successShare: null,
		});
		expect(await done("GET", `${D}/rollback/statistics?environment=staging`)).toMatchObject({ count: 0 });
		await env.DB.prepare("UPDATE rollbacks SET recorded_at_ms = recorded_at_ms - 2 * 86400000").run();
		expect(await done("GET", `${D}/rollback/statistics?days=1`)).toMatchObject({ count: 0 });
	});

	test.each([
		["history?after=nowhere", "?after="],
		["history?limit=501", "?limit="],
		["statistics?days=0", "?days="],
		["statistics?environment=moon", "?environment="],
	])("refuse %s", async (path, pointer) => {
		expect(pointersOf(await refused(422, "GET", `${D}/rollback/${path}`))).toContain(pointer);
	});
});
