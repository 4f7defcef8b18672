import { env } from "cloudflare:workers";
import { type MockInstance, afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { PackedFlag } from "../../../../core/flags/snapshot";
import { command } from "../../../../core/rollouts/command";
import type { LiveState } from "../../../../core/rollouts/state";
import { type Head, LEASE_MS } from "../../../../core/wire";
import { readHead } from "../../../../control/store/publication";
import { type StoredRollout, latestCheck, listEvents } from "../../../../control/store/rollouts";
import { commitChange } from "../../../../control/store/rolloutChanges";
import { type Tick, tick } from "../../../../control/tick/tick";
import { HARMFUL, HEALTHY, MINUTE_MS, START_MS, aTick, current, db, outcomes, started } from "./fixtures";

/** The dead man's switch from control's side: what the first tick does after nobody has ticked for longer than the lease. */

/** Real time passes only where a test lets it; ticks come later and later. */
let realMs = Date.now();
let nowMs = START_MS;
let count = 0;

let warn: MockInstance<typeof console.warn>;
const logged = () => warn.mock.calls.map(([line]) => JSON.parse(String(line)) as Record<string, unknown>);
beforeEach(async () => {
	warn = vi.spyOn(console, "warn").mockImplementation(() => {});
	await tickAfter(MINUTE_MS);
});
afterEach(async () => {
	vi.restoreAllMocks();
	await env.DB.prepare("UPDATE rollouts SET status = 'draft' WHERE status IN ('running', 'paused')").run();
});

async function tickAfter(ms: number, change: Parameters<typeof aTick>[0] = {}): Promise<void> {
	realMs += ms;
	nowMs += ms;
	await tick(given(change), nowMs);
}
const given = (change: Parameters<typeof aTick>[0] = {}): Tick => ({ ...aTick(change), realNow: () => realMs });

const launch = (policy: "retreat" | "hold"): Promise<StoredRollout> => started(`lapse-${policy}-${++count}`, { on_control_loss: policy });

async function order(row: StoredRollout, kind: "pause" | "resume"): Promise<StoredRollout> {
	const change = command(row.plan, row.state, { kind, by: "ann", reason: "lunch", launch: 1 }, nowMs);
	if (!change.ok) throw new Error(change.error.kind);
	const act = { actor: "ann", reason: "lunch", correlationId: "c", atMs: nowMs };
	await commitChange(db, { row, change: change.value, act, realNow: realMs, evidence: null });
	return current(row.id);
}

const live = (row: StoredRollout): LiveState => {
	if (row.state.status !== "running" && row.state.status !== "paused") throw new Error(row.state.status);
	return row.state;
};
/** What the published body serves of a rollout, in buckets. */
async function servedOf(row: StoredRollout): Promise<number | undefined> {
	const { head } = await readHead(db);
	const body = (await env.SNAPSHOTS.get(`snapshot/production/${head.environments["production"]?.version ?? 0}`)) ?? "";
	const line = body.split("\n").find((each) => each.startsWith(`${row.name}\t`));
	return (JSON.parse(line?.split("\t")[2] ?? "{}") as PackedFlag).rollout?.served;
}
const kinds = async (row: StoredRollout) => (await listEvents(db, row.id, 1, 10)).map(({ kind, reason }) => [kind, reason]);

describe("the first tick after a lapse", () => {
	test("pauses every running rollout and judges nothing, whatever the evidence: retreat serves nobody, hold goes on", async () => {
		const rows = [await launch("retreat"), await launch("hold"), await launch("retreat"), await launch("hold")];
		await Promise.all(rows.map((row, i) => outcomes(row, i < 2 ? HARMFUL : HEALTHY)));
		await tickAfter(LEASE_MS + MINUTE_MS);
		for (const row of rows) {
			const retreats = row.plan.on_control_loss === "retreat";
			// oxlint-disable no-await-in-loop -- rollout after rollout
			const after = live(await current(row.id));
			expect(after).toMatchObject({
				status: "paused",
				by: "tidegate",
				phase: 0,
				retreated: retreats,
				stage: retreats ? 2 : 1,
				// Nothing was judged: what it knew before is what it knows.
				watch: { watermark: live(row).watch.watermark, exposures: live(row).watch.exposures },
			});
			const [event] = await listEvents(db, row.id, 1, 10);
			expect(event).toMatchObject({ kind: "pause", reason: "unguarded", actor: "tidegate", evidence: { judgement: null } });
			expect(event?.message).toContain("unguarded: no tick for 16m > 13m");
			expect(event?.message.includes("back to the baseline")).toBe(retreats);
			expect(await servedOf(row)).toBe(retreats ? 0 : 5_000);
			// oxlint-enable no-await-in-loop
		}
		const { guardedAtMs } = await readHead(db);
		expect(guardedAtMs).toBe(realMs);
	});

	test("has published what it paused before any head says guarded", async () => {
		const row = await launch("retreat");
		await tickAfter(MINUTE_MS);
		expect(await servedOf(row)).toBe(5_000);
		const before = (await readHead(db)).guardedAtMs;
		let guardedAtPut: number | undefined;
		let kvHead: Head | undefined;
		const kv = new Proxy(env.SNAPSHOTS, {
			get(target, property) {
				if (property !== "put") return Reflect.get(target, property).bind(target) as unknown;
				return async (key: string, value: string) => {
					if (key.startsWith("snapshot/")) guardedAtPut = (await readHead(db)).guardedAtMs;
					else kvHead = JSON.parse(value) as Head;
					await target.put(key, value);
				};
			},
		});
		await tickAfter(LEASE_MS + MINUTE_MS, { kv });
		expect(guardedAtPut).toBe(before);
		expect(kvHead?.environments["production"]).toMatchObject({ guardedAtMs: before });
		expect(await servedOf(row)).toBe(0);
		expect((await readHead(db)).guardedAtMs).toBe(realMs);
	});

	test("that cannot publish leaves the edges unguarded, and the tick that can ends it", async () => {
		const row = await launch("retreat");
		await tickAfter(MINUTE_MS);
		const before = (await readHead(db)).guardedAtMs;
		const kv = new Proxy(env.SNAPSHOTS, {
			get: (target, property) =>
				property === "put"
					? () => Promise.reject(new Error("KV PUT failed: 500"))
					: (Reflect.get(target, property).bind(target) as unknown),
		});
		await tickAfter(LEASE_MS + MINUTE_MS, { kv });
		expect(live(await current(row.id))).toMatchObject({ status: "paused", retreated: true });
		expect((await readHead(db)).guardedAtMs).toBe(before);
		expect(await servedOf(row)).toBe(5_000);
		await tickAfter(MINUTE_MS);
		expect((await readHead(db)).guardedAtMs).toBe(realMs);
		expect(await servedOf(row)).toBe(0);
		expect(await kinds(row)).toEqual([["pause", "unguarded"]]);
	});

	test("that cannot pause one leaves the edges unguarded, and the next one pauses it", async () => {
		const [stuck, fine] = [await launch("retreat"), await launch("retreat")];
		const before = (await readHead(db)).guardedAtMs;
		await env.DB.prepare(
			`CREATE TRIGGER stuck BEFORE INSERT ON rollout_events WHEN NEW.rollout = '${stuck.id}' BEGIN SELECT RAISE(ABORT, 'stuck'); END`,
		).run();
		await tickAfter(LEASE_MS + MINUTE_MS);
		await env.DB.prepare("DROP TRIGGER stuck").run();
		expect([(await current(stuck.id)).status, (await current(fine.id)).status]).toEqual(["running", "paused"]);
		expect((await readHead(db)).guardedAtMs).toBe(before);
		expect(logged()).toContainEqual({ event: "tick_step_failed", step: "guard", error: "1 unguarded rollouts could not be paused" });
		await tickAfter(MINUTE_MS);
		expect(live(await current(stuck.id))).toMatchObject({ status: "paused", retreated: true });
		expect(await kinds(fine)).toEqual([["pause", "unguarded"]]);
		expect((await readHead(db)).guardedAtMs).toBe(realMs);
	});

	test("leaves paused ones as they are, except one whose users the edges have taken back: it follows them", async () => {
		const [holds, retreats] = [await order(await launch("hold"), "pause"), await order(await launch("retreat"), "pause")];
		await tickAfter(LEASE_MS + MINUTE_MS);
		expect(live(await current(holds.id))).toMatchObject({ status: "paused", by: "ann", reason: "lunch", retreated: false, stage: 1 });
		expect(await kinds(holds)).toEqual([["pause", "operator"]]);
		expect(live(await current(retreats.id))).toMatchObject({ status: "paused", by: "tidegate", retreated: true, stage: 2 });
		expect(await servedOf(retreats)).toBe(0);
		// A second lapse moves nobody any more.
		await tickAfter(LEASE_MS + MINUTE_MS);
		expect(live(await current(retreats.id))).toMatchObject({ stage: 2 });
		expect(await kinds(retreats)).toEqual([
			["pause", "operator"],
			["pause", "unguarded"],
		]);
	});

	test.each(["retreat", "hold"] as const)("leaves harm to the next one, which judges it: %s", async (policy) => {
		const row = await launch(policy);
		await outcomes(row, HARMFUL);
		await tickAfter(LEASE_MS + MINUTE_MS);
		expect((await current(row.id)).status).toBe("paused");
		await tickAfter(MINUTE_MS);
		expect((await current(row.id)).status).toBe("rolled_back");
		expect(await kinds(row)).toEqual([
			["pause", "unguarded"],
			["roll_back", "harm_proven"],
		]);
	});

	test("is not kept from the others, nor from ending, by one that nobody can read", async () => {
		const [unreadable, other] = [await launch("retreat"), await launch("retreat")];
		await tickAfter(MINUTE_MS);
		await env.DB.prepare(`UPDATE rollouts SET plan = json_set(plan, '$.guards', json('["nonsense_rate vs control <= +25%"]')) WHERE id = ?`)
			.bind(unreadable.id)
			.run();
		await outcomes(other, HARMFUL);
		await tickAfter(LEASE_MS + MINUTE_MS);
		expect((await readHead(db)).guardedAtMs).toBe(realMs);
		expect(await servedOf(unreadable)).toBeUndefined();
		await tickAfter(MINUTE_MS);
		expect((await current(other.id)).status).toBe("rolled_back");
	});

	test("comes once: two at once apply one pause, and the next tick finds nothing to do", async () => {
		for (let round = 0; round < 10; round++) {
			// oxlint-disable no-await-in-loop -- one race after another
			const row = await launch(round % 2 === 0 ? "retreat" : "hold");
			realMs += LEASE_MS + MINUTE_MS;
			nowMs += LEASE_MS + MINUTE_MS;
			await Promise.all([tick(given(), nowMs), tick(given(), nowMs)]);
			expect(await kinds(row)).toEqual([["pause", "unguarded"]]);
			await tickAfter(MINUTE_MS);
			expect(await kinds(row)).toEqual([["pause", "unguarded"]]);
			expect(live(await current(row.id))).toMatchObject({ status: "paused", stage: round % 2 === 0 ? 2 : 1 });
			expect((await readHead(db)).guardedAtMs).toBe(realMs);
			await env.DB.prepare("UPDATE rollouts SET status = 'draft' WHERE id = ?").bind(row.id).run();
			// oxlint-enable no-await-in-loop
		}
	});
});

test.each<[number, string]>([
	[LEASE_MS - 2 * MINUTE_MS - 1, "running"],
	[LEASE_MS - 2 * MINUTE_MS, "paused"],
])("no tick for %d ms is %s: a lapse to control two minutes before it is one to any edge", async (ms, status) => {
	const row = await launch("retreat");
	await tickAfter(MINUTE_MS);
	await tickAfter(ms);
	expect((await current(row.id)).status).toBe(status);
});

test("ticks that are late by their schedule and not in fact are no lapse", async () => {
	const row = await launch("retreat");
	nowMs += 2 * LEASE_MS;
	await tickAfter(MINUTE_MS);
	expect((await current(row.id)).status).toBe("running");
});

test("the very first tick of an installation is no lapse", async () => {
	const row = await launch("retreat");
	await env.DB.prepare("UPDATE head SET guarded_at_ms = 0").run();
	await tickAfter(LEASE_MS + MINUTE_MS);
	expect((await current(row.id)).status).toBe("running");
	expect(await latestCheck(db, row.id)).toMatchObject({ reason: "no_data" });
	expect((await readHead(db)).guardedAtMs).toBe(realMs);
});

describe("resumed by a person", () => {
	test("after a retreat its phase is served again, as a new stage with nobody before it", async () => {
		const row = await launch("retreat");
		await tickAfter(LEASE_MS + MINUTE_MS);
		expect(await servedOf(row)).toBe(0);
		const resumed = await order(await current(row.id), "resume");
		expect(live(resumed)).toMatchObject({ status: "running", stage: 3, phase: 0, retreated: false, before: { stage: 2, served: 0 } });
		await tickAfter(MINUTE_MS);
		expect(await servedOf(row)).toBe(5_000);
		expect((await current(row.id)).status).toBe("running");
	});

	test("under hold it goes on in the stage in which it was", async () => {
		const row = await launch("hold");
		await tickAfter(LEASE_MS + MINUTE_MS);
		const resumed = await order(await current(row.id), "resume");
		expect(live(resumed)).toMatchObject({ status: "running", stage: 1, phase: 0, retreated: false });
		await tickAfter(MINUTE_MS);
		expect(await servedOf(row)).toBe(5_000);
	});
});
