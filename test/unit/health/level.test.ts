import { expect, test } from "vitest";
import { LEVELS, type Level, levelOf, scoreOfLevel, worstOf } from "../../../core/health/level";
import { signalKeyOf } from "../../../core/health/criteria";
import type { Judged, Verdict, VerdictStatus } from "../../../core/health/verdict";
import { type Plan } from "../../../core/rollouts/plan";
import { criteriaIn } from "../../../core/rollouts/planCriteria";
import { aPhase, aPlan } from "../rollouts/fixtures";

const NO_HARM = { e: 1, proven: false, tripled: false };

function aVerdict(change: Partial<Verdict> = {}): Verdict {
	return {
		role: "criterion",
		criterion: "error_rate < 3%",
		status: "met",
		value: 0.02,
		control: null,
		provable: null,
		message: "",
		...change,
	};
}
const guard = (status: VerdictStatus) => aVerdict({ role: "guard", criterion: "error_rate vs control <= +25%", status, value: 1 });
const redFlag = (status: VerdictStatus) => aVerdict({ role: "red_flag", criterion: "error_rate > 10%", status });
const criterion = (status: VerdictStatus, value: number | null = 0.02) => aVerdict({ status, value });
const allMet = [guard("met"), redFlag("met"), criterion("met")];

/** The limits of the plan's first phase. */
function judgedOf(plan: Plan): readonly Judged[] {
	return (criteriaIn(plan).phases[0] ?? []).map((limit) => ({
		limit,
		role: "criterion",
		signal: signalKeyOf(limit),
		optional: limit.optional,
	}));
}

interface Found {
	readonly harm?: Partial<typeof NO_HARM>;
	readonly verdicts?: readonly Verdict[];
	readonly users?: number;
	readonly criteria?: readonly (string | { readonly criterion: string; readonly optional: boolean })[];
}

test.each<[string, Level, Found]>([
	["all met", "good", {}],
	["all met, each below half its limit", "excellent", { verdicts: [guard("met"), criterion("met", 0.0149)] }],
	["a value at half its limit", "good", { verdicts: [criterion("met", 0.015)] }],
	[
		"a limit from below has no half",
		"excellent",
		{
			verdicts: [criterion("met", 0.01), aVerdict({ criterion: "satisfaction mean > 8", value: 8.1 })],
			criteria: ["error_rate < 3%", "satisfaction mean > 8"],
		},
	],
	["guards alone, met", "good", { verdicts: [guard("met")], criteria: [] }],
	["nothing to judge", "unknown", { verdicts: [], criteria: [] }],
	["nothing applies", "unknown", { verdicts: [guard("not_applicable")], criteria: [] }],
	["a guard that does not apply stands in nobody's way", "good", { verdicts: [guard("not_applicable"), criterion("met")] }],
	["a red flag that is not reported", "good", { verdicts: [redFlag("no_data"), criterion("met")] }],
	["a criterion that is not reported", "unknown", { verdicts: [guard("met"), criterion("no_data", null)] }],
	["too few users", "unknown", { verdicts: [criterion("insufficient")] }],
	["a saturated guard", "unknown", { verdicts: [guard("saturated"), criterion("met")] }],
	["beyond a target with 100 users", "warning", { verdicts: [criterion("beyond", 0.04)], users: 100 }],
	["beyond a target with 99 users", "unknown", { verdicts: [criterion("beyond", 0.04)], users: 99 }],
	["harm suspected", "warning", { harm: { e: 5 } }],
	["harm hardly suspected", "good", { harm: { e: 4.99 } }],
	["harm suspected among few users", "warning", { harm: { e: 5 }, users: 3, verdicts: [criterion("insufficient")] }],
	["a limit breached", "critical", { verdicts: [guard("met"), criterion("breached", 0.2)] }],
	["harm proven", "critical", { harm: { e: 80, proven: true } }],
	["harm proven while something is unknown", "critical", { harm: { e: 80, proven: true }, verdicts: [criterion("no_data")] }],
	["a red flag breached", "failure", { verdicts: [redFlag("breached"), criterion("met")] }],
	["a tripling proven", "failure", { harm: { e: 80, proven: true, tripled: true } }],
])("%s is %s", (_, level, { harm = {}, verdicts = allMet, users = 500, criteria = ["error_rate < 3%"] }) => {
	const limits = judgedOf(aPlan({ phases: [aPhase({ criteria })] }));
	expect(levelOf({ harm: { ...NO_HARM, ...harm }, verdicts, candidateUsers: users, limits })).toBe(level);
});

const SATISFIED = "satisfaction mean > 8";
const optionally = { criterion: SATISFIED, optional: true };
const unreported = aVerdict({ criterion: SATISFIED, status: "not_reported", value: null });
test.each<[string, Level, Found]>([
	["beside one that is met", "good", { verdicts: [...allMet, unreported], criteria: ["error_rate < 3%", optionally] }],
	[
		"beside values below half their limits",
		"excellent",
		{ verdicts: [criterion("met", 0.01), unreported], criteria: ["error_rate < 3%", optionally] },
	],
	[
		"alone beside guards, which leaves no limit to be below half of",
		"good",
		{ verdicts: [guard("met"), unreported], criteria: [optionally] },
	],
	["alone, which leaves nothing that is judged", "unknown", { verdicts: [unreported], criteria: [optionally] }],
])("an optional criterion that nobody reports is left out, %s: %s", (_, level, { verdicts = [], criteria = [] }) => {
	const limits = judgedOf(aPlan({ phases: [aPhase({ criteria })] }));
	expect(levelOf({ harm: NO_HARM, verdicts, candidateUsers: 500, limits })).toBe(level);
});

const BANDS: readonly (readonly [Level, number, number])[] = [
	["excellent", 90, 100],
	["good", 70, 89],
	["warning", 40, 69],
	["critical", 10, 39],
	["failure", 0, 9],
];

function scoreWith(level: Level, values: Readonly<Record<string, readonly [VerdictStatus, number | null]>>): number | null {
	const limits = judgedOf(aPlan({ phases: [aPhase({ criteria: Object.keys(values) })] }));
	const verdicts = Object.entries(values).map(([text, [status, value]]) => aVerdict({ criterion: text, status, value }));
	return scoreOfLevel(level, limits, verdicts);
}

test.each(BANDS)("the score of a level lies in its band: %s from %i to %i", (level, low, high) => {
	const scores = [0, 0.01, 0.02, 0.03, 0.5].map((value) => scoreWith(level, { "error_rate < 3%": ["met", value] }));
	expect(scores[0]).toBe(high);
	expect(scores[3]).toBe(low);
	expect(scores[4]).toBe(low);
	expect(scores.toSorted((a, b) => (b ?? 0) - (a ?? 0))).toEqual(scores);
});

test("bands do not overlap, so a better level has the better score", () => {
	for (const [i, [, low]] of BANDS.entries()) expect(low).toBeGreaterThan(BANDS[i + 1]?.[2] ?? -1);
});

test.each<[string, Readonly<Record<string, readonly [VerdictStatus, number | null]>>, number]>([
	["without limits it is the middle", {}, 80],
	["it is the mean of the headrooms", { "error_rate < 3%": ["met", 0], "fallback_rate < 4%": ["met", 0.04] }, 80],
	["a limit from below leaves all of it when it is met", { [SATISFIED]: ["met", 8.1] }, 89],
	["a limit from below leaves none when it is not", { [SATISFIED]: ["beyond", 7.9] }, 70],
	["one that is not reported counts for none", { "error_rate < 3%": ["met", 0.03], [SATISFIED]: ["not_reported", null] }, 70],
	["one whose value is not known counts for none", { "error_rate < 3%": ["met", 0.03], "fallback_rate < 4%": ["insufficient", null] }, 70],
])("a score by headroom: %s", (_, values, score) => expect(scoreWith("good", values)).toBe(score));

test("a breached limit from below leaves no headroom in a critical score", () => {
	expect(scoreWith("critical", { [SATISFIED]: ["breached", 3] })).toBe(10);
});

test("what is unknown has no score", () => expect(scoreWith("unknown", { "error_rate < 3%": ["met", 0] })).toBeNull());

test("the worst of several levels: what is unknown is worse than what is well, and better than what is not", () => {
	expect(LEVELS).toEqual(["failure", "critical", "warning", "unknown", "good", "excellent"]);
	expect(worstOf(["good", "unknown", "excellent"])).toBe("unknown");
	expect(worstOf(["warning", "unknown"])).toBe("warning");
	expect(worstOf([...LEVELS])).toBe("failure");
	expect(worstOf([])).toBe("unknown");
});
