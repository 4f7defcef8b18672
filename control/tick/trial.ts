import { trialOf } from "../../core/rollouts/breaker";
import type { Decision } from "../../core/rollouts/decision";
import { placeOf } from "../../core/rollouts/command";
import { isWaiting } from "../../core/rollouts/state";
import type { StoredRollout } from "../store/rollouts";
import type { Decided } from "./apply";
import { type Governed, breakerIn } from "./breakers";

/** What a breaker stops. */
const MOVES: readonly Decision["kind"][] = ["validate", "start", "advance", "complete"];

/**
 * Where a breaker is half open one of an environment's rollouts goes on by itself at each tick. All of them were decided as if
 * they were that one; of those that would go on all but one are decided again, `otherwise`.
 */
export function oneTrial(
	decided: readonly Decided[],
	{ breakers }: Governed,
	otherwise: (row: StoredRollout) => Decided | undefined,
): readonly Decided[] {
	if (breakers === "unknown") return decided;
	const moving = decided.filter(
		({ row, decision }) => MOVES.includes(decision.kind) && breakerIn(breakers, row.environment).kind === "half_open",
	);
	if (moving.length === 0) return decided;
	const trials = [...Map.groupBy(moving, ({ row }) => row.environment).values()].map((of) => trialOf(of.map(({ row }) => placed(row))));
	return decided.flatMap((each) => (moving.includes(each) && !trials.includes(each.row.id) ? (otherwise(each.row) ?? []) : each));
}

function placed({ id, plan, state }: StoredRollout): Parameters<typeof trialOf>[0][number] {
	if (isWaiting(state)) return { id, isStart: true, percent: plan.phases[state.fromPhase]?.percent ?? 0 };
	return { id, isStart: false, percent: placeOf(plan, state).percent };
}
