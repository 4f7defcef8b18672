import { expect, test } from "vitest";
import { type Taken, rollbackStatistics } from "../../../core/rollouts/rollbackStatistics";

const taken = (change: Partial<Taken> = {}): Taken => ({
	strategy: "immediate",
	trigger: "harm_proven",
	isAutomatic: true,
	detectMs: 60_000,
	recordedAtMs: 1_000,
	edgeSafeAtMs: 7_000,
	verifiedAtMs: 61_000,
	hasEnded: true,
	...change,
});

test("without any rollback nothing is claimed", () => {
	expect(rollbackStatistics([])).toMatchObject({
		count: 0,
		successShare: null,
		timeToSafe: { count: 0, meanMs: null, p50Ms: null, p95Ms: null, maxMs: null },
	});
});

test("counts by trigger and by strategy, the most frequent first, and who did it", () => {
	const found = rollbackStatistics([
		taken(),
		taken({ trigger: "operator", strategy: "full", isAutomatic: false }),
		taken({ trigger: "operator", strategy: "full", isAutomatic: false }),
	]);
	expect(found).toMatchObject({ count: 3, automatic: 1, manual: 2, byStrategy: { full: 2, immediate: 1 } });
	expect(Object.entries(found.byTrigger)).toEqual([
		["operator", 2],
		["harm_proven", 1],
	]);
});

test("times are those that were measured: what is not known is left out", () => {
	const safeAfter = [1, 2, 3, 100].map((seconds) => taken({ edgeSafeAtMs: 1_000 + seconds * 1_000 }));
	const { timeToSafe, timeToDetect } = rollbackStatistics([...safeAfter, taken({ edgeSafeAtMs: null, detectMs: null })]);
	expect(timeToSafe).toEqual({ count: 4, meanMs: 26_500, p50Ms: 2_000, p95Ms: 100_000, maxMs: 100_000 });
	expect(timeToDetect.count).toBe(4);
});

test("an edge that was safe at once was safe after no time", () => {
	expect(rollbackStatistics([taken({ edgeSafeAtMs: 1_000 })]).timeToSafe).toMatchObject({ count: 1, maxMs: 0 });
});

test("success is the share of those that have ended: what is followed still is neither", () => {
	const found = rollbackStatistics([taken(), taken({ verifiedAtMs: null }), taken({ verifiedAtMs: null, hasEnded: false })]);
	expect(found).toMatchObject({ ended: 2, verified: 1, successShare: 0.5 });
});
