import { customType } from "drizzle-orm/sqlite-core";
import type * as z from "zod";

/** A JSON column that is parsed by its schema on every read, so that a corrupt row fails loudly and not three calls later. */
export function json<S extends z.ZodType>(schema: S) {
	return customType<{ data: z.output<S>; driverData: string }>({
		dataType: () => "text",
		toDriver: (value) => JSON.stringify(value),
		fromDriver: (text) => schema.parse(JSON.parse(text)),
	});
}

/** For reads of many rows: one that is corrupt must not hide the others. undefined: it is. */
export function parseJson<S extends z.ZodType>(schema: S, text: string): z.output<S> | undefined {
	try {
		return schema.parse(JSON.parse(text));
	} catch {
		return undefined;
	}
}
