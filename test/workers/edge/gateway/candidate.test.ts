import { describe, expect, test } from "vitest";
import { FUSE_RULES } from "../../../../core/gateway/fuse";
import type { Point } from "../../../../core/telemetry";
import { aShop, candidate, candidates, control, failing } from "./town";

const told = (points: readonly Point[]): unknown[] => points.map(({ arm, metric, value, harms }) => [arm, metric, value, harms.length]);

describe("a candidate that fails", () => {
	test("is spared its users where a request may be repeated, and the failure and the second try are its arm's", async () => {
		const shop = await aShop();
		shop.answer = async ({ origin }) => (origin === "green" ? failing() : new Response("blue"));
		const answer = await shop.get(candidate, "/cart?a=1");
		expect([answer.status, await answer.text()]).toEqual([200, "blue"]);
		expect(shop.asked.map(({ url }) => url)).toEqual(["https://green.example/cart?a=1", "https://blue.example/cart?a=1"]);
		expect(told(shop.points())).toEqual([
			["candidate", "error", 1, 1],
			["candidate", "latency_ms", expect.any(Number), 0],
			["candidate", "gateway_retried", 1, 0],
		]);
	});

	test.each<[string, RequestInit]>([
		["POST", { method: "POST", body: "order" }],
		["PATCH", { method: "PATCH" }],
		["PUT with a body", { method: "PUT", body: "new" }],
	])("is not tried again with a %s, which could happen twice", async (_, init) => {
		const shop = await aShop();
		shop.answer = async ({ origin }) => (origin === "green" ? failing() : new Response("blue"));
		expect((await shop.get(candidate, "/", init)).status).toBe(500);
		expect(shop.asked).toHaveLength(1);
	});

	test("is not tried again where the route says so, and a declared status is a failure too", async () => {
		const shop = await aShop({ route: { retry: false, errors: [429] } });
		shop.answer = async () => new Response("slow down", { status: 429 });
		expect((await shop.get(candidate)).status).toBe(429);
		expect(told(shop.points())).toContainEqual(["candidate", "error", 1, 1]);
		expect((await shop.get(control)).status).toBe(429);
		expect(told(shop.points())).toContainEqual(["control", "error", 1, 1]);
	});

	test("that times out is left for the baseline, and the time-out is its error", async () => {
		const shop = await aShop({ route: { timeout: "1s" } });
		shop.answer = ({ origin }) => (origin === "green" ? new Promise(() => undefined) : Promise.resolve(new Response("blue")));
		expect(await (await shop.get(candidate)).text()).toBe("blue");
		expect(told(shop.points())).toContainEqual(["candidate", "error", 1, 1]);
	});

	test.each<[string, (n: number) => boolean]>([
		["always", () => true],
		["every second time", (n) => n % 2 === 0],
		["every second time in pairs", (n) => n % 4 < 2],
		["in two of three", (n) => n % 3 !== 2],
	])("%s is asked by no more than 30 requests from its first failure to the fuse, however well it did before", async (_, isFailing) => {
		const shop = await aShop({ route: { retry: false } });
		for (const user of candidates(40)) expect((await shop.get(user)).status).toBe(200);
		for (let i = 0; i < FUSE_RULES.known; i++) await shop.get(control);
		let n = 0;
		shop.answer = async ({ origin }) => (origin === "green" && isFailing(n++) ? failing() : new Response(origin));
		for (const user of candidates(100)) await shop.get(user);
		expect(n).toBeGreaterThanOrEqual(FUSE_RULES.inARow);
		expect(n).toBeLessThanOrEqual(30);
		const before = shop.points().length;
		expect(await (await shop.get(candidate)).text()).toBe("blue");
		// Whom it spared is its harm all the same, and it is told how.
		expect(told(shop.points().slice(before))).toEqual([
			["candidate", "error", 1, 1],
			["candidate", "gateway_diverted", 1, 0],
		]);
	});

	test("is tried again by one request of ten after a minute, and comes back with three that go well", async () => {
		const shop = await aShop({ route: { retry: false } });
		shop.answer = async ({ origin }) => (origin === "green" ? failing() : new Response("blue"));
		for (const user of candidates(30)) await shop.get(user);
		shop.later(FUSE_RULES.openMs);
		shop.answer = async ({ origin }) => new Response(origin);
		const served: string[] = [];
		for (const user of candidates(30)) served.push(await (await shop.get(user)).text());
		expect(served.slice(0, 21).filter((each) => each === "green")).toHaveLength(3);
		expect(served.slice(21)).toEqual(Array.from({ length: 9 }, () => "green"));
	});

	test("leaves the baseline's own users, and other rollouts, alone", async () => {
		const shop = await aShop({ route: { retry: false } });
		shop.answer = async ({ origin }) => (origin === "green" ? failing() : new Response("blue"));
		for (const user of candidates(30)) await shop.get(user);
		const before = shop.points().length;
		expect(await (await shop.get(control)).text()).toBe("blue");
		expect(told(shop.points().slice(before))).toEqual([
			["control", "error", 0, 0],
			["control", "latency_ms", expect.any(Number), 0],
		]);
	});

	test("is not blamed by the fuse for what the baseline fails at as well", async () => {
		const shop = await aShop();
		shop.answer = failing;
		for (const user of candidates(50)) expect((await shop.get(user)).status).toBe(500);
		shop.answer = async ({ origin }) => new Response(origin);
		expect(await (await shop.get(candidate)).text()).toBe("green");
	});

	test("is left within 30 requests though the baseline fails at every fourth as well", async () => {
		const shop = await aShop();
		let n = 0;
		shop.answer = async ({ origin, url }) => {
			if (origin === "green") n++;
			return origin === "green" || url.endsWith("/both") ? failing() : new Response(origin);
		};
		for (const [i, user] of candidates(400).entries()) await shop.get(user, i % 4 === 3 ? "/both" : "/");
		expect(n).toBeLessThanOrEqual(30);
	});

	test("stays left when a slow request comes to its end at which the baseline fails as well", async () => {
		const shop = await aShop();
		let end: () => void = () => undefined;
		const slow = new Promise<void>((done) => (end = done));
		shop.answer = async ({ origin, url }) => {
			if (origin === "green" && url.endsWith("/slow")) await slow;
			return origin === "green" || url.endsWith("/slow") ? failing() : new Response(origin);
		};
		const late = shop.respondTo(candidate, "/slow");
		for (const user of candidates(10)) await shop.get(user);
		end();
		expect((await late).status).toBe(500);
		await shop.settled();
		const before = shop.asked.length;
		for (const user of candidates(10)) await shop.get(user);
		expect(shop.asked.slice(before).every(({ origin }) => origin === "blue")).toBe(true);
	});

	test("is not left for requests that are not repeated and fail on the baseline as often, so nobody is its harm for that", async () => {
		for (const init of [{ method: "POST", body: "order" }, {}]) {
			const shop = await aShop({ route: { retry: false } });
			shop.answer = failing;
			for (const user of candidates(40)) {
				await shop.get(control, "/orders", init);
				await shop.get(user, "/orders", init);
			}
			shop.answer = async ({ origin }) => new Response(origin);
			const before = shop.points().length;
			for (const user of candidates(30)) expect(await (await shop.get(user)).text()).toBe("green");
			expect(
				shop
					.points()
					.slice(before)
					.filter(({ metric, value }) => metric === "error" && value > 0),
			).toEqual([]);
		}
	});

	test("is not left for the few requests of one client that cannot be repeated", async () => {
		const shop = await aShop();
		shop.answer = async ({ init, origin }) => (init.method === "POST" ? failing() : new Response(origin));
		for (let i = 0; i < FUSE_RULES.inARow; i++) await shop.get(candidate, "/orders", { method: "POST", body: "order" });
		for (const user of candidates(30)) expect(await (await shop.get(user)).text()).toBe("green");
	});

	test("keeps its users where the route has no fuse", async () => {
		const shop = await aShop({ route: { fuse: false, retry: false } });
		shop.answer = failing;
		for (const user of candidates(30)) await shop.get(user);
		expect(shop.asked.every(({ origin }) => origin === "green")).toBe(true);
	});
});
