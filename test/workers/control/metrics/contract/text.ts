import { describe, expect, test } from "vitest";
import { aHarm, aPoint } from "../points";
import { type Watched, byText } from "./store";

export function describeText(name: string, watched: Watched): void {
	describe(`${name}: hostile text`, () => {
		test.each([
			["quotes", `'; DROP TABLE x; --"`],
			["wildcards", "100%_%"],
			["a backslash", "\\'\\"],
			["unicode", "Ännchen 🌊 \u202e"],
			["JSON", `{"a":1}`],
			["a JSON path", "$[0]"],
			["a number", "1"],
			["null", "null"],
			["a blank", " "],
		])("%s in unit, rollout, signal and id are text like any other", async (_, text) => {
			const rollout = `${watched.newRollout()} ${text}`;
			const signals = [{ key: text, metric: "error", slot: 0 }];
			await watched.record([
				aHarm({ id: `${rollout}/${text}`, rollout, unit: text, harms: [{ signal: text, slot: 0 }] }),
				aPoint({ rollout, unit: `${text}'` }),
			]);
			const { totals, firstHarms, userSums, firstExposures } = await watched.reader(rollout, { signals })();
			expect(totals).toEqual([{ rollout, metric: "error", arm: "control", requests: 2, sum: 1 }]);
			expect(byText(firstHarms)).toEqual(
				byText([{ rollout, signal: text, arm: "control", served: 5_000, lastControlServed: null, units: 1 }]),
			);
			expect(userSums.map((each) => [each.rollout, each.signal, each.users.users, each.users.harms])).toEqual([[rollout, text, 2, 1]]);
			expect(firstExposures).toEqual([{ rollout, arm: "control", served: 5_000, units: 2 }]);
		});
	});
}
