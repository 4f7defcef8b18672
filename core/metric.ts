import { assertNever } from "./result";
import type { Predicate } from "./telemetry";

/** Metrics: what a value is, which way is better, and when it is harm. The standard ones, and an environment's own. */

export interface MetricDefinition {
	readonly key: string;
	/** rate: true or false; mean and quantile: a number; count: how many, summed by user. */
	readonly kind: "rate" | "mean" | "quantile" | "count";
	/** As in ms or EUR, shown beside values. */
	readonly unit: string;
	readonly better: "lower" | "higher";
	/** What a guard counts as harm to the user; a rate's is its worse answer. */
	readonly harm: Predicate | null;
	readonly description: string;
}

/** Whatever a value is, sums of its squares stay exact enough. */
const VALUE_MAX = 1e9;

export const STANDARD_METRICS: readonly MetricDefinition[] = [
	standard("error", "rate", "", "lower", null, "whether a request failed"),
	standard("fallback", "rate", "", "lower", null, "whether a fallback had to answer"),
	standard("latency_ms", "quantile", "ms", "lower", null, "how long a request took; at the gateway, until its answer began"),
	standard("duration_ms", "quantile", "ms", "lower", null, "how long a request took at the gateway, to the last byte of its answer"),
	standard("response_bytes", "quantile", "B", "lower", null, "how large an answer was at the gateway, as it was sent"),
	standard("gateway_retried", "count", "", "lower", null, "requests that the baseline answered after the candidate had failed"),
	standard(
		"gateway_diverted",
		"count",
		"",
		"lower",
		null,
		"requests that the baseline answered in the candidate's place, which had failed too often",
	),
	standard(
		"discrepancy",
		"rate",
		"",
		"lower",
		null,
		"whether the candidate's answer was another than the baseline's, where both are asked",
	),
	standard("satisfaction", "mean", "", "higher", { op: "lt", value: 5 }, "what a user said, from 0 to 10"),
];

/** Of outcomes that the gateway measured and no store has taken: how many. No metric of anybody's, so that nobody's events say it. */
export const LOST_METRIC = "lost";

const RANGES: Readonly<Record<string, readonly [number, number]>> = {
	latency_ms: [0, 86_400_000],
	duration_ms: [0, 86_400_000],
	satisfaction: [0, 10],
};

function standard(
	key: string,
	kind: MetricDefinition["kind"],
	unit: string,
	better: MetricDefinition["better"],
	harm: MetricDefinition["harm"],
	description: string,
): MetricDefinition {
	return { key, kind, unit, better, harm, description };
}

/** What events that name this flag say of a metric; no key has an @, so this is no other metric's. */
export const scopedMetric = (metric: string, flag: string): string => `${metric}@${flag}`;
export const unscopedMetric = (metric: string): string => metric.split("@")[0] ?? metric;

/** The standard metrics and the environment's own, which cannot take a standard one's name. */
export function metricsBy(own: readonly MetricDefinition[]): ReadonlyMap<string, MetricDefinition> {
	return new Map([...own, ...STANDARD_METRICS].map((each) => [each.key, each]));
}

/** A rate's harm is its worse answer; null: no value of this metric is harm by itself. */
export function harmOf({ kind, better, harm }: MetricDefinition): Predicate | null {
	return kind === "rate" ? { op: "equals", value: better === "lower" ? 1 : 0 } : harm;
}

/** What edges need of a metric to read an event. */
export type MetricShape = Pick<MetricDefinition, "key" | "kind">;

/** A metric's value as a number, or why it is none. */
export function valueOf({ key, kind }: MetricShape, value: unknown): number | string {
	if (kind === "rate") return typeof value === "boolean" ? Number(value) : `${key} takes true or false`;
	if (typeof value !== "number" || !Number.isFinite(value)) return `${key} takes a number`;
	const [min, max] = rangeOf(key, kind);
	return value >= min && value <= max ? value : `${key} takes ${min} to ${max}`;
}

export function rangeOf(key: string, kind: MetricDefinition["kind"]): readonly [number, number] {
	// A sketch of quantiles has no bins below zero.
	return RANGES[key] ?? [kind === "mean" ? -VALUE_MAX : 0, VALUE_MAX];
}

export function isHarm({ op, value: limit }: Predicate, value: number): boolean {
	switch (op) {
		case "lt":
			return value < limit;
		case "lte":
			return value <= limit;
		case "gt":
			return value > limit;
		case "gte":
			return value >= limit;
		case "equals":
			return value === limit;
		default:
			return assertNever(op);
	}
}
