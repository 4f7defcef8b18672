import { describe, expect, test } from "vitest";
import { MINUTE_MS, type Watched, byText } from "./store";

export function describeSystem(name: string, watched: Watched): void {
	let environments = 0;
	const of = (value: number, metric = "cpu_percent", origin = "eu") => ({ origin, metric, value });

	describe(`${name}: origins`, () => {
		test("are told apart, each metric with its mean, maximum and last value", async () => {
			const environment = `system${++environments}`;
			watched.passMinute();
			const fromMs = watched.nowMs;
			await watched.recordSystem([of(20), of(9, "connections"), of(5, "cpu_percent", "us")], environment);
			watched.pass(10_000);
			await watched.recordSystem([of(80), of(4, "connections")], environment);
			watched.pass(10_000);
			await watched.recordSystem([of(2, "connections")], environment);
			const withinMs = watched.nowMs;
			watched.pass(2 * MINUTE_MS);
			await watched.recordSystem([of(50)], environment);
			const lastAtMs = watched.nowMs;
			await watched.recordSystem([of(99)], `system${++environments}`);
			await watched.look();
			expect(byText(await watched.source.system(environment, fromMs))).toEqual(
				byText([
					{ origin: "eu", metric: "cpu_percent", samples: 3, mean: 50, max: 80, last: 50, lastAtMs },
					{ origin: "eu", metric: "connections", samples: 3, mean: 5, max: 9, last: 2, lastAtMs: withinMs },
					{ origin: "us", metric: "cpu_percent", samples: 1, mean: 5, max: 5, last: 5, lastAtMs: fromMs },
				]),
			);
		});

		test("say nothing of before", async () => {
			const environment = `system${++environments}`;
			await watched.recordSystem([of(90), of(3, "connections")], environment);
			watched.passMinute();
			const fromMs = watched.nowMs;
			await watched.recordSystem([of(10)], environment);
			await watched.look();
			expect(await watched.source.system(environment, fromMs)).toEqual([
				{ origin: "eu", metric: "cpu_percent", samples: 1, mean: 10, max: 10, last: 10, lastAtMs: fromMs },
			]);
			watched.passMinute();
			expect(await watched.source.system(environment, watched.nowMs)).toEqual([]);
		});
	});
}
