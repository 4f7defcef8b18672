import { env } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import { open } from "../../../../control/store/database";
import { readHead } from "../../../../control/store/publication";
import {
	FLAGS,
	type FlagBody,
	aFlag,
	auditOf,
	command,
	createFlag,
	createRollout,
	done,
	flagAt,
	newKey,
	pointersOf,
	refused,
	send,
} from "./harness";

const rule = (change: Record<string, unknown> = {}) => ({
	id: "beta",
	when: { attribute: "plan", op: "equals", values: ["beta"] },
	serve: "true",
	...change,
});
const ifMatch = (version: number) => ({ "if-match": `"${version}"` });

describe("creating a flag", () => {
	test("a boolean flag needs only its key and type", async () => {
		const { key } = aFlag();
		const { status, headers, body } = await send<FlagBody>("POST", FLAGS, { body: { key, type: "boolean" } });
		expect([status, headers.get("etag")]).toEqual([201, '"1"']);
		expect(body).toEqual({
			key,
			type: "boolean",
			variants: { true: true, false: false },
			enabled: true,
			offVariant: "false",
			prerequisites: [],
			targets: [],
			rules: [],
			fallthrough: "false",
			salt: key,
			bucketBy: "targetingKey",
			public: false,
			measured: false,
			description: "",
			tags: [],
			owner: "",
			temporary: false,
			expiresAt: null,
			environment: "production",
			version: 1,
			updatedAtMs: expect.any(Number),
		});
		expect(await done("GET", flagAt(key))).toEqual(body);
	});

	test.each<[what: string, change: Record<string, unknown>, pointers: readonly string[]]>([
		["an unknown field", { colour: "red" }, ["/colour"]],
		["an unknown field whose name needs escaping", { "a/b~c": 1 }, ["/a~1b~0c"]],
		["__proto__", JSON.parse('{"__proto__": {"enabled": false}}') as Record<string, unknown>, ["/__proto__"]],
		["an unknown field of a rule", { rules: [rule({ colour: "red" })] }, ["/rules/0/colour"]],
		[
			"an unknown field of a condition",
			{ rules: [rule({ when: { attribute: "a", op: "in", values: [1], not: true } })] },
			["/rules/0/when/not"],
		],
		["a key in capitals", { key: "Checkout" }, ["/key"]],
		["a key of 64 characters", { key: "k".repeat(64) }, ["/key"]],
		["an unknown type", { type: "colour" }, ["/type"]],
		["an unknown off variant", { offVariant: "blue" }, ["/offVariant"]],
		["an unknown variant in the fallthrough", { fallthrough: "blue" }, ["/fallthrough"]],
		["an unknown variant in a rule", { rules: [rule({ serve: "blue" })] }, ["/rules/0/serve"]],
		["an inherited name as a variant", { fallthrough: "constructor" }, ["/fallthrough"]],
		["an unknown variant in a split", { fallthrough: [{ variant: "blue", weight: 100_000 }] }, ["/fallthrough/0/variant"]],
		[
			"weights that do not sum up",
			{
				fallthrough: [
					{ variant: "true", weight: 50_000 },
					{ variant: "false", weight: 49_999 },
				],
			},
			["/fallthrough"],
		],
		["a weight beyond 100,000", { rules: [rule({ serve: [{ variant: "true", weight: 100_001 }] })] }, ["/rules/0/serve/0/weight"]],
		["two rules of one id", { rules: [rule(), rule()] }, ["/rules/1/id"]],
		["equals with two values", { rules: [rule({ when: { attribute: "a", op: "equals", values: [1, 2] } })] }, ["/rules/0/when/values"]],
		["an unknown operator", { rules: [rule({ when: { attribute: "a", op: "resembles", values: ["a"] } })] }, ["/rules/0/when/op"]],
		["a value of another type", { variants: { true: true, false: "no" } }, ["/variants/false"]],
		["no variants", { type: "string" }, ["/variants", "/offVariant", "/fallthrough"]],
		["several mistakes at once", { key: "Checkout", enabled: "yes" }, ["/enabled", "/key"]],
	])("refuses %s, and says where", async (_, change, pointers) => {
		const problem = await refused(422, "POST", FLAGS, { body: { ...aFlag(), ...change } });
		expect([...pointersOf(problem)].sort()).toEqual([...pointers].sort());
		for (const pointer of pointers) expect(problem.detail).toContain(pointer);
	});

	test.each([
		["no environment", "/api/v1/flags"],
		["an unknown environment", "/api/v1/flags?environment=moon"],
		["two environments", "/api/v1/flags?environment=production&environment=staging"],
	])("refuses %s", async (_, path) => {
		expect(pointersOf(await refused(422, "POST", path, { body: aFlag() }))).toEqual(["?environment="]);
	});

	test("refuses a key that is taken in the environment, and not in another", async () => {
		const { key } = await createFlag();
		expect((await refused(409, "POST", FLAGS, { body: aFlag({ key }) })).detail).toContain(key);
		await done("POST", "/api/v1/flags?environment=staging", { body: aFlag({ key }) });
	});

	test("two creations at once: one is made, one refused", async () => {
		const body = aFlag();
		const answers = await Promise.all([1, 2, 3].map(() => send("POST", FLAGS, { body })));
		expect(answers.map((answer) => answer.status).sort((a, b) => a - b)).toEqual([201, 409, 409]);
		expect(await auditOf(`flags/production/${body.key}`)).toHaveLength(1);
	});

	test("a flag that was deleted goes on with its versions, and without its old kill", async () => {
		const { key } = await createFlag();
		await done("PATCH", flagAt(key), { body: { enabled: false } });
		await done("DELETE", flagAt(key), { headers: ifMatch(2) });
		const killed = async () => (await readHead(open(env.DB))).head.environments["production"]?.overlay.kill;
		expect(await killed()).toContain(key);
		const { version } = await createFlag({ key });
		expect(version).toBe(4);
		expect(await killed()).not.toContain(key);
	});
});

describe("changing a flag", () => {
	test("replaces the fields that are named and leaves the others", async () => {
		const before = await createFlag({ description: "old", rules: [rule()] });
		const { headers, body } = await send<FlagBody>("PATCH", flagAt(before.key), { body: { description: "new" }, headers: ifMatch(1) });
		expect(headers.get("etag")).toBe('"2"');
		expect(body).toEqual({ ...before, description: "new", version: 2, updatedAtMs: expect.any(Number) });
		expect(await done("GET", flagAt(before.key))).toEqual(body);
	});

	test("to what it is makes no version and no row in the audit, a second kill neither", async () => {
		const flag = await createFlag({ description: "old", rules: [rule()] });
		const same = { rules: flag.rules, variants: { false: false, true: true }, description: "old" };
		expect(await done("PATCH", flagAt(flag.key), { body: same, headers: ifMatch(1) })).toEqual(flag);
		const killed = await done("PATCH", flagAt(flag.key), { body: { enabled: false } });
		expect(await done("PATCH", flagAt(flag.key), { body: { enabled: false } })).toEqual(killed);
		expect((await auditOf(`flags/production/${flag.key}`)).map(({ action }) => action)).toEqual(["flag.created", "flag.killed"]);
		await refused(412, "PATCH", flagAt(flag.key), { body: same, headers: ifMatch(1) });
	});

	test("needs the version that was read", async () => {
		const { key } = await createFlag();
		const problem = await refused(428, "PATCH", flagAt(key), { body: { description: "new" } });
		expect(problem["currentVersion"]).toBe(1);
	});

	test.each(['"1"', "1", '"3"', '"02x"', "latest", 'W/"1"', 'w/"2"', "W/", '"*"', "**", "-2", "2.0", '"2", "3"', '"99999999999999999999"'])(
		"refuses %s when the flag is at version 2",
		async (given) => {
			const { key } = await createFlag();
			await done("PATCH", flagAt(key), { body: { description: "second" }, headers: ifMatch(1) });
			const problem = await refused(412, "PATCH", flagAt(key), { body: { description: "new" }, headers: { "if-match": given } });
			expect(problem["currentVersion"]).toBe(2);
			expect((await done<FlagBody>("GET", flagAt(key))).description).toBe("second");
		},
	);

	test.each(["*", " * ", 'W/"2"', "W/2", '"2"', "2"])("takes %s when the flag is at version 2", async (given) => {
		const { key } = await createFlag();
		await done("PATCH", flagAt(key), { body: { description: "second" }, headers: ifMatch(1) });
		const headers = { "if-match": given };
		expect((await done<FlagBody>("PATCH", flagAt(key), { body: { description: "third" }, headers })).version).toBe(3);
	});

	test("of two changes at once of one version one is made, the other refused", async () => {
		const { key } = await createFlag();
		const answers = await Promise.all(
			["a", "b"].map((description) => send("PATCH", flagAt(key), { body: { description }, headers: ifMatch(1) })),
		);
		expect(answers.map((answer) => answer.status).sort((a, b) => a - b)).toEqual([200, 412]);
		expect((await done<FlagBody>("GET", flagAt(key))).version).toBe(2);
		expect(await auditOf(`flags/production/${key}`)).toHaveLength(2);
	});

	test.each<[what: string, patch: unknown, pointer: string]>([
		["an unknown field", { colour: "red" }, "/colour"],
		["the key", { key: "other" }, "/key"],
		["an unknown variant", { fallthrough: "blue" }, "/fallthrough"],
		["variants without the one that is served", { variants: { true: true } }, "/offVariant"],
		["a type that the values do not have", { type: "number" }, "/variants/true"],
		["what is no object", [1], ""],
		["null", null, ""],
	])("refuses %s", async (_, patch, pointer) => {
		const { key } = await createFlag();
		expect(pointersOf(await refused(422, "PATCH", flagAt(key), { body: patch, headers: ifMatch(1) }))).toContain(pointer);
		expect((await done<FlagBody>("GET", flagAt(key))).version).toBe(1);
	});

	test("of a flag that is not there is 404", async () => {
		await refused(404, "PATCH", flagAt(newKey()), { body: { description: "new" }, headers: ifMatch(1) });
		await refused(404, "PATCH", flagAt(newKey()), { body: { enabled: false } });
		await refused(404, "GET", flagAt(newKey()));
		await refused(404, "DELETE", flagAt(newKey()), { headers: ifMatch(1) });
	});

	test("a kill needs no version, and reaches the head at once", async () => {
		const { key } = await createFlag();
		expect((await done<FlagBody>("PATCH", flagAt(key), { body: { enabled: false } })).enabled).toBe(false);
		expect((await readHead(open(env.DB))).head.environments["production"]?.overlay.kill).toContain(key);
		await refused(428, "PATCH", flagAt(key), { body: { enabled: true } });
		await refused(428, "PATCH", flagAt(key), { body: { enabled: false, description: "killed" } });
		await done("PATCH", flagAt(key), { body: { enabled: true }, headers: ifMatch(2) });
		expect((await readHead(open(env.DB))).head.environments["production"]?.overlay.kill).not.toContain(key);
	});

	test("a kill whose version is named is refused when that is stale", async () => {
		const { key } = await createFlag();
		await refused(412, "PATCH", flagAt(key), { body: { enabled: false }, headers: ifMatch(7) });
	});

	test("kills amid changes all come through", async () => {
		const { key } = await createFlag();
		const answers = await Promise.all([
			send("PATCH", flagAt(key), { body: { description: "a" }, headers: ifMatch(1) }),
			send("PATCH", flagAt(key), { body: { enabled: false } }),
			send("PATCH", flagAt(key), { body: { enabled: false } }),
		]);
		expect(answers.slice(1).map((answer) => answer.status)).toEqual([200, 200]);
		expect((await done<FlagBody>("GET", flagAt(key))).enabled).toBe(false);
	});
});

describe("deleting a flag", () => {
	test("needs the version that was read", async () => {
		const { key } = await createFlag();
		expect((await refused(428, "DELETE", flagAt(key)))["currentVersion"]).toBe(1);
		expect((await refused(412, "DELETE", flagAt(key), { headers: ifMatch(2) }))["currentVersion"]).toBe(1);
		const { status, text } = await send("DELETE", flagAt(key), { headers: ifMatch(1) });
		expect([status, text]).toEqual([204, ""]);
		await refused(404, "GET", flagAt(key));
	});

	test.each(["*", 'W/"1"'])("takes %s", async (given) => {
		const { key } = await createFlag();
		await done("DELETE", flagAt(key), { headers: { "if-match": given } });
		await refused(404, "GET", flagAt(key));
	});
});

describe("during a rollout", () => {
	test.each<[field: string, patch: Record<string, unknown>]>([
		["type and variants", { type: "string", variants: { true: "t", false: "f" } }],
		["variants", { variants: { true: true, false: false, other: false } }],
		["salt", { salt: "other" }],
		["rules", { rules: [rule()] }],
		["fallthrough", { fallthrough: "true" }],
	])("%s cannot change, and the rollout is named; once it has ended they can", async (field, patch) => {
		const { key } = await createFlag();
		const { id } = await createRollout({ flags: [key] });
		await command(id, "start");
		const problem = await refused(409, "PATCH", flagAt(key), { body: patch, headers: ifMatch(1) });
		expect(problem["rollout"]).toBe(id);
		expect(problem.detail).toContain(id);
		expect(problem.detail).toContain(field.split(" ")[0]);
		await command(id, "pause");
		await refused(409, "PATCH", flagAt(key), { body: patch, headers: ifMatch(1) });
		await command(id, "roll_back");
		await done("PATCH", flagAt(key), { body: patch, headers: ifMatch(1) });
	});

	test("a stale version is told as such, not as the rollout's", async () => {
		const { key } = await createFlag();
		await command((await createRollout({ flags: [key] })).id, "start");
		await refused(412, "PATCH", flagAt(key), { body: { salt: "other" }, headers: ifMatch(7) });
	});

	test("description, kill and enabling go on", async () => {
		const { key } = await createFlag();
		await command((await createRollout({ flags: [key] })).id, "start");
		await done("PATCH", flagAt(key), { body: { description: "new" }, headers: ifMatch(1) });
		await done("PATCH", flagAt(key), { body: { enabled: false } });
		await done("PATCH", flagAt(key), { body: { enabled: true, salt: key }, headers: ifMatch(3) });
	});

	test("the flag cannot be deleted, and the rollout is named; in a draft it can", async () => {
		const { key } = await createFlag();
		const { id } = await createRollout({ flags: [key] });
		await command(id, "start");
		expect((await refused(409, "DELETE", flagAt(key), { headers: ifMatch(1) }))["rollout"]).toBe(id);
		const other = await createFlag();
		const draft = await createRollout({ flags: [other.key] });
		await done("DELETE", flagAt(other.key), { headers: ifMatch(1) });
		expect(pointersOf(await refused(422, "POST", `/api/v1/rollouts/${draft.id}/commands`, { body: { command: "start" } }))).toEqual([
			"/flags/0",
		]);
	});
});

test("flags are listed by key, an environment at a time", async () => {
	const body = aFlag();
	await done("POST", "/api/v1/flags?environment=staging", { body });
	const { flags } = await done<{ flags: FlagBody[] }>("GET", "/api/v1/flags?environment=staging");
	expect(flags.every((flag) => flag.environment === "staging")).toBe(true);
	expect(flags.map((flag) => flag.key)).toEqual(flags.map((flag) => flag.key).sort());
	expect(flags.map((flag) => flag.key)).toContain(body.key);
});
