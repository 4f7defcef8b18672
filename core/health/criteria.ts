import { type MetricDefinition, rangeOf, scopedMetric } from "../metric";
import { type Result, err, ok } from "../result";
import type { Quantile } from "./observation";
import { nearest } from "./suggest";

/**
 * The language of criteria: `error_rate < 3%`, `latency_ms p95 < 2500`, `error_rate vs control <= +25%`,
 * `latency_ms p95 vs baseline <= +20%`. In a plan's criteria a limit says what must hold, in its red flags what must not; both
 * name the same boundary.
 */
export type Criterion = Limit | VersusControl | VersusBaseline;

/** rate: of requests; harm: of requests whose value is harm by the metric's definition; mean and count: over users. */
export type Aggregate = "rate" | "harm" | "mean" | "count" | Percentile;
export type Percentile = "p50" | "p75" | "p90" | "p95" | "p99";

interface Quantity {
	readonly metric: string;
	readonly aggregate: Aggregate;
	/** The side on which a value is bad. */
	readonly bad: "above" | "below";
	readonly unit: string;
}

/** An absolute limit: a fraction for rates and harm, else in the metric's unit. */
export interface Limit extends Quantity {
	readonly kind: "limit";
	readonly text: string;
	readonly limit: number;
	/** Whether the limit itself is still good: with `<= 3%` in criteria it is, with `>= 3%` in red flags it is not. */
	readonly inclusive: boolean;
}

/** Harm in the candidate compared with the control, both bucketed by the rollout. */
export interface VersusControl extends Quantity {
	readonly kind: "versus_control";
	readonly text: string;
	/** Only events that name it count. */
	readonly flag?: string;
	/** +25 % is 0.25. */
	readonly margin: number;
}

/** The candidate against what was measured before the first phase. */
export interface VersusBaseline extends Quantity {
	readonly kind: "versus_baseline";
	readonly text: string;
	/** Only events that name it count. */
	readonly flag?: string;
	/** +20 % is 0.2, −10 % is −0.1. */
	readonly margin: number;
}

export interface CriterionError {
	/** Where in the text, counted from 0. */
	readonly position: number;
	readonly message: string;
}

export type Role = "criterion" | "guard" | "red flag";
type Metrics = ReadonlyMap<string, MetricDefinition>;

const PERCENTILES: readonly string[] = ["p50", "p75", "p90", "p95", "p99"];

export function isPercentile(aggregate: Aggregate): aggregate is Percentile {
	return PERCENTILES.includes(aggregate);
}

/** Criteria are data and never change: a thousand rollouts' are asked for several times a tick. */
const signalKeys = new WeakMap<Criterion, string>();

/** The signal that tells a criterion's harm. Its key means the same in every phase: evidence is collected under it. */
export function signalKeyOf(criterion: Criterion): string {
	const { metric, aggregate, kind } = criterion;
	if (!isPercentile(aggregate)) return metric;
	let key = signalKeys.get(criterion);
	if (key === undefined) {
		const against = kind === "versus_control" ? "control" : "baseline";
		key =
			kind === "limit" ? `${metric}>${criterion.limit}` : `${metric} ${aggregate} vs ${against} +${plainNumber(criterion.margin * 100)}%`;
		signalKeys.set(criterion, key);
	}
	return key;
}

/** A guard of one flag: the events that name it are kept as a metric of their own. */
export function scopedTo(criterion: Criterion, flag: string | undefined): Criterion {
	if (flag === undefined || criterion.kind === "limit") return criterion;
	return { ...criterion, flag, metric: scopedMetric(criterion.metric, flag), text: `${criterion.text} (flag ${flag})` };
}

/** p95 is 0.95. */
export function quantileOfPercentile(percentile: Percentile): Quantile {
	return (Number(percentile.slice(1)) / 100) as Quantile;
}

/** Of requests that may lie above it: p95 is 0.05. */
export function shareAbove(percentile: Percentile): number {
	return (100 - Number(percentile.slice(1))) / 100;
}

/** The hazard ratio that is still no harm, ψ0: of a percentile the margin is part of what counts as harm. */
export function toleratedRatioOf({ aggregate, margin }: VersusControl): number {
	return isPercentile(aggregate) ? 1 : 1 + margin;
}

/** Every quantity that criteria over these metrics may name. */
export function quantitiesOf(metrics: Metrics): ReadonlyMap<string, Quantity> {
	const found = new Map<string, Quantity>();
	for (const { key: metric, kind, unit, better, harm } of metrics.values()) {
		const bad = better === "lower" ? "above" : "below";
		const add = (name: string, aggregate: Aggregate, side: Quantity["bad"] = bad): unknown =>
			found.set(name, { metric, aggregate, bad: side, unit });
		if (kind === "rate") {
			add(`${metric}_rate`, "rate");
			continue;
		}
		if (kind === "count") add(`${metric} count`, "count");
		else add(`${metric} mean`, "mean");
		// Only of values that no sketch has to cut off.
		if (kind === "quantile" && better === "lower")
			for (const percentile of PERCENTILES) add(`${metric} ${percentile}`, percentile as Percentile);
		if (harm) add(`${metric} harm`, "harm", "above");
	}
	return found;
}

interface Token {
	readonly text: string;
	readonly position: number;
}

/** Reads one criterion. What does not parse is told with its position, and with what was probably meant. */
export function parseCriterion(text: string, role: Role, metrics: Metrics): Result<Criterion, CriterionError> {
	const tokens: Token[] = [...text.matchAll(/[<>]=?|[+-]?\d[^\s<>=]*(?: (?:%|ms|s)(?![^\s]))?|[^\s<>=]+|=+/g)].map((match) => ({
		text: match[0],
		position: match.index,
	}));
	const fail = (at: number, message: string) => err({ position: tokens[at]?.position ?? text.length, message });
	const quantities = quantitiesOf(metrics);
	const [first, second] = [tokens[0]?.text ?? "", tokens[1]?.text ?? ""];
	const isLong = /^(?:rate|mean|count|harm|p\d.*)$/.test(second);
	const name = second === "rate" ? `${first}_rate` : isLong ? `${first} ${second}` : first;
	const quantity = quantities.get(name);
	if (!quantity) return fail(...unknownQuantity(name, first, isLong, [...quantities.keys()], metrics));
	const at = isLong ? 2 : 1;
	const said = text.trim();

	if (tokens[at]?.text === "vs") {
		if (role !== "guard") return fail(at, `a ${role} is an absolute limit: a comparison belongs in guards`);
		const against = tokens[at + 1]?.text ?? "";
		if (against !== "control" && against !== "baseline")
			return fail(at + 1, `compares with control or baseline${hintAt(against)}, as in "${name} vs control <= +25%"`);
		if (quantity.aggregate === "count")
			return fail(
				0,
				`${name} cannot be compared: what a user sums up to grows with time. Use ${comparable(quantities, metrics.get(quantity.metric))}, or a limit in criteria`,
			);
		if (against === "control" && (quantity.aggregate === "mean" || quantity.bad === "below"))
			return fail(
				0,
				`${name} cannot be compared with control user by user: use ${comparable(quantities, metrics.get(quantity.metric))}, or "vs baseline"`,
			);
		const read = readMargin(tokens, at + 2, name, against, quantity);
		if (!read.ok) return fail(read.error.at, read.error.message);
		if (against === "baseline") return ok({ kind: "versus_baseline", text: said, ...quantity, margin: read.value });
		return ok({ kind: "versus_control", text: said, ...quantity, margin: read.value });
	}
	if (role === "guard")
		return fail(at, `a guard compares, as in "error_rate vs control <= +25%"; a limit belongs in criteria or red_flags`);
	const operator = tokens[at]?.text ?? "";
	const isBelow = operator === "<" || operator === "<=";
	if (!isBelow && operator !== ">" && operator !== ">=") return fail(at, `expected <, <=, > or >= after "${name}"`);
	const wantsBelow = (quantity.bad === "above") === (role === "criterion");
	if (isBelow !== wantsBelow)
		return fail(
			at,
			`a ${role} says what must ${role === "criterion" ? "" : "not "}hold: did you mean "${name} ${wantsBelow ? "<" : ">"}"?`,
		);
	const isNever = quantity.bad === "above" && operator === (role === "criterion" ? "<=" : ">");
	const read = readLimit(tokens[at + 1]?.text ?? "", `${name} ${operator}`, quantity, metrics, isNever);
	if (!read.ok) return fail(at + 1, read.error);
	if (tokens.length > at + 2) return fail(at + 2, `unexpected "${tokens[at + 2]?.text ?? ""}"`);
	return ok({ kind: "limit", text: said, ...quantity, limit: read.value, inclusive: operator.endsWith("=") === (role === "criterion") });
}

function unknownQuantity(name: string, first: string, isLong: boolean, known: readonly string[], metrics: Metrics): [number, string] {
	const ofMetric = (metric: string): readonly string[] =>
		known.filter((each) => each === `${metric}_rate` || each.startsWith(`${metric} `));
	const own = ofMetric(first);
	if (own.length > 0) {
		const kind = metrics.get(first)?.kind ?? "";
		return [isLong ? 1 : 0, `${first} is a ${kind}: write ${own.map((each) => `"${each}"`).join(", ")}`];
	}
	const meant = nearest(name, known) ?? nearest(first, known) ?? ofMetric(nearest(first, [...metrics.keys()]) ?? "")[0];
	return [0, `unknown quantity "${name}"${meant === undefined ? "." : `: did you mean "${meant}"?`} Known are ${known.join(", ")}`];
}

function hintAt(against: string): string {
	const near = against === "" ? undefined : nearest(against, ["control", "baseline"]);
	return near === undefined ? "" : ` (did you mean "${near}"?)`;
}

/** What users can be compared by: the metric's own quantities, or where it has none whatever there is. */
function comparable(quantities: ReadonlyMap<string, Quantity>, metric: MetricDefinition | undefined): string {
	const all = [...quantities].filter(([, { aggregate, bad }]) => bad === "above" && aggregate !== "mean" && aggregate !== "count");
	const own = all.filter(([, each]) => each.metric === metric?.key);
	return (own.length > 0 ? own : all.filter(([, { aggregate }]) => aggregate === "rate")).map(([name]) => name).join(", ");
}

function readMargin(
	tokens: readonly Token[],
	at: number,
	name: string,
	against: string,
	{ bad }: Quantity,
): Result<number, { readonly at: number; readonly message: string }> {
	const [operator, sign] = bad === "above" ? ["<=", "+"] : [">=", "-"];
	const example = `"${name} vs ${against} ${operator} ${sign}${bad === "above" ? 25 : 10}%"`;
	if (tokens[at]?.text !== operator) return err({ at, message: `expected "${operator}", as in ${example}` });
	const margin = /^([+-])(\d+(?:\.\d+)?) ?%$/.exec(tokens[at + 1]?.text ?? "");
	const value = margin?.[1] === sign ? Number(margin[2]) : Number.NaN;
	// Beyond +900 % the grid of ratios has too few bets left to find anything.
	const max = bad === "above" ? 900 : 100;
	if (!(value <= max)) return err({ at: at + 1, message: `expected a margin from ${sign}0% to ${sign}${max}%, as in ${example}` });
	if (tokens.length > at + 2) return err({ at: at + 2, message: `unexpected "${tokens[at + 2]?.text ?? ""}"` });
	return ok(shifted(margin?.[2] ?? "", -2) * (sign === "+" ? 1 : -1));
}

/** `mayBeNone`: nothing at all of it is a limit that can be kept, as in "discrepancy_rate <= 0%". */
function readLimit(
	found: string,
	before: string,
	{ metric, aggregate, unit, bad }: Quantity,
	metrics: Metrics,
	mayBeNone: boolean,
): Result<number, string> {
	const isFraction = aggregate === "rate" || aggregate === "harm";
	const isTime = unit === "ms";
	const example = `"${before} ${isFraction ? "3%" : isTime ? "2500" : "8"}"`;
	const number = /^(-?\d+(?:\.\d+)?) ?(%|ms|s)?$/.exec(found);
	if (!number) return err(found === "" ? `expected a number, as in ${example}` : `"${found}" is no number: write it as in ${example}`);
	const [digits = "", suffix] = number.slice(1);
	if (isFraction) {
		if (suffix !== "%") return err(`a rate's limit is written in percent, as in ${example}`);
		// Above it there must be room for a rate that is worse: evidence bets on one.
		const max = bad === "above" ? 95 : 100;
		const isAbove = Number(digits) > 0 || (mayBeNone && Number(digits) === 0 && !digits.startsWith("-"));
		return isAbove && Number(digits) < max ? ok(shifted(digits, -2)) : err(`a rate's limit lies above 0% and below ${max}%`);
	}
	if (suffix === "%")
		return err(`a ${isPercentile(aggregate) ? "percentile" : aggregate} has the metric's unit and not %, as in ${example}`);
	if (suffix !== undefined && !isTime) return err(`${metric} is not measured in ${suffix}, as in ${example}`);
	const limit = shifted(digits, suffix === "s" ? 3 : 0);
	const [min, max] = rangeOf(metric, metrics.get(metric)?.kind ?? "mean");
	return limit >= min && limit <= max ? ok(limit) : err(`${metric} goes from ${min} to ${max}`);
}

/** By powers of ten, as written: 2.01 s are 2010 ms, which 2.01 · 1000 is not. */
const shifted = (digits: string, exponent: number): number => Number(`${digits}e${exponent}`);

/** The canonical text; parsed again it gives the same structure. `role` decides on which side of a limit the operator stands. */
export function printCriterion(criterion: Criterion, role: Role): string {
	const { metric, aggregate, bad } = criterion;
	const name = aggregate === "rate" ? `${metric}_rate` : `${metric} ${aggregate}`;
	if (criterion.kind !== "limit") {
		const percent = `${bad === "above" ? "+" : "-"}${plainNumber(Math.abs(criterion.margin) * 100)}%`;
		return `${name} vs ${criterion.kind === "versus_control" ? "control" : "baseline"} ${bad === "above" ? "<=" : ">="} ${percent}`;
	}
	const sign = (bad === "above") === (role === "criterion") ? "<" : ">";
	const isFraction = aggregate === "rate" || aggregate === "harm";
	const limit = isFraction ? `${plainNumber(criterion.limit * 100)}%` : plainNumber(criterion.limit);
	return `${name} ${sign}${criterion.inclusive === (role === "criterion") ? "=" : ""} ${limit}`;
}

/** 15 digits: what is written as 2.3 % is no 2.3000000000000003. */
function plainNumber(value: number): string {
	const text = String(Number(value.toPrecision(15)));
	return text.includes("e") ? value.toFixed(20).replace(/\.?0+$/, "") : text;
}

/** Whether a point estimate lies on the good side. */
export function meets(limit: Limit, value: number): boolean {
	if (value === limit.limit) return limit.inclusive;
	return limit.bad === "above" ? value < limit.limit : value > limit.limit;
}
