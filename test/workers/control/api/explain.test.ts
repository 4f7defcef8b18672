import { env } from "cloudflare:workers";
import { expect, test } from "vitest";
import { tick } from "../../../../control/tick/tick";
import { aTick } from "../tick/fixtures";
import { aFlag, createFlag, done, flagAt, newKey, pointersOf, refused } from "./harness";

const EXPLAIN = "/api/v1/explain";
const COMPARE = "/api/v1/compare-snapshots";

interface Explained {
	readonly snapshot: number;
	readonly steps: readonly string[];
	readonly resolution: Record<string, unknown>;
}
interface Compared {
	readonly from: number;
	readonly to: number | null;
	readonly answers: number;
	readonly changed: number;
	readonly flags: readonly { flag: string; changed: number; examples: readonly object[] }[];
	readonly segments: readonly { segment: string; members: number; changed: number }[];
}

let nowMs = 1_800_000_000_000;
const publish = (): Promise<void> => tick(aTick(), (nowMs += 60_000));
const explain = (body: object): Promise<Explained> => done("POST", EXPLAIN, { body: { environment: "production", ...body } });
const compare = (body: object): Promise<Compared> => done("POST", COMPARE, { body: { environment: "production", ...body } });

const staffRule = { id: "staff", when: { attribute: "group", op: "in", values: ["staff"] }, serve: "true" };

test("before anything is published there is nothing to explain, and it says so", async () => {
	const problem = await refused(404, "POST", EXPLAIN, { body: { environment: "staging", flag: "x", context: {} } });
	expect(problem.detail).toContain("published snapshot of staging");
});

test("the walk names the condition that failed on which value, and the step that decided", async () => {
	const { key } = await createFlag({ rules: [staffRule] });
	await publish();
	const found = await explain({ flag: key, context: { targetingKey: "ann", group: "guest" } });
	expect(found.steps).toEqual([
		'  group in ["staff"]: does not hold, it is "guest"',
		'rule "staff" does not match',
		'fallthrough: serves "false"',
	]);
	expect(found.resolution).toMatchObject({ variant: "false", reason: "DEFAULT", metadata: { snapshot: found.snapshot } });
});

test("the overlays in force are part of the answer: a kill, and break-glass by hand", async () => {
	const [killed, broken] = [await createFlag(), await createFlag()];
	await publish();
	await done("PATCH", flagAt(killed.key), { body: { enabled: false } });
	await env.SNAPSHOTS.put("override/production", JSON.stringify({ kill: [broken.key] }));
	expect((await explain({ flag: killed.key, context: {} })).steps.at(-1)).toMatch(/killed by head|disabled \(killed\)/);
	expect((await explain({ flag: broken.key, context: {} })).steps).toEqual(['killed by break-glass: serves "false"']);
	await env.SNAPSHOTS.delete("override/production");
});

test("an earlier version is explained as it was; one that never was published is not there", async () => {
	const { key } = await createFlag();
	await publish();
	const before = await explain({ flag: key, context: {} });
	await done("PATCH", flagAt(key), { body: { rules: [staffRule] }, headers: { "if-match": "1" } });
	await publish();
	const context = { group: "staff" };
	expect((await explain({ flag: key, context })).resolution).toMatchObject({ variant: "true" });
	expect((await explain({ flag: key, context, version: before.snapshot })).resolution).toMatchObject({
		variant: "false",
		reason: "STATIC",
	});
	await refused(404, "POST", EXPLAIN, { body: { environment: "production", flag: key, context, version: 999_999 } });
});

test("a flag that is not there is a resolution, not a failure", async () => {
	expect((await explain({ flag: "nobody-knows", context: {} })).resolution).toMatchObject({ errorCode: "FLAG_NOT_FOUND" });
});

test("what a proposed change makes different is told by flag and by segment, and nothing is written", async () => {
	const segment = newKey();
	await done("POST", "/api/v1/segments?environment=production", {
		body: { key: segment, when: { attribute: "plan", op: "equals", values: ["pro"] } },
	});
	const flag = await createFlag({ rules: [{ id: "pros", when: { segment }, serve: "true" }] });
	await publish();
	const contexts = [{ plan: "pro" }, { plan: "free" }, { plan: "pro", targetingKey: "ann" }];
	const found = await compare({ proposed: [{ ...flag, rules: [] }], flags: [flag.key], contexts });
	expect(found).toMatchObject({ to: null, answers: 3, changed: 2 });
	expect(found.flags).toEqual([
		{
			flag: flag.key,
			changed: 2,
			examples: [
				{ context: 0, before: "true", after: "false" },
				{ context: 2, before: "true", after: "false" },
			],
		},
	]);
	expect(found.segments).toEqual([{ segment, members: 2, changed: 2 }]);
	expect((await explain({ flag: flag.key, context: { plan: "pro" } })).resolution).toMatchObject({ variant: "true" });
});

test("a flag as it was exported is proposed as well, and an unknown field in it is named", async () => {
	const { key } = await createFlag();
	await publish();
	const exported = await done<{ flags: { key: string }[] }>("GET", "/api/v1/export?environment=production");
	const [flag] = exported.flags.filter((each) => each.key === key);
	const comparison = { flags: [key], contexts: [{}] };
	expect(await compare({ ...comparison, proposed: [{ ...flag, fallthrough: "true" }] })).toMatchObject({ changed: 1 });
	const problem = await refused(422, "POST", COMPARE, {
		body: { environment: "production", ...comparison, proposed: [{ ...flag, colour: "red" }] },
	});
	expect(pointersOf(problem)).toEqual(["/proposed/0/colour"]);
});

test("two versions are compared, and equal ones differ in nothing", async () => {
	const { key } = await createFlag();
	await publish();
	const { snapshot } = await explain({ flag: key, context: {} });
	await done("PATCH", flagAt(key), { body: { fallthrough: "true" }, headers: { "if-match": "1" } });
	await publish();
	const contexts = [{ targetingKey: "ann" }];
	expect(await compare({ from: snapshot, to: snapshot, contexts })).toMatchObject({ changed: 0, flags: [] });
	const { snapshot: now } = await explain({ flag: key, context: {} });
	expect(await compare({ from: snapshot, to: now, flags: [key], contexts })).toMatchObject({ from: snapshot, to: now, changed: 1 });
});

test.each<[string, Record<string, unknown>, string]>([
	["neither a version nor a proposal", {}, "/to"],
	["both", { to: 1, proposed: [] }, "/proposed"],
	["no context", { to: 1, contexts: [] }, "/contexts"],
	["too many contexts", { to: 1, contexts: Array.from({ length: 1_001 }, () => ({})) }, "/contexts"],
	["an unknown field", { to: 1, flag: "x" }, "/flag"],
])("comparing %s is refused, with the field", async (_, change, pointer) => {
	const problem = await refused(422, "POST", COMPARE, { body: { environment: "production", contexts: [{}], ...change } });
	expect(pointersOf(problem)).toContain(pointer);
});

test("a proposal is checked like a flag", async () => {
	const complete = { ...aFlag(), variants: { true: true }, offVariant: "true", fallthrough: "gone", salt: "s" };
	const problem = await refused(422, "POST", COMPARE, { body: { environment: "production", contexts: [{}], proposed: [complete] } });
	expect(pointersOf(problem)).toContain("/proposed/0/fallthrough");
});

test("a comparison's work is bounded: flags and segments, times contexts", async () => {
	const { key } = await createFlag();
	await publish();
	const { snapshot: to } = await explain({ flag: key, context: {} });
	const contexts = Array.from({ length: 1_000 }, () => ({}));
	const flags = Array.from({ length: 201 }, (_, i) => `${key}-${i}`);
	const problem = await refused(422, "POST", COMPARE, { body: { environment: "production", to, flags, contexts } });
	expect(JSON.stringify(problem)).toContain("× 1000 contexts");
});
