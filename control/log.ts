/** One JSON line, as Workers Logs index it. Never a secret, never a user's key, never a failed query's message. */
export function log(event: string, detail: Readonly<Record<string, unknown>>): void {
	console.warn(JSON.stringify({ event, ...detail }));
}

/** An error without what it was about: drizzle's messages hold the bound values. */
export function nameOf(error: unknown): string {
	for (let e = error; e instanceof Error; e = e.cause) if (e.message.startsWith("D1_ERROR")) return e.message;
	return error instanceof Error && !error.message.startsWith("Failed query") ? error.message : "a query failed";
}
