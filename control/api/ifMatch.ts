/** RFC 9110, If-Match: `"3"`, and the `3` and `W/"3"` that people and proxies make of it; `*` is any version. */
export function isVersion(header: string, version: number): boolean {
	const given = header.trim();
	return given === "*" || Number(/^(?:W\/)?"?(\d{1,9})"?$/.exec(given)?.[1] ?? Number.NaN) === version;
}
