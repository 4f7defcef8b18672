import { sql } from "drizzle-orm";
import { rolloutEvents } from "./schema";

/** What a request may be sent again under, and a hash of what it says: the same key with another body is another request. */
export interface Keyed {
	readonly key: string;
	readonly hash: string;
}

/** As an event keeps it: no key has a space. */
export const keptText = ({ key, hash }: Keyed): string => `${key} ${hash}`;

/** undefined: the event is from before bodies were looked at, and keeps the key alone. */
export function hashIn(kept: string): string | undefined {
	const at = kept.indexOf(" ");
	return at < 0 ? undefined : kept.slice(at + 1);
}

/** Whether an event was led to under a key, whatever the body: "!" is what follows the space. */
export function isUnder(key: string) {
	const kept = rolloutEvents.idempotencyKey;
	return sql`(${kept} = ${key} OR (${kept} > ${`${key} `} AND ${kept} < ${`${key}!`}))`;
}
