import { afterAll, describe, expect, test } from "vitest";
import { aHarm, type AttributedPoint } from "../workers/control/metrics/points";
import { MINUTE_MS, Watched, aQuestion } from "../workers/control/metrics/contract/store";
import { status } from "./server";
import { openStore } from "./store";

const store = await openStore();
afterAll(() => store.close());
const watched = new Watched(store);

/** How many were counted between two watermarks. */
async function counted(rollout: string, after: string | null, upTo: string): Promise<number> {
	const rows = await store.source.firstHarms([aQuestion(rollout, { after })], upTo);
	return rows.reduce((sum, { units }) => sum + units, 0);
}

const harmed = (rollout: string, from: number, count: number): AttributedPoint[] =>
	Array.from({ length: count }, (_, i) => aHarm({ rollout, unit: `u${from + i}` }));

/** Points that can be read only now, though they happened before. */
async function recordLate(points: readonly AttributedPoint[], byMs: number): Promise<void> {
	await store.record(points, { environment: "production", atMs: watched.nowMs - byMs });
}

const cursor = () => store.db.prepare("SELECT fresh, settled FROM telemetry_ingest").first<{ fresh: number; settled: number }>();

describe("harm that comes late", () => {
	test.each([
		["a little after it could have been read", 3 * MINUTE_MS],
		["when it is nearly settled", 9 * MINUTE_MS],
	])("is counted, once: %s", async (_, byMs) => {
		const rollout = watched.newRollout();
		watched.pass(30 * MINUTE_MS);
		await watched.record(harmed(rollout, 0, 2));
		const first = await watched.look();
		expect(await counted(rollout, null, first)).toBe(2);
		await recordLate(harmed(rollout, 1, 3), byMs);
		watched.pass(12 * MINUTE_MS);
		const second = await watched.look();
		expect(await counted(rollout, first, second)).toBe(2);
		watched.pass(30 * MINUTE_MS);
		expect(await counted(rollout, second, await watched.look())).toBe(0);
		expect(await counted(rollout, null, first)).toBe(2);
	});
});

describe("a reader that fails", () => {
	test.each([
		["while it reads", async () => store.api.fail(status(500))],
		["at its second reading", async () => store.api.fail((response, answer) => void response.end(answer), status(500))],
	])("%s has moved nothing: the next reads it all", async (_, fail) => {
		const rollout = watched.newRollout();
		watched.pass(30 * MINUTE_MS);
		await watched.look();
		const before = await cursor();
		await watched.record(harmed(rollout, 0, 3));
		await fail();
		await expect(watched.look()).rejects.toThrow("Analytics Engine: answered 500");
		expect(await cursor()).toEqual(before);
		expect(await counted(rollout, null, await watched.look())).toBe(3);
	});

	test("before its epoch was closed has lost nothing: the next counts what it copied", async () => {
		const rollout = watched.newRollout();
		await watched.record(harmed(rollout, 0, 3));
		let batches = 0;
		const dying = {
			prepare: (sql: string) => store.db.prepare(sql),
			async batch(statements: D1PreparedStatement[]) {
				if (batches++ > 0) throw new Error("the process died");
				return store.db.batch(statements);
			},
		};
		watched.pass(store.delayMs);
		await expect(store.sourceOf({ db: dying as unknown as D1Database }).watermark(watched.nowMs)).rejects.toThrow("died");
		expect(await counted(rollout, null, await watched.look())).toBe(3);
	});
});

test("two readers at once count each user once", async () => {
	const rollout = watched.newRollout();
	await watched.record(harmed(rollout, 0, 40));
	watched.pass(store.delayMs);
	const marks = await Promise.all([1, 2, 3].map(() => store.source.watermark(watched.nowMs)));
	const last = await watched.look();
	expect(await counted(rollout, null, last)).toBe(40);
	for (const mark of marks)
		// oxlint-disable-next-line no-await-in-loop -- one reader after the other
		expect((await counted(rollout, null, mark)) + (await counted(rollout, mark, last))).toBe(40);
});

test("a clock that goes back moves no cursor back", async () => {
	await watched.look();
	const before = await cursor();
	await store.source.watermark(watched.nowMs - 60 * MINUTE_MS);
	expect(await cursor()).toEqual(before);
});

describe("more harm than is read at once", () => {
	const few = store.sourceOf({ harmsMax: 10 });

	test("is read by the next readers, all of it, in the order of arrival", async () => {
		const rollout = watched.newRollout();
		watched.pass(30 * MINUTE_MS);
		let after = await watched.look();
		for (let i = 0; i < 12; i++) {
			// oxlint-disable-next-line no-await-in-loop -- three a second
			await watched.record(harmed(rollout, 3 * i, 3));
			watched.pass(1_000);
		}
		watched.pass(store.delayMs);
		const counts: number[] = [];
		for (let i = 0; i < 8; i++) {
			// oxlint-disable-next-line no-await-in-loop -- one reader after the other
			const upTo = await few.watermark(watched.nowMs);
			// oxlint-disable-next-line no-await-in-loop -- see above
			counts.push(await counted(rollout, after, upTo));
			after = upTo;
		}
		// Three whole seconds and one of the fourth, which is read again.
		expect(counts.slice(0, 4)).toEqual([10, 9, 9, 8]);
		expect(counts.reduce((sum, each) => sum + each, 0)).toBe(36);
	});

	test("in one second holds up nothing that comes after it", async () => {
		const rollout = watched.newRollout();
		watched.pass(30 * MINUTE_MS);
		let after = await watched.look();
		await watched.record(harmed(rollout, 0, 25));
		watched.pass(5_000);
		await watched.record(harmed(rollout, 100, 2));
		watched.pass(store.delayMs);
		let all = 0;
		for (let i = 0; i < 4; i++) {
			// oxlint-disable-next-line no-await-in-loop -- one reader after the other
			const upTo = await few.watermark(watched.nowMs);
			// oxlint-disable-next-line no-await-in-loop -- see above
			all += await counted(rollout, after, upTo);
			after = upTo;
		}
		expect(all).toBeGreaterThanOrEqual(12);
		expect((await cursor())?.fresh).toBe(Math.floor((watched.nowMs - store.delayMs) / 1_000));
	});
});
