import { eq } from "drizzle-orm";
import type { Database } from "./database";
import { tokens } from "./schema";

/** Who carries the token with this hash; undefined when nobody does. */
export async function nameOfToken(db: Database, hash: string): Promise<string | undefined> {
	const [row] = await db.select({ name: tokens.name }).from(tokens).where(eq(tokens.hash, hash));
	return row?.name;
}

/** One token a name: a new one takes the place of the one before. */
export async function keepToken(db: Database, name: string, hash: string, atMs: number): Promise<void> {
	await db
		.insert(tokens)
		.values({ name, hash, createdAtMs: atMs })
		.onConflictDoUpdate({ target: tokens.name, set: { hash, createdAtMs: atMs } });
}
