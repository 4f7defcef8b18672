import { isInPlay } from "../rollouts/exposure";
import type { Plan } from "../rollouts/plan";
import { criteriaIn } from "../rollouts/planCriteria";
import type { LiveState } from "../rollouts/state";
import { upperBoundOfRate } from "../statistics/limits";
import { printPercent } from "./print";
import { type Limit, type VersusBaseline, isPercentile, signalKeyOf } from "./criteria";
import { type Evidence, sumsOf } from "./observation";
import { type Judged, type Verdict, estimateOf } from "./verdict";

/** Guards that compare with what was measured before the first phase: once it is captured, each is an absolute limit. */

/** Fewer tell nothing of what is usual. */
const USERS_MIN = 100;
const PERCENTILE_REQUESTS_MIN = 1_000;
/** Where a limit from a baseline may end: a rate has to leave room for a worse one. */
const RATE_LIMIT_MAX = 0.94;
/**
 * How far on the tolerant side of its estimate a baseline is taken, in standard errors: the window is short, and what it
 * happened to miss must not be held against the candidate. One in a hundred baselines is worse than that.
 */
const STANDARD_ERRORS = 2.326;

export function baselineLimits(plan: Plan, state: LiveState): readonly Judged[] {
	return criteriaIn(plan).baselines.flatMap((guard, i) => {
		const measured = state.baseline?.[i];
		if (measured === undefined || !isInPlay(plan, state, guard)) return [];
		return { limit: limitFrom(guard, measured), role: "guard" as const, signal: signalKeyOf(guard) };
	});
}

/** A person may have gone on before it was measured: then the guard knows nothing, and what knows nothing holds. */
export function unmeasured(plan: Plan, state: LiveState): readonly Verdict[] {
	return criteriaIn(plan).baselines.flatMap((guard, i): Verdict[] => {
		if (state.baseline?.[i] !== undefined || !isInPlay(plan, state, guard)) return [];
		const message = `${guard.metric}: there is no baseline to compare with`;
		return [{ role: "guard", criterion: guard.text, status: "no_data", value: null, control: null, provable: null, message }];
	});
}

function limitFrom(guard: VersusBaseline, measured: number): Limit {
	const { kind: _kind, margin, ...quantity } = guard;
	// Worse than a negative value is one further from zero where low is bad, nearer to it where high is.
	const limit = measured + Math.abs(measured) * margin;
	return { ...quantity, kind: "limit", limit, inclusive: true };
}

/** What every such guard's metric is like without the candidate, in the plan's order; or what is missing for it. */
export function captureBaseline(plan: Plan, evidence: Evidence): { readonly values: number[] } | { readonly missing: string } {
	const values: number[] = [];
	for (const guard of criteriaIn(plan).baselines) {
		const measured = measure(guard, evidence);
		if (typeof measured === "string") return { missing: `${guard.text}: ${measured}` };
		values.push(measured);
	}
	return { values };
}

function measure(guard: VersusBaseline, evidence: Evidence): number | string {
	const signal = signalKeyOf(guard);
	const sums = sumsOf(evidence, signal, "control");
	// As the candidate's is estimated later: anything else would compare two different quantities.
	const found = estimateOf({ limit: limitFrom(guard, 0), role: "guard", signal }, evidence, "control");
	if (!sums || found === null) return `${guard.metric} was not reported`;
	const { users, requests, harms } = sums.users;
	if (users < USERS_MIN) return `${users} users < ${USERS_MIN} needed`;
	if (isPercentile(guard.aggregate)) {
		if (requests < PERCENTILE_REQUESTS_MIN) return `${requests} requests < ${PERCENTILE_REQUESTS_MIN} needed`;
		return found > 0 ? found : "nothing above 0 to compare with";
	}
	if (isHarmful(guard)) {
		const upper = upperBoundOfRate(sums.users, STANDARD_ERRORS);
		const { limit } = limitFrom(guard, upper);
		return limit < RATE_LIMIT_MAX ? upper : `${printPercent(harms / requests)} is usual, which leaves no room for a worse rate`;
	}
	const { sumOfSquaredMeans } = sums.means;
	const error = Math.sqrt(Math.max(0, sumOfSquaredMeans / users - found * found) / users);
	return found + (guard.bad === "above" ? 1 : -1) * STANDARD_ERRORS * error;
}

/** A rate whose limit is judged by evidence of harm. */
const isHarmful = ({ aggregate, bad }: VersusBaseline | Limit): boolean =>
	(aggregate === "rate" || aggregate === "harm") && bad === "above";
