import { env } from "cloudflare:workers";
import { type MockInstance, afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { EVENTS, matches } from "../../../../core/notify/events";
import type { Outcome } from "../../../../core/notify/settle";
import { changeWebhook, configOf, replay, rotateSecret } from "../../../../control/store/webhooks";
import { fanOut, pruneDeliveries } from "../../../../control/store/webhookDeliveries";
import { deliver } from "../../../../control/tick/deliver";
import {
	type Delivered,
	MINUTE_MS,
	OK,
	SILENT,
	START_MS,
	aWebhook,
	act,
	answered,
	current,
	db,
	dbFailing,
	deliverAt,
	deliveriesOf,
	forgetAll,
	happened,
	receivers,
	sentOf,
} from "./fixtures";

const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

let warn: MockInstance<typeof console.warn>;
beforeEach(async () => {
	warn = vi.spyOn(console, "warn").mockImplementation(() => {});
	await forgetAll();
});
afterEach(() => vi.restoreAllMocks());

describe("an event", () => {
	test("is told once to everybody who was there when it happened", async () => {
		await happened("early.1");
		await aWebhook("shop");
		const first = await happened("cart.1");
		await aWebhook("pager");
		const second = await happened("cart.1");
		const all = receivers();
		await deliverAt(START_MS, all);
		await deliverAt(START_MS + MINUTE_MS, all);
		expect(sentOf(all).toSorted()).toEqual([`pager/${second}`, `shop/${first}`, `shop/${second}`]);
	});

	test("is signed at the time when it is sent, with an id that names it", async () => {
		const shop = await aWebhook("shop");
		const event = await happened("cart.1", "rollout.rolled_back");
		const all = receivers();
		await deliverAt(START_MS + 5, all);
		expect(all.requests).toEqual([
			{
				to: "shop",
				event,
				id: `evt_${START_MS.toString(36)}_${event}`,
				type: "rollout.rolled_back",
				atMs: START_MS + 5,
				secrets: shop.secrets.map(({ secret }) => secret),
			},
		]);
	});

	test.each<[events: string[], environment: string | null, type: string, payload: unknown, isTold: boolean]>([
		[["*"], null, "rollout.started", { environment: "staging" }, true],
		[["*"], "production", "rollout.started", { environment: "production" }, true],
		[["*"], "production", "rollout.started", { environment: "staging" }, false],
		[["*"], "production", "webhook.disabled", { environment: null }, false],
		[["*"], "production", "rollout.started", "{", false],
		[["rollout.*"], null, "rollout.rolled_back", {}, true],
		[["rollout.*"], null, "page.no_data", {}, false],
		[["page.no_data", "rollout.rolled_back"], null, "rollout.rolled_back", {}, true],
		[["page.no_data"], null, "alert.no_data", {}, false],
	])("is told to who wants it: %j in %s of %s %j: %s", async (events, environment, type, payload, isTold) => {
		await aWebhook("shop", { events, environment });
		await happened("cart.1", type, payload);
		const all = receivers();
		await deliverAt(START_MS, all);
		expect(all.requests).toHaveLength(Number(isTold));
	});

	test("matches in the database as everywhere else", async () => {
		const types = [...Object.keys(EVENTS), "rollout.new_kind", "rollouts.started", "page.no_datas", "other.thing"];
		const patterns = ["*", "rollout.*", "alert.*", "page.*", "webhook.*", ...Object.keys(EVENTS)];
		for (const pattern of patterns) {
			// oxlint-disable-next-line no-await-in-loop -- one subscriber after the other
			await env.DB.prepare("DELETE FROM webhooks").run();
			// oxlint-disable-next-line no-await-in-loop -- see above
			const hook = await aWebhook("shop", { events: [pattern] });
			const ids: number[] = [];
			// oxlint-disable-next-line no-await-in-loop -- their order is their number
			for (const type of types) ids.push(await happened("x", type));
			// oxlint-disable-next-line no-await-in-loop -- see above
			await fanOut(db, START_MS);
			// oxlint-disable-next-line no-await-in-loop -- see above
			const owed = (await deliveriesOf(hook)).map(({ event }) => types[ids.indexOf(event)]);
			expect(owed, pattern).toEqual(types.filter((type) => matches(pattern, type)));
		}
	});

	test("that cannot be read is given up, and the next of its subject is told", async () => {
		const shop = await aWebhook("shop");
		await happened("cart.1", "rollout.started", "{");
		const next = await happened("cart.1");
		const all = receivers();
		await deliverAt(START_MS, all);
		expect(sentOf(all)).toEqual([`shop/${next}`]);
		expect(await deliveriesOf(shop)).toMatchObject([
			{ status: "dead", error: "its row in the outbox cannot be read" },
			{ status: "delivered" },
		]);
	});

	test("of a long backlog is told in its turn, 1,000 dealt out a tick", async () => {
		const shop = await aWebhook("shop", { events: ["page.no_data"] });
		const rows = JSON.stringify(Array.from({ length: 2_400 }, (_, i) => (i % 300 === 299 ? "page.no_data" : "alert.no_data")));
		await env.DB.prepare(
			"INSERT INTO outbox (at_ms, type, subject, payload) SELECT 1, value, 's' || key, '{}' FROM json_each(?) ORDER BY key",
		)
			.bind(rows)
			.run();
		const dealt: number[] = [];
		for (let i = 0; i < 4; i++) {
			// oxlint-disable-next-line no-await-in-loop -- tick after tick
			await fanOut(db, START_MS);
			// oxlint-disable-next-line no-await-in-loop -- see above
			dealt.push((await deliveriesOf(shop)).length);
		}
		expect(dealt).toEqual([3, 6, 8, 8]);
	});
});

describe("order", () => {
	test("of a subject holds for each subscriber, whatever the others do", async () => {
		await aWebhook("shop");
		await aWebhook("pager");
		const [a1, b1, a2, b2] = [await happened("a.1"), await happened("b.1"), await happened("a.1"), await happened("b.1")];
		const all = receivers(({ to, event }) => (to === "shop" && event === a1 ? answered(500) : OK));
		await deliverAt(START_MS, all);
		const of = (name: string) => all.requests.filter(({ to }) => to === name).map(({ event }) => event);
		expect(of("shop").filter((event) => event === a1 || event === a2)).toEqual([a1]);
		expect(of("shop").filter((event) => event === b1 || event === b2)).toEqual([b1, b2]);
		expect(of("pager").filter((event) => event === a1 || event === a2)).toEqual([a1, a2]);
		// The failed one is due again, and then what waited behind it goes on.
		const later = receivers();
		await deliverAt(START_MS + MINUTE_MS, later);
		expect(sentOf(later)).toEqual([`shop/${a1}`, `shop/${a2}`]);
	});

	test("holds when an event happens while another of its subject is still tried", async () => {
		await aWebhook("shop");
		const first = await happened("a.1");
		await deliverAt(
			START_MS,
			receivers(() => answered(503)),
		);
		const second = await happened("a.1");
		const between = receivers();
		await deliverAt(START_MS + 10_000, between);
		expect(between.requests).toEqual([]);
		const later = receivers();
		await deliverAt(START_MS + MINUTE_MS, later);
		expect(sentOf(later)).toEqual([`shop/${first}`, `shop/${second}`]);
	});
});

describe("a failed delivery", () => {
	test("is tried for a day, less and less often, then given up, and so is what waited behind it", async () => {
		const shop = await aWebhook("shop");
		const [first, second] = [await happened("a.1"), await happened("a.1")];
		const all = receivers(() => answered(500));
		await fanOut(db, START_MS);
		for (
			let [pending] = await deliveriesOf(shop);
			pending;
			pending = (await deliveriesOf(shop)).find(({ status }) => status === "pending")
		) {
			// Ticks come every minute; those that find nothing due are left out.
			// oxlint-disable-next-line no-await-in-loop -- minute after minute
			await deliverAt(Math.ceil(pending.due_at_ms / MINUTE_MS) * MINUTE_MS, all);
		}
		const minutes = all.requests.filter(({ event }) => event === first).map(({ atMs }) => (atMs - START_MS) / MINUTE_MS);
		expect(minutes.slice(0, 4)).toEqual([0, 1, 3, 8]);
		const gaps = minutes.slice(1).map((at, i) => at - (minutes[i] ?? 0));
		for (const [i, planned] of [1, 2, 5, 10, 30, 60, 120, 120].entries()) {
			expect(gaps[i]).toBeLessThanOrEqual(planned);
			expect(gaps[i]).toBeGreaterThanOrEqual(planned * 0.9);
		}
		const ends = Math.max(...all.requests.map(({ atMs }) => atMs)) - START_MS;
		expect(ends).toBeLessThanOrEqual(DAY_MS);
		expect(ends).toBeGreaterThan(DAY_MS - 2 * HOUR_MS);
		expect(all.requests.map(({ event }) => event)).toEqual(all.requests.map(({ event }) => event).toSorted((a, b) => a - b));
		expect(new Set(all.requests.map(({ id }) => id)).size).toBe(2);
		expect(await deliveriesOf(shop)).toMatchObject([
			{ event: first, status: "dead", attempts: minutes.length, error: expect.stringMatching(/^answered 500; attempts: \d+ in 2[234]/) },
			{ event: second, status: "dead", attempts: all.requests.length - minutes.length },
		]);
		const third = await happened("a.1");
		await deliverAt(START_MS + DAY_MS, receivers());
		expect((await deliveriesOf(shop)).find(({ event }) => event === third)).toMatchObject({ status: "delivered", error: null });
	});

	test("says in the log what failed, without address or secret", async () => {
		const shop = await aWebhook("shop");
		const event = await happened("a.1");
		await deliverAt(
			START_MS,
			receivers(() => answered(500)),
		);
		const logged = warn.mock.calls.map(([line]) => String(line));
		expect(logged.map((line) => JSON.parse(line) as unknown)).toContainEqual(
			expect.objectContaining({ event: "webhook_failed", webhook: shop.id, delivery: event, kind: "retry", error: "answered 500" }),
		);
		expect(logged.join()).not.toMatch(/whsec_|example\.com/);
	});
});

describe("dead letters", () => {
	async function dead() {
		const shop = await aWebhook("shop");
		const events = [await happened("a.1"), await happened("a.1"), await happened("b.1")];
		await fanOut(db, START_MS);
		await deliverAt(
			START_MS + DAY_MS,
			receivers(() => answered(500)),
		);
		expect((await deliveriesOf(shop)).map(({ status }) => status)).toEqual(["dead", "dead", "dead"]);
		return { shop, events };
	}

	test("that are replayed are owed for another day, in order", async () => {
		const { shop, events } = await dead();
		const now = START_MS + 2 * DAY_MS;
		expect(await replay(db, shop, undefined, act, now)).toEqual({ ok: true, value: 3 });
		const failing = receivers(() => answered(500));
		await deliverAt(now, failing);
		expect(await deliveriesOf(shop)).toMatchObject([
			{ status: "pending", attempts: 1 },
			{ status: "pending" },
			{ status: "pending", attempts: 1 },
		]);
		const all = receivers();
		await deliverAt(now + MINUTE_MS, all);
		expect(all.requests.filter(({ event }) => event !== events[2]).map(({ event }) => event)).toEqual(events.slice(0, 2));
		expect((await deliveriesOf(shop)).map(({ status }) => status)).toEqual(["delivered", "delivered", "delivered"]);
	});

	test("may be replayed one by one; what is none is left alone", async () => {
		const { shop, events } = await dead();
		const chosen = [events[1] ?? 0, 999_999];
		expect(await replay(db, shop, chosen, act, START_MS + 2 * DAY_MS)).toEqual({ ok: true, value: 1 });
		const all = receivers();
		await deliverAt(START_MS + 2 * DAY_MS, all);
		expect(sentOf(all)).toEqual([`shop/${events[1]}`]);
		expect(await replay(db, shop, chosen, act, START_MS + 2 * DAY_MS)).toEqual({ ok: true, value: 0 });
	});
});

describe("a subscriber", () => {
	test("that answers 410 is told nothing more, until somebody enables it; the others hear of it", async () => {
		const [shop, pager] = [await aWebhook("shop"), await aWebhook("pager")];
		await happened("a.1");
		await happened("b.1");
		const first = receivers(({ to }) => (to === "shop" ? answered(410) : OK));
		await deliverAt(START_MS, first);
		expect((await current(shop)).disabled).toEqual({ atMs: START_MS, by: "gone" });
		expect((await deliveriesOf(shop)).map(({ status, error }) => [status, error])).toEqual([
			["dead", "answered 410"],
			["dead", "answered 410"],
		]);
		const audit = await env.DB.prepare("SELECT actor, action, reason FROM audit WHERE resource = ? ORDER BY id")
			.bind(`webhooks/${shop.id}`)
			.all();
		expect(audit.results).toMatchObject([
			{ action: "webhook.created" },
			{ actor: "tidegate", action: "webhook.disabled", reason: "answered 410" },
		]);

		const missed = await happened("c.1");
		const second = receivers();
		await deliverAt(START_MS + MINUTE_MS, second);
		expect(second.requests.map(({ to, type }) => `${to} ${type}`).toSorted()).toEqual(["pager rollout.advanced", "pager webhook.disabled"]);
		expect(await deliveriesOf(pager)).toMatchObject(Array.from({ length: 4 }, () => ({ status: "delivered" })));

		const before = await current(shop);
		await changeWebhook(db, before, { ...configOf(before), disabled: null }, act, START_MS);
		const next = await happened("c.1");
		const third = receivers();
		await deliverAt(START_MS + 2 * MINUTE_MS, third);
		expect(third.requests.filter(({ to }) => to === "shop").map(({ event }) => event)).toEqual([next]);
		expect((await deliveriesOf(shop)).map(({ event }) => event)).not.toContain(missed);
	});

	test("whose old address answers 410 after it has moved is still told", async () => {
		const shop = await aWebhook("shop");
		const event = await happened("a.1");
		const moved = receivers(async () => {
			await changeWebhook(db, shop, { ...configOf(shop), url: "https://new.example.com/" }, act, START_MS);
			return answered(410);
		});
		await deliverAt(START_MS, moved);
		expect((await current(shop)).disabled).toBeNull();
		const all = receivers();
		await deliverAt(START_MS + 1, all);
		expect(sentOf(all)).toEqual([`new/${event}`]);
	});

	test("that moves is tried at once", async () => {
		const shop = await aWebhook("shop");
		const event = await happened("a.1");
		for (const at of [0, 1, 3]) {
			// oxlint-disable-next-line no-await-in-loop -- minute after minute
			await deliverAt(
				START_MS + at * MINUTE_MS,
				receivers(() => answered(500)),
			);
		}
		const now = START_MS + 4 * MINUTE_MS;
		await changeWebhook(db, shop, { ...configOf(shop), url: "https://new.example.com/" }, act, now);
		const all = receivers();
		await deliverAt(now, all);
		expect(sentOf(all)).toEqual([`new/${event}`]);
	});

	test("that gives no answer is asked at most twice in a tick, and holds nobody up", async () => {
		await aWebhook("dead");
		await aWebhook("shop");
		for (let i = 0; i < 20; i++) {
			// oxlint-disable-next-line no-await-in-loop -- their order is their number
			await happened(`s-${i}`);
		}
		const all = receivers(({ to }) => (to === "dead" ? SILENT : OK));
		await deliverAt(START_MS, all);
		expect(all.requests.filter(({ to }) => to === "dead").length).toBeLessThanOrEqual(2);
		expect(all.requests.filter(({ to }) => to === "shop")).toHaveLength(20);
	});

	test("that has failed before comes after those that have not", async () => {
		await aWebhook("a-dead");
		await aWebhook("b-shop");
		await happened("a.1");
		await deliverAt(
			START_MS,
			receivers(({ to }) => (to === "a-dead" ? SILENT : OK)),
		);
		await happened("b.1");
		const all = receivers(({ to }) => (to === "a-dead" ? SILENT : OK));
		await deliverAt(START_MS + 5_000, all);
		expect(all.requests.map(({ to }) => to)).toEqual(["b-shop", "a-dead"]);
	});

	test("whose row is damaged keeps nobody else from being told", async () => {
		const broken = await aWebhook("broken");
		await aWebhook("shop");
		for (const column of ["secrets", "events", "disabled"]) {
			// oxlint-disable-next-line no-await-in-loop -- one after the other
			await env.DB.prepare(`UPDATE webhooks SET ${column} = '{' WHERE id = ?`).bind(broken.id).run();
			// oxlint-disable-next-line no-await-in-loop -- see above
			await happened("a.1");
			const all = receivers();
			// oxlint-disable-next-line no-await-in-loop -- see above
			await deliverAt(START_MS, all);
			expect(
				all.requests.map(({ to }) => to),
				column,
			).toEqual(["shop"]);
		}
		expect(warn.mock.calls.map(([line]) => String(line)).join()).toContain("webhook_damaged");
	});

	test("whose secret was rotated gets two signatures for 24 h, then one", async () => {
		const shop = await aWebhook("shop");
		await rotateSecret(db, shop, "whsec_bmV3", act, START_MS);
		const secretsAt = async (now: number): Promise<readonly string[] | undefined> => {
			await happened("a.1");
			const all = receivers();
			await deliverAt(now, all);
			return all.requests[0]?.secrets;
		};
		expect(await secretsAt(START_MS + DAY_MS - 1)).toEqual(["whsec_bmV3", shop.secrets[0]?.secret]);
		expect(await secretsAt(START_MS + DAY_MS)).toEqual(["whsec_bmV3"]);
	});
});

describe("however ticks come, an event is sent again only when nobody knows what became of it", () => {
	test("two at once share the work, and keep the order", async () => {
		for (const name of ["a", "b", "c"]) {
			// oxlint-disable-next-line no-await-in-loop -- three subscribers
			await aWebhook(name);
		}
		const events: number[] = [];
		for (let i = 0; i < 12; i++) {
			// oxlint-disable-next-line no-await-in-loop -- their order is their number
			events.push(await happened(`s-${i % 3}`));
		}
		const all = receivers(() => new Promise<Outcome>((done) => setTimeout(done, 1, OK)));
		await Promise.all([deliverAt(START_MS, all), deliverAt(START_MS, all), deliverAt(START_MS, all)]);
		await deliverAt(START_MS, all);
		expect(sentOf(all).toSorted()).toEqual(["a", "b", "c"].flatMap((name) => events.map((event) => `${name}/${event}`)).toSorted());
		for (const [lane, of] of Map.groupBy(all.requests, ({ to, event }) => `${to} ${events.indexOf(event) % 3}`))
			expect(
				of.map(({ event }) => event),
				lane,
			).toEqual(of.map(({ event }) => event).toSorted((x, y) => x - y));
	});

	test("one that dies between sending and recording leaves it leased for a minute, then it is sent under the same id", async () => {
		await aWebhook("shop");
		const [first, second] = [await happened("a.1"), await happened("a.1")];
		const arrived = Promise.withResolvers<Delivered>();
		const dying = receivers((request) => {
			arrived.resolve(request);
			return new Promise<never>(() => {});
		});
		void deliverAt(START_MS, dying);
		const lost = await arrived.promise;
		const meanwhile = receivers();
		await deliverAt(START_MS + MINUTE_MS - 1, meanwhile);
		expect(meanwhile.requests).toEqual([]);
		const later = receivers();
		await deliverAt(START_MS + MINUTE_MS, later);
		expect(sentOf(later)).toEqual([`shop/${first}`, `shop/${second}`]);
		expect(later.requests[0]?.id).toBe(lost.id);
	});

	test("a success that comes late is one; a failure that comes late says nothing", async () => {
		const shop = await aWebhook("shop");
		for (const [late, then] of [
			[OK, answered(500)],
			[answered(500), OK],
		] as const) {
			// oxlint-disable-next-line no-await-in-loop -- one case after the other
			const event = await happened("a.1");
			const [arrived, answer] = [Promise.withResolvers<null>(), Promise.withResolvers<Outcome>()];
			const slow = deliverAt(
				START_MS,
				receivers(() => {
					arrived.resolve(null);
					return answer.promise;
				}),
			);
			// oxlint-disable-next-line no-await-in-loop -- see above
			await arrived.promise;
			// oxlint-disable-next-line no-await-in-loop -- see above
			await deliverAt(
				START_MS + MINUTE_MS,
				receivers(() => then),
			);
			answer.resolve(late);
			// oxlint-disable-next-line no-await-in-loop -- see above
			await slow;
			// oxlint-disable-next-line no-await-in-loop -- see above
			expect((await deliveriesOf(shop)).find((row) => row.event === event)).toMatchObject({ status: "delivered" });
		}
	});

	test.each([
		["once", 1, []],
		["twice", 2, ["shop"]],
	])("a record that D1 loses %s", async (_how, times, sentAgain) => {
		await aWebhook("shop");
		await happened("a.1");
		await deliverAt(START_MS, receivers(), dbFailing(`set "status" = ?`, times));
		const again = receivers();
		await deliverAt(START_MS + MINUTE_MS, again);
		expect(again.requests.map(({ to }) => to)).toEqual(sentAgain);
	});

	test("one that is forgotten while it is on its way troubles nobody", async () => {
		const shop = await aWebhook("shop");
		await happened("a.1");
		await deliverAt(
			START_MS,
			receivers(async () => {
				await env.DB.batch([
					env.DB.prepare("DELETE FROM webhooks WHERE id = ?").bind(shop.id),
					env.DB.prepare("DELETE FROM webhook_deliveries WHERE webhook = ?").bind(shop.id),
				]);
				return OK;
			}),
		);
		expect(await deliveriesOf(shop)).toEqual([]);
	});
});

describe("a round is bounded:", () => {
	async function owed(subscribers: number, events: number): Promise<void> {
		for (let i = 0; i < subscribers; i++) {
			// oxlint-disable-next-line no-await-in-loop -- a few
			await aWebhook(`w${i}`);
		}
		const rows = JSON.stringify(Array.from({ length: events }, (_, i) => i));
		await env.DB.prepare(
			"INSERT INTO outbox (at_ms, type, subject, payload) SELECT 1, 'rollout.started', 's' || value, '{}' FROM json_each(?)",
		)
			.bind(rows)
			.run();
	}

	test("100 deliveries, 6 at once, and the rest later", async () => {
		await owed(5, 50);
		const all = receivers();
		await deliverAt(START_MS, all);
		expect(all.requests).toHaveLength(100);
		expect(all.atOnceMax).toBe(6);
		await deliverAt(START_MS, all);
		await deliverAt(START_MS, all);
		expect(new Set(sentOf(all)).size).toBe(250);
		expect(all.requests).toHaveLength(250);
	});

	test("nothing is begun after 10 s", async () => {
		await owed(4, 30);
		let nowMs = START_MS;
		const slow = receivers(async () => {
			nowMs += 900;
			return OK;
		});
		await deliver({ db, notifier: slow, realNow: () => nowMs });
		expect(slow.requests.length).toBeGreaterThanOrEqual(11);
		expect(Math.max(...slow.requests.map(({ atMs }) => atMs))).toBeLessThan(START_MS + 10_000 + 6 * 900);
		expect(slow.requests.length).toBeLessThan(24);
	});
});

test("what was delivered is forgotten after 30 days, dead letters after 90, what is owed never", async () => {
	const shop = await aWebhook("shop");
	const [done, dead, owed] = [await happened("a.1"), await happened("b.1"), await happened("c.1")];
	await fanOut(db, START_MS);
	const set = (event: number, status: string, at: number | null) =>
		env.DB.prepare("UPDATE webhook_deliveries SET status = ?2, settled_at_ms = ?3 WHERE event = ?1").bind(event, status, at);
	await env.DB.batch([set(done, "delivered", START_MS), set(dead, "dead", START_MS), set(owed, "pending", null)]);
	const left = async (): Promise<number[]> => (await deliveriesOf(shop)).map(({ event }) => event);
	await pruneDeliveries(db, START_MS + 30 * DAY_MS);
	expect(await left()).toEqual([done, dead, owed]);
	await pruneDeliveries(db, START_MS + 30 * DAY_MS + 1);
	expect(await left()).toEqual([dead, owed]);
	await pruneDeliveries(db, START_MS + 90 * DAY_MS + 1);
	expect(await left()).toEqual([owed]);
	// What is forgotten is not owed again.
	await fanOut(db, START_MS);
	expect(await left()).toEqual([owed]);
});
