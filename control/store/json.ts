import { customType } from "drizzle-orm/sqlite-core";
import type * as z from "zod";

/** A JSON column that is parsed by its schema on every read, so that a corrupt row fails loudly and not three calls later. */
export function json<S extends z.ZodType>(schema: S) {
	return customType<{ data: z.output<S>; driverData: string }>({
		dataType: () => "text",
		toDriver: (value) => JSON.stringify(value),
		fromDriver(text) {
			try {
				return schema.parse(JSON.parse(text));
			} catch (error) {
				throw new Damaged("a stored row cannot be read", { cause: error });
			}
		},
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

/** A stored row that its schema does not take. */
class Damaged extends Error {}

/** For `catch` on a read: a damaged row becomes `instead`; that the database failed is something else, and goes on. */
export function damagedOr<T>(instead: T): (error: unknown) => T {
	return (error) => {
		for (let e = error; e instanceof Error; e = e.cause) if (e instanceof Damaged) return instead;
		throw error;
	};
}
