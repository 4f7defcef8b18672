import { expect, test } from "vitest";
import { type EnvironmentFinding, findingOf } from "../../../core/health/environment";
import type { Level } from "../../../core/health/level";
import type { BreakerState } from "../../../core/rollouts/breaker";

const of = (level: Level, score: number | null, id: string = level): Parameters<typeof findingOf>[0][number] => ({ id, level, score });
const well: EnvironmentFinding = { level: "good", score: 100, levels: {}, worst: [], breaker: "closed", breakerUntilMs: null };
const OPEN: BreakerState = { kind: "open", untilMs: 7 };

test.each<[string, Parameters<typeof findingOf>[0], Partial<EnvironmentFinding>]>([
	["without rollouts", [], { level: "excellent" }],
	["with a good one", [of("good", 80)], { score: 80, levels: { good: 1 } }],
	["with excellent ones alone", [of("excellent", 95), of("excellent", 92)], { level: "excellent", score: 92, levels: { excellent: 2 } }],
	["with a good one among excellent ones", [of("excellent", 95), of("good", 80)], { score: 80, levels: { excellent: 1, good: 1 } }],
	[
		"with one of which nothing is known",
		[of("good", 80), of("unknown", null)],
		{ level: "unknown", score: 80, levels: { good: 1, unknown: 1 }, worst: ["unknown"] },
	],
	[
		"of which nothing is known at all",
		[of("unknown", null)],
		{ level: "unknown", score: null, levels: { unknown: 1 }, worst: ["unknown"] },
	],
	[
		"with a warning beside one of which nothing is known",
		[of("unknown", null), of("warning", 55), of("good", 80)],
		{ level: "warning", score: 55, levels: { unknown: 1, warning: 1, good: 1 }, worst: ["warning"] },
	],
	[
		"with two that do harm",
		[of("critical", 20, "checkout.1"), of("critical", 35, "search.1"), of("warning", 60)],
		{ level: "critical", score: 20, levels: { critical: 2, warning: 1 }, worst: ["checkout.1", "search.1"] },
	],
	[
		"with a failure above all",
		[of("critical", 20), of("failure", 4)],
		{ level: "failure", score: 4, levels: { critical: 1, failure: 1 }, worst: ["failure"] },
	],
])("an environment %s is as well as the worst of them", (_, rollouts, expected) => {
	expect(findingOf(rollouts, { kind: "closed" })).toEqual({ ...well, ...expected });
});

test.each<[Level, Level]>([
	["excellent", "warning"],
	["good", "warning"],
	["unknown", "unknown"],
	["warning", "warning"],
	["critical", "critical"],
	["failure", "failure"],
])("with its breaker open, an environment that is otherwise %s is %s", (level, found) => {
	expect(findingOf([of(level, 50)], OPEN)).toMatchObject({ level: found, breaker: "open", breakerUntilMs: 7 });
});

test("an open breaker is a warning without any rollout", () => {
	expect(findingOf([], OPEN)).toEqual({ ...well, level: "warning", score: 69, breaker: "open", breakerUntilMs: 7 });
});

test("a breaker that is half open is a warning too", () => {
	expect(findingOf([of("good", 80)], { kind: "half_open", untilMs: 7 })).toMatchObject({
		level: "warning",
		breaker: "half_open",
		breakerUntilMs: 7,
	});
});

test("a breaker of which nothing is known makes no warning, and is told as that", () => {
	expect(findingOf([of("good", 80)], "unknown")).toMatchObject({ level: "good", breaker: "unknown", breakerUntilMs: null });
});

test("an open breaker leaves no score above a warning's", () => {
	expect(findingOf([of("excellent", 95)], OPEN)).toMatchObject({ level: "warning", score: 69 });
	expect(findingOf([of("good", null)], OPEN)).toMatchObject({ level: "warning", score: null });
	expect(findingOf([of("critical", 20)], OPEN)).toMatchObject({ level: "critical", score: 20 });
});

test("no more than twenty of the worst are named, and all are counted", () => {
	const many = Array.from({ length: 30 }, (_, i) => of("critical", 20, `r${i}.1`));
	const { worst, levels } = findingOf(many, { kind: "closed" });
	expect(worst).toEqual(many.slice(0, 20).map(({ id }) => id));
	expect(levels).toEqual({ critical: 30 });
});
