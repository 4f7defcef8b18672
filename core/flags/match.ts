import type { Condition } from "./model";

export type Context = Readonly<Record<string, unknown>>;

/** An own attribute of the context, never an inherited one (`constructor`, `__proto__`). */
export function attributeOf(context: Context, name: string): unknown {
	return Object.hasOwn(context, name) ? context[name] : undefined;
}

/** A missing attribute never matches, nor does a value of another type: "1" is not 1. */
export function matches(condition: Condition, context: Context): boolean {
	const found = attributeOf(context, condition.attribute);
	if (found === undefined || found === null) return false;
	switch (condition.op) {
		case "equals":
		case "in":
			return condition.values.some((value) => value === found);
		default:
			// A snapshot written by a newer control may hold an operator that this edge does not know: that flag alone fails.
			throw new Error(`unknown operator ${String(condition.op satisfies never)}`);
	}
}
