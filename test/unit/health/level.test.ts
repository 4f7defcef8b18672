import { expect, test } from "vitest";
import { type Level, levelOf } from "../../../core/health/level";
import { signalKeyOf } from "../../../core/health/criteria";
import type { Judged, Verdict, VerdictStatus } from "../../../core/health/verdict";
import { type Plan, criteriaIn } from "../../../core/rollouts/plan";
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
	readonly criteria?: readonly string[];
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
