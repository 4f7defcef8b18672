import { describe, expect, test } from "vitest";
import type { Performance } from "../../../../../control/metrics/source";
import type { Point } from "../../../../../core/telemetry";
import { aPoint } from "../points";
import { exactQuantile, expectWithin } from "./quantiles";
import { MINUTE_MS, type Watched, byText } from "./store";

export function describePerformance(name: string, watched: Watched): void {
	let environments = 0;
	/** Nobody else's, and a minute that begins. */
	function fresh() {
		const environment = `performance${++environments}`;
		watched.passMinute();
		const fromMs = watched.nowMs;
		const record = async (points: readonly Point[]) => watched.record(points, environment);
		const read = async (from = fromMs, to = fromMs + 60 * MINUTE_MS) => {
			await watched.look();
			return watched.source.performance(environment, from, to);
		};
		return { environment, fromMs, record, read };
	}
	const outside = (change: Partial<Point>): Point => ({ ...aPoint(), rollout: "", stage: 0, served: 0, arm: "outside", ...change });
	const counts = (rows: readonly Performance[]) =>
		byText(rows.map(({ flag, variant, metric, requests, sum }) => ({ flag, variant, metric, requests, sum })));

	const byFlag = (rows: readonly Performance[]) => Object.fromEntries(rows.map(({ flag, requests }) => [flag, requests]));

	describe(`${name}: performance`, () => {
		test("is by flag, variant and metric; the environment as a whole counts an event once, whatever it is evidence for", async () => {
			const { record, read } = fresh();
			const value = 1;
			await record([
				aPoint({ value, rollout: watched.newRollout(), flag: "checkout", variant: "false" }),
				outside({ value, flag: "search", variant: "new", first: false }),
				outside({ value, flag: "cart", variant: "old", first: false }),
				outside({ flag: "search", variant: "new" }),
				outside({ flag: "search", variant: "old" }),
				{ ...aPoint({ rollout: watched.newRollout(), unit: "", flag: "", variant: "" }), arm: "unattributed" },
				aPoint({ rollout: watched.newRollout(), metric: "latency_ms", value: 80 }),
			]);
			expect(counts(await read())).toEqual(
				counts([
					row("", "", "error", 4, 1),
					row("", "", "latency_ms", 1, 80),
					row("checkout", "false", "error", 1, 1),
					row("checkout", "false", "latency_ms", 1, 80),
					row("search", "new", "error", 2, 1),
					row("search", "old", "error", 1, 0),
					row("cart", "old", "error", 1, 1),
				]),
			);
		});

		test("what is read for the guards of one flag alone counts nothing twice", async () => {
			const { record, read } = fresh();
			const point = aPoint({ rollout: watched.newRollout(), metric: "latency_ms", value: 80 });
			await record([point, { ...point, metric: "latency_ms@checkout", flag: "", variant: "", first: false }]);
			expect(counts(await read())).toEqual(counts([row("", "", "latency_ms", 1, 80), row("checkout", "false", "latency_ms", 1, 80)]));
		});

		test("a window holds what arrived from its start to before its end, in its environment", async () => {
			const { record, read, fromMs } = fresh();
			await record([outside({})]);
			watched.pass(MINUTE_MS);
			await record([outside({}), outside({})]);
			watched.pass(MINUTE_MS);
			await record([outside({}), outside({}), outside({})]);
			await fresh().record([outside({})]);
			const requests = async (from: number, to: number) => byFlag(await read(fromMs + from * MINUTE_MS, fromMs + to * MINUTE_MS));
			const of = (count: number) => ({ "": count, checkout: count });
			expect(await requests(0, 1)).toEqual(of(1));
			expect(await requests(1, 2)).toEqual(of(2));
			expect(await requests(0, 3)).toEqual(of(6));
			expect(await requests(3, 60)).toEqual({});
		});

		test("its quantiles are within 1 % of the exact ones, also over several minutes", async () => {
			const { record, read } = fresh();
			const values = Array.from({ length: 300 }, (_, i) => 20 + ((i * 7_919) % 1_000));
			for (let i = 0; i < 3; i++) {
				// oxlint-disable-next-line no-await-in-loop -- a minute after the other
				await record(values.slice(i * 100, i * 100 + 100).map((value) => outside({ metric: "latency_ms", value })));
				watched.pass(MINUTE_MS);
			}
			const found = await read();
			expect(byFlag(found)).toEqual({ "": 300, checkout: 300 });
			for (const { p50, p95, p99 } of found)
				for (const [quantile, own] of [[0.5, p50] as const, [0.95, p95] as const, [0.99, p99] as const])
					expectWithin(own, exactQuantile(values, quantile));
		});

		test("outcomes outside a rollout are no evidence of any", async () => {
			const rollout = watched.newRollout();
			await fresh().record([outside({ harms: [], unit: "ann" })]);
			expect((await watched.reader(rollout)()).totals).toEqual([]);
			expect((await watched.reader("")()).totals).toEqual([]);
		});
	});
}

function row(flag: string, variant: string, metric: string, requests: number, sum: number): Performance {
	return { flag, variant, metric, requests, sum, p50: 0, p95: 0, p99: 0 };
}
