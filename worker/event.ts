import type { Context } from "../core/flags/match";
import { STANDARD_METRICS, type MetricShape, valueOf } from "../core/metric";
import { err, ok, type Result } from "../core/result";
import { isJsonObject } from "./body";

/** What happened to a user, as far as the environment's metrics can say it. */
export interface Outcome {
	readonly id: string | null;
	readonly targetingKey: string;
	/** Holds the targeting key too. */
	readonly context: Context;
	readonly flag: string | undefined;
	readonly metric: string;
	readonly value: number;
	readonly atMs: number;
	/** Of an application that compares: what it asked both, and what they answered. */
	readonly sample: Sample | undefined;
}

export interface Sample {
	readonly input: unknown;
	readonly legacy: unknown;
	readonly candidate: unknown;
}

const FIELDS = ["id", "targetingKey", "context", "flag", "metric", "value", "at", "sample"];
const SAMPLE_FIELDS = ["input", "legacy", "candidate"];
const ID_LENGTH_MAX = 100;
const TARGETING_KEY_LENGTH_MAX = 1_000;
const EARLY_MS_MAX = 24 * 60 * 60 * 1_000;
/** Between these a time is in seconds, of 2001 to 2096: as milliseconds it would be of early 1970. */
const SECONDS = [1e9, 4e9] as const;
const LATE_MS_MAX = 5 * 60 * 1_000;

/** What an event may name. */
export interface Known {
	readonly isFlag: (key: string) => boolean;
	/** The standard metrics and the environment's own. */
	readonly metrics: ReadonlyMap<string, MetricShape>;
}

export function metricShapes(own: readonly MetricShape[]): ReadonlyMap<string, MetricShape> {
	return new Map([...own, ...STANDARD_METRICS].map((each) => [each.key, each]));
}

/** An event of a batch, or the reason why it is none. */
export function readEvent(event: unknown, nowMs: number, { isFlag, metrics }: Known): Result<Outcome, string> {
	if (!isJsonObject(event)) return err("is not an object");
	const unknown = Object.keys(event).find((name) => !FIELDS.includes(name));
	if (unknown !== undefined) return err(`unknown field ${quote(unknown)}: the fields are ${FIELDS.join(", ")}`);

	const { id = null, targetingKey, context = {}, flag, metric, value, at = nowMs, sample } = event;
	if (id !== null && !isText(id, ID_LENGTH_MAX)) return err(`id takes a text of 1 to ${ID_LENGTH_MAX} characters`);
	if (!isText(targetingKey, TARGETING_KEY_LENGTH_MAX))
		return err(`targetingKey takes a text of 1 to ${TARGETING_KEY_LENGTH_MAX} characters`);
	if (!isJsonObject(context)) return err("context takes an object");
	if (flag !== undefined && typeof flag !== "string") return err("flag takes a flag's key");
	if (flag !== undefined && !isFlag(flag)) return err(`unknown flag ${quote(flag)}`);
	const shape = typeof metric === "string" ? metrics.get(metric) : undefined;
	if (!shape) return err(unknownMetric(metric, metrics));
	const measured = valueOf(shape, value);
	if (typeof measured === "string") return err(measured);
	if (typeof at === "number" && at >= SECONDS[0] && at <= SECONDS[1] && at < nowMs - EARLY_MS_MAX)
		return err(`at is ${at}, and takes whole milliseconds since 1970: milliseconds, not seconds?`);
	if (typeof at !== "number" || !Number.isSafeInteger(at)) return err("at takes whole milliseconds since 1970");
	if (at > nowMs + LATE_MS_MAX) return err(`at is ${at - nowMs} ms in the future > limit ${LATE_MS_MAX} ms: is the clock right?`);
	if (at < nowMs - EARLY_MS_MAX) return err(`at is ${nowMs - at} ms ago > limit ${EARLY_MS_MAX} ms`);
	const compared = sample === undefined ? undefined : readSample(sample, shape.key, flag);
	if (typeof compared === "string") return err(compared);
	return ok({
		id,
		targetingKey,
		context: { ...context, targetingKey },
		flag,
		metric: shape.key,
		value: measured,
		atMs: at,
		sample: compared,
	});
}

function readSample(sample: unknown, metric: string, flag: string | undefined): Sample | string {
	if (metric !== "discrepancy") return "sample goes with the metric discrepancy alone";
	if (flag === undefined) return "sample needs the flag whose variants were compared";
	const isComplete = isJsonObject(sample) && SAMPLE_FIELDS.every((name) => Object.hasOwn(sample, name));
	if (!isComplete || Object.keys(sample).length > SAMPLE_FIELDS.length) return `sample takes an object of ${SAMPLE_FIELDS.join(", ")}`;
	const { input, legacy, candidate } = sample;
	return { input, legacy, candidate };
}

function isText(value: unknown, lengthMax: number): value is string {
	return typeof value === "string" && value !== "" && value.length <= lengthMax;
}

function unknownMetric(metric: unknown, known: Known["metrics"]): string {
	const all = [...known.keys()].sort().join(", ").slice(0, 500);
	if (typeof metric !== "string") return `metric takes one of ${all}`;
	return `unknown metric ${quote(metric)}: metric takes one of ${all}; a new one is known here within 10 s`;
}

/** What a client sent goes back shortened. */
function quote(text: string): string {
	return JSON.stringify(text.slice(0, 63));
}
