import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { QUANTILES } from "../../../../../core/health/observation";
import { aPoint } from "../points";
import { RUNS, SLOW, type Watched, byText } from "./store";

const WITHIN = 0.01;

/** By nearest rank. */
export function exactQuantile(values: readonly number[], quantile: number): number {
	const ordered = [...values].sort((a, b) => a - b);
	return ordered[Math.max(1, Math.ceil(quantile * ordered.length)) - 1] ?? 0;
}

export function expectWithin(found: number | undefined, wanted: number): void {
	expect(Math.abs((found ?? NaN) - wanted), `${found} for ${wanted}`).toBeLessThanOrEqual(WITHIN * Math.abs(wanted));
}

export function describeQuantiles(name: string, watched: Watched): void {
	describe(`${name}: quantiles`, () => {
		test("are within 1 % of the exact ones, however the points are batched", SLOW, async () => {
			const aValue = fc.oneof(fc.integer({ min: 1, max: 60_000 }), fc.double({ min: 1e-2, max: 1e5, noNaN: true }), fc.constant(0));
			const batches = fc.array(fc.array(aValue, { minLength: 1, maxLength: 40 }), { minLength: 1, maxLength: 4 });
			await fc.assert(
				fc.asyncProperty(batches, async (windows) => {
					const rollout = watched.newRollout();
					for (const values of windows) {
						// oxlint-disable-next-line no-await-in-loop -- one batch after the other
						await watched.record(values.map((value, i) => aPoint({ rollout, unit: `u${i}`, metric: "latency_ms", value })));
					}
					const [found, ...others] = (await watched.reader(rollout)()).quantiles;
					expect([found?.metric, found?.arm, others]).toEqual(["latency_ms", "control", []]);
					for (const quantile of QUANTILES)
						expectWithin(found?.[`p${Math.round(quantile * 100)}` as "p50"], exactQuantile(windows.flat(), quantile));
				}),
				RUNS,
			);
		});

		test("are by metric and arm, of the stage that is asked for", async () => {
			const rollout = watched.newRollout();
			const read = watched.reader(rollout);
			const of = (change: Parameters<typeof aPoint>[0]) => aPoint({ rollout, metric: "latency_ms", ...change });
			await watched.record([
				of({ value: 100 }),
				of({ arm: "candidate", unit: "bob", value: 200 }),
				of({ metric: "satisfaction", value: 9 }),
				of({ metric: "latency_ms@checkout", flag: "", variant: "", first: false, value: 300 }),
				of({ stage: 2, value: 700 }),
			]);
			const medians = async (stage: number) =>
				byText((await read({ stage })).quantiles.map(({ metric, arm, p50 }) => [metric, arm, Number(p50.toPrecision(1))]));
			expect(await medians(1)).toEqual(
				byText([
					["latency_ms", "control", 100],
					["latency_ms", "candidate", 200],
					["satisfaction", "control", 9],
					["latency_ms@checkout", "control", 300],
				]),
			);
			expect(await medians(2)).toEqual(byText([["latency_ms", "control", 700]]));
		});
	});
}
