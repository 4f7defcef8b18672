import type { Context } from "../core/flags/match";
import { err, ok, type Result } from "../core/result";
import { isMetric, type Metric, METRIC_NAMES, valueOf } from "../core/telemetry";
import { isJsonObject } from "./body";

/** What happened to a user, as far as the store's standard metrics can say it. */
export interface Outcome {
	readonly id: string | null;
	readonly targetingKey: string;
	/** Holds the targeting key too. */
	readonly context: Context;
	readonly flag: string | undefined;
	readonly metric: Metric;
	readonly value: number;
	readonly atMs: number;
}

const FIELDS = ["id", "targetingKey", "context", "flag", "metric", "value", "at"];
const ID_LENGTH_MAX = 100;
const TARGETING_KEY_LENGTH_MAX = 1_000;
const EARLY_MS_MAX = 24 * 60 * 60 * 1_000;
const LATE_MS_MAX = 5 * 60 * 1_000;

/** An event of a batch, or the reason why it is none. */
export function readEvent(event: unknown, nowMs: number, isFlag: (key: string) => boolean): Result<Outcome, string> {
	if (!isJsonObject(event)) return err("is not an object");
	const unknown = Object.keys(event).find((name) => !FIELDS.includes(name));
	if (unknown !== undefined) return err(`unknown field ${quote(unknown)}: the fields are ${FIELDS.join(", ")}`);

	const { id = null, targetingKey, context = {}, flag, metric, value, at = nowMs } = event;
	if (id !== null && !isText(id, ID_LENGTH_MAX)) return err(`id takes a text of 1 to ${ID_LENGTH_MAX} characters`);
	if (!isText(targetingKey, TARGETING_KEY_LENGTH_MAX))
		return err(`targetingKey takes a text of 1 to ${TARGETING_KEY_LENGTH_MAX} characters`);
	if (!isJsonObject(context)) return err("context takes an object");
	if (flag !== undefined && typeof flag !== "string") return err("flag takes a flag's key");
	if (flag !== undefined && !isFlag(flag)) return err(`unknown flag ${quote(flag)}`);
	if (typeof metric !== "string" || !isMetric(metric)) return err(`metric takes one of ${METRIC_NAMES.join(", ")}`);
	const measured = valueOf(metric, value);
	if (typeof measured === "string") return err(measured);
	if (typeof at !== "number" || !Number.isSafeInteger(at)) return err("at takes whole milliseconds since 1970");
	if (at > nowMs + LATE_MS_MAX) return err(`at is ${at - nowMs} ms in the future > limit ${LATE_MS_MAX} ms: is the clock right?`);
	if (at < nowMs - EARLY_MS_MAX) return err(`at is ${nowMs - at} ms ago > limit ${EARLY_MS_MAX} ms`);
	return ok({ id, targetingKey, context: { ...context, targetingKey }, flag, metric, value: measured, atMs: at });
}

function isText(value: unknown, lengthMax: number): value is string {
	return typeof value === "string" && value !== "" && value.length <= lengthMax;
}

/** What a client sent goes back shortened. */
function quote(text: string): string {
	return JSON.stringify(text.slice(0, 63));
}
