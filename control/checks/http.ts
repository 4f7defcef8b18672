import type { CheckOf } from "../../core/checks/model";
import { msOf } from "../../core/checks/duration";
import { valueAt } from "../../core/checks/jsonPath";
import { addressRefusal } from "../address";
import { type CheckContext, type CheckDeps, type Finding, failed, passed } from "./finding";

const BODY_BYTES_MAX = 65_536;
const SHOWN_CHARACTERS_MAX = 40;

/** One request. No message names the URL, which may hold what only its owner should know. */
export async function lookAtHttp(
	{ http: url, method, expect, json, latency }: CheckOf<"http">,
	{ allowPrivate, realNow }: CheckDeps,
	{ rollout, phase, percent }: CheckContext,
	signal: AbortSignal,
): Promise<Finding> {
	const refused = addressRefusal(url, allowPrivate);
	if (refused !== undefined) return failed(`http: ${refused}`);
	const startedMs = realNow();
	const response = await fetch(url, {
		method,
		headers: { accept: "application/json, */*", "user-agent": "Tidegate", ...(method === "POST" ? JSON_CONTENT : {}) },
		...(method === "POST" ? { body: JSON.stringify({ rollout, phase, percent }) } : {}),
		signal,
		// It could lead to where no check may go.
		redirect: "manual",
	}).catch(() => undefined);
	if (!response) return { ...failed("the connection failed"), again: true };
	const tookMs = realNow() - startedMs;
	const { status } = response;
	const wanted = typeof expect === "number" ? [expect] : expect;
	const wrong = !wanted.includes(status)
		? `answered ${status}, not ${wanted.join(" or ")}${status >= 300 && status < 400 ? ": redirects are not followed" : ""}`
		: latency !== undefined && tookMs > msOf(latency)
			? `took ${tookMs} ms > ${msOf(latency)} ms`
			: json && (await differs(json, response).catch(() => "its body broke off"));
	// That the rest cannot be cancelled changes no finding.
	await response.body?.cancel().catch(() => {});
	return wrong === undefined ? passed(`answered ${status} in ${tookMs} ms`) : { ...failed(wrong), again: true };
}

const JSON_CONTENT = { "content-type": "application/json" };

async function differs({ path, equals }: NonNullable<CheckOf<"http">["json"]>, response: Response): Promise<string | undefined> {
	const text = await boundedText(response);
	if (text === undefined) return `its body is larger than ${BODY_BYTES_MAX} bytes`;
	let whole: unknown;
	try {
		whole = JSON.parse(text);
	} catch {
		return "its body is no JSON";
	}
	const found = valueAt(path, whole);
	if (!found.found) return `its body has no ${path}`;
	return found.value === equals ? undefined : `${path} is ${shown(found.value)}, not ${shown(equals)}`;
}

function shown(value: unknown): string {
	if (typeof value === "object" && value !== null) return Array.isArray(value) ? "a list" : "an object";
	const text = JSON.stringify(value);
	return text.length > SHOWN_CHARACTERS_MAX ? `a text of ${String(value).length} characters` : text;
}

/** undefined: it is too large. What was read by then is let go. */
async function boundedText(response: Response): Promise<string | undefined> {
	const reader: ReadableStreamDefaultReader<Uint8Array> | undefined = response.body?.getReader();
	if (!reader) return "";
	const decoder = new TextDecoder();
	let [text, bytes] = ["", 0];
	try {
		for (;;) {
			// oxlint-disable-next-line no-await-in-loop -- a stream comes piece by piece
			const { done, value } = await reader.read();
			if (done) return text + decoder.decode();
			bytes += value.byteLength;
			if (bytes > BODY_BYTES_MAX) return undefined;
			text += decoder.decode(value, { stream: true });
		}
	} finally {
		await reader.cancel().catch(() => {});
		reader.releaseLock();
	}
}
