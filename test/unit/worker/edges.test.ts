import { beforeEach, describe, expect, test, vi } from "vitest";
import { coldIsolate } from "../../../worker/snapshots";
import { aFlag, aState, publish } from "../../workers/edge/fixture";
import { aWorld } from "./world";

const first = await publish([aState()]);
const second = await publish([aState({ version: 2, flags: [aFlag({ fallthrough: "true" })] })], { revision: 2 });

beforeEach(() => void vi.spyOn(console, "warn").mockImplementation(() => {}));

describe("what an isolate tells control", () => {
	test("is the revision that it serves by, never one that it is about to learn", async () => {
		const world = aWorld(first);
		await world.request();
		world.publish(second);
		for (let i = 0; i < 2; i++) {
			world.later(6_000);
			// oxlint-disable-next-line no-await-in-loop -- one refresh after the other
			await world.request();
			// oxlint-disable-next-line no-await-in-loop -- see above
			await world.idle();
		}
		expect(world.said.map(({ revision }) => revision)).toEqual([0, 1, 2]);
	});

	test("bears a name that it keeps and shares with no other, drawn by its first question", async () => {
		expect(coldIsolate().id).toBe("");
		const [one, other] = [aWorld(first), aWorld(first)];
		for (const world of [one, one, other]) {
			world.later(9_000);
			// oxlint-disable-next-line no-await-in-loop -- one question after the other
			await world.request();
		}
		const names = [...one.said, ...other.said].map(({ isolate }) => isolate);
		expect(names[1]).toBe(names[0]);
		expect(new Set(names).size).toBe(2);
		expect(one.said[0]?.colo).toBe("ZRH");
	});

	test("goes with the questions that it asks anyway, and with no other", async () => {
		const world = aWorld(first);
		for (let i = 0; i < 50; i++) await world.request(); // oxlint-disable-line no-await-in-loop -- one user after the other
		expect(world.said).toHaveLength(1);
		expect(world.calls.head).toBe(1);
	});

	test("delays no answer: with a control that hangs on it, what is held is served at once", async () => {
		const world = aWorld(first);
		await world.request();
		world.control.health = "hangs";
		world.later(6_000);
		const startedAtMs = Date.now();
		expect((await world.request())?.snapshot.version).toBe(1);
		expect(Date.now() - startedAtMs).toBeLessThan(400);
		await world.idle();
	});
});
