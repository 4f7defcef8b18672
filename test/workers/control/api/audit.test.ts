import { describe, expect, test } from "vitest";
import {
	type AuditRow,
	FLAGS,
	aFlag,
	aPhase,
	auditOf,
	auditRows,
	command,
	createFlag,
	createRollout,
	done,
	flagAt,
	newKey,
	refused,
	send,
} from "./harness";

const ID = { "x-correlation-id": "release-42" };

/** The rows that a request wrote. */
async function written(request: () => Promise<unknown>): Promise<string[]> {
	const before = new Set((await auditRows()).map((row) => row.id));
	await request();
	return (await auditRows()).filter((row) => !before.has(row.id)).map(({ resource, action }) => `${resource} ${action}`);
}

describe("every change of state writes exactly one audit row", () => {
	test("of a flag", async () => {
		const { key } = aFlag();
		const of = `flags/production/${key}`;
		const patch = (body: unknown, version: number) => done("PATCH", flagAt(key), { body, headers: { "if-match": `"${version}"` } });
		expect(await written(() => createFlag({ key }))).toEqual([`${of} flag.created`]);
		expect(await written(() => patch({ description: "new" }, 1))).toEqual([`${of} flag.changed`]);
		expect(await written(() => done("PATCH", flagAt(key), { body: { enabled: false } }))).toEqual([`${of} flag.killed`]);
		expect(await written(() => patch({ enabled: true }, 3))).toEqual([`${of} flag.enabled`]);
		expect(await written(() => done("DELETE", flagAt(key), { headers: { "if-match": '"4"' } }))).toEqual([`${of} flag.deleted`]);
		const rows = await auditOf(of);
		const shape = (value: unknown) => value as { description: string; enabled: boolean } | null;
		expect(
			rows.map(({ before, after }) => [
				shape(before)?.description,
				shape(before)?.enabled,
				shape(after)?.description,
				shape(after)?.enabled,
			]),
		).toEqual([
			[undefined, undefined, "", true],
			["", true, "new", true],
			["new", true, "new", false],
			["new", false, "new", true],
			["new", true, undefined, undefined],
		]);
		for (const [i, row] of rows.entries()) expect(row.before).toEqual(rows[i - 1]?.after ?? null);
	});

	test("of a rollout, and one of each flag that its completion changes", async () => {
		const flags = [(await createFlag()).key, (await createFlag()).key];
		const rollout = newKey();
		const of = `rollouts/${rollout}.1`;
		expect(await written(() => createRollout({ rollout, flags, phases: [aPhase({ percent: 5 }), aPhase()] }))).toEqual([
			`${of} rollout.created`,
		]);
		for (const name of ["start", "pause", "resume", "advance"])
			// oxlint-disable-next-line no-await-in-loop -- one after the other
			expect(await written(() => command(`${rollout}.1`, name))).toEqual([`${of} rollout.${name}`]);
		expect((await written(() => command(`${rollout}.1`, "advance"))).sort()).toEqual(
			[...flags.map((key) => `flags/production/${key} flag.rolled_out`), `${of} rollout.complete`].sort(),
		);
		const rows = await auditOf(of);
		for (const [i, row] of rows.entries()) if (i > 1) expect(row.before).toEqual(rows[i - 1]?.after);
	});

	test("of a key", async () => {
		let id = "";
		const create = async () =>
			void ({ id } = await done<{ id: string }>("POST", "/api/v1/keys", { body: { environment: "production", name: "shop" } }));
		expect(await written(create)).toEqual([`keys/${id} key.created`]);
		expect(await written(() => done("DELETE", `/api/v1/keys/${id}`))).toEqual([`keys/${id} key.revoked`]);
	});

	test("and what is refused, or only read, none", async () => {
		const { key } = await createFlag();
		const { id } = await createRollout();
		expect(
			await written(async () => {
				await refused(422, "POST", FLAGS, { body: aFlag({ colour: "red" }) });
				await refused(409, "POST", FLAGS, { body: aFlag({ key }) });
				await refused(428, "PATCH", flagAt(key), { body: { description: "new" } });
				await refused(412, "PATCH", flagAt(key), { body: { description: "new" }, headers: { "if-match": '"9"' } });
				await refused(409, "POST", `/api/v1/rollouts/${id}/commands`, { body: { command: "pause" } });
				await done("GET", flagAt(key));
				await done("GET", `/api/v1/rollouts/${id}`);
				await done("GET", "/api/v1/audit");
			}),
		).toEqual([]);
	});
});

describe("the reason", () => {
	const because = "reason=caf%C3%A9%20%26%20rollback";
	const reasons = async (of: string) => (await auditOf(of)).map(({ action, reason }) => [action, reason]);

	test("of every change of a flag is in its row", async () => {
		const { key } = aFlag();
		const at = `${flagAt(key)}&${because}`;
		await done("POST", `${FLAGS}&${because}`, { body: { key, type: "boolean" } });
		await done("PATCH", at, { body: { description: "new" }, headers: { "if-match": '"1"' } });
		await done("PATCH", at, { body: { enabled: false } });
		await done("PATCH", at, { body: { enabled: true }, headers: { "if-match": '"3"' } });
		await done("DELETE", at, { headers: { "if-match": '"4"' } });
		expect(await reasons(`flags/production/${key}`)).toEqual(
			["flag.created", "flag.changed", "flag.killed", "flag.enabled", "flag.deleted"].map((action) => [action, "café & rollback"]),
		);
	});

	test("of a key's creation and revocation is in its rows", async () => {
		const { id } = await done<{ id: string }>("POST", `/api/v1/keys?${because}`, { body: { environment: "production", name: "shop" } });
		await done("DELETE", `/api/v1/keys/${id}?${because}`);
		expect(await reasons(`keys/${id}`)).toEqual([
			["key.created", "café & rollback"],
			["key.revoked", "café & rollback"],
		]);
	});

	test("that is not given is empty, and one of 1,001 characters is refused", async () => {
		const { key } = await createFlag();
		expect(await reasons(`flags/production/${key}`)).toEqual([["flag.created", ""]]);
		const headers = { "if-match": '"1"' };
		await refused(422, "DELETE", `${flagAt(key)}&reason=${"r".repeat(1_001)}`, { headers });
		await done("DELETE", `${flagAt(key)}&reason=${"r".repeat(1_000)}`, { headers });
	});
});

describe("the correlation id", () => {
	test("that was sent is echoed, and in the row", async () => {
		const { key } = aFlag();
		const { headers } = await send("POST", FLAGS, { body: aFlag({ key }), headers: ID });
		expect(headers.get("x-correlation-id")).toBe("release-42");
		expect((await auditOf(`flags/production/${key}`))[0]).toMatchObject({ actor: "admin", correlationId: "release-42", reason: "" });
	});

	test("is echoed by refusals and by what needs no token, too", async () => {
		const of = async (method: string, path: string, sent = {}) =>
			(await send(method, path, { headers: ID, ...sent })).headers.get("x-correlation-id");
		expect([
			await of("GET", "/nowhere"),
			await of("POST", FLAGS, { body: "{" }),
			await of("GET", FLAGS, { headers: { ...ID, authorization: "" } }),
			await of("GET", "/health/liveness"),
			await of("GET", "/openapi.json"),
		]).toEqual(Array.from({ length: 5 }, () => "release-42"));
	});

	test.each([
		["none", ""],
		["blanks", "release 42"],
		["101 characters", "x".repeat(101)],
		["markup", "<script>"],
		["quotes", `a"b`],
	])("is made when %s was sent", async (_, given) => {
		const { headers } = await send("GET", FLAGS, { headers: { "x-correlation-id": given } });
		expect(headers.get("x-correlation-id")).toMatch(/^[0-9a-f]{8}-[0-9a-f-]{27}$/);
	});
});

describe("reading the audit", () => {
	test("comes a page at a time, oldest first, none twice, none missing", async () => {
		// oxlint-disable-next-line no-await-in-loop -- one after the other
		for (let i = 0; i < 5; i++) await createFlag();
		const read: AuditRow[] = [];
		for (
			let page: AuditRow[] = [];
			(page = (await done<{ audit: AuditRow[] }>("GET", `/api/v1/audit?limit=3&after=${read.at(-1)?.id ?? 0}`)).audit).length > 0;
		) {
			expect(page.length).toBeLessThanOrEqual(3);
			read.push(...page);
		}
		expect(read.map((row) => row.id)).toEqual((await auditRows()).map((row) => row.id));
	});

	test("of a resource shows no other, not even one whose name begins the same", async () => {
		const { key } = await createFlag();
		await createFlag({ key: `${key}.more` });
		expect((await auditOf(`flags/production/${key}`)).map((row) => row.resource)).toEqual([`flags/production/${key}`]);
		expect(await auditOf("flags/production/%")).toEqual([]);
		expect(await auditOf("' OR 1=1 --")).toEqual([]);
	});

	test.each(["after=-1", "after=x", "limit=0", "limit=501", "limit=1.5", "limit=", `resource=${"r".repeat(201)}`, "limit=1&limit=2"])(
		"with %s is refused",
		async (query) => {
			await refused(422, "GET", `/api/v1/audit?${query}`);
		},
	);
});
