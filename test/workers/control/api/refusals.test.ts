import { env } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import { aFlag, aPlan, createFlag, done, newKey, refused } from "./harness";

/** Whoever is refused reads of which environment that is, and by whom. */

const ORIGINS = { true: "https://new.example.com", false: "https://old.example.com" };
const ROUTES = "/api/v1/gateway/routes";

describe("a refusal names the environment", () => {
	test.each<[what: string, method: string, path: string]>([
		["a flag that is not there", "GET", "/api/v1/flags/nobody"],
		["a version of it", "GET", "/api/v1/flags/nobody/versions/3"],
		["its versions", "GET", "/api/v1/flags/nobody/versions"],
		["a segment that is not there", "GET", "/api/v1/segments/nobody"],
		["a route that is not there", "GET", `${ROUTES}/nobody`],
		["a metric that is not there", "GET", "/api/v1/metrics/nobody"],
		["a protection that is not there", "DELETE", "/api/v1/gateway/protections/nobody"],
		["a feature that is not there", "GET", "/api/v1/deployment/features/nobody"],
	])("of %s", async (_, method, path) => {
		for (const environment of ["production", "staging"]) {
			// oxlint-disable-next-line no-await-in-loop -- two requests
			const { detail } = await refused(404, method, `${path}?environment=${environment}`);
			expect(detail).toMatch(new RegExp(`nobody in ${environment}$`));
		}
	});

	test("of what is there already", async () => {
		const flag = await done<{ key: string }>("POST", "/api/v1/flags?environment=staging", { body: aFlag() });
		const { detail } = await refused(409, "POST", "/api/v1/flags?environment=staging", { body: aFlag({ key: flag.key }) });
		expect(detail).toContain(`the flag ${flag.key} exists in staging: `);
	});

	/** Rows of routes as they are stored, which nobody has looked at. */
	const fill = (count: number, config: string) =>
		env.DB.prepare(
			`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)
			INSERT INTO gateway_routes (environment, key, version, host, config, updated_at_ms)
			SELECT 'staging', 'filler-' || i, 1, 'filler.example.com', ${config}, 0 FROM n`,
		)
			.bind(count)
			.run();

	test.each<[what: string, count: number, config: string, path: string, says: RegExp, body: (flag: string) => object]>([
		[
			"a plan's environment",
			200,
			"'{}'",
			"/api/v1/rollouts",
			/^staging has 200 routes, which is the limit/,
			(flag) =>
				aPlan({ flags: [flag], environment: "staging", routes: [{ key: newKey(), host: "many.example.com", flag, origins: ORIGINS }] }),
		],
		[
			"the one that flags are promoted into",
			5,
			"substr(hex(zeroblob(950000)), 1, 1900000)",
			"/api/v1/promote",
			/^the flags, segments and routes of staging would have/,
			(flag) => ({ from: "production", to: "staging", flags: [flag] }),
		],
	])("where the body says which: %s", async (_, count, config, path, says, body) => {
		const { key } = await createFlag({ description: "newer" });
		await done("POST", "/api/v1/import?environment=staging", { body: { schemaVersion: 1, flags: [aFlag({ key })], segments: [] } });
		await fill(count, config);
		const { detail } = await refused(path.endsWith("promote") ? 422 : 409, "POST", path, { body: body(key) });
		await env.DB.prepare("DELETE FROM gateway_routes WHERE key LIKE 'filler-%'").run();
		expect(detail).toMatch(says);
	});
});

describe("of what is in use", () => {
	test("at most 20 that name it are told, and how many there are in all", async () => {
		const segment = newKey();
		await done("POST", "/api/v1/segments?environment=production", { body: { key: segment } });
		const rules = [{ id: "r", when: { segment }, serve: "true" }];
		for (let i = 0; i < 21; i++) {
			// oxlint-disable-next-line no-await-in-loop -- few requests
			await createFlag({ rules });
		}
		const problem = await refused(409, "DELETE", `/api/v1/segments/${segment}?environment=production`, { headers: { "if-match": '"1"' } });
		expect(problem).toMatchObject({ total: 21, by: expect.objectContaining({ length: 20 }) });
		expect(problem.detail).toContain(` and 1 more (21 in all) name segment ${segment}`);
	});
});
