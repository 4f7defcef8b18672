import type { Attribution } from "./flags/attribution";

/** The standard metrics: what a value is, and when it is harm to the user who had it. */
export const METRICS = {
	error: { kind: "boolean", min: 0, max: 1, isHarm: (value: number) => value === 1 },
	fallback: { kind: "boolean", min: 0, max: 1, isHarm: (value: number) => value === 1 },
	/** Milliseconds. Harmful only beside a limit, which a plan's own guard names. */
	latency_ms: { kind: "number", min: 0, max: 86_400_000, isHarm: () => false },
	satisfaction: { kind: "number", min: 0, max: 10, isHarm: (value: number) => value < 5 },
} as const;

export type Metric = keyof typeof METRICS;
export const METRIC_NAMES = Object.keys(METRICS) as readonly Metric[];

export function isMetric(name: string): name is Metric {
	return Object.hasOwn(METRICS, name);
}

/** A metric's value as a number, or why it is none. */
export function valueOf(metric: Metric, value: unknown): number | string {
	const { kind, min, max } = METRICS[metric];
	if (kind === "boolean") return typeof value === "boolean" ? Number(value) : `${metric} takes true or false`;
	if (typeof value !== "number" || !Number.isFinite(value)) return `${metric} takes a number`;
	return value >= min && value <= max ? value : `${metric} takes ${min} to ${max}`;
}

/** One measured outcome of one user in one rollout, ready for the store. */
export interface Point extends Omit<Attribution, "unit"> {
	/** The event's id, by which a repetition is known for 24 h. */
	readonly id: string | null;
	readonly metric: Metric;
	/** A keyed hash of the value that was bucketed: the value itself never leaves the edge. */
	readonly unit: string;
	readonly value: number;
	readonly harm: boolean;
}
