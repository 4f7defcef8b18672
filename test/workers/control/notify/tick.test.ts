import { env } from "cloudflare:workers";
import { type MockInstance, afterEach, beforeEach, expect, test, vi } from "vitest";
import { pendingEnvironments, readHead } from "../../../../control/store/publication";
import { tick } from "../../../../control/tick/tick";
import { HARMFUL, MINUTE_MS, START_MS, aTick, current, db, outcomes, started } from "../tick/fixtures";
import { OK, aWebhook, dbFailing, forgetAll, happened, receivers } from "./fixtures";

/** Delivery is the tick's last step, and no other step's business. */

let minute = 0;
const nextMinute = () => START_MS + ++minute * MINUTE_MS;

let warn: MockInstance<typeof console.warn>;
const logged = () => warn.mock.calls.map(([line]) => JSON.parse(String(line)) as unknown);
beforeEach(async () => {
	warn = vi.spyOn(console, "warn").mockImplementation(() => {});
	await forgetAll();
});
afterEach(async () => {
	vi.restoreAllMocks();
	await env.DB.prepare("UPDATE rollouts SET status = 'draft' WHERE status = 'running'").run();
});

test("a rollback is told in the tick that decides it, once it is published", async () => {
	const row = await started("harmed");
	await aWebhook("shop", { events: ["rollout.*"] });
	await tick(aTick(), nextMinute());
	await outcomes(row, HARMFUL);
	const pendingThen: (readonly string[])[] = [];
	const all = receivers(async () => {
		pendingThen.push(await pendingEnvironments(db));
		return OK;
	});
	await tick(aTick({ notifier: all }), nextMinute());
	expect((await current(row.id)).status).toBe("rolled_back");
	expect(all.requests.map(({ type }) => type)).toEqual(["rollout.rolled_back"]);
	expect(pendingThen).toEqual([[]]);
});

test("a tick completes before anybody is told, however long that takes", async () => {
	await aWebhook("shop");
	await happened("a.1");
	const [asked, answer] = [Promise.withResolvers<null>(), Promise.withResolvers<typeof OK>()];
	const slow = receivers(() => {
		asked.resolve(null);
		return answer.promise;
	});
	const now = nextMinute();
	const ticked = tick(aTick({ notifier: slow }), now);
	await asked.promise;
	expect((await readHead(db)).lastTickMs).toBe(now);
	answer.resolve(OK);
	await ticked;
});

test("delivery that fails is logged, and is nobody else's failure", async () => {
	await aWebhook("shop");
	await happened("a.1");
	const now = nextMinute();
	await tick(aTick({ db: dbFailing("FROM outbox WHERE id >", 1) }), now);
	expect(logged()).toContainEqual({ event: "tick_step_failed", step: "deliver", error: "D1_ERROR: Network connection lost." });
	expect((await readHead(db)).lastTickMs).toBe(now);
	const all = receivers();
	await tick(aTick({ notifier: all }), nextMinute());
	expect(all.requests).toHaveLength(1);
});

test("what has happened is told though guarding fails, and by a tick that comes late", async () => {
	await aWebhook("shop", { events: ["rollout.advanced"] });
	const row = await started("unguarded");
	await happened(row.id);
	const all = receivers();
	await tick(aTick({ db: dbFailing(`from "rollouts" where`, 1), notifier: all }), nextMinute());
	expect(logged()).toContainEqual(expect.objectContaining({ event: "tick_step_failed", step: "guard" }));
	expect(all.requests).toHaveLength(1);
	await happened("late.1");
	await tick(aTick({ notifier: all }), START_MS - MINUTE_MS);
	expect(logged()).toContainEqual(expect.objectContaining({ event: "tick_out_of_order" }));
	expect(all.requests).toHaveLength(2);
});

test("old deliveries are forgotten at the full hour", async () => {
	const { id } = await aWebhook("shop");
	await happened("a.1");
	await tick(aTick({ notifier: receivers() }), nextMinute());
	const left = () => env.DB.prepare("SELECT count(*) AS n FROM webhook_deliveries WHERE webhook = ?").bind(id).first("n");
	expect(await left()).toBe(1);
	const hour = Math.ceil(nextMinute() / 3_600_000) * 3_600_000;
	const realNow = () => Date.now() + 31 * 86_400_000;
	await tick({ ...aTick({ notifier: receivers() }), realNow }, hour);
	expect(await left()).toBe(0);
});
