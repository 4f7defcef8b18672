import type { BatchItem } from "drizzle-orm/batch";
import { type DrizzleD1Database, drizzle } from "drizzle-orm/d1";

export type Database = DrizzleD1Database & { readonly $client: D1Database };
export type Statement = BatchItem<"sqlite">;

export const open = (binding: D1Database): Database => drizzle(binding);

/** One round trip and one transaction: all of it is written, or nothing. */
export async function commit(db: Database, [first, ...rest]: readonly Statement[]): Promise<void> {
	if (first) await db.batch([first, ...rest]);
}
