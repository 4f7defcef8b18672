import { beforeEach, describe, expect, test, vi } from "vitest";
import { evaluate } from "../../../core/flags/evaluate";
import type { Head } from "../../../core/wire";
import { sha256 } from "../../../worker/digest";
import type { Serving } from "../../../worker/snapshots";
import { aFlag, aState, publish, type Published } from "../../workers/edge/fixture";
import { aWorld } from "./world";

const first = await publish([aState(), aState({ environment: "staging" })]);
const second = await publish([aState({ version: 2, flags: [aFlag({ fallthrough: "true" })] })], { revision: 2 });
const third = await publish([aState({ version: 3 })], { revision: 3 });
const killing = { kill: ["checkout"], baseline: [] };
const withoutBodies = (published: Published): Published => ({ ...published, bodies: new Map() });

const versionOf = (open: Serving | undefined): number | undefined => open?.snapshot.version;
const resolve = (open: Serving | undefined) => (open ? evaluate(open.snapshot, open.overlay, "checkout", {}) : undefined);

beforeEach(() => void vi.spyOn(console, "warn").mockImplementation(() => {}));

describe("a cold isolate", () => {
	test.each([1, 30])(
		"makes one call of control, and reads one body and one override, which come in %i ms, for 100 requests at once",
		async (ms) => {
			const world = aWorld(first);
			world.answersAfterMs = ms;
			const opened = await Promise.all(Array.from({ length: 100 }, () => world.request()));
			expect(opened.map(versionOf)).toEqual(Array(100).fill(1));
			expect(world.calls).toEqual({ head: 1, kvHead: 0, body: 0, kvBody: 1, override: 1 });
			expect(opened[0]?.isStale).toBe(false);
		},
	);

	test.each(["down", "hangs"] as const)("serves KV's head as STALE when control %s", async (health) => {
		const world = aWorld(first);
		world.control.health = health;
		const startedAtMs = Date.now();
		const open = await world.request();
		expect(Date.now() - startedAtMs).toBeLessThan(900);
		expect([versionOf(open), open?.isStale]).toEqual([1, true]);
		// A control that hangs is waited for once, and asked again only after 2 s.
		await Promise.all(Array.from({ length: 20 }, () => world.request()));
		expect(world.calls.head).toBe(1);
	});

	test("has nothing to serve while neither control nor KV answers, tries again after 500 ms, and only then", async () => {
		const world = aWorld(first);
		world.control.health = world.kv.health = "down";
		expect(await world.request()).toBeUndefined();
		world.control.health = "up";
		expect(await world.request()).toBeUndefined();
		expect(world.calls.head).toBe(1);
		world.later(500);
		world.kv.health = "up";
		expect(versionOf(await world.request())).toBe(1);
	});

	test("takes over from a request that died while others waited for it", async () => {
		const world = aWorld(first);
		Object.assign(world.isolate.head, { attempt: "waited for", attemptAtMs: Date.now() - 950 });
		const opened = await Promise.all([world.request(), world.request()]);
		expect(opened.map(versionOf)).toEqual([1, 1]);
		expect(world.calls.head).toBe(1);
	});

	test("tries a body again in front after 500 ms when none could be loaded", async () => {
		const world = aWorld(first);
		world.kv.bodies = world.control.bodies = new Map();
		expect(await world.request()).toBeUndefined();
		expect(await world.request()).toBeUndefined();
		expect(world.calls.kvBody).toBe(1);
		world.control.bodies = first.bodies;
		world.later(500);
		expect(versionOf(await world.request())).toBe(1);
	});

	test.each<[string, unknown]>([
		["nothing", undefined],
		["null", null],
		["a text", "head"],
		["no revision", { ...first.head, revision: "1" }],
		["no keys", { ...first.head, keys: undefined }],
		[
			"an overlay without its lists",
			{ ...first.head, environments: { production: { ...first.head.environments["production"], overlay: {} } } },
		],
		["an environment without overlay", { ...first.head, environments: { production: { version: 1, digest: "" } } }],
	])("takes KV's head when control's holds %s", async (_, head) => {
		const world = aWorld(first);
		world.control.head = head;
		expect(versionOf(await world.request())).toBe(1);
		expect(world.calls.kvHead).toBe(1);
	});

	test("serves nothing from garbage in KV", async () => {
		const world = aWorld(first);
		world.control.health = "down";
		world.kv.head = { revision: 1 };
		expect(await world.request()).toBeUndefined();
	});
});

describe("an environment", () => {
	test("is loaded when it is first asked for", async () => {
		const world = aWorld(first);
		await world.request("production");
		const open = await world.request("staging");
		expect(open?.snapshot.header.environment).toBe("staging");
		expect(world.calls).toMatchObject({ head: 1, kvBody: 2 });
	});

	test.each(["development", "__proto__", "constructor"])("that no head names, %s, has no snapshot", async (name) => {
		const world = aWorld(first);
		expect(await world.request(name)).toBeUndefined();
		expect(world.isolate.environments.size).toBe(0);
	});

	test("that left the head is no longer served", async () => {
		const world = aWorld(first);
		await world.request("staging");
		world.publish(second);
		world.later(8_000);
		expect(await world.request("staging")).toBeUndefined();
	});
});

describe("a wrong body", () => {
	const body = first.bodies.get("production/1") ?? "";
	const firstLine = body.slice(0, body.indexOf("\n"));
	const withFirstLine = async (line: string): Promise<[Head, string]> => {
		const named = first.head.environments["production"];
		if (!named) throw new Error("the fixture has no production");
		return [{ ...first.head, environments: { production: { ...named, digest: await sha256(line) } } }, body.replace(firstLine, line)];
	};

	test.each<[string, string | undefined]>([
		["none", undefined],
		["an empty one", ""],
		["another one's first line", body.replace('"version":1', '"version":7')],
		["one published at another time", body.replace("1700000000000", "1700000000001")],
	])("in KV (%s) is replaced by control's", async (_, stored) => {
		const world = aWorld(first);
		world.kv.bodies = new Map(stored === undefined ? [] : [["production/1", stored]]);
		expect(versionOf(await world.request())).toBe(1);
		expect(world.calls.body).toBe(1);
	});

	test("is fetched from control when KV hangs", async () => {
		const world = aWorld(first);
		world.kv.health = "hangs";
		expect(versionOf(await world.request())).toBe(1);
		expect(world.calls).toEqual({ head: 1, kvHead: 0, body: 1, kvBody: 1, override: 1 });
	});

	test.each<[string, string]>([
		["of another environment", firstLine.replace("production", "staging")],
		["of another version", firstLine.replace('"version":1', '"version":2')],
		["of an unknown schema", firstLine.replace('"schema":1', '"schema":2')],
		["without JSON", "#".repeat(40)],
	])("%s is not served, even when the head's digest fits", async (_, line) => {
		const [head, stored] = await withFirstLine(line);
		const world = aWorld({ head, bodies: new Map([["production/1", stored]]) });
		expect(await world.request()).toBeUndefined();
		expect(world.calls).toMatchObject({ kvBody: 1, body: 1 });
	});
});

describe("a new head", () => {
	test("is fetched behind the answer between 5 and 8 s, and its body with it", async () => {
		const world = aWorld(first);
		await world.request();
		world.publish(second);
		world.later(5_000);
		expect(versionOf(await world.request())).toBe(1);
		await world.idle();
		expect(world.calls).toMatchObject({ head: 2, kvBody: 2 });
		expect(versionOf(await world.request())).toBe(2);
		expect(world.calls).toMatchObject({ head: 2, kvBody: 2 });
	});

	test.each([1, 30])("is waited for after 8 s, and its body with it, when they come in %i ms", async (ms) => {
		const world = aWorld(first);
		await world.request();
		world.answersAfterMs = ms;
		world.publish(second);
		world.later(8_000);
		const opened = await Promise.all(Array.from({ length: 20 }, () => world.request()));
		expect(opened.map(versionOf)).toEqual(Array(20).fill(2));
		expect(world.calls).toMatchObject({ head: 2, kvBody: 2 });
	});

	test("of an older revision is refused, and what is held turns STALE after 25 s", async () => {
		const world = aWorld(second);
		await world.request();
		world.publish(first);
		world.later(24_000);
		expect(await world.request()).toMatchObject({ isStale: false });
		expect(world.isolate.head.value?.revision).toBe(2);
		world.later(2_000);
		const open = await world.request();
		expect([versionOf(open), open?.isStale]).toEqual([2, true]);
	});

	test("in KV counts only when it is newer, and is no confirmation", async () => {
		const world = aWorld(second);
		await world.request();
		world.control.health = "down";
		world.kv.head = first.head;
		world.later(9_000);
		expect(versionOf(await world.request())).toBe(2);
		world.publish(third);
		world.later(9_000);
		expect(versionOf(await world.request())).toBe(3);
		world.later(9_000);
		expect(await world.request()).toMatchObject({ isStale: true });
		world.control.health = "up";
		world.later(9_000);
		expect(await world.request()).toMatchObject({ isStale: false });
	});

	test("overlays the old body at once while its own cannot be loaded", async () => {
		const world = aWorld(first);
		await world.request();
		world.publish(withoutBodies(await publish([aState({ version: 2 })], { revision: 2, overlay: killing })));
		world.later(8_000);
		const open = await world.request();
		expect(versionOf(open)).toBe(1);
		expect(resolve(open)).toMatchObject({ value: false, reason: "DISABLED", metadata: { overlay: "head" } });
	});

	test("whose body cannot be loaded is tried every 2 s behind the answer, and turns STALE after 25 s", async () => {
		const world = aWorld(first);
		await world.request();
		world.publish(withoutBodies(second));
		world.later(8_000);
		expect(await world.request()).toMatchObject({ isStale: false });
		expect(world.calls.kvBody).toBe(2);
		for (let attempts = 3; attempts < 12; attempts++) {
			world.later(1_900);
			expect(versionOf(await world.request())).toBe(1);
			await world.idle();
			expect(world.calls.kvBody).toBe(attempts - 1);
			world.later(300);
			const open = await world.request();
			await world.idle();
			expect(world.calls.kvBody).toBe(attempts);
			expect(open?.isStale).toBe(8_000 + (attempts - 2) * 2_200 >= 25_000);
		}
		world.publish(second);
		world.later(2_000);
		await world.request();
		await world.idle();
		const open = await world.request();
		expect([versionOf(open), open?.isStale]).toEqual([2, false]);
	});

	test("that absorbed an emergency into a body that cannot be loaded does not end it", async () => {
		const killed = await publish([aState({ flags: [aFlag({ fallthrough: "true" })] })], { overlay: killing });
		const absorbed = await publish([aState({ version: 2, flags: [aFlag({ enabled: false })] })], { revision: 2 });
		const world = aWorld(killed);
		expect(resolve(await world.request())).toMatchObject({ value: false, metadata: { overlay: "head" } });
		world.publish(withoutBodies(absorbed));
		world.later(8_000);
		expect(resolve(await world.request())).toMatchObject({ value: false, metadata: { snapshot: 1, overlay: "earlier head" } });
		world.publish(absorbed);
		world.later(2_000);
		await world.request();
		await world.idle();
		const open = await world.request();
		expect(resolve(open)).toMatchObject({ value: false, reason: "DISABLED", metadata: { snapshot: 2 } });
		expect(open?.overlay.kill.size).toBe(0);
	});

	test("that names the body before is served from memory", async () => {
		const world = aWorld(first);
		await world.request();
		world.publish(second);
		world.later(8_000);
		await world.request();
		world.publish({ head: { ...first.head, revision: 3 }, bodies: new Map() });
		world.later(8_000);
		expect(versionOf(await world.request())).toBe(1);
		expect(world.calls.kvBody).toBe(2);
	});

	test("computes an overlay once, not for each request", async () => {
		const world = aWorld(first);
		const opened = [await world.request(), await world.request()];
		expect(opened[0]?.overlay).toBe(opened[1]?.overlay);
	});
});

describe("with everything down", () => {
	test.each(["down", "hangs"] as const)("(%s) the last known good is served, STALE after 25 s, and nobody waits twice", async (health) => {
		const world = aWorld(first);
		await world.request();
		world.control.health = world.kv.health = health;
		world.later(9_000);
		expect(await world.request()).toMatchObject({ isStale: false });
		world.later(2_000);
		const startedAtMs = Date.now();
		expect(versionOf(await world.request())).toBe(1);
		expect(Date.now() - startedAtMs).toBeLessThan(100);
		await world.idle();
		world.later(14_000);
		expect(await world.request()).toMatchObject({ isStale: true });
	});
});
