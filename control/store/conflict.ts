/**
 * True when a write lost against a constraint of that table: another had the same key, or a guard in the statement turned a
 * required column into NULL. A single drizzle query wraps D1's error (and its message holds the bound values: never log or
 * return it), a batch throws D1's own: so the chain of causes is searched.
 */
export function isConflict(error: unknown, table: string): boolean {
	for (let e = error; e instanceof Error; e = e.cause)
		if (/^D1_ERROR: (UNIQUE|NOT NULL) constraint failed: /.test(e.message) && e.message.includes(`failed: ${table}.`)) return true;
	return false;
}
