import { describe, expect, test } from "vitest";
import type { Compared } from "../../../../core/wire";
import { down } from "../harness";
import { type Asked, aShop, candidate, candidates, control, failing, hanging, looksAt } from "./town";

const shadow = { variant: "true" };
const json = (value: unknown, headers: Record<string, string> = {}): Response => Response.json(value, { headers });
const prices =
	(blue: unknown, green: unknown) =>
	async ({ origin }: Asked): Promise<Response> =>
		json(origin === "blue" ? blue : green);
const all = (shop: { readonly compared: readonly { readonly compared: readonly Compared[] }[] }): Compared[] =>
	shop.compared.flatMap(({ compared }) => compared);

describe("the user's answer", () => {
	test("waits for no candidate that hangs, and neither does the next one", async () => {
		const shop = await aShop({ route: { shadow } });
		shop.answer = ({ origin }) => (origin === "green" ? hanging() : Promise.resolve(new Response("blue")));
		for (let i = 0; i < 300; i++) expect(await (await shop.respondTo(control)).text()).toBe("blue");
		// What hangs is bounded by number and by what it may hold.
		const { shadowing, skipped } = shop.gateway.kept;
		expect(shadowing.size).toBeLessThanOrEqual(100);
		expect([...shadowing].reduce((sum, { bytes }) => sum + bytes, 0)).toBeLessThanOrEqual(32 * 1_024 * 1_024);
		expect(skipped.count + shadowing.size).toBeGreaterThan(290);
		await expect.poll(() => shop.asked.filter(({ origin }) => origin === "green").length).toBe(shadowing.size);
	});

	test("arrives part by part while it is compared", async () => {
		const shop = await aShop({ route: { shadow } });
		const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
		shop.answer = async ({ origin }) => new Response(origin === "blue" ? readable : "green");
		const answer = await shop.respondTo(control);
		const [reader, writer] = [answer.body?.getReader(), writable.getWriter()];
		for (const part of ["one", "two"]) {
			void writer.write(new TextEncoder().encode(part));
			expect(new TextDecoder().decode((await reader?.read())?.value)).toBe(part);
		}
		await writer.close();
		expect((await reader?.read())?.done).toBe(true);
		await shop.settled();
		expect(all(shop)).toMatchObject([{ queries: 1, discrepancies: 1 }]);
	});

	test("is whole where it is too large to be compared, and the candidate's is not read", async () => {
		const shop = await aShop({ route: { shadow: { ...shadow, compare: { body_max: 1_024 } } } });
		shop.answer = async () => new Response(new ReadableStream({ start: (c) => (c.enqueue(new Uint8Array(100_000)), c.close()) }));
		const answer = await shop.respondTo(control);
		expect((await answer.arrayBuffer()).byteLength).toBe(100_000);
		await shop.settled();
		expect(all(shop)).toMatchObject([{ queries: 1, discrepancies: 0 }]);
		expect(shop.gateway.kept.shadowing.size).toBe(0);
	});

	test("is the baseline's, whatever the candidate does, and leaves nothing behind", async () => {
		const shop = await aShop({ route: { shadow } });
		for (const green of [failing, down, async () => new Response(new ReadableStream({ pull: (c) => c.error(new Error("gone")) }))]) {
			shop.answer = ({ origin }) => (origin === "green" ? green() : Promise.resolve(new Response("blue")));
			expect(await (await shop.get(control)).text()).toBe("blue");
		}
		expect(all(shop).reduce((sum, { errors }) => sum + errors, 0)).toBe(3);
		expect(shop.gateway.kept.shadowing.size).toBe(0);
	});

	test("is there when comparisons cannot be told", async () => {
		const shop = await aShop({ route: { shadow } });
		shop.parts.compare = down;
		expect(await (await shop.get(control)).text()).toBe("blue");
		shop.parts.compare = () => hanging() as unknown as Promise<void>;
		expect(await (await shop.respondTo(control)).text()).toBe("blue");
	});
});

describe("what is compared", () => {
	test("is a request of a safe method, asked of the candidate as of the baseline, and marked", async () => {
		const shop = await aShop({ route: { shadow, forward: ["green"] } });
		for (const method of ["POST", "DELETE", "PUT", "PATCH", "OPTIONS"]) await shop.get(control, "/", { method });
		expect(shop.asked.every(({ origin }) => origin === "blue")).toBe(true);
		await shop.get(control, "/a?b=c", { headers: { cookie: "session=1", accept: "text/html" } });
		const [blue, green] = shop.asked.slice(-2);
		expect([blue?.url, green?.url]).toEqual(["https://blue.example/a?b=c", "https://green.example/a?b=c"]);
		expect(Object.fromEntries(green?.headers ?? [])).toMatchObject({
			cookie: "session=1",
			accept: "text/html",
			"x-tidegate-shadow": "1",
			"x-tidegate-flags": "green=true",
		});
		expect(blue?.headers.get("x-tidegate-flags")).toBe("green=false");
		expect(blue?.headers.get("x-tidegate-shadow")).toBeNull();
	});

	test("is another method where the route says so, with its body, if that is small", async () => {
		const shop = await aShop({ route: { shadow: { ...shadow, methods: ["POST"] } } });
		const bodies: string[] = [];
		shop.answer = async ({ init, origin }) => {
			bodies.push(await new Response(init.body).text());
			return new Response(origin);
		};
		await shop.get(control, "/", { method: "POST", body: "order", headers: { "content-length": "5" } });
		expect(bodies).toEqual(["order", "order"]);
		await shop.get(control, "/", { method: "POST", body: "x".repeat(70_000), headers: { "content-length": "70000" } });
		expect(bodies.slice(2).map(({ length }) => length)).toEqual([70_000]);
	});

	test("is the share of requests that was asked for, and no upgrade", async () => {
		const shop = await aShop({ route: { shadow: { ...shadow, sample: 25 } } });
		for (let i = 0; i < 100; i++) {
			shop.parts.draw = i / 100;
			await shop.get(control);
		}
		expect(all(shop).reduce((sum, { queries }) => sum + queries, 0)).toBe(25);
		shop.parts.draw = 0;
		const before = shop.asked.length;
		await shop.get(control, "/", { headers: { upgrade: "websocket" } });
		expect(shop.asked.slice(before)).toHaveLength(1);
	});

	test("is not asked of a candidate whose fuse has blown, nor for a user who has its answer already", async () => {
		const shop = await aShop({ route: { shadow, retry: false } });
		shop.answer = ({ origin }) => (origin === "green" ? failing() : Promise.resolve(new Response("blue")));
		for (const user of candidates(10)) await shop.get(user);
		expect(all(shop)).toEqual([]);
		const before = shop.asked.length;
		await shop.get(control);
		expect(shop.asked.slice(before).map(({ origin }) => origin)).toEqual(["blue"]);
	});

	test("is status, chosen headers and the body, but for what may differ", async () => {
		const compare = { headers: ["etag"], ignore: ["$.at", "$.items[*].id"], tolerance: { "$.price": 0.01 } };
		const shop = await aShop({ route: { shadow: { ...shadow, compare } } });
		const one = { at: 1, items: [{ id: 1, name: "a" }], price: 1 };
		shop.answer = prices(one, { price: 1.005, items: [{ name: "a", id: 2 }], at: 2 });
		await shop.get(control);
		expect(all(shop)).toMatchObject([{ subject: "shop", phase: "phase_1", queries: 1, discrepancies: 0, errors: 0, timed: 1 }]);
		shop.answer = async ({ origin }) =>
			origin === "blue"
				? json(one, { etag: "1" })
				: new Response(JSON.stringify({ ...one, price: 2 }), { status: 201, headers: { etag: "2" } });
		await shop.get(control);
		expect(all(shop)[1]?.samples[0]?.differences).toEqual([
			{ at: "status", legacy: 200, candidate: 201 },
			{ at: "header etag", legacy: "1", candidate: "2" },
			{ at: "$.price", legacy: 1, candidate: 2 },
		]);
	});
});

describe("a sample", () => {
	test("has no query, no cookie, no authorization, nothing that is to be redacted, and no more than fits", async () => {
		const compare = { redact: ["$.card.number", "$.names[*]"], headers: ["set-cookie", "www-authenticate"] };
		const shop = await aShop({ route: { shadow: { ...shadow, compare } } });
		shop.answer = async ({ origin, headers }) =>
			json(
				{
					card: { number: `secret-${origin}`, of: origin },
					names: [`secret-${origin}`],
					headers: { Cookie: `secret-${origin}`, authorization: headers.get("authorization") },
					["k".repeat(50_000)]: origin,
					text: "\u0000ü".repeat(20_000),
				},
				{ "set-cookie": `secret-${origin}`, "www-authenticate": `secret-${origin}` },
			);
		await shop.get(control, "/pay?token=secret", { headers: { cookie: "secret", authorization: "Bearer secret" } });
		const [sample] = all(shop).flatMap(({ samples }) => samples);
		const text = JSON.stringify(sample);
		expect(sample).toMatchObject({ input: "GET /pay" });
		expect(text).not.toContain("secret");
		expect(new TextEncoder().encode(text).length).toBeLessThanOrEqual(16 * 1_024);
	});

	test("is kept of a few discrepancies at a time; all of them are counted, by batches that control takes", async () => {
		const shop = await aShop({ route: { shadow } });
		shop.answer = prices({ price: 1 }, { price: 2 });
		Object.assign(shop.gateway, { flushAfterMs: 50 });
		for (let i = 0; i < 20; i++) void shop.respondTo(control).then((answer) => answer.text());
		await shop.respondTo(control).then((answer) => answer.text());
		await shop.settled();
		const told = all(shop);
		expect(told.reduce((sum, { discrepancies }) => sum + discrepancies, 0)).toBe(21);
		for (const { samples } of told) expect(samples.length).toBeLessThanOrEqual(5);
	});
});

describe("a phase in shadow", () => {
	const compared = { served: 0, shadow: true as const, signals: [looksAt("duration_ms"), looksAt("response_bytes")] };

	test("makes evidence of the candidate's arm of what it answered, and of both of how they ended", async () => {
		const shop = await aShop({ rollout: compared, route: { shadow } });
		shop.answer = prices({ price: 1 }, { price: 20 });
		const answer = await shop.respondTo(candidate);
		await answer.text();
		await shop.settled();
		const found = shop.points().map(({ arm, metric, value }) => [arm, metric, value]);
		const some = expect.any(Number);
		expect(found).toHaveLength(9);
		expect(found).toEqual(
			expect.arrayContaining([
				["control", "error", 0],
				["control", "latency_ms", some],
				["control", "duration_ms", some],
				["control", "response_bytes", 11],
				["candidate", "discrepancy", 1],
				["candidate", "error", 0],
				["candidate", "latency_ms", some],
				["candidate", "duration_ms", some],
				["candidate", "response_bytes", 12],
			]),
		);
	});
});
