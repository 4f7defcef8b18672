import type { Context } from "../../core/flags/match";
import type { PackedRoute } from "../../core/gateway/packed";
import { toBase64url } from "../base64url";

/** Who asks, and what is known of the request: what flags are evaluated for. */
export interface Visitor {
	readonly context: Context;
	/** Of a visitor who is new here: the cookie that makes the next request theirs. */
	readonly cookie: string | undefined;
}

const ID_BYTES = 16;
/** 16 bytes as base64url: the last of 22 characters holds two bits. */
const ID = /^[A-Za-z0-9_-]{21}[AQgw]$/;
const KEY_LENGTH_MAX = 1_000;
const YEAR_S = 31_536_000;

/** What Cloudflare knows of the client. */
const CF = [
	"asn",
	"city",
	"colo",
	"continent",
	"country",
	"httpProtocol",
	"isEUCountry",
	"region",
	"regionCode",
	"timezone",
	"tlsVersion",
].map((name) => [name, `cf.${name}`] as const);

export function visitorOf(request: Request, url: URL, path: string, { targeting, context: listed, flag, forward }: PackedRoute): Visitor {
	const context: Record<string, unknown> = {};
	for (const attribute of Object.keys(listed)) {
		const value = request.headers.get(listed[attribute] ?? "");
		if (value !== null) context[attribute] = value;
	}
	context["path"] = path;
	context["method"] = request.method;
	const cf: Readonly<Record<string, unknown>> = request.cf ?? {};
	for (const [name, attribute] of CF) {
		const value = cf[name];
		if (typeof value === "string" || typeof value === "number") context[attribute] = value;
	}

	let key: string | undefined;
	let cookie: string | undefined;
	if ("header" in targeting) key = request.headers.get(targeting.header) ?? undefined;
	else if ("cookie" in targeting) key = cookieOf(request.headers, targeting.cookie);
	else {
		const isSecure = url.protocol === "https:";
		const name = isSecure ? "__Host-tidegate" : "tidegate";
		const known = cookieOf(request.headers, name);
		if (known !== undefined && ID.test(known)) key = known;
		// Whom nothing is decided for is not marked.
		else if (flag !== undefined || forward.length > 0) {
			key = newId();
			cookie = `${name}=${key}; Path=/; Max-Age=${YEAR_S}; HttpOnly; SameSite=Lax${isSecure ? "; Secure" : ""}`;
		}
	}
	// An own one of that name would be the client's word against the route's.
	delete context["targetingKey"];
	if (key !== undefined && key !== "" && key.length <= KEY_LENGTH_MAX) context["targetingKey"] = key;
	return { context, cookie };
}

function cookieOf(headers: Headers, name: string): string | undefined {
	for (const pair of (headers.get("cookie") ?? "").split(";")) {
		const at = pair.indexOf("=");
		if (at > 0 && pair.slice(0, at).trim() === name) return pair.slice(at + 1).trim();
	}
	return undefined;
}

const newId = (): string => toBase64url(crypto.getRandomValues(new Uint8Array(ID_BYTES)));
