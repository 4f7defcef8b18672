import { type Context, attributeOf } from "./match";

/** An empty key buckets nobody: it is what a client sends that does not know its user yet. */
export function targetingKeyOf(context: Context): string | undefined {
	const key = attributeOf(context, "targetingKey");
	return typeof key === "string" && key !== "" ? key : undefined;
}

/** The text that is hashed into a bucket. Whole numbers count as their digits, so that an id may be one; nothing else does. */
export function bucketingKeyOf(context: Context, bucketBy: string | undefined): string | undefined {
	if (bucketBy === undefined) return targetingKeyOf(context);
	const found = attributeOf(context, bucketBy);
	if (typeof found === "number" && Number.isSafeInteger(found)) return String(found);
	return typeof found === "string" && found !== "" ? found : undefined;
}
