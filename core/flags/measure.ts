import { isHarm, scopedMetric } from "../metric";
import type { Point } from "../telemetry";
import type { Attribution } from "./attribution";
import type { MeasuredRollout } from "./snapshot";

/** What of a point an event's metric and value decide. */
export type Measurement = Pick<Point, "metric" | "value" | "harms" | "scored">;

/**
 * What an attributed event is stored as: under its metric, and where the rollout looks at the events of the flag that it names,
 * once more for that. The second is of the same event, so what counts events leaves it out.
 */
export function measurementsOf(
	{ by, arm }: Pick<Attribution, "by" | "arm">,
	{ metric, value, flag }: { readonly metric: string; readonly value: number; readonly flag: string | undefined },
): readonly [Measurement, ...Measurement[]] {
	const of = (name: string): Measurement => {
		if (!by || (arm !== "candidate" && arm !== "control")) return { metric: name, value, harms: [], scored: false };
		const harms = by.signals.flatMap(({ key, slot, metric: own, harm }) =>
			own === name && harm !== null && isHarm(harm[arm], value) ? { signal: key, slot } : [],
		);
		return { metric: name, value, harms, scored: by.scored.includes(name) };
	};
	const own = by && flag !== undefined && (arm === "candidate" || arm === "control") ? guardedAs(by, metric, flag) : undefined;
	return own === undefined ? [of(metric)] : [of(metric), of(own)];
}

/** The metric of the guards that read only events which name this flag, where there are any; mostly not, so its name is not made to find out. */
function guardedAs({ signals }: MeasuredRollout, metric: string, flag: string): string | undefined {
	for (const { metric: own } of signals)
		if (own.length === metric.length + 1 + flag.length && own === scopedMetric(metric, flag)) return own;
	return undefined;
}
