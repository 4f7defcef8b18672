import { env } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import { callerOf } from "../../../../control/api/auth";
import { open } from "../../../../control/store/database";
import { FLAGS, TOKEN, aFlag, done, refused, send } from "./harness";

describe("a request", () => {
	test.each([
		["no token", ""],
		["a wrong token", "Bearer wrong"],
		["the token without its scheme", TOKEN],
		["another scheme", `Basic ${TOKEN}`],
		["nothing after the scheme", "Bearer"],
		["blanks after the scheme", "Bearer  "],
		["two tokens", `Bearer ${TOKEN} ${TOKEN}`],
		["the token and more", `Bearer ${TOKEN}x`],
		["the token's beginning", `Bearer ${TOKEN.slice(0, -1)}`],
		["the token in other letters", `Bearer ${TOKEN.toUpperCase()}`],
		["a token of 7,000 characters", `Bearer ${"x".repeat(7_000)}`],
		["quotes", `Bearer ' OR 1=1 --`],
	])("with %s is refused, whatever it asks for", async (_, authorization) => {
		for (const [method, path] of [
			["GET", FLAGS],
			["POST", FLAGS],
			["GET", "/api/v1/rollouts"],
			["GET", "/api/v1/keys"],
			["GET", "/api/v1/audit"],
			["GET", "/api/v1/nowhere"],
		] as const) {
			// oxlint-disable-next-line no-await-in-loop -- few requests
			const problem = await refused(401, method, path, { headers: { authorization }, ...(method === "POST" ? { body: aFlag() } : {}) });
			expect(problem.detail).not.toContain(TOKEN);
		}
	});

	test("that is refused is told how to ask", async () => {
		expect((await send("GET", FLAGS, { headers: { authorization: "" } })).headers.get("www-authenticate")).toBe("Bearer");
	});

	test("is told whether its token is wrong, no API token, or missing", async () => {
		const detailOf = async (authorization: string) => (await refused(401, "GET", FLAGS, { headers: { authorization } })).detail;
		expect(await detailOf("Bearer wrong")).toContain("this token is not valid");
		expect(await detailOf("Bearer tg_production_x")).toContain("this is an SDK key");
		for (const none of ["", "Basic d3Jvbmc="])
			// oxlint-disable-next-line no-await-in-loop -- two requests
			expect(await detailOf(none)).toBe("send an API token: Authorization: Bearer <token>");
	});

	test("with the admin's token is let in, the scheme in any letters", async () => {
		await done("GET", FLAGS, { headers: { authorization: `bearer ${TOKEN}` } });
	});

	test("writes nothing when it is refused", async () => {
		const flag = aFlag();
		await refused(401, "POST", FLAGS, { body: flag, headers: { authorization: "Bearer wrong" } });
		await refused(404, "GET", `/api/v1/flags/${flag.key}?environment=production`);
	});
});

describe("tokens", () => {
	const db = open(env.DB);
	const ADMIN = { name: "admin", role: "admin", environment: null };
	const hashes = async () => (await env.DB.prepare("SELECT name, hash FROM tokens").all<{ name: string; hash: string }>()).results;

	test("the admin's old token is worth nothing once the secret has changed, used before or not", async () => {
		expect(await callerOf(db, "Bearer old-secret", "old-secret", 1)).toEqual(ADMIN);
		expect(await callerOf(db, "Bearer old-secret", "new-secret", 2)).toBeUndefined();
		expect(await callerOf(db, "Bearer new-secret", "new-secret", 3)).toEqual(ADMIN);
		expect(await callerOf(db, "Bearer old-secret", "new-secret", 4)).toBeUndefined();
		expect(await hashes()).toHaveLength(1);
	});

	test("without a secret nobody is the admin, not even with the one that was", async () => {
		await callerOf(db, "Bearer old-secret", "old-secret", 1);
		expect(await callerOf(db, "Bearer old-secret", undefined, 2)).toBeUndefined();
		expect(await callerOf(db, "Bearer old-secret", "", 2)).toBeUndefined();
		expect(await callerOf(db, "Bearer undefined", undefined, 2)).toBeUndefined();
	});

	test("are never stored in clear", async () => {
		await callerOf(db, "Bearer old-secret", "old-secret", 1);
		const stored = await hashes();
		expect(JSON.stringify(stored)).not.toContain("old-secret");
		expect(stored.map((row) => row.hash)).toEqual([expect.stringMatching(/^[0-9a-f]{64}$/)]);
	});

	test("of somebody else keep their name", async () => {
		const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode("annas-token")));
		const hash = Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
		await env.DB.prepare("INSERT INTO tokens (name, hash, created_at_ms) VALUES ('anna', ?1, 0)").bind(hash).run();
		expect(await callerOf(db, "Bearer annas-token", TOKEN, 1)).toEqual({ name: "anna", role: "admin", environment: null });
		expect((await send("GET", FLAGS, { headers: { authorization: "Bearer annas-token" } })).status).toBe(200);
	});
});
