import type { MetricDefinition } from "../../../core/metric";

/** Valid by default; a test changes one field. */
export function aMetric(change: Partial<MetricDefinition> = {}): MetricDefinition {
	return { key: "orders", kind: "count", unit: "", better: "lower", harm: null, description: "", ...change };
}
