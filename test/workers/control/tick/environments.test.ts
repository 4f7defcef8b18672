import { env } from "cloudflare:workers";
import { type MockInstance, afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { type EnvironmentSettings, environmentSettings } from "../../../../core/environmentSettings";
import type { Command } from "../../../../core/rollouts/command";
import { type LiveState, isLive } from "../../../../core/rollouts/state";
import { latestEnvironmentChecks } from "../../../../control/store/environmentChecks";
import type { Database } from "../../../../control/store/database";
import { type StoredRollout, latestCheck, listEvents } from "../../../../control/store/rollouts";
import { changeSettings, getSettings, resetBreaker } from "../../../../control/store/settings";
import { tick } from "../../../../control/tick/tick";
import { type PlanChange, HARMFUL, HEALTHY, MINUTE_MS, START_MS, aTick, current, db, outcomes, started } from "./fixtures";

/** Later tests tick later: an earlier tick does nothing. */
let minute = 0;
const nextMinute = () => START_MS + ++minute * MINUTE_MS;
const actNow = () => ({ actor: "ann", reason: "because", correlationId: "c", atMs: START_MS + minute * MINUTE_MS });

let warn: MockInstance<typeof console.warn>;
const logged = () => warn.mock.calls.map(([line]) => (JSON.parse(String(line)) as { readonly event: string }).event);
beforeEach(() => {
	// The rollbacks of the test before would keep this one from advancing.
	minute += 120;
	warn = vi.spyOn(console, "warn").mockImplementation(() => {});
});
afterEach(async () => {
	vi.restoreAllMocks();
	await env.DB.prepare("UPDATE rollouts SET status = 'draft' WHERE status IN ('running', 'paused', 'scheduled')").run();
	await env.DB.prepare("DELETE FROM environment_settings").run();
});

async function set(change: Parameters<typeof environmentSettings.parse>[0]): Promise<EnvironmentSettings> {
	const settings = environmentSettings.parse(change);
	if (!(await changeSettings(db, await getSettings(db, "production"), settings, actNow()))) throw new Error("not set");
	return settings;
}

async function live(id: string): Promise<LiveState> {
	const { state } = await current(id);
	if (!isLive(state)) throw new Error(`${id} is ${state.status}`);
	return state;
}
const found = async (id: string) => (await latestCheck(db, id))?.reason;
const changesOf = async (id: string): Promise<string[]> => (await listEvents(db, id, 1, 20)).map(({ kind }) => kind);

async function told(id: string): Promise<string[]> {
	const rows = await env.DB.prepare(
		"SELECT type FROM outbox WHERE subject = ? AND type NOT LIKE 'rollout.%' AND type <> 'alert.phase_timeout' ORDER BY id",
	)
		.bind(id)
		.all<{ type: string }>();
	return rows.results.map(({ type }) => type);
}

/** One that two minutes of healthy outcomes take on. */
async function healthy(name: string, change: PlanChange = {}, arms = HEALTHY): Promise<StoredRollout> {
	const row = await started(name, change);
	await outcomes(row, arms, "a");
	return row;
}
/** Three that the next tick rolls back. */
async function harmful(name: string, count = 3): Promise<StoredRollout[]> {
	const rows: StoredRollout[] = [];
	for (let i = 0; i < count; i++) {
		// oxlint-disable-next-line no-await-in-loop -- D1 has one writer
		const row = await started(`${name}-${i}`);
		// oxlint-disable-next-line no-await-in-loop -- see above
		await outcomes(row, HARMFUL);
		rows.push(row);
	}
	return rows;
}
const breakerFound = async () => (await latestEnvironmentChecks(db)).find(({ environment }) => environment === "production")?.check;

/** At 10 %. */
const WIDE: typeof HEALTHY = { candidate: [50, 1], control: [450, 9] };
const TENTH = {
	phases: [
		{ percent: 10, hold: "2m", criteria: [] },
		{ percent: 100, hold: "2m", criteria: [] },
	],
};

describe("half an hour after too many rollbacks", () => {
	/** Two that are ready to advance, with a breaker that opened so many minutes ago. */
	async function twoReady(name: string, minutesLater: number): Promise<readonly [wide: StoredRollout, narrow: StoredRollout]> {
		await harmful(name);
		const [wide, narrow] = [await healthy(`${name}-a-wide`, TENTH, WIDE), await healthy(`${name}-b-narrow`)];
		await tick(aTick(), nextMinute());
		minute += minutesLater - 1;
		await outcomes(wide, WIDE, "b");
		await outcomes(narrow, HEALTHY, "b");
		await tick(aTick(), nextMinute());
		return [wide, narrow];
	}

	test("nobody has gone on before", async () => {
		const [wide, narrow] = await twoReady("open", 29);
		expect([await found(wide.id), await found(narrow.id)]).toEqual(["breaker_open", "breaker_open"]);
		expect(await breakerFound()).toMatchObject({ breaker: "open", level: "warning" });
	});

	test("the rollout with the smallest percent goes on, and the others wait without a page", async () => {
		const [wide, narrow] = await twoReady("half", 30);
		expect(await live(narrow.id)).toMatchObject({ phase: 1 });
		expect(await live(wide.id)).toMatchObject({ phase: 0 });
		expect(await found(wide.id)).toBe("breaker_half_open");
		expect(await told(wide.id)).toEqual([]);
		expect(await breakerFound()).toMatchObject({
			breaker: "half_open",
			level: "warning",
			breakerUntilMs: START_MS + (minute + 30) * MINUTE_MS,
		});
		// Now the other has the smaller one.
		await outcomes(wide, WIDE, "c");
		await tick(aTick(), nextMinute());
		expect(await live(wide.id)).toMatchObject({ phase: 1 });
	});

	test("one more rollback opens it at once, and is not stopped", async () => {
		const [wide] = await twoReady("again", 30);
		const [worse] = await harmful("again-worse", 1);
		await tick(aTick(), nextMinute());
		expect(worse && (await current(worse.id)).status).toBe("rolled_back");
		await outcomes(wide, WIDE, "c");
		await tick(aTick(), nextMinute());
		expect(await found(wide.id)).toBe("breaker_open");
		expect(await breakerFound()).toMatchObject({ breakerUntilMs: START_MS + (minute - 1 + 30) * MINUTE_MS });
	});

	/** Smaller than the other, and not about to go on by itself. */
	test.each<[string, PlanChange, Partial<Command>]>([
		["waits for a person", {}, { manual: true }],
		[
			"is to last for days",
			{
				phases: [
					{ percent: 5, hold: "3d" },
					{ percent: 100, hold: "2m" },
				],
			},
			{},
		],
	])("a rollout that %s keeps nobody else from going on", async (what, change, order) => {
		const name = what.replaceAll(" ", "-");
		await harmful(name);
		const wide = await healthy(`${name}-wide`, TENTH, WIDE);
		const narrow = await started(`${name}-narrow`, change, order);
		await outcomes(narrow, HEALTHY, "a");
		await tick(aTick(), nextMinute());
		minute += 29;
		await outcomes(wide, WIDE, "b");
		await outcomes(narrow, HEALTHY, "b");
		await tick(aTick(), nextMinute());
		expect([await live(wide.id), await live(narrow.id)]).toMatchObject([{ phase: 1 }, { phase: 0 }]);
	});

	test("where nothing that runs could go on, a start whose time has come does, one at a tick and the smallest first", async () => {
		await harmful("start");
		const startsAtMs = START_MS + (minute + 20) * MINUTE_MS;
		const [wide, narrow] = [await started("start-a-wide", TENTH, { startsAtMs }), await started("start-b-narrow", {}, { startsAtMs })];
		await tick(aTick(), nextMinute());
		const statuses = async () => [(await current(wide.id)).status, (await current(narrow.id)).status];
		minute += 28;
		await tick(aTick(), nextMinute());
		expect(await statuses()).toEqual(["scheduled", "scheduled"]);
		await tick(aTick(), nextMinute());
		expect(await statuses()).toEqual(["scheduled", "running"]);
		await tick(aTick(), nextMinute());
		expect(await statuses()).toEqual(["running", "running"]);
	});

	test("a paused rollout is not waited for", async () => {
		await harmful("paused");
		const [wide, narrow] = [await healthy("paused-a-wide", TENTH, WIDE), await healthy("paused-b-narrow")];
		await tick(aTick(), nextMinute());
		const state = { ...(await live(narrow.id)), status: "paused", pausedAtMs: 0, by: "ann", reason: "lunch" };
		await env.DB.prepare("UPDATE rollouts SET status = 'paused', state = ? WHERE id = ?").bind(JSON.stringify(state), narrow.id).run();
		minute += 29;
		await outcomes(wide, WIDE, "b");
		await tick(aTick(), nextMinute());
		expect(await live(wide.id)).toMatchObject({ phase: 1 });
	});

	test("an hour after the last of them everything goes on", async () => {
		const [wide, narrow] = await twoReady("closed", 60);
		expect([(await live(wide.id)).phase, (await live(narrow.id)).phase]).toEqual([1, 1]);
		expect(await breakerFound()).toMatchObject({ breaker: "closed", breakerUntilMs: null });
	});

	test("and at once where a person has reset the breaker", async () => {
		await harmful("reset");
		const row = await healthy("reset-row");
		await tick(aTick(), nextMinute());
		await resetBreaker(db, "production", { kind: "open", untilMs: 0 }, actNow());
		await outcomes(row, HEALTHY, "b");
		await tick(aTick(), nextMinute());
		expect(await live(row.id)).toMatchObject({ phase: 1 });
	});
});

test("how many rollbacks are too many is the environment's to say", async () => {
	await set({ breaker: { rollbacks: 1, open: "5m", reset: "5m" } });
	await harmful("single", 1);
	const row = await healthy("single-row");
	await tick(aTick(), nextMinute());
	await outcomes(row, HEALTHY, "b");
	await tick(aTick(), nextMinute());
	expect(await found(row.id)).toBe("breaker_open");
	minute += 3;
	await outcomes(row, HEALTHY, "c");
	await tick(aTick(), nextMinute());
	expect(await live(row.id)).toMatchObject({ phase: 1 });
});

describe("in an environment that is only advised", () => {
	test("harm is rolled back by nobody, and somebody is paged once", async () => {
		await set({ automation: "advise" });
		const [row] = await harmful("advised-harm", 1);
		if (!row) throw new Error("none");
		await tick(aTick(), nextMinute());
		await outcomes(row, HARMFUL, "more");
		await tick(aTick(), nextMinute());
		expect(await changesOf(row.id)).toEqual([]);
		expect((await live(row.id)).watch).toMatchObject({ ticks: 2, alerting: ["would_roll_back.page"] });
		expect(await latestCheck(db, row.id)).toMatchObject({
			decision: "hold",
			reason: "advised",
			message: expect.stringMatching(/^would roll back: error_rate vs control/) as string,
			level: "failure",
		});
		expect(await told(row.id)).toEqual(["page.would_roll_back"]);
		expect(await breakerFound()).toMatchObject({ level: "failure", breaker: "closed" });
	});

	test("an advance is nobody's either, what was learnt is counted once, and acts as soon as it is to act", async () => {
		await set({ automation: "advise" });
		const row = await healthy("advised-advance");
		await tick(aTick(), nextMinute());
		await outcomes(row, HEALTHY, "b");
		await tick(aTick(), nextMinute());
		expect(await changesOf(row.id)).toEqual([]);
		expect(await told(row.id)).toEqual(["alert.would_advance"]);
		expect((await live(row.id)).watch.exposures).toEqual([{ served: 5_000, candidate: 100, control: 1_900 }]);
		await set({ automation: "act" });
		await outcomes(row, HEALTHY, "c");
		await tick(aTick(), nextMinute());
		expect(await live(row.id)).toMatchObject({ phase: 1, watch: { alerting: [] } });
	});

	test("a rollout that cannot be judged is paused all the same", async () => {
		await set({ automation: "advise" });
		const broken = await started("advised-broken");
		await env.DB.prepare("UPDATE rollouts SET state = json_set(state, '$.watch.guards', json('[]')) WHERE id = ?").bind(broken.id).run();
		await outcomes(broken, HEALTHY);
		await tick(aTick(), nextMinute());
		expect(await live(broken.id)).toMatchObject({ status: "paused", by: "tidegate" });
	});

	test("a rollout that nobody guarded is paused all the same", async () => {
		await set({ automation: "advise" });
		const unguarded = await started("advised-unguarded");
		await tick(aTick(), nextMinute());
		await env.DB.prepare("UPDATE head SET guarded_at_ms = guarded_at_ms - 3600000").run();
		await tick(aTick(), nextMinute());
		expect(await changesOf(unguarded.id)).toEqual(["pause"]);
	});
});

describe("settings that cannot be read never stop a rollback", () => {
	test("where a row is damaged: the defaults count, and the log says so", async () => {
		await set({ automation: "advise" });
		await env.DB.prepare("UPDATE environment_settings SET config = '{'").run();
		const [row] = await harmful("damaged-settings", 1);
		await tick(aTick(), nextMinute());
		expect(row && (await current(row.id)).status).toBe("rolled_back");
		expect(logged()).toContain("settings_corrupt");
	});

	test("where a row is damaged: nothing advances, for it may have said that the engine only advises", async () => {
		const ready = await healthy("damaged-ready");
		await tick(aTick(), nextMinute());
		await set({ automation: "advise" });
		await env.DB.prepare(`UPDATE environment_settings SET config = '{"automation": 7}'`).run();
		await outcomes(ready, HEALTHY, "b");
		await tick(aTick(), nextMinute());
		expect(await changesOf(ready.id)).toEqual([]);
		expect(await found(ready.id)).toBe("breaker_unknown");
		expect(await breakerFound()).toMatchObject({ breaker: "unknown" });
	});

	test("where the table fails: nothing advances, and harm is rolled back", async () => {
		const [row] = await harmful("failing-settings", 1);
		const ready = await healthy("failing-ready");
		await tick(aTick({ db: withoutSettings() }), nextMinute());
		expect(row && (await current(row.id)).status).toBe("rolled_back");
		await outcomes(ready, HEALTHY, "b");
		await tick(aTick({ db: withoutSettings() }), nextMinute());
		expect(await found(ready.id)).toBe("breaker_unknown");
		expect(await breakerFound()).toMatchObject({ breaker: "unknown", breakerUntilMs: null });
		expect(logged()).toContain("settings_not_read");
	});
});

/** The same database, but for one table that gives no answer. */
function withoutSettings(): Database {
	return new Proxy(db, {
		get(target, property) {
			const own = Reflect.get(target, property) as unknown;
			if (property !== "select" || typeof own !== "function") return typeof own === "function" ? (own.bind(target) as unknown) : own;
			return (fields?: object) =>
				fields && "breakerResetAtMs" in fields
					? { from: () => Promise.reject(new Error("D1_ERROR: overloaded")) }
					: (own.call(target, fields) as unknown);
		},
	});
}
