import type { ActiveOverlay } from "../../core/flags/overlay";
import { evaluate } from "../../core/flags/evaluate";
import type { Context } from "../../core/flags/match";
import type { Snapshot } from "../../core/flags/ruleset";
import { PREVIEW_HEADER } from "./preview";

/** Of one connection, not of the message (RFC 9110 §7.6.1). */
const HOP_BY_HOP = new Set([
	"connection",
	"keep-alive",
	"proxy-authenticate",
	"proxy-authorization",
	"proxy-connection",
	"te",
	"trailer",
	"transfer-encoding",
	"upgrade",
]);
/** What asks for part of an answer, or for it on a condition that was made for another origin's. */
const CONDITION = /^(?:if-(?:none-match|modified-since|match|unmodified-since)|range)$/;
/** Those, and what a client says of who it is, or of us: only we do. Many an origin takes an underscore for a hyphen. */
const NOT_PASSED = new RegExp(`^(?:${[...HOP_BY_HOP].join("|")}|x[-_](?:forwarded|tidegate)[-_].*|forwarded|x[-_]real[-_]ip)$`);

/** What is to be known of a request's header. */
export interface Said {
	/** Of the request line and the header as they came. */
	readonly bytes: number;
	/** Of the body, as far as it is announced. */
	readonly bodyBytes: number;
	readonly hasPreview: boolean;
	readonly isWebSocket: boolean;
	readonly isConditional: boolean;
}

/** The header as the origin gets it, without what is said of flags. All that matters is taken from one walk: each question to the runtime costs. */
export function outgoing(request: Request, { href, protocol }: URL, host: string): { readonly headers: Headers; readonly said: Said } {
	const headers = new Headers(request.headers);
	const said = { bytes: href.length, bodyBytes: 0, hasPreview: false, isWebSocket: false, isConditional: false };
	let [connection, client, isTraced] = ["", "", false];
	// An iterator would cost as much again.
	request.headers.forEach((value, name) => {
		said.bytes += name.length + value.length + 4;
		if (NOT_PASSED.test(name)) headers.delete(name);
		if (name === "connection") connection = value;
		else if (name === "upgrade") said.isWebSocket = value.toLowerCase() === "websocket";
		else if (name === "cf-connecting-ip") client = value;
		else if (name === "traceparent") isTraced = isTraceparent(value);
		else if (name === "content-length") said.bodyBytes = Number(value);
		else if (name === PREVIEW_HEADER) said.hasPreview = true;
		else if (CONDITION.test(name)) said.isConditional = true;
	});
	for (const name of namedIn(connection)) headers.delete(name);
	// That the connection becomes another is the whole request's wish, which is passed on; the runtime does the rest.
	if (said.isWebSocket) headers.set("upgrade", "websocket");

	// Cloudflare sets it, whatever the client sent.
	if (client !== "") headers.set("x-forwarded-for", client);
	headers.set("x-forwarded-host", host);
	headers.set("x-forwarded-proto", protocol.slice(0, -1));
	if (!isTraced || !headers.has("traceparent")) {
		headers.set("traceparent", newTraceparent());
		// It belongs to the trace that was none.
		headers.delete("tracestate");
	}
	return { headers, said };
}

/** Names that a Connection header lists. Not all are names, and what is none would throw. */
function namedIn(connection: string): string[] {
	// Mostly it names but what is dropped anyway.
	if (connection === "" || connection === "keep-alive" || connection === "close") return [];
	return connection
		.split(",")
		.map((name) => name.trim().toLowerCase())
		.filter((name) => /^[a-z0-9!#$%&'*+.^_`|~-]+$/.test(name));
}

/** W3C Trace Context: version, trace, parent, flags. A later version may have more. */
function isTraceparent(text: string): boolean {
	const found = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(-.*)?$/.exec(text);
	if (!found) return false;
	const [, version = "", trace = "", parent = "", more] = found;
	return version !== "ff" && !/^0+$/.test(trace) && !/^0+$/.test(parent) && (version !== "00" || more === undefined);
}

function newTraceparent(): string {
	return `00-${randomHex()}-${randomHex().slice(0, 16)}-01`;
}

/** 128 bits, of which some of the first half and of the second are set, as in every UUID of version 4: an id is never all zero. */
const randomHex = (): string => crypto.randomUUID().replaceAll("-", "");

/** Flags as a dictionary of structured fields (RFC 8941): flag → its variant. What cannot be resolved is left out. */
export function flagsHeader(
	keys: readonly string[],
	{ snapshot, overlay, context }: { readonly snapshot: Snapshot; readonly overlay: ActiveOverlay; readonly context: Context },
	/** A flag whose variant is decided already. */
	decided: { readonly flag: string | undefined; readonly variant: string | undefined },
): string {
	const members: string[] = [];
	for (const key of keys) {
		const isDecided = key === decided.flag && decided.variant !== undefined;
		const resolution = isDecided ? undefined : evaluate(snapshot, overlay, key, context);
		const variant = resolution === undefined ? decided.variant : resolution.reason === "ERROR" ? undefined : resolution.variant;
		if (variant !== undefined) members.push(`${memberKey(key)}=${member(variant)}`);
	}
	return members.join(", ");
}

/** Keys of dictionaries begin with a letter or an asterisk; those of flags may begin with a digit. */
const memberKey = (key: string): string => (/^[a-z]/.test(key) ? key : `*${key}`);

/** A token where it is one, else a text; what is no ASCII has no form there, and is written as in a URL. */
function member(variant: string): string {
	if (/^[A-Za-z*][A-Za-z0-9:/!#$%&'*+.^_`|~-]*$/.test(variant)) return variant;
	const ascii = variant.replaceAll(/[^\x20-\x7e]+/g, (text) => encodeURIComponent(text.toWellFormed()));
	return `"${ascii.replaceAll(/["\\]/g, "\\$&")}"`;
}

/** What no origin says to a client, as far as the runtime does not drop it by itself wherever a connection ends. */
const DROPPED = ["proxy-authenticate", "proxy-connection", "x-tidegate-variant"];

/** An origin's header as the client gets it: a copy only where something of it must change. */
export function incoming(
	response: Response,
	added: {
		readonly cookie: string | undefined;
		readonly variant: string | undefined;
		/** Takes the place of the body, which came as it was encoded. */
		readonly body: ReadableStream<Uint8Array> | undefined;
	},
): Response {
	// The answer to an upgrade is the connection itself.
	if (response.webSocket) return response;
	const { headers } = response;
	const dropped = DROPPED.filter((name) => headers.has(name));
	for (const name of namedIn(headers.get("connection") ?? "")) if (!HOP_BY_HOP.has(name) && headers.has(name)) dropped.push(name);
	if (dropped.length === 0 && added.cookie === undefined && added.variant === undefined && added.body === undefined) return response;
	const { status, statusText } = response;
	const answer = added.body
		? new Response(added.body, { status, statusText, headers, encodeBody: "manual" })
		: new Response(response.body, response);
	for (const name of dropped) answer.headers.delete(name);
	if (added.cookie !== undefined) {
		answer.headers.append("set-cookie", added.cookie);
		keepPrivate(answer.headers);
	}
	if (added.variant !== undefined) answer.headers.set("x-tidegate-variant", added.variant);
	return answer;
}

/** Caches between here and the user, which would hand one visitor's cookie to all. */
const SHARED_CACHES = ["cdn-cache-control", "cloudflare-cdn-cache-control", "surrogate-control"];

/** A browser may keep the answer as the origin says, and nobody else. */
function keepPrivate(headers: Headers): void {
	for (const name of SHARED_CACHES) headers.delete(name);
	const said = (headers.get("cache-control") ?? "").split(",").map((each) => each.trim());
	const names = said.map((each) => each.toLowerCase());
	if (names.includes("private") || names.includes("no-store")) return;
	const kept = said.filter((each) => each !== "" && !/^(?:public|s-maxage|proxy-revalidate)\b/i.test(each));
	headers.set("cache-control", ["private", ...kept].join(", "));
}
