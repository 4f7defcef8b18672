import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
	FUSE_RULES,
	type Fuse,
	type Outcome,
	isLeft,
	lets,
	newFuse,
	observed as observedAs,
	observedBaseline,
} from "../../../core/gateway/fuse";

const { openMs, trialOf, trials, inARow, requests, windowMs, known } = FUSE_RULES;
/** Of requests that could be asked of the baseline as well, which did not fail. */
const observed = (fuse: Fuse, isFailure: boolean, nowMs: number, rules = FUSE_RULES, sentAtMs = nowMs): boolean =>
	observedAs(fuse, isFailure ? "proven" : "fine", nowMs, rules, sentAtMs);

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

	test("whose time is over leaves nobody alone, even where no request comes that would try the candidate", () => {
		const fuse = opened();
		expect([isLeft(fuse, openMs - 1), isLeft(fuse, openMs)]).toEqual([true, false]);
		lets(fuse, openMs);
		expect([isLeft(fuse, openMs), isLeft(fuse, 2 * openMs)]).toEqual([true, false]);
		expect(isLeft(newFuse(0), 0)).toBe(false);
	});

	test("keeps no more than its last requests, however many come", () => {
		const fuse = newFuse(0);
		for (let i = 0; i < 10_000; i++) {
			observed(fuse, i % 3 === 0, i);
			observedBaseline(fuse, i % 3 === 0, i);
		}
		for (const { atMs, outcomes } of [fuse.candidate, fuse.baseline]) expect([atMs.length, outcomes.length]).toEqual([requests, requests]);
	});
});

describe("failures that nobody else could be asked of", () => {
	/** Requests of both arms in turn, each of which fails at its share; returns those of the candidate until the fuse opened. */
	function runs(candidate: (n: number) => Outcome, baseline: (n: number) => boolean, count = 2_000): number | undefined {
		const fuse = newFuse(0);
		for (let n = 0; n < count; n++) {
			observedBaseline(fuse, baseline(n), n * 10);
			if (observedAs(fuse, candidate(n), n * 10)) return n + 1;
		}
		return undefined;
	}

	test("open it within 30 requests where the baseline does well", () => {
		for (const isFailing of [() => true, (n: number) => n % 2 === 0, (n: number) => n % 4 < 2, (n: number) => n % 3 !== 2])
			expect(
				runs(
					(n) => (isFailing(n) ? "alone" : "fine"),
					() => false,
				),
			).toBeLessThanOrEqual(30);
	});

	test("do not where the baseline fails as often, or nearly", () => {
		for (const every of [1, 2, 3]) {
			const isFailing = (n: number): boolean => n % every === 0;
			expect(runs((n) => (isFailing(n) ? "alone" : "fine"), isFailing)).toBeUndefined();
		}
		expect(
			runs(
				(n) => (n % 10 < 7 ? "alone" : "fine"),
				(n) => n % 10 < 5,
			),
		).toBeUndefined();
	});

	test("do not by some of them, however many of them are in a row", () => {
		const fuse = newFuse(0);
		for (let i = 0; i < 200; i++) {
			observedBaseline(fuse, false, i);
			observedAs(fuse, i % requests < 9 ? "alone" : "fine", i);
		}
		expect(fuse.status).toBe("closed");
	});

	test("open it where nobody knows how the baseline does, once all of the last requests have failed", () => {
		const fuse = newFuse(0);
		observedAs(fuse, "fine", 0);
		for (let i = 1; i < known; i++) observedBaseline(fuse, false, 0);
		for (let i = 1; i < requests; i++) expect(observedAs(fuse, "alone", i)).toBe(false);
		expect(observedAs(fuse, "alone", requests)).toBe(true);
	});

	test("together with those that the baseline was spared open it as soon as either alone would", () => {
		expect(
			runs(
				(n) => (n % 2 === 0 ? (n % 4 === 0 ? "alone" : "proven") : "fine"),
				() => false,
			),
		).toBeLessThanOrEqual(30);
		expect(
			runs(
				(n) => (n % 2 === 0 ? "alone" : "proven"),
				() => true,
			),
		).toBeLessThanOrEqual(30);
	});

	test("are no failed trial where the baseline fails at every second request", () => {
		const fuse = opened();
		for (let i = 0; i < known; i++) observedBaseline(fuse, i % 2 === 0, openMs);
		lets(fuse, openMs);
		expect(observedAs(fuse, "alone", openMs)).toBe(false);
		expect(fuse.status).toBe("half_open");
		expect(observedAs(fuse, "proven", openMs)).toBe(true);
	});
});
