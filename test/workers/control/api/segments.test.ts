import { createExecutionContext, waitOnExecutionContext } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import { evaluate } from "../../../../core/flags/evaluate";
import { NO_OVERLAY } from "../../../../core/flags/overlay";
import { openSnapshot } from "../../../../core/flags/ruleset";
import control from "../../../../control/index";
import { open } from "../../../../control/store/database";
import { readHead } from "../../../../control/store/publication";
import { tick } from "../../../../control/tick/tick";
import { aTick } from "../tick/fixtures";
import {
	FLAGS,
	ROLLOUTS,
	TOKEN,
	aFlag,
	aPlan,
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

interface SegmentBody {
	readonly key: string;
	readonly description: string;
	readonly when: unknown;
	readonly environment: string;
	readonly version: number;
	readonly listed: number;
	readonly updatedAtMs: number;
}
const SEGMENTS = "/api/v1/segments?environment=production";
const at = (key: string, environment = "production"): string => `/api/v1/segments/${key}?environment=${environment}`;
const keysOf = (key: string): string => `/api/v1/segments/${key}/keys?environment=production`;
const ifMatch = (version: number) => ({ "if-match": `"${version}"` });
const aSegment = (change: Record<string, unknown> = {}) => ({ key: newKey(), ...change });
const create = (change: Record<string, unknown> = {}): Promise<SegmentBody> => done("POST", SEGMENTS, { body: aSegment(change) });
const change = (key: string, version: number, body: object): Promise<SegmentBody> =>
	done("PATCH", at(key), { body, headers: ifMatch(version) });
const list = (key: string, version: number, keys: readonly string[]): Promise<SegmentBody> =>
	done("PUT", keysOf(key), { body: { keys }, headers: ifMatch(version) });
const listed = async (key: string) => (await done<{ keys: string[] }>("GET", keysOf(key))).keys;
const IS_BETA = { attribute: "plan", op: "equals", values: ["beta"] };
const rule = (when: unknown) => ({ id: "members", when, serve: "true" });

/** What the edges are given once everything pending is published. */
async function published() {
	await tick(aTick(), Date.now());
	const version = (await readHead(open(env.DB))).head.environments["production"]?.version ?? 0;
	const body = await env.SNAPSHOTS.get(`snapshot/production/${version}`, "arrayBuffer");
	return openSnapshot(new Uint8Array(body ?? new ArrayBuffer()), (bytes) => new TextDecoder().decode(bytes));
}

describe("a segment", () => {
	test("needs only a key, and is read, listed, changed and deleted", async () => {
		const { key } = aSegment();
		const { status, headers, body } = await send<SegmentBody>("POST", `${SEGMENTS}&reason=why`, { body: { key } });
		expect([status, headers.get("etag")]).toEqual([201, '"1"']);
		expect(body).toEqual({
			key,
			description: "",
			when: null,
			environment: "production",
			version: 1,
			listed: 0,
			updatedAtMs: expect.any(Number),
		});
		expect(await done("GET", at(key))).toEqual(body);
		const { segments } = await done<{ segments: SegmentBody[] }>("GET", SEGMENTS);
		expect(segments).toContainEqual(body);
		expect(segments.map((each) => each.key)).toEqual(segments.map((each) => each.key).sort());
		const after = await change(key, 1, { description: "new", when: IS_BETA });
		expect(after).toEqual({ ...body, description: "new", when: IS_BETA, version: 2, updatedAtMs: expect.any(Number) });
		expect((await send("DELETE", at(key), { headers: ifMatch(2) })).status).toBe(204);
		await refused(404, "GET", at(key));
		const rows = await auditOf(`segments/production/${key}`);
		expect(rows.map(({ action, reason }) => [action, reason])).toEqual([
			["segment.created", "why"],
			["segment.changed", ""],
			["segment.deleted", ""],
		]);
		const versions = await env.DB.prepare(
			"SELECT version, config IS NULL AS deleted, reason FROM segment_versions WHERE key = ? ORDER BY 1",
		)
			.bind(key)
			.all();
		expect(versions.results).toEqual([
			{ version: 1, deleted: 0, reason: "why" },
			{ version: 2, deleted: 0, reason: "" },
			{ version: 3, deleted: 1, reason: "" },
		]);
		expect((await create({ key })).version).toBe(4);
	});

	test("is one environment's", async () => {
		const { key } = await create();
		await refused(404, "GET", at(key, "staging"));
		await done("POST", "/api/v1/segments?environment=staging", { body: { key } });
		await refused(409, "POST", SEGMENTS, { body: { key } });
	});

	test("changes only under the version that was read", async () => {
		const { key } = await create();
		await change(key, 1, { description: "second" });
		for (const [method, path, body] of [
			["PATCH", at(key), { description: "new" }],
			["PUT", keysOf(key), { keys: ["a"] }],
			["DELETE", at(key), undefined],
		] as const) {
			// oxlint-disable-next-line no-await-in-loop -- three requests
			expect((await refused(428, method, path, { body }))["currentVersion"]).toBe(2);
			// oxlint-disable-next-line no-await-in-loop -- see above
			expect((await refused(412, method, path, { body, headers: ifMatch(1) }))["currentVersion"]).toBe(2);
		}
		expect(await done("GET", at(key))).toMatchObject({ version: 2, description: "second", listed: 0 });
		const answers = await Promise.all(
			["a", "b"].map((description) => send("PATCH", at(key), { body: { description }, headers: ifMatch(2) })),
		);
		expect(answers.map(({ status }) => status).sort((a, b) => a - b)).toEqual([200, 412]);
	});

	test("that is not there is 404", async () => {
		const key = newKey();
		await refused(404, "GET", at(key));
		await refused(404, "GET", keysOf(key));
		await refused(404, "PATCH", at(key), { body: {}, headers: ifMatch(1) });
		await refused(404, "PUT", keysOf(key), { body: { keys: [] }, headers: ifMatch(1) });
		await refused(404, "DELETE", at(key), { headers: ifMatch(1) });
	});

	test.each<[what: string, change: Record<string, unknown>, pointers: readonly string[]]>([
		["an unknown field", { colour: "red" }, ["/colour"]],
		["keys in its own body", { keys: ["a"] }, ["/keys"]],
		["a key in capitals", { key: "Beta" }, ["/key"]],
		["an unknown segment", { when: { all: [IS_BETA, { segment: "nobody" }] } }, ["/when/all/1/segment"]],
		["itself", { key: "selfish", when: { not: { segment: "selfish" } } }, ["/when"]],
		["a bad pattern", { when: { attribute: "a", op: "matches", values: ["ok", "(a"] } }, ["/when/values/1"]],
		["9 levels", { when: deep(9) }, ["/when"]],
	])("refuses %s", async (_, given, pointers) => {
		expect(pointersOf(await refused(422, "POST", SEGMENTS, { body: aSegment(given) }))).toEqual(pointers);
	});

	test("is refused with the way round when it would be a cycle", async () => {
		const [a, b, c] = [newKey(), newKey(), newKey()];
		await create({ key: a });
		await create({ key: b, when: { segment: a } });
		await create({ key: c, when: { any: [IS_BETA, { segment: b }] } });
		const problem = await refused(422, "PATCH", at(a), { body: { when: { not: { segment: c } } }, headers: ifMatch(1) });
		expect(problem.errors).toEqual([{ pointer: "/when", message: `is a cycle: ${[a, c, b, a].join(" → ")}` }]);
		expect(await done("GET", at(a))).toMatchObject({ version: 1, when: null });
	});

	test("in use cannot be deleted, and its users are named", async () => {
		const { key } = await create();
		const flag = await createFlag({ rules: [rule({ any: [IS_BETA, { not: { segment: key } }] })] });
		const outer = await create({ when: { segment: key } });
		const problem = await refused(409, "DELETE", at(key), { headers: ifMatch(1) });
		expect(problem["by"]).toEqual([`flags/${flag.key}`, `segments/${outer.key}`]);
		await done("PATCH", flagAt(flag.key), { body: { rules: [] }, headers: ifMatch(1) });
		await done("DELETE", at(outer.key), { headers: ifMatch(1) });
		await done("DELETE", at(key), { headers: ifMatch(1) });
	});
});

describe("a segment that a rollout excludes", () => {
	const excluding = (key: string, change_: Record<string, unknown> = {}) => createRollout({ exclude: { segments: [key] }, ...change_ });

	test.each<[status: string, ...commands: string[]]>([["draft"], ["running", "start"], ["paused", "start", "pause"]])(
		"cannot be deleted while that is %s, and the rollout is named",
		async (status, ...commands) => {
			const { key } = await create();
			const { id } = await excluding(key);
			// oxlint-disable-next-line no-await-in-loop -- one after the other
			for (const each of commands) await command(id, each);
			expect(await done("GET", `${ROLLOUTS}/${id}`)).toMatchObject({ status });
			const problem = await refused(409, "DELETE", at(key), { headers: ifMatch(1) });
			expect(problem["by"]).toEqual([`rollouts/${id}`]);
			await command(id, "cancel");
			await done("DELETE", at(key), { headers: ifMatch(1) });
		},
	);

	test("may go once that was rolled back", async () => {
		const { key } = await create();
		const { id } = await excluding(key);
		await command(id, "start");
		await command(id, "roll_back");
		await done("DELETE", at(key), { headers: ifMatch(1) });
	});

	test("stays where that was completed: whoever was excluded is not moved by its end, and the flag's rule says so", async () => {
		const { key } = await create();
		const phases = [{ percent: 100, hold: "10m", criteria: ["error_rate < 3%"] }];
		const { id, plan } = await excluding(key, { phases });
		await command(id, "start");
		await command(id, "advance");
		expect(await refused(409, "DELETE", at(key), { headers: ifMatch(1) })).toMatchObject({
			by: [`flags/${(plan as { flags: string[] }).flags[0]}`],
		});
	});

	test("is one environment's: another one's rollout does not hold it, nor does one that excludes a key of its name", async () => {
		const { key } = await create();
		await done("POST", "/api/v1/segments?environment=staging", { body: { key } });
		const flag = await done<{ key: string }>("POST", "/api/v1/flags?environment=staging", { body: aFlag() });
		await excluding(key, { environment: "staging", flags: [flag.key] });
		await createRollout({ exclude: { keys: [key], segments: [] } });
		await done("DELETE", at(key), { headers: ifMatch(1) });
		expect((await refused(409, "DELETE", at(key, "staging"), { headers: ifMatch(1) }))["by"]).toHaveLength(1);
	});

	test.each([
		["{"],
		["1"],
		['"text"'],
		['{"exclude": 1}'],
		['{"exclude": {"segments": "text"}}'],
		['{"exclude": {"segments": [{}, [1], null]}}'],
	])("is not held by a damaged plan, and can be looked for beside it: %s", async (plan) => {
		const [{ key }, other] = [await create(), await create()];
		const { id } = await excluding(key);
		const held = await excluding(other.key);
		await env.DB.prepare("UPDATE rollouts SET plan = ? WHERE id = ?").bind(plan, id).run();
		expect((await refused(409, "DELETE", at(other.key), { headers: ifMatch(1) }))["by"]).toEqual([`rollouts/${held.id}`]);
		await done("DELETE", at(key), { headers: ifMatch(1) });
	});

	test("must be there when the plan is written", async () => {
		const { key } = await createFlag();
		const { key: there } = await create();
		const plan = aPlan({ flags: [key], exclude: { segments: [there, "nobody"] } });
		expect((await refused(422, "POST", ROLLOUTS, { body: plan })).errors).toEqual([
			{ pointer: "/exclude/segments/1", message: "there is no segment nobody in production" },
		]);
	});

	test("survives an import that does not name it, and keeps its users on the baseline", async () => {
		const { key } = await create();
		await list(key, 1, ["anna"]);
		const flag = await createFlag();
		const phases = [{ percent: 100, hold: "10m", criteria: ["error_rate < 3%"] }];
		const { id } = await excluding(key, { flags: [flag.key], phases, guards: [] });
		await command(id, "start");
		await done("POST", "/api/v1/import?environment=production", { body: { schemaVersion: 1, flags: [aFlag()], segments: [aSegment()] } });
		expect(await listed(key)).toEqual(["anna"]);
		const snapshot = await published();
		expect(evaluate(snapshot, NO_OVERLAY, flag.key, { targetingKey: "anna" })).toMatchObject({ metadata: { excluded: true } });
		expect(evaluate(snapshot, NO_OVERLAY, flag.key, { targetingKey: "bob" })).toMatchObject({ value: true });
	});
});

describe("a segment that a rollout uses", () => {
	const phase = (audience?: string) => ({ percent: 100, hold: "10m", criteria: ["error_rate < 3%"], ...(audience ? { audience } : {}) });
	const USES: readonly [how: string, plan: (key: string) => Record<string, unknown>][] = [
		["as a ring's audience", (key) => ({ phases: [{ ...phase(key), percent: 50 }, phase()] })],
		["as an audience of a later phase only", (key) => ({ guards: [], phases: [phase(), phase(key)] })],
		["to take it back", (key) => ({ rollback: { strategy: "targeted", segments: [key] } })],
	];
	const LIVES: readonly (readonly [status: string, commands: readonly Record<string, unknown>[]])[] = [
		["draft", []],
		["scheduled", [{ command: "start", at: "2099-01-01T00:00:00Z" }]],
		["running", [{ command: "start" }]],
		["paused", [{ command: "start" }, { command: "pause" }]],
	];

	test.each(USES.flatMap(([how, plan]) => LIVES.map(([status, commands]) => ({ how, plan, status, commands }))))(
		"$how cannot be deleted while that is $status, and the rollout is named",
		async ({ plan, status, commands }) => {
			const { key } = await create();
			const { id } = await createRollout(plan(key));
			// oxlint-disable-next-line no-await-in-loop -- one after the other
			for (const body of commands) await done("POST", `${ROLLOUTS}/${id}/commands`, { body });
			expect(await done("GET", `${ROLLOUTS}/${id}`)).toMatchObject({ status });
			expect((await refused(409, "DELETE", at(key), { headers: ifMatch(1) }))["by"]).toEqual([`rollouts/${id}`]);
			await command(id, "cancel");
			await done("DELETE", at(key), { headers: ifMatch(1) });
		},
	);

	test("since people took it back cannot be deleted, on the way back neither, and completed its flag's rule holds it", async () => {
		const { key } = await create();
		const { id, plan } = await createRollout({ phases: [{ ...phase(), percent: 50 }, phase()] });
		const forced = { body: { command: "advance", force: true, reason: "done" } };
		await command(id, "start");
		await done("POST", `${ROLLOUTS}/${id}/commands`, forced);
		const exclude = { command: "roll_back", strategy: "targeted", segments: [key], reason: "theirs only" };
		await done("POST", `${ROLLOUTS}/${id}/commands`, { body: exclude });
		const held = async () => (await refused(409, "DELETE", at(key), { headers: ifMatch(1) }))["by"];
		expect(await held()).toEqual([`rollouts/${id}`]);
		await done("POST", `${ROLLOUTS}/${id}/commands`, { body: { command: "roll_back", strategy: "gradual", reason: "slowly" } });
		expect(await done("GET", `${ROLLOUTS}/${id}`)).toMatchObject({ status: "rolling_back" });
		expect(await held()).toEqual([`rollouts/${id}`]);
		await command(id, "resume");
		await done("POST", `${ROLLOUTS}/${id}/commands`, forced);
		await done("POST", `${ROLLOUTS}/${id}/commands`, forced);
		expect(await held()).toEqual([`flags/${(plan as { flags: string[] }).flags[0]}`]);
	});

	test("and that a start takes at the same moment is deleted before it, or stays", async () => {
		const { key } = await create();
		const { id } = await createRollout({ phases: [phase(key)], guards: [] });
		const answers = await Promise.all([
			send("DELETE", at(key), { headers: ifMatch(1) }),
			send("POST", `${ROLLOUTS}/${id}/commands`, { body: { command: "start" } }),
		]);
		expect(answers.map(({ status }) => status)).toEqual([409, 200]);
	});

	test.each([
		["plan", '{"phases": [1, "text", null, {"audience": {}}], "rollback": 1}'],
		["plan", '{"rollback": {"segments": [{}, [1], null]}}'],
		["state", "{"],
		["state", '{"excluded": {"segments": "text"}}'],
	])("is found beside a damaged %s: %s", async (column, json) => {
		const [{ key }, other] = [await create(), await create()];
		const damaged = await createRollout();
		const { id } = await createRollout({ phases: [phase(key)], guards: [] });
		await env.DB.prepare(`UPDATE rollouts SET ${column} = ? WHERE id = ?`).bind(json, damaged.id).run();
		expect((await refused(409, "DELETE", at(key), { headers: ifMatch(1) }))["by"]).toEqual([`rollouts/${id}`]);
		await done("DELETE", at(other.key), { headers: ifMatch(1) });
	});
});

describe("listed keys", () => {
	test("are replaced as a whole, each once, and leave the rest alone", async () => {
		const { key } = await create({ when: IS_BETA });
		expect(await list(key, 1, ["ann", "bob", "ann"])).toMatchObject({ version: 2, listed: 2, when: IS_BETA });
		expect(await listed(key)).toEqual(["ann", "bob"]);
		expect(await change(key, 2, { description: "new" })).toMatchObject({ version: 3, listed: 2 });
		expect(await listed(key)).toEqual(["ann", "bob"]);
		expect(await list(key, 3, [])).toMatchObject({ version: 4, listed: 0 });
		expect(await listed(key)).toEqual([]);
		expect((await auditOf(`segments/production/${key}`)).map(({ action }) => action)).toEqual([
			"segment.created",
			"segment.keys_replaced",
			"segment.changed",
			"segment.keys_replaced",
		]);
	});

	test("of any text come back as they were", async () => {
		const { key } = await create();
		const keys = ["'; DROP TABLE flags; --", '"', "\\", "\u0000", "ä", "🌊", "__proto__", "k".repeat(1_000), "漢".repeat(1_000)];
		await list(key, 1, keys);
		expect(await listed(key)).toEqual(keys);
	});

	test("may be 100,000 in one piece, each of them a member and nobody else", { timeout: 30_000 }, async () => {
		const { key } = await create();
		const keys = Array.from({ length: 100_000 }, (_, i) => `user-${i}-${"x".repeat(20)}`);
		expect(await list(key, 1, keys)).toMatchObject({ version: 2, listed: 100_000 });
		expect(await listed(key)).toEqual(keys);
		const flag = await createFlag({ rules: [rule({ segment: key })] });
		const snapshot = await published();
		for (const i of [0, 1, 499, 500, 31_249, 31_250, 99_999])
			expect(evaluate(snapshot, NO_OVERLAY, flag.key, { targetingKey: keys[i] })).toMatchObject({ variant: "true" });
		for (const targetingKey of ["user-0", "nobody", "user-100000-xxxxxxxxxxxxxxxxxxxx", undefined])
			expect(evaluate(snapshot, NO_OVERLAY, flag.key, { targetingKey })).toMatchObject({ variant: "false" });
		await list(key, 2, []);
	});

	test.each<[what: string, body: unknown, pointer: string]>([
		["100,001", { keys: Array.from({ length: 100_001 }, (_, i) => `k${i}`) }, "/keys"],
		["an empty one", { keys: ["a", ""] }, "/keys/1"],
		["one of 1,001 characters", { keys: ["k".repeat(1_001)] }, "/keys/0"],
		["a number", { keys: [1] }, "/keys/0"],
		["an unknown field", { keys: [], colour: "red" }, "/colour"],
		["no list", {}, "/keys"],
	])("refuse %s", async (_, body, pointer) => {
		const { key } = await create();
		expect(pointersOf(await refused(422, "PUT", keysOf(key), { body, headers: ifMatch(1) }))).toEqual([pointer]);
		expect(await listed(key)).toEqual([]);
	});

	test("may have 8 MiB, other bodies may not", async () => {
		const { key } = await create();
		const text = (bytes: number) => JSON.stringify({ keys: [] }).padEnd(bytes);
		await done("PUT", keysOf(key), { body: text(8 * 1024 * 1024), headers: ifMatch(1) });
		expect((await refused(413, "PUT", keysOf(key), { body: text(8 * 1024 * 1024 + 1), headers: ifMatch(2) }))["limitBytes"]).toBe(
			8 * 1024 * 1024,
		);
		await refused(413, "PATCH", at(key), { body: text(262_145), headers: ifMatch(2) });
	});

	test("count towards the 8 MiB of a snapshot", async () => {
		const [others, { key }] = [await create(), await create()];
		const keys = Array.from({ length: 1_000 }, (_, i) => `user-${i}`);
		const claim = (many: number) => env.DB.prepare("UPDATE segments SET listed = ? WHERE key = ?").bind(many, others.key).run();
		await claim((8 * 1024 * 1024) / 16 - 1_000);
		const problem = await refused(422, "PUT", keysOf(key), { body: { keys }, headers: ifMatch(1) });
		expect(problem.type).toBe("urn:tidegate:problem:snapshot_too_large");
		expect(problem["bytes"]).toBeGreaterThan(8 * 1024 * 1024);
		await refused(422, "POST", FLAGS, {
			body: aFlag({ description: "d".repeat(2_000), rules: [rule({ attribute: "a", op: "in", values: longValues() })] }),
		});
		await list(key, 1, []);
		await claim(0);
		await list(key, 2, keys);
	});
});

/** 20 KB and more. */
const longValues = (): string[] => Array.from({ length: 25 }, (_, i) => `${i}`.padEnd(1_000, "x"));

test("who is a member is decided by list, condition and other segments, at the edge as it was published", async () => {
	const inner = await create({ when: IS_BETA });
	await list(inner.key, 1, ["ann"]);
	const outer = await create({ when: { any: [{ segment: inner.key }, { attribute: "country", op: "in", values: ["at", "ch"] }] } });
	await list(outer.key, 1, ["zoe"]);
	const flag = await createFlag({ rules: [rule({ segment: outer.key })] });
	const others = await createFlag({ rules: [rule({ not: { segment: outer.key } })] });
	const snapshot = await published();
	const table: [context: Record<string, unknown>, isMember: boolean][] = [
		[{ targetingKey: "ann" }, true],
		[{ targetingKey: "zoe" }, true],
		[{ targetingKey: "Ann" }, false],
		[{ targetingKey: "bob" }, false],
		[{ targetingKey: "bob", plan: "beta" }, true],
		[{ targetingKey: "bob", country: "ch" }, true],
		[{ plan: "beta" }, true],
		[{}, false],
	];
	for (const [context, isMember] of table) {
		expect(evaluate(snapshot, NO_OVERLAY, flag.key, context), JSON.stringify(context)).toMatchObject({ value: isMember });
		expect(evaluate(snapshot, NO_OVERLAY, others.key, context), JSON.stringify(context)).toMatchObject({ value: !isMember });
	}
	expect(snapshot.keys()).not.toContain(outer.key);
});

describe("what a flag names", () => {
	const bad = async (fields: Record<string, unknown>) => (await refused(422, "POST", FLAGS, { body: aFlag(fields) })).errors;

	test("must be a segment that is there, in any depth of a rule", async () => {
		const when = { all: [IS_BETA, { any: [{ not: { segment: "nobody" } }] }] };
		expect(await bad({ rules: [rule(IS_BETA), { ...rule(when), id: "other" }] })).toEqual([
			{ pointer: "/rules/1/when/all/1/any/0/not/segment", message: "there is no segment nobody" },
		]);
		const { key } = await createFlag();
		await refused(422, "PATCH", flagAt(key), { body: { rules: [rule({ segment: "nobody" })] }, headers: ifMatch(1) });
	});

	test("must be patterns that compile, and the place of the fault is told", async () => {
		const when = { attribute: "email", op: "matches", values: ["@example\\.com$", "ab(c", "(a)\\1", "a(?=b)"] };
		const errors = await bad({ rules: [rule(when)] });
		expect(errors?.map(({ pointer }) => pointer)).toEqual(["/rules/0/when/values/1", "/rules/0/when/values/2", "/rules/0/when/values/3"]);
		for (const { message } of errors ?? []) expect(message).toMatch(/\(at character \d+\)$/);
	});

	test("as a range must have its lowest value first, which is told; a row that has it otherwise is still served", async () => {
		const ages = (...values: number[]) => ({ attribute: "age", op: "between", values });
		const message = "between takes the lowest first: 9 > 1";
		expect(await bad({ rules: [rule({ any: [IS_BETA, { not: ages(9, 1) }] })] })).toEqual([
			{ pointer: "/rules/0/when/any/1/not/values", message },
		]);
		expect((await refused(422, "POST", SEGMENTS, { body: aSegment({ when: ages(9, 1) }) })).errors).toEqual([
			{ pointer: "/when/values", message },
		]);
		const flag = aFlag({ rules: [rule(ages(9, 1))] });
		const file = { schemaVersion: 1, flags: [flag] };
		expect((await refused(422, "POST", "/api/v1/import?environment=production", { body: file })).errors).toEqual([
			{ pointer: "/flags/0/rules/0/when/values", message },
		]);
		const { key } = await createFlag({ rules: [rule({ all: [ages(1, 9), ages(5, 5)] })] });
		await env.DB.prepare("UPDATE flags SET config = replace(config, '[1,9]', '[9,1]') WHERE key = ?").bind(key).run();
		expect(await done("GET", flagAt(key))).toMatchObject({ rules: [{ when: { all: [{ values: [9, 1] }, { values: [5, 5] }] } }] });
		await done("PATCH", flagAt(key), { body: { enabled: false } });
	});

	test("as a prerequisite must be there, with its variants", async () => {
		const other = await createFlag({ type: "string", variants: { on: "a", off: "b" }, offVariant: "off", fallthrough: "on" });
		expect(
			await bad({
				prerequisites: [
					{ flag: other.key, variants: ["on", "true"] },
					{ flag: "nobody", variants: ["true"] },
				],
			}),
		).toEqual([
			{ pointer: "/prerequisites/0/variants/1", message: `flag ${other.key} has no variant "true": it has on, off` },
			{ pointer: "/prerequisites/1/flag", message: "there is no flag nobody in production" },
		]);
	});

	test("as a prerequisite must not lead back to it, and the way round is told", async () => {
		const [a, b, c] = [newKey(), newKey(), newKey()];
		const requires = (flag: string) => [{ flag, variants: ["true"] }];
		await createFlag({ key: a });
		await createFlag({ key: b, prerequisites: requires(a) });
		await createFlag({ key: c, prerequisites: requires(b) });
		expect((await refused(422, "PATCH", flagAt(a), { body: { prerequisites: requires(c) }, headers: ifMatch(1) })).errors).toEqual([
			{ pointer: "/prerequisites", message: `is a cycle: ${[a, c, b, a].join(" → ")}` },
		]);
		expect((await refused(422, "PATCH", flagAt(a), { body: { prerequisites: requires(a) }, headers: ifMatch(1) })).errors).toEqual([
			{ pointer: "/prerequisites/0/flag", message: "a flag cannot require itself" },
		]);
	});

	test("a damaged flag among the others keeps nobody from requiring one that is whole", async () => {
		const [damaged, other] = [await createFlag(), await createFlag()];
		const put = (config: string) => env.DB.prepare("UPDATE flags SET config = ? WHERE key = ?").bind(config, damaged.key).run();
		for (const config of ["{", "1", '"text"', '{"prerequisites": ["text", 1, {"flag": 7}], "variants": 5}']) {
			// oxlint-disable-next-line no-await-in-loop -- one after the other
			await put(config);
			// oxlint-disable-next-line no-await-in-loop -- see above
			const { key } = await createFlag({ prerequisites: [{ flag: other.key, variants: ["true"] }] });
			// oxlint-disable-next-line no-await-in-loop -- see above
			await done("DELETE", flagAt(key), { headers: ifMatch(1) });
		}
	});

	test("cannot be deleted while it is required, and who requires it is named", async () => {
		const { key } = await createFlag();
		const by = [
			await createFlag({ prerequisites: [{ flag: key, variants: ["true"] }] }),
			await createFlag({ prerequisites: [{ flag: key, variants: ["true"] }] }),
		];
		const problem = await refused(409, "DELETE", flagAt(key), { headers: ifMatch(1) });
		expect(problem["by"]).toEqual(by.map((each) => each.key).sort());
		for (const each of by) expect(problem.detail).toContain(each.key);
		// oxlint-disable-next-line no-await-in-loop -- two requests
		for (const each of by) await done("PATCH", flagAt(each.key), { body: { prerequisites: [] }, headers: ifMatch(1) });
		await done("DELETE", flagAt(key), { headers: ifMatch(1) });
	});
});

describe("a variant that a flag requires", () => {
	const COLOURS = { type: "string", variants: { red: "r", green: "g", blue: "b" }, offVariant: "red", fallthrough: "red" };
	const requires = (flag: string, ...variants: string[]) => ({ prerequisites: [{ flag, variants }] });
	const { blue: _, ...twoColours } = COLOURS.variants;

	test("cannot be removed or renamed, and who requires it is named", async () => {
		const { key } = await createFlag(COLOURS);
		const by = [await createFlag(requires(key, "green", "blue")), await createFlag(requires(key, "blue"))];
		await createFlag(requires(key, "green"));
		for (const variants of [twoColours, { ...twoColours, navy: "b" }]) {
			// oxlint-disable-next-line no-await-in-loop -- two requests
			const problem = await refused(409, "PATCH", flagAt(key), { body: { variants }, headers: ifMatch(1) });
			expect(problem.type).toBe("urn:tidegate:problem:variant_required");
			expect(problem["by"]).toEqual(by.map((each) => each.key).sort());
			expect(problem.detail).toContain("blue");
		}
		expect(await done("GET", flagAt(key))).toMatchObject({ version: 1, variants: COLOURS.variants });
		// oxlint-disable-next-line no-await-in-loop -- two requests
		for (const each of by) await done("PATCH", flagAt(each.key), { body: { prerequisites: [] }, headers: ifMatch(1) });
		await done("PATCH", flagAt(key), { body: { variants: twoColours }, headers: ifMatch(1) });
	});

	test("may get another value, and others may come and go beside it", async () => {
		const { key } = await createFlag(COLOURS);
		await createFlag(requires(key, "blue"));
		await done("PATCH", flagAt(key), { body: { variants: { red: "r", blue: "B", black: "k" } }, headers: ifMatch(1) });
		await done("PATCH", flagAt(key), { body: { variants: { red: "r", blue: "B" } }, headers: ifMatch(2) });
	});

	test("that is gone already keeps nobody from writing the rest of the flag", async () => {
		const { key } = await createFlag(COLOURS);
		const other = await createFlag(requires(key, "blue"));
		await env.DB.prepare("UPDATE flags SET config = replace(config, '\"blue\"', '\"black\"') WHERE key = ?").bind(other.key).run();
		await done("PATCH", flagAt(key), { body: { variants: { ...COLOURS.variants, white: "w" } }, headers: ifMatch(1) });
		await done("PATCH", flagAt(key), { body: { variants: twoColours }, headers: ifMatch(2) });
	});

	test("does not come to be missing by way of an earlier version, and a kill goes through", async () => {
		const { key } = await createFlag({ ...COLOURS, variants: twoColours });
		await done("PATCH", flagAt(key), { body: { variants: COLOURS.variants }, headers: ifMatch(1) });
		const { key: by } = await createFlag(requires(key, "blue"));
		const restore = `/api/v1/flags/${key}/restore?environment=production`;
		expect((await refused(409, "POST", restore, { body: { version: 1 }, headers: ifMatch(2) }))["by"]).toEqual([by]);
		await done("PATCH", flagAt(key), { body: { enabled: false } });
	});

	test("is one environment's, and a damaged flag requires none", async () => {
		const { key } = await createFlag(COLOURS);
		const staging = "/api/v1/flags?environment=staging";
		await done("POST", staging, { body: aFlag({ ...COLOURS, key }) });
		await done("POST", staging, { body: aFlag(requires(key, "blue")) });
		const damaged = await createFlag();
		for (const [i, config] of [
			"{",
			"1",
			'"text"',
			'{"prerequisites": ["text", 1, {"flag": 7}]}',
			`{"prerequisites": [{"flag": "${key}"}, {"flag": "${key}", "variants": "text"}, {"flag": "${key}", "variants": [{}, null]}]}`,
		].entries()) {
			// oxlint-disable-next-line no-await-in-loop -- one after the other
			await env.DB.prepare("UPDATE flags SET config = ? WHERE key = ?").bind(config, damaged.key).run();
			const variants = i % 2 === 0 ? twoColours : COLOURS.variants;
			// oxlint-disable-next-line no-await-in-loop -- see above
			await done("PATCH", flagAt(key), { body: { variants }, headers: ifMatch(i + 1) });
		}
	});
});

describe("a change that somebody crosses", () => {
	/** The status of a change while somebody else does something before one of its batches. */
	async function amid(path: string, batch: number, meanwhile: () => Promise<unknown>, patch?: unknown): Promise<number> {
		let batches = 0;
		const DB = {
			prepare: (text: string) => env.DB.prepare(text),
			async batch(statements: D1PreparedStatement[]) {
				if (++batches === batch) await meanwhile();
				return env.DB.batch(statements);
			},
		} as unknown as D1Database;
		const context = createExecutionContext();
		const headers = { authorization: `Bearer ${TOKEN}`, "content-type": "application/json", ...ifMatch(1) };
		const init = patch === undefined ? { method: "DELETE", headers } : { method: "PATCH", headers, body: JSON.stringify(patch) };
		const request = new Request<unknown, IncomingRequestCfProperties>(`https://control.example${path}`, init);
		const { status } = await control.fetch(request, { ...env, DB }, context);
		await waitOnExecutionContext(context);
		return status;
	}

	test("keeps a flag that has come to be required", async () => {
		const { key } = await createFlag();
		expect(await amid(flagAt(key), 1, () => createFlag({ prerequisites: [{ flag: key, variants: ["true"] }] }))).toBe(409);
		await done("GET", flagAt(key));
	});

	test("keeps a variant that has come to be required", async () => {
		const { key } = await createFlag({ variants: { true: true, false: false, also: true } });
		const use = () => createFlag({ prerequisites: [{ flag: key, variants: ["also"] }] });
		expect(await amid(flagAt(key), 2, use, { variants: { true: true, false: false } })).toBe(409);
		expect(await done("GET", flagAt(key))).toMatchObject({ version: 1 });
	});

	test.each<[what: string, use: (key: string) => Promise<unknown>]>([
		["a flag", (key) => createFlag({ rules: [rule({ segment: key })] })],
		["a segment", (key) => create({ when: { not: { segment: key } } })],
		["a rollout", (key) => createRollout({ exclude: { segments: [key] } })],
	])("keeps a segment that %s has come to name", async (_, use) => {
		const { key } = await create();
		expect(await amid(at(key), 2, () => use(key))).toBe(409);
		await done("GET", at(key));
	});
});

describe("what is nested deeply", () => {
	test.each([
		["8 levels are taken", 8, 201],
		["9 are refused", 9, 422],
		["1,000 are refused", 1_000, 422],
	])("%s", async (_, levels, status) => {
		const { status: answered, text } = await send("POST", FLAGS, { body: aFlag({ rules: [rule(deep(levels))] }) });
		expect(answered, text).toBe(status);
	});

	test.each([5_000, 20_000])("%d levels are 400 or 422, never a failure", async (levels) => {
		const when = `${'{"not":'.repeat(levels)}{"attribute":"a","op":"exists"}${"}".repeat(levels)}`;
		const flag = `{"key":"${newKey()}","type":"boolean","rules":[{"id":"r","when":${when},"serve":"true"}]}`;
		const segment = `{"key":"${newKey()}","when":${when}}`;
		for (const [path, body] of [
			[FLAGS, flag],
			[SEGMENTS, segment],
		] as const) {
			// oxlint-disable-next-line no-await-in-loop -- two requests
			const { status, text } = await send("POST", path, { body });
			expect([400, 422], text.slice(0, 300)).toContain(status);
		}
	});
});

function deep(levels: number): unknown {
	let tree: unknown = IS_BETA;
	for (let i = 1; i < levels; i++) tree = { not: tree };
	return tree;
}
