import { and, asc, desc, eq, gt } from "drizzle-orm";
import type { Database, Statement } from "./database";
import { audit } from "./schema";

/** Who does something, through which request, when, and why. */
export interface Act {
	readonly actor: string;
	readonly reason: string;
	readonly correlationId: string;
	/** By the clock that stamps events. */
	readonly atMs: number;
}

/** The row that every change of state carries in its own batch. */
export function audited(db: Database, act: Act, resource: string, action: string, before: unknown, after: unknown): Statement {
	return db.insert(audit).values({ ...act, resource, action, before: plain(before), after: plain(after) });
}

export async function listAudit(db: Database, resource: string | undefined, after: number, order: "asc" | "desc", limit: number) {
	return db
		.select()
		.from(audit)
		.where(and(gt(audit.id, after), resource === undefined ? undefined : eq(audit.resource, resource)))
		.orderBy(order === "asc" ? asc(audit.id) : desc(audit.id))
		.limit(limit);
}

/** As JSON sees it: no undefined, no Infinity. */
export function plain(value: unknown): Json {
	return value === undefined ? null : (JSON.parse(JSON.stringify(value)) as Json);
}

export type Json = string | number | boolean | null | Json[] | { [key: string]: Json };
