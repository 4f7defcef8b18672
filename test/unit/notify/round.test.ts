import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Next, type Round, TO_ONE_AT_ONCE, type Verdict, type Waiting, next, opened, settled } from "../../../core/notify/round";

const NOW_MS = 1_800_000_000_000;
const SENT_MAX = 100;
const aWaiting = (event: number, change: Partial<Waiting> = {}): Waiting => ({
	webhook: "shop",
	subject: "checkout.1",
	event,
	attempts: 0,
	dueAtMs: NOW_MS,
	sinceMs: NOW_MS,
	failing: false,
	...change,
});

/** One after the other, as one who works alone: `shop/7` is event 7 to the shop. */
function sent(waiting: readonly Waiting[], verdict: (delivery: Waiting) => Verdict = () => "passed", sentMax = SENT_MAX): string[] {
	const order: string[] = [];
	let round = opened(waiting, NOW_MS, sentMax);
	for (let chosen = next(round); chosen; chosen = next(round)) {
		order.push(`${chosen.delivery.webhook}/${chosen.delivery.event}`);
		round = settled(chosen.round, chosen, verdict(chosen.delivery));
	}
	return order;
}

describe("a lane", () => {
	test("is sent in the order in which it happened, whatever order it was read in", () =>
		expect(sent([aWaiting(3), aWaiting(1), aWaiting(2)])).toEqual(["shop/1", "shop/2", "shop/3"]));

	test("whose first is not due waits whole", () =>
		expect(sent([aWaiting(1, { dueAtMs: NOW_MS + 1 }), aWaiting(2), aWaiting(3, { subject: "cart.1" })])).toEqual(["shop/3"]));

	test("is held back by one that failed, and no other is", () => {
		const waiting = [
			aWaiting(1),
			aWaiting(2),
			aWaiting(3, { subject: "cart.1" }),
			aWaiting(4, { webhook: "pager" }),
			aWaiting(5, { subject: "cart.1" }),
		];
		const order = sent(waiting, ({ webhook, event }) => (webhook === "shop" && event === 1 ? "held" : "passed"));
		expect(order.toSorted()).toEqual(["pager/4", "shop/1", "shop/3", "shop/5"]);
	});

	test("has one on its way at a time", () => {
		const first = next(opened([aWaiting(1), aWaiting(2)], NOW_MS, SENT_MAX));
		expect(first?.delivery.event).toBe(1);
		expect(first && next(first.round)).toBeUndefined();
	});
});

describe("subscribers", () => {
	const of = (webhook: string, events: number[], change: Partial<Waiting> = {}) =>
		events.map((event) => aWaiting(event, { webhook, subject: `of-${event}`, ...change }));

	test("take turns, however much one of them is owed", () =>
		expect(sent([...of("shop", [1, 2, 3, 4]), ...of("pager", [5, 6])])).toEqual([
			"shop/1",
			"pager/5",
			"shop/2",
			"pager/6",
			"shop/3",
			"shop/4",
		]));

	test("that are failing come last", () =>
		expect(sent([...of("shop", [1, 2], { failing: true }), ...of("pager", [3, 4])])).toEqual(["pager/3", "pager/4", "shop/1", "shop/2"]));

	test("that give no answer are left alone for the rest of the round", () =>
		expect(sent([...of("shop", [1, 2, 3]), ...of("pager", [4, 5])], ({ webhook }) => (webhook === "shop" ? "silent" : "passed"))).toEqual([
			"shop/1",
			"pager/4",
			"pager/5",
		]));

	test(`get ${TO_ONE_AT_ONCE} at once, so that a slow one leaves the other connections alone`, () => {
		let round = opened([...of("shop", [1, 2, 3]), ...of("pager", [4])], NOW_MS, SENT_MAX);
		const onTheirWay: string[] = [];
		for (let chosen = next(round); chosen; chosen = next(round)) {
			onTheirWay.push(`${chosen.delivery.webhook}/${chosen.delivery.event}`);
			({ round } = chosen);
		}
		expect(onTheirWay).toEqual(["shop/1", "pager/4", "shop/2"]);
	});
});

test("no more are sent than may be", () =>
	expect(
		sent(
			[1, 2, 3, 4, 5].map((event) => aWaiting(event)),
			() => "passed",
			3,
		),
	).toHaveLength(3));

/** Several send at once: which of those on their way ends next, and how, is drawn. */
describe("whatever ends when and how", () => {
	const someWaiting = fc
		.uniqueArray(
			fc.record({
				webhook: fc.constantFrom("a", "b", "c", "d"),
				subject: fc.constantFrom("x", "y", "z"),
				event: fc.integer({ min: 1, max: 40 }),
				attempts: fc.nat({ max: 3 }),
				dueAtMs: fc.constantFrom(NOW_MS - 1, NOW_MS, NOW_MS, NOW_MS + 1),
				sinceMs: fc.constant(NOW_MS),
			}),
			{ selector: ({ webhook, event }) => `${webhook}/${event}`, maxLength: 60 },
		)
		.map((all) => all.map((each): Waiting => ({ ...each, failing: each.webhook === "d" })));
	const steps = fc.array(fc.record({ ends: fc.nat(), verdict: fc.constantFrom<Verdict>("passed", "passed", "passed", "held", "silent") }), {
		minLength: 200,
		maxLength: 200,
	});

	interface Seen {
		readonly sent: { readonly delivery: Waiting; verdict: Verdict | "on its way" }[];
		readonly atOnceMax: number;
		readonly round: Round;
	}

	function played(
		waiting: readonly Waiting[],
		drawn: readonly { ends: number; verdict: Verdict }[],
		sentMax: number,
		check: (lane: Seen) => void,
	): Seen {
		const all: Seen["sent"] = [];
		let onTheirWay: { chosen: Next; mark: Seen["sent"][number] }[] = [];
		let [round, atOnceMax] = [opened(waiting, NOW_MS, sentMax), 0];
		for (const { ends, verdict } of drawn) {
			for (let chosen = next(round); chosen && onTheirWay.length < 6; chosen = next(round)) {
				const mark = { delivery: chosen.delivery, verdict: "on its way" as const };
				check({ sent: all, atOnceMax, round });
				all.push(mark);
				onTheirWay.push({ chosen, mark });
				({ round } = chosen);
				const toOne = onTheirWay.filter((each) => each.chosen.delivery.webhook === mark.delivery.webhook).length;
				atOnceMax = Math.max(atOnceMax, toOne);
			}
			const ended = onTheirWay[ends % onTheirWay.length];
			if (!ended) break;
			onTheirWay = onTheirWay.filter((each) => each !== ended);
			ended.mark.verdict = verdict;
			round = settled(round, ended.chosen, verdict);
		}
		return { sent: all, atOnceMax, round };
	}

	const laneOf = ({ webhook, subject }: Waiting): string => `${webhook}/${subject}`;

	test("a lane goes on only behind what has passed, in order, and nothing is sent twice", () =>
		fc.assert(
			fc.property(someWaiting, steps, (waiting, drawn) => {
				const { sent: all, atOnceMax } = played(waiting, drawn, SENT_MAX, () => {});
				expect(atOnceMax).toBeLessThanOrEqual(TO_ONE_AT_ONCE);
				for (const [lane, of] of Map.groupBy(all, ({ delivery }) => laneOf(delivery))) {
					const owed = waiting.filter((each) => laneOf(each) === lane).toSorted((a, b) => a.event - b.event);
					// A prefix of what is owed: no gap, no repetition, no overtaking.
					expect(of.map(({ delivery }) => delivery.event)).toEqual(owed.slice(0, of.length).map(({ event }) => event));
					expect(owed[0]?.dueAtMs).toBeLessThanOrEqual(NOW_MS);
					expect(of.slice(0, -1).every(({ verdict }) => verdict === "passed")).toBe(true);
				}
			}),
		));

	test("what is due is sent, unless it is held back, its subscriber is silent, or the round is full", () =>
		fc.assert(
			fc.property(someWaiting, steps, fc.integer({ min: 0, max: 60 }), (waiting, drawn, sentMax) => {
				const { sent: all, round } = played(waiting, drawn, sentMax, () => {});
				expect(all.length).toBeLessThanOrEqual(sentMax);
				if (all.length === sentMax || all.some(({ verdict }) => verdict === "on its way")) return;
				for (const [lane, owed] of Map.groupBy(waiting, laneOf)) {
					const of = all.filter(({ delivery }) => laneOf(delivery) === lane);
					const first = Math.min(...owed.map(({ event }) => event));
					const isDue = owed.some(({ event, dueAtMs }) => event === first && dueAtMs <= NOW_MS);
					const isHeld = of.some(({ verdict }) => verdict !== "passed") || round.silent.has(owed[0]?.webhook ?? "");
					if (isDue && !isHeld) expect(of).toHaveLength(owed.length);
				}
			}),
		));

	test("nothing is begun to a subscriber that has given no answer", () =>
		fc.assert(
			fc.property(someWaiting, steps, (waiting, drawn) => {
				let begun = 0;
				played(waiting, drawn, SENT_MAX, ({ sent: all, round }) => {
					const chosen = next(round);
					if (chosen && all.some(({ delivery, verdict }) => verdict === "silent" && delivery.webhook === chosen.delivery.webhook)) begun++;
				});
				expect(begun).toBe(0);
			}),
		));
});
