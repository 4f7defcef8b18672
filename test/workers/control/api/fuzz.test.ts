import { expect, test } from "vitest";
import { FLAGS, ROLLOUTS, TOKEN, aFlag, aPlan, createFlag, newKey, send } from "./harness";

const BODIES = 200;
const SEED = 20_261_120;

/** mulberry32: the same bodies in every run. */
function random(seed: number): () => number {
	let state = seed;
	return () => {
		state = (state + 0x6d2b79f5) | 0;
		let t = Math.imul(state ^ (state >>> 15), 1 | state);
		t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
		return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
	};
}

/** JSON as a text, so that it may hold what no value can. */
const HOSTILE: readonly ((draw: () => number) => string)[] = [
	() => "null",
	() => "true",
	() => "-0",
	() => "1e999",
	() => "-1e999",
	() => "9007199254740993",
	() => "0.00001",
	() => "NaN",
	() => "Infinity",
	() => '"NaN"',
	() => '""',
	() => '"\\ud800"',
	() => '"\\udc00\\ud800"',
	() => '"\\u0000"',
	() => '"\ufeff"',
	() => '"\'; DROP TABLE flags; --"',
	() => '"__proto__"',
	() => '"constructor"',
	() => '{"__proto__": {"enabled": false}}',
	() => '{"constructor": {"prototype": {"admin": true}}}',
	() => '{"toString": null, "valueOf": 1, "hasOwnProperty": 1, "then": 1, "toJSON": 1}',
	() => '{"": ""}',
	() => '{"a": 1, "a": 2}',
	() => "[]",
	() => "{}",
	(draw) => nested("[", "]", draw),
	(draw) => nested('{"a":', "}", draw),
	(draw) => nested('{"all":[', "]}", draw),
	(draw) => `"${"x".repeat(Math.floor(draw() * 50_000))}"`,
	() => `"${"x".repeat(1_000_000)}"`,
	(draw) => `[${Array.from({ length: Math.floor(draw() * 3_000) }, () => "1").join(",")}]`,
	(draw) => `{${Array.from({ length: Math.floor(draw() * 2_000) }, (_, i) => `"k${i}":${i}`).join(",")}}`,
];

function nested(open: string, close: string, draw: () => number): string {
	const depth = 1 + Math.floor(draw() * 20_000);
	return `${open.repeat(depth)}1${close.repeat(depth)}`;
}

/** A valid body in which about that share of the values, anywhere, are hostile ones, and sometimes one more field. */
function spoiled(body: unknown, draw: () => number, share: number): string {
	const hostile = () => (HOSTILE[Math.floor(draw() * HOSTILE.length)] ?? (() => "null"))(draw);
	if (draw() < share) return hostile();
	if (Array.isArray(body)) return `[${body.map((each) => spoiled(each, draw, share)).join(",")}${draw() < share ? `,${hostile()}` : ""}]`;
	if (typeof body !== "object" || body === null) return JSON.stringify(body);
	const fields = Object.entries(body).map(([name, value]) => `${JSON.stringify(name)}:${spoiled(value, draw, share)}`);
	if (draw() < share) fields.push(`${draw() < 0.5 ? '"__proto__"' : '"\\ud800"'}:${hostile()}`);
	return `{${fields.join(",")}}`;
}

const CREATED = [201, 400, 413, 422];
test.each<[what: string, path: string, statuses: readonly number[]]>([
	["a flag", FLAGS, CREATED],
	["a rollout", ROLLOUTS, CREATED],
	["a key", "/api/v1/keys", CREATED],
	["a token", "/api/v1/tokens", CREATED],
	["a segment", "/api/v1/segments?environment=production", CREATED],
	["a webhook", "/api/v1/webhooks", [201, 400, 409, 413, 422]],
	["an import", "/api/v1/import?environment=staging", [200, 400, 422]],
	["a simple import", "/api/v1/import?environment=staging", [200, 400, 422]],
	["a promotion", "/api/v1/promote", [200, 400, 413, 422]],
	["checks", "/api/v1/checks/run", [200, 400, 413, 422]],
	["a route", "/api/v1/gateway/routes?environment=production", [201, 400, 409, 413, 422]],
])("whatever is sent as %s, the answer is no failure, and is JSON", { timeout: 60_000 }, async (what, path, wanted) => {
	const { key } = await createFlag();
	const condition = { all: [{ attribute: "a", op: "in", values: ["x", 1] }, { not: { attribute: "b", op: "matches", values: ["a+$"] } }] };
	const rule = { id: "r", description: "", when: condition, serve: [{ variant: "true", weight: 100_000 }] };
	const valid = (): unknown => {
		if (what === "a segment") return { key: newKey(), description: "text", when: condition };
		if (what === "a token") return { name: newKey(), role: "viewer", environment: "staging" };
		if (what === "a webhook")
			return { url: "https://example.com/hook", events: ["rollout.*", "page.no_data"], environment: "staging", description: "text" };
		if (what === "a route")
			return {
				key: newKey(),
				// Ten of them share a host, and conflict.
				host: `${newKey().slice(0, -1)}.example.com`,
				path: "/a/:b/*",
				methods: ["GET"],
				flag: key,
				origins: { true: "https://a.example.com", false: { service: "BLUE" } },
				targeting: { header: "x-user" },
				context: { plan: "x-plan" },
				shadow: { variant: "true", compare: { ignore: ["$.a"], tolerance: { "$.b[*]": 0.1 } } },
			};
		if (what === "an import")
			return {
				schemaVersion: 1,
				flags: [aFlag({ rules: [rule], targets: [{ variant: "true", keys: ["ann"] }] }), aFlag()],
				segments: [{ key: newKey(), when: condition, keys: ["ann", "bob"] }],
			};
		if (what === "a simple import")
			return {
				flags: [
					{
						name: newKey(),
						status: "percentage",
						rollout_percentage: 5,
						enabled_users: ["ann"],
						enabled_groups: ["x"],
						conditions: { a: ["b", 1], c: true },
					},
					{ name: newKey(), status: "enabled" },
				],
			};
		if (what === "checks")
			return {
				environment: "production",
				flags: [key],
				percent: 5,
				checks: [
					{ name: "a", http: "https://10.0.0.1/", expect: [200], json: { path: "$.a[0]", equals: "ok" }, latency: "500ms" },
					{ name: "b", metric: "error_rate < 3%", over: "15m", every: "1h", retries: 0 },
					{ name: "c", dependency: "db", metric: "cpu_percent < 80", when: "both", retries: 0 },
					{ name: "d", hygiene: { owner: true } },
					{ name: "e", reported: "e2e", stale: "2d" },
					{ name: "f", manual: "text", critical: false },
				],
			};
		if (what === "a promotion") return { from: "production", to: "staging", flags: [key], dryRun: false, reason: "text" };
		if (what === "a flag")
			return aFlag({
				variants: { true: true, false: false },
				rules: [rule],
				fallthrough: "false",
				salt: newKey(),
				description: "text",
			});
		return what === "a rollout"
			? aPlan({
					flags: [key],
					candidate: "true",
					holdback: 5,
					min_users: 10,
					routes: [
						{
							key: newKey(),
							host: `${newKey()}.example.com`,
							origins: { true: "https://a.example.com", false: { service: "BLUE" } },
							shadow: { variant: "true" },
						},
					],
				})
			: { environment: "production", kind: "server", name: newKey() };
	};
	const draw = random(SEED);
	const statuses = new Map<number, number>();
	for (let i = 0; i < BODIES; i++) {
		const body = spoiled(valid(), draw, draw() * draw() * 0.2);
		// oxlint-disable-next-line no-await-in-loop -- one after the other, so that a failure names its body
		const { status, headers, text } = await send("POST", path, { body, headers: { authorization: `Bearer ${TOKEN}` } });
		expect(status, `${body.slice(0, 500)} → ${text}`).toBeLessThan(500);
		expect(headers.get("content-type"), body.slice(0, 500)).toMatch(status < 300 ? /^application\/json/ : /^application\/problem\+json$/);
		statuses.set(status, (statuses.get(status) ?? 0) + 1);
	}
	// The bodies are worth something: some are taken, and some refused for each reason.
	expect([...statuses.keys()].sort((a, b) => a - b)).toEqual([...wanted]);
	// What was taken can be read again.
	for (const list of [
		FLAGS,
		ROLLOUTS,
		"/api/v1/keys",
		"/api/v1/tokens",
		"/api/v1/webhooks",
		"/api/v1/audit",
		"/api/v1/gateway/routes?environment=production",
		"/api/v1/export?environment=staging",
	]) {
		// oxlint-disable-next-line no-await-in-loop -- a few requests
		expect((await send("GET", list)).status, list).toBe(200);
	}
});
