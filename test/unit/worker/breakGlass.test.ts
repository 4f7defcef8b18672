import { beforeEach, describe, expect, type MockInstance, test, vi } from "vitest";
import { bucketOf, seedOf } from "../../../core/flags/bucket";
import { evaluate, type Resolution } from "../../../core/flags/evaluate";
import type { Serving } from "../../../worker/snapshots";
import { aFlag, aRollout, aState, publish, type Published } from "../../workers/edge/fixture";
import { aWorld } from "./world";

/** `checkout` serves true; `natal` is in a rollout at 50 %. */
const flags = [aFlag({ fallthrough: "true" }), aFlag({ key: "natal" })];
const state = aState({ flags, rollouts: [aRollout()] });
const published = await publish([state, aState({ environment: "staging", flags })]);
const candidate = ["ada", "bob", "cleo", "dan", "eve"].find((user) => bucketOf(user, seedOf("kerykeion")) < 50_000) ?? "";
const killing = { kill: ["checkout"], baseline: [] };

const resolve = (open: Serving | undefined, flag = "checkout"): Resolution | undefined =>
	open && evaluate(open.snapshot, open.overlay, flag, { targetingKey: candidate });
const served = { value: true, metadata: { snapshot: 1 } };
const broken = { value: false, reason: "DISABLED", metadata: { snapshot: 1, overlay: "break-glass" } };

let warn: MockInstance<typeof console.warn>;
beforeEach(
	() =>
		void (warn = vi
			.spyOn(console, "warn")
			.mockReset()
			.mockImplementation(() => {})),
);
const logged = (event: string): unknown[] =>
	warn.mock.calls.map(([line]) => JSON.parse(String(line)) as { event: string }).filter((each) => each.event === event);

/** An isolate that has served from `published` before. */
async function aWarmWorld(of: Published = published) {
	const world = aWorld(of);
	await world.request();
	return world;
}

describe("break-glass", () => {
	test("is known to a cold isolate before its first answer, with control gone", async () => {
		const world = aWorld(published);
		world.control.health = "down";
		world.kv.override = killing;
		expect(resolve(await world.request())).toMatchObject(broken);
	});

	test("is known to each of 100 requests that meet a cold isolate, and read once", async () => {
		const world = aWorld(published);
		world.kv.override = killing;
		world.answersAfterMs = 20;
		const opened = await Promise.all(Array.from({ length: 100 }, () => world.request()));
		expect(opened.every((open) => resolve(open)?.metadata.overlay === "break-glass")).toBe(true);
		expect(world.calls.override).toBe(1);
	});

	test.each<[string, (world: ReturnType<typeof aWorld>) => unknown]>([
		["control up", () => {}],
		["control down", (world) => (world.control.health = "down")],
		["control hanging", (world) => (world.control.health = "hangs")],
		["control down and no head in KV", (world) => Object.assign(world.control, { health: "down" }) && (world.kv.head = null)],
		["control answering garbage", (world) => (world.control.head = "<html>")],
	])("is honoured within one refresh of the head: %s", async (_, adjust) => {
		const world = await aWarmWorld();
		adjust(world);
		world.kv.override = killing;
		expect(resolve(await world.request())).toMatchObject(served);
		world.later(8_000);
		expect(resolve(await world.request())).toMatchObject(broken);
	});

	test("that comes with a refresh behind the answer serves the next one", async () => {
		const world = await aWarmWorld();
		world.kv.override = killing;
		world.later(5_000);
		expect(resolve(await world.request())).toMatchObject(served);
		await world.idle();
		expect(resolve(await world.request())).toMatchObject(broken);
	});

	test("is honoured every 2 s while nothing but KV's override can be read", async () => {
		const world = await aWarmWorld();
		world.control.health = "down";
		world.kv.head = null;
		world.later(9_000);
		await world.request();
		world.kv.override = killing;
		world.later(2_000);
		await world.request();
		await world.idle();
		expect(resolve(await world.request())).toMatchObject(broken);
	});

	test("takes a rollout's users to the baseline", async () => {
		const world = await aWarmWorld();
		expect(resolve(await world.request(), "natal")).toMatchObject({ value: true, reason: "SPLIT" });
		world.kv.override = { kill: [], baseline: ["kerykeion"] };
		world.later(8_000);
		expect(resolve(await world.request(), "natal")).toMatchObject({
			value: false,
			reason: "DEFAULT",
			metadata: { rollout: "kerykeion", overlay: "break-glass" },
		});
	});

	test.each<[string, object, string]>([
		["flags", { kill: ["checkout"] }, "checkout"],
		["rollouts", { baseline: ["kerykeion"] }, "natal"],
	])("that names %s only is honoured", async (_, override, flag) => {
		const world = aWorld(published);
		world.kv.override = override;
		expect(resolve(await world.request(), flag)).toMatchObject({ value: false, metadata: { overlay: "break-glass" } });
		expect(logged("override_unusable")).toEqual([]);
	});

	test("ends when its key is deleted", async () => {
		const world = aWorld(published);
		world.kv.override = killing;
		expect(resolve(await world.request())).toMatchObject(broken);
		world.kv.override = null;
		world.later(8_000);
		const open = await world.request();
		expect(resolve(open)).toMatchObject(served);
		expect(open?.overlay.kill.size).toBe(0);
	});

	test("ends when its key is deleted, even while the body of a newer head cannot be loaded", async () => {
		const world = aWorld(published);
		world.kv.override = killing;
		await world.request();
		world.publish({ ...(await publish([aState({ version: 2, flags })], { revision: 2 })), bodies: new Map() });
		world.later(8_000);
		expect(resolve(await world.request())).toMatchObject(broken);
		world.kv.override = null;
		world.later(8_000);
		expect(resolve(await world.request())).toMatchObject(served);
	});

	test("does not hide that the head says the same: deleted, the head's kill goes on", async () => {
		const world = aWorld(await publish([state], { overlay: killing }));
		world.kv.override = killing;
		expect(resolve(await world.request())).toMatchObject({ metadata: { overlay: "head" } });
		world.publish({ ...(await publish([aState({ version: 2, flags })], { revision: 2 })), bodies: new Map() });
		world.later(8_000);
		expect(resolve(await world.request())).toMatchObject({ ...broken, metadata: { overlay: "break-glass" } });
		world.kv.override = null;
		world.later(8_000);
		expect(resolve(await world.request())).toMatchObject({ value: false, metadata: { overlay: "earlier head" } });
	});

	test("goes on while KV cannot be read", async () => {
		const world = aWorld(published);
		world.kv.override = killing;
		await world.request();
		for (const health of ["down", "hangs"] as const) {
			world.kv.health = health;
			world.later(8_000);
			// oxlint-disable-next-line no-await-in-loop -- one outage after the other
			expect(resolve(await world.request())).toMatchObject(broken);
		}
	});

	test("of one environment leaves the others alone", async () => {
		const world = aWorld(published);
		await Promise.all([world.request("production"), world.request("staging")]);
		world.kv.overrides = { staging: killing };
		world.later(8_000);
		expect(resolve(await world.request("production"))).toMatchObject(served);
		expect(resolve(await world.request("staging"))).toMatchObject(broken);
	});

	describe.each<[string, unknown]>([
		["a text", "checkout"],
		["a list", ["checkout"]],
		["a number", 1],
		["no lists", { kill: "checkout", baseline: [] }],
		["lists of something else", { kill: [{ flag: "checkout" }], baseline: [] }],
		["a misspelt list", { kill: ["natal"], basline: [] }],
		["what is no JSON", new SyntaxError("Unexpected token 'k'")],
	])("that holds %s", (_, wrong) => {
		test("is ignored and logged, and what was read before stays", async () => {
			const world = aWorld(published);
			world.kv.override = killing;
			await world.request();
			expect(logged("override_unusable")).toEqual([]);
			world.kv.override = wrong;
			world.later(8_000);
			expect(resolve(await world.request())).toMatchObject(broken);
			expect(logged("override_unusable")).toEqual([{ event: "override_unusable", environment: "production", error: expect.any(String) }]);
		});

		test("keeps no cold isolate from answering", async () => {
			const world = aWorld(published);
			world.kv.override = wrong;
			expect(resolve(await world.request())).toMatchObject(served);
			expect(logged("override_unusable")).toHaveLength(1);
		});
	});

	test("only ever moves users to off or to the baseline, whatever it names", async () => {
		const names = ["checkout", "natal", "kerykeion", "__proto__", "constructor", "", "!measured", "no-such-flag", "\ud800"];
		const before = await (async () => {
			const open = await aWorld(published).request();
			return flags.map(({ key }) => resolve(open, key));
		})();
		for (let subset = 0; subset < 2 ** names.length; subset += 7) {
			const chosen = names.filter((__, i) => subset & (1 << i));
			for (const override of [
				{ kill: chosen, baseline: [] },
				{ kill: [], baseline: chosen },
			]) {
				const world = aWorld(published);
				world.answersAfterMs = 0;
				world.kv.override = override;
				// oxlint-disable-next-line no-await-in-loop -- one cold isolate after another
				const open = await world.request();
				flags.forEach(({ key }, i) => {
					const resolution = resolve(open, key);
					if (resolution?.metadata.overlay === "break-glass") expect(resolution).toMatchObject({ value: false, variant: "false" });
					else expect(resolution).toEqual(before[i]);
				});
			}
		}
	});
});
