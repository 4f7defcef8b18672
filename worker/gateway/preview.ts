import { fromBase64url } from "../base64url";

/** What a tester may see and choose: `v1.<expiry in seconds>.<variant or *>.<signature>`, signed over host, expiry and variant. */

export const PREVIEW_HEADER = "x-tidegate-preview";
/** Shows which variant there is, and forces none. */
export const ANY_VARIANT = "*";
const LENGTH_MAX = 500;
const AHEAD_S_MAX = 86_400;
const ALGORITHM = { name: "HMAC", hash: "SHA-256" };
const encoder = new TextEncoder();

/** The variant that a request may see, or "*"; undefined: it has no valid preview. Without the secret none is valid. */
export async function previewOf(request: Request, host: string, secret: string | undefined, nowMs: number): Promise<string | undefined> {
	const text = request.headers.get(PREVIEW_HEADER);
	if (text === null || !secret || text.length > LENGTH_MAX) return undefined;
	// A variant's name may have dots.
	const found = /^v1\.(\d{1,12})\.(.+)\.([A-Za-z0-9_-]{43})$/s.exec(text);
	if (!found) return undefined;
	const [, expiry = "", variant = "", signature = ""] = found;
	const leftS = Number(expiry) - nowMs / 1_000;
	if (leftS <= 0 || leftS > AHEAD_S_MAX) return undefined;
	const key = await crypto.subtle.importKey("raw", encoder.encode(secret), ALGORITHM, false, ["verify"]);
	const signed = encoder.encode(`${host}\n${expiry}\n${variant}`);
	// Compares in constant time.
	return (await crypto.subtle.verify(ALGORITHM.name, key, fromBase64url(signature), signed)) ? variant : undefined;
}
