import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { AskedScore, Of } from "../../../../../control/metrics/source";
import type { Arm, Scored } from "../../../../../core/health/observation";
import { type AttributedPoint, aPoint } from "../points";
import { MINUTE_MS, RUNS, SLOW, type Watched, aQuestion, byText } from "./store";

const SCORE: AskedScore = {
	signal: "latency_ms vs control",
	metric: "latency_ms",
	center: Math.log(100),
	spread: 0.5,
	shift: Math.log(1.2),
};

/** The value that is so far from the control's center, in units of two spreads. */
const at = (z: number): number => Math.exp(SCORE.center + 2 * SCORE.spread * z);

export function describeScores(name: string, watched: Watched): void {
	const scores = [SCORE];
	const requests = (count: number, change: Partial<AttributedPoint>): AttributedPoint[] =>
		Array.from({ length: count }, () => aPoint({ metric: "latency_ms", value: at(0.52), scored: true, ...change }));
	const row = (rollout: string, change: Partial<Scored> = {}): Of<Scored> => ({
		rollout,
		signal: SCORE.signal,
		arm: "control",
		served: 5_000,
		score: 0.5,
		units: 1,
		...change,
	});

	describe(`${name}: scores`, () => {
		test("a user is scored with the tenth request, and never again", async () => {
			const rollout = watched.newRollout();
			const read = watched.reader(rollout, { scores });
			await watched.record(requests(9, { rollout }));
			expect((await read()).scored).toEqual([]);
			await watched.record(requests(1, { rollout }));
			expect((await read()).scored).toEqual([row(rollout)]);
			await watched.record(requests(15, { rollout, value: at(-3) }));
			expect((await read()).scored).toEqual([]);
			watched.pass(90 * MINUTE_MS);
			expect((await read()).scored).toEqual([]);
		});

		test("a user with fewer requests is scored after an hour with what there is, and never again", async () => {
			const rollout = watched.newRollout();
			const read = watched.reader(rollout, { scores });
			await watched.record(requests(3, { rollout }));
			expect((await read()).scored).toEqual([]);
			watched.pass(30 * MINUTE_MS);
			await watched.record(requests(2, { rollout, unit: "bob" }));
			expect((await read()).scored).toEqual([]);
			watched.pass(35 * MINUTE_MS);
			expect((await read()).scored).toEqual([row(rollout)]);
			await watched.record(requests(20, { rollout, value: at(-3) }));
			expect((await read()).scored).toEqual([]);
			watched.pass(35 * MINUTE_MS);
			expect((await read()).scored).toEqual([row(rollout)]);
		});

		// Where order is not known, all count that had arrived when the user was scored.
		const testInOrder = watched.store.keepsOrder ? test : () => undefined;
		testInOrder("the first ten requests count, in one batch or several", async () => {
			const rollout = watched.newRollout();
			const [early, late] = [{ value: at(0.52) }, { value: at(-5) }] as const;
			await watched.recordInOrder([...requests(10, { rollout, unit: "ann", ...early }), ...requests(5, { rollout, unit: "ann", ...late })]);
			await watched.recordInOrder([...requests(4, { rollout, unit: "bob", ...early })]);
			await watched.recordInOrder([...requests(6, { rollout, unit: "bob", ...early }), ...requests(5, { rollout, unit: "bob", ...late })]);
			expect((await watched.reader(rollout, { scores })()).scored).toEqual([row(rollout, { units: 2 })]);
		});

		test.each<[what: string, arm: Arm, value: number, score: number]>([
			["the control's mean is 0", "control", at(0.001), 0],
			["slower is above", "control", at(0.52), 0.5],
			["faster is below, rounded toward 0 too", "control", at(-0.52), -0.5],
			["a little is nothing", "control", at(-0.04), 0],
			["the smallest step", "control", at(0.06), 0.05],
			["no more than 1", "control", at(4), 1],
			["no less than −1", "control", at(-4), -1],
			["no logarithm of nothing: as a thousandth", "control", 0, -1],
			["what is tolerated is taken off in the candidate", "candidate", at(0.001) * 1.2, 0],
			["and what is beyond it counts", "candidate", at(0.52) * 1.2, 0.5],
			["a candidate as good as the control is below", "candidate", at(0.001), -0.15],
		])("%s", async (_, arm, value, score) => {
			const rollout = watched.newRollout();
			await watched.record(requests(10, { rollout, arm, value }));
			const [found, ...others] = (await watched.reader(rollout, { scores })()).scored;
			expect(others).toEqual([]);
			expect(found).toEqual(row(rollout, { arm, score: expect.closeTo(score, 9) as number }));
		});

		test("what counts is the mean of the logarithms", async () => {
			const rollout = watched.newRollout();
			await watched.record([...requests(5, { rollout, value: at(0.12) }), ...requests(5, { rollout, value: at(0.52) })]);
			expect((await watched.reader(rollout, { scores })()).scored).toEqual([row(rollout, { score: expect.closeTo(0.3, 9) as number })]);
		});

		test("a user belongs where the first scored request was", async () => {
			const rollout = watched.newRollout();
			const read = watched.reader(rollout, { scores });
			await watched.record(requests(4, { rollout }));
			await read();
			await watched.record(requests(6, { rollout, stage: 2, served: 20_000, arm: "candidate" }));
			expect((await read()).scored).toEqual([row(rollout)]);
		});

		test("requests that are not scored do not count", async () => {
			const rollout = watched.newRollout();
			await watched.record([
				...requests(9, { rollout }),
				...requests(5, { rollout, scored: false }),
				...requests(10, { rollout, metric: "x", scored: false }),
			]);
			expect((await watched.reader(rollout, { scores })()).scored).toEqual([]);
		});

		test("each guard has its own scores of its own metric; users of one score are one row", async () => {
			const rollout = watched.newRollout();
			const other = { ...SCORE, signal: "latency_ms vs control <= +80%", center: SCORE.center - 1 };
			const third = { ...SCORE, signal: "ttfb_ms vs control", metric: "ttfb_ms" };
			await watched.record([
				...requests(10, { rollout, unit: "ann" }),
				...requests(10, { rollout, unit: "bob", value: at(0.53) }),
				...requests(10, { rollout, unit: "eve", arm: "candidate", value: at(-3) }),
				...requests(10, { rollout, unit: "eve", metric: "ttfb_ms", value: at(-3) }),
			]);
			expect(byText((await watched.reader(rollout, { scores: [SCORE, other, third] })()).scored)).toEqual(
				byText([
					row(rollout, { units: 2 }),
					row(rollout, { arm: "candidate", score: -1 }),
					row(rollout, { signal: other.signal, units: 2, score: 1 }),
					row(rollout, { signal: other.signal, arm: "candidate", score: -1 }),
					row(rollout, { signal: third.signal, score: -1 }),
				]),
			);
		});

		test("a window that was read says the same again, whatever arrives later", async () => {
			const rollout = watched.newRollout();
			const ask = async (after: string | null, upTo: string) =>
				byText(await watched.source.scored([aQuestion(rollout, { after, scores })], upTo));
			await watched.record([...requests(10, { rollout, unit: "ann" }), ...requests(5, { rollout, unit: "bob" })]);
			const first = await watched.look();
			watched.pass(70 * MINUTE_MS);
			const second = await watched.look();
			const ann = await ask(null, first);
			const bob = await ask(first, second);
			expect([ann, bob]).toEqual([byText([row(rollout)]), byText([row(rollout)])]);
			await watched.record([
				...requests(10, { rollout, unit: "ann", value: at(-3) }),
				...requests(10, { rollout, unit: "bob", value: at(-3) }),
				...requests(10, { rollout, unit: "eve", value: at(-3) }),
			]);
			const third = await watched.look();
			expect([await ask(null, first), await ask(first, second)]).toEqual([ann, bob]);
			expect(await ask(null, second)).toEqual(byText([row(rollout, { units: 2 })]));
			expect(await ask(second, third)).toEqual(byText([row(rollout, { score: -1 })]));
		});

		test("whatever the pace, each user is scored once, within an hour and two looks", SLOW, async () => {
			const users = ["ann", "bob", "eve", "joe"];
			const aStep = fc.record({
				minutes: fc.integer({ min: 0, max: 25 }),
				counts: fc.array(fc.nat({ max: 4 }), { minLength: 4, maxLength: 4 }),
			});
			await fc.assert(
				fc.asyncProperty(fc.array(aStep, { minLength: 1, maxLength: 8 }), async (steps) => {
					const rollout = watched.newRollout();
					const read = watched.reader(rollout, { scores });
					const seen = new Set<string>();
					let units = 0;
					const count = async (): Promise<void> => {
						for (const each of (await read()).scored) units += each.units;
					};
					for (const { minutes, counts } of steps) {
						const arriving = users.flatMap((unit, i) => requests(counts[i] ?? 0, { rollout, unit }));
						for (const { unit } of arriving) seen.add(unit);
						// oxlint-disable-next-line no-await-in-loop -- time passes
						await watched.record(arriving);
						watched.pass(minutes * MINUTE_MS);
						// oxlint-disable-next-line no-await-in-loop -- see above
						await count();
					}
					expect(units).toBeLessThanOrEqual(seen.size);
					watched.pass(60 * MINUTE_MS);
					await count();
					expect(units).toBe(seen.size);
				}),
				RUNS,
			);
		});
	});
}
