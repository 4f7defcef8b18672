import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { COLUMNS, type Point, SLOTS_MAX, type SystemPoint } from "../../../core/telemetry";
import { POINTS_MAX, analyticsEngine } from "../../../worker/telemetry/analyticsEngine";
import { TooManyPoints } from "../../../worker/telemetry/tooManyPoints";
import { unitOf } from "../../../worker/unit";

const FROM = { colo: "TXL", route: "shop", source: "events" };

/** A dataset that remembers what it was handed. */
function aDataset(pointsMax?: number) {
	const points: AnalyticsEngineDataPoint[] = [];
	const store = analyticsEngine({ writeDataPoint: (point) => void points.push(point ?? {}) }, FROM, pointsMax);
	return { points, store };
}

const aPoint = (change: Partial<Point> = {}): Point => ({
	id: "e1",
	rollout: "checkout.1",
	stage: 2,
	served: 5_000,
	arm: "candidate",
	flag: "checkout",
	variant: "new",
	metric: "latency_ms",
	unit: "IgkQTKDzZQ7VGAWhrqWPrA",
	value: 812.5,
	harms: [],
	scored: false,
	first: true,
	...change,
});

const bytesOf = (texts: readonly unknown[]): number => new TextEncoder().encode((texts as readonly string[]).join("")).length;

/** A point by the names of its columns. */
function read({ indexes = [], blobs = [], doubles = [] }: AnalyticsEngineDataPoint = {}): Record<string, unknown> {
	return Object.fromEntries([
		...indexes.map((value, i) => [`index${i + 1}`, value]),
		...blobs.map((value, i) => [`blob${i + 1}`, value]),
		...doubles.map((value, i) => [`double${i + 1}`, value]),
	]) as Record<string, unknown>;
}

describe("an outcome", () => {
	test("is one point, each field in its column", async () => {
		const { points, store } = aDataset();
		await store.record("production", [aPoint({ scored: true })]);
		expect(points).toEqual([
			{
				indexes: ["production/checkout.1"],
				blobs: [
					"1",
					"outcome",
					"production",
					"checkout",
					"new",
					"checkout.1",
					"2",
					"latency_ms",
					"",
					"IgkQTKDzZQ7VGAWhrqWPrA",
					"candidate",
					"TXL",
					"shop",
					"events",
				],
				doubles: [812.5, 5_000, 1, 1],
			},
		]);
	});

	test("has a point more for each signal that takes it for harm, in an index that both arms share", async () => {
		const { points, store } = aDataset();
		const harms = [
			{ signal: "latency_ms>500", slot: 0 },
			{ signal: "latency_ms p95 +20%", slot: 3 },
		];
		await store.record("production", [aPoint({ harms }), aPoint({ arm: "control", harms: harms.slice(0, 1) })]);
		const rows = points.map(read);
		expect(rows.map((row) => [row[COLUMNS.index], row[COLUMNS.kind], row[COLUMNS.arm], row[COLUMNS.signal]])).toEqual([
			["production/checkout.1", "outcome", "candidate", ""],
			["production/checkout.1/harm", "harm", "candidate", "latency_ms>500"],
			["production/checkout.1/harm", "harm", "candidate", "latency_ms p95 +20%"],
			["production/checkout.1", "outcome", "control", ""],
			["production/checkout.1/harm", "harm", "control", "latency_ms>500"],
		]);
		expect(rows.map((row) => ["double5", "double6", "double7", "double8"].map((column) => row[column] ?? 0))).toEqual([
			[1, 0, 0, 1],
			[0, 0, 0, 0],
			[0, 0, 0, 0],
			[1, 0, 0, 0],
			[0, 0, 0, 0],
		]);
		expect(rows.map((row) => [row[COLUMNS.first] ?? 0, row[COLUMNS.scored] ?? 0])).toEqual([
			[1, 0],
			[0, 0],
			[0, 0],
			[1, 0],
			[0, 0],
		]);
	});

	test("of a ring bears its number, and so does its harm", async () => {
		const { points, store } = aDataset();
		await store.record("production", [aPoint({ ring: 2, harms: [{ signal: "error", slot: 0 }] }), aPoint()]);
		expect(points.map((point) => read(point)[COLUMNS.ring])).toEqual(["2", "2", undefined]);
	});

	test("outside a rollout is under its flag", async () => {
		const { points, store } = aDataset();
		await store.record("production", [aPoint({ arm: "outside", rollout: "", stage: 0, served: 0 })]);
		expect(points.map(({ indexes }) => indexes)).toEqual([["production/checkout"]]);
	});

	test.each(["unattributed", "outside"] as const)("that is %s is never harm", async (arm) => {
		const { points, store } = aDataset();
		await store.record("production", [aPoint({ arm, harms: [{ signal: "error", slot: 0 }] })]);
		expect(points.map((point) => read(point)[COLUMNS.kind])).toEqual(["outcome"]);
	});
});

test("an origin's measurements are under the environment's system index", async () => {
	const { points, store } = aDataset();
	await store.recordSystem("production", [{ origin: "eu", metric: "cpu_percent", value: 71.5 }]);
	expect(points).toHaveLength(1);
	expect(read(points[0])).toMatchObject({
		[COLUMNS.index]: "production/system",
		[COLUMNS.kind]: "system",
		[COLUMNS.unit]: "eu",
		[COLUMNS.metric]: "cpu_percent",
		[COLUMNS.value]: 71.5,
	});
});

describe("a batch of more points than an invocation may write", () => {
	const harms = [{ signal: "error", slot: 0 }];
	const points = (count: number, change: Partial<Point> = {}): Point[] => Array.from({ length: count }, () => aPoint(change));

	test("is written up to the limit", async () => {
		const dataset = aDataset();
		await dataset.store.record("production", points(POINTS_MAX));
		expect(dataset.points).toHaveLength(250);
	});

	test.each([
		["outcomes", points(251), 251],
		["outcomes and their harm", points(126, { harms }), 252],
	])("is refused whole: %s", async (_, batch, count) => {
		const dataset = aDataset();
		const error: unknown = await dataset.store.record("production", batch).catch((e: unknown) => e);
		expect(error).toBeInstanceOf(TooManyPoints);
		expect(error).toMatchObject({ points: count, limit: 250 });
		expect(dataset.points).toEqual([]);
	});

	test("counts what the invocation has written before, and what is refused not at all", async () => {
		const dataset = aDataset(10);
		const system: SystemPoint[] = Array.from({ length: 4 }, () => ({ origin: "eu", metric: "cpu_percent", value: 1 }));
		await dataset.store.recordSystem("production", system);
		await expect(dataset.store.record("production", points(7))).rejects.toThrow("11 points > limit 10");
		await dataset.store.record("production", points(6));
		await expect(dataset.store.recordSystem("production", system)).rejects.toThrow(TooManyPoints);
		expect(dataset.points).toHaveLength(10);
	});
});

describe("what Analytics Engine would refuse", () => {
	test.each<[what: string, change: Partial<Point>, message: string]>([
		["an index too long", { rollout: "ä".repeat(50) }, "an index of 111 bytes > limit 96"],
		["a harm's index too long", { rollout: "a".repeat(81), harms: [{ signal: "error", slot: 0 }] }, "an index of 97 bytes > limit 96"],
		["texts too long", { variant: "ä".repeat(8_000) }, "bytes > limit 16000"],
		["more numbers than there are columns", { harms: [{ signal: "error", slot: SLOTS_MAX }] }, "a point of 21 numbers > limit 20"],
	])("%s: the whole batch is refused before anything is written", async (_, change, message) => {
		const { points, store } = aDataset();
		await expect(store.record("production", [aPoint(), aPoint(change)])).rejects.toThrow(message);
		expect(points).toEqual([]);
	});

	test("is never handed over, whatever the names are; what is accepted arrives unchanged", async () => {
		const names = fc.oneof(fc.string({ unit: "binary", maxLength: 40 }), fc.constantFrom("'); DROP TABLE x; --", "a\0b", "\\'", "🌊"));
		const slots = fc.uniqueArray(fc.nat(SLOTS_MAX - 1), { maxLength: SLOTS_MAX });
		await fc.assert(
			fc.asyncProperty(names, names, names, names, slots, fc.boolean(), async (rollout, flag, variant, signal, used, isInside) => {
				const { points, store } = aDataset();
				const harms = used.map((slot) => ({ signal, slot }));
				const point = aPoint({ flag, variant, harms, ...(isInside ? { rollout } : { arm: "outside", rollout: "" }) });
				await store.record("production", [point]).catch(() => undefined);
				for (const { indexes = [], blobs = [], doubles = [] } of points) {
					expect(indexes).toHaveLength(1);
					expect(bytesOf(indexes)).toBeLessThanOrEqual(96);
					expect(blobs.length).toBeLessThanOrEqual(20);
					expect(doubles.length).toBeLessThanOrEqual(20);
					expect(doubles.every((each) => Number.isFinite(each))).toBe(true);
					expect(bytesOf(blobs)).toBeLessThanOrEqual(16_000);
					expect(read({ blobs })).toMatchObject({ [COLUMNS.flag]: flag, [COLUMNS.variant]: variant });
				}
			}),
		);
	});
});

test("a user leaves the edge as a hash alone, and their event's id not at all", async () => {
	const { points, store } = aDataset();
	const unit = await unitOf("ann@example.com", "test-hash-key");
	await store.record("production", [aPoint({ id: "event-of-ann", unit, harms: [{ signal: "error", slot: 0 }] })]);
	expect(points.map((point) => read(point)[COLUMNS.unit])).toEqual([unit, unit]);
	expect(JSON.stringify(points)).not.toMatch(/ann/);
});
