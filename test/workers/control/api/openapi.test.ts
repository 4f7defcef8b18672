import { beforeAll, expect, test } from "vitest";
import { done, refused, send } from "./harness";

type Json = null | boolean | number | string | Json[] | { [key: string]: Json };
interface Content {
	readonly schema: unknown;
	readonly examples?: Readonly<Record<string, { readonly summary: string; readonly value: unknown }>>;
}
interface Operation {
	readonly summary?: string;
	readonly security?: readonly unknown[];
	readonly parameters?: readonly { readonly name: string; readonly in: string }[];
	readonly requestBody?: { readonly required?: boolean; readonly content: Readonly<Record<string, Content>> };
	readonly responses: Readonly<
		Record<string, { readonly description: string; readonly content?: Readonly<Record<string, { readonly schema: unknown }>> }>
	>;
}
interface Document {
	readonly openapi: string;
	readonly info: { readonly title: string; readonly version: string };
	readonly security: readonly Record<string, unknown>[];
	readonly components: { readonly securitySchemes: Record<string, { readonly type: string; readonly scheme: string }> };
	readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
}

/** Every route of the API. */
const ROUTES = [
	"get /api/v1/flags",
	"post /api/v1/flags",
	"get /api/v1/flags/{key}",
	"patch /api/v1/flags/{key}",
	"delete /api/v1/flags/{key}",
	"get /api/v1/flags/{key}/versions",
	"get /api/v1/flags/{key}/versions/{version}",
	"post /api/v1/flags/{key}/restore",
	"get /api/v1/export",
	"post /api/v1/import",
	"post /api/v1/promote",
	"get /api/v1/segments",
	"post /api/v1/segments",
	"get /api/v1/segments/{key}",
	"patch /api/v1/segments/{key}",
	"delete /api/v1/segments/{key}",
	"get /api/v1/segments/{key}/keys",
	"put /api/v1/segments/{key}/keys",
	"post /api/v1/explain",
	"post /api/v1/compare-snapshots",
	"get /api/v1/deployment/status",
	"get /api/v1/deployment/features",
	"get /api/v1/deployment/features/{key}",
	"post /api/v1/deployment/features/{key}/advance-phase",
	"post /api/v1/deployment/rollback/manual",
	"get /api/v1/deployment/rollback/statistics",
	"get /api/v1/deployment/rollback/history",
	"get /api/v1/rollouts",
	"post /api/v1/rollouts",
	"get /api/v1/rollouts/{id}",
	"get /api/v1/rollouts/{id}/events",
	"post /api/v1/rollouts/{id}/commands",
	"get /api/v1/rollouts/{id}/checks",
	"post /api/v1/rollouts/{id}/checks/{name}/confirm",
	"get /api/v1/checks/reports",
	"put /api/v1/checks/reports/{name}",
	"post /api/v1/checks/run",
	"get /api/v1/metrics",
	"post /api/v1/metrics",
	"get /api/v1/metrics/{key}",
	"put /api/v1/metrics/{key}",
	"delete /api/v1/metrics/{key}",
	"get /api/v1/gateway/routes",
	"post /api/v1/gateway/routes",
	"post /api/v1/gateway/routes/validate",
	"get /api/v1/gateway/routes/{key}",
	"put /api/v1/gateway/routes/{key}",
	"delete /api/v1/gateway/routes/{key}",
	"get /api/v1/gateway/protections",
	"put /api/v1/gateway/protections/{key}",
	"delete /api/v1/gateway/protections/{key}",
	"get /api/v1/compare",
	"get /api/v1/compare/{subject}/report",
	"get /api/v1/environments",
	"get /api/v1/environments/{environment}/settings",
	"put /api/v1/environments/{environment}/settings",
	"post /api/v1/environments/{environment}/breaker/reset",
	"get /api/v1/deployment/health-checks",
	"get /api/v1/deployment/performance-report",
	"get /api/v1/deployment/system-status",
	"get /api/v1/keys",
	"post /api/v1/keys",
	"delete /api/v1/keys/{id}",
	"get /api/v1/me",
	"get /api/v1/tokens",
	"post /api/v1/tokens",
	"delete /api/v1/tokens/{name}",
	"get /api/v1/webhooks",
	"post /api/v1/webhooks",
	"get /api/v1/webhooks/{id}",
	"patch /api/v1/webhooks/{id}",
	"delete /api/v1/webhooks/{id}",
	"post /api/v1/webhooks/{id}/rotate",
	"post /api/v1/webhooks/{id}/test",
	"get /api/v1/webhooks/{id}/dead-letters",
	"post /api/v1/webhooks/{id}/dead-letters/replay",
	"get /api/v1/audit",
];

let document: Document;
beforeAll(async () => {
	document = await done<Document>("GET", "/openapi.json", { headers: { authorization: "" } });
});
const operations = (): [route: string, operation: Operation][] =>
	Object.entries(document.paths).flatMap(([path, item]) =>
		Object.entries(item).map(([method, operation]): [string, Operation] => [`${method} ${path}`, operation]),
	);

test("is OpenAPI 3.1, and open to everybody", async () => {
	expect(document.openapi).toMatch(/^3\.1\.\d+$/);
	expect(document.info).toMatchObject({ title: expect.stringMatching(/./), version: expect.stringMatching(/./) });
	expect((await send("GET", "/openapi.json", { headers: { authorization: "" } })).headers.get("content-type")).toContain(
		"application/json",
	);
});

test("has every route and no other", () => {
	expect(
		operations()
			.map(([route]) => route)
			.sort(),
	).toEqual([...ROUTES].sort());
});

test("asks for a token everywhere, by a scheme that is declared", () => {
	expect(document.security.length).toBeGreaterThan(0);
	for (const requirement of document.security)
		for (const name of Object.keys(requirement))
			expect(document.components.securitySchemes[name]).toMatchObject({ type: "http", scheme: "bearer" });
	for (const [route, operation] of operations()) {
		expect(operation.security ?? document.security, route).not.toEqual([]);
		for (const status of ["401", "403"]) expect(operation.responses[status], route).toBeDefined();
	}
});

test("names every parameter of a path, once", () => {
	for (const [route, { parameters = [] }] of operations()) {
		const inPath = [...route.matchAll(/\{(\w+)\}/g)].map((match) => match[1]);
		expect(
			parameters.filter((each) => each.in === "path").map((each) => each.name),
			route,
		).toEqual(inPath);
		const all = parameters.map((each) => `${each.in} ${each.name}`);
		expect(new Set(all).size, route).toBe(all.length);
	}
});

test("describes each answer, a success among them, and each refusal as a problem", () => {
	for (const [route, { summary, responses, requestBody }] of operations()) {
		expect(summary, route).toMatch(/./);
		expect(
			Object.keys(responses).some((status) => status.startsWith("2")),
			route,
		).toBe(true);
		for (const [status, { description, content = {} }] of Object.entries(responses)) {
			expect(description, route).toMatch(/./);
			if (Number(status) >= 400) expect(Object.keys(content), `${route} ${status}`).toEqual(["application/problem+json"]);
			for (const each of Object.values(content)) expect(each.schema, `${route} ${status}`).toBeDefined();
		}
		if (requestBody === undefined) continue;
		expect(requestBody.required, route).toBe(true);
		expect(requestBody.content["application/json"]?.schema, route).toBeDefined();
		for (const status of ["400", "413", "415", "422"]) expect(responses[status], `${route} ${status}`).toBeDefined();
	}
});

test("every $ref resolves", () => {
	const resolves = (ref: string): boolean => {
		let at: Json | undefined = document as unknown as Json;
		for (const part of ref.replace(/^#\//, "").split("/")) {
			const name = decodeURIComponent(part).replaceAll("~1", "/").replaceAll("~0", "~");
			at = typeof at === "object" && at !== null && !Array.isArray(at) ? at[name] : undefined;
		}
		return ref.startsWith("#/") && at !== undefined;
	};
	const visit = (value: Json): void => {
		if (typeof value !== "object" || value === null) return;
		if (!Array.isArray(value) && typeof value["$ref"] === "string") expect(resolves(value["$ref"]), value["$ref"]).toBe(true);
		Object.values(value).forEach(visit);
	};
	visit(document as unknown as Json);
});

test("uses nothing that 3.1 has dropped", () => {
	const text = JSON.stringify(document.paths);
	expect(text).not.toContain('"nullable"');
	expect(text).not.toMatch(/"exclusiveM(in|ax)imum":(true|false)/);
});

test("every command has an example, and each example is taken", async () => {
	const commands = document.paths["/api/v1/rollouts/{id}/commands"]?.["post"]?.requestBody?.content["application/json"];
	const examples = Object.values(commands?.examples ?? {}).map(({ value }) => value as { readonly command: string });
	expect(new Set(examples.map((each) => each.command))).toEqual(
		new Set(["start", "approve", "reject", "pause", "resume", "advance", "extend", "roll_back", "cancel"]),
	);
	// Its fields are right: what is wrong is that there is no such rollout.
	for (const body of examples) await refused(404, "POST", "/api/v1/rollouts/nowhere.1/commands", { body });
});
