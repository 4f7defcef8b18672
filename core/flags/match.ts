import type { Condition } from "./model";

export type Context = Readonly<Record<string, unknown>>;

/** An own attribute of the context, never an inherited one (`constructor`, `__proto__`). */
export function attributeOf(context: Context, name: string): unknown {
	return Object.hasOwn(context, name) ? context[name] : undefined;
}

/** null is what many clients send for "not known". */
export function isPresent(context: Context, name: string): boolean {
	const found = attributeOf(context, name);
	return found !== undefined && found !== null;
}

/** A missing attribute never matches, nor does a value of another type: "1" is not 1. */
export function matches(condition: Condition, context: Context): boolean {
	const found = attributeOf(context, condition.attribute);
	if (!isPresent(context, condition.attribute)) return false;
	switch (condition.op) {
		case "equals":
		case "in":
			return condition.values.some((value) => value === found);
		default:
			// A snapshot written by a newer control may hold an operator that this edge does not know: that flag alone fails.
			throw new Error(`unknown operator ${String(condition.op satisfies never)}`);
	}
}
