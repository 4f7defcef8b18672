import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { OWED_MS, type Attempted, type Outcome, retryDelayMs, settle } from "../../../core/notify/settle";

const NOW_MS = 1_800_000_000_000;
const MINUTE_MS = 60_000;
const anAttempt = (change: Partial<Attempted> = {}): Attempted => ({ webhook: "w", event: 7, attempts: 1, sinceMs: NOW_MS, ...change });
const answered = (status: number): Outcome => ({ kind: "answered", status });
const SILENT: Outcome = { kind: "silent", error: "no answer within 10000 ms" };

describe("an attempt", () => {
	test.each([200, 201, 202, 204, 299])("answered %d has delivered", (status) =>
		expect(settle(anAttempt(), answered(status), NOW_MS)).toEqual({ kind: "delivered" }),
	);

	test.each([100, 199, 300, 301, 302, 307, 400, 401, 404, 409, 429, 500, 503])("answered %d is tried again", (status) =>
		expect(settle(anAttempt(), answered(status), NOW_MS)).toMatchObject({ kind: "retry", error: `answered ${status}` }),
	);

	test("that nobody answered is tried again", () =>
		expect(settle(anAttempt(), SILENT, NOW_MS)).toMatchObject({ kind: "retry", error: SILENT.error }));

	test("answered 410 is the subscriber's last", () =>
		expect(settle(anAttempt(), answered(410), NOW_MS)).toEqual({ kind: "gone", error: "answered 410" }));

	test("a day after the event was owed is the last, and says how many there were", () => {
		const late = anAttempt({ attempts: 17, sinceMs: NOW_MS - OWED_MS + MINUTE_MS });
		expect(settle(late, answered(503), NOW_MS)).toEqual({ kind: "dead", error: "answered 503; attempts: 17 in 24h" });
		expect(settle(late, answered(200), NOW_MS)).toEqual({ kind: "delivered" });
	});
});

describe("the delays", () => {
	test.each([
		[1, 1],
		[2, 2],
		[3, 5],
		[4, 10],
		[5, 30],
		[6, 60],
		[7, 120],
		[8, 120],
		[100, 120],
	])("after attempt %d are %d min, and up to a tenth less", (attempts, minutes) => {
		const delays = Array.from({ length: 200 }, (_, i) => retryDelayMs(attempts, `webhook/${i}`) / (minutes * MINUTE_MS));
		expect(Math.max(...delays)).toBeLessThanOrEqual(1);
		expect(Math.min(...delays)).toBeGreaterThan(0.9);
		expect(Math.max(...delays) - Math.min(...delays)).toBeGreaterThan(0.08);
	});

	test("are the same whenever they are asked for", () =>
		fc.assert(
			fc.property(
				fc.integer({ min: 1, max: 50 }),
				fc.string(),
				(attempts, seed) => retryDelayMs(attempts, seed) === retryDelayMs(attempts, seed),
			),
		));

	test("of a receiver that is never there end within a day, after 17 to 20 attempts", () =>
		fc.assert(
			fc.property(fc.nat(), fc.string({ maxLength: 12 }), fc.nat({ max: 90_000 }), (event, webhook, waitMs) => {
				let now = NOW_MS + waitMs;
				for (let attempts = 1; ; attempts++) {
					const settled = settle(anAttempt({ webhook, event, attempts }), SILENT, now);
					if (settled.kind === "dead") return attempts >= 17 && attempts <= 20 && now - NOW_MS <= OWED_MS;
					if (settled.kind !== "retry" || settled.dueAtMs <= now) return false;
					// A tick comes within a minute.
					now = settled.dueAtMs + (settled.dueAtMs % MINUTE_MS);
				}
			}),
		));
});
