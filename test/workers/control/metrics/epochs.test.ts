import { env } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import { readWatermark } from "../../../../control/metrics/embeddedQuestions";
import { closeEpoch, firstHarms, insertHarms } from "../../../../control/metrics/firstHarms";
import { aQuestion } from "./contract/store";
import { NOW_MS, record, source } from "./fixtures";
import { aHarm } from "./points";

const HOUR_MS = 3_600_000;

describe("epochs", () => {
	test("are closed one after the other, and are aged an hour later", async () => {
		const first = await closeEpoch(env.DB, NOW_MS);
		const second = await closeEpoch(env.DB, NOW_MS + 1);
		expect(second.epoch).toBe(first.epoch + 1);
		expect((await closeEpoch(env.DB, NOW_MS + HOUR_MS - 1)).aged).toBeLessThan(first.epoch);
		expect((await closeEpoch(env.DB, NOW_MS + HOUR_MS)).aged).toBe(first.epoch);
		expect((await closeEpoch(env.DB, NOW_MS + HOUR_MS + 1)).aged).toBe(second.epoch);
	});

	test("an hour once passed has passed for every reader, whatever its clock says", async () => {
		const late = NOW_MS + 10 * HOUR_MS;
		const { epoch } = await closeEpoch(env.DB, late);
		expect((await closeEpoch(env.DB, late + HOUR_MS)).aged).toBe(epoch);
		expect((await closeEpoch(env.DB, NOW_MS)).aged).toBe(epoch);
	});

	test("readers at once close one each", async () => {
		const closed = await Promise.all(Array.from({ length: 8 }, async () => closeEpoch(env.DB, NOW_MS)));
		expect(new Set(closed.map(({ epoch }) => epoch)).size).toBe(8);
	});
});

describe("watermarks", () => {
	test("of the time before users were scored say that none was old enough", () => {
		expect(readWatermark("12")).toEqual({ epoch: 12, aged: 0 });
		expect(readWatermark("12/3")).toEqual({ epoch: 12, aged: 3 });
	});

	test.each(["", "12/", "/3", "-1", "1.5", "12/3/4", " 12", "2026-11-20T00:00:00Z"])("of another store are refused: %j", (text) => {
		expect(() => readWatermark(text)).toThrow("is no watermark");
	});

	test("of that time are read on from", async () => {
		const rollout = "before.1";
		await record([aHarm({ rollout, unit: "ann" })]);
		const { epoch } = readWatermark(await source.watermark(NOW_MS));
		await record([aHarm({ rollout, unit: "bob" })]);
		const upTo = await source.watermark(NOW_MS);
		expect(await source.firstHarms([aQuestion(rollout, { after: String(epoch) })], upTo)).toMatchObject([{ units: 1 }]);
	});
});

describe("harms that another store found", () => {
	const harm = (unit: string) => ({ rollout: "elsewhere.1", signal: "error", unit, arm: "control" as const, served: 5_000 });

	test("are stamped with the open epoch, and with no other when they are found again", async () => {
		const read = async (afterEpoch: number, upToEpoch: number) =>
			(await firstHarms(env.DB, [{ rollout: "elsewhere.1", afterEpoch }], upToEpoch)).map(({ units }) => units);
		await env.DB.batch(insertHarms(env.DB, [harm("ann"), harm("ann"), harm("bob")]));
		const { epoch: first } = await closeEpoch(env.DB, NOW_MS);
		await env.DB.batch(insertHarms(env.DB, [harm("bob"), harm("eve")]));
		const { epoch: second } = await closeEpoch(env.DB, NOW_MS);
		expect([await read(0, first), await read(first, second), await read(0, second), await read(second, second + 1)]).toEqual([
			[2],
			[1],
			[3],
			[],
		]);
	});

	test("are no statement when there are none", () => {
		expect(insertHarms(env.DB, [])).toEqual([]);
	});

	test("are as many as there are", async () => {
		const many = Array.from({ length: 10_000 }, (_, i) => ({ ...harm(`user ${i} ${"x".repeat(80)}`), rollout: "elsewhere.2" }));
		const statements = insertHarms(env.DB, many);
		expect(statements.length).toBeGreaterThan(1);
		await env.DB.batch(statements);
		const { epoch } = await closeEpoch(env.DB, NOW_MS);
		expect(await firstHarms(env.DB, [{ rollout: "elsewhere.2", afterEpoch: 0 }], epoch)).toMatchObject([{ units: 10_000 }]);
	});
});
