import { env } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import { HEAD_KEY } from "../../../../core/wire";
import type { Point } from "../../../../core/telemetry";
import { analyticsEngine } from "../../../../worker/telemetry/analyticsEngine";
import { TooManyPoints } from "../../../../worker/telemetry/tooManyPoints";
import { down } from "../harness";
import { aShop, candidate, control, failing, hanging, looksAt } from "./town";

const told = (points: readonly Point[]): unknown[] => points.map(({ arm, metric, value }) => [arm, metric, value]);
const ended = [looksAt("duration_ms"), looksAt("response_bytes")];

describe("the outcome of a request", () => {
	test("is an error or none, and how long it took, in its user's arm; nobody is named", async () => {
		const shop = await aShop();
		await shop.get(candidate);
		await shop.get(control);
		const unit = expect.stringMatching(/^[A-Za-z0-9_-]{22}$/);
		const common = { id: null, rollout: "to-green", stage: 1, served: 50_000, flag: "green", unit, harms: [], scored: false, first: true };
		const [green, blue] = [
			{ ...common, arm: "candidate", variant: "true" },
			{ ...common, arm: "control", variant: "false" },
		];
		expect(shop.points()).toEqual([
			{ ...green, metric: "error", value: 0 },
			{ ...green, metric: "latency_ms", value: expect.any(Number) },
			{ ...blue, metric: "error", value: 0 },
			{ ...blue, metric: "latency_ms", value: expect.any(Number) },
		]);
	});

	test.each<[string, () => Promise<Response>, number]>([
		["a 500", failing, 1],
		["a 503", async () => new Response("", { status: 503 }), 1],
		["no answer", down, 1],
		["a 404", async () => new Response("", { status: 404 }), 0],
		["a 499", async () => new Response("", { status: 499 }), 1],
	])("that is %s is an error: %#", async (_, answer, error) => {
		const shop = await aShop({ route: { errors: [499], retry: false } });
		shop.answer = answer;
		await shop.get(control);
		expect(told(shop.points())[0]).toEqual(["control", "error", error]);
	});

	test("is none of a body that cannot be read, and the request is refused", async () => {
		const shop = await aShop();
		const body = new ReadableStream({ start: (controller) => controller.enqueue("text") });
		const headers = { "x-user": candidate, "content-length": "100" };
		shop.answer = hanging;
		const answer = await shop.answerTo(new Request("https://shop.example/", { method: "POST", body, headers }));
		expect(answer.status).toBe(400);
		await shop.settled();
		expect(shop.points()).toEqual([]);
	});

	test("of a flag that nobody measures is not recorded, and of one that is measured for its own sake it is", async () => {
		const unmeasured = await aShop({ rollout: null });
		await unmeasured.get(candidate);
		expect(unmeasured.points()).toEqual([]);
		const measured = await aShop({ rollout: null, flag: { measured: true } });
		await measured.get(candidate);
		expect(told(measured.points())).toEqual([
			["outside", "error", 0],
			["outside", "latency_ms", expect.any(Number)],
		]);
	});

	test("is no evidence where a person, and no rollout, decided", async () => {
		const shop = await aShop({ flag: { targets: [{ variant: "true", keys: [control] }] } });
		expect(await (await shop.get(control)).text()).toBe("green");
		expect(shop.points()).toEqual([]);
	});
});

describe("the end of an answer", () => {
	const body = (parts: readonly string[]): ReadableStream =>
		new ReadableStream({
			start(controller) {
				for (const part of parts) controller.enqueue(new TextEncoder().encode(part));
				controller.close();
			},
		});

	test("is looked at where a criterion does, and tells how long all of it took and how large it was", async () => {
		const shop = await aShop({ rollout: { signals: ended } });
		for (const answer of [
			new Response("twelve bytes", { headers: { "content-length": "12" } }),
			new Response(body(["twelve", " bytes"])),
		]) {
			const before = shop.points().length;
			shop.answer = async () => answer;
			const got = await shop.respondTo(candidate);
			expect(await got.text()).toBe("twelve bytes");
			await shop.settled();
			expect(told(shop.points().slice(before))).toEqual([
				["candidate", "error", 0],
				["candidate", "latency_ms", expect.any(Number)],
				["candidate", "duration_ms", expect.any(Number)],
				["candidate", "response_bytes", 12],
			]);
		}
		expect(shop.asked.every(({ init }) => init.encodeResponseBody === "manual")).toBe(true);
	});

	test("is let alone where no criterion does: the answer passes as it came", async () => {
		const shop = await aShop();
		const answer = new Response("plain");
		shop.answer = async () => answer;
		const got = await shop.get(candidate);
		expect(got).toBe(answer);
		expect(shop.asked[0]?.init.encodeResponseBody).toBeUndefined();
	});

	test("that nobody saw says nothing: who left, what broke off", async () => {
		const shop = await aShop({ rollout: { signals: ended } });
		shop.answer = async () => new Response(new ReadableStream({ pull: (controller) => controller.enqueue(new Uint8Array(1_000)) }));
		const left = await shop.respondTo(candidate);
		const reader = left.body?.getReader();
		await reader?.read();
		await reader?.cancel();
		await shop.settled();
		let pulls = 0;
		shop.answer = async () =>
			new Response(
				new ReadableStream({
					pull: (controller) => (pulls++ > 2 ? controller.error(new Error("gone")) : controller.enqueue(new Uint8Array(9))),
				}),
			);
		const broken = await shop.respondTo(candidate);
		await expect(broken.text()).rejects.toThrow();
		await shop.settled();
		expect(shop.points().filter(({ metric }) => metric !== "error" && metric !== "latency_ms")).toEqual([]);
	});

	test("without a body is there with its header", async () => {
		const shop = await aShop({ rollout: { signals: ended } });
		shop.answer = async () => new Response(null, { status: 204 });
		await shop.get(candidate);
		const points = shop.points().map(({ metric, value }) => [metric, value]);
		const [, [, ms] = []] = points;
		expect(points.slice(2)).toEqual([
			["duration_ms", ms],
			["response_bytes", 0],
		]);
	});

	test("of the baseline's answer in the candidate's place says nothing of the candidate", async () => {
		const shop = await aShop({ rollout: { signals: ended } });
		shop.answer = async ({ origin }) => (origin === "green" ? failing() : new Response("blue"));
		const got = await shop.respondTo(candidate);
		expect(await got.text()).toBe("blue");
		await shop.settled();
		expect(shop.points().map(({ metric }) => metric)).toEqual(["error", "latency_ms", "gateway_retried"]);
	});
});

describe("a store of outcomes", () => {
	test("that is down, or hangs, is nobody's wait: the answer is there, and what was lost is told with the next points", async () => {
		const shop = await aShop();
		const { record } = shop.parts;
		shop.parts.record = down;
		expect(await (await shop.get(candidate)).text()).toBe("green");
		shop.parts.record = record;
		await shop.get(candidate);
		expect(told(shop.points())).toEqual([
			["candidate", "error", 0],
			["candidate", "latency_ms", expect.any(Number)],
			["unattributed", "lost", 2],
		]);
	});

	test("that never answers keeps no request, and no more than so many points; the rest is counted", async () => {
		const shop = await aShop();
		const { record } = shop.parts;
		shop.parts.record = () => hanging() as unknown as Promise<void>;
		for (let i = 0; i < 1_100; i++) expect((await shop.respondTo(candidate)).status).toBe(200);
		await eventually(() => shop.gateway.kept.lost.size > 0);
		expect(shop.gateway.kept.points.length).toBeLessThanOrEqual(2_000);
		shop.parts.record = record;
		// Whoever's turn it was is taken for dead after a while.
		shop.later(60_000);
		await shop.respondTo(candidate);
		const sum = (): number => shop.points().reduce((all, { metric, value }) => all + (metric === "lost" ? value : 1), 0);
		// Two points are in the hands of the store that never answered.
		await eventually(() => sum() >= 2_202 - 2);
		expect(sum()).toBe(2_202 - 2);
		expect(shop.points().some(({ metric }) => metric === "lost")).toBe(true);
	});

	test("gets what has gathered as soon as it is much, and all of it once", async () => {
		const shop = await aShop();
		Object.assign(shop.gateway, { flushAfterMs: 2_000, urgentFrom: 5 });
		for (let i = 0; i < 5; i++) await shop.respondTo(candidate);
		await expect.poll(() => shop.points().length).toBe(10);
		for (let i = 0; i < 2; i++) await shop.respondTo(candidate);
		await shop.settled();
		expect(shop.points()).toHaveLength(14);
	});

	test("that takes fewer at once gets fewer, and none is lost", async () => {
		const shop = await aShop();
		const taken: Point[] = [];
		shop.parts.record = async (_, points) => {
			if (points.length > 3) throw new TooManyPoints(points.length, 3);
			taken.push(...points);
		};
		for (let i = 0; i < 5; i++) void shop.respondTo(candidate);
		await eventually(() => shop.asked.length === 5);
		for (let i = 0; i < 10; i++) await shop.get(candidate);
		expect(taken).toHaveLength(30);
		expect(taken.every(({ metric }) => metric !== "lost")).toBe(true);
	});

	test("that is Analytics Engine takes what one invocation may write, and the next request goes on", async () => {
		const shop = await aShop();
		let written = 0;
		const dataset = { writeDataPoint: () => void written++ };
		const points = () => {
			const store = analyticsEngine(dataset, { colo: "ZRH", route: "shop", source: "gateway" }, 5);
			return () => store;
		};
		Object.assign(shop.gateway, { points });
		for (let i = 0; i < 20; i++) await shop.get(candidate);
		await shop.get(candidate);
		expect(written).toBe(42);
		expect([...shop.gateway.kept.lost.values()]).toEqual([]);
	});

	test("that nobody has given a secret for users gets nothing, and answers go on", async () => {
		for (const userHashKey of [undefined, ""]) {
			const shop = await aShop({ userHashKey });
			expect(await (await shop.get(candidate)).text()).toBe("green");
			expect(shop.points()).toEqual([]);
		}
	});
});

async function eventually(holds: () => boolean): Promise<void> {
	// oxlint-disable-next-line no-await-in-loop -- polls
	while (!holds()) await scheduler.wait(5);
}

describe("a snapshot", () => {
	test("that was loaded serves on when control and KV are gone", async () => {
		const shop = await aShop();
		await shop.get(candidate);
		shop.parts.askHead = down;
		shop.later(3_600_000);
		expect(await (await shop.get(candidate)).text()).toBe("green");
	});

	test("of which nobody knows yet, since there is no head either, is a 503 for every host that may have routes", async () => {
		const shop = await aShop();
		shop.parts.askHead = down;
		await env.SNAPSHOTS.delete(HEAD_KEY);
		const answer = await shop.get(candidate, "/cart");
		expect([answer.status, answer.headers.get("retry-after")]).toEqual([503, "1"]);
	});

	test("that cannot be loaded is a 503 which says when to come back, not the API's 404", async () => {
		const shop = await aShop();
		shop.parts.head = {
			...shop.parts.head,
			revision: 2,
			environments: { production: { ...shop.published.head.environments["production"], version: 99 } },
		} as typeof shop.parts.head;
		const answer = await shop.get(candidate);
		expect([answer.status, answer.headers.get("retry-after")]).toEqual([503, "1"]);
	});
});
