/** One JSON line. No user's data: neither contexts nor targeting keys. */
export function log(event: string, detail: Readonly<Record<string, unknown>>): void {
	console.warn(JSON.stringify({ event, ...detail }));
}
