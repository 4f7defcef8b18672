import { env } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import { openSnapshot } from "../../../../core/flags/ruleset";
import { choose } from "../../../../core/gateway/routes";
import { open } from "../../../../control/store/database";
import { pruneProtections } from "../../../../control/store/protections";
import { readHead } from "../../../../control/store/publication";
import { tick } from "../../../../control/tick/tick";
import { aTick } from "../tick/fixtures";
import { aFlag, auditOf, createFlag, done, flagAt, newKey, pointersOf, refused, send } from "./harness";

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const ROUTES = "/api/v1/gateway/routes?environment=production";
const routeAt = (key: string): string => `/api/v1/gateway/routes/${key}?environment=production`;
const protectionAt = (key: string): string => `/api/v1/gateway/protections/${key}?environment=production`;
const PROTECTIONS = "/api/v1/gateway/protections?environment=production";
const ifMatch = (version: number) => ({ "if-match": `"${version}"` });
const COLOURS = { type: "string", variants: { blue: "b", green: "g" }, offVariant: "blue", fallthrough: "blue" };
const ORIGINS = { blue: "https://blue.example.com", green: "https://green.example.com" };

interface RouteBody {
	readonly key: string;
	readonly host: string;
	readonly version: number;
	readonly warnings: readonly string[];
}
const aRoute = (change: Record<string, unknown> = {}) => {
	const key = newKey();
	return { key, host: `${key}.example.com`, origin: "https://origin.example.com", ...change };
};
const create = (change: Record<string, unknown> = {}): Promise<RouteBody> => done("POST", ROUTES, { body: aRoute(change) });
const colours = async (change: Record<string, unknown> = {}) => {
	const { key: flag } = await createFlag(COLOURS);
	return { origin: undefined, flag, origins: ORIGINS, ...change };
};

/** What the edges are given once everything pending is published. */
async function published() {
	await tick(aTick(), Date.now());
	const head = (await readHead(open(env.DB))).head.environments["production"];
	const body = await env.SNAPSHOTS.get(`snapshot/production/${head?.version ?? 0}`, "arrayBuffer");
	const snapshot = openSnapshot(new Uint8Array(body ?? new ArrayBuffer()), (bytes) => new TextDecoder().decode(bytes));
	return { gateway: snapshot.gateway(), hosts: head?.hosts ?? [] };
}

describe("a route", () => {
	test("is read, listed, replaced, deleted and audited, and a key that comes again goes on with greater versions", async () => {
		const wanted = aRoute();
		const { status, headers, body } = await send<RouteBody>("POST", `${ROUTES}&reason=why`, { body: wanted });
		expect([status, headers.get("etag")]).toEqual([201, `"${body.version}"`]);
		expect(body).toMatchObject({ ...wanted, path: "/*", timeout: "30s", retry: true, priority: 5, warnings: [] });
		expect(await done("GET", routeAt(wanted.key))).toEqual(body);
		expect((await done<{ routes: RouteBody[] }>("GET", ROUTES)).routes).toContainEqual(body);
		const { key: _, ...replacement } = { ...wanted, timeout: "5s" };
		const after = await done<RouteBody>("PUT", routeAt(wanted.key), { body: replacement, headers: ifMatch(body.version) });
		expect(after).toMatchObject({ timeout: "5s", version: body.version + 1 });
		await done("DELETE", routeAt(wanted.key), { headers: ifMatch(after.version) });
		await refused(404, "GET", routeAt(wanted.key));
		expect((await auditOf(`routes/production/${wanted.key}`)).map(({ action, reason }) => [action, reason])).toEqual([
			["route.created", "why"],
			["route.changed", ""],
			["route.deleted", ""],
		]);
		expect((await create(wanted)).version).toBeGreaterThan(after.version);
	});

	test("changes only under the version that was read", async () => {
		const { key, host, version } = await create();
		const body = { host, origin: "https://other.example.com" };
		for (const [method, sent] of [
			["PUT", { body }],
			["DELETE", {}],
		] as const) {
			// oxlint-disable-next-line no-await-in-loop -- two requests
			expect((await refused(428, method, routeAt(key), sent))["currentVersion"]).toBe(version);
			// oxlint-disable-next-line no-await-in-loop -- see above
			expect((await refused(412, method, routeAt(key), { ...sent, headers: ifMatch(version - 1) }))["currentVersion"]).toBe(version);
		}
		await refused(404, "PUT", routeAt(newKey()), { body, headers: ifMatch(1) });
		await refused(404, "DELETE", routeAt(newKey()), { headers: ifMatch(1) });
		const both = await Promise.all(
			["5s", "6s"].map((timeout) => send("PUT", routeAt(key), { body: { ...body, timeout }, headers: ifMatch(version) })),
		);
		expect(both.filter(({ status }) => status === 200)).toHaveLength(1);
	});

	test.each<[what: string, change: Record<string, unknown>, pointers: readonly string[]]>([
		["no origin at all", { origin: undefined }, ["/origin"]],
		["an origin beside origins", { origins: ORIGINS }, ["/origin", "/flag"]],
		["a flag that is not there", { origin: undefined, flag: "nobody", origins: ORIGINS }, ["/flag"]],
		["a flag without origins", { origin: undefined, flag: "nobody" }, ["/origins", "/flag"]],
		["a forwarded flag that is not there", { forward: ["nobody"] }, ["/forward/0"]],
		["a shadow without origins", { shadow: { variant: "green" } }, ["/shadow"]],
		["an unknown field", { colour: "red" }, ["/colour"]],
		["a bad path", { path: "/a/*/b" }, ["/path"]],
		["a bad host", { host: "https://x" }, ["/host"]],
		["no URL", { origin: "ftp://x" }, ["/origin"]],
		["a user in the URL", { origin: "https://a:b@example.com" }, ["/origin"]],
		["http", { origin: "http://origin.example.com" }, ["/origin"]],
		["another port", { origin: "https://origin.example.com:8443" }, ["/origin"]],
		["a private address", { origin: "https://10.0.0.1/" }, ["/origin"]],
		["a private address written in one number", { origin: "https://2130706433/" }, ["/origin"]],
		["an IPv4 address in IPv6", { origin: "https://[::ffff:169.254.169.254]/" }, ["/origin"]],
		["a private address in octal", { origin: "https://0177.0.0.1/" }, ["/origin"]],
		["a private address in hexadecimal", { origin: "https://0x7f.1/" }, ["/origin"]],
		["a link-local address", { origin: "https://169.254.169.254/latest/meta-data" }, ["/origin"]],
		["the loopback address of IPv6", { origin: "https://[::1]/" }, ["/origin"]],
		["a unique local address of IPv6", { origin: "https://[fd00::1]/" }, ["/origin"]],
		["a time-out of no time", { timeout: "0s" }, ["/timeout"]],
		["a time-out beyond any timer", { timeout: "30d" }, ["/timeout"]],
		[
			"more attributes than are read",
			{ context: Object.fromEntries(Array.from({ length: 51 }, (_, i) => [`a${i}`, "x-a"])) },
			["/context"],
		],
		["localhost", { origin: "https://localhost/" }, ["/origin"]],
		["a name of an inner network", { origin: "https://db.internal/" }, ["/origin"]],
		["a binding of Tidegate's own", { origin: { service: "HEAD" } }, ["/origin"]],
		["a header's name with a line break", { targeting: { header: "x\r\ny" } }, ["/targeting/header"]],
	])("with %s is refused", async (_, change, pointers) => {
		expect(pointersOf(await refused(422, "POST", ROUTES, { body: aRoute(change) }))).toEqual(pointers);
	});

	test("has an origin for every variant of its flag and for no other", async () => {
		const given = await colours();
		const bad = async (origins: Record<string, string>) =>
			(await refused(422, "POST", ROUTES, { body: aRoute({ ...given, origins }) })).errors;
		expect(await bad({ blue: ORIGINS.blue })).toEqual([
			{ pointer: "/origins", message: `has no origin for green: flag ${given.flag} has blue, green` },
		]);
		expect(await bad({ ...ORIGINS, "a/b": "https://10.0.0.1" })).toEqual([
			{ pointer: "/origins/a~1b", message: `flag ${given.flag} has no variant "a/b": it has blue, green` },
			{ pointer: "/origins/a~1b", message: "10.0.0.1 is not on the public Internet" },
		]);
		await create(given);
	});

	test("compares with a variant that has an origin, and warns where that changes things twice", async () => {
		const given = await colours();
		const shadow = { variant: "red" };
		expect(pointersOf(await refused(422, "POST", ROUTES, { body: aRoute({ ...given, shadow }) }))).toEqual(["/shadow/variant"]);
		expect((await create({ ...given, shadow: { variant: "green" } })).warnings).toEqual([]);
		const { warnings } = await create({ ...given, shadow: { variant: "green", methods: ["GET", "POST"] } });
		expect(warnings).toEqual(["shadow sends POST twice: what they change is changed twice"]);
	});

	test("that could take the same request as another is refused, and the other is named", async () => {
		const { key, host } = await create({ path: "/a/:id", methods: ["GET", "POST"] });
		const problem = await refused(409, "POST", ROUTES, {
			body: aRoute({ host: host.toUpperCase(), path: "/a/:other", methods: ["POST"] }),
		});
		expect([problem.type, problem["by"]]).toEqual(["urn:tidegate:problem:route_conflict", [`routes/${key}`]]);
		const beside = await create({ host, path: "/a/:other", methods: ["PUT"] });
		const body = { host, origin: "https://origin.example.com", path: "/a/:other", methods: ["GET"] };
		await refused(409, "PUT", routeAt(beside.key), { body, headers: ifMatch(beside.version) });
	});

	test("has a host that is one environment's", async () => {
		const { host } = await create();
		const problem = await refused(409, "POST", "/api/v1/gateway/routes?environment=staging", { body: aRoute({ host }) });
		expect(problem.type).toBe("urn:tidegate:problem:host_taken");
		const both = await Promise.all(
			["production", "staging"].map((environment) =>
				send("POST", `/api/v1/gateway/routes?environment=${environment}`, { body: aRoute({ host: "both.example.com" }) }),
			),
		);
		expect(both.map(({ status }) => status).sort((a, b) => a - b)).toEqual([201, 409]);
	});

	test("can be tried without being written, and is refused as it would be", async () => {
		const there = await create();
		const validate = "/api/v1/gateway/routes/validate?environment=production";
		const before = (await done<{ routes: object[] }>("GET", ROUTES)).routes;
		const tried = aRoute();
		expect(await done("POST", validate, { body: tried })).toMatchObject({ route: { ...tried, timeout: "30s" }, warnings: [] });
		expect(pointersOf(await refused(422, "POST", validate, { body: aRoute({ origin: "https://10.0.0.1/" }) }))).toEqual(["/origin"]);
		expect(await refused(409, "POST", validate, { body: aRoute({ host: there.host }) })).toMatchObject({ by: [`routes/${there.key}`] });
		await refused(409, "POST", "/api/v1/gateway/routes/validate?environment=staging", { body: aRoute({ host: there.host }) });
		expect((await done<{ routes: object[] }>("GET", ROUTES)).routes).toEqual(before);
		// Its own key is no conflict: it would be replaced.
		await done("POST", validate, { body: aRoute({ key: there.key, host: there.host }) });
	});

	test("is one of 200 at most", async () => {
		const rows = Array.from({ length: 200 }, (_, i) => [`filler-${i}`, `filler-${i}.example.com`]);
		await env.DB.prepare(
			"INSERT INTO gateway_routes (environment, key, version, host, config, updated_at_ms) SELECT 'production', value ->> 0, 1, value ->> 1, '{}', 0 FROM json_each(?)",
		)
			.bind(JSON.stringify(rows))
			.run();
		expect((await refused(409, "POST", ROUTES, { body: aRoute() })).type).toBe("urn:tidegate:problem:too_many_routes");
		await env.DB.prepare("DELETE FROM gateway_routes WHERE key LIKE 'filler-%'").run();
	});

	test("counts towards the 8 MiB of a snapshot", async () => {
		const { key } = await create();
		await env.DB.prepare("UPDATE gateway_routes SET config = substr(hex(zeroblob(950000)), 1, 1900000) WHERE key = ?").bind(key).run();
		const many = Array.from({ length: 4 }, () => newKey());
		for (const each of many)
			// oxlint-disable-next-line no-await-in-loop -- four rows
			await env.DB.prepare(
				"INSERT INTO gateway_routes SELECT environment, ?2, version, ?2, config, updated_at_ms FROM gateway_routes WHERE key = ?1",
			)
				.bind(key, each)
				.run();
		expect((await refused(422, "POST", ROUTES, { body: aRoute() })).type).toBe("urn:tidegate:problem:snapshot_too_large");
		await env.DB.prepare("DELETE FROM gateway_routes WHERE key IN (SELECT value FROM json_each(?))")
			.bind(JSON.stringify([key, ...many]))
			.run();
	});

	test("rides in the snapshot, and its host in the head, as long as it is there", async () => {
		const { key, host, version } = await create(await colours({ path: "/shop/*", forward: [] }));
		const { gateway, hosts } = await published();
		expect(hosts).toContain(host);
		expect(hosts).toEqual([...hosts].sort());
		expect(choose(gateway, host, "/shop/cart", "GET")).toMatchObject({
			kind: "route",
			route: { key, origins: { blue: { url: ORIGINS.blue }, green: { url: ORIGINS.green } } },
		});
		await done("DELETE", routeAt(key), { headers: ifMatch(version) });
		const after = await published();
		expect(after.hosts).not.toContain(host);
		expect(choose(after.gateway, host, "/shop/cart", "GET")).toEqual({ kind: "no_route" });
	});

	test("that is damaged is left out, told, replaced or deleted, and the others are published", async () => {
		const [bad, good] = [await create(), await create()];
		await env.DB.prepare("UPDATE gateway_routes SET config = '{' WHERE key = ?").bind(bad.key).run();
		const { gateway, hosts } = await published();
		expect(choose(gateway, good.host, "/", "GET")).toMatchObject({ kind: "route" });
		expect(choose(gateway, bad.host, "/", "GET")).toEqual({ kind: "no_route" });
		expect(hosts).toContain(bad.host);
		expect((await done<{ damaged: string[] }>("GET", ROUTES)).damaged).toEqual([bad.key]);
		expect((await refused(500, "GET", routeAt(bad.key))).type).toBe("urn:tidegate:problem:route_damaged");
		const body = { host: bad.host, origin: "https://origin.example.com" };
		await done("PUT", routeAt(bad.key), { body, headers: ifMatch(bad.version) });
		await env.DB.prepare("UPDATE gateway_routes SET config = '1' WHERE key = ?").bind(bad.key).run();
		await done("DELETE", routeAt(bad.key), { headers: ifMatch(bad.version + 1) });
	});
});

describe("a flag that a route names", () => {
	test("cannot be deleted, nor lose a variant, by change or by import, and the route is named", async () => {
		const given = await colours();
		const { key, version } = await create(given);
		const forwarded = await createFlag();
		const other = await create({ forward: [forwarded.key] });
		expect((await refused(409, "DELETE", flagAt(given.flag), { headers: ifMatch(1) }))["by"]).toEqual([`routes/${key}`]);
		expect((await refused(409, "DELETE", flagAt(forwarded.key), { headers: ifMatch(1) }))["by"]).toEqual([`routes/${other.key}`]);
		const variants = { blue: "b" };
		expect((await refused(409, "PATCH", flagAt(given.flag), { body: { variants }, headers: ifMatch(1) }))["by"]).toEqual([`routes/${key}`]);
		const file = { schemaVersion: 1, flags: [aFlag({ ...COLOURS, key: given.flag, variants })] };
		const problem = await refused(422, "POST", "/api/v1/import?environment=production", { body: file });
		expect(problem.errors).toEqual([
			{ pointer: "/flags/0/variants", message: `routes/${key} require the variant "green": change them first` },
		]);
		await done("DELETE", routeAt(key), { headers: ifMatch(version) });
		await done("PATCH", flagAt(given.flag), { body: { variants }, headers: ifMatch(1) });
		await done("DELETE", flagAt(given.flag), { headers: ifMatch(2) });
	});

	test("may get a variant: until the route has an origin for it, its users go where the off variant's go", async () => {
		const given = await colours();
		const { host } = await create(given);
		await done("PATCH", flagAt(given.flag), { body: { variants: { ...COLOURS.variants, red: "r" } }, headers: ifMatch(1) });
		const { gateway } = await published();
		expect(choose(gateway, host, "/", "GET")).toMatchObject({
			route: { origins: { blue: { url: ORIGINS.blue }, green: { url: ORIGINS.green }, red: { url: ORIGINS.blue } } },
		});
	});
});

describe("a protection", () => {
	const until = (ms: number): string => new Date(Date.now() + ms).toISOString();
	const shed = (change: Record<string, unknown> = {}) => ({ kind: "shed", share: 50, until: until(HOUR_MS), ...change });
	const aSegment = async () =>
		(await done<{ key: string }>("POST", "/api/v1/segments?environment=production", { body: { key: newKey() } })).key;

	test("is switched on, changed, listed, lifted and audited with its reason", async () => {
		const key = newKey();
		const put = await done("PUT", `${protectionAt(key)}&reason=flood`, { body: shed() });
		expect(put).toMatchObject({ key, kind: "shed", share: 50, upTo: 5, environment: "production", untilMs: expect.any(Number) });
		await done("PUT", protectionAt(key), { body: shed({ key, share: 80 }) });
		const { protections } = await done<{ protections: { key: string }[] }>("GET", PROTECTIONS);
		expect(protections.filter((each) => each.key === key)).toMatchObject([{ share: 80 }]);
		expect((await published()).gateway.protections).toContainEqual(expect.objectContaining({ key, share: 80_000 }));
		await done("DELETE", `${protectionAt(key)}&reason=over`);
		await refused(404, "DELETE", protectionAt(key));
		expect((await published()).gateway.protections.map((each) => each.key)).not.toContain(key);
		expect((await auditOf(`protections/production/${key}`)).map(({ action, reason }) => [action, reason])).toEqual([
			["protection.set", "flood"],
			["protection.set", ""],
			["protection.lifted", "over"],
		]);
	});

	test.each<[what: string, body: () => Record<string, unknown>, pointer: string]>([
		["that is over", () => shed({ until: until(-1) }), "/until"],
		["for more than 7 days", () => shed({ until: until(7 * DAY_MS + 60_000) }), "/until"],
		["until nobody knows when", () => shed({ until: "tomorrow" }), "/until"],
		["without an end", () => shed({ until: undefined }), "/until"],
		["of more than all", () => shed({ share: 101 }), "/share"],
		["of an unknown kind", () => shed({ kind: "pray" }), "/kind"],
		["for a segment that is not there", () => ({ kind: "lock_down", segments: ["nobody"], until: until(HOUR_MS) }), "/segments/0"],
		["for no segment", () => ({ kind: "isolate", segments: [], until: until(HOUR_MS) }), "/segments"],
		["with another key than the path's", () => shed({ key: "other" }), "/key"],
	])("%s is refused", async (_, body, pointer) => {
		expect(pointersOf(await refused(422, "PUT", protectionAt(newKey()), { body: body() }))).toEqual([pointer]);
	});

	test("keeps its segments from being deleted, and is named", async () => {
		const [segment, key] = [await aSegment(), newKey()];
		await done("PUT", protectionAt(key), { body: { kind: "lock_down", segments: [segment], until: until(HOUR_MS) } });
		const at = `/api/v1/segments/${segment}?environment=production`;
		expect((await refused(409, "DELETE", at, { headers: ifMatch(1) }))["by"]).toEqual([`protections/${key}`]);
		await done("DELETE", protectionAt(key));
		await done("DELETE", at, { headers: ifMatch(1) });
	});

	test("ends by itself: it is in no snapshot after that, and its row goes within the hour", async () => {
		const key = newKey();
		await done("PUT", protectionAt(key), { body: shed() });
		await env.DB.prepare("UPDATE gateway_protections SET until_ms = 1 WHERE key = ?").bind(key).run();
		await create();
		expect((await published()).gateway.protections.map((each) => each.key)).not.toContain(key);
		expect((await done<{ protections: { key: string }[] }>("GET", PROTECTIONS)).protections.map((each) => each.key)).not.toContain(key);
		const changed = async () =>
			(await env.DB.prepare("SELECT changed FROM environments WHERE name = 'production'").first<number>("changed")) ?? 0;
		const before = await changed();
		await pruneProtections(open(env.DB), Date.now());
		expect(await changed()).toBe(before + 1);
		await pruneProtections(open(env.DB), Date.now());
		expect(await changed()).toBe(before + 1);
		await refused(404, "DELETE", protectionAt(key));
	});

	test("of a newer control stays in force with what is known of it", async () => {
		const key = newKey();
		await done("PUT", protectionAt(key), { body: shed() });
		await env.DB.prepare("UPDATE gateway_protections SET config = json_set(config, '$.newer', 1) WHERE key = ?").bind(key).run();
		const { protections, damaged } = await done<{ protections: { key: string }[]; damaged: string[] }>("GET", PROTECTIONS);
		expect([protections.map((each) => each.key), damaged]).toEqual([expect.arrayContaining([key]), expect.not.arrayContaining([key])]);
	});

	test("is one of 100 at most, and one that is there can still be changed", async () => {
		const keys = Array.from({ length: 100 }, () => newKey());
		const fill =
			"INSERT INTO gateway_protections (environment, key, config, until_ms, updated_at_ms) SELECT 'production', value, '{}', 9e15, 0 FROM json_each(?)";
		await env.DB.prepare(fill).bind(JSON.stringify(keys)).run();
		expect((await refused(409, "PUT", protectionAt(newKey()), { body: shed() })).type).toBe("urn:tidegate:problem:too_many_protections");
		const { damaged } = await done<{ damaged: string[] }>("GET", PROTECTIONS);
		expect(damaged).toEqual(expect.arrayContaining(keys));
		await env.DB.prepare("DELETE FROM gateway_protections WHERE until_ms = 9e15").run();
	});
});

describe("a plan with routes", () => {
	const planOf = (flag: string, routes: readonly object[], change: Record<string, unknown> = {}) => ({
		rollout: newKey(),
		environment: "production",
		flags: [flag],
		candidate: "green",
		phases: [{ percent: 100, hold: "10m", criteria: ["error_rate < 3%"] }],
		routes,
		...change,
	});
	const planned = (change: Record<string, unknown> = {}) => {
		const key = newKey();
		return { key, host: `${key}.example.com`, origins: ORIGINS, ...change };
	};
	const PLANS = "/api/v1/rollouts";

	test("writes them with its draft, by its one flag, each audited; as they are there already nothing is written again", async () => {
		const { key: flag } = await createFlag(COLOURS);
		const route = planned();
		const { status, headers, body } = await send<{ id: string; plan: object }>("POST", PLANS, { body: planOf(flag, [route]) });
		expect([status, body.plan]).toEqual([201, expect.not.objectContaining({ routes: expect.anything() })]);
		const written = await done<RouteBody>("GET", routeAt(route.key));
		expect(written).toMatchObject({ ...route, flag });
		const [row] = await auditOf(`routes/production/${route.key}`);
		expect(row).toMatchObject({ action: "route.created", correlationId: headers.get("x-correlation-id") });
		const { gateway } = await published();
		expect(choose(gateway, route.host, "/", "GET")).toMatchObject({ route: { key: route.key, flag } });
		await done("POST", PLANS, { body: planOf(flag, [route]) });
		expect((await done<RouteBody>("GET", routeAt(route.key))).version).toBe(written.version);
		await done("POST", PLANS, { body: planOf(flag, [{ ...route, timeout: "5s" }]) });
		expect(await done("GET", routeAt(route.key))).toMatchObject({ timeout: "5s", version: written.version + 1 });
	});

	test("is refused with every mistake at its place, and writes neither", async () => {
		const [{ key: flag }, { key: other }] = [await createFlag(COLOURS), await createFlag(COLOURS)];
		const twice = planned({ origins: { blue: "https://10.0.0.1/", green: ORIGINS.green } });
		const refusal = await refused(422, "POST", PLANS, {
			body: planOf(flag, [twice, { ...twice, origins: { blue: ORIGINS.blue } }, planned({ flag: other })]),
		});
		expect(refusal.errors).toEqual([
			{ pointer: "/routes/1/key", message: `"${twice.key}" is named twice` },
			{ pointer: "/routes/2/flag", message: `"${other}" is no flag of this plan: ${flag}` },
			{ pointer: "/routes/0/origins/blue", message: "10.0.0.1 is not on the public Internet" },
			{ pointer: "/routes/1/origins", message: `has no origin for green: flag ${flag} has blue, green` },
		]);
		expect(pointersOf(await refused(422, "POST", PLANS, { body: planOf(flag, [planned()], { flags: [flag, other] }) }))).toEqual([
			"/routes/0/flag",
		]);
		expect(pointersOf(await refused(422, "POST", PLANS, { body: planOf(flag, [planned({ origin: ORIGINS.blue })]) }))).toEqual([
			"/routes/0/origin",
		]);
		await refused(404, "GET", routeAt(twice.key));
	});

	test("conflicts with no other route, and leaves another environment's host alone", async () => {
		const [{ key: flag }, there] = [await createFlag(COLOURS), await create()];
		const conflicting = planOf(flag, [planned(), planned({ host: there.host })]);
		expect(await refused(409, "POST", PLANS, { body: conflicting })).toMatchObject({ by: [`routes/${there.key}`] });
		const elsewhere = aRoute();
		await done("POST", "/api/v1/gateway/routes?environment=staging", { body: elsewhere });
		const taking = planOf(flag, [planned({ host: elsewhere.host })]);
		expect((await refused(409, "POST", PLANS, { body: taking })).type).toBe("urn:tidegate:problem:host_taken");
		const { rollouts } = await done<{ rollouts: { name: string }[] }>("GET", `${PLANS}?environment=production&limit=1000`);
		expect(rollouts.map(({ name }) => name)).not.toContain(taking.rollout);
	});

	test("takes no route from another flag, nor from one origin, before anything is started; a flag of its own may be changed", async () => {
		const [{ key: flag }, { key: other }] = [await createFlag(COLOURS), await createFlag(COLOURS)];
		for (const there of [{ flag: other, origins: ORIGINS, origin: undefined }, {}]) {
			// oxlint-disable-next-line no-await-in-loop -- one route after the other
			const { key, host, version } = await create(there);
			const plan = planOf(flag, [{ key, host, origins: ORIGINS }]);
			// oxlint-disable-next-line no-await-in-loop -- as above
			expect(await refused(409, "POST", PLANS, { body: plan })).toMatchObject({
				type: "urn:tidegate:problem:route_of_others",
				detail: expect.stringContaining(
					`the route ${key} is there and ${"flag" in there ? `goes by flag ${other}` : "leads to one origin"}`,
				),
			});
			// oxlint-disable-next-line no-await-in-loop -- as above
			await done("PUT", routeAt(key), { headers: ifMatch(version), body: { host, flag, origins: ORIGINS } });
			// oxlint-disable-next-line no-await-in-loop -- as above
			await done("POST", PLANS, { body: planOf(flag, [{ key, host, origins: ORIGINS, timeout: "5s" }]) });
		}
	});

	test("takes an admin where it changes routes, and an operator where they are there", async () => {
		const name = newKey();
		const { token } = await done<{ token: string }>("POST", "/api/v1/tokens", { body: { name, role: "operator" } });
		const headers = { authorization: `Bearer ${token}` };
		const { key: flag } = await createFlag(COLOURS);
		const body = planOf(flag, [planned()]);
		expect((await refused(403, "POST", PLANS, { body, headers })).detail).toBe(
			"this token is an operator's: a plan that changes routes takes an admin",
		);
		await done("POST", PLANS, { body });
		await done("POST", PLANS, { body, headers });
	});

	test("of two that bring the same route at once writes it once", async () => {
		const { key: flag } = await createFlag(COLOURS);
		const route = planned();
		const both = await Promise.all(["5s", "6s"].map((timeout) => send("POST", PLANS, { body: planOf(flag, [{ ...route, timeout }]) })));
		const taken = both.filter(({ status }) => status === 201).length;
		expect(both.every(({ status }) => status === 201 || status === 409)).toBe(true);
		expect((await auditOf(`routes/production/${route.key}`)).length).toBe(taken);
	});
});

describe("a plan that compares first", () => {
	const planOf = (flag: string, change: Record<string, unknown> = {}) => ({
		rollout: newKey(),
		environment: "production",
		strategy: "compare-first",
		flags: [flag],
		candidate: "green",
		phases: [{ percent: 100, hold: "10m", criteria: ["error_rate < 3%"] }],
		...change,
	});
	const draft = async (plan: object) => (await done<{ id: string }>("POST", "/api/v1/rollouts", { body: plan })).id;
	const start = { body: { command: "start" } };

	test("starts once a route of each of its flags compares with its candidate, and says so until then", async () => {
		const given = await colours();
		const route = await create(given);
		const commands = `/api/v1/rollouts/${await draft(planOf(given.flag))}/commands`;
		const message = `no route compares flag ${given.flag} with "green": add shadow: {variant: "green"} to its route; or have the application send discrepancy events, and say so (compare: {by: application})`;
		expect((await refused(422, "POST", commands, start)).errors).toEqual([{ pointer: "/compare", message }]);
		const body = { ...given, host: route.host };
		const other = await done<RouteBody>("PUT", routeAt(route.key), {
			body: { ...body, shadow: { variant: "blue" } },
			headers: ifMatch(route.version),
		});
		await refused(422, "POST", commands, start);
		await done("PUT", routeAt(route.key), { body: { ...body, shadow: { variant: "green" } }, headers: ifMatch(other.version) });
		expect(await done("POST", commands, start)).toMatchObject({ status: "running", phase: "compare", percent: 0 });
	});

	test("starts without a route where it says that the application compares", async () => {
		const { key } = await createFlag(COLOURS);
		const id = await draft(planOf(key, { compare: { by: "application" } }));
		expect(await done("POST", `/api/v1/rollouts/${id}/commands`, start)).toMatchObject({ status: "running", phase: "compare" });
	});
});
