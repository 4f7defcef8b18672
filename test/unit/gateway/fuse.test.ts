import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { FUSE_RULES, type Fuse, excuse, lets, newFuse, observed } from "../../../core/gateway/fuse";

const { openMs, trialOf, trials, inARow, requests, windowMs } = FUSE_RULES;

function opened(): Fuse {
	const fuse = newFuse(0);
	for (let i = 0; i < inARow; i++) observed(fuse, true, 0);
	return fuse;
}

describe("a fuse", () => {
	test("opens within 30 requests of the first failure, whatever went well before, where every second one fails or more", () => {
		const pairs = fc.array(fc.constantFrom([true, true], [true, false]), { minLength: 15, maxLength: 15 });
		fc.assert(
			fc.property(fc.nat({ max: 2_000 }), pairs, fc.integer({ min: 1, max: 500 }), (before, mix, everyMs) => {
				const fuse = newFuse(0);
				let now = 0;
				for (let i = 0; i < before; i++) observed(fuse, false, (now += everyMs));
				const failures = mix.flat().findIndex((isFailure) => observed(fuse, isFailure, (now += everyMs)));
				expect(failures).toBeGreaterThanOrEqual(0);
				expect([failures < 30, fuse.status]).toEqual([true, "open"]);
			}),
			{ numRuns: 300 },
		);
	});

	test("opens once, with five failures in a row, and lets nothing through for a minute", () => {
		const fuse = newFuse(0);
		const found = Array.from({ length: inARow + 2 }, (_, i) => observed(fuse, true, i));
		expect(found).toEqual([false, false, false, false, true, false, false]);
		for (const now of [4, 1_000, openMs + 3]) expect(lets(fuse, now)).toBe(false);
		expect(lets(fuse, openMs + 4)).toBe(true);
	});

	test("stays closed below half, and where failures lie further apart than its window", () => {
		const fuse = newFuse(0);
		for (let i = 0; i < 10_000; i++) observed(fuse, i % 5 < 2, i * 10);
		expect(fuse.status).toBe("closed");
		const rare = newFuse(0);
		for (let i = 0; i < 1_000; i++) observed(rare, i % 2 === 0, i * (windowMs / (requests - 2)));
		expect(rare.status).toBe("closed");
	});

	test("half open tries one request of ten; some that go well close it, and one that fails opens it again", () => {
		const fuse = opened();
		const tried = Array.from({ length: 3 * trialOf }, () => lets(fuse, openMs));
		expect(tried.filter(Boolean)).toHaveLength(3);
		expect(tried[0]).toBe(true);
		for (let i = 0; i < trials; i++) observed(fuse, false, openMs);
		expect([fuse.status, lets(fuse, openMs)]).toEqual(["closed", true]);
		const again = opened();
		lets(again, openMs);
		expect(observed(again, true, openMs)).toBe(true);
		expect(lets(again, openMs + 1)).toBe(false);
		expect(lets(again, 2 * openMs)).toBe(true);
	});

	test("that was closed again has forgotten what failed before", () => {
		const fuse = opened();
		lets(fuse, openMs);
		for (let i = 0; i < trials; i++) observed(fuse, false, openMs);
		for (let i = 1; i < inARow; i++) expect(observed(fuse, true, openMs)).toBe(false);
		expect(fuse.status).toBe("closed");
	});

	test("that is half open takes what was sent before it opened for no trial", () => {
		const fuse = opened();
		lets(fuse, openMs);
		expect(observed(fuse, true, openMs + 1, FUSE_RULES, openMs - 1)).toBe(false);
		expect(fuse.status).toBe("half_open");
		for (let i = 0; i < trials; i++) observed(fuse, false, openMs + 1, FUSE_RULES, openMs - 1);
		expect(fuse.status).toBe("half_open");
	});

	test("knows nothing of the candidate once the baseline has failed as well", () => {
		const fuse = opened();
		excuse(fuse, 1);
		expect([fuse.status, lets(fuse, 1)]).toEqual(["closed", true]);
		for (let i = 1; i < inARow; i++) expect(observed(fuse, true, 1)).toBe(false);
	});

	test("keeps no more than its last requests, however many come", () => {
		const fuse = newFuse(0);
		for (let i = 0; i < 10_000; i++) observed(fuse, i % 3 === 0, i);
		expect([fuse.atMs.length, fuse.failed.length]).toEqual([requests, requests]);
	});
});
