import { z } from "@hono/zod-openapi";
import { sha256Hex } from "../sha256";
import type { Keyed } from "../store/idempotency";

/** Idempotency-Key, as draft-ietf-httpapi-idempotency-key-header has it: the same request is carried out once, another one is refused. */

export const idempotencyKey = z.object({
	"idempotency-key": z
		.string()
		.regex(/^[\x21-\x7e]{1,255}$/, "takes 1 to 255 visible ASCII characters")
		.optional()
		.describe("what may have been carried out can be sent again under it: it is carried out once"),
});

/** On the answer to what was carried out before. */
export const REPLAYED = { "idempotent-replayed": "true" };

/** Enough to tell the bodies of one key apart. */
const HASH_CHARACTERS = 16;

export async function keyedBy(key: string | undefined, content: unknown): Promise<Keyed | undefined> {
	if (key === undefined) return undefined;
	return { key, hash: (await sha256Hex(JSON.stringify(sorted(content)))).slice(0, HASH_CHARACTERS) };
}

/** The order of an object's fields says nothing, that of a list does. */
function sorted(value: unknown): unknown {
	if (Array.isArray(value)) return value.map(sorted);
	if (typeof value !== "object" || value === null) return value;
	const fields = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
	return fields.map(([name, each]) => [name, sorted(each)]);
}
