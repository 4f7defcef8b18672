import { describe, expect, test } from "vitest";
import { aPoint } from "../points";
import { type Watched, byText } from "./store";

export function describeFirstExposures(name: string, watched: Watched): void {
	describe(`${name}: first exposures`, () => {
		test("a user is exposed once to a rollout, where they were seen first, whatever was measured", async () => {
			const rollout = watched.newRollout();
			const other = watched.newRollout();
			const read = watched.reader(rollout);
			await watched.record([
				aPoint({ rollout, unit: "ann" }),
				aPoint({ rollout, unit: "ann", metric: "latency_ms", value: 80 }),
				aPoint({ rollout, unit: "bob", arm: "candidate" }),
				aPoint({ rollout: other, unit: "eve" }),
			]);
			expect(byText((await read()).firstExposures)).toEqual(
				byText([
					{ rollout, arm: "control", served: 5_000, units: 1 },
					{ rollout, arm: "candidate", served: 5_000, units: 1 },
				]),
			);
			await watched.record([
				aPoint({ rollout, unit: "ann", stage: 2, served: 20_000, arm: "candidate" }),
				aPoint({ rollout, unit: "eve", stage: 2, served: 20_000 }),
			]);
			expect((await read({ stage: 2 })).firstExposures).toEqual([{ rollout, arm: "control", served: 20_000, units: 1 }]);
		});

		test("of several first requests the first tells where", async () => {
			const rollout = watched.newRollout();
			await watched.recordInOrder([
				aPoint({ rollout, stage: 2, served: 20_000, arm: "candidate" }),
				aPoint({ rollout, stage: 1, served: 5_000, arm: "control" }),
			]);
			expect((await watched.reader(rollout)()).firstExposures).toEqual([{ rollout, arm: "candidate", served: 20_000, units: 1 }]);
		});
	});
}
