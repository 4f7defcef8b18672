import { env } from "cloudflare:workers";
import { afterEach, describe, expect, test } from "vitest";
import { type Database, open } from "../../../../control/store/database";
import { type Emergency, takeBack } from "../../../../control/store/emergency";
import { createFlag, getFlag } from "../../../../control/store/flags";
import { readHead } from "../../../../control/store/publication";
import { createRollout, listEvents } from "../../../../control/store/rollouts";
import { tick } from "../../../../control/tick/tick";
import { HARMFUL, MINUTE_MS, START_MS, aFlag, aPlan, aTick, current, db, everything, outcomes, started } from "../tick/fixtures";
import { manyLive } from "../tick/many";

const act = { actor: "ops", reason: "checkout is down", correlationId: "call-1", atMs: START_MS + MINUTE_MS };
const ALL: Emergency = { environment: "production", of: { kind: "all" }, kill: false };
const flagsOf = (keys: readonly string[], kill = false): Emergency => ({ environment: "production", of: { kind: "flags", keys }, kill });
const rolloutsOf = (keys: readonly string[]): Emergency => ({ environment: "production", of: { kind: "rollouts", keys }, kill: false });

async function back(given: Emergency, on: Database = db) {
	const outcome = await takeBack(on, given, act, Date.now());
	if (!outcome) throw new Error("lost each time");
	return outcome;
}

const count = async (sql: string): Promise<number> => (await env.DB.prepare(sql).first<{ n: number }>())?.n ?? -1;
const overlay = async () => (await readHead(db)).head.environments["production"]?.overlay;

/** The database, with what is done before each of its batches, which are counted. */
function watched(before: (batch: number) => Promise<unknown> = async () => {}) {
	const counted = { batches: 0, statements: 0 };
	const proxy = new Proxy(env.DB, {
		get(target, name) {
			if (name !== "batch") return Reflect.get(target, name).bind?.(target) as unknown;
			return async (statements: D1PreparedStatement[]) => {
				counted.batches++;
				counted.statements += statements.length;
				await before(counted.batches);
				return target.batch(statements);
			};
		},
	});
	return { db: open(proxy), counted };
}

afterEach(async () => {
	await back(ALL);
});

describe("all at once", () => {
	test("a thousand live rollouts end in one transaction: states, holds, overlay, events, audit, outbox and ways back", async () => {
		const ids = await manyLive("thousand", 1_000);
		await tick(aTick(), START_MS);
		const { db: counting, counted } = watched();
		const { rolledBack, headRevision } = await back(ALL, counting);
		expect(rolledBack.toSorted()).toEqual([...ids].sort());
		expect(counted.batches).toBe(2); // what there is, and its end
		expect(counted.statements).toBeLessThan(30);
		expect(await count("SELECT count(*) AS n FROM rollouts WHERE status = 'rolled_back' AND name LIKE 'thousand-%'")).toBe(1_000);
		expect(await count("SELECT count(*) AS n FROM active_flags")).toBe(0);
		for (const table of [
			"rollout_events WHERE kind = 'roll_back'",
			"audit WHERE action = 'rollout.roll_back'",
			"outbox WHERE type = 'rollout.rolled_back'",
			"rollbacks WHERE strategy = 'emergency'",
		])
			// oxlint-disable-next-line no-await-in-loop -- four questions
			expect(await count(`SELECT count(*) AS n FROM ${table}`), table).toBe(1_000);
		expect((await overlay())?.baseline).toHaveLength(1_000);
		expect((await readHead(db)).head.revision).toBe(headRevision);
		expect(await count(`SELECT count(*) AS n FROM rollbacks WHERE head_revision = ${headRevision}`)).toBe(1_000);
	});

	test("each leaves what a single rollback leaves", async () => {
		const row = await started("alone");
		await back(ALL);
		const { state, revision, status } = await current(row.id);
		expect({ status, revision }).toEqual({ status: "rolled_back", revision: 2 });
		expect(state).toEqual({ status: "rolled_back", atMs: act.atMs, fromPhase: 0, by: "ops", reason: act.reason });
		const [event] = await listEvents(db, row.id, 1, 10);
		expect(event).toMatchObject({
			revision: 2,
			kind: "roll_back",
			reason: "operator",
			message: act.reason,
			actor: "ops",
			correlationId: "call-1",
			before: row.state,
			after: state,
			evidence: { health: null },
		});
		const told = await env.DB.prepare("SELECT payload FROM outbox WHERE subject = ? ORDER BY id DESC")
			.bind(row.id)
			.first<{ payload: string }>();
		expect(JSON.parse(told?.payload ?? "")).toEqual({
			rollout: row.id,
			revision: 2,
			environment: "production",
			reason: "operator",
			message: act.reason,
			status: "rolled_back",
		});
		const detected = await env.DB.prepare("SELECT detect_ms AS ms FROM rollbacks WHERE rollout = ?").bind(row.id).first<{ ms: number }>();
		expect(detected?.ms).toBe(MINUTE_MS);
	});

	test("a second call finds nothing live and writes nothing", async () => {
		await started("twice");
		await back(ALL);
		const before = await everything();
		expect(await back(ALL)).toMatchObject({ rolledBack: [], killed: [], notInRollout: [], unknown: [] });
		expect(await everything()).toBe(before);
	});

	test("drafts stay, and so do other environments", async () => {
		await createRollout(db, aPlan("a-draft"), act);
		await started("other-place");
		await env.DB.prepare("UPDATE rollouts SET environment = 'staging' WHERE name = 'other-place'").run();
		expect((await back(ALL)).rolledBack).toEqual([]);
		expect((await current("a-draft.1")).status).toBe("draft");
		await env.DB.prepare("UPDATE rollouts SET environment = 'production' WHERE name = 'other-place'").run();
	});

	test.each([
		["a state that is no JSON", "state = '{'"],
		["a state of unknown fields", `state = '{"status":"running"}'`],
		["a plan that is no JSON", "plan = 'x'"],
	])("what nobody can read is taken back too: %s", async (_, damage) => {
		const name = `hurt-${damage.length}`;
		const { id } = await started(name);
		const other = await started(`${name}-beside`);
		await env.DB.prepare(`UPDATE rollouts SET ${damage} WHERE id = ?`).bind(id).run();
		expect((await back(ALL)).rolledBack).toEqual([other.id, id].sort());
		const left = await env.DB.prepare("SELECT status, state ->> 'status' AS inState FROM rollouts WHERE id = ?").bind(id).first();
		expect(left).toEqual({ status: "rolled_back", inState: "rolled_back" });
		expect((await overlay())?.baseline).toContain(id);
	});
});

describe("what is named", () => {
	test("flags end the rollouts that hold them, and no others; those in none are told", async () => {
		const [one, other] = [await started("named"), await started("unnamed")];
		await back(rolloutsOf([(await started("free")).id]));
		const outcome = await back(flagsOf(["named", "free", "nobody"]));
		expect(outcome).toMatchObject({ rolledBack: [one.id], notInRollout: ["free"], unknown: ["nobody"], killed: [] });
		expect((await current(other.id)).status).toBe("running");
		expect((await getFlag(db, "production", "free"))?.enabled).toBe(true);
	});

	test("rollouts end by their ids; one that has ended or is not there is no error", async () => {
		const [one, other] = [await started("by-id"), await started("not-by-id")];
		await back(rolloutsOf([other.id]));
		expect(await back(rolloutsOf([one.id, other.id, "nobody.1"]))).toMatchObject({ rolledBack: [one.id], unknown: ["nobody.1"] });
	});

	test("kill: the flags are off for everybody in the same transaction, once", async () => {
		const row = await started("to-kill");
		const { db: counting, counted } = watched();
		expect(await back(flagsOf(["to-kill"], true), counting)).toMatchObject({ rolledBack: [row.id], killed: ["to-kill"] });
		expect(counted.batches).toBe(2);
		expect(await getFlag(db, "production", "to-kill")).toMatchObject({ enabled: false, version: 2 });
		expect((await overlay())?.kill).toContain("to-kill");
		const versions = await env.DB.prepare("SELECT version, reason FROM flag_versions WHERE key = 'to-kill' ORDER BY version").all();
		expect(versions.results.at(-1)).toEqual({ version: 2, reason: act.reason });
		const audited = await env.DB.prepare(
			`SELECT "before" ->> 'enabled' AS was, "after" ->> 'enabled' AS now FROM audit WHERE action = 'flag.killed'`,
		).first();
		expect(audited).toEqual({ was: 1, now: 0 });
		expect(await back(flagsOf(["to-kill"], true))).toMatchObject({ rolledBack: [], killed: [], notInRollout: ["to-kill"] });
		expect((await getFlag(db, "production", "to-kill"))?.version).toBe(2);
	});
});

describe("beside others", () => {
	test("a tick that comes in between loses nothing and is lost against once", async () => {
		const [hurt, fine] = [await started("raced-hurt"), await started("raced-fine")];
		await outcomes(hurt, HARMFUL);
		const { db: racing, counted } = watched(async (batch) => (batch === 2 ? tick(aTick(), act.atMs) : undefined));
		const outcome = await back(ALL, racing);
		expect(counted.batches).toBe(4);
		expect(outcome.rolledBack).toEqual([fine.id]);
		const reasons = async (id: string) => (await listEvents(db, id, 1, 10)).map(({ reason }) => reason);
		expect([await reasons(hurt.id), await reasons(fine.id)]).toEqual([["harm_proven"], ["operator"]]);
	});

	test("two calls at once end each rollout once", async () => {
		const ids = await manyLive("both", 20);
		const found = await Promise.all([back(ALL), back(ALL)]);
		expect(found.flatMap(({ rolledBack }) => rolledBack).toSorted()).toEqual([...ids].sort());
		expect(await count("SELECT count(*) AS n FROM rollout_events WHERE rollout LIKE 'both-%' AND kind = 'roll_back'")).toBe(20);
	});

	test("a call whose twin under the same key came in between kills nothing that was switched on since", async () => {
		await createFlag(db, "production", aFlag("twin"), act);
		const keyed = { key: "k-1", hash: "h" };
		const given = { ...flagsOf(["twin"], true), keyed };
		const { db: racing, counted } = watched(async (batch) => {
			if (batch !== 2) return;
			await back(given);
			await env.DB.prepare("UPDATE flags SET version = 3, config = json_set(config, '$.enabled', json('true')) WHERE key = 'twin'").run();
		});
		expect(await back(given, racing)).toMatchObject({ killed: ["twin"], notInRollout: ["twin"], earlierHash: "h" });
		expect(counted.batches).toBe(3);
		expect(await getFlag(db, "production", "twin")).toMatchObject({ enabled: true, version: 3 });
		expect(await back({ ...given, environment: "staging" })).toMatchObject({ killed: [], unknown: ["twin"] });
	});

	test("one that loses each time gives up, and has written nothing", async () => {
		const { id } = await started("unlucky");
		const blocking =
			"CREATE TRIGGER unlucky BEFORE INSERT ON rollout_events BEGIN SELECT RAISE(ABORT, 'UNIQUE constraint failed: rollout_events.rollout'); END";
		await env.DB.prepare(blocking).run();
		const { db: counting, counted } = watched();
		const outcome = await takeBack(counting, ALL, act, Date.now());
		await env.DB.prepare("DROP TRIGGER unlucky").run();
		expect([outcome, counted.batches]).toEqual([undefined, 16]);
		expect((await current(id)).status).toBe("running");
	});
});
