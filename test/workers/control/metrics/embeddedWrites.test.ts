import { env } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import { recordPoints } from "../../../../control/metrics/embedded";
import { recordSystem } from "../../../../control/metrics/embeddedSystem";
import { binOf } from "../../../../core/statistics/sketch";
import type { Point } from "../../../../core/telemetry";
import { aQuestion } from "./contract/store";
import { NOTHING, NOW_MS, record, requestsOf, rowsOf, source } from "./fixtures";
import { aHarm, aPoint } from "./points";

const unattributed = (change: Partial<Point>): Point => ({ ...aPoint(), flag: "", variant: "", ...change, arm: "unattributed" });

async function evidenceOf(rollout: string) {
	const upTo = await source.watermark(NOW_MS);
	const questions = [aQuestion(rollout, { scores: [{ signal: "error", metric: "error", center: 0, spread: 1, shift: 0 }] })];
	const ask = ["firstHarms", "userSums", "firstExposures", "scored", "quantiles"] as const;
	return Promise.all(ask.map((each) => source[each](questions, upTo)));
}

describe("a batch that fails", () => {
	test.each(["unit", "rollout", "metric", "arm", "stage", "served", "flag", "variant"] as const)(
		"for a NULL as %s stores nothing of it",
		async (field) => {
			const rollout = `whole_${field}.1`;
			const good = aHarm({ id: `${rollout}/good`, rollout, scored: true });
			await expect(record([good, { ...aHarm({ rollout, scored: true }), [field]: null }])).rejects.toThrow("NOT NULL");
			expect(await rowsOf(rollout)).toEqual(NOTHING);
			// Nor is its id known: the same batch, repaired, is taken in whole.
			await record([good]);
			expect(await requestsOf(rollout)).toBe(1);
		},
	);

	test.each([NaN, Infinity, null as never])("for %s as value stores nothing of it", async (value) => {
		const rollout = `whole_${value}.1`;
		await expect(record([aHarm({ rollout }), aHarm({ rollout, value })])).rejects.toThrow("is no value");
		expect(await rowsOf(rollout)).toEqual(NOTHING);
	});

	test("of measurements of origins stores nothing of it", async () => {
		const good = { origin: "whole", metric: "cpu_percent", value: 5 };
		await expect(recordSystem(env.DB, "production", [good, { ...good, value: NaN }], NOW_MS)).rejects.toThrow("is no value");
		await expect(recordSystem(env.DB, "production", [good, { ...good, metric: null as never }], NOW_MS)).rejects.toThrow("NOT NULL");
		expect(await source.system("production", NOW_MS)).toEqual([]);
	});

	test("an empty batch is stored at once", async () => {
		await expect(record([])).resolves.toBeUndefined();
		await expect(recordSystem(env.DB, "production", [], NOW_MS)).resolves.toBeUndefined();
	});
});

describe("points that no arm can claim", () => {
	test("have a row in the totals only", async () => {
		const rollout = "unattributed.1";
		await record([unattributed({ rollout, value: 1 }), unattributed({ rollout, unit: "bob" })]);
		expect(await rowsOf(rollout)).toEqual({ ...NOTHING, totals: 1 });
	});

	test("do not become evidence beside points of the same user, nor take their place as the first", async () => {
		const [mixed, pure] = ["unattributed.2", "unattributed.3"];
		const points = (rollout: string) => [
			aPoint({ rollout, scored: true }),
			aHarm({ rollout }),
			aPoint({ rollout, unit: "bob", arm: "candidate" }),
		];
		const between = (rollout: string) =>
			unattributed({ rollout, value: 1, served: 1_000, scored: true, harms: [{ signal: "error", slot: 0 }] });
		await record([between(mixed), ...points(mixed).flatMap((point) => [point, between(mixed)])]);
		await record(points(pure));
		const text = async (rollout: string) => JSON.stringify(await evidenceOf(rollout)).replaceAll(rollout, "");
		expect(await text(mixed)).toBe(await text(pure));
		expect(await source.totals([aQuestion(mixed)], await source.watermark(NOW_MS))).toContainEqual({
			rollout: mixed,
			metric: "error",
			arm: "unattributed",
			requests: 4,
			sum: 4,
		});
	});

	test("with a repeated id count once", async () => {
		const rollout = "unattributed.4";
		const point = unattributed({ id: "unattributed/1", rollout });
		await record([point, point]);
		await record([point]);
		expect(await requestsOf(rollout)).toBe(1);
	});
});

test("half a character or a NUL ends no text: what follows still tells ids and units apart", async () => {
	const rollout = "characters.1";
	const of = (text: string) => aPoint({ id: `${rollout}/${text}`, rollout, unit: text });
	await record([of("a\ud800b"), of("a\ud800c"), of("a\0b"), of("a\0c"), of("a")]);
	await record([of("a\ud800b"), of("a\0c"), of("a")]);
	const sums = await source.userSums([aQuestion(rollout)], await source.watermark(NOW_MS));
	expect([await requestsOf(rollout), sums[0]?.users.users]).toEqual([5, 5]);
});

describe("an event outside rollouts", () => {
	const outside = (change: Partial<Point>): Point => ({ ...aPoint(), rollout: "", stage: 0, served: 0, arm: "outside", ...change });

	test("with a repeated id counts once for each of its flags, and once for the environment", async () => {
		const flags = ["one", "two"].map((flag, i) => outside({ id: "outside/1", flag, first: i === 0 }));
		await record([...flags, ...flags], "outside");
		await record(flags, "outside");
		const found = await source.performance("outside", NOW_MS, NOW_MS + 60_000);
		expect(Object.fromEntries(found.map(({ flag, requests }) => [flag, requests]))).toEqual({ "": 1, one: 1, two: 1 });
	});

	test("leaves no rows of a rollout", async () => {
		await record([outside({ scored: true, harms: [{ signal: "error", slot: 0 }] })]);
		expect(await rowsOf("")).toEqual(NOTHING);
	});
});

describe("more points than a statement takes", () => {
	/** D1 as it is deployed: a parameter holds 2 MB at most. */
	const limited = new Proxy(env.DB, {
		get: (target, property) =>
			property === "prepare"
				? (sql: string) => ({
						bind: (...values: unknown[]) => {
							const bytes = Math.max(...values.map((value) => new TextEncoder().encode(String(value)).length));
							if (bytes > 2_000_000) throw new Error(`a parameter of ${bytes} bytes`);
							return target.prepare(sql).bind(...values);
						},
					})
				: (Reflect.get(target, property).bind(target) as unknown),
	});
	/** With ids as long as they may be, of characters that take three bytes: all of them would be more than a parameter holds. */
	const many = (rollout: string, count: number): Point[] =>
		Array.from({ length: count }, (_, i) => {
			const of = i % 4_000 === 7 ? aHarm : aPoint;
			return of({ id: `${rollout}/${i}/`.padEnd(100, "…"), rollout, unit: `u${i % 4_000}`, scored: true });
		});

	test("are stored whole, a user's points in different parts as one user's", { timeout: 30_000 }, async () => {
		const rollout = "many.1";
		await recordPoints(limited, "production", many(rollout, 16_000), NOW_MS);
		expect(await requestsOf(rollout)).toBe(16_000);
		const [firstHarms, userSums, firstExposures, , quantiles] = await evidenceOf(rollout);
		expect(userSums).toMatchObject([
			{
				users: { users: 4_000, harmedUsers: 1, requests: 16_000, harms: 4, harmsTimesRequests: 16, requestsSquared: 64_000 },
				harmedFirst: 1,
			},
		]);
		expect(firstHarms).toMatchObject([{ units: 1 }]);
		expect(firstExposures).toMatchObject([{ units: 4_000 }]);
		expect(quantiles).toMatchObject([{ p50: 0, p99: 0 }]);
		const sketch = await env.DB.prepare("SELECT bins FROM telemetry_arms WHERE rollout = ?1").bind(rollout).first<string>("bins");
		expect(JSON.parse(sketch ?? "")).toEqual({ [binOf(0)]: 15_996, [binOf(1)]: 4 });
	});

	test("have each id once, whichever parts its repetitions are in", { timeout: 30_000 }, async () => {
		const rollout = "many.2";
		const points = many(rollout, 6_000);
		await record([...points, ...points]);
		expect(await requestsOf(rollout)).toBe(6_000);
		await record([...points.slice(3_000), ...many(rollout, 6_001).slice(-1)]);
		expect(await requestsOf(rollout)).toBe(6_001);
	});

	test("are stored not at all when the last part fails", { timeout: 30_000 }, async () => {
		const rollout = "many.3";
		await expect(record([...many(rollout, 6_000), { ...aPoint({ rollout }), unit: null as never }])).rejects.toThrow("NOT NULL");
		expect(await rowsOf(rollout)).toEqual(NOTHING);
	});
});
