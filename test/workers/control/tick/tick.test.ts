import { createExecutionContext, createScheduledController, waitOnExecutionContext } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { expect, test } from "vitest";
import type { MetricsSource } from "../../../../control/metrics/source";
import { embedded } from "../../../../control/metrics/embedded";
import worker from "../../../../control/index";
import { readHead } from "../../../../control/store/publication";
import { latestCheck, listEvents } from "../../../../control/store/rollouts";
import { tick } from "../../../../control/tick/tick";
import { HARMFUL, HEALTHY, MINUTE_MS, START_MS, aTick, current, db, everything, outcomes, started } from "./fixtures";

const at = (minute: number) => START_MS + minute * MINUTE_MS;

async function scheduled(nowMs: number): Promise<void> {
	const context = createExecutionContext();
	await worker.scheduled(createScheduledController({ cron: "* * * * *", scheduledTime: new Date(nowMs) }), env);
	await waitOnExecutionContext(context);
}

/** Later tests tick later: an earlier tick does nothing. */
let minute = 0;
const nextMinute = () => at(++minute);

test("without telemetry the rollout holds and says no_data", async () => {
	const { id } = await started("quiet");
	await scheduled(nextMinute());
	expect(await latestCheck(db, id)).toMatchObject({ decision: "hold", reason: "no_data", level: "unknown", percent: 5 });
	expect((await current(id)).state).toMatchObject({ status: "running", phase: 0, watch: { quietTicks: 1, heldMs: 0 } });
});

test("a healthy rollout advances after its hold and completes: the candidate becomes the fallthrough, and the flag is free again", async () => {
	const { id } = await started("healthy", { holdback: 5 });
	for (let round = 0; round < 12 && (await current(id)).status === "running"; round++) {
		// oxlint-disable-next-line no-await-in-loop -- minute after minute
		await outcomes(await current(id), HEALTHY, `round-${round}`);
		// oxlint-disable-next-line no-await-in-loop -- minute after minute
		await scheduled(nextMinute());
	}
	const events = await listEvents(db, id, 0, 100);
	expect(events.map(({ kind }) => kind)).toEqual(["start", "advance", "complete"]);
	const flag = await env.DB.prepare("SELECT version, config FROM flags WHERE key = 'healthy'").first<{ version: number; config: string }>();
	expect(JSON.parse(flag?.config ?? "{}")).toMatchObject({ fallthrough: "true" });
	expect(flag?.version).toBe(2);
	expect((await env.DB.prepare("SELECT count(*) AS n FROM active_flags WHERE rollout = ?").bind(id).first("n")) as number).toBe(0);
	const { head } = await readHead(db);
	const body = await env.SNAPSHOTS.get(`snapshot/production/${head.environments["production"]?.version ?? 0}`);
	expect(body).toMatch(/^healthy\t/m);
	expect(body).not.toContain(id);
});

test("proven harm rolls back in the tick that sees it, with evidence, audit row and outbox in one batch, and by overlay at once", async () => {
	const row = await started("harmful");
	await outcomes(row, HARMFUL);
	await scheduled(nextMinute());
	const after = await current(row.id);
	expect(after.state).toMatchObject({ status: "rolled_back", fromPhase: 0, by: "tidegate" });
	const event = (await listEvents(db, row.id, 1, 10))[0];
	expect(event).toMatchObject({
		revision: 2,
		kind: "roll_back",
		reason: "harm_proven",
		actor: "tidegate",
		evidence: { judgement: { level: "failure" } },
	});
	expect(event?.message).toContain("harmed users 25 of 50 vs 10 of 950");
	const audit = await env.DB.prepare("SELECT actor, action, reason FROM audit WHERE resource = ? ORDER BY id")
		.bind(`rollouts/${row.id}`)
		.all();
	expect(audit.results.map((each) => each["action"])).toEqual(["rollout.created", "rollout.start", "rollout.roll_back"]);
	expect((await readHead(db)).head.environments["production"]?.overlay.baseline).toContain(row.id);
	expect(await env.DB.prepare("SELECT type FROM outbox WHERE subject = ? ORDER BY id DESC").bind(row.id).first("type")).toBe(
		"rollout.rolled_back",
	);
});

test("the same tick twice changes nothing", async () => {
	const row = await started("twice");
	await outcomes(row, HEALTHY);
	const now = nextMinute();
	await scheduled(now);
	const before = await everything();
	await scheduled(now);
	expect(await everything()).toBe(before);
});

test("a tick that comes later than its successor judges nothing", async () => {
	const row = await started("late");
	await outcomes(row, HARMFUL);
	const late = nextMinute();
	await env.DB.prepare("UPDATE head SET last_tick_ms = ?")
		.bind(late + 1)
		.run();
	await scheduled(late);
	expect((await current(row.id)).status).toBe("running");
	await scheduled(nextMinute());
	expect((await current(row.id)).status).toBe("rolled_back");
});

test("two ticks at once apply one decision, whichever comes first, and count nothing twice", { timeout: 60_000 }, async () => {
	for (let round = 0; round < 25; round++) {
		// oxlint-disable-next-line no-await-in-loop -- one race after another
		const row = await started(`race-${round}`);
		// oxlint-disable-next-line no-await-in-loop -- one race after another
		await outcomes(row, round % 2 === 0 ? HARMFUL : HEALTHY, `race-${round}`);
		const now = nextMinute();
		// oxlint-disable-next-line no-await-in-loop -- one race after another
		await Promise.all([scheduled(now), scheduled(now)]);
		// oxlint-disable-next-line no-await-in-loop -- one race after another
		const [after, events] = await Promise.all([current(row.id), listEvents(db, row.id, 0, 10)]);
		expect(events.map(({ kind }) => kind)).toEqual(round % 2 === 0 ? ["start", "roll_back"] : ["start"]);
		expect(after.revision).toBe(events.length);
		if (after.state.status === "running") {
			expect(after.state.watch.exposures).toEqual([{ served: 5_000, candidate: 50, control: 950 }]);
			expect(after.state.watch.guards[0]).toMatchObject({ harmed: 1, units: 20 });
			// oxlint-disable-next-line no-await-in-loop -- out of the way of the next race
			await env.DB.prepare("UPDATE rollouts SET status = 'draft' WHERE id = ?").bind(row.id).run();
		}
	}
});

test("metrics that cannot be read five times in a row pause the rollout; when they return nothing was counted twice", async () => {
	const row = await started("unreadable");
	await outcomes(row, HEALTHY);
	await scheduled(nextMinute());
	const seen = (await current(row.id)).state;
	const dead: MetricsSource = { ...embedded(env.DB), firstHarms: () => Promise.reject(new Error("connection refused")) };
	for (let i = 0; i < 5; i++) {
		// oxlint-disable-next-line no-await-in-loop -- minute after minute
		await tick(aTick({ metrics: dead }), nextMinute());
	}
	expect((await current(row.id)).state).toMatchObject({ status: "paused", by: "tidegate", watch: { failedReads: 5 } });
	expect((await listEvents(db, row.id, 1, 10)).map(({ kind, reason }) => [kind, reason])).toEqual([["pause", "source_error"]]);
	await outcomes(row, { candidate: [50, 1], control: [950, 19] }); // the same users again
	await scheduled(nextMinute());
	const after = (await current(row.id)).state;
	if (seen.status !== "running" || after.status !== "paused") throw new Error(`${seen.status}, ${after.status}`);
	expect(after.watch.exposures).toEqual(seen.watch.exposures);
	expect(after.watch.guards[0]?.units).toBe(seen.watch.guards[0]?.units);
	await env.DB.prepare("UPDATE rollouts SET status = 'draft' WHERE id = ?").bind(row.id).run();
});

test("a rollout whose row is damaged, and one that throws, do not stop the others", async () => {
	const [corrupt, throws, fine] = [await started("corrupt"), await started("throws"), await started("fine")];
	await env.DB.prepare(`UPDATE rollouts SET state = '{"status":"running"}' WHERE id = ?`).bind(corrupt.id).run();
	// A guard without its evidence: it parses, and cannot be judged.
	await env.DB.prepare("UPDATE rollouts SET state = json_set(state, '$.watch.guards', json('[]')) WHERE id = ?").bind(throws.id).run();
	await Promise.all([outcomes(throws, HEALTHY), outcomes(fine, HARMFUL)]);
	await scheduled(nextMinute());
	expect((await current(fine.id)).status).toBe("rolled_back");
	expect((await current(throws.id)).state).toMatchObject({ status: "paused", by: "tidegate" });
	await env.DB.prepare("UPDATE rollouts SET status = 'draft', state = '{\"status\":\"draft\"}' WHERE id IN (?, ?)")
		.bind(corrupt.id, throws.id)
		.run();
});

test("a live rollout that nobody can read is paged once, and left out of the snapshot at once", async () => {
	const [row, waiting] = [await started("unread"), await started("unread-later", {}, { startsAtMs: START_MS + 1e9 })];
	await scheduled(nextMinute());
	const pages = async () =>
		(await env.DB.prepare("SELECT subject, payload FROM outbox WHERE type = 'page.rollout_corrupt' AND subject LIKE 'unread%'").all())
			.results;
	const servedNow = async (): Promise<boolean> => {
		const { head } = await readHead(db);
		const body = (await env.SNAPSHOTS.get(`snapshot/production/${head.environments["production"]?.version}`)) ?? "";
		return body.includes('"key":"unread.1"');
	};
	expect(await servedNow()).toBe(true);
	await env.DB.prepare("UPDATE rollouts SET plan = json_set(plan, '$.guards[0]', 'nonsense') WHERE name LIKE 'unread%'").run();
	for (let i = 0; i < 3; i++) await scheduled(nextMinute()); // oxlint-disable-line no-await-in-loop -- minute after minute
	expect(await pages()).toMatchObject([{ subject: row.id, payload: expect.stringContaining('"environment":"production"') }]);
	expect(await servedNow()).toBe(false);
	// Another time is another page: somebody has mended it in between.
	await env.DB.prepare("UPDATE rollouts SET plan = json_set(plan, '$.guards[0]', 'error_rate vs control <= +25%') WHERE id = ?")
		.bind(row.id)
		.run();
	await scheduled(nextMinute());
	await env.DB.prepare("UPDATE rollouts SET plan = json_set(plan, '$.guards[0]', 'nonsense') WHERE id = ?").bind(row.id).run();
	await scheduled(nextMinute());
	expect(await pages()).toHaveLength(2);
	await env.DB.prepare("UPDATE rollouts SET status = 'draft', state = '{\"status\":\"draft\"}' WHERE id IN (?, ?)")
		.bind(row.id, waiting.id)
		.run();
});

test("a paused rollout is still guarded", async () => {
	const row = await started("paused");
	await env.DB.prepare(
		`UPDATE rollouts SET status = 'paused', state = json_set(state, '$.status', 'paused', '$.pausedAtMs', ?, '$.by', 'test', '$.reason', 'lunch') WHERE id = ?`,
	)
		.bind(START_MS, row.id)
		.run();
	await outcomes(row, HARMFUL);
	await scheduled(nextMinute());
	expect((await current(row.id)).status).toBe("rolled_back");
});
