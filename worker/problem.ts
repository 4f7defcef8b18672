const TITLES = {
	400: "Bad Request",
	401: "Unauthorized",
	403: "Forbidden",
	404: "Not Found",
	405: "Method Not Allowed",
	408: "Request Timeout",
	413: "Content Too Large",
	431: "Request Header Fields Too Large",
	500: "Internal Server Error",
	502: "Bad Gateway",
	503: "Service Unavailable",
	504: "Gateway Timeout",
} as const;

/** An error as application/problem+json (RFC 9457). */
export function problem(status: keyof typeof TITLES, detail: string, headers: Readonly<Record<string, string>> = {}): Response {
	const body = { type: "about:blank", title: TITLES[status], status, detail };
	return new Response(JSON.stringify(body), { status, headers: { ...headers, "Content-Type": "application/problem+json" } });
}
