import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { MetricsSource, Of, Question } from "../../../../control/metrics/source";
import { BUCKETS } from "../../../../core/flags/bucket";
import type { FirstHarms } from "../../../../core/health/observation";
import { shareOfCandidate } from "../../../../core/statistics/evidence";
import { type AttributedPoint, aPoint, armOf, referenceSums } from "./points";

/** A store under test. `record` resolves once the points can be read. */
export interface MetricStore {
	readonly record: (points: readonly AttributedPoint[], environment?: string) => Promise<void>;
	readonly source: MetricsSource;
}

const RUNS = { seed: 20_261_120, numRuns: 12 };
const METRIC_OF = ["error", "fallback", "latency_ms", "satisfaction"] as const;

/** What every metrics source promises, whatever it stores in. The store is shared by the tests: each has rollouts of its own. */
export function describeMetricsSource(name: string, { record, source }: MetricStore): void {
	let count = 0;
	const newRollout = (): string => `rollout_${++count}.1`;
	const asked = (rollout: string, change: Partial<Question> = {}): Question => ({ rollout, stage: 1, after: null, ...change });

	/** One reader of one rollout: each call reads the next window. */
	function reader(rollout: string) {
		let after: string | null = null;
		return async (stage = 1) => {
			const upTo = await source.watermark(Date.now());
			const questions = [asked(rollout, { stage, after })];
			const [totals, firstHarms, userSums, firstExposures] = await Promise.all([
				source.totals(questions, upTo),
				source.firstHarms(questions, upTo),
				source.userSums(questions, upTo),
				source.firstExposures(questions, upTo),
			]);
			after = upTo;
			return { totals, firstHarms, userSums, firstExposures };
		};
	}

	describe(`${name}: windows`, () => {
		test("a total counts requests and harms and sums values, by metric and arm", async () => {
			const rollout = newRollout();
			await record([
				aPoint({ rollout }),
				aPoint({ rollout, harm: true }),
				aPoint({ rollout, arm: "candidate", harm: true }),
				aPoint({ rollout, metric: "satisfaction", value: 4.5, harm: true }),
				aPoint({ rollout, metric: "satisfaction", value: 8 }),
			]);
			expect(byText((await reader(rollout)()).totals)).toEqual(
				byText([
					{ rollout, metric: "error", arm: "control", requests: 2, harms: 1, sum: 1 },
					{ rollout, metric: "error", arm: "candidate", requests: 1, harms: 1, sum: 1 },
					{ rollout, metric: "satisfaction", arm: "control", requests: 2, harms: 1, sum: 12.5 },
				]),
			);
		});

		test("a window without arrivals has no rows", async () => {
			const read = reader(newRollout());
			expect(await read()).toEqual({ totals: [], firstHarms: [], userSums: [], firstExposures: [] });
		});

		test("no questions have no answers", async () => {
			const upTo = await source.watermark(Date.now());
			expect(await Promise.all([source.totals([], upTo), source.firstHarms([], upTo), source.userSums([], upTo)])).toEqual([[], [], []]);
			expect(await source.firstExposures([], upTo)).toEqual([]);
		});

		test("what was read never grows: what arrives later is in the next window, all of it", async () => {
			const rollout = newRollout();
			await record([aPoint({ rollout, unit: "ann", harm: true })]);
			const first = await source.watermark(Date.now());
			const ask = async (after: string | null, upTo: string) => ({
				totals: await source.totals([asked(rollout, { after })], upTo),
				firstHarms: await source.firstHarms([asked(rollout, { after })], upTo),
				firstExposures: await source.firstExposures([asked(rollout, { after })], upTo),
			});
			const before = await ask(null, first);
			await record([aPoint({ rollout, unit: "ann", harm: true }), aPoint({ rollout, unit: "bob", harm: true })]);
			expect(await ask(null, first)).toEqual(before);
			const second = await source.watermark(Date.now());
			expect(await ask(null, first)).toEqual(before);
			expect(await ask(first, second)).toEqual({
				totals: [{ rollout, metric: "error", arm: "control", requests: 2, harms: 2, sum: 2 }],
				firstHarms: [{ rollout, metric: "error", arm: "control", served: 5_000, lastControlServed: null, units: 1 }],
				firstExposures: [{ rollout, arm: "control", served: 5_000, units: 1 }],
			});
			expect(await ask(second, await source.watermark(Date.now()))).toEqual({ totals: [], firstHarms: [], firstExposures: [] });
		});

		test("two readers at once, amid arrivals, each lose and repeat nothing", async () => {
			const rollout = newRollout();
			const readers = [reader(rollout), reader(rollout)] as const;
			const seen = [
				{ requests: 0, harmed: 0, exposed: 0 },
				{ requests: 0, harmed: 0, exposed: 0 },
			];
			const read = async (i: 0 | 1): Promise<void> => {
				const { totals, firstHarms, firstExposures } = await readers[i]();
				const into = seen[i];
				if (!into) return;
				for (const each of totals) into.requests += each.requests;
				for (const each of firstHarms) into.harmed += each.units;
				for (const each of firstExposures) into.exposed += each.units;
			};
			for (let round = 0; round < 12; round++) {
				const arriving = [0, 1, 2].map((i) =>
					record([
						aPoint({ rollout, unit: `u${round}.${i}`, harm: true }),
						aPoint({ rollout, unit: `u${round}.${i}` }),
						aPoint({ rollout, unit: "always" }),
					]),
				);
				// oxlint-disable-next-line no-await-in-loop -- rounds of arrivals and reads that overlap
				await Promise.all([...arriving, read(0), ...(round % 3 === 0 ? [] : [read(1)])]);
			}
			await read(0);
			await read(1);
			const everything = { requests: 12 * 9, harmed: 36, exposed: 37 };
			expect(seen).toEqual([everything, everything]);
		});

		test("several rollouts asked at once do not mix, each from its own watermark and stage", async () => {
			const [one, two, three] = [newRollout(), newRollout(), newRollout()] as const;
			await record([aPoint({ rollout: one, harm: true }), aPoint({ rollout: two, harm: true }), aPoint({ rollout: three })]);
			const between = await source.watermark(Date.now());
			await record([
				aPoint({ rollout: one, unit: "bob", stage: 2, served: 20_000, arm: "candidate", harm: true }),
				aPoint({ rollout: two, unit: "eve" }),
			]);
			const upTo = await source.watermark(Date.now());
			const questions = [asked(one, { after: between, stage: 2 }), asked(two)];
			expect(byText(await source.totals(questions, upTo))).toEqual(
				byText([
					{ rollout: one, metric: "error", arm: "candidate", requests: 1, harms: 1, sum: 1 },
					{ rollout: two, metric: "error", arm: "control", requests: 2, harms: 1, sum: 1 },
				]),
			);
			expect(byText(await source.firstHarms(questions, upTo))).toEqual(
				byText([
					{ rollout: one, metric: "error", arm: "candidate", served: 20_000, lastControlServed: null, units: 1 },
					{ rollout: two, metric: "error", arm: "control", served: 5_000, lastControlServed: null, units: 1 },
				]),
			);
			expect(byText(await source.firstExposures(questions, upTo))).toEqual(
				byText([
					{ rollout: one, arm: "candidate", served: 20_000, units: 1 },
					{ rollout: two, arm: "control", served: 5_000, units: 2 },
				]),
			);
			const sums = await source.userSums(questions, upTo);
			expect(byText(sums.map(({ rollout, arm, users }) => [rollout, arm, users.users]))).toEqual(
				byText([
					[one, "candidate", 1],
					[two, "control", 2],
				]),
			);
		});
	});

	describe(`${name}: first harms`, () => {
		test("a user counts once for each metric, arm and served share, however often they are harmed", async () => {
			const rollout = newRollout();
			const read = reader(rollout);
			const harms = [
				aPoint({ rollout, harm: true }),
				aPoint({ rollout, harm: true }),
				aPoint({ rollout, metric: "fallback", harm: true }),
				aPoint({ rollout, unit: "bob", arm: "candidate", harm: true }),
				aPoint({ rollout, unit: "eve" }),
			];
			await record(harms);
			await record(harms);
			expect(byText((await read()).firstHarms)).toEqual(
				byText([
					{ rollout, metric: "error", arm: "control", served: 5_000, lastControlServed: null, units: 1 },
					{ rollout, metric: "fallback", arm: "control", served: 5_000, lastControlServed: null, units: 1 },
					{ rollout, metric: "error", arm: "candidate", served: 5_000, lastControlServed: null, units: 1 },
				]),
			);
			await record(harms);
			expect((await read()).firstHarms).toEqual([]);
		});

		/** Harms of one user as [arm, served], window by window; what each window counts as [arm, served, last counted in control]. */
		const control = (served: number): Harm => ["control", served];
		const candidate = (served: number): Harm => ["candidate", served];
		test.each<[what: string, windows: readonly (readonly Harm[])[], counted: readonly (readonly Counted[])[]]>([
			["control at 5 %, then candidate at 20 %", [[control(5)], [candidate(20)]], [[["control", 5, null]], [["candidate", 20, 5]]]],
			[
				"control at 5 % and candidate at 20 % in one window",
				[[control(5), candidate(20)]],
				[
					[
						["control", 5, null],
						["candidate", 20, 5],
					],
				],
			],
			[
				"the same, arrived the other way round",
				[[candidate(20), control(5)]],
				[
					[
						["control", 5, null],
						["candidate", 20, 5],
					],
				],
			],
			[
				"control at 5 %, 20 % and 50 % in one window",
				[[control(50), control(5), control(20)]],
				[
					[
						["control", 5, null],
						["control", 20, 5],
						["control", 50, 20],
					],
				],
			],
			[
				"control at 5 %, 20 % and 50 % in three windows",
				[[control(5)], [control(20)], [control(50)]],
				[[["control", 5, null]], [["control", 20, 5]], [["control", 50, 20]]],
			],
			[
				"control at 5 %, later candidate at 20 %, 50 % and 95 %",
				[[control(5)], [candidate(20)], [candidate(50)], [candidate(95)]],
				[[["control", 5, null]], [["candidate", 20, 5]], [], []],
			],
			["candidate at 5 % and 20 % in one window", [[candidate(20), candidate(5)]], [[["candidate", 5, null]]]],
			["late control at a smaller share", [[control(20)], [control(5)]], [[["control", 20, null]], []]],
			[
				"late control at a smaller share leaves the larger one the last",
				[[control(20)], [control(5)], [candidate(50)]],
				[[["control", 20, null]], [], [["candidate", 50, 20]]],
			],
			["late control after the candidate", [[candidate(20)], [control(5)]], [[["candidate", 20, null]], []]],
			[
				"late control after the candidate, and the candidate again",
				[[candidate(20)], [control(5)], [candidate(50)]],
				[[["candidate", 20, null]], [], []],
			],
			[
				"the same share again, after a step back",
				[[control(5)], [control(20)], [control(5)], [control(20)]],
				[[["control", 5, null]], [["control", 20, 5]], [], []],
			],
		])("%s", async (_, windows, counted) => {
			const rollout = newRollout();
			const read = reader(rollout);
			for (const [i, window] of windows.entries()) {
				// oxlint-disable no-await-in-loop -- one window after the other
				await record(window.map(([arm, percent], stage) => aPoint({ rollout, stage, arm, served: percent * 1_000, harm: true })));
				expect(byText((await read()).firstHarms), `window ${i + 1}`).toEqual(
					byText(
						(counted[i] ?? []).map(([arm, percent, last]) => ({
							rollout,
							metric: "error",
							arm,
							served: percent * 1_000,
							lastControlServed: last === null ? null : last * 1_000,
							units: 1,
						})),
					),
				);
				// oxlint-enable no-await-in-loop
			}
		});

		test("of harmed users spread evenly over the buckets, every stratum has the candidate's share by design", async () => {
			const rollout = newRollout();
			const read = reader(rollout);
			const users = Array.from({ length: 400 }, (_, i) => ({ unit: `u${i}`, bucket: (i + 0.5) * (BUCKETS / 400) }));
			const strata: number[] = [];
			for (const [stage, served] of [5_000, 20_000, 50_000].entries()) {
				// oxlint-disable-next-line no-await-in-loop -- one stage after the other
				await record(users.map(({ unit, bucket }) => aPoint({ rollout, unit, stage, served, arm: armOf(bucket, served), harm: true })));
				// oxlint-disable-next-line no-await-in-loop -- see above
				const { firstHarms } = await read();
				const [last] = new Set(firstHarms.map((each) => each.lastControlServed));
				const harmed = firstHarms.find((each) => each.arm === "candidate")?.units ?? 0;
				const all = firstHarms.reduce((sum, each) => sum + each.units, 0);
				const share = shareOfCandidate(served / BUCKETS, 1 - served / BUCKETS, typeof last === "number" ? last / BUCKETS : undefined);
				expect(firstHarms).toHaveLength(2);
				expect(harmed / all).toBeCloseTo(share, 12);
				strata.push(all);
			}
			expect(strata).toEqual([400, 380, 320]);
		});

		test("counts as the rule says, whatever arrives when", async () => {
			const shares = [5_000, 20_000, 50_000, 95_000];
			const users = ["ann", "bob", "eve", "joe"].map((unit, i) => ({ unit, bucket: [2_000, 10_000, 40_000, 97_000][i] ?? 0 }));
			const harm = fc.record({ user: fc.constantFrom(...users), served: fc.constantFrom(...shares) });
			await fc.assert(
				fc.asyncProperty(fc.array(fc.array(harm, { maxLength: 8 }), { maxLength: 5 }), async (windows) => {
					const rollout = newRollout();
					const read = reader(rollout);
					const reference = ruleOfFirstHarms(rollout);
					for (const window of windows) {
						const points = window.map(({ user, served }) =>
							aPoint({ rollout, unit: user.unit, served, arm: armOf(user.bucket, served), harm: true }),
						);
						// oxlint-disable-next-line no-await-in-loop -- one window after the other
						await record(points);
						// oxlint-disable-next-line no-await-in-loop -- see above
						expect(byText((await read()).firstHarms)).toEqual(byText(reference(points)));
					}
				}),
				RUNS,
			);
		});
	});

	describe(`${name}: sums over users`, () => {
		test("a user's mean keeps its fraction, whole values or not", async () => {
			const rollout = newRollout();
			const read = reader(rollout);
			const of = (value: number) => aPoint({ rollout, metric: "satisfaction", value, harm: value < 5 });
			await record([of(7), of(8)]);
			expect((await read()).userSums[0]?.means).toEqual({ users: 1, sumOfMeans: 7.5, sumOfSquaredMeans: 56.25 });
			await record([of(9)]);
			expect((await read()).userSums[0]?.means).toEqual({ users: 1, sumOfMeans: 8, sumOfSquaredMeans: 64 });
		});

		test("a user is harmed first when the first request of the stage was, in a batch as over several", async () => {
			const rollout = newRollout();
			const read = reader(rollout);
			await record([
				aPoint({ rollout, unit: "ann", harm: true }),
				aPoint({ rollout, unit: "ann" }),
				aPoint({ rollout, unit: "bob" }),
				aPoint({ rollout, unit: "bob", harm: true }),
			]);
			await record([aPoint({ rollout, unit: "bob", harm: true }), aPoint({ rollout, unit: "eve", harm: true })]);
			await record([aPoint({ rollout, unit: "bob", stage: 2, harm: true })]);
			expect((await read(1)).userSums[0]).toMatchObject({ users: { users: 3, harmedUsers: 3 }, harmedFirst: 2 });
			expect((await read(2)).userSums[0]).toMatchObject({ users: { users: 1, harmedUsers: 1 }, harmedFirst: 1 });
		});

		test("equal a straightforward addition, however the points are batched and over however many stages", async () => {
			const users = Array.from({ length: 6 }, (_, i) => ({ unit: `u${i}`, bucket: i * 17_000 }));
			const aRequest = fc.record({
				user: fc.constantFrom(...users),
				stage: fc.integer({ min: 1, max: 3 }),
				metric: fc.constantFrom(...METRIC_OF),
				value: fc.oneof(fc.integer({ min: 0, max: 10 }), fc.double({ min: 0, max: 10, noNaN: true })),
				harm: fc.boolean(),
			});
			const sizes = fc.array(fc.integer({ min: 1, max: 25 }), { minLength: 1, maxLength: 4 });
			await fc.assert(
				fc.asyncProperty(fc.array(aRequest, { minLength: 1, maxLength: 80 }), sizes, async (requests, batches) => {
					const rollout = newRollout();
					const points = requests.map(({ user, stage, metric, value, harm }) => {
						const served = [0, 5_000, 20_000, 50_000][stage] ?? 0;
						return aPoint({ rollout, unit: user.unit, stage, served, arm: armOf(user.bucket, served), metric, value, harm });
					});
					for (let from = 0, i = 0; from < points.length; i++) {
						const size = batches[i % batches.length] ?? 1;
						// oxlint-disable-next-line no-await-in-loop -- batches arrive in order
						await record(points.slice(from, from + size));
						from += size;
					}
					const upTo = await source.watermark(Date.now());
					for (const stage of [1, 2, 3]) {
						// oxlint-disable-next-line no-await-in-loop -- three stages
						const found = await source.userSums([asked(rollout, { stage })], upTo);
						expectSums(
							found,
							referenceSums(points.filter((point) => point.stage === stage)).map((sums) => ({ rollout, ...sums })),
						);
					}
				}),
				RUNS,
			);
		});

		test("500 events of three rollouts in one batch", async () => {
			const rollouts = [newRollout(), newRollout(), newRollout()];
			const points = Array.from({ length: 500 }, (_, i) => i).flatMap((i) =>
				rollouts.map((rollout, r) => {
					const arm = armOf((i * 7_919) % BUCKETS, 20_000);
					return aPoint({ id: `500/${i}`, rollout, unit: `u${i % 190}`, served: 20_000, arm, harm: (i + r) % 9 === 0 });
				}),
			);
			// A user's arm is one: the bucket is the user's, not the event's.
			const settled = points.map((point) => ({ ...point, arm: armOf((Number(point.unit.slice(1)) * 7_919) % BUCKETS, 20_000) }));
			await record(settled);
			const upTo = await source.watermark(Date.now());
			const found = await source.userSums(
				rollouts.map((rollout) => asked(rollout)),
				upTo,
			);
			for (const rollout of rollouts)
				expectSums(
					found.filter((each) => each.rollout === rollout),
					referenceSums(settled.filter((point) => point.rollout === rollout)).map((sums) => ({ rollout, ...sums })),
				);
		});
	});

	describe(`${name}: first exposures`, () => {
		test("a user is exposed once to a rollout, where they were seen first, whatever was measured", async () => {
			const rollout = newRollout();
			const other = newRollout();
			const read = reader(rollout);
			await record([
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
			await record([
				aPoint({ rollout, unit: "ann", stage: 2, served: 20_000, arm: "candidate" }),
				aPoint({ rollout, unit: "eve", stage: 2, served: 20_000 }),
			]);
			expect((await read(2)).firstExposures).toEqual([{ rollout, arm: "control", served: 20_000, units: 1 }]);
		});

		test("within a batch the first request tells where", async () => {
			const rollout = newRollout();
			await record([
				aPoint({ rollout, stage: 2, served: 20_000, arm: "candidate" }),
				aPoint({ rollout, stage: 1, served: 5_000, arm: "control" }),
			]);
			expect((await reader(rollout)()).firstExposures).toEqual([{ rollout, arm: "candidate", served: 20_000, units: 1 }]);
		});
	});

	describe(`${name}: repeated events`, () => {
		const requests = async (rollout: string): Promise<number> =>
			(await reader(rollout)()).totals.reduce((sum, each) => sum + each.requests, 0);

		test("an id counts once, within a batch and across batches, for everything", async () => {
			const rollout = newRollout();
			const point = aPoint({ id: `${rollout}/e1`, rollout, harm: true });
			await record([point, point, aPoint({ id: `${rollout}/e2`, rollout })]);
			await record([point, aPoint({ id: `${rollout}/e3`, rollout })]);
			const { totals, firstHarms, userSums, firstExposures } = await reader(rollout)();
			expect(totals).toEqual([{ rollout, metric: "error", arm: "control", requests: 3, harms: 1, sum: 1 }]);
			expect(firstHarms.map((each) => each.units)).toEqual([1]);
			expect(userSums.map((each) => each.users.requests)).toEqual([3]);
			expect(firstExposures.map((each) => each.units)).toEqual([1]);
		});

		test("one event is a point in each of its rollouts", async () => {
			const [one, two] = [newRollout(), newRollout()] as const;
			const points = [one, two].map((rollout) => aPoint({ id: `${one}/shared`, rollout }));
			await record(points);
			await record(points);
			expect([await requests(one), await requests(two)]).toEqual([1, 1]);
		});

		test("events without an id are all different", async () => {
			const rollout = newRollout();
			await record([aPoint({ rollout }), aPoint({ rollout })]);
			await record([aPoint({ rollout })]);
			expect(await requests(rollout)).toBe(3);
		});

		test("the same id in another environment is another event", async () => {
			const rollout = newRollout();
			const point = aPoint({ id: `${rollout}/e1`, rollout });
			await record([point], "production");
			await record([point], "staging");
			await record([point], "staging");
			expect(await requests(rollout)).toBe(2);
		});

		test("two deliveries of a batch at once count once", async () => {
			const rollout = newRollout();
			const points = Array.from({ length: 20 }, (_, i) => aPoint({ id: `${rollout}/${i}`, rollout, unit: `u${i}` }));
			await Promise.all([record(points), record(points), record(points)]);
			expect(await requests(rollout)).toBe(20);
		});
	});

	describe(`${name}: hostile text`, () => {
		test.each([
			["quotes", `'; DROP TABLE x; --"`],
			["wildcards", "100%_%"],
			["unicode", "Ännchen 🌊 \u202e"],
			["JSON", `{"a":1}`],
			["a JSON path", "$[0]"],
			["a number", "1"],
			["null", "null"],
			["a blank", " "],
		])("%s in unit, rollout and id are text like any other", async (_, text) => {
			const rollout = `${newRollout()} ${text}`;
			const point = aPoint({ id: `${rollout}/${text}`, rollout, unit: text, harm: true });
			await record([point, aPoint({ rollout, unit: `${text}'` })]);
			await record([point]);
			const { totals, firstHarms, userSums, firstExposures } = await reader(rollout)();
			expect(totals).toEqual([{ rollout, metric: "error", arm: "control", requests: 2, harms: 1, sum: 1 }]);
			expect(firstHarms).toEqual([{ rollout, metric: "error", arm: "control", served: 5_000, lastControlServed: null, units: 1 }]);
			expect(userSums.map((each) => [each.rollout, each.users.users])).toEqual([[rollout, 2]]);
			expect(firstExposures).toEqual([{ rollout, arm: "control", served: 5_000, units: 2 }]);
		});

		test("half a character or a NUL ends no text: what follows still tells ids and units apart", async () => {
			const rollout = newRollout();
			const of = (text: string) => aPoint({ id: `${rollout}/${text}`, rollout, unit: text });
			await record([of("a\ud800b"), of("a\ud800c"), of("a\0b"), of("a\0c"), of("a")]);
			await record([of("a\ud800b"), of("a\0c"), of("a")]);
			const { totals, userSums } = await reader(rollout)();
			expect([totals[0]?.requests, userSums[0]?.users.users]).toEqual([5, 5]);
		});
	});
}

type Harm = readonly [arm: AttributedPoint["arm"], percent: number];
type Counted = readonly [arm: AttributedPoint["arm"], percent: number, last: number | null];

/**
 * The rule in words: of a window's new harms, the smallest share first, each counts unless the user was harmed in the
 * candidate before, or in control at that share or a larger one.
 */
function ruleOfFirstHarms(rollout: string): (points: readonly AttributedPoint[]) => Of<FirstHarms>[] {
	const known = new Map<string, { harms: Set<string>; isCandidate: boolean; last: number | null }>();
	return (points) => {
		const counted = new Map<string, Of<FirstHarms> & { units: number }>();
		for (const { unit, arm, served } of [...points].sort((a, b) => a.served - b.served)) {
			const user = known.get(unit) ?? { harms: new Set(), isCandidate: false, last: null };
			known.set(unit, user);
			if (user.harms.has(`${arm} ${served}`)) continue;
			user.harms.add(`${arm} ${served}`);
			if (!user.isCandidate && (user.last === null || user.last < served)) {
				const key = `${arm} ${served} ${user.last}`;
				const row = counted.get(key) ?? { rollout, metric: "error" as const, arm, served, lastControlServed: user.last, units: 0 };
				counted.set(key, { ...row, units: row.units + 1 });
			}
			if (arm === "candidate") user.isCandidate = true;
			else user.last = Math.max(user.last ?? 0, served);
		}
		return [...counted.values()];
	};
}

/** Rows have no order of their own. */
function byText(rows: readonly unknown[]): string[] {
	return rows.map((row) => JSON.stringify(row, Object.keys(row as object).sort())).sort();
}

/** Counts exactly, means within rounding. */
function expectSums(found: readonly Of<ReturnType<typeof referenceSums>[number]>[], wanted: typeof found): void {
	const exact = (all: typeof found) =>
		byText(
			all.map(({ rollout, metric, arm, users, harmedFirst }) => ({
				text: JSON.stringify([rollout, metric, arm, harmedFirst, sorted(users)]),
			})),
		);
	expect(exact(found)).toEqual(exact(wanted));
	for (const { metric, arm, means } of wanted) {
		const own = found.find((each) => each.metric === metric && each.arm === arm)?.means;
		expect(own?.users).toBe(means.users);
		expect(own?.sumOfMeans).toBeCloseTo(means.sumOfMeans, 8);
		expect(own?.sumOfSquaredMeans).toBeCloseTo(means.sumOfSquaredMeans, 7);
	}
}

const sorted = (of: object): [string, unknown][] => Object.entries(of).sort(([a], [b]) => (a < b ? -1 : 1));
