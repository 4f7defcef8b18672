import { describe, expect, test } from "vitest";
import { EXIT } from "../../../cli/exit";
import { problem, standIn, tidegate } from "./world";

const MADE = "tgc_shown-once";
const anna = { name: "anna", role: "operator", environment: null, createdAtMs: 1_800_000_000_000, revokedAtMs: null };

describe("token create", () => {
	test("prints the token alone on stdout, so that a script can keep it", async () => {
		const { received, env } = await standIn(() => ({ status: 201, body: { ...anna, token: MADE } }));
		const done = await tidegate(["token", "create", "anna", "--role", "operator", "--reason", "on call"], { env });
		expect(done).toEqual({ exit: EXIT.ok, out: `${MADE}\n`, err: expect.stringContaining("anna: operator") });
		expect(received).toMatchObject([{ method: "POST", path: "/api/v1/tokens?reason=on+call", body: { name: "anna", role: "operator" } }]);
		expect(received[0]?.body).not.toHaveProperty("environment");
	});

	test("is for one environment only where that is named", async () => {
		const { received, env } = await standIn(() => ({ status: 201, body: { ...anna, environment: "production", token: MADE } }));
		const done = await tidegate(["token", "create", "anna", "--role", "viewer", "-e", "production"], { env });
		expect(done.err).toContain("production only");
		expect(received).toMatchObject([{ body: { name: "anna", role: "viewer", environment: "production" } }]);
	});

	test.each([
		["create", "anna"],
		["create", "anna", "--role", "root"],
		["create", "--role", "viewer"],
	])("without a role that there is, or without a name, sends nothing: %s %s %s", async (...args) => {
		const { received, env } = await standIn(() => ({}));
		expect((await tidegate(["token", ...args], { env })).exit).toBe(EXIT.usage);
		expect(received).toEqual([]);
	});

	test("of a dry run sends nothing, and shows what it would", async () => {
		const { received, env } = await standIn(() => ({}));
		const { out } = await tidegate(["token", "create", "anna", "--role", "admin", "--dry-run"], { env });
		expect(out).toContain('"role": "admin"');
		expect(received).toEqual([]);
	});
});

test("token list tells who may do what, and who no longer", async () => {
	const { env } = await standIn(() => ({
		body: { tokens: [anna, { ...anna, name: "ci", environment: "staging", revokedAtMs: 1_800_000_060_000 }] },
	}));
	const { out } = await tidegate(["token", "list"], { env });
	expect(out).toMatch(/anna +operator +all/);
	expect(out).toMatch(/ci +operator +staging .*revoked 2027/);
	expect(JSON.parse((await tidegate(["token", "list", "--json"], { env })).out)).toMatchObject([{ name: "anna" }, { name: "ci" }]);
});

test("token revoke names the token, whatever it is called", async () => {
	const { received, env } = await standIn(() => ({ status: 204, body: "" }));
	expect(await tidegate(["token", "revoke", "../keys/abc", "--reason", "left"], { env })).toMatchObject({ exit: EXIT.ok });
	expect(received).toMatchObject([{ method: "DELETE", path: "/api/v1/tokens/..%2Fkeys%2Fabc?reason=left" }]);
});

test("a token that is not good for it is told why, and the exit code is that of tokens", async () => {
	const detail = "this token is a viewer's: POST /api/v1/tokens takes an admin";
	const { env } = await standIn(() => problem("forbidden", 403, detail));
	expect(await tidegate(["token", "create", "anna", "--role", "admin"], { env })).toMatchObject({
		exit: EXIT.unauthorized,
		err: expect.stringContaining(detail),
	});
});
