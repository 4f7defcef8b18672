import { env } from "cloudflare:workers";
import { type MockInstance, afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { type Command, command } from "../../../../core/rollouts/command";
import { type LiveState, isLive } from "../../../../core/rollouts/state";
import { embedded, recordPoints } from "../../../../control/metrics/embedded";
import type { MetricsSource } from "../../../../control/metrics/source";
import type { Database } from "../../../../control/store/database";
import { latestEnvironmentChecks } from "../../../../control/store/environmentChecks";
import { readHead } from "../../../../control/store/publication";
import { commitChange } from "../../../../control/store/rolloutChanges";
import { type StoredRollout, latestCheck, listEvents } from "../../../../control/store/rollouts";
import { tick } from "../../../../control/tick/tick";
import { HARMFUL, HEALTHY, MINUTE_MS, START_MS, aTick, current, db, everything, outcomes, started } from "./fixtures";

/** What happens when evidence fails where a database is part of it; the rest is in test/unit/rollouts/failures.test.ts. */

/** Later tests tick later: an earlier tick does nothing. */
let minute = 0;
const nextMinute = () => START_MS + ++minute * MINUTE_MS;

let warn: MockInstance<typeof console.warn>;
const logged = () => warn.mock.calls.map(([line]) => JSON.parse(String(line)) as { readonly event: string });
beforeEach(() => {
	// The rollbacks of the test before would keep this one from advancing.
	minute += 120;
	warn = vi.spyOn(console, "warn").mockImplementation(() => {});
});
afterEach(async () => {
	vi.restoreAllMocks();
	await env.DB.prepare("DROP TRIGGER IF EXISTS stuck").run();
	await env.DB.prepare("UPDATE rollouts SET status = 'draft' WHERE status IN ('running', 'paused')").run();
});

async function live(id: string): Promise<LiveState> {
	const { state } = await current(id);
	if (!isLive(state)) throw new Error(`${id} is ${state.status}`);
	return state;
}

const kindsOf = async (id: string): Promise<string[]> => (await listEvents(db, id, 1, 20)).map(({ kind, reason }) => `${kind} ${reason}`);

async function told(id: string): Promise<string[]> {
	const found = await env.DB.prepare(
		"SELECT type FROM outbox WHERE subject = ? AND type NOT LIKE 'rollout.%' AND type <> 'alert.phase_timeout' ORDER BY id",
	)
		.bind(id)
		.all<{ type: string }>();
	return found.results.map(({ type }) => type);
}

/** A phase that is never over, so that a tick holds. */
const endless = {
	phases: [
		{ percent: 5, hold: "30d", criteria: [] },
		{ percent: 100, hold: "2m", criteria: [] },
	],
};

describe("two ticks at once: one wins, and the other writes nothing", () => {
	/** The first has read everything and not yet decided when the second comes and goes. */
	async function raced(now: number): Promise<readonly [won: string, after: string]> {
		const [reached, gate] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
		const real = embedded(env.DB);
		const metrics: MetricsSource = {
			...real,
			userSums: async (...asked) => {
				const found = await real.userSums(...asked);
				reached.resolve();
				await gate.promise;
				return found;
			},
		};
		const slow = tick(aTick({ metrics }), now);
		await reached.promise;
		await tick(aTick(), now);
		const won = await everything();
		gate.resolve();
		await slow;
		return [won, await everything()];
	}

	test("when both roll back", async () => {
		const row = await started("race-back");
		await outcomes(row, HARMFUL);
		const [won, after] = await raced(nextMinute());
		expect(after).toBe(won);
		expect(await kindsOf(row.id)).toEqual(["roll_back harm_proven"]);
		expect(logged()).toContainEqual({ event: "decision_lost", rollout: row.id, revision: 2, kind: "roll_back" });
	});

	test("when both advance", async () => {
		const row = await started("race-advance");
		await outcomes(row, HEALTHY, "a");
		await tick(aTick(), nextMinute());
		await outcomes(row, HEALTHY, "b");
		const [won, after] = await raced(nextMinute());
		expect(after).toBe(won);
		expect(await live(row.id)).toMatchObject({ phase: 1, stage: 2 });
		expect(await kindsOf(row.id)).toEqual(["advance evidence_sufficient"]);
	});

	test("when both hold: what was learnt is learnt once, and who is told is told once", async () => {
		const row = await started("race-hold", endless);
		await tick(aTick(), nextMinute());
		await tick(aTick(), nextMinute());
		const [won, after] = await raced(nextMinute());
		expect(after).toBe(won);
		expect((await live(row.id)).watch.quietTicks).toBe(3);
		expect(await told(row.id)).toEqual(["alert.no_data"]);
		await outcomes(row, HEALTHY);
		await raced(nextMinute());
		expect((await live(row.id)).watch.guards[0]).toMatchObject({ harmed: 1, units: 20 });
	});

	test("when a person comes between: their change stands, and nobody is told what no state knows", async () => {
		const row = await started("race-person", endless);
		await tick(aTick(), nextMinute());
		await tick(aTick(), nextMinute());
		const real = embedded(env.DB);
		const pausing: MetricsSource = {
			...real,
			userSums: async (...asked) => {
				const state = { ...(await live(row.id)), status: "paused", pausedAtMs: START_MS, by: "ann", reason: "lunch" };
				await env.DB.prepare("UPDATE rollouts SET revision = revision + 1, status = 'paused', state = ? WHERE id = ?")
					.bind(JSON.stringify(state), row.id)
					.run();
				return real.userSums(...asked);
			},
		};
		await tick(aTick({ metrics: pausing }), nextMinute());
		expect(await live(row.id)).toMatchObject({ status: "paused", by: "ann", watch: { quietTicks: 2, alerting: [] } });
		expect(await told(row.id)).toEqual([]);
		await tick(aTick(), nextMinute());
		expect(await told(row.id)).toEqual(["alert.no_data"]);
	});
});

describe("a person's command that was decided before a tick came by", () => {
	async function overtaken(name: string, order: Pick<Command, "kind" | "extendMs">) {
		const row = await started(name, endless);
		await outcomes(row, HEALTHY);
		const read = await current(row.id);
		const atMs = nextMinute();
		await tick(aTick(), atMs);
		const change = command(read.plan, read.state, { by: "ann", reason: "lunch", ...order }, atMs + 1);
		if (!change.ok) throw new Error(change.error.kind);
		const act = { actor: "ann", reason: "lunch", correlationId: "c", atMs: atMs + 1 };
		const isWritten = await commitChange(db, { row: read, change: change.value, act, realNow: Date.now(), evidence: null });
		return { id: row.id, isWritten };
	}

	test("does not undo what the tick has learnt: it is refused, and can be sent again", async () => {
		const { id, isWritten } = await overtaken("overtaken", { kind: "extend", extendMs: 1_000 });
		expect(isWritten).toBe(false);
		expect((await live(id)).watch).toMatchObject({ ticks: 1, exposures: [{ candidate: 50, control: 950 }] });
		expect(await kindsOf(id)).toEqual([]);
	});

	test("is carried out where it takes everybody back: nothing that was learnt matters then", async () => {
		const { id, isWritten } = await overtaken("overtaken-back", { kind: "roll_back" });
		expect(isWritten).toBe(true);
		expect((await current(id)).status).toBe("rolled_back");
		// And the audit has the state that it ended.
		const [event] = await listEvents(db, id, 1, 1);
		expect(event?.before).toMatchObject({ watch: { ticks: 1 } });
	});
});

describe("the same tick twice: the set of the counted makes it a no-op", () => {
	test("when the first was whole", async () => {
		const row = await started("twice", endless);
		await outcomes(row, HEALTHY);
		const now = nextMinute();
		await tick(aTick(), now);
		const before = await everything();
		await outcomes(row, HARMFUL, "later");
		await tick(aTick(), now);
		expect(await everything()).toBe(before);
	});

	test("when what the first has learnt was lost: the second reads it again, and counts it once", async () => {
		const row = await started("lost", endless);
		await outcomes(row, HEALTHY);
		const failing: Database = new Proxy(db, {
			get: (target, property) => {
				const found = Reflect.get(target, property) as unknown;
				if (property !== "$client") return typeof found === "function" ? (found.bind(target) as unknown) : found;
				const batch = () => Promise.reject(new Error("D1_ERROR: overloaded"));
				return new Proxy(env.DB, { get: (client, key) => (key === "batch" ? batch : (Reflect.get(client, key).bind(client) as unknown)) });
			},
		});
		const now = nextMinute();
		await tick(aTick({ db: failing }), now);
		expect((await live(row.id)).watch).toMatchObject({ watermark: null, ticks: 0 });
		expect(logged()).toContainEqual({ event: "tick_step_failed", step: "guard", error: "D1_ERROR: overloaded" });
		await tick(aTick(), now);
		await outcomes(row, HEALTHY); // The same users again: known, so nothing new.
		await tick(aTick(), nextMinute());
		const { exposures, guards } = (await live(row.id)).watch;
		expect(exposures).toEqual([{ served: 5_000, candidate: 50, control: 950 }]);
		expect(guards[0]).toMatchObject({ harmed: 1, units: 20 });
	});
});

describe("late events: counted by the next tick, in the stratum of the percent that they carry", () => {
	/** Users harmed for the first time in a stage, at a share. */
	async function harmed(
		row: StoredRollout,
		stage: number,
		served: number,
		arms: Readonly<Record<"candidate" | "control", number>>,
		name: string,
	): Promise<void> {
		const points = (["candidate", "control"] as const).flatMap((arm) =>
			Array.from({ length: arms[arm] }, (_, i) => ({
				id: null,
				rollout: row.id,
				stage,
				served,
				arm,
				flag: row.id,
				variant: "",
				metric: "error",
				unit: `${name}-${arm}-${i}`,
				value: 1,
				harms: [{ signal: "error", slot: 0 }],
				scored: false,
				first: true,
			})),
		);
		await recordPoints(env.DB, "production", points, Date.now());
	}

	/** In its second stage, at 95 %. */
	async function inItsSecond(name: string): Promise<StoredRollout> {
		const row = await started(name);
		for (let i = 0; i < 4 && (await live(row.id)).stage === 1; i++) {
			// oxlint-disable-next-line no-await-in-loop -- minute after minute
			await outcomes(row, { candidate: [150, 0], control: [2_850, 0] }, `${name}-${i}`);
			// oxlint-disable-next-line no-await-in-loop -- minute after minute
			await tick(aTick(), nextMinute());
		}
		const now = await current(row.id);
		expect(now.state).toMatchObject({ status: "running", stage: 2, phase: 1 });
		return now;
	}

	test("which weighs them as they were served, not as is served now", async () => {
		const row = await inItsSecond("late");
		await harmed(row, 1, 5_000, { candidate: 1, control: 19 }, "late");
		await harmed(row, 2, 95_000, { candidate: 19, control: 1 }, "new");
		await tick(aTick(), nextMinute());
		const [guard] = (await live(row.id)).watch.guards;
		expect(guard).toMatchObject({ harmed: 20, units: 40 });
		// 1 · 0.95 + 19 · 0.05 against 19 · 0.05 + 1 · 0.95: as by design.
		expect(guard?.candidateWeight).toBeCloseTo(1.9, 9);
		expect(guard?.controlWeight).toBeCloseTo(1.9, 9);
		await tick(aTick(), nextMinute());
		expect((await live(row.id)).watch.guards[0]).toMatchObject({ harmed: 20, units: 40 });
	});

	test("so harm that comes late is proven by what it was", async () => {
		const row = await inItsSecond("proof");
		await harmed(row, 1, 5_000, { candidate: 12, control: 12 }, "proof");
		await tick(aTick(), nextMinute());
		expect((await current(row.id)).state).toMatchObject({ status: "rolled_back", fromPhase: 1 });
	});
});

describe("the rollback write fails: it is tried again every tick, and somebody is paged after two", () => {
	async function stuck(id: string, kind: string): Promise<void> {
		await env.DB.prepare(
			`CREATE TRIGGER stuck BEFORE INSERT ON rollout_events WHEN NEW.rollout = '${id}' AND NEW.kind = '${kind}' BEGIN SELECT RAISE(ABORT, 'disk full'); END`,
		).run();
	}

	test("until it is written, whole", async () => {
		const row = await started("unwritten");
		await outcomes(row, HARMFUL);
		await stuck(row.id, "roll_back");
		const pages: string[][] = [];
		for (let i = 0; i < 4; i++) {
			// oxlint-disable-next-line no-await-in-loop -- minute after minute
			await tick(aTick(), nextMinute());
			// oxlint-disable-next-line no-await-in-loop -- minute after minute
			pages.push(await told(row.id));
		}
		const page = ["page.rollback_failed"];
		expect(pages).toEqual([[], page, page, page]);
		expect(logged().filter(({ event }) => event === "change_failed")).toHaveLength(4);
		expect((await live(row.id)).watch).toMatchObject({ watermark: null, ticks: 0 });
		expect(await kindsOf(row.id)).toEqual([]);

		await env.DB.prepare("DROP TRIGGER stuck").run();
		await tick(aTick(), nextMinute());
		const after = await current(row.id);
		expect(after).toMatchObject({ status: "rolled_back", failedChanges: 0, revision: 2 });
		expect(await kindsOf(row.id)).toEqual(["roll_back harm_proven"]);
		expect((await readHead(db)).head.environments["production"]?.overlay.baseline).toContain(row.id);
		expect(await told(row.id)).toEqual(page);
	});

	test("and the others are judged meanwhile", async () => {
		const [burning, other] = [await started("burning"), await started("other")];
		await Promise.all([outcomes(burning, HARMFUL), outcomes(other, HARMFUL)]);
		await stuck(burning.id, "roll_back");
		await tick(aTick(), nextMinute());
		expect([(await current(burning.id)).status, (await current(other.id)).status]).toEqual(["running", "rolled_back"]);
	});

	test("also where other changes had failed before", async () => {
		const row = await started("unadvanced");
		for (let i = 0; i < 3; i++) {
			// oxlint-disable-next-line no-await-in-loop -- minute after minute
			await outcomes(row, HEALTHY, `unadvanced-${i}`);
			// oxlint-disable-next-line no-await-in-loop -- minute after minute
			if (i === 1) await stuck(row.id, "advance");
			// oxlint-disable-next-line no-await-in-loop -- minute after minute
			await tick(aTick(), nextMinute());
		}
		await env.DB.prepare("DROP TRIGGER stuck").run();
		expect(logged().filter(({ event }) => event === "change_failed").length).toBeGreaterThan(0);
		expect(await told(row.id)).toEqual([]);
		await stuck(row.id, "roll_back");
		await outcomes(row, { candidate: [500, 250], control: [9_500, 0] }, "harm");
		await tick(aTick(), nextMinute());
		expect(await told(row.id)).toEqual([]);
		await tick(aTick(), nextMinute());
		expect(await told(row.id)).toEqual(["page.rollback_failed"]);
	});
});

describe("too many rollbacks: three in an hour stop what advances by itself in their environment, and never a rollback", () => {
	/** Three that are rolled back in one tick, and one that would advance in the next. */
	async function afterThree(name: string): Promise<StoredRollout> {
		for (let i = 0; i < 3; i++) {
			// oxlint-disable-next-line no-await-in-loop -- D1 has one writer
			await outcomes(await started(`${name}-${i}`), HARMFUL);
		}
		const row = await started(name);
		await outcomes(row, HEALTHY, "a");
		await tick(aTick(), nextMinute());
		await outcomes(row, HEALTHY, "b");
		return row;
	}
	const latest = async (id: string) => (await latestCheck(db, id))?.reason;

	test("for half an hour, after which it advances", async () => {
		const row = await afterThree("stopped");
		await tick(aTick(), nextMinute());
		expect(await latest(row.id)).toBe("breaker_open");
		expect(await told(row.id)).toEqual(["page.breaker_open"]);
		const found = (await latestEnvironmentChecks(db)).find(({ environment }) => environment === "production");
		expect(found?.check).toMatchObject({ level: "warning", breakerUntilMs: START_MS + (minute - 1 + 30) * MINUTE_MS });
		minute += 27;
		await outcomes(row, HEALTHY, "c");
		await tick(aTick(), nextMinute());
		expect(await latest(row.id)).toBe("breaker_open");
		await outcomes(row, HEALTHY, "d");
		await tick(aTick(), nextMinute());
		expect(await live(row.id)).toMatchObject({ phase: 1 });
		expect(await told(row.id)).toEqual(["page.breaker_open"]);
	});

	test("while harm is rolled back all the same", async () => {
		const row = await afterThree("hurting");
		await outcomes(row, { candidate: [500, 250], control: [9_500, 0] }, "harm");
		await tick(aTick(), nextMinute());
		expect((await current(row.id)).status).toBe("rolled_back");
	});

	test("while another environment's advance", async () => {
		const row = await afterThree("elsewhere");
		await env.DB.prepare("UPDATE rollouts SET environment = 'staging' WHERE status = 'rolled_back'").run();
		await tick(aTick(), nextMinute());
		expect(await live(row.id)).toMatchObject({ phase: 1 });
	});

	test("while rollbacks by people count for nothing", async () => {
		const row = await afterThree("people");
		await env.DB.prepare("UPDATE rollout_events SET actor = 'ann' WHERE kind = 'roll_back'").run();
		await tick(aTick(), nextMinute());
		expect(await live(row.id)).toMatchObject({ phase: 1 });
	});
});
