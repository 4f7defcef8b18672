import { env } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import { type Difference, diff } from "../../../../core/flags/diff";
import { open } from "../../../../control/store/database";
import { readHead } from "../../../../control/store/publication";
import {
	FLAGS,
	type FlagBody,
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

interface VersionBody {
	readonly version: number;
	readonly atMs: number;
	readonly actor: string;
	readonly reason: string;
	readonly state: string;
	readonly diff: readonly Difference[];
	readonly flag: unknown;
}
const at = (key: string, rest: string): string => `/api/v1/flags/${key}/${rest}?environment=production`;
const history = async (key: string, query = ""): Promise<readonly VersionBody[]> =>
	(await done<{ versions: VersionBody[] }>("GET", at(key, "versions") + query)).versions;
const ifMatch = (version: number) => ({ "if-match": `"${version}"` });
const patch = (key: string, version: number, body: object, reason = "") =>
	done<FlagBody>("PATCH", `${flagAt(key)}&reason=${reason}`, { body, headers: ifMatch(version) });
const restore = (key: string, version: number, headers: Record<string, string> = {}, reason = "") =>
	done<FlagBody>("POST", `${at(key, "restore")}&reason=${reason}`, { body: { version }, headers });
const rule = (change: Record<string, unknown> = {}) => ({
	id: "beta",
	description: "",
	when: { attribute: "plan", op: "equals", values: ["beta"] },
	serve: "true",
	...change,
});
const authored = ({ environment: _environment, version: _version, updatedAtMs: _updatedAtMs, ...flag }: FlagBody) => flag;

describe("a difference", () => {
	const a = { id: "a", serve: "on" };
	const b = { id: "b", serve: "off" };
	test.each<[what: string, before: unknown, after: unknown, wanted: readonly Difference[]]>([
		["nothing", { x: 1, y: [a] }, { y: [{ serve: "on", id: "a" }], x: 1 }, []],
		["a value", { x: 1 }, { x: 2 }, [{ path: "/x", before: 1, after: 2 }]],
		["null is a value", { x: null }, { x: 1 }, [{ path: "/x", before: null, after: 1 }]],
		["a new field", {}, { x: null }, [{ path: "/x", after: null }]],
		["a field that is gone", { x: 1 }, {}, [{ path: "/x", before: 1 }]],
		["all of it", undefined, { x: 1 }, [{ path: "", after: { x: 1 } }]],
		["none of it", { x: 1 }, undefined, [{ path: "", before: { x: 1 } }]],
		[
			"in a rule, by its id",
			{ rules: [a, b] },
			{ rules: [a, { ...b, serve: "on" }] },
			[{ path: "/rules/b/serve", before: "off", after: "on" }],
		],
		["a rule that shifts the others", { rules: [b] }, { rules: [a, b] }, [{ path: "/rules/a", after: a }]],
		["a rule that is gone", { rules: [a, b] }, { rules: [b] }, [{ path: "/rules/a", before: a }]],
		["the order of rules", { rules: [a, b] }, { rules: [b, a] }, [{ path: "/rules", before: ["a", "b"], after: ["b", "a"] }]],
		[
			"a weight, by its variant",
			[
				{ variant: "x", weight: 1 },
				{ variant: "y", weight: 2 },
			],
			[
				{ variant: "x", weight: 3 },
				{ variant: "y", weight: 2 },
			],
			[{ path: "/x/weight", before: 1, after: 3 }],
		],
		["a list of values, as a whole", { tags: ["a"] }, { tags: ["a", "b"] }, [{ path: "/tags", before: ["a"], after: ["a", "b"] }]],
		[
			"elements without names, by position",
			[{ op: "in", values: [1] }, { op: "lt" }],
			[{ op: "in", values: [2] }, { op: "lt" }],
			[{ path: "/0/values", before: [1], after: [2] }],
		],
		[
			"names used twice, by position",
			[a, { ...a, serve: "x" }],
			[a, { ...a, serve: "y" }],
			[{ path: "/1/serve", before: "x", after: "y" }],
		],
		["another type", { x: [1] }, { x: { "0": 1 } }, [{ path: "/x", before: [1], after: { "0": 1 } }]],
		["a name that needs escaping", { "a/b~c": 1 }, { "a/b~c": 2 }, [{ path: "/a~1b~0c", before: 1, after: 2 }]],
		["an inherited name is none", {}, { constructor: 1 }, [{ path: "/constructor", after: 1 }]],
	])("of %s", (_, before, after, wanted) => {
		expect(diff(before, after)).toEqual(wanted);
	});

	test("of what is nested thousands deep is told without an overflow", () => {
		const deep = (end: unknown): unknown => JSON.parse(`${"[".repeat(4_000)}${JSON.stringify(end)}${"]".repeat(4_000)}`);
		expect(diff({ value: deep(1) }, { value: deep(1) })).toEqual([]);
		expect(diff({ value: deep(1) }, { value: deep(2) })).toHaveLength(1);
	});
});

describe("the history of a flag", () => {
	test("says of every version who, when, why and what, newest first", async () => {
		const { key } = aFlag();
		const created = await done<FlagBody>("POST", `${FLAGS}&reason=first`, { body: { key, type: "boolean" } });
		await patch(key, 1, { description: "new", rules: [rule()] }, "second");
		await patch(key, 2, { rules: [rule({ id: "early" }), rule({ serve: "false" })] });
		await done("PATCH", `${flagAt(key)}&reason=night`, { body: { enabled: false } });
		await done("DELETE", `${flagAt(key)}&reason=gone`, { headers: ifMatch(4) });
		await createFlag({ key, description: "again" });
		const versions = await history(key);
		expect(versions.map(({ version, actor, reason, state }) => [version, actor, reason, state])).toEqual([
			[6, "admin", "", "kept"],
			[5, "admin", "gone", "deleted"],
			[4, "admin", "night", "kept"],
			[3, "admin", "", "kept"],
			[2, "admin", "second", "kept"],
			[1, "admin", "first", "kept"],
		]);
		expect(versions.map(({ diff: changes }) => changes.map(({ path }) => path))).toEqual([
			[""],
			[""],
			["/enabled"],
			["/rules/beta/serve", "/rules/early"],
			["/rules/beta", "/description"],
			[""],
		]);
		expect(versions[3]?.diff[0]).toEqual({ path: "/rules/beta/serve", before: "true", after: "false" });
		expect(versions[5]?.diff).toEqual([{ path: "", after: authored(created) }]);
		expect(versions[1]?.diff[0]).not.toHaveProperty("after");
		for (const { atMs } of versions) expect(atMs).toBeGreaterThan(1_000_000);
	});

	test("comes a page at a time, and the last of a page is compared with the first of the next", async () => {
		const { key } = await createFlag();
		// oxlint-disable-next-line no-await-in-loop -- one after the other
		for (let i = 1; i <= 4; i++) await patch(key, i, { description: `text ${i}` });
		const all = await history(key);
		expect(await history(key, "&limit=2")).toEqual(all.slice(0, 2));
		expect(await history(key, "&limit=2&before=4")).toEqual(all.slice(2, 4));
		expect(await history(key, "&limit=2&before=2")).toEqual(all.slice(4));
		expect(await history(key, "&before=1")).toEqual([]);
	});

	test("gives the whole flag of any version, none where it was deleted", async () => {
		const created = await createFlag({ description: "first" });
		const { key } = created;
		await patch(key, 1, { description: "second" });
		await done("DELETE", flagAt(key), { headers: ifMatch(2) });
		expect(await done<VersionBody>("GET", at(key, "versions/1"))).toMatchObject({
			environment: "production",
			key,
			version: 1,
			state: "kept",
			flag: authored(created),
		});
		expect(await done<VersionBody>("GET", at(key, "versions/3"))).toMatchObject({ state: "deleted", flag: null });
		await refused(404, "GET", at(key, "versions/4"));
	});

	test("has the version that a rollout's completion made", async () => {
		const { key } = await createFlag();
		const { id } = await createRollout({ flags: [key], phases: [{ percent: 100, hold: "10m", criteria: ["error_rate < 3%"] }] });
		await command(id, "start");
		await command(id, "advance", "it is well");
		const [newest] = await history(key);
		expect(newest).toMatchObject({ version: 2, diff: [{ path: "/fallthrough", before: "false", after: "true" }] });
	});

	test("of a version that cannot be read is told as damaged, and hides no other", async () => {
		const { key } = await createFlag();
		await patch(key, 1, { description: "second" });
		await patch(key, 2, { description: "third" });
		await env.DB.prepare("UPDATE flag_versions SET config = '{' WHERE key = ? AND version = 2").bind(key).run();
		expect((await history(key)).map(({ version, state, diff: changes }) => [version, state, changes.length])).toEqual([
			[3, "kept", 0],
			[2, "damaged", 0],
			[1, "kept", 1],
		]);
		expect(await done("GET", at(key, "versions/2"))).toMatchObject({ state: "damaged", flag: null });
		expect(pointersOf(await refused(422, "POST", at(key, "restore"), { body: { version: 2 }, headers: ifMatch(3) }))).toEqual(["/version"]);
	});

	test("is one environment's, and of a flag that never was there is none", async () => {
		const { key } = await createFlag();
		await refused(404, "GET", at(newKey(), "versions"));
		await refused(404, "GET", `/api/v1/flags/${key}/versions?environment=staging`);
		await refused(404, "GET", `/api/v1/flags/${key}/versions/1?environment=staging`);
	});

	test.each(["limit=0", "limit=201", "limit=x", "before=0", "before=-1", "before=1.5", "before=x", "colour=red", "before=99999999999"])(
		"refuses %s",
		async (query) => {
			const { key } = await createFlag();
			await refused(422, "GET", `${at(key, "versions")}&${query}`);
		},
	);

	test.each(["0", "-1", "x", "1.5", "1e99"])("refuses version %s", async (version) => {
		await refused(422, "GET", at((await createFlag()).key, `versions/${version}`));
	});
});

describe("restoring a version", () => {
	test("makes a new one with its content, its author and its reason, and one row in the audit", async () => {
		const first = await createFlag({ description: "first", rules: [rule()], tags: ["a"] });
		const { key } = first;
		const second = await patch(key, 1, { description: "second", rules: [], tags: [] });
		const rows = (await auditRows()).length;
		const answer = await send<FlagBody>("POST", `${at(key, "restore")}&reason=regret`, { body: { version: 1 }, headers: ifMatch(2) });
		expect([answer.status, answer.headers.get("etag")]).toEqual([200, '"3"']);
		expect(answer.body).toEqual({ ...first, version: 3, updatedAtMs: expect.any(Number) });
		expect(await done("GET", flagAt(key))).toEqual(answer.body);
		expect((await history(key))[0]).toMatchObject({ version: 3, actor: "admin", reason: "regret" });
		expect((await auditRows()).length).toBe(rows + 1);
		expect((await auditOf(`flags/production/${key}`)).at(-1)).toMatchObject({
			action: "flag.restored",
			reason: "regret",
			before: authored(second),
			after: authored(first),
		});
	});

	test("needs the version that was read", async () => {
		const { key } = await createFlag();
		await patch(key, 1, { description: "second" });
		expect((await refused(428, "POST", at(key, "restore"), { body: { version: 1 } }))["currentVersion"]).toBe(2);
		const headers = ifMatch(1);
		expect((await refused(412, "POST", at(key, "restore"), { body: { version: 1 }, headers }))["currentVersion"]).toBe(2);
		expect((await done<FlagBody>("GET", flagAt(key))).version).toBe(2);
	});

	test("that the flag still has, or has again, makes none: 200 with the flag as it is", async () => {
		const first = await createFlag({ description: "first", rules: [rule()], variants: { true: true, false: false, also: true } });
		const { key } = first;
		expect(await restore(key, 1, ifMatch(1))).toEqual(first);
		await patch(key, 1, { description: "second" });
		const third = await restore(key, 1, ifMatch(2));
		const rows = await auditRows();
		for (const version of [1, 3]) {
			// oxlint-disable-next-line no-await-in-loop -- two requests
			const { status, headers, body } = await send("POST", at(key, "restore"), { body: { version }, headers: ifMatch(3) });
			expect([status, headers.get("etag"), body]).toEqual([200, '"3"', third]);
		}
		expect(await auditRows()).toEqual(rows);
		expect(await history(key)).toHaveLength(3);
	});

	test("of two at once one is made", async () => {
		const { key } = await createFlag();
		await patch(key, 1, { description: "second" });
		const sent = { body: { version: 1 }, headers: ifMatch(2) };
		const answers = await Promise.all([1, 2].map(() => send("POST", at(key, "restore"), sent)));
		expect(answers.map(({ status }) => status).sort((a, b) => a - b)).toEqual([200, 412]);
		expect(await history(key)).toHaveLength(3);
	});

	test("brings a deleted flag back, without If-Match, and without its old kill", async () => {
		const first = await createFlag({ description: "first" });
		const { key } = first;
		await done("PATCH", flagAt(key), { body: { enabled: false } });
		await done("DELETE", flagAt(key), { headers: ifMatch(2) });
		await refused(412, "POST", at(key, "restore"), { body: { version: 1 }, headers: ifMatch(2) });
		expect(await restore(key, 1)).toEqual({ ...first, version: 4, updatedAtMs: expect.any(Number) });
		expect((await readHead(open(env.DB))).head.environments["production"]?.overlay.kill).not.toContain(key);
		expect((await history(key)).map(({ state }) => state)).toEqual(["kept", "deleted", "kept", "kept"]);
		expect((await auditOf(`flags/production/${key}`)).at(-1)).toMatchObject({ action: "flag.restored", before: null });
	});

	test("kills and enables with the head, as a change does", async () => {
		const { key } = await createFlag();
		const killed = async () => (await readHead(open(env.DB))).head.environments["production"]?.overlay.kill.includes(key) ?? false;
		await done("PATCH", flagAt(key), { body: { enabled: false } });
		await restore(key, 1, ifMatch(2));
		expect(await killed()).toBe(false);
		await restore(key, 2, ifMatch(3));
		expect(await killed()).toBe(true);
	});

	test("checks it anew: what it names may be gone", async () => {
		const other = await createFlag();
		const segment = newKey();
		await done("POST", "/api/v1/segments?environment=production", { body: { key: segment } });
		const { key } = await createFlag({
			prerequisites: [{ flag: other.key, variants: ["true"] }],
			rules: [rule({ when: { segment } })],
		});
		await patch(key, 1, { prerequisites: [], rules: [] });
		await done("DELETE", flagAt(other.key), { headers: ifMatch(1) });
		await done("DELETE", `/api/v1/segments/${segment}?environment=production`, { headers: ifMatch(1) });
		const problem = await refused(422, "POST", at(key, "restore"), { body: { version: 1 }, headers: ifMatch(2) });
		expect([...pointersOf(problem)].sort()).toEqual(["/version/prerequisites/0/flag", "/version/rules/0/when/segment"]);
		expect((await done<FlagBody>("GET", flagAt(key))).version).toBe(2);
	});

	test("during a rollout leaves protected fields alone: 409 names it; other fields come back", async () => {
		const { key } = await createFlag({ description: "first", rules: [rule()] });
		await patch(key, 1, { rules: [] });
		await patch(key, 2, { description: "third" });
		const { id } = await createRollout({ flags: [key] });
		await command(id, "start");
		const problem = await refused(409, "POST", at(key, "restore"), { body: { version: 1 }, headers: ifMatch(3) });
		expect(problem["rollout"]).toBe(id);
		expect(problem.detail).toContain("rules");
		expect((await restore(key, 2, ifMatch(3))).description).toBe("first");
		await command(id, "roll_back");
		expect((await restore(key, 1, ifMatch(4))).rules).toHaveLength(1);
	});

	test.each<[what: string, body: unknown, pointer: string]>([
		["a version that never was", { version: 9 }, "/version"],
		["a deletion", { version: 2 }, "/version"],
		["no version", {}, "/version"],
		["a version as text", { version: "1" }, "/version"],
		["an unknown field", { version: 1, colour: "red" }, "/colour"],
		["null", null, ""],
	])("refuses %s", async (_, body, pointer) => {
		const { key } = await createFlag();
		await done("DELETE", flagAt(key), { headers: ifMatch(1) });
		expect(pointersOf(await refused(422, "POST", at(key, "restore"), { body }))).toEqual([pointer]);
	});

	test("of a flag that never was is 404", async () => {
		await refused(404, "POST", at(newKey(), "restore"), { body: { version: 1 } });
	});
});
