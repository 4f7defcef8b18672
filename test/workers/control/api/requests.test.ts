import { exports } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import {
	FLAGS,
	ROLLOUTS,
	TOKEN,
	aFlag,
	aPlan,
	auditRows,
	commandsOf,
	createFlag,
	createRollout,
	done,
	flagAt,
	newKey,
	pointersOf,
	refused,
	send,
} from "./harness";

const LIMIT_BYTES = 262_144;

/** Every route that takes a body, with one that it would take. */
async function bodied(): Promise<readonly (readonly [method: string, path: string, body: unknown])[]> {
	const { key } = await createFlag();
	const { id } = await createRollout();
	return [
		["POST", FLAGS, aFlag()],
		["PATCH", flagAt(key), { enabled: false }],
		["POST", ROLLOUTS, aPlan({ flags: [key] })],
		["POST", commandsOf(id), { command: "start" }],
		["POST", "/api/v1/keys", { environment: "production", name: "shop" }],
		["POST", "/api/v1/segments?environment=production", { key: newKey() }],
		["POST", "/api/v1/promote", { from: "production", to: "staging", flags: [key], dryRun: true }],
	];
}

describe("a body", () => {
	test.each([
		["half of an object", `{"key": "a"`],
		["no JSON", "key=a"],
		["nothing", ""],
		["two values", "{} {}"],
		["NaN", `{"key": NaN}`],
		["a comment", `{"key": "a" /* mine */}`],
	])("of %s is 400", async (_, body) => {
		for (const [method, path] of await bodied()) {
			// oxlint-disable-next-line no-await-in-loop -- few requests
			expect((await refused(400, method, path, { body })).type).toBe("urn:tidegate:problem:malformed");
		}
	});

	test.each(["null", "[]", "1", `"text"`, "true"])("of %s is 422 at the root", async (body) => {
		for (const [method, path] of await bodied()) {
			// oxlint-disable-next-line no-await-in-loop -- few requests
			const problem = await refused(422, method, path, { body });
			expect(problem.errors).toEqual([{ pointer: "", message: expect.stringMatching(/^takes an object, not /) }]);
			expect(problem.detail).toMatch(/^the body: takes an object, not /);
		}
	});

	test.each([
		"text/plain",
		"application/x-www-form-urlencoded",
		"multipart/form-data; boundary=x",
		"application/xml",
		"application/jsonx",
		"",
	])("of the content type '%s' is 415, and changes nothing", async (contentType) => {
		for (const [method, path, body] of await bodied()) {
			// oxlint-disable-next-line no-await-in-loop -- few requests
			const problem = await refused(415, method, path, {
				body,
				headers: { "content-type": contentType, ...(method === "PATCH" ? { "if-match": '"1"' } : {}) },
			});
			expect(problem.detail).toContain("application/json");
		}
	});

	test.each(["application/json", "application/json; charset=utf-8", "Application/JSON", "application/merge-patch+json"])(
		"of the content type %s is taken",
		async (contentType) => {
			for (const [method, path, body] of await bodied()) {
				// oxlint-disable-next-line no-await-in-loop -- few requests
				await done(method, path, { body, headers: { "content-type": contentType } });
			}
		},
	);

	test("over the limit is 413, whoever sends it; at the limit it is read", async () => {
		const over = "x".repeat(LIMIT_BYTES + 1);
		for (const [method, path] of await bodied()) {
			// oxlint-disable-next-line no-await-in-loop -- few requests
			const problem = await refused(413, method, path, { body: over });
			expect(problem["limitBytes"]).toBe(LIMIT_BYTES);
		}
		const flag = JSON.stringify(aFlag());
		await done("POST", FLAGS, { body: `${flag}${" ".repeat(LIMIT_BYTES - flag.length)}` });
		await refused(413, "POST", FLAGS, { body: `${flag}${" ".repeat(LIMIT_BYTES - flag.length + 1)}` });
	});

	test("over the limit is 413 also when its length is not announced", async () => {
		const chunk = new TextEncoder().encode(" ".repeat(65_536));
		let chunks = 0;
		const body = new ReadableStream<Uint8Array>({
			pull(controller) {
				if (++chunks > 5) controller.close();
				else controller.enqueue(chunk);
			},
		});
		const headers = { authorization: `Bearer ${TOKEN}`, "content-type": "application/json" };
		const response = await exports.default.fetch(new Request(`https://control.example${FLAGS}`, { method: "POST", headers, body }));
		expect([response.status, response.headers.get("content-type")]).toEqual([413, "application/problem+json"]);
	});
});

describe("a query parameter that there is not", () => {
	const flag = { key: "query", type: "boolean" };
	test.each<[method: string, path: string, body?: unknown]>([
		["GET", "/api/v1/flags?environment=production&enviroment=staging"],
		["POST", "/api/v1/flags?environment=production&enviroment=staging", flag],
		["GET", "/api/v1/flags/query?environment=production&enviroment=staging"],
		["PATCH", "/api/v1/flags/query?environment=production&enviroment=staging", { enabled: false }],
		["DELETE", "/api/v1/flags/query?environment=production&enviroment=staging"],
		["GET", "/api/v1/keys?enviroment=staging"],
		["POST", "/api/v1/keys?enviroment=staging", { environment: "production", name: "query" }],
		["DELETE", "/api/v1/keys/query?enviroment=staging"],
		["GET", "/api/v1/rollouts?enviroment=staging"],
		["GET", "/api/v1/rollouts/query.1/events?enviroment=staging"],
		["GET", "/api/v1/audit?enviroment=staging"],
		["GET", "/api/v1/flags/query/versions?environment=production&enviroment=staging"],
		["GET", "/api/v1/flags/query/versions/1?environment=production&enviroment=staging"],
		["POST", "/api/v1/flags/query/restore?environment=production&enviroment=staging", { version: 1 }],
		["GET", "/api/v1/export?environment=production&enviroment=staging"],
		["POST", "/api/v1/import?environment=production&enviroment=staging", { flags: [] }],
		["GET", "/api/v1/segments?environment=production&enviroment=staging"],
		["POST", "/api/v1/segments?environment=production&enviroment=staging", { key: "query" }],
		["PUT", "/api/v1/segments/query/keys?environment=production&enviroment=staging", { keys: [] }],
	])("is refused by %s %s, and named", async (method, path, body) => {
		const before = await auditRows();
		expect(pointersOf(await refused(422, method, path, { body }))).toEqual(["?enviroment="]);
		expect(await auditRows()).toEqual(before);
	});

	test("is refused beside the one that is missing: a slip of the pen is named", async () => {
		expect([...pointersOf(await refused(422, "GET", "/api/v1/flags?enviroment=staging"))].sort()).toEqual([
			"?enviroment=",
			"?environment=",
		]);
	});
});

describe("a route that there is not", () => {
	test.each([
		["GET", "/"],
		["GET", "/nowhere"],
		["GET", "/api"],
		["GET", "/api/v1"],
		["GET", "/api/v1/nowhere"],
		["GET", "/api/v2/flags?environment=production"],
		["PUT", "/api/v1/flags/checkout?environment=production"],
		["DELETE", "/api/v1/flags?environment=production"],
		["DELETE", "/api/v1/rollouts/checkout.1"],
		["PATCH", "/api/v1/rollouts/checkout.1"],
		["DELETE", "/api/v1/audit"],
		["POST", "/api/v1/audit"],
		["GET", "/health"],
		["GET", "/health/secrets"],
		["POST", "/health/liveness"],
		["GET", "//api/v1/flags"],
		["GET", "/api/v1/flags/a/b"],
	])("%s %s is 404, and says what was asked for", async (method, path) => {
		const problem = await refused(404, method, path, method === "GET" || method === "DELETE" ? {} : { body: {} });
		expect(problem.detail).toContain(`${method} ${path.split("?")[0]}`);
	});

	test.each(["%00", "%E0%A4%A", "..%2f..%2fetc", "__proto__", "%F0%9F%8C%8A", "a".repeat(5_000)])(
		"a key or id of %s is refused, never a failure",
		async (name) => {
			for (const path of [flagAt(name), `${ROLLOUTS}/${name}`, `${ROLLOUTS}/${name}/events`]) {
				// oxlint-disable-next-line no-await-in-loop -- few requests
				expect([404, 422]).toContain((await send("GET", path)).status);
			}
		},
	);
});

describe("the clock that stamps events", () => {
	test.each([
		["a time", "1700000000000", 1_700_000_000_000],
		["the beginning", "0", 0],
	])("is moved by x-tidegate-now to %s", async (_, given, wanted) => {
		const { updatedAtMs } = await done<{ updatedAtMs: number }>("POST", FLAGS, {
			body: aFlag({ key: newKey() }),
			headers: { "x-tidegate-now": given },
		});
		expect(updatedAtMs).toBe(wanted);
	});

	test.each(["-1", "1.5", "soon", "1e400", "99999999999999999999"])("is the real one with %s", async (given) => {
		const beforeMs = Date.now();
		const { updatedAtMs } = await done<{ updatedAtMs: number }>("POST", FLAGS, {
			body: aFlag({ key: newKey() }),
			headers: { "x-tidegate-now": given },
		});
		expect(updatedAtMs).toBeGreaterThanOrEqual(beforeMs);
	});
});
