import { describe, expect, test } from "vitest";
import { aShop, SHOP } from "./town";

const visitors = { route: { targeting: { visitor: true } } } as const;
const german = { id: "germans", description: "", when: { attribute: "cf.country", op: "equals" as const, values: ["DE"] }, serve: "true" };

const cookieIn = (answer: Response): string =>
	/^__Host-tidegate=([A-Za-z0-9_-]{22});/.exec(answer.headers.get("set-cookie") ?? "")?.[1] ?? "";

describe("a visitor without an account", () => {
	test("gets a cookie for a year that no script reads and no other host sends", async () => {
		const shop = await aShop(visitors);
		const answer = await shop.send(`${SHOP}/`);
		expect(answer.headers.get("set-cookie")).toMatch(
			/^__Host-tidegate=[A-Za-z0-9_-]{22}; Path=\/; Max-Age=31536000; HttpOnly; SameSite=Lax; Secure$/,
		);
	});

	test("stays where they are, and the cookie is set once", async () => {
		const shop = await aShop(visitors);
		for (let i = 0; i < 10; i++) {
			const first = await shop.send(`${SHOP}/`);
			const cookie = `a=b; __Host-tidegate=${cookieIn(first)}; c=d`;
			const again = await shop.send(`${SHOP}/`, { headers: { cookie } });
			expect(await again.text()).toBe(await first.text());
			expect(again.headers.get("set-cookie")).toBeNull();
		}
	});

	test("does not lose the cookies that the origin sets", async () => {
		const shop = await aShop(visitors);
		shop.answer = async () => new Response("", { headers: { "set-cookie": "session=1" } });
		expect((await shop.send(`${SHOP}/`)).headers.getSetCookie()).toEqual(["session=1", expect.stringMatching(/^__Host-tidegate=/)]);
	});

	test("does not get another's cookie from a shared cache: an answer that sets it is private", async () => {
		const shop = await aShop(visitors);
		for (const [said, expected] of [
			["public, max-age=60, s-maxage=600", "private, max-age=60"],
			["", "private"],
			["no-store", "no-store"],
			["private, max-age=5", "private, max-age=5"],
		]) {
			shop.answer = async () =>
				new Response("", { headers: { "cdn-cache-control": "max-age=60", ...(said ? { "cache-control": said } : {}) } });
			const first = await shop.send(`${SHOP}/`);
			expect([first.headers.get("cache-control"), first.headers.get("cdn-cache-control")]).toEqual([expected, null]);
			const again = await shop.send(`${SHOP}/`, { headers: { cookie: `__Host-tidegate=${cookieIn(first)}` } });
			expect([again.headers.get("cache-control"), again.headers.get("cdn-cache-control")]).toEqual([said || null, "max-age=60"]);
		}
	});

	test("is one whose cookie is of our own making: any other is replaced", async () => {
		const shop = await aShop(visitors);
		const forged = [
			"",
			"x",
			"a".repeat(22),
			"a".repeat(5_000),
			"../../etc/passwd",
			"<script>",
			"AAAAAAAAAAAAAAAAAAAAA\u00e9",
			"-_".repeat(11),
		];
		for (const value of forged) {
			const answer = await shop.send(`${SHOP}/`, { headers: { cookie: `__Host-tidegate=${value}` } });
			expect(cookieIn(answer), value).not.toBe("");
		}
	});

	test("is not marked where nothing is decided for them", async () => {
		const shop = await aShop({
			route: { targeting: { visitor: true }, flag: undefined, origins: undefined, origin: "https://blue.example" },
		});
		expect((await shop.send(`${SHOP}/`)).headers.get("set-cookie")).toBeNull();
	});

	test("without HTTPS has a cookie that a browser takes there", async () => {
		const shop = await aShop(visitors);
		const answer = await shop.send("http://shop.example/");
		expect(answer.headers.get("set-cookie")).toMatch(/^tidegate=[A-Za-z0-9_-]{22}; Path=\/; Max-Age=31536000; HttpOnly; SameSite=Lax$/);
	});
});

describe("the context of a request", () => {
	test.each<[string, Record<string, unknown>, RequestInit, string]>([
		["its country", { attribute: "cf.country", op: "equals", values: ["DE"] }, { cf: { country: "DE" } }, "/"],
		["its network", { attribute: "cf.asn", op: "equals", values: [3320] }, { cf: { asn: 3_320 } }, "/"],
		["Cloudflare's location", { attribute: "cf.colo", op: "in", values: ["ZRH", "FRA"] }, { cf: { colo: "ZRH" } }, "/"],
		["its path, in one spelling", { attribute: "path", op: "starts_with", values: ["/beta/"] }, {}, "/%62eta/x?y"],
		["its method", { attribute: "method", op: "equals", values: ["DELETE"] }, { method: "DELETE" }, "/"],
		["a listed header", { attribute: "crew", op: "equals", values: ["yes"] }, { headers: { "x-crew": "yes" } }, "/"],
	])("has %s", async (_, when, init, path) => {
		const rule = { ...german, when: when as typeof german.when };
		const shop = await aShop({ rollout: null, flag: { rules: [rule] } });
		expect(await (await shop.get("ann", path, init)).text()).toBe("green");
		expect(await (await shop.get("ann", "/")).text()).toBe("blue");
	});

	test("has nothing of a header that is not listed, nor a targeting key from one", async () => {
		const rule = { ...german, when: { attribute: "x-crew", op: "exists" as const, values: [] } };
		const shop = await aShop({ rollout: null, flag: { rules: [rule] }, route: { context: { targetingKey: "x-crew" } } });
		expect(await (await shop.get("ann", "/", { headers: { "x-crew": "yes" } })).text()).toBe("blue");
	});

	test("has a key that a header or a cookie names; without one, or with one that is endless, the baseline serves", async () => {
		const shop = await aShop({ rollout: { served: 100_000 }, route: { targeting: { cookie: "uid" } } });
		const from = async (cookie: string): Promise<string> => (await shop.send(`${SHOP}/`, { headers: { cookie } })).text();
		expect(await from("a=b; uid=ann; c=d")).toBe("green");
		for (const cookie of ["", "uid", "uid=", "xuid=ann", `uid=${"x".repeat(1_001)}`]) expect(await from(cookie), cookie).toBe("blue");
	});
});
