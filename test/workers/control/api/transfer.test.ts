import { createExecutionContext, waitOnExecutionContext } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { beforeEach, describe, expect, test } from "vitest";
import control from "../../../../control/index";
import { open } from "../../../../control/store/database";
import { readHead } from "../../../../control/store/publication";
import type { Problem } from "../../../../control/api/refusals";
import {
	type FlagBody,
	TOKEN,
	aFlag,
	auditOf,
	auditRows,
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

interface Items {
	readonly created: readonly string[];
	readonly changed: readonly { readonly key: string; readonly diff: readonly { readonly path: string }[] }[];
	readonly unchanged: readonly string[];
	readonly refused: readonly { readonly key: string; readonly errors: readonly { readonly pointer: string; readonly message: string }[] }[];
}
interface Report extends Items {
	readonly segments: Items;
	readonly routes: Items & { readonly skipped: readonly string[] };
	readonly applied: boolean;
}
interface File {
	readonly schemaVersion: number;
	readonly environment: string;
	readonly exportedAtMs: number;
	readonly flags: readonly (Record<string, unknown> & { readonly key: string })[];
	readonly segments: readonly (Record<string, unknown> & { readonly key: string; readonly keys: readonly string[] })[];
	readonly routes: readonly (Record<string, unknown> & { readonly key: string })[];
	readonly damaged?: readonly string[];
}
type Environment = "production" | "staging";
const NONE: Items = { created: [], changed: [], unchanged: [], refused: [] };
const NO_ROUTES = { ...NONE, skipped: [] };
const into = (environment: Environment, query = ""): string => `/api/v1/import?environment=${environment}${query}`;
const exportOf = (environment: Environment) => done<File>("GET", `/api/v1/export?environment=${environment}`);
const importInto = (environment: Environment, body: unknown, query = "") => done<Report>("POST", into(environment, query), { body });
const promote = (flags: readonly string[], change: Record<string, unknown> = {}) => ({
	body: { from: "production", to: "staging", flags, ...change },
});
const PROMOTE = "/api/v1/promote";
const ifMatch = (version: number) => ({ "if-match": `"${version}"` });
const file = (flags: readonly unknown[], segments: readonly unknown[] = []) => ({ schemaVersion: 1, flags, segments });
const simple = (change: Record<string, unknown> = {}) => ({ name: newKey(), status: "enabled", ...change });
const rule = (when: unknown, change: Record<string, unknown> = {}) => ({ id: "r", description: "", when, serve: "true", ...change });
const IS_BETA = { attribute: "plan", op: "equals", values: ["beta"] };
const getFlag = (key: string, environment: Environment = "production") => done<FlagBody>("GET", flagAt(key, environment));
const createSegment = (key: string, environment: Environment = "production", when: unknown = null) =>
	done("POST", `/api/v1/segments?environment=${environment}`, { body: { key, when } });

/** Everything that control keeps, table by table. */
async function everything(): Promise<unknown> {
	const tables = await env.DB.prepare(
		"SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE '\\_%' ESCAPE '\\' AND name NOT LIKE 'sqlite%' ORDER BY name",
	).all<{ name: string }>();
	const rows = await env.DB.batch(tables.results.map(({ name }) => env.DB.prepare(`SELECT * FROM ${name}`)));
	return tables.results.map(({ name }, i) => [name, rows[i]?.results]);
}

/** Publication goes on behind the answers: what they left must be there before it is compared. */
async function settled(): Promise<unknown> {
	for (let tries = 0; tries < 100; tries++) {
		// oxlint-disable-next-line no-await-in-loop -- waits
		const row = await env.DB.prepare(
			"SELECT (SELECT count(*) FROM environments WHERE changed > version) + (SELECT count(*) FROM head WHERE content > kv) AS n",
		).first<number>("n");
		if (row === 0) break;
		// oxlint-disable-next-line no-await-in-loop -- see above
		await new Promise((resolve) => setTimeout(resolve, 50));
	}
	return everything();
}

/** Each test begins with two empty environments. */
beforeEach(async () => {
	await env.DB.batch(
		["flags", "segments", "segment_keys", "active_flags", "overlays"].map((table) => env.DB.prepare(`DELETE FROM ${table}`)),
	);
});

/** Flags and segments that use everything there is. */
async function furnish(): Promise<void> {
	const [vip, beta] = [newKey(), newKey()];
	await createSegment(vip);
	await done("PUT", `/api/v1/segments/${vip}/keys?environment=production`, {
		body: { keys: ["zoe", "ann", "'\"\\\u0000", "漢🌊"] },
		headers: ifMatch(1),
	});
	await createSegment(beta, "production", { any: [IS_BETA, { segment: vip }] });
	const base = await createFlag({
		description: "base",
		tags: ["a", "b"],
		owner: "team",
		temporary: true,
		expiresAt: "2030-01-01T00:00:00Z",
	});
	await createFlag({
		type: "object",
		variants: { on: { deep: [{ "a/b": null, n: 1e-7, text: "\u0000\ud800 'quoted' \"twice\" \\" }] }, off: {} },
		offVariant: "off",
		fallthrough: [
			{ variant: "on", weight: 1 },
			{ variant: "off", weight: 99_999 },
		],
		targets: [{ variant: "on", keys: ["ann", "bob"] }],
		rules: [
			rule({ all: [{ not: { segment: beta } }, { attribute: "mail", op: "matches", values: ["@example\\.com$"] }] }, { serve: "on" }),
			rule({ attribute: "age", op: "between", values: [18, 30.5] }, { id: "age", serve: [{ variant: "off", weight: 100_000 }] }),
		],
		prerequisites: [{ flag: base.key, variants: ["true", "false"] }],
		salt: "old salt",
		bucketBy: "company",
		public: true,
	});
	const { key } = await createFlag();
	await done("PATCH", flagAt(key), { body: { enabled: false } });
}

describe("export", () => {
	test("has all flags, segments and routes in their authoring form, by key", async () => {
		await furnish();
		const found = await exportOf("production");
		expect(Object.keys(found)).toEqual(["schemaVersion", "environment", "exportedAtMs", "flags", "segments", "routes"]);
		expect(found).toMatchObject({ schemaVersion: 1, environment: "production" });
		expect(found.flags).toHaveLength(3);
		expect(found.segments).toHaveLength(2);
		for (const list of [found.flags, found.segments]) expect(list.map(({ key }) => key)).toEqual(list.map(({ key }) => key).sort());
		for (const flag of found.flags) {
			const { environment: _environment, version: _version, updatedAtMs: _updatedAtMs, ...authored } = await getFlag(flag.key);
			expect(flag).toEqual(authored);
		}
		expect(found.segments.map(({ keys }) => keys)).toContainEqual(["'\"\\\u0000", "ann", "zoe", "漢🌊"]);
	});

	test("of an empty environment is empty; of one with a damaged row says what is missing", async () => {
		expect(await exportOf("staging")).toMatchObject({ environment: "staging", flags: [], segments: [] });
		const { key } = await createFlag();
		await env.DB.prepare("UPDATE flags SET config = '{'").run();
		const found = await exportOf("production");
		expect(found).toMatchObject({ flags: [], damaged: [key] });
		expect(await importInto("staging", found)).toMatchObject({ ...NONE, applied: true });
	});

	test("needs an environment, and reads only", async () => {
		await refused(422, "GET", "/api/v1/export");
		await refused(422, "GET", "/api/v1/export?environment=moon");
		const before = await settled();
		await exportOf("production");
		expect(await everything()).toEqual(before);
	});
});

describe("import of an export", () => {
	test("into the other environment makes it the same, and twice is unchanged", async () => {
		await furnish();
		const exported = await exportOf("production");
		const [flags, segments] = [exported.flags.map(({ key }) => key), exported.segments.map(({ key }) => key)];
		expect(await importInto("staging", exported)).toEqual({
			...NONE,
			created: flags,
			segments: { ...NONE, created: segments },
			routes: NO_ROUTES,
			applied: true,
		});
		expect(await exportOf("staging")).toEqual({ ...exported, environment: "staging", exportedAtMs: expect.any(Number) });
		const before = await settled();
		expect(await importInto("staging", exported)).toEqual({
			...NONE,
			unchanged: flags,
			segments: { ...NONE, unchanged: segments },
			routes: NO_ROUTES,
			applied: true,
		});
		expect(await everything()).toEqual(before);
	});

	test("writes a version and an audit row for each, with its author, reason and request", async () => {
		await furnish();
		const exported = await exportOf("production");
		const rows = (await auditRows()).length;
		await done("POST", into("staging", "&reason=move"), { body: exported, headers: { "x-correlation-id": "move-1" } });
		expect(await auditRows()).toHaveLength(rows + 5);
		for (const flag of exported.flags) {
			expect(await auditOf(`flags/staging/${flag.key}`)).toEqual([
				expect.objectContaining({
					actor: "admin",
					action: "flag.imported",
					reason: "move",
					correlationId: "move-1",
					before: null,
					after: flag,
				}),
			]);
			const { versions } = await done<{ versions: object[] }>("GET", `/api/v1/flags/${flag.key}/versions?environment=staging`);
			expect(versions).toEqual([
				expect.objectContaining({ version: 1, actor: "admin", reason: "move", diff: [{ path: "", after: flag }] }),
			]);
		}
		for (const { key, keys } of exported.segments)
			expect(await auditOf(`segments/staging/${key}`)).toEqual([
				expect.objectContaining({
					action: "segment.imported",
					reason: "move",
					before: null,
					after: expect.objectContaining({ key, listed: keys.length }),
				}),
			]);
		const raw = await env.DB.prepare("SELECT count(*) AS n FROM audit WHERE before = 'null'").first<number>("n");
		expect(raw).toBe(0);
	});

	test("tells what changes, changes that, and leaves alone what it does not name", async () => {
		const [a, b, c] = [await createFlag({ description: "a" }), await createFlag({ rules: [rule(IS_BETA)] }), await createFlag()];
		const segment = newKey();
		await createSegment(segment);
		await done("PUT", `/api/v1/segments/${segment}/keys?environment=production`, { body: { keys: ["ann", "bob"] }, headers: ifMatch(1) });
		const { flags, segments } = await exportOf("production");
		const wanted = file(
			[
				flags.find(({ key }) => key === a.key),
				{ ...flags.find(({ key }) => key === b.key), rules: [rule(IS_BETA, { serve: "false" })], tags: ["new"] },
				{ key: newKey(), type: "boolean" },
			],
			[{ ...segments[0], keys: ["bob", "carl", "dora", "carl"] }],
		);
		const report = await importInto("production", wanted);
		expect(report).toMatchObject({ created: [(wanted.flags[2] as { key: string }).key], unchanged: [a.key], applied: true });
		expect(report.changed).toEqual([
			{
				key: b.key,
				diff: [
					{ path: "/rules/r/serve", before: "true", after: "false" },
					{ path: "/tags", before: [], after: ["new"] },
				],
			},
		]);
		expect(report.segments.changed).toEqual([
			{ key: segment, diff: [{ path: "/keys", before: { listed: 2, removed: 1 }, after: { listed: 3, added: 2 } }] },
		]);
		expect((await getFlag(a.key)).version).toBe(1);
		expect(await getFlag(b.key)).toMatchObject({ version: 2, tags: ["new"] });
		expect(await getFlag(c.key)).toEqual(c);
		const listed = await done<{ keys: string[] }>("GET", `/api/v1/segments/${segment}/keys?environment=production`);
		expect(listed.keys).toEqual(["bob", "carl", "dora"]);
	});

	test("of a segment's condition alone leaves its list as it is stored", async () => {
		const segment = newKey();
		await createSegment(segment);
		await done("PUT", `/api/v1/segments/${segment}/keys?environment=production`, { body: { keys: ["zoe", "ann"] }, headers: ifMatch(1) });
		await importInto("production", file([], [{ key: segment, when: IS_BETA, keys: ["ann", "zoe"] }]));
		expect(await done("GET", `/api/v1/segments/${segment}?environment=production`)).toMatchObject({ version: 3, listed: 2, when: IS_BETA });
		expect(await done("GET", `/api/v1/segments/${segment}/keys?environment=production`)).toEqual({ keys: ["zoe", "ann"] });
	});

	test("kills and enables with the head at once, and over a deleted flag goes on with its versions", async () => {
		const [a, b, c] = [await createFlag(), await createFlag(), await createFlag()];
		const overlaid = async () => (await readHead(open(env.DB))).head.environments["production"]?.overlay.kill ?? [];
		await done("PATCH", flagAt(b.key), { body: { enabled: false } });
		await done("PATCH", flagAt(c.key), { body: { enabled: false } });
		await done("DELETE", flagAt(c.key), { headers: ifMatch(2) });
		expect([...(await overlaid())].sort()).toEqual([b.key, c.key].sort());
		await importInto("production", file([a, b, c].map(({ key }) => ({ key, type: "boolean", enabled: key !== a.key }))));
		expect(await overlaid()).toEqual([a.key]);
		expect((await getFlag(c.key)).version).toBe(4);
	});

	test("replaces a flag that cannot be read", async () => {
		const { key } = await createFlag();
		await env.DB.prepare("UPDATE flags SET config = '{' WHERE key = ?").bind(key).run();
		const report = await importInto("production", file([{ key, type: "boolean", description: "whole" }]));
		expect(report.changed.map((each) => [each.key, each.diff.map(({ path }) => path)])).toEqual([[key, [""]]]);
		expect(await getFlag(key)).toMatchObject({ version: 2, description: "whole" });
		expect((await auditOf(`flags/production/${key}`)).at(-1)).toMatchObject({ before: { damaged: true } });
	});

	test("takes flags that name each other and segments that come along, in any order", async () => {
		const [a, b, segment] = [newKey(), newKey(), newKey()];
		const report = await importInto(
			"production",
			file(
				[
					{ key: a, type: "boolean", prerequisites: [{ flag: b, variants: ["true"] }] },
					{ key: b, type: "boolean", rules: [rule({ segment })] },
				],
				[{ key: segment, keys: ["ann"] }],
			),
		);
		expect(report.created).toEqual([a, b]);
	});

	test("of 1,000 flags is one transaction, one more is refused", { timeout: 60_000 }, async () => {
		const flags = Array.from({ length: 1_000 }, (_, i) => ({
			key: `many-${i}`,
			type: "boolean",
			description: "d".repeat(1_900),
			rules: [rule(IS_BETA)],
		}));
		const report = await importInto("production", file(flags));
		expect([report.created.length, report.applied]).toEqual([1_000, true]);
		expect((await importInto("production", file(flags))).unchanged).toHaveLength(1_000);
		expect((await getFlag("many-999")).description).toHaveLength(1_900);
		const problem = await refused(422, "POST", into("production"), { body: file([...flags, { key: "more", type: "boolean" }]) });
		expect(problem.errors).toEqual([{ pointer: "/flags", message: expect.stringContaining("more than 1000 flags a request") }]);
	});
});

describe("all or nothing", () => {
	const good = () => ({ key: newKey(), type: "boolean" });
	test.each<[what: string, flag: Record<string, unknown>, pointer: string]>([
		["an unknown field", { colour: "red" }, "/colour"],
		["an unknown field of a condition", { rules: [rule({ ...IS_BETA, colour: "red" })] }, "/rules/0/when/colour"],
		["weights that do not sum up", { fallthrough: [{ variant: "true", weight: 1 }] }, "/fallthrough"],
		["an unknown variant", { fallthrough: "blue" }, "/fallthrough"],
		["an unknown segment", { rules: [rule({ segment: "nobody" })] }, "/rules/0/when/segment"],
		["an unknown prerequisite", { prerequisites: [{ flag: "nobody", variants: ["true"] }] }, "/prerequisites/0/flag"],
		["a bad pattern", { rules: [rule({ attribute: "a", op: "matches", values: ["("] })] }, "/rules/0/when/values/0"],
		["the version of an answer", { version: 1 }, "/version"],
	])("of %s refuses everything, and says where", async (_, change, pointer) => {
		const bad = { ...good(), ...change };
		const before = await settled();
		const problem = await refused(422, "POST", into("production"), { body: file([good(), bad]) });
		expect(problem.type).toBe("urn:tidegate:problem:transfer_refused");
		expect(pointersOf(problem)).toEqual([`/flags/1${pointer}`]);
		expect(problem).toMatchObject({ refused: [{ key: bad.key, errors: [{ pointer }] }], applied: false });
		expect(await everything()).toEqual(before);
	});

	test("takes no variant away that a flag requires, unless that changes along", async () => {
		const [base, needs] = [newKey(), newKey()];
		const coloured = (...names: string[]) => ({
			key: base,
			type: "string",
			variants: Object.fromEntries(names.map((name) => [name, name])),
			offVariant: "red",
			fallthrough: "red",
		});
		const requiring = (variant: string) => ({ key: needs, type: "boolean", prerequisites: [{ flag: base, variants: [variant] }] });
		await importInto("production", file([requiring("blue"), coloured("red", "blue")]));
		const problem = await refused(422, "POST", into("production"), { body: file([good(), coloured("red", "navy")]) });
		expect(problem.errors).toEqual([{ pointer: "/flags/1/variants", message: `${needs} require the variant "blue": change them first` }]);
		// Beside one that is unchanged, it is the one that takes it away that is refused.
		const both = await refused(422, "POST", into("production"), { body: file([requiring("blue"), coloured("red")]) });
		expect(pointersOf(both)).toEqual(["/flags/1/variants"]);
		await done("POST", "/api/v1/flags?environment=staging", { body: coloured("red") });
		const from = { from: "staging", to: "production" };
		expect(pointersOf(await refused(422, "POST", PROMOTE, promote([base], from)))).toEqual(["/flags/0/variants"]);
		expect(await getFlag(base)).toMatchObject({ version: 1 });
		expect((await importInto("production", file([requiring("navy"), coloured("red", "navy")]))).changed).toHaveLength(2);
	});

	test("tells every refusal, of flags and of segments, by key", async () => {
		const [a, b, segment] = [newKey(), newKey(), newKey()];
		const problem = await refused(422, "POST", into("production"), {
			body: file(
				[
					{ key: a, type: "boolean", prerequisites: [{ flag: b, variants: ["true"] }] },
					{ key: b, type: "boolean", prerequisites: [{ flag: a, variants: ["true"] }] },
					{ key: a, type: "boolean" },
					{ key: "Capital" },
					null,
				],
				[
					{ key: segment, when: { segment } },
					{ key: newKey(), keys: [""] },
				],
			),
		});
		const byKey = (problem["refused"] as Items["refused"]).map(({ key, errors }) => [key, errors.map(({ pointer }) => pointer)]);
		expect(byKey).toEqual(
			expect.arrayContaining([
				[a, [""]],
				["Capital", expect.arrayContaining(["/key", "/type"])],
				["", [""]],
				[a, ["/prerequisites"]],
				[b, ["/prerequisites"]],
			]),
		);
		expect((problem["segments"] as Items).refused.map(({ errors }) => errors[0]?.pointer)).toEqual(
			expect.arrayContaining(["/when", "/keys/0"]),
		);
		expect(pointersOf(problem)).toEqual(
			expect.arrayContaining(["/flags/2", "/flags/3/key", "/flags/4", "/segments/0/when", "/segments/1/keys/0"]),
		);
		expect(JSON.stringify(problem.errors)).toContain([a, b, a].join(" → "));
	});

	test("protected fields of a flag in a rollout are refused, its other fields are not", async () => {
		const { key } = await createFlag();
		const { id } = await createRollout({ flags: [key] });
		await command(id, "start");
		const problem = await refused(422, "POST", into("production"), {
			body: file([{ key, type: "boolean", salt: "new", rules: [rule(IS_BETA)], description: "new" }, good()]),
		});
		expect([...pointersOf(problem)].sort()).toEqual(["/flags/0/rules", "/flags/0/salt"]);
		expect(problem.detail).toContain(id);
		const report = await importInto("production", file([{ key, type: "boolean", description: "new", enabled: false }]));
		expect(report.changed).toHaveLength(1);
	});

	test("beyond 8 MiB of a snapshot nothing is written", { timeout: 30_000 }, async () => {
		const text = (i: number, share: string) => ({
			key: `large-${share}-${i}`,
			type: "string",
			variants: Object.fromEntries(Array.from({ length: 50 }, (_, k) => [`v${k}`, share.repeat(9_000)])),
			offVariant: "v0",
			fallthrough: "v0",
		});
		await importInto("production", file(Array.from({ length: 10 }, (_, i) => text(i, "a"))));
		const before = await settled();
		const problem = await refused(422, "POST", into("production"), { body: file(Array.from({ length: 10 }, (_, i) => text(i, "b"))) });
		expect(problem.type).toBe("urn:tidegate:problem:snapshot_too_large");
		expect(await everything()).toEqual(before);
		const one = { ...text(0, "c"), targets: [{ variant: "v0", keys: Array.from({ length: 1_000 }, (_, i) => `${i}-${"k".repeat(900)}`) }] };
		expect((await refused(422, "POST", into("staging"), { body: file([one]) })).detail).toContain("bytes > limit 700000");
	});

	/** As `send`, while somebody else does something between what the request reads and what it writes. */
	async function amid(meanwhile: () => Promise<unknown>, path: string, body: unknown): Promise<{ status: number; problem: Problem }> {
		let batches = 0;
		const DB = {
			prepare: (text: string) => env.DB.prepare(text),
			async batch(statements: D1PreparedStatement[]) {
				if (++batches === 2) await meanwhile();
				return env.DB.batch(statements);
			},
		} as unknown as D1Database;
		const context = createExecutionContext();
		const request = new Request<unknown, IncomingRequestCfProperties>(`https://control.example${path}`, {
			method: "POST",
			headers: { authorization: `Bearer ${TOKEN}`, "content-type": "application/json" },
			body: JSON.stringify(body),
		});
		const response = await control.fetch(request, { ...env, DB }, context);
		const problem = await response.json<Problem>();
		await waitOnExecutionContext(context);
		return { status: response.status, problem };
	}

	test.each<[what: string, meanwhile: (key: string, other: string) => Promise<unknown>]>([
		["an edit of one of the flags", (key) => done("PATCH", flagAt(key), { body: { description: "mine" }, headers: ifMatch(1) })],
		["a kill", (key) => done("PATCH", flagAt(key), { body: { enabled: false } })],
		["the deletion of one", (key) => done("DELETE", flagAt(key), { headers: ifMatch(1) })],
		["the start of a rollout", async (key) => command((await createRollout({ flags: [key] })).id, "start")],
		[
			"the deletion of a segment that they name",
			(_, segment) => done("DELETE", `/api/v1/segments/${segment}?environment=production`, { headers: ifMatch(1) }),
		],
		["another import", (key) => importInto("production", file([{ key, type: "boolean", description: "mine" }]))],
	])("with %s in between is 409, and nothing of it is written", async (_, meanwhile) => {
		const { key } = await createFlag();
		const segment = newKey();
		await createSegment(segment);
		const fresh = newKey();
		let after: unknown;
		const { status, problem } = await amid(
			async () => {
				await meanwhile(key, segment);
				after = await settled();
			},
			into("production"),
			file([
				{ key: fresh, type: "boolean", rules: [rule({ segment })] },
				{ key, type: "boolean", salt: "new" },
			]),
		);
		expect([status, problem.type]).toEqual([409, "urn:tidegate:problem:changed_meanwhile"]);
		expect(await settled()).toEqual(after);
		await refused(404, "GET", flagAt(fresh));
	});

	test("a change of the other environment is nothing in between", async () => {
		const { status } = await amid(
			() => done("POST", "/api/v1/flags?environment=staging", { body: aFlag() }),
			into("production"),
			file([{ key: newKey(), type: "boolean" }]),
		);
		expect(status).toBe(200);
	});

	test("a promotion that somebody crosses is 409, and nothing of it is written", async () => {
		const { key } = await createFlag();
		const { status } = await amid(
			() => done("POST", "/api/v1/flags?environment=staging", { body: aFlag({ key, description: "mine" }) }),
			PROMOTE,
			promote([key]).body,
		);
		expect(status).toBe(409);
		expect((await getFlag(key, "staging")).description).toBe("mine");
	});
});

describe("a dry run", () => {
	test("says what the import would, and writes nothing", async () => {
		await furnish();
		const exported = await exportOf("production");
		const [first] = exported.flags;
		await importInto("staging", file([{ ...first, description: "other" }]));
		const before = await settled();
		const dry = await importInto("staging", exported, "&dryRun=true");
		expect(await everything()).toEqual(before);
		expect(dry.applied).toBe(false);
		expect(dry.changed).toEqual([{ key: first?.key, diff: [{ path: "/description", before: "other", after: first?.["description"] }] }]);
		expect(await importInto("staging", exported, "&dryRun=false")).toEqual({ ...dry, applied: true });
	});

	test("refuses what the import would", async () => {
		const body = file([{ key: newKey(), type: "boolean", fallthrough: "blue" }]);
		const [dry, real] = [
			await refused(422, "POST", into("staging", "&dryRun=true"), { body }),
			await refused(422, "POST", into("staging"), { body }),
		];
		expect(dry).toEqual(real);
	});

	test("of a promotion writes nothing", async () => {
		const { key } = await createFlag();
		const before = await settled();
		expect(await done<Report>("POST", PROMOTE, promote([key], { dryRun: true }))).toMatchObject({ created: [key], applied: false });
		expect(await everything()).toEqual(before);
	});
});

describe("the simple format", () => {
	const SPLIT = (weight: number) => [
		{ variant: "true", weight },
		{ variant: "false", weight: 100_000 - weight },
	];
	test.each<[what: string, given: Record<string, unknown>, wanted: Record<string, unknown>]>([
		["enabled", { status: "enabled" }, { enabled: true, fallthrough: "true", targets: [], rules: [] }],
		["enabled with a percentage, which it ignores", { status: "enabled", rollout_percentage: 5 }, { enabled: true, fallthrough: "true" }],
		["disabled", { status: "disabled", rollout_percentage: 50 }, { enabled: false, fallthrough: "false" }],
		["25 %", { status: "percentage", rollout_percentage: 25 }, { enabled: true, fallthrough: SPLIT(25_000) }],
		["0.001 %", { status: "percentage", rollout_percentage: 0.001 }, { fallthrough: SPLIT(1) }],
		["33.333 %", { status: "percentage", rollout_percentage: 33.333 }, { fallthrough: SPLIT(33_333) }],
		["0 %", { status: "percentage", rollout_percentage: 0 }, { enabled: true, fallthrough: "false" }],
		["100 %", { status: "percentage", rollout_percentage: 100 }, { fallthrough: "true" }],
		["users", { status: "disabled", enabled_users: ["ann", "bob", "ann"] }, { targets: [{ variant: "true", keys: ["ann", "bob"] }] }],
		["no users and groups", { enabled_users: [], enabled_groups: [], conditions: {} }, { targets: [], rules: [], fallthrough: "true" }],
		[
			"groups",
			{ status: "percentage", rollout_percentage: 0, enabled_groups: ["beta", "staff"] },
			{ rules: [rule({ attribute: "group", op: "in", values: ["beta", "staff"] }, { id: "enabled_groups" })], fallthrough: "false" },
		],
		[
			"conditions",
			{ conditions: { country: ["at", "ch"], plan: "pro", age: 18, trial: false } },
			{
				rules: [
					rule(
						{
							all: [
								{ attribute: "country", op: "in", values: ["at", "ch"] },
								{ attribute: "plan", op: "equals", values: ["pro"] },
								{ attribute: "age", op: "equals", values: [18] },
								{ attribute: "trial", op: "equals", values: [false] },
							],
						},
						{ id: "conditions" },
					),
				],
				fallthrough: "false",
			},
		],
		[
			"conditions of a percentage, beside groups",
			{ status: "percentage", rollout_percentage: 10, enabled_groups: ["beta"], conditions: { plan: "pro" } },
			{
				rules: [
					rule({ attribute: "group", op: "in", values: ["beta"] }, { id: "enabled_groups" }),
					rule({ all: [{ attribute: "plan", op: "equals", values: ["pro"] }] }, { id: "conditions", serve: SPLIT(10_000) }),
				],
				fallthrough: "false",
			},
		],
	])("%s", async (_, given, wanted) => {
		const body = { flags: [simple(given)] };
		const { created } = await importInto("production", body);
		expect(await getFlag(created[0] ?? "")).toMatchObject({
			type: "boolean",
			variants: { true: true, false: false },
			offVariant: "false",
			...wanted,
		});
		expect((await importInto("production", body)).unchanged).toEqual(created);
	});

	test("2,500 users are three targets", async () => {
		const users = Array.from({ length: 2_500 }, (_, i) => `user-${i}`);
		const { created } = await importInto("production", { flags: [simple({ enabled_users: users })] });
		const targets = (await getFlag(created[0] ?? "")).targets ?? [];
		expect(targets.map(({ keys }) => keys.length)).toEqual([1_000, 1_000, 500]);
		expect(targets.flatMap(({ keys }) => keys)).toEqual(users);
	});

	test.each([
		["kerykeion_natal_charts", "kerykeion_natal_charts"],
		["New Checkout", "new-checkout"],
		["  Mixed.Case  Name ", "mixed.case-name"],
	])("the name %s is the key %s", async (name, key) => {
		expect((await importInto("production", { flags: [simple({ name })] })).created).toEqual([key]);
	});

	test.each<[what: string, change: Record<string, unknown>, pointer: string]>([
		["a name that is no key", { name: "naïve!" }, "/name"],
		["a name of blanks", { name: "  " }, "/name"],
		["a name of 64 characters", { name: "n".repeat(64) }, "/name"],
		["a name that begins with a dot", { name: ".hidden" }, "/name"],
		["an unknown status", { status: "on" }, "/status"],
		["no status", { status: undefined }, "/status"],
		["a percentage that is missing", { status: "percentage" }, "/rollout_percentage"],
		["a percentage of 101", { status: "percentage", rollout_percentage: 101 }, "/rollout_percentage"],
		["a percentage of 4 decimals", { status: "percentage", rollout_percentage: 0.0001 }, "/rollout_percentage"],
		["a percentage as text", { status: "percentage", rollout_percentage: "50" }, "/rollout_percentage"],
		["users that are no list", { enabled_users: "ann" }, "/enabled_users"],
		["an empty user", { enabled_users: ["ann", ""] }, "/enabled_users/1"],
		["a condition of null", { conditions: { plan: null } }, "/conditions/plan"],
		["a condition without values", { conditions: { plan: [] } }, "/conditions/plan"],
		["a nested condition", { conditions: { plan: { is: "pro" } } }, "/conditions/plan"],
		["conditions in a list", { conditions: [] }, "/conditions"],
		["__proto__ as an attribute", { conditions: JSON.parse('{"plan": "pro", "__proto__": "x"}') as unknown }, "/conditions"],
		["51 attributes", { conditions: Object.fromEntries(Array.from({ length: 51 }, (_, i) => [`a${i}`, i])) }, "/conditions"],
		["an unknown field", { colour: "red" }, "/colour"],
		["a flag of the other format", { name: undefined, key: "a", type: "boolean" }, "/name"],
	])("refuses %s", async (_, change, pointer) => {
		const problem = await refused(422, "POST", into("production"), { body: { flags: [simple(), simple(change)] } });
		expect(pointersOf(problem)).toContain(`/flags/1${pointer}`);
		expect((await exportOf("production")).flags).toEqual([]);
	});

	test("refuses two names that make one key", async () => {
		const problem = await refused(422, "POST", into("production"), {
			body: { flags: [simple({ name: "New Cart" }), simple({ name: "new-cart" })] },
		});
		expect(pointersOf(problem)).toEqual(["/flags/1"]);
	});

	test("leaves on an existing flag what it has no word for", async () => {
		const before = await createFlag({ salt: "old", tags: ["a"], owner: "team", public: true, bucketBy: "company", rules: [rule(IS_BETA)] });
		const report = await importInto("production", { flags: [simple({ name: before.key })] });
		expect(report.changed[0]?.diff.map(({ path }) => path).sort()).toEqual(["/fallthrough", "/rules/r"]);
		expect(await getFlag(before.key)).toEqual({ ...before, rules: [], fallthrough: "true", version: 2, updatedAtMs: expect.any(Number) });
	});

	test("refuses an existing flag that is no boolean", async () => {
		const { key } = await createFlag({ type: "string", variants: { on: "a" }, offVariant: "on", fallthrough: "on" });
		expect((await refused(422, "POST", into("production"), { body: { flags: [simple({ name: key })] } })).errors).toEqual([
			{ pointer: "/flags/0/name", message: expect.stringContaining("of type string") },
		]);
	});
});

describe("routes in a file", () => {
	const aRoute = (change: Record<string, unknown> = {}) => {
		const key = newKey();
		return { key, host: `${key}.example.com`, origin: "https://origin.example.com", ...change };
	};
	const routesFile = (routes: readonly unknown[], change: object = {}) => ({ ...file([]), routes, ...change });
	const routeAt = (key: string) => `/api/v1/gateway/routes/${key}?environment=production`;
	const gone = async () => {
		for (const { key, version } of (
			await done<{ routes: { key: string; version: number }[] }>("GET", "/api/v1/gateway/routes?environment=production")
		).routes)
			// oxlint-disable-next-line no-await-in-loop -- a few
			await done("DELETE", routeAt(key), { headers: ifMatch(version) });
	};
	beforeEach(gone);

	test("come back as they were exported, with the flag that they go by, and are audited", async () => {
		const { key: flag } = await createFlag({
			type: "string",
			variants: { blue: "b", green: "g" },
			offVariant: "blue",
			fallthrough: "blue",
		});
		const origins = { blue: "https://blue.example.com", green: "https://green.example.com" };
		const both = [aRoute({ origin: undefined, flag, origins, shadow: { variant: "green" } }), aRoute()];
		for (const body of both)
			// oxlint-disable-next-line no-await-in-loop -- two
			await done("POST", "/api/v1/gateway/routes?environment=production", { body });
		const exported = await exportOf("production");
		const keys = both.map(({ key }) => key);
		expect(exported.routes.map(({ key }) => key)).toEqual([...keys].sort());
		expect(await importInto("production", exported)).toMatchObject({
			routes: { ...NO_ROUTES, unchanged: exported.routes.map(({ key }) => key) },
		});
		await gone();
		await done("DELETE", flagAt(flag), { headers: ifMatch(1) });
		expect(await importInto("production", exported, "&reason=restored")).toMatchObject({
			created: [flag],
			routes: { ...NO_ROUTES, created: exported.routes.map(({ key }) => key) },
		});
		expect((await exportOf("production")).routes).toEqual(exported.routes);
		expect((await auditOf(`routes/production/${keys[0] ?? ""}`)).at(-1)).toMatchObject({ action: "route.imported", reason: "restored" });
	});

	test("are changed where they differ, at a version of their own", async () => {
		const route = aRoute();
		const { version } = await done<{ version: number }>("POST", "/api/v1/gateway/routes?environment=production", { body: route });
		const report = await importInto("production", routesFile([{ ...route, timeout: "5s" }]));
		expect(report.routes.changed).toMatchObject([{ key: route.key, diff: [{ path: "/timeout", before: "30s", after: "5s" }] }]);
		expect(await done("GET", routeAt(route.key))).toMatchObject({ timeout: "5s", version: version + 1 });
	});

	test("of another environment's export are left out, and named: a host belongs to one", async () => {
		const route = aRoute();
		expect((await importInto("staging", routesFile([route], { environment: "production" }))).routes).toEqual({
			...NO_ROUTES,
			skipped: [route.key],
		});
		expect((await exportOf("staging")).routes).toEqual([]);
	});

	test("that cannot be taken refuse all of it", async () => {
		const [taken, private_] = [aRoute(), aRoute({ origin: "https://10.0.0.1/" })];
		const before = await settled();
		const wrong = routesFile([aRoute(), private_, aRoute({ origin: undefined, flag: "nobody", origins: {} }), { key: "x" }]);
		expect(pointersOf(await refused(422, "POST", into("production"), { body: wrong }))).toEqual([
			"/routes/3/host",
			"/routes/1/origin",
			"/routes/2/flag",
		]);
		expect(await everything()).toEqual(before);
		await done("POST", "/api/v1/gateway/routes?environment=production", { body: taken });
		const other = aRoute({ host: taken.host });
		expect(await refused(409, "POST", into("production"), { body: routesFile([other]) })).toMatchObject({ by: [`routes/${taken.key}`] });
		expect((await refused(409, "POST", into("staging"), { body: routesFile([taken]) })).type).toBe("urn:tidegate:problem:host_taken");
		const twins = [aRoute({ host: "twins.example.com" }), aRoute({ host: "twins.example.com" })];
		await refused(409, "POST", into("production"), { body: routesFile(twins) });
	});
});

describe("a promotion", () => {
	test("takes the flags as they are, each with its version and audit row", async () => {
		await furnish();
		const { flags, segments } = await exportOf("production");
		await importInto("staging", file([], segments));
		const keys = flags.map(({ key }) => key);
		expect(await done<Report>("POST", PROMOTE, promote(keys, { reason: "ship" }))).toEqual({
			...NONE,
			created: keys,
			segments: NONE,
			routes: NO_ROUTES,
			applied: true,
		});
		expect((await exportOf("staging")).flags).toEqual(flags);
		for (const flag of flags)
			expect(await auditOf(`flags/staging/${flag.key}`)).toEqual([
				expect.objectContaining({ action: "flag.promoted", reason: "ship", before: null, after: flag }),
			]);
		expect(await done<Report>("POST", PROMOTE, promote(keys))).toMatchObject({ unchanged: keys, applied: true });
		expect(await exportOf("production")).toMatchObject({ flags });
	});

	test("never un-kills, and never kills what is there", async () => {
		const [killed, living] = [await createFlag({ description: "new" }), await createFlag({ description: "new" })];
		for (const { key } of [killed, living]) await done("POST", "/api/v1/flags?environment=staging", { body: { key, type: "boolean" } });
		await done("PATCH", flagAt(killed.key, "staging"), { body: { enabled: false } });
		await done("PATCH", flagAt(living.key), { body: { enabled: false } });
		await done("POST", PROMOTE, promote([killed.key, living.key]));
		expect(await getFlag(killed.key, "staging")).toMatchObject({ description: "new", enabled: false });
		expect(await getFlag(living.key, "staging")).toMatchObject({ description: "new", enabled: true });
		expect((await readHead(open(env.DB))).head.environments["staging"]?.overlay.kill ?? []).toEqual([killed.key]);
	});

	test("needs the segments and the required flags there, unless those are promoted along", async () => {
		const segment = newKey();
		await createSegment(segment);
		const base = await createFlag();
		const { key } = await createFlag({ rules: [rule({ segment })], prerequisites: [{ flag: base.key, variants: ["true"] }] });
		const before = await settled();
		const problem = await refused(422, "POST", PROMOTE, promote([key]));
		expect(problem).toMatchObject({ applied: false, refused: [{ key }] });
		expect(problem.errors).toEqual([
			{
				pointer: "/flags/0/rules/0/when/segment",
				message: expect.stringMatching(
					`there is no segment ${segment}.*; create or import it in the target first: a promotion takes no segments along$`,
				),
			},
			{
				pointer: "/flags/0/prerequisites/0/flag",
				message: `there is no flag ${base.key} in staging; promote that flag along`,
			},
		]);
		expect(await everything()).toEqual(before);
		await createSegment(segment, "staging");
		expect((await done<Report>("POST", PROMOTE, promote([key, base.key]))).created).toEqual([key, base.key]);
	});

	test("refuses protected fields of a flag in a rollout there", async () => {
		const { key } = await createFlag({ salt: "new" });
		await done("POST", "/api/v1/flags?environment=staging", { body: { key, type: "boolean" } });
		const { id } = await createRollout({ flags: [key], environment: "staging" });
		await command(id, "start");
		const problem = await refused(422, "POST", PROMOTE, promote([key]));
		expect(pointersOf(problem)).toEqual(["/flags/0/salt"]);
		expect(problem.detail).toContain(id);
	});

	test("of more than 100 flags is one transaction too", async () => {
		const keys = Array.from({ length: 250 }, (_, i) => `each-${i}`);
		await importInto("production", file(keys.map((key) => ({ key, type: "boolean" }))));
		expect((await done<Report>("POST", PROMOTE, promote(keys))).created).toHaveLength(250);
	});

	test.each<[what: string, flags: readonly string[], change: Record<string, unknown>, pointers: readonly string[]]>([
		["a flag that is not there", ["nobody"], {}, ["/flags/0"]],
		["a flag twice", ["twice", "twice"], {}, ["/flags/1"]],
		["no flags", [], {}, ["/flags"]],
		["what is no key", ["Capital"], {}, ["/flags/0"]],
		["one environment", ["twice"], { to: "production" }, ["/to"]],
		["an unknown environment", ["twice"], { to: "moon" }, ["/to"]],
		["an unknown field", ["twice"], { colour: "red" }, ["/colour"]],
		["a dry run as text", ["twice"], { dryRun: "true" }, ["/dryRun"]],
		["1,001 flags", Array.from({ length: 1_001 }, (_, i) => `k${i}`), {}, ["/flags"]],
	])("refuses %s", async (_, flags, change, pointers) => {
		await createFlag({ key: "twice" });
		expect(pointersOf(await refused(422, "POST", PROMOTE, promote(flags, change)))).toEqual(pointers);
		expect((await exportOf("staging")).flags).toEqual([]);
	});

	test("refuses a flag that cannot be read", async () => {
		const { key } = await createFlag();
		await env.DB.prepare("UPDATE flags SET config = '{' WHERE key = ?").bind(key).run();
		expect((await refused(422, "POST", PROMOTE, promote([key]))).detail).toContain("cannot be read");
	});
});

describe("a hostile body", () => {
	test.each<[what: string, body: unknown, statuses: readonly number[]]>([
		["null", null, [422]],
		["a list", [], [422]],
		["no JSON", "{", [400]],
		["flags that are no list", { flags: {} }, [422]],
		["another schema", { schemaVersion: 2, flags: [] }, [422]],
		["an unknown field", { flags: [], colour: "red" }, [422]],
		["__proto__", '{"schemaVersion": 1, "flags": [{"key": "a", "type": "boolean", "__proto__": {"enabled": false}}]}', [422]],
		["__proto__ around", '{"schemaVersion": 1, "flags": [], "__proto__": {"a": 1}}', [422]],
		["flags of every kind", { schemaVersion: 1, flags: [null, 1, "a", [], true, { key: {} }, { key: null }] }, [422]],
		["a flag nested 50,000 deep", `{"schemaVersion": 1, "flags": [${"[".repeat(50_000)}${"]".repeat(50_000)}]}`, [400, 422]],
		[
			"a condition nested 50,000 deep",
			`{"schemaVersion": 1, "flags": [{"key": "a", "type": "boolean", "rules": [{"id": "r", "serve": "true", "when": ${'{"not":'.repeat(50_000)}1${"}".repeat(50_000)}}]}]}`,
			[400, 422],
		],
		["a lone surrogate as key", '{"schemaVersion": 1, "flags": [{"key": "\\ud800", "type": "boolean"}]}', [422]],
		[
			"numbers beyond all bounds",
			'{"schemaVersion": 1, "flags": [{"key": "a", "type": "number", "variants": {"x": 1e999}, "offVariant": "x", "fallthrough": "x"}]}',
			[422],
		],
		[
			"100,000 unknown fields",
			{ schemaVersion: 1, flags: [Object.fromEntries(Array.from({ length: 100_000 }, (_, i) => [`f${i}`, 1]))] },
			[422],
		],
	])("of %s is refused, writes nothing, and costs no failure", { timeout: 20_000 }, async (_, body, statuses) => {
		const before = await settled();
		const { status, text, headers } = await send("POST", into("production"), { body });
		expect(statuses, text.slice(0, 300)).toContain(status);
		expect(headers.get("content-type")).toBe("application/problem+json");
		expect(text.length).toBeLessThan(100_000);
		expect(await everything()).toEqual(before);
	});

	test("may have 8 MiB, a promotion's not", async () => {
		const text = (bytes: number) => JSON.stringify(file([])).padEnd(bytes);
		await importInto("production", text(8 * 1024 * 1024));
		expect((await refused(413, "POST", into("production"), { body: text(8 * 1024 * 1024 + 1) }))["limitBytes"]).toBe(8 * 1024 * 1024);
		await refused(413, "POST", PROMOTE, { body: JSON.stringify(promote(["a"]).body).padEnd(262_145) });
	});

	test.each(["", "&dryRun=yes", "&dryRun=", "&colour=red", `&reason=${"r".repeat(1_001)}`])(
		"with the query %s of its own is refused",
		async (query) => {
			const path = query === "" ? "/api/v1/import" : into("production", query);
			await refused(422, "POST", path, { body: file([]) });
		},
	);

	test("keys that look like SQL or inherited names are refused or kept as text", async () => {
		const keys = ["constructor", "hasownproperty", "tostring"];
		await importInto("production", file(keys.map((key) => ({ key, type: "boolean", description: "'; DROP TABLE flags; --" }))));
		expect((await exportOf("production")).flags.map(({ key }) => key)).toEqual(keys);
		await refused(422, "POST", into("production"), { body: file([{ key: "'; DROP TABLE flags; --", type: "boolean" }]) });
	});
});
