import * as fc from "fast-check";
import { expect, test } from "vitest";
import {
	type Criterion,
	type Limit,
	type Role,
	meets,
	parseCriterion,
	printCriterion,
	quantileOfPercentile,
	quantitiesOf,
	signalKeyOf,
	toleratedRatioOf,
} from "../../../core/health/criteria";
import { type MetricDefinition, metricsBy } from "../../../core/metric";
import { aMetric } from "./metrics";

/** One of each kind and direction. */
const METRICS = metricsBy([
	aMetric({ key: "timeout", kind: "rate" }),
	aMetric({ key: "paid", kind: "rate", better: "higher" }),
	aMetric({ key: "cost", kind: "mean", unit: "EUR" }),
	aMetric({ key: "basket", kind: "mean", unit: "EUR", better: "higher", harm: { op: "lt", value: 5 } }),
	aMetric({ key: "paint", kind: "quantile", unit: "ms", harm: { op: "gt", value: 4_000 } }),
	aMetric({ key: "fps", kind: "quantile", better: "higher" }),
	aMetric({ key: "retries", kind: "count", harm: { op: "gte", value: 3 } }),
	aMetric({ key: "orders", kind: "count", better: "higher" }),
]);

const parse = (text: string, role: Role) => parseCriterion(text, role, METRICS);

const errorRate = { kind: "limit", metric: "error", aggregate: "rate", bad: "above", unit: "" };
const satisfaction = { kind: "limit", metric: "satisfaction", aggregate: "mean", bad: "below", unit: "" };
const latency = { kind: "limit", metric: "latency_ms", aggregate: "p95", bad: "above", unit: "ms", limit: 2_500, inclusive: false };
const versusControl = { ...errorRate, kind: "versus_control" };
const versusBaseline = { ...errorRate, kind: "versus_baseline" };

test.each<[Role, string, object]>([
	["criterion", "error_rate < 3%", { ...errorRate, limit: 0.03, inclusive: false }],
	["criterion", "error_rate <= 3%", { ...errorRate, limit: 0.03, inclusive: true }],
	["criterion", "error_rate<3%", { ...errorRate, limit: 0.03, inclusive: false }],
	["criterion", "error rate < 3%", { ...errorRate, limit: 0.03, inclusive: false }],
	["criterion", "  error_rate  <\t3% ", { ...errorRate, limit: 0.03, inclusive: false, text: "error_rate  <\t3%" }],
	["criterion", "error_rate < 3 %", { ...errorRate, limit: 0.03, inclusive: false }],
	["criterion", "error_rate < 0.5%", { ...errorRate, limit: 0.005, inclusive: false }],
	["criterion", "error_rate < 94.9%", { ...errorRate, limit: 0.949, inclusive: false }],
	["criterion", "fallback_rate < 15%", { ...errorRate, metric: "fallback", limit: 0.15, inclusive: false }],
	["criterion", "timeout_rate < 15%", { ...errorRate, metric: "timeout", limit: 0.15, inclusive: false }],
	["criterion", "paid_rate > 99%", { ...errorRate, metric: "paid", bad: "below", limit: 0.99, inclusive: false }],
	["criterion", "paid_rate >= 40%", { ...errorRate, metric: "paid", bad: "below", limit: 0.4, inclusive: true }],
	["criterion", "satisfaction mean > 8", { ...satisfaction, limit: 8, inclusive: false }],
	["criterion", "satisfaction mean >= 8.5", { ...satisfaction, limit: 8.5, inclusive: true }],
	["criterion", "satisfaction harm < 4%", { ...errorRate, metric: "satisfaction", aggregate: "harm", limit: 0.04, inclusive: false }],
	["criterion", "latency_ms mean < 250", { ...latency, aggregate: "mean", limit: 250 }],
	["criterion", "latency_ms p95 < 2500", latency],
	["criterion", "latency_ms p95 < 2500ms", latency],
	["criterion", "latency_ms p95 < 2500 ms", latency],
	["criterion", "latency_ms p95 < 2.5s", latency],
	["criterion", "latency_ms p95 < 2.5 s", latency],
	["criterion", "latency_ms p95<2.5s", latency],
	["criterion", "latency_ms p95 < 2.01s", { ...latency, limit: 2_010 }],
	["criterion", "latency_ms p50 < 200", { ...latency, aggregate: "p50", limit: 200 }],
	["criterion", "latency_ms p75 < 300", { ...latency, aggregate: "p75", limit: 300 }],
	["criterion", "latency_ms p90 < 500", { ...latency, aggregate: "p90", limit: 500 }],
	["criterion", "latency_ms p99 <= 86400s", { ...latency, aggregate: "p99", limit: 86_400_000, inclusive: true }],
	["criterion", "paint p95 < 3s", { ...latency, metric: "paint", limit: 3_000 }],
	["criterion", "paint harm < 5%", { ...errorRate, metric: "paint", aggregate: "harm", unit: "ms", limit: 0.05, inclusive: false }],
	["criterion", "cost mean < 12.5", { ...errorRate, metric: "cost", aggregate: "mean", unit: "EUR", limit: 12.5, inclusive: false }],
	["criterion", "cost mean < -3", { ...errorRate, metric: "cost", aggregate: "mean", unit: "EUR", limit: -3, inclusive: false }],
	["criterion", "cost mean < 20", { ...errorRate, metric: "cost", aggregate: "mean", unit: "EUR", limit: 20, inclusive: false }],
	["criterion", "basket mean > 30", { ...satisfaction, metric: "basket", unit: "EUR", limit: 30, inclusive: false }],
	["criterion", "fps mean > 50", { ...satisfaction, metric: "fps", limit: 50, inclusive: false }],
	["criterion", "retries count < 2", { ...errorRate, metric: "retries", aggregate: "count", limit: 2, inclusive: false }],
	["criterion", "orders count > 0.2", { ...satisfaction, metric: "orders", aggregate: "count", limit: 0.2, inclusive: false }],
	["criterion", "error_rate <= 0%", { ...errorRate, limit: 0, inclusive: true }],
	["red flag", "error_rate > 0%", { ...errorRate, limit: 0, inclusive: true }],
	["red flag", "error_rate > 10%", { ...errorRate, limit: 0.1, inclusive: true }],
	["red flag", "error_rate >= 10%", { ...errorRate, limit: 0.1, inclusive: false }],
	["red flag", "satisfaction mean < 5", { ...satisfaction, limit: 5, inclusive: true }],
	["red flag", "latency_ms mean > 5000", { ...latency, aggregate: "mean", limit: 5_000, inclusive: true }],
	["red flag", "latency_ms p99 > 10s", { ...latency, aggregate: "p99", limit: 10_000, inclusive: true }],
	["red flag", "paid_rate < 20%", { ...errorRate, metric: "paid", bad: "below", limit: 0.2, inclusive: true }],
	["red flag", "orders count < 0.1", { ...satisfaction, metric: "orders", aggregate: "count", limit: 0.1, inclusive: true }],
	["guard", "error_rate vs control <= +25%", { ...versusControl, margin: 0.25 }],
	["guard", "fallback_rate vs control <= +0%", { ...versusControl, metric: "fallback", margin: 0 }],
	["guard", "error_rate vs control <= +12.5%", { ...versusControl, margin: 0.125 }],
	["guard", "error_rate vs control <= +25 %", { ...versusControl, margin: 0.25 }],
	["guard", "error_rate vs control <= +900%", { ...versusControl, margin: 9 }],
	["guard", "latency_ms p95 vs control <= +20%", { ...versusControl, metric: "latency_ms", aggregate: "p95", unit: "ms", margin: 0.2 }],
	["guard", "satisfaction harm vs control <= +5%", { ...versusControl, metric: "satisfaction", aggregate: "harm", margin: 0.05 }],
	["guard", "retries harm vs control <= +5%", { ...versusControl, metric: "retries", aggregate: "harm", margin: 0.05 }],
	["guard", "error_rate vs baseline <= +20%", { ...versusBaseline, margin: 0.2 }],
	["guard", "latency_ms p95 vs baseline <= +20%", { ...versusBaseline, metric: "latency_ms", aggregate: "p95", unit: "ms", margin: 0.2 }],
	["guard", "latency_ms mean vs baseline <= +20%", { ...versusBaseline, metric: "latency_ms", aggregate: "mean", unit: "ms", margin: 0.2 }],
	["guard", "satisfaction mean vs baseline >= -10%", { ...versusBaseline, ...satisfaction, kind: "versus_baseline", margin: -0.1 }],
	[
		"guard",
		"fps mean vs baseline >= -2.5%",
		{ ...versusBaseline, ...satisfaction, kind: "versus_baseline", metric: "fps", margin: -0.025 },
	],
	["guard", "paid_rate vs baseline >= -1%", { ...versusBaseline, metric: "paid", bad: "below", margin: -0.01 }],
	["guard", "paid_rate vs baseline >= -100%", { ...versusBaseline, metric: "paid", bad: "below", margin: -1 }],
])("a %s: %s", (role, text, expected) => {
	expect(parse(text, role)).toEqual({ ok: true, value: { text, ...expected } });
});

test.each<[Role, string, position: number, message: RegExp]>([
	["criterion", "", 0, /^unknown quantity ""\. Known are/],
	["criterion", "   ", 3, /unknown quantity ""/],
	["criterion", "errors < 3%", 0, /^unknown quantity "errors": did you mean "error_rate"\? Known are .*error_rate, fallback_rate/],
	["criterion", "eror_rate < 3%", 0, /^unknown quantity "eror_rate": did you mean "error_rate"\?/],
	["criterion", "falback_rate < 3%", 0, /did you mean "fallback_rate"\?/],
	["criterion", "latncy_ms p95 < 2500", 0, /did you mean "latency_ms p95"\?/],
	["criterion", "ordrs count > 3", 0, /did you mean "orders count"\?/],
	["criterion", "constructor < 3%", 0, /^unknown quantity "constructor"\. Known are/],
	["criterion", "__proto__ < 3%", 0, /^unknown quantity "__proto__"\. Known are/],
	["criterion", "error_rate mean < 3%", 0, /unknown quantity "error_rate mean": did you mean "error_rate"\?/],
	["criterion", "error < 3%", 0, /^error is a rate: write "error_rate"$/],
	["criterion", "error mean < 3%", 6, /^error is a rate: write "error_rate"$/],
	["criterion", "satisfaction > 8", 0, /^satisfaction is a mean: write "satisfaction mean", "satisfaction harm"$/],
	["criterion", "satisfaction p95 > 8", 13, /^satisfaction is a mean: write "satisfaction mean"/],
	["criterion", "latency_ms < 2500", 0, /^latency_ms is a quantile: write "latency_ms mean", "latency_ms p50", .*"latency_ms p99"$/],
	["criterion", "latency_ms p94 < 2500", 11, /^latency_ms is a quantile: write .*"latency_ms p95"/],
	["criterion", "latency_ms harm < 5%", 11, /^latency_ms is a quantile: write/],
	["criterion", "fps p95 > 50", 4, /^fps is a quantile: write "fps mean"$/],
	["criterion", "orders > 3", 0, /^orders is a count: write "orders count"$/],
	["criterion", "orders mean > 3", 7, /^orders is a count: write "orders count"$/],
	["criterion", "orders harm < 3%", 7, /^orders is a count: write "orders count"$/],
	["guard", "errors vs control <= +5%", 0, /did you mean "error_rate"\? Known are/],
	["criterion", "Error_rate < 3%", 0, /unknown quantity "Error_rate": did you mean "error_rate"\?/],
	["criterion", "error_rate", 10, /expected <, <=, > or >=/],
	["criterion", "error_rate 3%", 11, /expected <, <=, > or >= after "error_rate"/],
	["criterion", "error_rate == 3%", 11, /expected <, <=, > or >=/],
	["criterion", "error_rate = 3%", 11, /expected <, <=, > or >=/],
	["criterion", "error_rate > 3%", 11, /says what must hold: did you mean "error_rate <"/],
	["criterion", "paid_rate < 90%", 10, /says what must hold: did you mean "paid_rate >"/],
	["criterion", "satisfaction mean < 8", 18, /did you mean "satisfaction mean >"/],
	["criterion", "satisfaction harm > 8%", 18, /did you mean "satisfaction harm <"/],
	["red flag", "error_rate < 10%", 11, /says what must not hold: did you mean "error_rate >"/],
	["red flag", "satisfaction mean > 5", 18, /did you mean "satisfaction mean <"/],
	["criterion", "error_rate <", 12, /expected a number, as in "error_rate < 3%"/],
	["criterion", "latency_ms p95 <", 16, /expected a number, as in "latency_ms p95 < 2500"/],
	["criterion", "orders count >", 14, /expected a number, as in "orders count > 8"/],
	["criterion", "error_rate < three", 13, /"three" is no number: write it as in "error_rate < 3%"/],
	["criterion", "error_rate < -3%", 13, /above 0% and below 95%/],
	["criterion", "error_rate < +3%", 13, /is no number/],
	["criterion", "error_rate < 3e-2", 13, /is no number/],
	["criterion", "error_rate < 1e-3%", 13, /is no number/],
	["criterion", "error_rate < .5%", 13, /is no number/],
	["criterion", "error_rate < 0%", 13, /above 0% and below 95%/],
	["criterion", "error_rate <= -0%", 14, /above 0% and below 95%/],
	["criterion", "paid_rate >= 0%", 13, /above 0% and below 100%/],
	["red flag", "error_rate >= 0%", 14, /above 0% and below 95%/],
	["criterion", "error_rate < 95%", 13, /above 0% and below 95%/],
	["criterion", "paid_rate > 0%", 12, /above 0% and below 100%/],
	["criterion", "paid_rate >= 100%", 13, /above 0% and below 100%/],
	["criterion", "error_rate < 3", 13, /a rate's limit is written in percent, as in "error_rate < 3%"/],
	["criterion", "error_rate < 0.03", 13, /written in percent/],
	["criterion", "error_rate < 3s", 13, /written in percent/],
	["criterion", "retries harm < 5", 15, /written in percent, as in "retries harm < 3%"/],
	["criterion", "latency_ms mean < 200us", 18, /"200us" is no number: write it as in "latency_ms mean < 2500"/],
	["criterion", "latency_ms p95 < 2 m", 19, /unexpected "m"/],
	["criterion", "latency_ms p95 < 5%", 17, /a percentile has the metric's unit and not %, as in "latency_ms p95 < 2500"/],
	["criterion", "latency_ms p95 < 86401s", 17, /latency_ms goes from 0 to 86400000/],
	["criterion", "latency_ms p95 < -1", 17, /latency_ms goes from 0 to 86400000/],
	["criterion", "cost mean < 5s", 12, /cost is not measured in s, as in "cost mean < 8"/],
	["criterion", "cost mean < 5 EUR", 14, /unexpected "EUR"/],
	["criterion", "orders count > -1", 15, /orders goes from 0 to 1000000000/],
	["criterion", "satisfaction mean > 80", 20, /satisfaction goes from 0 to 10/],
	["criterion", "error_rate < 3% of users", 16, /unexpected "of"/],
	["criterion", "satisfaction mean > 80%", 20, /a mean has the metric's unit and not %, as in "satisfaction mean > 8"/],
	["criterion", "orders count > 80%", 15, /a count has the metric's unit and not %/],
	["criterion", "error_rate vs control <= +25%", 11, /a criterion is an absolute limit: a comparison belongs in guards/],
	["criterion", "error_rate vs baseline <= +25%", 11, /a criterion is an absolute limit: a comparison belongs in guards/],
	["red flag", "error_rate vs control <= +25%", 11, /a red flag is an absolute limit/],
	["guard", "error_rate < 3%", 11, /a guard compares, as in "error_rate vs control <= \+25%"; a limit belongs in criteria or red_flags/],
	["guard", "error_rate", 10, /a guard compares/],
	["guard", "error_rate vs", 13, /compares with control or baseline, as in "error_rate vs control <= \+25%"/],
	["guard", "error_rate vs contol <= +20%", 14, /compares with control or baseline/],
	[
		"guard",
		"satisfaction mean vs control <= +5%",
		0,
		/cannot be compared with control user by user: use satisfaction harm, or "vs baseline"/,
	],
	[
		"guard",
		"satisfaction mean vs control >= -5%",
		0,
		/^satisfaction mean cannot be compared with control user by user: use satisfaction harm, or "vs baseline"$/,
	],
	["guard", "latency_ms mean vs control <= +5%", 0, /latency_ms mean cannot be compared with control user by user/],
	[
		"guard",
		"retries count vs control <= +5%",
		0,
		/^retries count cannot be compared: .* grows with time\. Use .*retries harm.*, or a limit in criteria$/,
	],
	["guard", "orders count vs baseline >= -10%", 0, /^orders count cannot be compared: .* grows with time/],
	["guard", "paid_rate vs control >= -5%", 0, /paid_rate cannot be compared with control user by user/],
	["guard", "error_rate vs control < +25%", 22, /expected "<="/],
	["guard", "error_rate vs baseline >= -10%", 23, /expected "<=", as in "error_rate vs baseline <= \+25%"/],
	["guard", "satisfaction mean vs baseline <= +10%", 30, /expected ">=", as in "satisfaction mean vs baseline >= -10%"/],
	["guard", "error_rate vs control", 21, /expected "<="/],
	["guard", "error_rate vs control <= 25%", 25, /expected a margin/],
	["guard", "error_rate vs control <= +25", 25, /expected a margin/],
	["guard", "error_rate vs control <= -25%", 25, /expected a margin/],
	["guard", "error_rate vs control <= +901%", 25, /from \+0% to \+900%/],
	["guard", "satisfaction mean vs baseline >= -101%", 33, /from -0% to -100%/],
	["guard", "satisfaction mean vs baseline >= +10%", 33, /expected a margin/],
	["guard", "error_rate vs control <=", 24, /expected a margin/],
	["guard", "error_rate vs control <= +25% always", 30, /unexpected "always"/],
])("no %s: %j, at character %i", (role, text, position, message) => {
	expect(parse(text, role)).toEqual({ ok: false, error: { position, message: expect.stringMatching(message) as string } });
});

test("whatever is written, the answer is a criterion or an error within the text", () => {
	const aWord = fc.oneof(
		fc.constantFrom(...quantitiesOf(METRICS).keys()),
		fc.constantFrom("error_rate", "satisfaction", "mean", "p95", "vs", "control", "baseline"),
		fc.constantFrom("<", "<=", ">", ">=", "+25%", "-10%", "3%", "8", "2.5s", "ms", "=", " "),
		fc.string({ unit: "binary" }),
	);
	fc.assert(
		fc.property(
			fc.array(aWord, { maxLength: 8 }).map((words) => words.join(" ")),
			fc.constantFrom<Role>("criterion", "guard", "red flag"),
			(text, role) => {
				const result = parse(text, role);
				if (result.ok) expect(result.value.text).toBe(text.trim());
				else expect(result.error.position >= 0 && result.error.position <= text.length).toBe(true);
			},
		),
		{ numRuns: 2_000 },
	);
});

/** Above 0 and below `max`, as people write numbers: with up to six decimals. */
const aNumber = (max: number): fc.Arbitrary<string> =>
	fc
		.tuple(fc.integer({ min: 1, max: max - 1 }), fc.integer({ min: 1, max: 999_999 }), fc.integer({ min: 0, max: 6 }))
		.map(([whole, part, digits]) => (digits === 0 ? String(whole) : `${whole - 1}.${String(part).padStart(digits, "0")}`));

/** Everything that parses, but for the blanks. */
const aCriterion: fc.Arbitrary<readonly [text: string, role: Role]> = fc
	.tuple(fc.constantFrom(...quantitiesOf(METRICS)), fc.constantFrom<Role>("criterion", "red flag", "guard"), fc.boolean())
	.filter(([[, { aggregate }], role]) => !(role === "guard" && aggregate === "count"))
	.chain(([[name, { metric, aggregate, bad, unit }], role, isOther]): fc.Arbitrary<readonly [string, Role]> => {
		if (role === "guard") {
			const canControl = bad === "above" && aggregate !== "mean";
			const against = canControl && isOther ? "control" : "baseline";
			const [operator, max] = bad === "above" ? ["<= +", 900] : [">= -", 100];
			return aNumber(max).map((margin) => [`${name} vs ${against} ${operator}${margin}%`, role] as const);
		}
		const operator = ((bad === "above") === (role === "criterion") ? "<" : ">") + (isOther ? "=" : "");
		const isFraction = aggregate === "rate" || aggregate === "harm";
		const suffix = fc.constantFrom(...(isFraction ? ["%", " %"] : unit === "ms" ? ["", "ms", " ms", "s", " s"] : [""]));
		const number = isFraction ? aNumber(bad === "above" ? 95 : 100) : aNumber(metric === "satisfaction" ? 10 : 86_400);
		return fc.tuple(number, suffix).map(([value, by]) => [`${name} ${operator} ${value}${by}`, role] as const);
	});

test("a criterion that is printed parses to the same structure, and prints the same again", () => {
	const reached = new Set<string>();
	fc.assert(
		fc.property(aCriterion, ([text, role]) => {
			const { text: _, ...structure } = criterionOf(text, role);
			const printed = printCriterion(criterionOf(text, role), role);
			expect(criterionOf(printed, role)).toEqual({ ...structure, text: printed });
			expect(printCriterion(criterionOf(printed, role), role)).toBe(printed);
			reached.add(`${structure.kind} ${structure.aggregate} ${structure.bad}`);
		}),
		{ numRuns: 3_000 },
	);
	expect([...reached].filter((each) => each.startsWith("versus_control")).sort()).toEqual(
		["harm", "p50", "p75", "p90", "p95", "p99", "rate"].map((each) => `versus_control ${each} above`),
	);
	expect(reached).toContain("versus_baseline mean below");
	expect(reached).toContain("limit rate below");
});

function criterionOf(text: string, role: Role): Criterion {
	const result = parse(text, role);
	if (!result.ok) throw new Error(`${text}: ${result.error.message}`);
	return result.value;
}

test.each<[Role, string, string]>([
	["criterion", "error rate<3 %", "error_rate < 3%"],
	["criterion", "error_rate < 2.3%", "error_rate < 2.3%"],
	["criterion", "error_rate < 0.0001%", "error_rate < 0.0001%"],
	["criterion", "latency_ms p95 < 2.5s", "latency_ms p95 < 2500"],
	["criterion", "cost mean < 0.0000001", "cost mean < 0.0000001"],
	["criterion", "cost mean < -3", "cost mean < -3"],
	["red flag", "satisfaction mean <= 5", "satisfaction mean <= 5"],
	["guard", "error_rate vs control <= +12.5 %", "error_rate vs control <= +12.5%"],
	["guard", "error_rate vs control <= +2.3%", "error_rate vs control <= +2.3%"],
	["guard", "satisfaction mean vs baseline >= -2.3%", "satisfaction mean vs baseline >= -2.3%"],
])("the %s %s is printed as %s", (role, text, printed) => expect(printCriterion(criterionOf(text, role), role)).toBe(printed));

test.each<[Role, string, string]>([
	["criterion", "error_rate < 3%", "error"],
	["red flag", "error_rate > 10%", "error"],
	["guard", "error_rate vs control <= +25%", "error"],
	["guard", "error_rate vs baseline <= +20%", "error"],
	["criterion", "satisfaction mean > 8", "satisfaction"],
	["criterion", "satisfaction harm < 4%", "satisfaction"],
	["criterion", "orders count > 0.2", "orders"],
	["criterion", "latency_ms mean < 250", "latency_ms"],
	["criterion", "latency_ms p95 < 2.5s", "latency_ms>2500"],
	["criterion", "latency_ms p50 < 2500", "latency_ms>2500"],
	["red flag", "latency_ms p99 > 2500ms", "latency_ms>2500"],
	["guard", "latency_ms p95 vs control <= +20%", "latency_ms p95 vs control +20%"],
	["guard", "latency_ms p99 vs control <= +20%", "latency_ms p99 vs control +20%"],
	["guard", "latency_ms p95 vs control <= +2.3%", "latency_ms p95 vs control +2.3%"],
	["guard", "latency_ms p95 vs baseline <= +20%", "latency_ms p95 vs baseline +20%"],
])("the harm of the %s %s is told by the signal %s", (role, text, key) => expect(signalKeyOf(criterionOf(text, role))).toBe(key));

test.each<[string, number]>([
	["error_rate vs control <= +25%", 1.25],
	["fallback_rate vs control <= +0%", 1],
	["satisfaction harm vs control <= +5%", 1.05],
	["latency_ms p95 vs control <= +20%", 1],
])("%s tolerates a ratio of harms of %d: a percentile's margin is in what harms", (text, ratio) => {
	const guard = criterionOf(text, "guard");
	if (guard.kind !== "versus_control") throw new Error(guard.kind);
	expect(toleratedRatioOf(guard)).toBe(ratio);
});

test.each([
	["p50", 0.5],
	["p75", 0.75],
	["p90", 0.9],
	["p95", 0.95],
	["p99", 0.99],
] as const)("%s is the quantile %d", (percentile, quantile) => expect(quantileOfPercentile(percentile)).toBe(quantile));

test.each<[string, Partial<MetricDefinition>, readonly string[]]>([
	["a rate by its rate alone", { kind: "rate" }, ["own_rate"]],
	["a mean by its mean", { kind: "mean" }, ["own mean"]],
	["a quantile by percentiles", { kind: "quantile" }, ["own mean", "own p50", "own p75", "own p90", "own p95", "own p99"]],
	["a mean that had better be high by its mean", { kind: "mean", better: "higher" }, ["own mean"]],
	["a count by its sum over a user", { kind: "count" }, ["own count"]],
	["a value of which some is harm by that too", { kind: "count", harm: { op: "gt", value: 3 } }, ["own count", "own harm"]],
	[
		"a quantile that had better be high, with harm",
		{ kind: "quantile", better: "higher", harm: { op: "lt", value: 3 } },
		["own mean", "own harm"],
	],
])("criteria judge %s", (_, change, names) => {
	const own = new Map([["own", aMetric({ key: "own", ...change })]]);
	expect([...quantitiesOf(own).keys()]).toEqual(names);
});

test("harm is bad above its limit, whichever way the metric is better", () => {
	expect(criterionOf("basket harm < 5%", "criterion").bad).toBe("above");
	expect(criterionOf("basket mean > 5", "criterion").bad).toBe("below");
});

test("an environment's own metrics are known in it alone", () => {
	expect(parseCriterion("orders count > 1", "criterion", metricsBy([]))).toMatchObject({ ok: false, error: { position: 0 } });
});

test("no metric of one's own takes a standard one's place", () => {
	const taken = metricsBy([aMetric({ key: "error", kind: "count", better: "higher" })]);
	expect(parseCriterion("error_rate < 3%", "criterion", taken)).toMatchObject({ ok: true, value: errorRate });
});

function limitOf(text: string, role: "criterion" | "red flag"): Limit {
	const found = criterionOf(text, role);
	if (found.kind !== "limit") throw new Error(`no limit: ${text}`);
	return found;
}

test.each<["criterion" | "red flag", string, below: boolean, at: boolean, above: boolean]>([
	["criterion", "error_rate < 10%", true, false, false],
	["criterion", "error_rate <= 10%", true, true, false],
	["red flag", "error_rate > 10%", true, true, false],
	["red flag", "error_rate >= 10%", true, false, false],
	["criterion", "satisfaction mean > 0.1", false, false, true],
	["criterion", "satisfaction mean >= 0.1", false, true, true],
	["red flag", "satisfaction mean < 0.1", false, true, true],
	["red flag", "satisfaction mean <= 0.1", false, false, true],
])("%s %s: good below %j, at %j, above %j", (role, text, below, at, above) => {
	expect([0.05, 0.1, 0.2].map((value) => meets(limitOf(text, role), value))).toEqual([below, at, above]);
});
