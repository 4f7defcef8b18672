import { expect, test } from "vitest";
import { plainly } from "../../../cli/output";
import { phasesText } from "../../../cli/phases";
import { completePlan, plan } from "../../../core/rollouts/writtenPlan";

const criteria = ["error_rate < 3%"];
function shown(written: object): string {
	const { plan: complete, errors } = completePlan(
		plan.parse({ rollout: "x", environment: "production", flags: ["f"], red_flags: ["error_rate > 10%"], ...written }),
		[],
	);
	expect(errors).toEqual([]);
	if (!complete) throw new Error("no plan");
	return phasesText(complete, plainly);
}

test.each<[strategy: string, written: object, table: string]>([
	[
		"phased, whose flags join",
		{
			phases: [
				{ name: "few", percent: 5, hold: "2h", criteria },
				{ percent: 100, hold: "4h", criteria, flags: ["g", "h"], approval: { approvers: 2 } },
			],
		},
		`PHASE    PERCENT  AUDIENCE   HOLD  APPROVAL     FLAGS THAT JOIN
few      5 %      everybody  2h    auto         f
phase_2  100 %    everybody  4h    2 approvers  g, h`,
	],
	[
		"quick canary, with what is held back",
		{ strategy: "canary", preset: "quick" },
		`PHASE    PERCENT  AUDIENCE   HOLD  APPROVAL
phase_1  10 %     everybody  10m   auto
phase_2  100 %    everybody  10m   auto
5 % of users stay on the baseline until it completes`,
	],
	[
		"percentage",
		{ strategy: "percentage", percents: [10, 100], hold: "1h", criteria },
		`PHASE    PERCENT  AUDIENCE   HOLD  APPROVAL
phase_1  10 %     everybody  1h    auto
phase_2  100 %    everybody  1h    auto`,
	],
	[
		"ring",
		{
			strategy: "ring",
			hold: "1d",
			criteria,
			rings: [
				{ name: "staff", audience: "staff", percent: 100 },
				{ name: "all", percent: 100, approval: "manual" },
			],
		},
		`PHASE  PERCENT  AUDIENCE   HOLD  APPROVAL
staff  100 %    staff      1d    auto
all    100 %    everybody  1d    manual`,
	],
	[
		"blue-green",
		{ strategy: "blue-green", warm: "2h", criteria },
		`PHASE  PERCENT  AUDIENCE   HOLD  APPROVAL
green  100 %    everybody  2h    auto`,
	],
	[
		"schedule",
		{
			strategy: "schedule",
			hold: "1h",
			criteria,
			schedule: [
				{ percent: 10, not_before: { day: 8 } },
				{ percent: 100, not_before: "2026-03-01T08:00:00Z" },
			],
		},
		`PHASE    PERCENT  AUDIENCE   HOLD  APPROVAL  FROM
phase_1  10 %     everybody  1h    auto      day 8
phase_2  100 %    everybody  1h    auto      2026-03-01T08:00:00Z`,
	],
	[
		"compare-first",
		{
			strategy: "compare-first",
			compare: { hold: "24h", criteria: ["discrepancy_rate < 1%"] },
			phases: [{ percent: 100, hold: "1h", criteria }],
		},
		`PHASE    PERCENT        AUDIENCE   HOLD  APPROVAL
compare  compared only  everybody  24h   auto
phase_2  100 %          everybody  1h    auto`,
	],
])("shows the phases of one that is %s", (_, written, table) => expect(shown(written)).toBe(table));
