import { env } from "cloudflare:workers";
import { beforeAll, expect, test } from "vitest";
import { FLAGS, type FlagBody, aFlag, createFlag, done, flagAt, newKey, refused } from "./harness";

/** What an environment's flags may weigh together. */

const LIMIT_BYTES = 8 * 1024 * 1024;
/** A row holds 2 MB at most. */
const FILLERS = 10;

const text = (value: string) => ({ type: "string", variants: { on: value }, offVariant: "on", fallthrough: "on" });
const ifMatch = ({ version }: FlagBody) => ({ "if-match": `"${version}"` });

/** Flags that nobody changes and that weigh so much, one of them the rest, that so many bytes are left. */
async function leave(bytes: number): Promise<void> {
	const others = await env.DB.prepare(
		"SELECT coalesce(sum(length(CAST(config AS BLOB))), 0) AS bytes FROM flags WHERE environment = 'production' AND key NOT LIKE 'filler-%'",
	).first<number>("bytes");
	const wanted = LIMIT_BYTES - bytes - (others ?? 0);
	const each = Math.floor(wanted / FILLERS);
	const put = env.DB.prepare(
		`INSERT INTO flags (environment, key, version, config, updated_at_ms)
		SELECT 'production', ?1, 1, json_set(?2, '$.variants.on', substr(hex(zeroblob(?3 / 2)), 1, ?3 - length(CAST(?2 AS BLOB)))), 0
		WHERE true ON CONFLICT DO UPDATE SET config = excluded.config`,
	);
	const config = (key: string) => JSON.stringify({ key, enabled: true, rules: [], salt: key, description: "", ...text("") });
	const keys = Array.from({ length: FILLERS }, (_, i) => `filler-${i}`);
	await env.DB.batch(keys.map((key, i) => put.bind(key, config(key), i === 0 ? wanted - (FILLERS - 1) * each : each)));
}

let flag: FlagBody;
beforeAll(async () => {
	flag = await createFlag({ ...text("x".repeat(5_000)), key: newKey() });
});

test("a flag that would take the environment beyond 8 MiB is refused with both sizes, one that fits is created", async () => {
	await leave(3_000);
	const problem = await refused(422, "POST", FLAGS, { body: aFlag(text("y".repeat(5_000))) });
	expect(problem).toMatchObject({ type: "urn:tidegate:problem:snapshot_too_large", limitBytes: LIMIT_BYTES });
	const bytes = problem["bytes"] as number;
	expect(bytes).toBeGreaterThan(LIMIT_BYTES + 2_000);
	expect(bytes).toBeLessThan(LIMIT_BYTES + 3_000);
	expect(problem.detail).toContain(String(bytes));
	await createFlag(text("y".repeat(2_000)));
});

test("sizes are of UTF-8, the sent flag's and the stored ones'", async () => {
	await leave(3_000);
	await refused(422, "POST", FLAGS, { body: aFlag(text("ä".repeat(1_900))) });
	const umlauts = await createFlag(text("ä".repeat(700)));
	await refused(422, "POST", FLAGS, { body: aFlag(text("a".repeat(1_600))) });
	await done("DELETE", flagAt(umlauts.key), { headers: ifMatch(umlauts) });
	await createFlag(text("a".repeat(1_600)));
});

test("another environment has its own 8 MiB", async () => {
	await leave(0);
	await done("POST", "/api/v1/flags?environment=staging", { body: aFlag(text("y".repeat(5_000))) });
});

test("growing is refused, and the flag's own old size is not counted twice", async () => {
	await leave(3_000);
	const patch = (value: string) => ({ body: { variants: { on: value } }, headers: ifMatch(flag) });
	const problem = await refused(422, "PATCH", flagAt(flag.key), patch("x".repeat(9_000)));
	expect(problem["bytes"]).toBe(LIMIT_BYTES + 1_000);
	flag = await done("PATCH", flagAt(flag.key), patch("x".repeat(8_000)));
});

test("beyond the limit killing, enabling, shrinking and deleting go on, and growing does not", async () => {
	await leave(-50_000);
	const patch = (body: object) => ({ body, headers: ifMatch(flag) });
	await refused(422, "PATCH", flagAt(flag.key), patch({ description: "longer" }));
	flag = await done("PATCH", flagAt(flag.key), { body: { enabled: false } });
	flag = await done("PATCH", flagAt(flag.key), patch({ enabled: true }));
	flag = await done("PATCH", flagAt(flag.key), patch({ variants: { on: "x".repeat(4_000) } }));
	await refused(422, "PATCH", flagAt(flag.key), patch({ description: "longer" }));
	await done("DELETE", flagAt(flag.key), { headers: ifMatch(flag) });
});
