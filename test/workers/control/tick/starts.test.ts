import { env } from "cloudflare:workers";
import { type MockInstance, afterEach, beforeEach, expect, test, vi } from "vitest";
import { storedChecks } from "../../../../core/checks/model";
import { command } from "../../../../core/rollouts/command";
import { LEASE_MS } from "../../../../core/wire";
import { resultsOf } from "../../../../control/store/checkResults";
import { readHead } from "../../../../control/store/publication";
import { getFlags } from "../../../../control/store/flags";
import { commitChange, rollbacksSince } from "../../../../control/store/rolloutChanges";
import { type StoredRollout, listEvents } from "../../../../control/store/rollouts";
import { tick } from "../../../../control/tick/tick";
import { type HARMFUL, MINUTE_MS, START_MS, aTick, current, db, outcomes, started } from "./fixtures";

/** What is before a rollout's first phase, beside its phases, and on its way back, with all of the tick in play. */

/** Later tests tick later: an earlier tick does nothing. */
let minute = 0;
const nextMinute = (): number => START_MS + ++minute * MINUTE_MS;

let answer: () => Response | Promise<Response>;
let asked: string[];
let warn: MockInstance<typeof console.warn>;
beforeEach(() => {
	warn = vi.spyOn(console, "warn").mockImplementation(() => {});
	asked = [];
	answer = () => new Response("{}");
	vi.stubGlobal("fetch", async (url: string | URL) => {
		asked.push(String(url));
		return answer();
	});
});
afterEach(async () => {
	warn.mockRestore();
	vi.unstubAllGlobals();
	await env.DB.prepare("UPDATE rollouts SET status = 'draft', state = '{\"status\":\"draft\"}'").run();
	await env.DB.batch(["rollbacks", "active_flags"].map((table) => env.DB.prepare(`DELETE FROM ${table}`)));
	// The rollbacks of a test keep none after it from advancing.
	minute += 180;
});

const HTTP = "https://origin.example/health";
const check = (change: Record<string, unknown> = {}) => storedChecks.parse([{ name: "smoke", http: HTTP, retries: 0, ...change }]);
const kindsOf = async ({ id }: StoredRollout): Promise<string[]> => (await listEvents(db, id, 0, 20)).map(({ kind }) => kind);

async function told({ id }: StoredRollout, type: string): Promise<number> {
	const found = await env.DB.prepare("SELECT count(*) AS n FROM outbox WHERE subject = ? AND type = ?").bind(id, type).first<number>("n");
	return found ?? 0;
}

async function ordered({ id }: StoredRollout, wayBack: { strategy: "gradual" | "full" }, atMs: number): Promise<StoredRollout> {
	const row = await current(id);
	const change = command(row.plan, row.state, { kind: "roll_back", by: "ann", reason: "slow", wayBack }, atMs);
	if (!change.ok) throw new Error(change.error.kind);
	const act = { actor: "ann", reason: "slow", correlationId: "c", atMs };
	await commitChange(db, { row, change: change.value, act, realNow: Date.now(), evidence: null });
	return current(row.id);
}

test("what has checks is served to nobody until a tick has made them, and begins with the next one", async () => {
	const row = await started("checked", { checks: check() });
	expect(row.status).toBe("validating");
	await tick(aTick(), nextMinute());
	expect((await current(row.id)).status).toBe("validating");
	expect(asked).toEqual([HTTP]);
	await tick(aTick(), nextMinute());
	expect((await current(row.id)).state).toMatchObject({ status: "running", phase: 0 });
	expect(await kindsOf(row)).toEqual(["validate", "start"]);
	expect(asked).toEqual([HTTP]);
});

test("what fails a critical check is a draft again, and its flags are free", async () => {
	const row = await started("unfit", { checks: check() });
	answer = () => new Response("", { status: 503 });
	await tick(aTick(), nextMinute());
	await tick(aTick(), nextMinute());
	expect((await current(row.id)).state).toEqual({ status: "draft" });
	expect(await kindsOf(row)).toEqual(["validate", "validation_failed"]);
	expect((await env.DB.prepare("SELECT count(*) AS n FROM active_flags WHERE rollout = ?").bind(row.id).first("n")) as number).toBe(0);
});

test("what is scheduled begins in the tick of its time, and not before", async () => {
	const beginsMs = START_MS + (minute + 2) * MINUTE_MS;
	const row = await started("later", {}, { startsAtMs: beginsMs });
	await tick(aTick(), nextMinute());
	expect((await current(row.id)).status).toBe("scheduled");
	await tick(aTick(), nextMinute());
	expect((await current(row.id)).state).toMatchObject({ status: "running", startedAtMs: beginsMs });
	expect(await kindsOf(row)).toEqual(["schedule", "start"]);
});

test("a critical check that fails during a phase holds it, and pages once until it passes", async () => {
	const phases = [
		{ percent: 50, hold: "1m", min_users: 20 },
		{ percent: 100, hold: "1h" },
	];
	const row = await started("watched", { phases, checks: check({ when: "during" }) });
	answer = () => new Response("", { status: 503 });
	const come = (who: string): Promise<void> => outcomes(row, { candidate: [40, 0], control: [40, 0] }, who);
	await come("a");
	await tick(aTick(), nextMinute());
	for (const who of ["b", "c", "d"]) {
		// oxlint-disable-next-line no-await-in-loop -- minute after minute
		await come(who);
		// oxlint-disable-next-line no-await-in-loop -- see above
		await tick(aTick(), nextMinute());
	}
	expect((await current(row.id)).state).toMatchObject({ status: "running", phase: 0 });
	expect((await resultsOf(db, [{ rollout: row.id, stage: 1 }])).get(row.id)?.map(({ status }) => status)).toEqual(["failed"]);
	expect(await told(row, "page.check_failed")).toBe(1);
	answer = () => new Response("{}");
	await tick(aTick(), nextMinute());
	await come("e");
	await tick(aTick(), nextMinute());
	expect((await current(row.id)).state).toMatchObject({ status: "running", phase: 1 });
});

test("nobody guards a gradual way back for longer than the lease: everybody is back at once", async () => {
	const phases = [{ percent: 100, hold: "1h" }];
	const row = await started("gradual", { phases, rollback: { strategy: "gradual", every: "1h" } });
	await tick(aTick(), nextMinute());
	expect((await ordered(row, { strategy: "gradual" }, START_MS + minute * MINUTE_MS)).state).toMatchObject({
		status: "rolling_back",
		lowered: { percent: 75 },
	});
	const realNow = (): number => Date.now() + LEASE_MS;
	await tick({ ...aTick(), realNow }, nextMinute());
	expect((await current(row.id)).status).toBe("rolled_back");
	expect(await kindsOf(row)).toEqual(["start", "begin_rollback", "roll_back"]);
	const { head } = await readHead(db);
	expect(head.environments["production"]?.overlay.baseline).toContain(row.id);
	await env.DB.prepare("UPDATE head SET guarded_at_ms = ?").bind(Date.now()).run();
});

test("a full rollback whose sender died after the first rollout is brought to its end by the next tick", async () => {
	const [first, second, waiting] = [await started("whole"), await started("other"), await started("waits", { checks: check() })];
	await ordered(first, { strategy: "full" }, START_MS + minute * MINUTE_MS);
	expect((await current(second.id)).status).toBe("running");
	await tick(aTick(), nextMinute());
	expect(await Promise.all([first, second, waiting].map(async ({ id }) => (await current(id)).status))).toEqual([
		"rolled_back",
		"rolled_back",
		"cancelled",
	]);
	expect(await kindsOf(second)).toEqual(["start", "roll_back"]);
});

test("a full rollback leaves what a person starts after it, though it was a draft before", async () => {
	const [first, draft] = [await started("whole-before"), await started("fixed", { checks: check({ when: "before" }) })];
	await env.DB.prepare("UPDATE rollouts SET status = 'draft', state = '{\"status\":\"draft\"}' WHERE id = ?").bind(draft.id).run();
	await env.DB.prepare("DELETE FROM active_flags WHERE rollout = ?").bind(draft.id).run();
	await ordered(first, { strategy: "full" }, nextMinute());
	await tick(aTick(), nextMinute());
	const row = await current(draft.id);
	const atMs = nextMinute();
	const change = command(row.plan, row.state, { kind: "start", by: "ann", reason: "fixed", launch: 1 }, atMs);
	if (!change.ok) throw new Error(change.error.kind);
	const act = { actor: "ann", reason: "fixed", correlationId: "c", atMs };
	await commitChange(db, {
		row,
		change: change.value,
		act,
		realNow: Date.now(),
		evidence: null,
		held: await getFlags(db, "production", ["fixed"]),
	});
	expect((await current(draft.id)).status).toBe("validating");
	await tick(aTick(), nextMinute());
	await tick(aTick(), nextMinute());
	expect((await current(draft.id)).status).toBe("running");
});

test("a full rollback takes what was scheduled before it, though its time comes with the tick that follows", async () => {
	const first = await started("whole-now");
	const scheduled = await started("just-due", {}, { startsAtMs: START_MS + (minute + 2) * MINUTE_MS });
	await ordered(first, { strategy: "full" }, nextMinute());
	await tick(aTick(), nextMinute());
	expect((await current(scheduled.id)).status).toMatch(/rolled_back|cancelled/);
});

test("what a full rollback takes with it is its sender's, whoever ends it, and none of it counts for the breaker", async () => {
	const limited = { guards: [], holdback: 50, phases: [{ percent: 50, hold: "1h", criteria: ["error_rate < 3%"] }] };
	const [first, second] = [await started("whole-ann"), await started("other-ann")];
	await ordered(first, { strategy: "full" }, nextMinute());
	await tick(aTick(), nextMinute());
	const [, back] = await listEvents(db, second.id, 0, 10);
	expect(back).toMatchObject({ kind: "roll_back", actor: "ann" });
	// And where the engine began it, it is one rollback of the engine's.
	const sinceMs = START_MS + minute * MINUTE_MS;
	const [harmed, beside] = [await started("whole-engine", { ...limited, rollback: { strategy: "full" } }), await started("other-engine")];
	await outcomes(harmed, { candidate: [50, 25], control: [50, 0] });
	await tick(aTick(), nextMinute());
	expect((await listEvents(db, beside.id, 1, 10)).map(({ kind, actor }) => [kind, actor])).toEqual([["roll_back", "tidegate"]]);
	expect((await rollbacksSince(db, "tidegate", sinceMs)).get("production")).toHaveLength(1);
});

test("a flag whose own guard fires goes back alone: it is free, and overlaid until the snapshot says so", async () => {
	const row = await started("kept", {
		flags: ["blamed", "kept"],
		guards: [{ guard: "error_rate vs control <= +25%", flag: "blamed" }],
		holdback: 50,
		phases: [{ percent: 50, hold: "1h" }],
		rollback: { strategy: "feature" },
	});
	const doubled: typeof HARMFUL = { candidate: [200, 120], control: [200, 50] };
	await outcomes(row, doubled, "u", "error@blamed");
	await tick(aTick(), nextMinute());
	expect((await current(row.id)).state).toMatchObject({ status: "running", dropped: ["blamed"] });
	expect(await kindsOf(row)).toEqual(["start", "drop_flags"]);
	const held = await env.DB.prepare("SELECT flag FROM active_flags WHERE rollout = ?").bind(row.id).all<{ flag: string }>();
	expect(held.results).toEqual([{ flag: "kept" }]);
	const { head } = await readHead(db);
	expect(head.environments["production"]?.overlay.baseline).toContain(`${row.id}:blamed`);
	const body = (await env.SNAPSHOTS.get(`snapshot/production/${head.environments["production"]?.version ?? 0}`)) ?? "";
	const rolloutIn = (key: string): boolean => body.split("\n").some((line) => line.startsWith(`${key}\t`) && line.includes('"rollout"'));
	expect([rolloutIn("blamed"), rolloutIn("kept")]).toEqual([false, true]);
});
