import * as z from "zod";
import type { MetricDefinition } from "../../core/metric";
import { storedMetric } from "../../core/metricModel";
import type { Performance } from "../metrics/source";

/** One metric's outcomes, told by what its values are. */
const measured = z.object({
	kind: storedMetric.shape.kind.nullable().describe("null: it is not defined any more"),
	unit: z.string(),
	requests: z.int().describe("how often it was reported"),
	rate: z.number().nullable().describe("of a rate: the share of true"),
	mean: z.number().nullable().describe("of anything else, over requests"),
	total: z.number().nullable().describe("of a count"),
	p50: z.number().nullable().describe("of a quantile, within 1 %"),
	p95: z.number().nullable(),
	p99: z.number().nullable(),
});

const outcomes = z.object({
	events: z.int(),
	metrics: z.record(z.string(), measured).describe("by metric"),
});

export const report = z.object({
	totals: outcomes.describe("of the whole environment, each event once, whatever flags it has to do with"),
	flags: z.array(z.object({ flag: z.string(), variants: z.array(z.object({ variant: z.string(), ...outcomes.shape })) })),
});

type Outcomes = z.infer<typeof outcomes>;

/** What flags served and how it went, sorted by flag and variant. An event is about one metric. */
export function reportOf(rows: readonly Performance[], definitions: ReadonlyMap<string, MetricDefinition>): z.infer<typeof report> {
	const outcomesOf = (some: readonly Performance[]): Outcomes => ({
		events: some.reduce((sum, { requests }) => sum + requests, 0),
		metrics: Object.fromEntries([...some].sort(by("metric")).map((row) => [row.metric, measuredOf(row, definitions.get(row.metric))])),
	});
	const flags = Map.groupBy(rows.filter(({ flag }) => flag !== "").sort(by("flag")), ({ flag }) => flag);
	return {
		totals: outcomesOf(rows.filter(({ flag }) => flag === "")),
		flags: [...flags].map(([flag, own]) => ({
			flag,
			variants: [...Map.groupBy(own.sort(by("variant")), ({ variant }) => variant)].map(([variant, some]) => ({
				variant,
				...outcomesOf(some),
			})),
		})),
	};
}

function measuredOf({ requests, sum, p50, p95, p99 }: Performance, definition: MetricDefinition | undefined): Outcomes["metrics"][string] {
	const kind = definition?.kind ?? null;
	const average = requests > 0 ? sum / requests : null;
	const isQuantile = kind === "quantile";
	return {
		kind,
		unit: definition?.unit ?? "",
		requests,
		rate: kind === "rate" ? average : null,
		mean: kind === "rate" ? null : average,
		total: kind === "count" ? sum : null,
		p50: isQuantile ? p50 : null,
		p95: isQuantile ? p95 : null,
		p99: isQuantile ? p99 : null,
	};
}

const by =
	(field: "flag" | "variant" | "metric") =>
	(a: Performance, b: Performance): number =>
		a[field] < b[field] ? -1 : Number(a[field] > b[field]);
