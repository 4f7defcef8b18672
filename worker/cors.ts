/** Browsers evaluate flags and send events from any page: a key is what opens anything, never a cookie. */
const ALLOWED = {
	"Access-Control-Allow-Origin": "*",
	"Access-Control-Allow-Methods": "POST, OPTIONS",
	"Access-Control-Allow-Headers": "Authorization, Content-Type, If-None-Match, X-API-Key",
	"Access-Control-Max-Age": "86400",
};

export const isForBrowsers = (path: string): boolean => path.startsWith("/ofrep/") || path.startsWith("/v1/");

export const preflight = (): Response => new Response(null, { status: 204, headers: ALLOWED });

/** The answer must be one of our own making: those of other Workers have immutable headers. */
export function openToBrowsers(answer: Response): Response {
	answer.headers.set("Access-Control-Allow-Origin", "*");
	answer.headers.set("Access-Control-Expose-Headers", "ETag, Retry-After");
	return answer;
}
