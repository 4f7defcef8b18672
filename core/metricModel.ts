import * as z from "zod";
import { STANDARD_METRICS, type MetricDefinition } from "./metric";

/** An environment's own metrics as they are written: not for the edge, which never loads zod. */

const isStandard = (key: string): boolean => STANDARD_METRICS.some((each) => each.key === key);

export const metricKey = z.string().regex(/^[a-z][a-z0-9_]{0,62}$/, "takes a lower-case letter, then letters, digits and _, at most 63");

const shape = {
	key: metricKey,
	kind: z
		.enum(["rate", "mean", "quantile", "count"])
		.describe("rate: true or false; mean and quantile: a number; count: how many, summed by user"),
	unit: z.string().max(20).default("").describe("as in ms or EUR, shown beside values"),
	better: z.enum(["lower", "higher"]).default("lower"),
	harm: z
		.strictObject({ op: z.enum(["lt", "lte", "gt", "gte", "equals"]), value: z.number() })
		.nullable()
		.default(null)
		.describe("what a guard counts as harm to the user; a rate's is its worse answer"),
	description: z.string().max(1_000).default(""),
};

/** What the API takes. */
export const metricDefinition = z
	.strictObject(shape)
	.refine(({ key }) => !isStandard(key), { path: ["key"], message: "is a standard metric's" })
	.refine(({ key }) => !/_(?:rate|mean|count|harm|p\d+)$/.test(key), {
		path: ["key"],
		message: "must not end like an aggregate of criteria",
	})
	.refine(({ kind, harm }) => kind !== "rate" || harm === null, {
		path: ["harm"],
		message: "a rate's harm is its worse answer: say `better`",
	});

/** As stored. */
export const storedMetric = z.object(shape) satisfies z.ZodType<MetricDefinition>;
