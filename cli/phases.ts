import { type Phase, type Plan, approversOf, holdbackOf, joinedFlags, phaseName } from "../core/rollouts/plan";
import { type Paint, percent, table } from "./output";

/** The phases that a plan's strategy writes, as a table. What no phase has, has no column. */
export function phasesText(plan: Plan, paint: Paint): string {
	const columns: readonly (readonly [header: string, of: (phase: Phase, index: number) => string, isShown: boolean])[] = [
		["PHASE", (_, i) => phaseName(plan, i), true],
		["PERCENT", (phase) => (phase.shadow ? "compared only" : percent(phase.percent)), true],
		["AUDIENCE", ({ audience = "everybody" }) => audience, true],
		["HOLD", ({ hold }) => hold, true],
		["APPROVAL", (_, i) => approvalText(approversOf(plan, i)), true],
		[
			"FROM",
			({ not_before: from }) => (typeof from === "object" ? `day ${from.day}` : (from ?? "")),
			plan.phases.some((each) => each.not_before),
		],
		["FLAGS THAT JOIN", (_, i) => joining(plan, i), plan.phases.some((each) => each.flags.length > 0)],
	];
	const shown = columns.filter(([, , isShown]) => isShown);
	const rows = plan.phases.map((phase, i) => shown.map(([, of]) => of(phase, i)));
	const holdback = holdbackOf(plan);
	const kept = holdback > 0 ? `\n${percent(holdback)} of users stay on the baseline until it completes` : "";
	return `${table(
		shown.map(([header]) => header),
		rows,
		paint,
	)}${kept}`;
}

const approvalText = (approvers: number): string => (approvers === 0 ? "auto" : approvers === 1 ? "manual" : `${approvers} approvers`);

function joining(plan: Plan, index: number): string {
	const before = index === 0 ? [] : joinedFlags(plan, index - 1);
	return joinedFlags(plan, index)
		.filter((flag) => !before.includes(flag))
		.join(", ");
}
