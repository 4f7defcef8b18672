import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { AskedSignal, Of } from "../../../../../control/metrics/source";
import { BUCKETS } from "../../../../../core/flags/bucket";
import type { ArmSums } from "../../../../../core/health/observation";
import { type AttributedPoint, aHarm, aPoint, aSignal, armOf, referenceSums } from "../points";
import { ERROR, RUNS, SLOW, type Watched, aQuestion, byText, sorted } from "./store";

/** Several signals may look at one metric, each in a slot of its own. */
const SIGNALS: readonly AskedSignal[] = [
	ERROR,
	aSignal("fallback"),
	aSignal("latency_ms", 0, "latency_ms>2"),
	aSignal("latency_ms", 1, "latency_ms p95 +20%"),
	aSignal("latency_ms", 2, "never"),
];

export function describeUserSums(name: string, watched: Watched): void {
	const { source } = watched;

	describe(`${name}: sums over users`, () => {
		test("a user's mean keeps its fraction, whole values or not", async () => {
			const rollout = watched.newRollout();
			const read = watched.reader(rollout, { signals: [aSignal("satisfaction")] });
			const of = (value: number) => aPoint({ rollout, metric: "satisfaction", value });
			await watched.record([of(7), of(8)]);
			expect((await read()).userSums[0]).toMatchObject({
				means: { users: 1, sumOfMeans: 7.5, sumOfSquaredMeans: 56.25 },
				totals: { users: 1, sumOfMeans: 15, sumOfSquaredMeans: 225 },
			});
			await watched.record([of(9)]);
			expect((await read()).userSums[0]).toMatchObject({
				means: { users: 1, sumOfMeans: 8, sumOfSquaredMeans: 64 },
				totals: { users: 1, sumOfMeans: 24, sumOfSquaredMeans: 576 },
			});
		});

		test("logarithms are those of the values, and of a thousandth for what has none", async () => {
			const rollout = watched.newRollout();
			const of = (unit: string, value: number) => aPoint({ rollout, unit, metric: "latency_ms", value });
			await watched.record([of("ann", 100), of("ann", 400), of("bob", 0), of("eve", -3)]);
			const [sums] = (await watched.reader(rollout, { signals: [aSignal("latency_ms")] })()).userSums;
			expect(sums?.logs.users).toBe(3);
			expect(sums?.logs.sumOfMeans).toBeCloseTo(Math.log(200) + 2 * Math.log(0.001), 9);
			expect(sums?.logs.sumOfSquaredMeans).toBeCloseTo(Math.log(200) ** 2 + 2 * Math.log(0.001) ** 2, 9);
		});

		test("a user is harmed first when the first request of the stage was, in a batch as over several", async () => {
			const rollout = watched.newRollout();
			const read = watched.reader(rollout);
			await watched.recordInOrder([
				aHarm({ rollout, unit: "ann" }),
				aPoint({ rollout, unit: "ann" }),
				aPoint({ rollout, unit: "bob" }),
				aHarm({ rollout, unit: "bob" }),
			]);
			watched.pass(1_000);
			await watched.recordInOrder([aHarm({ rollout, unit: "bob" }), aHarm({ rollout, unit: "eve" })]);
			watched.pass(1_000);
			await watched.recordInOrder([aHarm({ rollout, unit: "bob", stage: 2 })]);
			expect((await read()).userSums[0]).toMatchObject({ users: { users: 3, harmedUsers: 3 }, harmedFirst: 2 });
			expect((await read({ stage: 2 })).userSums[0]).toMatchObject({ users: { users: 1, harmedUsers: 1 }, harmedFirst: 1 });
		});

		test("a flag's own outcomes are summed beside all of them, and harm of the one is none of the other", async () => {
			const rollout = watched.newRollout();
			const own = aSignal("error@checkout", 0, "error@checkout");
			const read = watched.reader(rollout, { signals: [ERROR, own] });
			const named = aHarm({ rollout, unit: "ann" });
			const ofFlag = { metric: own.metric, flag: "", variant: "", first: false, harms: [{ signal: own.key, slot: 0 }] };
			await watched.record([named, { ...named, ...ofFlag }, aHarm({ rollout, unit: "bob", flag: "search" })]);
			const { userSums, firstHarms, firstExposures } = await read();
			expect(byText(userSums.map(({ signal, users }) => [signal, users.users, users.harmedUsers]))).toEqual(
				byText([
					["error", 2, 2],
					["error@checkout", 1, 1],
				]),
			);
			expect(byText(firstHarms.map(({ signal, units }) => [signal, units]))).toEqual(
				byText([
					["error", 2],
					["error@checkout", 1],
				]),
			);
			expect(firstExposures).toMatchObject([{ units: 2 }]);
		});

		test("each signal of a metric has its own, zeros where nobody was harmed, and none in an arm without reports", async () => {
			const rollout = watched.newRollout();
			const signals = [aSignal("latency_ms", 0, "a"), aSignal("latency_ms", 1, "b"), aSignal("latency_ms", 2, "c"), ERROR];
			const of = (unit: string, ...harms: AttributedPoint["harms"]) => aPoint({ rollout, unit, metric: "latency_ms", value: 5, harms });
			await watched.recordInOrder([
				of("ann", { signal: "a", slot: 0 }, { signal: "b", slot: 1 }),
				of("ann", { signal: "a", slot: 0 }),
				of("bob"),
				of("bob", { signal: "b", slot: 1 }),
				of("bob"),
			]);
			const { userSums } = await watched.reader(rollout, { signals })();
			const found = userSums.map(({ signal, arm, users, harmedFirst }) => ({ signal, arm, harmedFirst, ...users }));
			const both = { arm: "control", users: 2, requests: 5, requestsSquared: 13 };
			expect(byText(found)).toEqual(
				byText([
					{ ...both, signal: "a", harmedFirst: 1, harmedUsers: 1, harms: 2, harmsSquared: 4, harmsTimesRequests: 4 },
					{ ...both, signal: "b", harmedFirst: 1, harmedUsers: 2, harms: 2, harmsSquared: 2, harmsTimesRequests: 5 },
					{ ...both, signal: "c", harmedFirst: 0, harmedUsers: 0, harms: 0, harmsSquared: 0, harmsTimesRequests: 0 },
				]),
			);
		});

		test("requests of the harmed count with their harms, also those that come later and harm nobody", async () => {
			const rollout = watched.newRollout();
			const read = watched.reader(rollout);
			await watched.record([aHarm({ rollout }), aPoint({ rollout, unit: "bob" })]);
			expect((await read()).userSums[0]?.users).toMatchObject({ harms: 1, requests: 2, harmsTimesRequests: 1 });
			await watched.record([aPoint({ rollout }), aPoint({ rollout }), aPoint({ rollout, unit: "bob" })]);
			expect((await read()).userSums[0]?.users).toMatchObject({ harms: 1, requests: 5, harmsTimesRequests: 3 });
		});

		test("equal a straightforward addition, however the points are batched and over however many stages", SLOW, async () => {
			const users = Array.from({ length: 6 }, (_, i) => ({ unit: `u${i}`, bucket: i * 17_000 }));
			const aRequest = fc.record({
				user: fc.constantFrom(...users),
				stage: fc.integer({ min: 1, max: 3 }),
				metric: fc.constantFrom("error", "fallback", "latency_ms"),
				value: fc.oneof(fc.integer({ min: 0, max: 10 }), fc.double({ min: 0, max: 10, noNaN: true })),
				harmed: fc.array(fc.boolean(), { minLength: 2, maxLength: 2 }),
			});
			const sizes = fc.array(fc.integer({ min: 1, max: 25 }), { minLength: 1, maxLength: 4 });
			await fc.assert(
				fc.asyncProperty(fc.array(aRequest, { minLength: 1, maxLength: 80 }), sizes, async (requests, batches) => {
					const rollout = watched.newRollout();
					const points = requests.map(({ user, stage, metric, value, harmed }) => {
						const served = [0, 5_000, 20_000, 50_000][stage] ?? 0;
						const own = SIGNALS.filter((signal) => signal.metric === metric && harmed[signal.slot] === true);
						const harms = own.map(({ key, slot }) => ({ signal: key, slot }));
						return aPoint({ rollout, unit: user.unit, stage, served, arm: armOf(user.bucket, served), metric, value, harms });
					});
					for (let from = 0, i = 0; from < points.length; i++) {
						const size = batches[i % batches.length] ?? 1;
						// oxlint-disable-next-line no-await-in-loop -- batches arrive in order
						await watched.recordInOrder(points.slice(from, from + size));
						from += size;
					}
					const upTo = await watched.look();
					for (const stage of [1, 2, 3]) {
						// oxlint-disable-next-line no-await-in-loop -- three stages
						const found = await source.userSums([aQuestion(rollout, { stage, signals: SIGNALS })], upTo);
						const own = points.filter((point) => point.stage === stage);
						expectSums(
							found,
							referenceSums(own, SIGNALS).map((sums) => ({ rollout, ...sums })),
						);
					}
				}),
				RUNS,
			);
		});

		test("500 events of three rollouts in one batch", async () => {
			const rollouts = [watched.newRollout(), watched.newRollout(), watched.newRollout()];
			const points = Array.from({ length: 500 }, (_, i) => i).flatMap((i) =>
				rollouts.map((rollout, r) => {
					const unit = `u${i % 190}`;
					const arm = armOf(((i % 190) * 7_919) % BUCKETS, 20_000);
					const of = (i + r) % 9 === 0 ? aHarm : aPoint;
					return of({ id: `${rollouts[0]}/${i}`, first: r === 0, rollout, unit, served: 20_000, arm });
				}),
			);
			await watched.recordInOrder(points);
			const upTo = await watched.look();
			const found = await source.userSums(
				rollouts.map((rollout) => aQuestion(rollout)),
				upTo,
			);
			for (const rollout of rollouts) {
				const own = points.filter((point) => point.rollout === rollout);
				expectSums(
					found.filter((each) => each.rollout === rollout),
					referenceSums(own, [ERROR]).map((sums) => ({ rollout, ...sums })),
				);
			}
		});
	});
}

/** Counts exactly, sums of values within rounding. */
function expectSums(found: readonly Of<ArmSums>[], wanted: readonly Of<ArmSums>[]): void {
	const exact = (all: readonly Of<ArmSums>[]) =>
		byText(
			all.map(({ rollout, signal, metric, arm, harmedFirst, users, means, totals, logs }) => ({
				text: JSON.stringify([rollout, signal, metric, arm, harmedFirst, sorted(users), means.users, totals.users, logs.users]),
			})),
		);
	expect(exact(found)).toEqual(exact(wanted));
	for (const each of wanted) {
		const own = found.find(({ signal, arm }) => signal === each.signal && arm === each.arm);
		for (const sums of ["means", "totals", "logs"] as const) {
			const what = `${sums} of ${each.signal} in ${each.arm}`;
			expect(own?.[sums].sumOfMeans, what).toBeCloseTo(each[sums].sumOfMeans, 7);
			expect(own?.[sums].sumOfSquaredMeans, what).toBeCloseTo(each[sums].sumOfSquaredMeans, 6);
		}
	}
}
