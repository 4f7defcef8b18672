import type { Predicate } from "../telemetry";

/**
 * A signal turns outcomes of one metric into harm: `error` by the metric's own predicate, `latency_ms>2500` by a limit of the
 * plan, `latency_ms p95 +20%` by what the control had during the warm-up. Signals ride in the snapshot, so that harm is told
 * once, at the edge, whatever store keeps it.
 */
export interface Signal {
	readonly key: string;
	readonly metric: string;
	/** Its place among the signals of its metric, the same for the whole rollout. */
	readonly slot: number;
	/** What is harm in each arm. null: not known yet, nothing is. */
	readonly harm: { readonly candidate: Predicate; readonly control: Predicate } | null;
}
