import { harmOf, metricsBy, unscopedMetric } from "../metric";
import type { Plan } from "../rollouts/plan";
import { criteriaIn, signalKeysOf } from "../rollouts/planCriteria";
import { type RolloutState, isLive } from "../rollouts/state";
import type { Predicate } from "../telemetry";
import { isPercentile } from "./criteria";
import type { Signal } from "./signal";

/** What counts as harm as the rollout stands: limits are known from the start, comparisons once there is something to compare with. */
export function signalsOf(plan: Plan, state: RolloutState): Signal[] {
	const metrics = metricsBy(plan.metrics);
	const { guards, baselines } = criteriaIn(plan);
	const slots = new Map<string, number>();
	return signalKeysOf(plan).map(({ key, metric, by }) => {
		const slot = slots.get(metric) ?? 0;
		slots.set(metric, slot + 1);
		const both = (harm: Predicate | null): Signal["harm"] => harm && { candidate: harm, control: harm };
		const above = (value: number): Predicate => ({ op: "gt", value });
		const signal = (harm: Signal["harm"]): Signal => ({ key, metric, slot, harm });
		if (!isPercentile(by.aggregate)) {
			const definition = metrics.get(unscopedMetric(metric));
			return signal(both(definition ? harmOf(definition) : null));
		}
		if (by.kind === "limit") return signal(both(above(by.limit)));
		if (!isLive(state)) return signal(null);
		if (by.kind === "versus_baseline") {
			const measured = state.baseline?.[baselines.indexOf(by)];
			return signal(measured === undefined ? null : both(above(measured * (1 + by.margin))));
		}
		const frozen = state.watch.guards[guards.indexOf(by)]?.frozen;
		return signal(frozen ? { candidate: above(frozen.limit * (1 + by.margin)), control: above(frozen.limit) } : null);
	});
}

/** The metrics whose values are scored user by user, from the end of a guard's warm-up on. */
export function scoredMetrics(plan: Plan, state: RolloutState): string[] {
	if (!isLive(state)) return [];
	const { guards } = criteriaIn(plan);
	const past = guards.filter((guard, i) => isPercentile(guard.aggregate) && state.watch.guards[i]?.frozen);
	return [...new Set(past.map(({ metric }) => metric))];
}
