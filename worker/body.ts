export const BODY_BYTES_MAX = 64 * 1024;

/** A body's JSON and its text; an empty body has no value. */
export type JsonBody =
	| { readonly ok: true; readonly value: unknown; readonly text: string }
	| { readonly ok: false; readonly error: "too_large" | "malformed" };

/** Reads no more than the limit. */
export async function readJson(request: Request): Promise<JsonBody> {
	const announced = request.headers.get("Content-Length");
	if (Number(announced ?? 0) > BODY_BYTES_MAX) return { ok: false, error: "too_large" };
	// HTTP ends a body at its announced length; only one without is counted as it comes, which costs more than all the rest.
	const text = announced === null ? await readText(request.body) : await request.text();
	// What is chunked as well may be longer than it announces (RFC 9112 §6.3).
	if (text === undefined || text.length > BODY_BYTES_MAX) return { ok: false, error: "too_large" };
	if (text === "") return { ok: true, value: undefined, text };
	try {
		return { ok: true, value: JSON.parse(text) as unknown, text };
	} catch {
		return { ok: false, error: "malformed" };
	}
}

/** Invalid UTF-8 becomes U+FFFD: what it was meant to say, nobody knows, and JSON's own syntax is ASCII. */
async function readText(body: ReadableStream<Uint8Array> | null): Promise<string | undefined> {
	if (!body) return "";
	const decoder = new TextDecoder();
	const reader = body.getReader();
	let text = "";
	let length = 0;
	for (;;) {
		const { done, value } = await reader.read();
		if (done) return text + decoder.decode();
		length += value.byteLength;
		if (length > BODY_BYTES_MAX) {
			await reader.cancel();
			return undefined;
		}
		text += decoder.decode(value, { stream: true });
	}
}

export function isJsonObject(value: unknown): value is Readonly<Record<string, unknown>> {
	return typeof value === "object" && value !== null && !Array.isArray(value);
}
