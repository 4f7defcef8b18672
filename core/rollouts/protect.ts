import type { Judgement } from "../health/judge";
import { printNumber } from "../health/print";
import { type ChangeReason, type Decision, change, hold } from "./decision";
import { ENGINE } from "./engine";
import { hasRisen } from "./exposure";
import type { Plan } from "./plan";
import type { LiveState } from "./state";
import { flagsToBlame, takeBack } from "./takeBack";
import { enterPhase } from "./transitions";

/** A breach of both arms that shows within so many ticks of a phase's begin was caused by it: overload hurts everybody. */
const OVERLOAD_TICKS = 2;

/** What must be undone, in order of certainty; undefined when nothing must. */
export function protect(plan: Plan, state: LiveState, judgement: Judgement, now: number): Decision | undefined {
	const { harm, verdicts, shared } = judgement;
	const back = (reason: ChangeReason, said: string, isFailure: boolean): Decision | undefined => {
		const because = { reason, message: marked(said, judgement), by: ENGINE, judgement };
		if (isFailure) return takeBack(plan, state, { strategy: "immediate" }, because, now);
		// Known: that is why it is on its way back.
		if (state.status === "rolling_back") return undefined;
		const { strategy } = plan.rollback;
		const flags = strategy === "feature" ? flagsToBlame(plan, state, judgement) : [];
		return takeBack(plan, state, { strategy, flags }, because, now);
	};
	const breached = verdicts.filter((each) => each.status === "breached");
	const ofVariant = breached.filter((each) => !shared.includes(each.criterion));
	const redFlag = ofVariant.find((each) => each.role === "red_flag");
	if (harm.proven || harm.tripled) {
		const besides = redFlag ? `; ${redFlag.criterion}: ${redFlag.message}` : "";
		// A red flag is a failure, whatever else is proven: no way back that takes its time.
		return back("harm_proven", `${proofOf(judgement, state.alpha)}${besides}`, harm.tripled || redFlag !== undefined);
	}
	if (breached.length === 0) return undefined;
	const worst = redFlag ?? ofVariant[0];
	if (worst) return back(redFlag ? "red_flag_breached" : "limit_breached", `${worst.criterion}: ${worst.message}`, redFlag !== undefined);
	if (state.status === "rolling_back") return undefined;

	const message = `${shared.join(", ")}: breached by the candidate and by the control, so the variant is not to blame`;
	if (hasRisen(plan, state) && state.phase > 0 && state.status === "running" && state.watch.ticks <= OVERLOAD_TICKS)
		return change(
			"step_back",
			"shared_overload",
			`${message}, but it began with this phase`,
			enterPhase(plan, state, state.phase - 1, now),
			judgement,
		);
	return hold("control_breaches_too", message, state, judgement);
}

/** "error_rate vs control <= +25%: harmed users 28 of 900 vs 212 of 17,100: E = 1,083; mean of 3 guards 361 ≥ 80 (α = 0.0125)" */
function proofOf({ harm, verdicts }: Judgement, alpha: number): string {
	const guards = verdicts.filter((each) => each.role === "guard").map((each) => `${each.criterion}: ${each.message}`);
	const mean = `${harm.guards > 1 ? `mean of ${harm.guards} guards` : "E"} ${printNumber(harm.e)} ≥ ${printNumber(harm.threshold)} (α = ${printNumber(alpha)})`;
	return `${guards.join("; ")}; ${harm.proven ? mean : `a ratio above 3 is proven by one guard (α = ${printNumber(alpha)})`}`;
}

/** A rollback is never blocked by a broken split, but whoever reads of it must know. */
function marked(message: string, judgement: Judgement): string {
	return judgement.split.broken ? `${message} (the split is broken as well: BF = ${printNumber(judgement.split.bayesFactor)})` : message;
}
