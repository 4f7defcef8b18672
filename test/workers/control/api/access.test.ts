import { exports } from "cloudflare:workers";
import { beforeAll, describe, expect, test } from "vitest";
import { ROLES, type Role } from "../../../../control/store/tokens";
import { FLAGS, ROLLOUTS, aFlag, aPlan, createFlag, createRollout, done, flagAt, newKey, refused, send } from "./harness";

/** Every route, and the least that it takes: a new one is decided on here. */
const TAKES: Readonly<Record<string, Role>> = {
	"get /api/v1/flags": "viewer",
	"post /api/v1/flags": "operator",
	"get /api/v1/flags/{key}": "viewer",
	"patch /api/v1/flags/{key}": "operator",
	"delete /api/v1/flags/{key}": "operator",
	"get /api/v1/flags/{key}/versions": "viewer",
	"get /api/v1/flags/{key}/versions/{version}": "viewer",
	"post /api/v1/flags/{key}/restore": "operator",
	"get /api/v1/export": "viewer",
	"post /api/v1/import": "admin",
	"post /api/v1/promote": "admin",
	"get /api/v1/segments": "viewer",
	"post /api/v1/segments": "operator",
	"get /api/v1/segments/{key}": "viewer",
	"patch /api/v1/segments/{key}": "operator",
	"delete /api/v1/segments/{key}": "operator",
	"get /api/v1/segments/{key}/keys": "viewer",
	"put /api/v1/segments/{key}/keys": "operator",
	"post /api/v1/explain": "viewer",
	"post /api/v1/compare-snapshots": "viewer",
	"get /api/v1/rollouts": "viewer",
	"post /api/v1/rollouts": "operator",
	"get /api/v1/rollouts/{id}": "viewer",
	"get /api/v1/rollouts/{id}/events": "viewer",
	"post /api/v1/rollouts/{id}/commands": "operator",
	"get /api/v1/rollouts/{id}/checks": "viewer",
	"post /api/v1/rollouts/{id}/checks/{name}/confirm": "operator",
	"get /api/v1/checks/reports": "viewer",
	"put /api/v1/checks/reports/{name}": "operator",
	"post /api/v1/checks/run": "operator",
	"get /api/v1/gateway/routes": "viewer",
	"post /api/v1/gateway/routes": "admin",
	"post /api/v1/gateway/routes/validate": "viewer",
	"get /api/v1/gateway/routes/{key}": "viewer",
	"put /api/v1/gateway/routes/{key}": "admin",
	"delete /api/v1/gateway/routes/{key}": "admin",
	"get /api/v1/gateway/protections": "viewer",
	"put /api/v1/gateway/protections/{key}": "operator",
	"delete /api/v1/gateway/protections/{key}": "operator",
	"get /api/v1/compare": "operator",
	"get /api/v1/compare/{subject}/report": "operator",
	"get /api/v1/environments": "viewer",
	"get /api/v1/environments/{environment}/settings": "viewer",
	"put /api/v1/environments/{environment}/settings": "admin",
	"post /api/v1/environments/{environment}/breaker/reset": "admin",
	"get /api/v1/deployment/status": "viewer",
	"get /api/v1/deployment/features": "viewer",
	"get /api/v1/deployment/features/{key}": "viewer",
	"post /api/v1/deployment/features/{key}/advance-phase": "operator",
	"post /api/v1/deployment/rollback/manual": "operator",
	"get /api/v1/deployment/rollback/history": "viewer",
	"get /api/v1/deployment/rollback/statistics": "viewer",
	"get /api/v1/metrics": "viewer",
	"post /api/v1/metrics": "operator",
	"get /api/v1/metrics/{key}": "viewer",
	"put /api/v1/metrics/{key}": "operator",
	"delete /api/v1/metrics/{key}": "operator",
	"get /api/v1/deployment/health-checks": "viewer",
	"get /api/v1/deployment/performance-report": "viewer",
	"get /api/v1/deployment/system-status": "viewer",
	"get /api/v1/keys": "viewer",
	"post /api/v1/keys": "admin",
	"delete /api/v1/keys/{id}": "admin",
	"get /api/v1/me": "viewer",
	"get /api/v1/tokens": "admin",
	"post /api/v1/tokens": "admin",
	"delete /api/v1/tokens/{name}": "admin",
	"get /api/v1/webhooks": "viewer",
	"post /api/v1/webhooks": "admin",
	"get /api/v1/webhooks/{id}": "viewer",
	"patch /api/v1/webhooks/{id}": "admin",
	"delete /api/v1/webhooks/{id}": "admin",
	"post /api/v1/webhooks/{id}/rotate": "admin",
	"post /api/v1/webhooks/{id}/test": "admin",
	"get /api/v1/webhooks/{id}/dead-letters": "viewer",
	"post /api/v1/webhooks/{id}/dead-letters/replay": "admin",
	"get /api/v1/audit": "viewer",
};

interface Operation {
	readonly parameters?: readonly { readonly name: string; readonly in: string }[];
}
let operations: readonly (readonly [route: string, Operation])[];

/** A token of each role, for all environments and for one. */
const tokens = new Map<string, string>();
const by = (role: Role, environment: string | null = null) => ({
	authorization: `Bearer ${tokens.get(`${role}-${environment ?? "all"}`) ?? ""}`,
});

/** What is there in production, by the parameters of paths; and a body that each route would take. */
let subject: Readonly<Record<string, Readonly<Record<string, string>>>>;
let bodies: Readonly<Record<string, unknown>>;

const SECRET = "only-production-knows";
const aProtection = () => ({ kind: "shed", share: 10, until: new Date(Date.now() + 3_600_000).toISOString() });

beforeAll(async () => {
	const { paths } = await done<{ paths: Record<string, Record<string, Operation>> }>("GET", "/openapi.json");
	operations = Object.entries(paths).flatMap(([path, item]) =>
		Object.entries(item).map(([method, operation]) => [`${method} ${path}`, operation] as const),
	);
	for (const role of ROLES)
		for (const environment of [null, "staging"]) {
			const name = `${role}-${environment ?? "all"}`;
			// oxlint-disable-next-line no-await-in-loop -- six requests
			const { token } = await done<{ token: string }>("POST", "/api/v1/tokens", { body: { name, role, environment } });
			tokens.set(name, token);
		}
	const { key: flag } = await createFlag({ description: SECRET });
	const { id: rollout } = await createRollout({ flags: [(await createFlag({ description: SECRET })).key] });
	const segment = newKey();
	await done("POST", "/api/v1/segments?environment=production", { body: { key: segment, description: SECRET } });
	await done("POST", "/api/v1/metrics?environment=production", {
		body: { key: "secret", kind: "rate", description: SECRET },
	});
	await done("POST", "/api/v1/gateway/routes?environment=production", {
		body: { key: "secret", host: `${SECRET}.example.com`, origin: "https://origin.example.com" },
	});
	await done("PUT", "/api/v1/gateway/protections/secret?environment=production", { body: aProtection() });
	const { id: sdkKey } = await done<{ id: string }>("POST", "/api/v1/keys", { body: { environment: "production", name: SECRET } });
	const { id: webhook } = await done<{ id: string }>("POST", "/api/v1/webhooks", {
		body: { url: "https://example.com/", environment: "production", description: SECRET },
	});
	subject = {
		flags: { key: flag, version: "1" },
		rollouts: { id: rollout, name: "none" },
		segments: { key: segment },
		metrics: { key: "secret" },
		keys: { id: sdkKey },
		webhooks: { id: webhook },
		tokens: { name: "viewer-all" },
		checks: { name: "secret" },
		environments: { environment: "production" },
		deployment: { key: flag },
		gateway: { key: "secret" },
		compare: { subject: "secret" },
	};
	const metric = { kind: "rate" };
	bodies = {
		"post /api/v1/flags": aFlag(),
		"patch /api/v1/flags/{key}": { enabled: false },
		"post /api/v1/flags/{key}/restore": { version: 1 },
		"post /api/v1/import": { schemaVersion: 1, environment: "staging", flags: [] },
		"post /api/v1/promote": { from: "production", to: "staging", flags: [flag] },
		"post /api/v1/segments": { key: newKey() },
		"patch /api/v1/segments/{key}": { description: "x" },
		"put /api/v1/segments/{key}/keys": { keys: ["ann"] },
		"post /api/v1/gateway/routes": { key: newKey(), host: "shop.example.com", origin: "https://origin.example.com" },
		"post /api/v1/gateway/routes/validate": { key: newKey(), host: "shop.example.com", origin: "https://origin.example.com" },
		"put /api/v1/gateway/routes/{key}": { host: "shop.example.com", origin: "https://origin.example.com" },
		"put /api/v1/gateway/protections/{key}": aProtection(),
		"post /api/v1/explain": { environment: "production", flag, context: {} },
		"post /api/v1/compare-snapshots": { environment: "production", from: 1, to: 1, contexts: [{}] },
		"post /api/v1/rollouts": aPlan({ flags: [flag] }),
		"post /api/v1/rollouts/{id}/commands": { command: "start" },
		"post /api/v1/rollouts/{id}/checks/{name}/confirm": {},
		"put /api/v1/checks/reports/{name}": { status: "passed" },
		"post /api/v1/checks/run": { environment: "production", checks: [] },
		"put /api/v1/environments/{environment}/settings": {},
		"post /api/v1/environments/{environment}/breaker/reset": {},
		"post /api/v1/deployment/features/{key}/advance-phase": {},
		"post /api/v1/deployment/rollback/manual": { environment: "production", all: true, reason: "fire" },
		"post /api/v1/metrics": { key: "other", ...metric },
		"put /api/v1/metrics/{key}": metric,
		"post /api/v1/keys": { environment: "production", name: "mine" },
		"post /api/v1/tokens": { name: "mine", role: "admin" },
		"post /api/v1/webhooks": { url: "https://example.com/", environment: "production" },
		"patch /api/v1/webhooks/{id}": { description: "mine" },
		"post /api/v1/webhooks/{id}/dead-letters/replay": {},
	};
});

/** The route's request about what is in production, which it names unless it is told not to. */
function requestOf(route: string, { parameters = [] }: Operation, environment: string | null = "production") {
	const [method = "", template = ""] = route.split(" ");
	const resource = template.split("/")[3] ?? "";
	const path = template.replace(/\{(\w+)\}/g, (_, name: string) => subject[resource]?.[name] ?? "none");
	const takesEnvironment = parameters.some((each) => each.in === "query" && each.name === "environment");
	const query = takesEnvironment && environment !== null ? `?environment=${environment}` : "";
	const body = bodies[route];
	return { method: method.toUpperCase(), path: path + query, sent: body === undefined ? {} : { body } };
}

test("every route has the least role that it takes decided on", () => {
	expect(operations.map(([route]) => route).toSorted()).toEqual(Object.keys(TAKES).toSorted());
});

describe("a role", () => {
	test.each(ROLES)("of %s is refused all that takes more, and told so, and nothing else", async (role) => {
		for (const [route] of operations) {
			const [method = "", template = ""] = route.split(" ");
			// Of things that are not there: what is let in does nothing.
			const path = template.replace(/\{\w+\}/g, "none");
			const wanted = TAKES[route] ?? "admin";
			// oxlint-disable-next-line no-await-in-loop -- one after the other, so that a failure names its route
			const { status, text } = await send(method.toUpperCase(), `${path}?environment=staging&nonsense=1`, {
				headers: by(role),
				...(method === "get" || method === "delete" ? {} : { body: {} }),
			});
			if (ROLES.indexOf(role) >= ROLES.indexOf(wanted)) expect([200, 404, 422], `${route}: ${text}`).toContain(status);
			else {
				expect(status, route).toBe(403);
				expect(text, route).toContain(`takes ${wanted === "viewer" ? "a" : "an"} ${wanted}`);
			}
		}
	});

	test("that is refused writes nothing, whatever the body", async () => {
		const flag = aFlag();
		const { detail, type } = await refused(403, "POST", FLAGS, { body: flag, headers: by("viewer") });
		expect([type, detail]).toEqual(["urn:tidegate:problem:forbidden", "this token is a viewer's: POST /api/v1/flags takes an operator"]);
		await refused(404, "GET", flagAt(flag.key));
	});

	test("is not got around by another way of writing the path or the method", async () => {
		for (const path of [
			"/api/v1/%74okens",
			"/api/v1/tokens/",
			"/api/v1//tokens",
			"/api/v1/x/../tokens",
			"/API/v1/tokens",
			"/api/v1/Tokens",
		]) {
			// oxlint-disable-next-line no-await-in-loop -- few requests
			const { status, text } = await send("GET", path, { headers: by("operator") });
			expect([403, 404], `${path}: ${text}`).toContain(status);
			// oxlint-disable-next-line no-await-in-loop -- see above
			const created = await send("POST", path, { headers: by("operator"), body: { name: "mine", role: "admin" } });
			expect([403, 404], path).toContain(created.status);
		}
		const overridden = { ...by("viewer"), "x-http-method-override": "POST", "x-method-override": "POST" };
		expect((await send("GET", FLAGS, { headers: overridden })).status).toBe(200);
		const head = new Request("https://control.example/api/v1/tokens", { method: "HEAD", headers: by("operator") });
		expect((await exports.default.fetch(head)).status).toBe(403);
	});
});

describe("a token of staging", () => {
	test("reaches nothing of production, by no route", async () => {
		for (const [route, operation] of operations) {
			if (route === "get /api/v1/me") continue;
			const { method, path, sent } = requestOf(route, operation);
			// oxlint-disable-next-line no-await-in-loop -- one after the other, so that a failure names its route
			const { status, text } = await send(method, path, { headers: { ...by("admin", "staging"), "if-match": '"1"' }, ...sent });
			expect([status, text.includes(SECRET)], `${route}: ${text}`).toEqual([403, false]);
		}
	});

	test("reaches nothing of all environments together, where the request names none", async () => {
		for (const [route, operation] of operations) {
			if (route === "get /api/v1/me" || bodies[route] !== undefined) continue;
			const { method, path } = requestOf(route, operation, null);
			// oxlint-disable-next-line no-await-in-loop -- see above
			const { status, text } = await send(method, path, { headers: { ...by("admin", "staging"), "if-match": '"1"' } });
			// 422: the environment has to be named.
			expect([403, 422], `${route}: ${text}`).toContain(status);
			expect(text, route).not.toContain(SECRET);
		}
	});

	test("finds nothing of production under staging's name", async () => {
		for (const [route, operation] of operations) {
			if (!route.startsWith("get ")) continue;
			const { method, path } = requestOf(route, operation, "staging");
			// oxlint-disable-next-line no-await-in-loop -- see above
			const { text } = await send(method, path, { headers: by("viewer", "staging") });
			expect(text, route).not.toContain(SECRET);
			expect(text, route).not.toContain('"environment":"production"');
		}
		const { id } = subject["rollouts"] ?? {};
		const checks = `/api/v1/deployment/health-checks?environment=staging&rollout=${id ?? ""}`;
		await refused(403, "GET", checks, { headers: by("viewer", "staging") });
	});

	test("left everything of production as it was", async () => {
		const { key = "" } = subject["flags"] ?? {};
		const { id = "" } = subject["rollouts"] ?? {};
		expect(await done("GET", flagAt(key))).toMatchObject({ version: 1, enabled: true });
		expect(await done("GET", `${ROLLOUTS}/${id}`)).toMatchObject({ status: "draft", revision: 0 });
		const { keys } = await done<{ keys: { name: string; revokedAtMs: number | null }[] }>("GET", "/api/v1/keys");
		expect(keys.map(({ name, revokedAtMs }) => [name, revokedAtMs])).toEqual([[SECRET, null]]);
	});

	test.each<[what: string, query: string]>([
		["named twice", "environment=staging&environment=production"],
		["named twice the other way round", "environment=production&environment=staging"],
		["written otherwise", "%65nvironment=production&environment=staging"],
		["written otherwise behind", "environment=staging&%65nvironment=production"],
		["in other letters", "environment=staging&Environment=production"],
		["as a list", "environment[]=production&environment=staging"],
		["with a null byte", "environment=staging%00production"],
	])("is not fooled by an environment %s", async (_, query) => {
		for (const path of ["flags", "segments", "metrics", "export", "rollouts", "keys", "deployment/system-status"]) {
			// oxlint-disable-next-line no-await-in-loop -- few requests
			const { status, text } = await send("GET", `/api/v1/${path}?${query}`, { headers: by("viewer", "staging") });
			expect([403, 422], `${path}: ${text}`).toContain(status);
		}
	});

	test("does in staging what its role may", async () => {
		const operator = { headers: by("operator", "staging") };
		const { key } = await done<{ key: string }>("POST", "/api/v1/flags?environment=staging", { body: aFlag(), ...operator });
		const { id } = await done<{ id: string }>("POST", ROLLOUTS, {
			body: aPlan({ environment: "staging", flags: [key] }),
			...operator,
		});
		await done("POST", `${ROLLOUTS}/${id}/commands`, { body: { command: "start" }, ...operator });
		expect(await done("GET", `${ROLLOUTS}/${id}/events`, operator)).toMatchObject({
			events: [{ kind: "start", actor: "operator-staging" }],
		});
		expect(await done("GET", `${ROLLOUTS}?environment=staging`, operator)).toMatchObject({ rollouts: [{ id }] });
		await done("GET", `/api/v1/deployment/system-status?environment=staging`, operator);
		await refused(403, "POST", "/api/v1/keys", { body: { environment: "staging", name: "mine" }, ...operator });
		const admin = { headers: by("admin", "staging") };
		const sdkKey = await done<{ id: string }>("POST", "/api/v1/keys", { body: { environment: "staging", name: "mine" }, ...admin });
		await done("DELETE", `/api/v1/keys/${sdkKey.id}`, admin);
		const file = await done("GET", "/api/v1/export?environment=production");
		await done("POST", "/api/v1/import?environment=staging&dryRun=true", { body: file, ...admin });
	});

	test("is told what it would take", async () => {
		const { headers } = { headers: by("viewer", "staging") };
		expect((await refused(403, "GET", FLAGS, { headers })).detail).toBe("this token is for staging only: it does not reach production");
		expect((await refused(403, "GET", ROLLOUTS, { headers })).detail).toBe(
			"this token is for staging only: name the environment, ?environment=staging",
		);
		for (const path of ["/api/v1/audit", "/health/metrics"])
			// oxlint-disable-next-line no-await-in-loop -- two requests
			expect((await refused(403, "GET", path, { headers })).detail).toBe(
				"this token is for staging only: this takes one for all environments",
			);
		await refused(404, "GET", `${ROLLOUTS}/nobody.1`, { headers });
	});
});
