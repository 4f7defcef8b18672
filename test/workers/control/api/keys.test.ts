import { env } from "cloudflare:workers";
import { expect, test } from "vitest";
import { open } from "../../../../control/store/database";
import { readHead } from "../../../../control/store/publication";
import { sha256Hex } from "../../../../control/sha256";
import { auditOf, done, pointersOf, refused, send } from "./harness";

interface KeyBody {
	readonly id: string;
	readonly environment: string;
	readonly name: string;
	readonly kind: string;
	readonly revokedAtMs: number | null;
	readonly key?: string;
}
const KEYS = "/api/v1/keys";
const aKey = (change: Record<string, unknown> = {}) => ({ environment: "production", name: "shop", ...change });
const createKey = (change: Record<string, unknown> = {}) => done<KeyBody & { key: string }>("POST", KEYS, { body: aKey(change) });
const opened = async () => (await readHead(open(env.DB))).head.keys;

/** Everything that control keeps, as one text. */
async function everythingStored(): Promise<string> {
	const tables = await env.DB.prepare(
		"SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE '\\_%' ESCAPE '\\' AND name NOT LIKE 'sqlite%'",
	).all<{ name: string }>();
	const rows = await env.DB.batch(tables.results.map(({ name }) => env.DB.prepare(`SELECT * FROM ${name}`)));
	const kept = await env.SNAPSHOTS.list();
	const values = await Promise.all(kept.keys.map(({ name }) => env.SNAPSHOTS.get(name)));
	return JSON.stringify([rows.map((each) => each.results), values]);
}

test("a key is shown once, and nowhere kept in clear", async () => {
	const { status, body } = await send<KeyBody & { key: string }>("POST", KEYS, { body: aKey() });
	expect([status, body.kind, body.environment, body.name, body.revokedAtMs]).toEqual([201, "server", "production", "shop", null]);
	expect(body.key).toMatch(/^tg_production_[\w-]{32}$/);
	expect(await opened()).toMatchObject({ [await sha256Hex(body.key)]: { environment: "production", kind: "server" } });
	const stored = await everythingStored();
	expect(stored).toContain(await sha256Hex(body.key));
	expect(stored).not.toContain(body.key);
	const { text } = await send("GET", KEYS);
	expect(text).toContain(body.id);
	expect(text).not.toContain(body.key);
	expect(text).not.toContain(await sha256Hex(body.key));
	expect((await send("GET", "/api/v1/audit?limit=500")).text).not.toContain(body.key);
});

test("a client key is told from a server key, to edges too", async () => {
	const { kind, key } = await createKey({ kind: "client", environment: "staging" });
	expect(kind).toBe("client");
	expect(key).toMatch(/^tg_staging_[\w-]{32}$/);
	expect(await opened()).toMatchObject({ [await sha256Hex(key)]: { environment: "staging", kind: "client" } });
	expect((await done<{ keys: KeyBody[] }>("GET", `${KEYS}?environment=staging`)).keys.map((each) => each.kind)).toEqual(["client"]);
	// The test below counts staging's keys.
	await env.DB.prepare("DELETE FROM sdk_keys WHERE kind = 'client'").run();
});

test("two keys of one name are two keys", async () => {
	const [one, two] = [await createKey(), await createKey()];
	expect(one.id).not.toBe(two.id);
	expect(one.key).not.toBe(two.key);
});

test("keys are listed an environment at a time, or all", async () => {
	const { id } = await createKey({ environment: "staging" });
	const list = async (query: string) => (await done<{ keys: KeyBody[] }>("GET", `${KEYS}${query}`)).keys;
	expect((await list("?environment=staging")).map((key) => key.id)).toEqual([id]);
	expect((await list("?environment=production")).map((key) => key.id)).not.toContain(id);
	expect((await list("")).map((key) => key.id)).toContain(id);
	await refused(422, "GET", `${KEYS}?environment=moon`);
});

test("a revoked key opens nothing, stays listed, and is revoked once", async () => {
	const { id, key } = await createKey();
	expect((await send("DELETE", `${KEYS}/${id}`)).status).toBe(204);
	expect(await opened()).not.toHaveProperty(await sha256Hex(key));
	const listed = (await done<{ keys: KeyBody[] }>("GET", KEYS)).keys.find((each) => each.id === id);
	expect(listed?.revokedAtMs).toEqual(expect.any(Number));
	expect((await send("DELETE", `${KEYS}/${id}`)).status).toBe(204);
	const rows = await auditOf(`keys/${id}`);
	expect(rows.map((row) => row.action)).toEqual(["key.created", "key.revoked"]);
	expect(rows[1]).toMatchObject({ before: { revokedAtMs: null }, after: { revokedAtMs: listed?.revokedAtMs } });
	expect((await done<{ keys: KeyBody[] }>("GET", KEYS)).keys.find((each) => each.id === id)).toEqual(listed);
});

test("revoked twice at once, it was revoked once", async () => {
	const { id } = await createKey();
	const answers = await Promise.all([1, 2, 3].map(() => send("DELETE", `${KEYS}/${id}`)));
	expect(answers.map((answer) => answer.status)).toEqual([204, 204, 204]);
	expect((await auditOf(`keys/${id}`)).map((row) => row.action)).toEqual(["key.created", "key.revoked"]);
});

test("revoking a key that is not there is 404", async () => {
	await refused(404, "DELETE", `${KEYS}/nobody`);
	await refused(404, "DELETE", `${KEYS}/${encodeURIComponent("' OR 1=1 --")}`);
});

test.each<[what: string, change: Record<string, unknown>, pointer: string]>([
	["an unknown field", { colour: "red" }, "/colour"],
	["no name", { name: "" }, "/name"],
	["a name of 101 characters", { name: "n".repeat(101) }, "/name"],
	["an unknown environment", { environment: "moon" }, "/environment"],
	["a kind that is not offered", { kind: "master" }, "/kind"],
])("refuses %s", async (_, change, pointer) => {
	expect(pointersOf(await refused(422, "POST", KEYS, { body: aKey(change) }))).toEqual([pointer]);
});
