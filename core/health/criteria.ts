import { type Result, err, ok } from "../result";
import { METRICS } from "../telemetry";

/**
 * The language of criteria: `error_rate < 3%`, `satisfaction mean > 8`, `error_rate vs control <= +25%`. In a plan's criteria
 * a limit says what must hold, in its red flags what must not; both name the same boundary.
 */
export type Criterion = Limit | VersusControl;

/** An absolute limit on a rate (a fraction) or on the mean of users' means (in the metric's unit). */
export interface Limit {
	readonly kind: "limit";
	readonly text: string;
	readonly metric: "error" | "fallback" | "latency_ms" | "satisfaction";
	readonly aggregate: "rate" | "mean";
	/** The side on which a value is bad. */
	readonly bad: "above" | "below";
	readonly limit: number;
	/** Whether the limit itself is still good: with `<= 3%` in criteria it is, with `>= 3%` in red flags it is not. */
	readonly inclusive: boolean;
}

/** Harm in the candidate compared with the control, both bucketed by the rollout. */
export interface VersusControl {
	readonly kind: "versus_control";
	readonly text: string;
	readonly metric: "error" | "fallback";
	/** The tolerated ratio of hazards, ψ0: +25 % is 1.25. */
	readonly toleratedRatio: number;
}

export interface CriterionError {
	/** Where in the text, counted from 0. */
	readonly position: number;
	readonly message: string;
}

const QUANTITIES = {
	error_rate: { metric: "error", aggregate: "rate", bad: "above" },
	fallback_rate: { metric: "fallback", aggregate: "rate", bad: "above" },
	"latency_ms mean": { metric: "latency_ms", aggregate: "mean", bad: "above" },
	"satisfaction mean": { metric: "satisfaction", aggregate: "mean", bad: "below" },
} as const;
const KNOWN = Object.keys(QUANTITIES).join(", ");
const RATES = "error_rate, fallback_rate";

interface Token {
	readonly text: string;
	readonly position: number;
}

export function parseCriterion(text: string, role: "criterion" | "guard" | "red flag"): Result<Criterion, CriterionError> {
	const tokens: Token[] = [...text.matchAll(/[<>]=?|[+\d][^\s<>=]* %|[^\s<>=]+|=+/g)].map((match) => ({
		text: match[0],
		position: match.index,
	}));
	const fail = (at: number, message: string) => err({ position: tokens[at]?.position ?? text.length, message });
	const first = tokens[0]?.text ?? "";
	const isMean = tokens[1]?.text === "mean";
	const name = isMean ? `${first} mean` : first;
	if (!Object.hasOwn(QUANTITIES, name)) {
		if (Object.hasOwn(QUANTITIES, `${first} mean`)) return fail(1, `${first} is judged by its mean: "${first} mean"`);
		return fail(0, `unknown quantity "${name}": known are ${role === "guard" ? RATES : KNOWN}`);
	}
	const quantity = QUANTITIES[name as keyof typeof QUANTITIES];
	const rest = isMean ? 2 : 1;

	if (tokens[rest]?.text === "vs") {
		if (role !== "guard") return fail(rest, `a ${role} is an absolute limit: a comparison belongs in guards`);
		if (tokens[rest + 1]?.text !== "control") return fail(rest + 1, `compares with control only: "${name} vs control <= +25%"`);
		const { metric } = quantity;
		if (metric === "latency_ms" || metric === "satisfaction") return fail(0, `only rates can be compared with control: ${RATES}`);
		if (tokens[rest + 2]?.text !== "<=") return fail(rest + 2, `expected "<=", as in "${name} vs control <= +25%"`);
		const margin = /^\+(\d+(?:\.\d+)?) ?%$/.exec(tokens[rest + 3]?.text ?? "");
		const toleratedRatio = 1 + Number(margin?.[1] ?? Number.NaN) / 100;
		// Beyond +900 % the grid of ratios has too few bets left to find anything.
		if (!(toleratedRatio <= 10)) return fail(rest + 3, `expected a margin from +0% to +900%, as in "${name} vs control <= +25%"`);
		if (tokens.length > rest + 4) return fail(rest + 4, `unexpected "${tokens[rest + 4]?.text ?? ""}"`);
		return ok({ kind: "versus_control", text: text.trim(), metric, toleratedRatio });
	}

	if (role === "guard")
		return fail(rest, `a guard compares with control, as in "error_rate vs control <= +25%"; a limit belongs in criteria or red_flags`);
	const operator = tokens[rest]?.text ?? "";
	const isBelow = operator === "<" || operator === "<=";
	if (!isBelow && operator !== ">" && operator !== ">=") return fail(rest, `expected <, <=, > or >= after "${name}"`);
	const wantsBelow = (quantity.bad === "above") === (role === "criterion");
	if (isBelow !== wantsBelow)
		return fail(
			rest,
			`a ${role} says what must ${role === "criterion" ? "" : "not "}hold: did you mean "${name} ${wantsBelow ? "<" : ">"}"?`,
		);
	const found = tokens[rest + 1]?.text ?? "";
	const number = /^(\d+(?:\.\d+)?)( ?%)?$/.exec(found);
	const example = `"${name} ${operator} ${quantity.aggregate === "rate" ? "3%" : quantity.metric === "latency_ms" ? "200" : "8"}"`;
	if (!number)
		return fail(rest + 1, found === "" ? `expected a number, as in ${example}` : `"${found}" is no number: write it as in ${example}`);
	const isPercent = number[2] !== undefined;
	if (isPercent && quantity.aggregate === "mean") return fail(rest + 1, `a mean has the metric's unit and not %, as in ${example}`);
	if (!isPercent && quantity.aggregate === "rate") return fail(rest + 1, `a rate's limit is written in percent, as in ${example}`);
	const limit = Number(number[1]) / (isPercent ? 100 : 1);
	if (quantity.aggregate === "rate" && !(limit > 0 && limit < 0.95)) return fail(rest + 1, "a rate's limit lies above 0% and below 95%");
	const { min, max } = METRICS[quantity.metric];
	if (quantity.aggregate === "mean" && (limit < min || limit > max)) return fail(rest + 1, `${quantity.metric} goes from ${min} to ${max}`);
	if (tokens.length > rest + 2) return fail(rest + 2, `unexpected "${tokens[rest + 2]?.text ?? ""}"`);
	return ok({ kind: "limit", text: text.trim(), ...quantity, limit, inclusive: operator.endsWith("=") === (role === "criterion") });
}

/** Whether a point estimate lies on the good side. */
export function meets(limit: Limit, value: number): boolean {
	if (value === limit.limit) return limit.inclusive;
	return limit.bad === "above" ? value < limit.limit : value > limit.limit;
}
