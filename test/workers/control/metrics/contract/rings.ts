import { describe, expect, test } from "vitest";
import { type AttributedPoint, aHarm, aPoint, aSignal } from "../points";
import { type Watched, aQuestion, byText } from "./store";

export function describeRings(name: string, watched: Watched): void {
	const { source } = watched;
	const at = (newest: number | null) => ({ rings: { count: 3, newest } });

	describe(`${name}: rings`, () => {
		test("sums are over all users, and once more over those of the newest ring, whatever percent others are served", async () => {
			const rollout = watched.newRollout();
			const read = watched.reader(rollout);
			const both = { rollout, served: 10_000 };
			await watched.record([
				aHarm({ ...both, unit: "ann", ring: 1 }),
				aPoint({ ...both, unit: "ann", ring: 1 }),
				aPoint({ ...both, unit: "bob", ring: 2 }),
				aHarm({ ...both, unit: "eve", ring: 2, arm: "candidate" }),
				// Of an edge that knows of no rings.
				aPoint({ ...both, unit: "dan" }),
				// Of another stage.
				aPoint({ ...both, unit: "kim", ring: 2, stage: 2 }),
			]);
			const found = (await read(at(2))).userSums.map(({ ring, arm, users }) => [ring, arm, users.users, users.requests, users.harms]);
			expect(byText(found)).toEqual(
				byText([
					[undefined, "control", 3, 4, 1],
					[undefined, "candidate", 1, 1, 1],
					[2, "control", 1, 1, 0],
					[2, "candidate", 1, 1, 1],
				]),
			);
			const of = async (newest: number | null) => (await read(at(newest))).userSums.map(({ ring, users }) => [ring, users.users]);
			expect(byText(await of(3))).toEqual(
				byText([
					[undefined, 3],
					[undefined, 1],
				]),
			);
			expect(byText(await of(null))).toEqual(byText(await of(3)));
		});

		test("what arrives is told by ring", async () => {
			const rollout = watched.newRollout();
			const read = watched.reader(rollout, at(2));
			const unattributed = aPoint({ rollout, unit: "" });
			await watched.record([
				aPoint({ rollout, ring: 1, value: 1 }),
				aPoint({ rollout, unit: "bob", ring: 2 }),
				aPoint({ rollout, unit: "bob", ring: 2, value: 3 }),
				aPoint({ rollout, unit: "dan", arm: "candidate" }),
			]);
			await watched.store.record([{ ...unattributed, arm: "unattributed" }], { environment: "production", atMs: watched.nowMs });
			const found = (await read()).totals.map(({ ring, arm, requests, sum }) => [ring, arm, requests, sum]);
			expect(byText(found)).toEqual(
				byText([
					[1, "control", 1, 1],
					[2, "control", 2, 3],
					[undefined, "candidate", 1, 0],
					[undefined, "unattributed", 1, 0],
				]),
			);
			await watched.record([aPoint({ rollout, ring: 3 })]);
			expect((await read()).totals).toMatchObject([{ ring: 3, requests: 1 }]);
		});

		test("every sum of all is that of its rings added up", async () => {
			const rollout = watched.newRollout();
			const signals = [aSignal("latency_ms")];
			const of = (unit: string, value: number, change: Partial<AttributedPoint> = {}) =>
				aHarm({ rollout, unit, value, metric: "latency_ms", ...change });
			const plain = watched.newRollout();
			const points = (["ann", "ann", "bob", "eve"] as const).map((unit, i) => of(unit, [100, 300, 50, 900][i] ?? 0));
			await watched.record(points.map((point, i) => ({ ...point, ring: [1, 1, 2, 3][i] ?? 0 })));
			await watched.record(points.map((point) => ({ ...point, rollout: plain })));
			const upTo = await watched.look();
			const sumsOf = async (question: ReturnType<typeof aQuestion>) =>
				(await source.userSums([question], upTo)).filter(({ ring }) => ring === undefined).map((row) => ({ ...row, rollout: "" }));
			const [all] = await sumsOf(aQuestion(rollout, { signals, ...at(2) }));
			const [unringed] = await sumsOf(aQuestion(plain, { signals }));
			expect(all?.users).toEqual(unringed?.users);
			expect([all?.means.sumOfMeans, all?.totals.sumOfSquaredMeans, all?.harmedFirst]).toEqual([
				unringed?.means.sumOfMeans,
				unringed?.totals.sumOfSquaredMeans,
				unringed?.harmedFirst,
			]);
			expect(all?.logs.sumOfSquaredMeans).toBeCloseTo(unringed?.logs.sumOfSquaredMeans ?? NaN, 9);
		});

		test("quantiles are over all requests, and once more over those of the newest ring", async () => {
			const rollout = watched.newRollout();
			const read = watched.reader(rollout);
			const of = (unit: string, value: number, ring: number) => aPoint({ rollout, unit, metric: "latency_ms", value, ring });
			await watched.record([of("ann", 100, 1), of("bob", 100, 1), of("eve", 700, 2)]);
			const medians = async (newest: number) =>
				byText((await read(at(newest))).quantiles.map(({ ring, p50 }) => [ring, Number(p50.toPrecision(1))]));
			expect(await medians(2)).toEqual(
				byText([
					[undefined, 100],
					[2, 700],
				]),
			);
			expect(await medians(3)).toEqual(byText([[undefined, 100]]));
		});

		test("a first harm bears its ring, and is counted once, whatever ring its user is in later", async () => {
			const rollout = watched.newRollout();
			const read = watched.reader(rollout);
			const harm = (unit: string, served: number, ring: number, arm: "candidate" | "control" = "control") =>
				aHarm({ rollout, unit, served, ring, arm });
			const harms = async () =>
				byText(
					(await read(at(2))).firstHarms.map(({ ring, arm, served, lastControlServed, units }) => [
						ring,
						arm,
						served,
						lastControlServed,
						units,
					]),
				);
			await watched.record([
				harm("ann", 10_000, 1),
				harm("bob", 10_000, 2),
				harm("eve", 10_000, 2, "candidate"),
				aHarm({ rollout, unit: "dan", served: 10_000 }),
			]);
			expect(await harms()).toEqual(
				byText([
					[1, "control", 10_000, null, 1],
					[2, "control", 10_000, null, 1],
					[2, "candidate", 10_000, null, 1],
					[undefined, "control", 10_000, null, 1],
				]),
			);
			// Of the same share under another number nothing is learnt; of a larger one as ever.
			await watched.record([harm("ann", 10_000, 2), harm("eve", 50_000, 3, "candidate"), harm("bob", 50_000, 3), harm("dan", 5_000, 1)]);
			expect(await harms()).toEqual(byText([[3, "control", 50_000, 10_000, 1]]));
			await watched.record([harm("kim", 10_000, 1), harm("kim", 10_000, 2)]);
			expect(await harms()).toEqual(byText([[1, "control", 10_000, null, 1]]));
		});

		test("rollouts with rings and without are asked of together", async () => {
			const [ringed, plain] = [watched.newRollout(), watched.newRollout()];
			await watched.record([aPoint({ rollout: ringed, unit: "ann", ring: 1 }), aPoint({ rollout: plain, unit: "bob" })]);
			const upTo = await watched.look();
			const questions = [aQuestion(ringed, at(1)), aQuestion(plain)];
			const rows = async (found: Promise<readonly { readonly rollout: string; readonly ring?: number }[]>) =>
				byText((await found).map(({ rollout, ring }) => [rollout === ringed, ring]));
			const wanted = byText([
				[true, undefined],
				[true, 1],
				[false, undefined],
			]);
			expect(await rows(source.userSums(questions, upTo))).toEqual(wanted);
			expect(await rows(source.quantiles(questions, upTo))).toEqual(wanted);
		});
	});
}
