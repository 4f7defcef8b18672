import { type Result, err, ok } from "../result";

/** A limit on what an origin says of itself, as `cpu_percent mean < 80`. Its metrics are defined nowhere: each number is what it is. */
export interface ReadingLimit {
	readonly metric: string;
	readonly aggregate: "mean" | "max" | "last";
	readonly operator: "<" | "<=" | ">" | ">=";
	readonly limit: number;
}

const FORM = /^([a-z][a-z0-9_]{0,62})(?: +(mean|max|last))? *(<=?|>=?) *(-?\d{1,15}(?:\.\d{1,9})?)$/;

export function parseReading(text: string): Result<ReadingLimit, string> {
	const [, metric, aggregate = "mean", operator, limit] = FORM.exec(text.trim()) ?? [];
	if (metric === undefined || operator === undefined || limit === undefined)
		return err('write a metric, perhaps mean, max or last, and a limit without its unit, as in "cpu_percent mean < 80"');
	return ok({
		metric,
		aggregate: aggregate as ReadingLimit["aggregate"],
		operator: operator as ReadingLimit["operator"],
		limit: Number(limit),
	});
}

export function keepsTo({ operator, limit }: ReadingLimit, value: number): boolean {
	if (value === limit) return operator.endsWith("=");
	return operator.startsWith("<") ? value < limit : value > limit;
}
