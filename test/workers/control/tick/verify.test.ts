import { env } from "cloudflare:workers";
import { type MockInstance, afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { storedChecks } from "../../../../core/checks/model";
import type { Outcome } from "../../../../core/notify/settle";
import type { StepCaller } from "../../../../control/notify/stepCaller";
import { type Database, open } from "../../../../control/store/database";
import { carryOut as rollOut } from "../../../../control/api/rolloutCommands";
import { recordEdge } from "../../../../control/store/edges";
import { takeBack } from "../../../../control/store/emergency";
import { tick } from "../../../../control/tick/tick";
import { type Verifying, verify } from "../../../../control/tick/verify";
import { HARMFUL, MINUTE_MS, START_MS, aTick, db, outcomes, started } from "./fixtures";
import { manyLive } from "./many";

/** What follows a way back, by real time, which a test moves. */

const act = { actor: "ops", reason: "down", correlationId: "c", atMs: START_MS + MINUTE_MS };
const OK: Outcome = { kind: "answered", status: 204 };
const BROKEN: Outcome = { kind: "answered", status: 500 };
let now: number;
let warn: MockInstance<typeof console.warn>;

beforeEach(async () => {
	now = START_MS + MINUTE_MS;
	warn = vi.spyOn(console, "warn").mockImplementation(() => {});
	await env.DB.batch(["rollbacks", "edges", "outbox", "active_flags"].map((table) => env.DB.prepare(`DELETE FROM ${table}`)));
	await env.DB.prepare("UPDATE rollouts SET status = 'draft', state = '{\"status\":\"draft\"}'").run();
});
afterEach(() => vi.restoreAllMocks());

/** A rollout that was taken back, whose plan has these steps. */
async function takenBack(name: string, steps: readonly Record<string, unknown>[] = []): Promise<string> {
	const { id } = await started(name);
	const way = JSON.stringify({ strategy: "immediate", steps: steps.map((step) => ({ http: "https://example.com/", ...step })) });
	await env.DB.prepare("UPDATE rollouts SET plan = json_set(plan, '$.rollback', json(?2)) WHERE id = ?1").bind(id, way).run();
	await takeBack(db, { environment: "production", of: { kind: "rollouts", keys: [id] }, kill: false }, act, now);
	return id;
}

/** Their plans have a check, whatever it finds. */
async function withChecks(ids: readonly string[]): Promise<void> {
	const checks = JSON.stringify(storedChecks.parse([{ name: "db", dependency: "d1" }]));
	await env.DB.prepare("UPDATE rollouts SET plan = json_set(plan, '$.checks', json(?2)) WHERE id IN (SELECT value FROM json_each(?1))")
		.bind(JSON.stringify(ids), checks)
		.run();
}

interface Row {
	readonly rollout: string;
	readonly strategy: string;
	readonly trigger: string;
	readonly headRevision: number;
	readonly edgeSafeAtMs: number | null;
	readonly verifiedAtMs: number | null;
	readonly dueAtMs: number | null;
	readonly failure: string | null;
	readonly detectMs: number | null;
	readonly steps: readonly { step: string; status: string; attempts: number; error: string | null }[];
}

async function rowOf(id: string): Promise<Row> {
	const row = await env.DB.prepare(
		`SELECT rollout, strategy, "trigger", head_revision AS headRevision, edge_safe_at_ms AS edgeSafeAtMs, verified_at_ms AS verifiedAtMs,
			due_at_ms AS dueAtMs, failure, detect_ms AS detectMs, steps FROM rollbacks WHERE rollout = ?`,
	)
		.bind(id)
		.first<Omit<Row, "steps"> & { steps: string }>();
	if (!row) throw new Error(`no rollback of ${id}`);
	return { ...row, steps: JSON.parse(row.steps) as Row["steps"] };
}

const alerts = async (): Promise<readonly { type: string; kind: string; message: string }[]> =>
	(
		await env.DB.prepare(
			"SELECT type, payload ->> 'kind' AS kind, payload ->> 'message' AS message FROM outbox WHERE type LIKE 'alert.%' OR type LIKE 'page.%'",
		).all<{
			type: string;
			kind: string;
			message: string;
		}>()
	).results;

/** Those who are called, who answer as told. */
function callees(answer: (step: string, attempt: number) => Outcome | Promise<Outcome> = () => OK) {
	const called: { step: string; key: string; body: unknown }[] = [];
	const steps: StepCaller = {
		call: async (step, key, body) => {
			called.push({ step: step.name, key, body });
			return answer(step.name, called.filter((each) => each.step === step.name).length);
		},
	};
	return { called, steps };
}

const look = (steps: StepCaller = callees().steps, change: Partial<Verifying> = {}): Promise<void> =>
	verify({ db, steps, realNow: () => now, ...change }, now);

/** An isolate that has learnt of the rollback, or has not. */
const edge = (revision: number, isolate = "one"): Promise<void> => recordEdge(db, { isolate, colo: "ZRH", revision }, now);

describe("the edge is safe", () => {
	test("once every isolate that serves has heard of it, as of the last one's word", async () => {
		await edge(1, "one");
		await edge(1, "two");
		const id = await takenBack("heard");
		const { headRevision } = await rowOf(id);
		now += 4_000;
		await edge(headRevision, "one");
		expect((await rowOf(id)).edgeSafeAtMs).toBeNull();
		now += 2_000;
		await edge(headRevision + 1, "two");
		expect((await rowOf(id)).edgeSafeAtMs).toBe(now);
	});

	test("without one that was last heard of more than two minutes ago", async () => {
		await edge(1, "gone");
		const id = await takenBack("heard-by-one");
		now += 121_000;
		await edge((await rowOf(id)).headRevision, "one");
		expect((await rowOf(id)).edgeSafeAtMs).toBe(now);
	});

	test("never as long as nobody was heard of", async () => {
		const id = await takenBack("unheard");
		await look();
		expect((await rowOf(id)).edgeSafeAtMs).toBeNull();
	});
});

describe("steps", () => {
	test("are carried out one after the other, each once, with what they need to know", async () => {
		const id = await takenBack("in-order", [{ name: "purge" }, { name: "restart" }, { name: "tell" }]);
		let underWay = 0;
		const { called, steps } = callees(async () => {
			expect(++underWay).toBe(1);
			await scheduler.wait(5);
			underWay--;
			return OK;
		});
		await look(steps);
		await look(steps);
		expect(called.map(({ step }) => step)).toEqual(["purge", "restart", "tell"]);
		expect(called.map(({ key }) => key)).toEqual([0, 1, 2].map((step) => `${id}/2/${step}`));
		expect(called[1]?.body).toEqual({ rollout: id, revision: 2, environment: "production", reason: "operator", step: "restart" });
		expect((await rowOf(id)).steps.map(({ step, status }) => `${step} ${status}`)).toEqual(["purge done", "restart done", "tell done"]);
	});

	test("one that fails is tried again later under the same key, and those after it wait", async () => {
		const id = await takenBack("again", [{ name: "purge" }, { name: "tell" }]);
		const { called, steps } = callees((step, attempt) => (step === "purge" && attempt < 3 ? BROKEN : OK));
		await look(steps);
		await look(steps);
		expect(called).toHaveLength(1); // not before it is due
		expect((await rowOf(id)).steps).toMatchObject([{ step: "purge", status: "retrying", attempts: 1, error: "answered 500" }]);
		now += MINUTE_MS;
		await look(steps);
		now += 2 * MINUTE_MS;
		await look(steps);
		expect(called.map(({ step }) => step)).toEqual(["purge", "purge", "purge", "tell"]);
		expect(new Set(called.slice(0, 3).map(({ key }) => key)).size).toBe(1);
		expect((await rowOf(id)).steps).toMatchObject([{ status: "done", attempts: 3 }, { status: "done" }]);
		expect(await alerts()).toEqual([]);
	});

	test("one that fails for good stops those after it, and somebody is paged once", async () => {
		const id = await takenBack("broken", [{ name: "purge", retries: 1 }, { name: "tell" }]);
		const { called, steps } = callees(() => BROKEN);
		for (let i = 0; i < 5; i++) {
			await look(steps); // oxlint-disable-line no-await-in-loop -- one tick after the other
			now += MINUTE_MS;
		}
		expect(called.map(({ step }) => step)).toEqual(["purge", "purge"]);
		const message = "step purge after the rollback failed, attempts: 2: answered 500; those after it were not carried out";
		expect(await alerts()).toEqual([{ type: "page.rollback_step_failed", kind: "rollback_step_failed", message }]);
		expect(await rowOf(id)).toMatchObject({ failure: message, verifiedAtMs: null });
		// When the edge was safe is learnt all the same.
		await edge(1_000_000);
		expect((await rowOf(id)).edgeSafeAtMs).toBe(now);
		await look(steps);
		expect((await rowOf(id)).dueAtMs).toBeNull();
	});

	test("whoever dies before the result is kept leaves a step that is carried out again under the same key", async () => {
		const id = await takenBack("crashed", [{ name: "purge" }, { name: "tell" }]);
		const { called, steps } = callees();
		await look(steps, { db: dying('update "rollbacks" set') });
		expect(called).toHaveLength(1);
		await look(steps);
		expect(called).toHaveLength(1); // its lease may be held by somebody who is only slow
		now += MINUTE_MS;
		await look(steps);
		expect(called.map(({ key }) => key)).toEqual([`${id}/2/0`, `${id}/2/0`, `${id}/2/1`]);
	});

	test("two ticks at once carry each out once", async () => {
		await takenBack("twice-at-once", [{ name: "purge" }, { name: "tell" }]);
		const { called, steps } = callees();
		await Promise.all([look(steps), look(steps)]);
		expect(called.map(({ step }) => step)).toEqual(["purge", "tell"]);
	});

	test("those that hang end the round, which goes on with the next tick", async () => {
		await takenBack("slow", [{ name: "purge" }, { name: "restart" }, { name: "tell" }]);
		const { called, steps } = callees(() => {
			now += 6_000;
			return OK;
		});
		await look(steps);
		expect(called).toHaveLength(2);
		await look(steps);
		expect(called).toHaveLength(3);
	});

	test("a caller that throws is nobody else's failure", async () => {
		await takenBack("throws", [{ name: "purge" }]);
		const other = await takenBack("beside", [{ name: "purge" }]);
		const { steps } = callees();
		await look({ call: (step, key, body) => (key.startsWith("throws") ? Promise.reject(new Error("no")) : steps.call(step, key, body)) });
		expect((await rowOf(other)).steps).toMatchObject([{ status: "done" }]);
	});

	test("of a gradual way back that a full one cuts short are carried out once, and both are verified", async () => {
		const steps = [{ name: "purge", http: "https://example.com/", method: "POST", timeout: "5s", retries: 0 }];
		const row = await started("cut-short", { rollback: { strategy: "gradual", steps } as never }, { fromPhase: 1 });
		const taken = async (strategy: "gradual" | "full") => {
			const sent = { command: "roll_back" as const, strategy, reason: "down" };
			expect(await rollOut(db, row.id, sent, { act, isAdmin: false }, now)).toBe("done");
		};
		await taken("gradual");
		const { called, steps: callee } = callees();
		await look(callee);
		expect(called).toEqual([]);
		await taken("full");
		await look(callee);
		await edge(Number.MAX_SAFE_INTEGER - 1);
		await look(callee);
		expect(called.map(({ step, key }) => [step, key])).toEqual([["purge", `${row.id}/3/0`]]);
		const { results } = await env.DB.prepare(
			"SELECT strategy, verified_at_ms IS NOT NULL AS verified, failure FROM rollbacks WHERE rollout = ? ORDER BY revision",
		)
			.bind(row.id)
			.all();
		expect(results).toEqual([
			{ strategy: "gradual", verified: 1, failure: null },
			{ strategy: "full", verified: 1, failure: null },
		]);
	});

	test("of a plan that cannot be read there are none", async () => {
		const id = await takenBack("unreadable", [{ name: "purge" }]);
		await env.DB.prepare("UPDATE rollouts SET plan = '{' WHERE id = ?").bind(id).run();
		const { called, steps } = callees();
		await edge(1_000_000);
		await look(steps);
		expect(called).toEqual([]);
		expect((await rowOf(id)).verifiedAtMs).toBe(now);
	});

	test("at most twenty rollbacks a tick, and none is forgotten", async () => {
		const ids: string[] = [];
		for (let i = 0; i < 22; i++) ids.push(await takenBack(`crowd-${i}`, [{ name: "purge" }])); // oxlint-disable-line no-await-in-loop -- D1 has one writer
		const { called, steps } = callees();
		await look(steps);
		expect(called).toHaveLength(20);
		await look(steps);
		expect(new Set(called.map(({ key }) => key)).size).toBe(22);
	});
});

describe("verified", () => {
	test("once the edge is safe and the steps are done", async () => {
		const id = await takenBack("whole", [{ name: "purge" }]);
		await look();
		expect((await rowOf(id)).verifiedAtMs).toBeNull();
		await edge(1_000_000);
		now += 1_000;
		await look();
		expect(await rowOf(id)).toMatchObject({ verifiedAtMs: now, dueAtMs: null, failure: null });
	});

	test("only while the checks pass, which are asked again each tick", async () => {
		const id = await takenBack("checked");
		await withChecks([id]);
		await edge(1_000_000);
		const answers: (boolean | Error)[] = [false, new Error("no answer"), true];
		const passes = vi.fn<NonNullable<Verifying["passes"]>>(async () => {
			const answer = answers.shift();
			if (answer instanceof Error) throw answer;
			return answer ?? true;
		});
		await look(undefined, { passes });
		await look(undefined, { passes });
		expect((await rowOf(id)).verifiedAtMs).toBeNull();
		await look(undefined, { passes });
		expect((await rowOf(id)).verifiedAtMs).toBe(now);
		expect(passes).toHaveBeenCalledTimes(3);
	});

	test.each<[what: string, arrange: () => Promise<void>, change: Partial<Verifying>, missing: string, type: string]>([
		[
			"an edge that hears nothing",
			() => edge(1),
			{ passes: async () => false },
			"1 of 1 isolates of the edge have not heard of it",
			"page.rollback_unverified",
		],
		[
			"checks that do not pass",
			() => edge(1_000_000),
			{ passes: async () => false },
			"its critical checks do not pass",
			"page.rollback_unverified",
		],
		["nobody who asks", async () => {}, {}, "no isolate of the edge was heard of: nobody has asked for flags", "alert.rollback_unverified"],
	])("given up after 15 minutes, told once: %s", async (what, arrange, change, missing, type) => {
		const id = await takenBack(`late-${what.length}`);
		await withChecks([id]);
		now += 899_999;
		await arrange();
		await look(undefined, change);
		expect((await rowOf(id)).failure).toBeNull();
		now += 1;
		await look(undefined, change);
		await look(undefined, change);
		expect(await rowOf(id)).toMatchObject({ failure: missing, verifiedAtMs: null, dueAtMs: null });
		expect(await alerts()).toEqual([{ type, kind: "rollback_unverified", message: `the rollback could not be verified: ${missing}` }]);
	});

	test("a crowd of plans without checks at once, however many there are and whatever others have", async () => {
		const ids = await manyLive("unchecked", 60);
		await takeBack(db, { environment: "production", of: { kind: "rollouts", keys: ids }, kill: false }, act, now);
		await edge(1_000_000);
		const passes = vi.fn(async () => false);
		await look(undefined, { passes });
		expect(passes).not.toHaveBeenCalled();
		const left = await env.DB.prepare("SELECT count(*) AS n FROM rollbacks WHERE verified_at_ms IS NULL").first<{ n: number }>();
		expect(left?.n).toBe(0);
	});

	test("each of a crowd with checks or steps is looked at before anybody is told that it is not safe", async () => {
		const ids = await manyLive("crowd-checked", 45);
		await withChecks(ids);
		await env.DB.prepare(
			`UPDATE rollouts SET plan = json_set(plan, '$.rollback.steps', json('[{"name":"purge","http":"https://example.com/"}]')) WHERE name LIKE 'crowd-checked-%'`,
		).run();
		await takeBack(db, { environment: "production", of: { kind: "rollouts", keys: ids }, kill: false }, act, now);
		now += 900_000;
		await edge(1_000_000);
		for (let i = 0; i < 6; i++) {
			await look(undefined, { passes: async () => true }); // oxlint-disable-line no-await-in-loop -- one tick after the other
			now += MINUTE_MS;
			await edge(1_000_000); // oxlint-disable-line no-await-in-loop -- see above
		}
		expect(await alerts()).toEqual([]);
		const left = await env.DB.prepare("SELECT count(*) AS n FROM rollbacks WHERE verified_at_ms IS NULL").first<{ n: number }>();
		expect(left?.n).toBe(0);
	});

	test("a thousand that one call took back are verified in one tick by a few queries, and told as one where they cannot be", async () => {
		await manyLive("crowd-back", 1_000);
		await takeBack(db, { environment: "production", of: { kind: "all" }, kill: false }, act, now);
		const counted = { queries: 0 };
		now += 900_000;
		await look(undefined, { db: counting(counted) });
		expect(counted.queries).toBeLessThan(10);
		const left = await env.DB.prepare("SELECT count(*) AS n FROM rollbacks WHERE failure IS NULL").first<{ n: number }>();
		expect(left?.n).toBe(0);
		expect(await alerts()).toMatchObject([{ message: expect.stringContaining("(and 999 more rollouts)") }]);
	});
});

describe("in the tick", () => {
	test("a rollback that a tick decides is recorded with it, and its steps follow in the same tick", async () => {
		const row = await started("by-tick");
		await env.DB.prepare("UPDATE rollouts SET plan = json_set(plan, '$.rollback', json(?)) WHERE id = ?")
			.bind('{"steps":[{"name":"purge","http":"https://example.com/","method":"POST","timeout":"10s","retries":3}]}', row.id)
			.run();
		await outcomes(row, HARMFUL);
		const { called, steps } = callees();
		await tick(aTick({ steps }), START_MS + 5 * MINUTE_MS);
		expect(called).toMatchObject([{ step: "purge", body: { reason: "harm_proven" } }]);
		const { headRevision, ...found } = await rowOf(row.id);
		expect(found).toMatchObject({ strategy: "immediate", trigger: "harm_proven", detectMs: 5 * MINUTE_MS });
		expect(headRevision).toBeGreaterThan(1);
	});

	test("a database that fails it is logged, and the tick goes on", async () => {
		await tick(aTick({ db: dying("UPDATE rollbacks SET edge_safe") }), START_MS + 6 * MINUTE_MS);
		expect(warn.mock.calls.map(([line]) => JSON.parse(String(line)) as unknown)).toContainEqual(
			expect.objectContaining({ event: "tick_step_failed", step: "verify" }),
		);
	});
});

/** The database, but statements that begin so fail. */
function dying(statement: string): Database {
	return open(
		new Proxy(env.DB, {
			get(target, name) {
				if (name !== "prepare") return Reflect.get(target, name).bind?.(target) as unknown;
				return (sql: string) => target.prepare(sql.trim().startsWith(statement) ? "SELECT * FROM nowhere" : sql);
			},
		}),
	);
}

function counting(counted: { queries: number }): Database {
	return open(
		new Proxy(env.DB, {
			get(target, name) {
				if (name !== "prepare") return Reflect.get(target, name).bind?.(target) as unknown;
				return (sql: string) => {
					counted.queries++;
					return target.prepare(sql);
				};
			},
		}),
	);
}
