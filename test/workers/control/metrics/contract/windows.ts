import { describe, expect, test } from "vitest";
import { aHarm, aPoint } from "../points";
import { type Watched, aQuestion, byText } from "./store";

export function describeWindows(name: string, watched: Watched): void {
	const { source } = watched;

	describe(`${name}: windows`, () => {
		test("a total counts requests and sums values, by metric and arm", async () => {
			const rollout = watched.newRollout();
			await watched.record([
				aPoint({ rollout }),
				aHarm({ rollout }),
				aHarm({ rollout, arm: "candidate" }),
				aPoint({ rollout, metric: "satisfaction", value: 4.5 }),
				aPoint({ rollout, metric: "satisfaction", value: 8 }),
			]);
			expect(byText((await watched.reader(rollout)()).totals)).toEqual(
				byText([
					{ rollout, metric: "error", arm: "control", requests: 2, sum: 1 },
					{ rollout, metric: "error", arm: "candidate", requests: 1, sum: 1 },
					{ rollout, metric: "satisfaction", arm: "control", requests: 2, sum: 12.5 },
				]),
			);
		});

		test("a window without arrivals has no rows", async () => {
			const read = watched.reader(watched.newRollout());
			expect(await read()).toEqual({ totals: [], firstHarms: [], userSums: [], firstExposures: [], scored: [], quantiles: [] });
		});

		test("no questions have no answers", async () => {
			const upTo = await watched.look();
			const ask = ["totals", "firstHarms", "userSums", "firstExposures", "scored", "quantiles"] as const;
			expect(await Promise.all(ask.map((each) => source[each]([], upTo)))).toEqual(ask.map(() => []));
		});

		test("unattributed outcomes are counted in the totals and appear nowhere else", async () => {
			const rollout = watched.newRollout();
			const unattributed = { ...aPoint({ rollout, value: 1 }), arm: "unattributed", unit: "", flag: "", variant: "" } as const;
			await watched.record([unattributed, { ...unattributed, value: 0 }]);
			expect(await watched.reader(rollout)()).toEqual({
				totals: [{ rollout, metric: "error", arm: "unattributed", requests: 2, sum: 1 }],
				firstHarms: [],
				userSums: [],
				firstExposures: [],
				scored: [],
				quantiles: [],
			});
		});

		test("how many outcomes did not arrive is the sum of what says so, whatever their number", async () => {
			const rollout = watched.newRollout();
			const lost = { ...aPoint({ rollout, value: 500 }), arm: "unattributed", unit: "", flag: "", variant: "", metric: "lost" } as const;
			await watched.record([lost, { ...lost, value: 7 }]);
			expect((await watched.reader(rollout)()).totals).toEqual([{ rollout, metric: "lost", arm: "unattributed", requests: 2, sum: 507 }]);
		});

		test("what was read never grows: what arrives later is in the next window, all of it", async () => {
			const rollout = watched.newRollout();
			const ask = async (after: string | null, upTo: string) => {
				const questions = [aQuestion(rollout, { after })];
				return {
					totals: await source.totals(questions, upTo),
					firstHarms: await source.firstHarms(questions, upTo),
					firstExposures: await source.firstExposures(questions, upTo),
				};
			};
			await watched.record([aHarm({ rollout, unit: "ann" })]);
			const first = await watched.look();
			const before = await ask(null, first);
			await watched.record([aHarm({ rollout, unit: "ann" }), aHarm({ rollout, unit: "bob" })]);
			expect(await ask(null, first)).toEqual(before);
			const second = await watched.look();
			expect(await ask(null, first)).toEqual(before);
			expect(await ask(first, second)).toEqual({
				totals: [{ rollout, metric: "error", arm: "control", requests: 2, sum: 2 }],
				firstHarms: [{ rollout, signal: "error", arm: "control", served: 5_000, lastControlServed: null, units: 1 }],
				firstExposures: [{ rollout, arm: "control", served: 5_000, units: 1 }],
			});
			expect(await ask(second, await watched.look())).toEqual({ totals: [], firstHarms: [], firstExposures: [] });
		});

		test("two readers at once, amid arrivals, each lose and repeat nothing", async () => {
			const rollout = watched.newRollout();
			const readers = [watched.reader(rollout), watched.reader(rollout)] as const;
			const nothing = () => ({ requests: 0, harmed: 0, exposed: 0 });
			const seen = [nothing(), nothing()] as const;
			const read = async (i: 0 | 1, upTo: string): Promise<void> => {
				const { totals, firstHarms, firstExposures } = await readers[i]({ upTo });
				for (const each of totals) seen[i].requests += each.requests;
				for (const each of firstHarms) seen[i].harmed += each.units;
				for (const each of firstExposures) seen[i].exposed += each.units;
			};
			for (let round = 0; round < 12; round++) {
				watched.pass(30_000);
				const arriving = [0, 1, 2].map((i) =>
					watched.record([
						aHarm({ rollout, unit: `u${round}.${i}` }),
						aPoint({ rollout, unit: `u${round}.${i}` }),
						aPoint({ rollout, unit: "always" }),
					]),
				);
				const readNow = async (i: 0 | 1) => read(i, await source.watermark(watched.nowMs));
				// oxlint-disable-next-line no-await-in-loop -- rounds of arrivals and reads that overlap
				await Promise.all([...arriving, readNow(0), ...(round % 3 === 0 ? [] : [readNow(1)])]);
			}
			await read(0, await watched.look());
			await read(1, await watched.look());
			const everything = { requests: 12 * 9, harmed: 36, exposed: 37 };
			expect(seen).toEqual([everything, everything]);
		});

		test("several rollouts asked at once do not mix, each from its own watermark and stage", async () => {
			const [one, two, three] = [watched.newRollout(), watched.newRollout(), watched.newRollout()] as const;
			await watched.record([aHarm({ rollout: one }), aHarm({ rollout: two }), aPoint({ rollout: three })]);
			const between = await watched.look();
			await watched.record([
				aHarm({ rollout: one, unit: "bob", stage: 2, served: 20_000, arm: "candidate" }),
				aPoint({ rollout: two, unit: "eve" }),
			]);
			const upTo = await watched.look();
			const questions = [aQuestion(one, { after: between, stage: 2 }), aQuestion(two)];
			expect(byText(await source.totals(questions, upTo))).toEqual(
				byText([
					{ rollout: one, metric: "error", arm: "candidate", requests: 1, sum: 1 },
					{ rollout: two, metric: "error", arm: "control", requests: 2, sum: 1 },
				]),
			);
			expect(byText(await source.firstHarms(questions, upTo))).toEqual(
				byText([
					{ rollout: one, signal: "error", arm: "candidate", served: 20_000, lastControlServed: null, units: 1 },
					{ rollout: two, signal: "error", arm: "control", served: 5_000, lastControlServed: null, units: 1 },
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
			const quantiles = await source.quantiles(questions, upTo);
			expect(byText(quantiles.map(({ rollout, arm }) => [rollout, arm]))).toEqual(
				byText([
					[one, "candidate"],
					[two, "control"],
				]),
			);
		});
	});
}
