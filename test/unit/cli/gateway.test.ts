import { describe, expect, test } from "vitest";
import { DEFAULT_SETTINGS } from "../../../core/environmentSettings";
import { EXIT } from "../../../cli/exit";
import { previewOf } from "../../../worker/gateway/preview";
import { problem, standIn, tidegate } from "./world";

const shop = {
	key: "shop",
	host: "shop.example.com",
	path: "/*",
	flag: "store",
	origins: { blue: "https://blue.example.com" },
	shadow: { variant: "green", sample: 10 },
	environment: "production",
	version: 3,
	updatedAtMs: 0,
	warnings: [],
};
const missing = () => problem("route_missing", 404, "there is no route shop in production");

describe("routes", () => {
	test("are listed, and one is shown as put takes it", async () => {
		const control = await standIn(({ path }) => ({ body: path.includes("/shop") ? shop : { routes: [shop], damaged: ["old"] } }));
		const listed = await tidegate(["routes", "list"], { env: control.env });
		expect(listed).toMatchObject({ exit: EXIT.ok, err: expect.stringContaining("cannot be read: old") });
		expect(listed.out).toMatch(/shop\s+shop\.example\.com\s+\/\*\s+all\s+store\s+green, 10 %\s+3/);
		const { out } = await tidegate(["routes", "get", "shop"], { env: control.env });
		const { environment: _e, version: _v, updatedAtMs: _u, warnings: _w, ...written } = shop;
		expect(JSON.parse(out)).toEqual(written);
		expect(JSON.parse((await tidegate(["routes", "get", "shop", "--json"], { env: control.env })).out)).toEqual(written);
	});

	test("are created where there is none, replaced at the version that was looked at, and warnings are told", async () => {
		const stdin = "key: shop\nhost: shop.example.com\norigin: https://a.example.com\n";
		const none = await standIn(({ method }) => (method === "GET" ? missing() : { status: 201, body: shop }));
		expect(await tidegate(["routes", "put", "-f", "-"], { env: none.env, stdin })).toMatchObject({ exit: EXIT.ok });
		expect(none.received[1]).toMatchObject({ method: "POST", path: "/api/v1/gateway/routes?environment=production" });
		const there = await standIn(({ method }) => ({ body: method === "GET" ? shop : { ...shop, version: 4, warnings: ["sent twice"] } }));
		const put = await tidegate(["routes", "put", "-f", "-", "--reason", "why"], { env: there.env, stdin });
		expect(put).toMatchObject({ exit: EXIT.ok, err: expect.stringContaining("sent twice") });
		expect(there.received[1]).toMatchObject({
			method: "PUT",
			path: "/api/v1/gateway/routes/shop?environment=production&reason=why",
			headers: { "if-match": '"3"' },
			body: { key: "shop", host: "shop.example.com", origin: "https://a.example.com" },
		});
	});

	test("that control refuses are told at their place in the file", async () => {
		const errors = [{ pointer: "/hots", message: "unknown field" }];
		const control = await standIn(({ method }) => (method === "GET" ? missing() : problem("invalid", 422, "", { errors })));
		const { exit, err } = await tidegate(["routes", "put", "-f", "-"], { env: control.env, stdin: "key: shop\nhots: x\n" });
		expect(exit).toBe(EXIT.failure);
		expect(err).toContain('stdin:2:1: /hots: unknown field: did you mean "host"?');
		expect(err).toContain("control refuses - for production");
	});

	test.each([
		["routes put", "", EXIT.usage, "takes --file"],
		["routes put -f -", "host: x", EXIT.failure, "has no key"],
		["routes put -f -", "key: [", EXIT.failure, "stdin:1:"],
		["routes validate", "", EXIT.usage, "takes --file"],
		["routes validate -f -", "key: [", EXIT.failure, "stdin:1:"],
	])("%s of %j sends nothing", async (argv, stdin, exit, says) => {
		const control = await standIn(() => ({ body: shop }));
		expect(await tidegate(argv.split(" "), { env: control.env, stdin })).toMatchObject({ exit, err: expect.stringContaining(says) });
		expect(control.received).toEqual([]);
	});

	test("can be tried: control says whether one could be written, and where it could not", async () => {
		const fine = await standIn(({ body }) => ({ body: { route: body, warnings: ["sent twice"] } }));
		const stdin = "key: shop\nhost: shop.example.com\norigin: https://a.example.com\n";
		const done = await tidegate(["routes", "validate", "-f", "-"], { env: fine.env, stdin });
		expect(done).toMatchObject({ exit: EXIT.ok, err: expect.stringContaining("sent twice") });
		expect(fine.received).toMatchObject([{ method: "POST", path: "/api/v1/gateway/routes/validate?environment=production" }]);
		const errors = [{ pointer: "/origin", message: "10.0.0.1 is not on the public Internet" }];
		const wrong = await standIn(() => problem("invalid", 422, "", { errors }));
		const { exit, err } = await tidegate(["routes", "validate", "-f", "-"], { env: wrong.env, stdin });
		expect(exit).toBe(EXIT.failure);
		expect(err).toContain("stdin:3:9: /origin: 10.0.0.1");
	});

	test("are deleted at the version that was looked at", async () => {
		const control = await standIn(({ method }) => (method === "GET" ? { body: shop } : { status: 204 }));
		expect(await tidegate(["routes", "delete", "shop"], { env: control.env })).toMatchObject({ exit: EXIT.ok });
		expect(control.received[1]).toMatchObject({ method: "DELETE", headers: { "if-match": '"3"' } });
		const none = await standIn(missing);
		expect(await tidegate(["routes", "delete", "shop"], { env: none.env })).toMatchObject({
			exit: EXIT.failure,
			err: expect.stringContaining("there is no route shop"),
		});
	});
});

describe("a plan with routes", () => {
	const stdin = `rollout: shop
environment: production
flags: [store]
candidate: green
phases: [{ percent: 100, hold: 1h, criteria: [error_rate < 3%] }]
routes:
  - key: shop
    host: shop.example.com
    origins: { blue: "https://blue.example.com", green: "https://green.example.com" }
    timeout: 5s
`;
	const draft = { id: "shop.1", name: "shop", attempt: 1, environment: "production", status: "draft", revision: 0, flags: ["store"] };
	const told = { ...draft, phase: null, percent: 0, holdback: 0, createdAtMs: 0, startedAtMs: 0 };

	test("says how many there are, and where one is wrong", async () => {
		expect((await tidegate(["plan", "validate", "-"], { stdin })).out).toContain("no red flags, 1 route\n");
		const wrong = await tidegate(["plan", "validate", "-"], { stdin: stdin.replace("timeout: 5s", "timeout: soon") });
		expect(wrong.exit).toBe(EXIT.failure);
		expect(wrong.out).toContain("stdin:10:14: /routes/0/timeout: takes a duration from 1s to 5m");
		const other = await tidegate(["plan", "validate", "-"], { stdin: stdin.replace("    timeout: 5s", "    flag: other") });
		expect(other.out).toContain('stdin:10:11: /routes/0/flag: "other" is no flag of this plan: store');
	});

	test("is compared with the routes that there are", async () => {
		const there = { ...shop, origins: { blue: "https://blue.example.com", green: "https://old.example.com" }, shadow: undefined };
		const control = await standIn(({ path }) => {
			if (path.includes("/gateway/routes")) return { body: { routes: [there], damaged: [] } };
			if (path.includes("/settings")) return { body: { ...DEFAULT_SETTINGS, version: 0, damaged: false } };
			return {
				body: path.includes("/rollouts/")
					? { ...told, plan: { phases: [] }, state: null, health: null }
					: { rollouts: [told], damaged: [] },
			};
		});
		const { exit, out, err } = await tidegate(["plan", "diff", "-", "--json"], { env: control.env, stdin });
		expect([exit, err]).toEqual([EXIT.ok, ""]);
		const { differences } = JSON.parse(out) as { differences: { path: string }[] };
		expect(differences).toContainEqual({
			path: "/routes/shop/origins/green",
			before: "https://old.example.com",
			after: "https://green.example.com",
		});
		expect(differences.filter(({ path }) => path.startsWith("/routes/shop/origins"))).toHaveLength(1);
	});

	test("says on its first attempt too what it would change in routes, and once it is applied what it has changed", async () => {
		const shadow = { variant: "green", sample: 100, compare: { ignore: ["$.at"] } };
		const there = { ...shop, timeout: "5s", origins: { blue: "https://blue.example.com", green: "https://green.example.com" }, shadow };
		const control = await standIn(({ method, path }) => {
			if (method === "POST") return { status: 201, body: { ...told, plan: { phases: [] }, state: null, health: null } };
			return { body: path.includes("/gateway/routes") ? { routes: [there], damaged: [] } : { rollouts: [], damaged: [] } };
		});
		const { out } = await tidegate(["plan", "diff", "-"], { env: control.env, stdin });
		expect(out).toContain("has no attempt yet");
		expect(out).toMatch(/\/routes\/shop\/shadow\s+\{.*\$\.at.*\}\s+–/);
		const { exit, err } = await tidegate(["plan", "apply", "-"], { env: control.env, stdin });
		expect([exit, err]).toEqual([EXIT.ok, expect.stringMatching(/changed: \/routes\/shop\/shadow, from .*\$\.at.* to –/)]);
	});
});

test("import says which routes it has left out", async () => {
	const items = { created: [], changed: [], unchanged: [], refused: [] };
	const control = await standIn(() => ({ body: { ...items, segments: items, routes: { ...items, skipped: ["shop"] }, applied: true } }));
	const { exit, err } = await tidegate(["import", "-"], { env: control.env, stdin: "{}" });
	expect([exit, err]).toEqual([EXIT.ok, expect.stringContaining("a host belongs to one: routes shop")]);
});

describe("routes preview-header", () => {
	const previewed = (more: readonly string[], given: object) =>
		tidegate(["routes", "preview-header", "--host", "Shop.example.com", ...more], given);

	test.each([
		["the environment", { env: { TIDEGATE_PREVIEW_KEY: "s3cret\n" } }],
		["stdin", { stdin: "s3cret\n" }],
		["a person", { typed: "s3cret" }],
	])("signs what the edge takes, with a secret from %s", async (_, given) => {
		const { exit, out } = await previewed(["--variant", "v1.green"], given);
		expect(exit).toBe(EXIT.ok);
		expect(out).not.toContain("s3cret");
		const [name = "", value = ""] = out.trim().split(": ");
		const request = new Request("https://shop.example.com/", { headers: { [name]: value } });
		expect(await previewOf(request, "shop.example.com", "s3cret", Date.now())).toBe("v1.green");
		expect(await previewOf(request, "shop.example.com", "other", Date.now())).toBeUndefined();
		expect(await previewOf(request, "shop.example.com", "s3cret", Date.now() + 3_600_000)).toBeUndefined();
	});

	test("chooses none where none is named, and shows which one there is", async () => {
		const { out } = await previewed(["--json", "--for", "24h"], { stdin: "s3cret" });
		const { header, value } = JSON.parse(out) as { header: string; value: string };
		const request = new Request("https://shop.example.com/", { headers: { [header]: value } });
		expect(await previewOf(request, "shop.example.com", "s3cret", Date.now())).toBe("*");
	});

	test.each([
		[["--for", "25h"], "s3cret", "up to 24h"],
		[["--for", "soon"], "s3cret", "up to 24h"],
		[["--variant", "grün"], "s3cret", "characters that a header may hold"],
		[["--variant", ""], "s3cret", "characters that a header may hold"],
		[[], "", "is empty"],
	])("%j with the secret %j is a mistake", async (more, stdin, says) => {
		expect(await previewed(more, { stdin })).toMatchObject({ exit: EXIT.usage, out: "", err: expect.stringContaining(says) });
	});
});

describe("protect", () => {
	const answered = { key: "shed", kind: "shed", share: 50, upTo: 5, untilMs: Date.now() + 3_600_000 };

	test.each<[argv: string, path: string, body: object]>([
		["shed --share 12.5 --for 30m", "shed", { kind: "shed", share: 12.5 }],
		["shed --share 50% --host Shop.example.com:8443", "shed-shop.example.com-8443", { share: 50, host: "shop.example.com:8443" }],
		["shed --share 5 --up-to 3 --exempt /health,/pay/*", "shed", { kind: "shed", share: 5, upTo: 3, exempt: ["/health", "/pay/*"] }],
		["shed --share 5 --host shop.example.com --key flood", "flood", { kind: "shed", share: 5, host: "shop.example.com" }],
		["lock-down --segments staff,auditors", "lock-down", { kind: "lock_down", segments: ["staff", "auditors"] }],
		["isolate --segments enterprise --for 7d", "isolate", { kind: "isolate", segments: ["enterprise"] }],
	])("%s is put with its end", async (argv, key, body) => {
		const control = await standIn(({ method }) => (method === "PUT" ? { body: answered } : problem("forbidden", 403, "")));
		const before = Date.now();
		expect(await tidegate(["protect", ...argv.split(" "), "--reason", "flood"], { env: control.env })).toMatchObject({ exit: EXIT.ok });
		const puts = control.received.filter(({ method }) => method === "PUT");
		expect(puts).toMatchObject([{ path: `/api/v1/gateway/protections/${key}?environment=production&reason=flood`, body }]);
		const { until } = (puts[0] as { readonly body: { readonly until: string } }).body;
		expect(Date.parse(until)).toBeGreaterThan(before);
	});

	test.each([
		["shed", "--share takes percent"],
		["shed --share all", "--share takes percent"],
		["shed --share 101", "--share takes percent"],
		["shed --share 5 --for ever", "--for takes a duration"],
		["shed --share 5 --up-to 10", "--up-to takes a priority from 0 to 9"],
		["shed --share 5 --host http://shop.example.com", "--host takes a host without http://"],
		["shed --share 5 --exempt /a,", "--exempt takes paths"],
		["shed --share 5 --key Flood", "--key, of at most 63"],
		["shed --share 5 --for 0m", "--for takes a duration"],
		["lock-down", "--segments takes keys"],
		["isolate --segments a,,b", "--segments takes keys"],
	])("%s is a mistake, and sends nothing", async (argv, says) => {
		const control = await standIn(() => ({ body: answered }));
		const { exit, err } = await tidegate(["protect", ...argv.split(" ")], { env: control.env });
		expect([exit, control.received]).toEqual([EXIT.usage, []]);
		expect(err).toContain(says);
	});

	test("says which one it replaces, and of a host that no route has that nothing is protected", async () => {
		const control = await standIn(({ method, path }) => {
			if (path.includes("/routes")) return { body: { routes: [shop], damaged: [] } };
			const before = { ...answered, key: "shed-shop.exmaple.com", share: 20, host: "shop.exmaple.com" };
			return { body: method === "PUT" ? { ...before, share: 50 } : { protections: [answered, before], damaged: [] } };
		});
		const argv = ["protect", "shed", "--share", "50", "--host", "shop.exmaple.com"];
		const { exit, out, err } = await tidegate(argv, { env: control.env });
		expect(exit).toBe(EXIT.ok);
		expect(out).toMatch(
			/shed 50 % up to priority 5, shop\.exmaple\.com\nit replaces shed 20 % up to priority 5, shop\.exmaple\.com, until /,
		);
		expect(err).toContain("this protects nothing: did you mean shop.example.com?");
	});

	test("tells what control refuses by its options", async () => {
		const errors = [
			{ pointer: "/segments/0", message: "there is no segment stuff" },
			{ pointer: "/until", message: "is more than 7 days ahead" },
		];
		const control = await standIn(({ method }) => (method === "PUT" ? problem("invalid", 422, "", { errors }) : { body: {} }));
		const { exit, err } = await tidegate(["protect", "isolate", "--segments", "stuff", "--for", "9d"], { env: control.env });
		expect(exit).toBe(EXIT.failure);
		expect(err).toContain("--segments: there is no segment stuff\n--for: is more than 7 days ahead");
	});

	test("list shows what is in force and how long still, and off lifts it", async () => {
		const control = await standIn(({ method }) =>
			method === "GET" ? { body: { protections: [answered], damaged: [] } } : { status: 204 },
		);
		expect((await tidegate(["protect", "list"], { env: control.env })).out).toMatch(/shed\s+shed\s+50 % up to priority 5\s+all hosts/);
		expect(await tidegate(["protect", "off", "shed"], { env: control.env })).toMatchObject({ exit: EXIT.ok });
		expect(control.received[1]).toMatchObject({ method: "DELETE", path: "/api/v1/gateway/protections/shed?environment=production" });
		await tidegate(["protect", "off", "shed", "--host", "shop.example.com"], { env: control.env });
		expect(control.received[2]?.path).toBe("/api/v1/gateway/protections/shed-shop.example.com?environment=production");
	});
});

test("compare shows a day's report, and how answers differ", async () => {
	const samples = Array.from({ length: 12 }, (_, i) => ({
		input: `GET /${i}`,
		legacy_result: "a".repeat(80),
		new_result: "b",
		match: false,
	}));
	const report = {
		phase: "compare",
		date: "2026-01-31",
		total_queries: 1_254,
		discrepancies: 12,
		errors: 1,
		status: "discrepancies",
		samples,
	};
	const control = await standIn(() => ({ body: report }));
	const { exit, out } = await tidegate(["compare", "shop", "--date", "2026-01-31"], { env: control.env });
	expect(exit).toBe(EXIT.ok);
	expect(control.received.map(({ path }) => path)).toContain("/api/v1/compare/shop/report?environment=production&date=2026-01-31");
	for (const shown of ["phase compare: discrepancies", "1254", "GET /9", "and 2 more"]) expect(out).toContain(shown);
	expect(out).not.toContain("GET /10");
});

describe("compare", () => {
	const report = { phase: null, date: "2026-01-31", total_queries: 9, discrepancies: 3, errors: 0, status: "discrepancies" };
	const route = { ...shop, shadow: { ...shop.shadow, compare: { ignore: ["$.origin"] } } };
	const reported = (samples: readonly object[], more: object = {}) =>
		standIn(({ path }) => ({
			body: path.includes("/gateway/routes") ? { routes: [route], damaged: [] } : { ...report, ...more, samples },
		}));
	const sample = (legacy: string, candidate: string, input = "GET /cart") => ({
		input,
		legacy_result: legacy,
		new_result: candidate,
		match: false,
	});

	test("shows what differs and counts, and what differs alike once", async () => {
		const [blue, green] = ['{"origin":"blue","price":42,"more":"x"}', '{"origin":"green","price":43,"more":"x"}'];
		const { env } = await reported([sample(blue, green), sample(blue, green), sample(blue, blue.replace("42", "44"))]);
		const { out } = await tidegate(["compare", "shop"], { env });
		expect(out).toMatch(/GET \/cart\s+2\s+\$\.price\s+42\s+43\n/);
		expect(out).toMatch(/GET \/cart\s+1\s+\$\.price\s+42\s+44\n/);
		expect(out).not.toContain("$.origin");
	});

	test("shows long answers from shortly before the character where they part", async () => {
		const same = "a".repeat(500);
		const { env } = await reported([sample(`${same}left`, `${same}right`), sample("alike", "alike", "GET /status")]);
		const { out } = await tidegate(["compare", "shop"], { env });
		expect(out).toMatch(/…a{12}left\s+…a{12}right\n/);
		expect(out).toMatch(/GET \/status\s+1\s+not the body/);
	});

	test("of a flag without data names the route that compares, and says that a day is still to come", async () => {
		const { env } = await reported([], { status: "no_data", date: "2999-01-31" });
		const { err } = await tidegate(["compare", "store", "--date", "2999-01-31"], { env });
		expect(err).toContain("2999-01-31 is still to come");
		expect(err).toContain("tidegate compare shop");
	});

	test.each(["route", "flag"])("asks for the report of the %s that --kind names", async (kind) => {
		const control = await reported([]);
		expect((await tidegate(["compare", "shop", "--kind", kind], { env: control.env })).exit).toBe(EXIT.ok);
		expect(control.received.map(({ path }) => path)).toContain(`/api/v1/compare/shop/report?environment=production&kind=${kind}`);
	});

	test("knows no other kind, and sends nothing then", async () => {
		const control = await reported([]);
		expect(await tidegate(["compare", "shop", "--kind", "segment"], { env: control.env })).toMatchObject({
			exit: EXIT.usage,
			err: expect.stringContaining('--kind takes route or flag, not "segment"'),
		});
		expect(control.received).toEqual([]);
	});

	test("of a flag without data names the route of the same key by its kind", async () => {
		const named = { ...route, flag: "shop" };
		const { env } = await standIn(({ path }) => ({
			body: path.includes("/gateway/routes") ? { routes: [named], damaged: [] } : { ...report, status: "no_data", samples: [] },
		}));
		expect((await tidegate(["compare", "shop", "--kind", "flag"], { env })).err).toContain("tidegate compare shop --kind route");
		expect((await tidegate(["compare", "shop"], { env })).err).not.toContain("--kind route");
	});

	test("of a flag leaves nothing out by the rules of the route of the same key", async () => {
		const [blue, green] = ['{"origin":"blue"}', '{"origin":"green"}'];
		const { env } = await reported([sample(blue, green)]);
		expect((await tidegate(["compare", "shop", "--kind", "flag"], { env })).out).toContain("$.origin");
	});

	test("tells what is wrong with --date by that name", async () => {
		const errors = [{ pointer: "?date=", message: "takes a day, as in 2026-01-31" }];
		const { env } = await standIn(() => problem("invalid", 422, "", { errors }));
		expect(await tidegate(["compare", "shop", "--date", "soon"], { env })).toMatchObject({
			exit: EXIT.failure,
			err: expect.stringContaining("--date: takes a day"),
		});
	});
});

test("of a long line an excerpt shows what is around the mistake, with the mark below it", async () => {
	const stdin = `{"key": "shop", "context": {${Array.from({ length: 200 }, (_, i) => `"a${i}": "x-a"`).join(", ")}}, "hots": "x"}`;
	const errors = [{ pointer: "/hots", message: "unknown field" }];
	const control = await standIn(({ method }) => (method === "GET" ? missing() : problem("invalid", 422, "", { errors })));
	const { err } = await tidegate(["routes", "put", "-f", "-"], { env: control.env, stdin });
	const [, shown = "", mark = ""] = err.split("\n").slice(1);
	expect(shown.length).toBeLessThan(200);
	expect(shown.slice(mark.indexOf("^"))).toMatch(/^"hots"/);
});

test("routes preview-header asks for the host that is missing, and for one without a scheme", async () => {
	expect((await tidegate(["routes", "preview-header"], { stdin: "s3cret" })).err).toContain("--host is required");
	const { exit, err } = await tidegate(["routes", "preview-header", "--host", "https://shop.example.com"], { stdin: "s3cret" });
	expect([exit, err]).toEqual([EXIT.usage, expect.stringContaining("takes a host without http://")]);
});
