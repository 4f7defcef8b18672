import { describe, expect, test } from "vitest";
import { originsOf } from "../../../../worker/gateway/origins";
import { aShop, candidate, control, SHOP } from "./town";

const encoder = new TextEncoder();
const DAY_S = 86_400;
const nowS = (): number => Math.floor(Date.now() / 1_000);

/** As a person with the secret makes one. */
async function aPreview({
	host = "shop.example",
	expiry = nowS() + 600,
	variant = "true",
	secret = "test-preview-key",
} = {}): Promise<string> {
	const key = await crypto.subtle.importKey("raw", encoder.encode(secret), { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
	const mac = new Uint8Array(await crypto.subtle.sign("HMAC", key, encoder.encode(`${host}\n${expiry}\n${variant}`)));
	const signature = btoa(String.fromCharCode(...mac))
		.replaceAll("+", "-")
		.replaceAll("/", "_")
		.replaceAll("=", "");
	return `v1.${expiry}.${variant}.${signature}`;
}
const previewed = (value: string): RequestInit => ({ headers: { "x-tidegate-preview": value } });

describe("a preview", () => {
	test("forces its variant and shows it; nothing is learnt from it, and the origin does not see it", async () => {
		const shop = await aShop();
		const answer = await shop.get(control, "/", previewed(await aPreview()));
		expect([await answer.text(), answer.headers.get("x-tidegate-variant")]).toEqual(["green", "true"]);
		expect(shop.points()).toEqual([]);
		expect(shop.asked[0]?.headers.get("x-tidegate-preview")).toBeNull();
	});

	test("for any variant shows which there is, and forces none", async () => {
		const shop = await aShop();
		for (const [user, variant] of [
			[candidate, "true"],
			[control, "false"],
		] as const) {
			const answer = await shop.get(user, "/", previewed(await aPreview({ variant: "*" })));
			expect(answer.headers.get("x-tidegate-variant")).toBe(variant);
		}
	});

	const swapped = async (): Promise<string> => (await aPreview({ variant: "false" })).replace(".false.", ".true.");
	const longer = async (): Promise<string> => {
		const [version, expiry, ...rest] = (await aPreview()).split(".");
		return [version, Number(expiry) + 60, ...rest].join(".");
	};
	test.each<[string, () => Promise<string>]>([
		["of another secret", () => aPreview({ secret: "guessed" })],
		["of another host", () => aPreview({ host: "other.example" })],
		["that is over", () => aPreview({ expiry: nowS() - 1 })],
		["that is for longer than a day", () => aPreview({ expiry: nowS() + DAY_S + 60 })],
		["whose variant was swapped", swapped],
		["whose end was moved", longer],
		["that is cut short", async () => (await aPreview()).slice(0, -1)],
		["that is endless", async () => `v1.1.${"x".repeat(5_000)}.x`],
		["that is none", async () => "true"],
		["with no signature", async () => `v1.${nowS() + 60}.true.`],
		["with an empty one", async () => `v1.${nowS() + 60}.true.${"A".repeat(43)}`],
	])("%s forces nothing and shows nothing", async (_, made) => {
		const shop = await aShop();
		const answer = await shop.get(control, "/", previewed(await made()));
		expect([await answer.text(), answer.headers.get("x-tidegate-variant")]).toEqual(["blue", null]);
	});

	test("forces nothing where nobody has set a secret, not even one that is signed with none", async () => {
		for (const previewKey of [undefined, ""]) {
			const shop = await aShop({ previewKey });
			const answer = await shop.get(control, "/", previewed(await aPreview({ secret: "x" })));
			expect([await answer.text(), answer.headers.get("x-tidegate-variant")]).toEqual(["blue", null]);
		}
	});

	test("of a variant that has no origin forces nothing", async () => {
		const shop = await aShop();
		for (const variant of ["purple", "__proto__", "constructor", "a.b"])
			expect(await (await shop.get(control, "/", previewed(await aPreview({ variant })))).text(), variant).toBe("blue");
	});

	test("is not for an origin to pretend", async () => {
		const shop = await aShop();
		shop.answer = async () => new Response("", { headers: { "x-tidegate-variant": "forged" } });
		expect((await shop.get(control)).headers.get("x-tidegate-variant")).toBeNull();
	});
});

describe("a host", () => {
	const two = {
		routes: [{ key: "shop" }, { key: "bank", host: "bank.example", flag: undefined, origins: undefined, origin: "https://vault.example" }],
	};

	test.each(["https://SHOP.example/", "https://shop.example./", "https://shop.example:443/", "https://user:password@shop.example/"])(
		"is the same however it is written: %s",
		async (url) => {
			const shop = await aShop(two);
			const answer = await shop.send(url, { headers: { "x-user": control } });
			expect(await answer.text()).toBe("blue");
			expect(shop.asked[0]?.headers.get("x-forwarded-host")).toBe("shop.example");
		},
	);

	test.each([
		"https://shop.example:8443/",
		"https://shop.example.evil.example/",
		"https://xshop.example/",
		"https://example/",
		"https://[::1]/",
	])("that is another reaches no route: %s", async (url) => {
		const shop = await aShop(two);
		expect((await shop.send(url)).status).toBe(404);
		expect(shop.asked).toEqual([]);
	});

	test("is what the URL says, whatever Host and X-Forwarded-Host say besides", async () => {
		const shop = await aShop(two);
		const headers = { "x-user": control, host: "bank.example", "x-forwarded-host": "bank.example" };
		await shop.send(`${SHOP}/`, { headers });
		expect(shop.asked.map(({ origin, headers: sent }) => [origin, sent.get("x-forwarded-host")])).toEqual([["blue", "shop.example"]]);
	});
});

describe("a path", () => {
	const admin = {
		routes: [
			{ key: "shop", flag: undefined, origins: undefined, origin: "https://blue.example" },
			{ key: "admin", path: "/admin/*", flag: undefined, origins: undefined, origin: "https://vault.example/base" },
		],
	};

	test.each([
		"/admin/x",
		"/%61dmin/x",
		"/shop/../admin/x",
		"/shop/%2e%2e/admin/x",
		"/./admin/x",
		"/%41dmin/../%61dmi%6e/x",
		"/\\../admin/x",
	])("takes the one route that it means: %s", async (path) => {
		const shop = await aShop(admin);
		await shop.get("ann", path);
		expect(shop.asked.map(({ origin }) => origin)).toEqual(["vault"]);
	});

	test.each(["/admin%2Fx", "/shop%2F..%2Fadmin/x", "/%2561dmin/x", "//admin/x", "/Admin/x", "/admin;x"])(
		"that is another is none of it, and arrives as it was written: %s",
		async (path) => {
			const shop = await aShop(admin);
			await shop.get("ann", path);
			expect(shop.asked.map(({ url }) => url)).toEqual([`https://blue.example${path}`]);
		},
	);

	test.each([
		"/admin/../../etc/passwd",
		"/admin/%2e%2e/%2e%2e/etc",
		"//evil.example/x",
		"/@evil.example/",
		"/\\\\evil.example/",
		"/?https://evil.example",
	])("never leaves the route's origins: %s", async (path) => {
		const shop = await aShop(admin);
		await shop.get("ann", path);
		for (const { url } of shop.asked) expect(["blue.example", "vault.example"]).toContain(new URL(url).hostname);
	});

	test.each([
		"/.tidegate/metrics",
		"/.tidegate/",
		"/shop/../.tidegate/metrics",
		"/%2etidegate/metrics",
		"/.%74idegate/metrics",
		"/.tidegate/../.tidegate/x",
	])("of our own is answered here: %s", async (path) => {
		const shop = await aShop(admin);
		expect((await shop.get("ann", path)).status).toBe(404);
		expect(shop.asked).toEqual([]);
	});

	test.each(["/.tidegatex", "/.tidegate", "/a/.tidegate/x"])("that only looks like it is not: %s", async (path) => {
		const shop = await aShop(admin);
		expect((await shop.get("ann", path)).status).toBe(200);
	});

	test("of the API belongs to the origin on a host that is proxied", async () => {
		const shop = await aShop(admin);
		for (const path of ["/health/liveness", "/health/readiness", "/v1/events", "/ofrep/v1/evaluate/flags"])
			expect(await (await shop.get("ann", path)).text(), path).toBe("blue");
	});
});

describe("a header", () => {
	test("that says who somebody is, in whatever spelling, is our word alone", async () => {
		const shop = await aShop();
		const forged = [
			"x-forwarded-for",
			"x_forwarded_for",
			"X-Forwarded_Host",
			"x_forwarded-proto",
			"x-tidegate-flags",
			"x_tidegate_flags",
			"x-real-ip",
			"x_real_ip",
		];
		const headers = Object.fromEntries([...forged, "forwarded", "x-tidegate-shadow"].map((name) => [name, "forged"]));
		await shop.get(control, "/", { headers: { ...headers, "cf-connecting-ip": "203.0.113.7" } });
		const sent = Object.fromEntries(shop.asked[0]?.headers ?? []);
		expect(Object.values(sent)).not.toContain("forged");
		expect(sent).toMatchObject({ "x-forwarded-for": "203.0.113.7", "x-forwarded-host": "shop.example", "x-forwarded-proto": "https" });
	});

	test("cannot be taken away from what we say by naming it in Connection", async () => {
		const shop = await aShop({ route: { forward: ["banner"] } });
		const connection = "close, x-forwarded-for, x-forwarded-host, x-tidegate-flags, traceparent, (), , x y";
		await shop.get(control, "/", { headers: { connection, "cf-connecting-ip": "203.0.113.7" } });
		const sent = Object.fromEntries(shop.asked[0]?.headers ?? []);
		expect(sent).toMatchObject({
			"x-forwarded-for": "203.0.113.7",
			"x-forwarded-host": "shop.example",
			"x-tidegate-flags": "banner=false",
		});
		expect(sent["traceparent"]).toMatch(/^00-/);
		expect(sent["connection"]).toBeUndefined();
		const trace = `00-${"a".repeat(32)}-${"b".repeat(16)}-01`;
		await shop.get(control, "/", { headers: { connection, traceparent: trace, tracestate: "a=b" } });
		const traced = Object.fromEntries(shop.asked[1]?.headers ?? []);
		expect(traced["traceparent"]).toMatch(/^00-(?!a{32})/);
		expect(traced["tracestate"]).toBeUndefined();
	});

	test("beyond the route's limit is refused, however it is spread", async () => {
		const shop = await aShop({ route: { header_max: 2_048 } });
		const many = Object.fromEntries(Array.from({ length: 100 }, (_, i) => [`x-${i}`, "x".repeat(20)]));
		for (const headers of [{ "x-large": "x".repeat(3_000) }, many, { cookie: "a=b; ".repeat(1_000) }])
			expect((await shop.get(control, "/", { headers })).status).toBe(431);
		expect((await shop.get(control, `/?${"q".repeat(3_000)}`)).status).toBe(431);
		expect(shop.asked).toEqual([]);
	});
});

describe("a method", () => {
	test.each(["TRACE", "TRACK"])("%s, which is for proxies, reaches no origin", async (method) => {
		const shop = await aShop();
		// fetch makes no such request; a client does.
		const request = new Proxy(new Request(`${SHOP}/`), { get: (of, name) => (name === "method" ? method : Reflect.get(of, name, of)) });
		expect((await shop.answerTo(request)).status).toBe(405);
		expect(shop.asked).toEqual([]);
	});

	test("that no route has is refused, and told which there are", async () => {
		const shop = await aShop({ route: { methods: ["GET", "HEAD"] } });
		const answer = await shop.get(control, "/", { method: "DELETE" });
		expect([answer.status, answer.headers.get("allow")]).toEqual([405, "GET, HEAD"]);
		expect(shop.asked).toEqual([]);
	});
});

describe("an origin", () => {
	const refused = [
		"http://blue.example",
		"https://127.0.0.1",
		"https://localhost",
		"https://10.0.0.1",
		"https://192.168.1.1",
		"https://169.254.169.254",
		"https://metadata.google.internal",
		"https://[::1]",
		"https://[::ffff:10.0.0.1]",
		"https://[fd00::1]",
		"https://0x7f.1",
		"https://2130706433",
		"https://blue.example:8443",
		"https://intranet",
	];
	test.each(refused)("that is not on the public Internet is not asked, whatever the snapshot says: %s", (url) => {
		const ask = originsOf({}, false);
		expect(() => ask({ url }, `${url}/`, {})).toThrow("GATEWAY_ALLOW_PRIVATE");
	});

	test.each(["HEAD", "TELEMETRY", "COMPARISONS", "SNAPSHOTS", "OUTCOMES", "USER_HASH_KEY", "constructor", "__proto__", "BLUE"])(
		"by a binding is a service, and none of our own: %s",
		(service) => {
			const own = { fetch: () => Response.json("secret") };
			const env = { HEAD: own, TELEMETRY: own, COMPARISONS: own, SNAPSHOTS: own, OUTCOMES: own, USER_HASH_KEY: "secret" };
			expect(() => originsOf(env, true)({ service }, "https://shop.example/", {})).toThrow("no service binding");
		},
	);

	test("by a binding is asked by the request's own URL", async () => {
		const env = { BLUE: { fetch: async (url: string) => new Response(url) } };
		const answer = await originsOf(env, false)({ service: "BLUE" }, "https://shop.example/a?b", {});
		expect(await answer.text()).toBe("https://shop.example/a?b");
	});

	test("that redirects to a private address sends the client there, and nobody else", async () => {
		const shop = await aShop();
		shop.answer = async () => new Response(null, { status: 302, headers: { location: "http://169.254.169.254/latest" } });
		const answer = await shop.get(control, "/", { redirect: "manual" });
		expect([answer.status, answer.headers.get("location"), shop.asked.length]).toEqual([302, "http://169.254.169.254/latest", 1]);
		expect(shop.asked[0]?.init.redirect).toBe("manual");
	});
});
