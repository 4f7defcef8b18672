import { env } from "cloudflare:workers";
import { afterEach, describe, expect, test } from "vitest";
import { sha256Hex } from "../../../../control/sha256";
import { TOKENS_MAX } from "../../../../control/store/tokens";
import { aDatabase, ask, failing, never } from "./composed";
import { FLAGS, TOKEN, aFlag, auditOf, done, pointersOf, refused, send } from "./harness";

interface TokenBody {
	readonly name: string;
	readonly role: string;
	readonly environment: string | null;
	readonly createdAtMs: number;
	readonly revokedAtMs: number | null;
}
const TOKENS = "/api/v1/tokens";
const aToken = (change: Record<string, unknown> = {}) => ({ name: "anna", role: "operator", ...change });
const create = (change: Record<string, unknown> = {}) => done<TokenBody & { token: string }>("POST", TOKENS, { body: aToken(change) });
const by = (token: string) => ({ headers: { authorization: `Bearer ${token}` } });
const list = async () => (await done<{ tokens: TokenBody[] }>("GET", TOKENS)).tokens;

afterEach(async () => {
	await env.DB.prepare("DELETE FROM tokens").run();
	await env.DB.prepare("DELETE FROM audit").run();
});

test("a token is shown once, and nowhere kept in clear", async () => {
	const { status, body, text } = await send<TokenBody & { token: string }>("POST", TOKENS, { body: aToken() });
	expect([status, body]).toEqual([
		201,
		{
			name: "anna",
			role: "operator",
			environment: null,
			createdAtMs: expect.any(Number),
			revokedAtMs: null,
			token: expect.stringMatching(/^tgc_[\w-]{43}$/),
		},
	]);
	const hash = await sha256Hex(body.token);
	expect(text).not.toContain(hash);
	const rows = await env.DB.batch(["tokens", "audit", "outbox"].map((table) => env.DB.prepare(`SELECT * FROM ${table}`)));
	const stored = JSON.stringify(rows.map(({ results }) => results));
	expect(stored).toContain(hash);
	expect(stored).not.toContain(body.token);
	const listed = await send("GET", TOKENS);
	expect(listed.text).not.toContain(hash);
	expect(listed.text).not.toContain(body.token);
});

test("two tokens are never the same", async () => {
	expect((await create()).token).not.toBe((await create({ name: "bob" })).token);
});

test("a token says who it is, and what it may do", async () => {
	expect(await done("GET", "/api/v1/me")).toEqual({ name: "admin", role: "admin", environment: null });
	const { token } = await create({ role: "viewer", environment: "staging" });
	expect(await done("GET", "/api/v1/me", by(token))).toEqual({ name: "anna", role: "viewer", environment: "staging" });
});

test("what is done by a token is its name's in the audit", async () => {
	const { token } = await create();
	const { key } = await done<{ key: string }>("POST", FLAGS, { body: aFlag(), ...by(token) });
	expect(await auditOf(`flags/production/${key}`)).toMatchObject([{ actor: "anna", action: "flag.created" }]);
});

describe("revoking", () => {
	test("closes a token at once, keeps it listed, and is audited once", async () => {
		const { token } = await create();
		await done("GET", FLAGS, by(token));
		expect((await send("DELETE", `${TOKENS}/anna?reason=left`)).status).toBe(204);
		await refused(401, "GET", FLAGS, by(token));
		await refused(401, "GET", "/health/metrics", by(token));
		expect((await send("DELETE", `${TOKENS}/anna`)).status).toBe(204);
		expect(await list()).toMatchObject([{ name: "anna", revokedAtMs: expect.any(Number) }]);
		expect(await auditOf("tokens/anna")).toMatchObject([
			{ action: "token.created", actor: "admin", before: null, after: { role: "operator", environment: null } },
			{
				action: "token.revoked",
				actor: "admin",
				reason: "left",
				before: { revokedAtMs: null },
				after: { revokedAtMs: expect.any(Number) },
			},
		]);
	});

	test("twice at once is revoking once", async () => {
		await create();
		const answers = await Promise.all([1, 2, 3].map(() => send("DELETE", `${TOKENS}/anna`)));
		expect(answers.map(({ status }) => status)).toEqual([204, 204, 204]);
		expect((await auditOf("tokens/anna")).map(({ action }) => action)).toEqual(["token.created", "token.revoked"]);
	});

	test("frees the name for a new token, and the old one stays closed", async () => {
		const old = await create({ role: "admin" });
		await done("DELETE", `${TOKENS}/anna`);
		const fresh = await create({ role: "viewer" });
		await refused(401, "GET", FLAGS, by(old.token));
		expect(await done("GET", "/api/v1/me", by(fresh.token))).toMatchObject({ name: "anna", role: "viewer" });
		expect(await list()).toMatchObject([{ name: "anna", role: "viewer", revokedAtMs: null }]);
	});

	test("of what is not there is 404, and of the admin's is refused: that is a secret", async () => {
		await refused(404, "DELETE", `${TOKENS}/nobody`);
		for (const name of ["admin", "tidegate"])
			// oxlint-disable-next-line no-await-in-loop -- two requests
			expect(pointersOf(await refused(422, "DELETE", `${TOKENS}/${name}`))).toEqual(["/name"]);
		expect(await list()).toEqual([]);
		await done("GET", FLAGS);
	});
});

test("one name is one token, also when two are created at once", async () => {
	const answers = await Promise.all([1, 2, 3].map(() => send<{ token: string }>("POST", TOKENS, { body: aToken() })));
	expect(answers.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([201, 409, 409]);
	const [created] = answers.filter(({ status }) => status === 201);
	await done("GET", FLAGS, by(created?.body.token ?? ""));
	expect((await auditOf("tokens/anna")).map(({ action }) => action)).toEqual(["token.created"]);
	expect((await refused(409, "POST", TOKENS, { body: aToken() })).detail).toContain("revoke it first");
});

test("there are only so many of them, and those that are revoked do not count", async () => {
	await env.DB.prepare("INSERT INTO tokens (name, hash, role, created_at_ms) SELECT 't' || value, value, 'viewer', 0 FROM json_each(?)")
		.bind(JSON.stringify(Array.from({ length: TOKENS_MAX }, (_, i) => i)))
		.run();
	expect((await refused(409, "POST", TOKENS, { body: aToken() })).type).toBe("urn:tidegate:problem:too_many_tokens");
	await done("DELETE", `${TOKENS}/t0`);
	await create();
});

test.each<[what: string, change: Record<string, unknown>, pointer: string]>([
	["an unknown field", { colour: "red" }, "/colour"],
	["no role", { role: undefined }, "/role"],
	["an unknown role", { role: "root" }, "/role"],
	["an unknown environment", { environment: "moon" }, "/environment"],
	["the admin's name", { name: "admin" }, "/name"],
	["the engine's name", { name: "tidegate" }, "/name"],
	["a name in capitals", { name: "Anna" }, "/name"],
	["a name with a blank", { name: "anna b" }, "/name"],
	["no name", { name: "" }, "/name"],
	["a name of 64 characters", { name: "a".repeat(64) }, "/name"],
])("refuses %s, and writes nothing", async (_, change, pointer) => {
	expect(pointersOf(await refused(422, "POST", TOKENS, { body: aToken(change) }))).toEqual([pointer]);
	expect(await list()).toEqual([]);
});

test.each([
	["without its beginning", (token: string) => `Bearer ${token.slice(4)}`],
	["with one letter less", (token: string) => `Bearer ${token.slice(0, -1)}`],
	["with one letter more", (token: string) => `Bearer ${token}A`],
	["in other letters", (token: string) => `Bearer ${token.toUpperCase()}`],
	["twice", (token: string) => `Bearer ${token}, Bearer ${token}`],
	["by Basic", (token: string) => `Basic ${btoa(`anna:${token}`)}`],
	["after two blanks", (token: string) => `Bearer  ${token}`],
	["as an SDK key", (token: string) => `Bearer tg_${token}`],
	["as its name", () => "Bearer anna"],
])("a token %s opens nothing", async (_, header) => {
	const { token } = await create();
	await refused(401, "GET", FLAGS, { headers: { authorization: header(token) } });
});

test("its hash opens nothing", async () => {
	const { token } = await create();
	await refused(401, "GET", FLAGS, by(await sha256Hex(token)));
});

test("the admin is the admin even where somebody made a token of the same secret", async () => {
	await env.DB.prepare("INSERT INTO tokens (name, hash, role, created_at_ms, revoked_at_ms) VALUES ('eve', ?, 'viewer', 0, 0)")
		.bind(await sha256Hex(TOKEN))
		.run();
	expect(await done("GET", "/api/v1/me")).toMatchObject({ name: "admin", role: "admin" });
});

test("while the database is down the admin reads the health, and of others nobody can tell", async () => {
	const { token } = await create();
	const METRICS = "/health/metrics";
	expect((await ask(METRICS, { token })).status).toBe(200);
	for (const end of [never, failing]) {
		const db = aDatabase(end);
		// oxlint-disable-next-line no-await-in-loop -- few requests
		expect((await ask(METRICS, { db })).body).toHaveProperty("unavailable");
		// oxlint-disable-next-line no-await-in-loop -- see above
		expect((await ask(METRICS, { db, token })).status).toBe(503);
	}
});
