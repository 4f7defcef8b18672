import { describe, expect, test } from "vitest";
import { aHarm, aPoint } from "../points";
import type { Watched } from "./store";

export function describeRepetitions(name: string, watched: Watched): void {
	const requests = async (rollout: string): Promise<number> =>
		(await watched.reader(rollout)()).totals.reduce((sum, each) => sum + each.requests, 0);

	describe(`${name}: events`, () => {
		test("without an id are all different", async () => {
			const rollout = watched.newRollout();
			await watched.record([aPoint({ rollout }), aPoint({ rollout })]);
			await watched.record([aPoint({ rollout })]);
			expect(await requests(rollout)).toBe(3);
		});

		test("are a point in each of their rollouts", async () => {
			const [one, two] = [watched.newRollout(), watched.newRollout()] as const;
			await watched.record([one, two].map((rollout, i) => aPoint({ id: `${one}/shared`, rollout, first: i === 0 })));
			expect([await requests(one), await requests(two)]).toEqual([1, 1]);
		});
	});

	// Not skipped: a test that never runs for a store is none of its promises.
	if (!watched.store.deduplicates) return;
	describe(`${name}: repeated events`, () => {
		test("an id counts once, within a batch and across batches, for everything", async () => {
			const rollout = watched.newRollout();
			const point = aHarm({ id: `${rollout}/e1`, rollout });
			await watched.record([point, point, aPoint({ id: `${rollout}/e2`, rollout })]);
			await watched.record([point, aPoint({ id: `${rollout}/e3`, rollout })]);
			const { totals, firstHarms, userSums, firstExposures } = await watched.reader(rollout)();
			expect(totals).toEqual([{ rollout, metric: "error", arm: "control", requests: 3, sum: 1 }]);
			expect(firstHarms.map((each) => each.units)).toEqual([1]);
			expect(userSums.map(({ users }) => [users.requests, users.harms, users.harmsTimesRequests])).toEqual([[3, 1, 3]]);
			expect(firstExposures.map((each) => each.units)).toEqual([1]);
		});

		test("one event's points are known together", async () => {
			const [one, two] = [watched.newRollout(), watched.newRollout()] as const;
			const points = [one, two].map((rollout, i) => aPoint({ id: `${one}/shared`, rollout, first: i === 0 }));
			await watched.record(points);
			await watched.record(points);
			expect([await requests(one), await requests(two)]).toEqual([1, 1]);
		});

		test("the same id in another environment is another event", async () => {
			const rollout = watched.newRollout();
			const point = aPoint({ id: `${rollout}/e1`, rollout });
			await watched.record([point], "production");
			await watched.record([point], "staging");
			await watched.record([point], "staging");
			expect(await requests(rollout)).toBe(2);
		});

		test("two deliveries of a batch at once count once", async () => {
			const rollout = watched.newRollout();
			const points = Array.from({ length: 20 }, (_, i) => aPoint({ id: `${rollout}/${i}`, rollout, unit: `u${i}` }));
			await Promise.all([watched.record(points), watched.record(points), watched.record(points)]);
			expect(await requests(rollout)).toBe(20);
		});
	});
}
