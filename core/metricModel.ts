import * as z from "zod";
import { choice } from "./flags/fieldErrors";
import { LOST_METRIC, STANDARD_METRICS, type MetricDefinition } from "./metric";

/** An environment's own metrics as they are written: not for the edge, which never loads zod. */

const isStandard = (key: string): boolean => STANDARD_METRICS.some((each) => each.key === key);

export const metricKey = z.string().regex(/^[a-z][a-z0-9_]{0,62}$/, "takes a lower-case letter, then letters, digits and _, at most 63");

const shape = {
	key: metricKey,
	kind: z
		.enum(["rate", "mean", "quantile", "count"], choice("rate, mean, quantile or count"))
		.describe("rate: true or false; mean and quantile: a number; count: how many, summed by user"),
	unit: z.string().max(20).default("").describe("as in ms or EUR, shown beside values"),
	better: z.enum(["lower", "higher"], choice("lower or higher")).default("lower"),
	harm: z
		.strictObject({ op: z.enum(["lt", "lte", "gt", "gte", "equals"], choice("lt, lte, gt, gte or equals")), value: z.number() })
		.nullable()
		.default(null)
		.describe("what a guard counts as harm to the user; a rate's is its worse answer"),
	description: z.string().max(1_000).default(""),
};

/** What the API takes. */
export const metricDefinition = z.strictObject(shape).superRefine(checkMetric);

/** Where the path names the metric. */
export const metricReplacement = z
	.strictObject({ ...shape, key: metricKey.optional().describe("the path's, where it is given") })
	.superRefine(checkMetric);

/** As stored. */
export const storedMetric = z.object(shape) satisfies z.ZodType<MetricDefinition>;

function checkMetric(
	{ key, kind, harm }: { readonly key?: string | undefined; readonly kind: string; readonly harm: unknown },
	context: { readonly addIssue: (issue: { code: "custom"; path: string[]; message: string }) => void },
): void {
	const refuse = (field: string, message: string): void => context.addIssue({ code: "custom", path: [field], message });
	if (key !== undefined && isStandard(key)) refuse("key", "is a standard metric's");
	if (key === LOST_METRIC) refuse("key", "is what the gateway counts as outcomes that did not arrive");
	if (key !== undefined && /_(?:rate|mean|count|harm|p\d+)$/.test(key)) refuse("key", "must not end like an aggregate of criteria");
	if (kind === "rate" && harm !== null) refuse("harm", "a rate's harm is its worse answer: say `better`");
}
