import type { Origin } from "../../core/gateway/packed";
import { isPublicHost } from "../../core/publicHost";
import type { Ask } from "./gateway";

/** Bindings of our own: no route reaches control through the edge's rights. */
const OWN = ["COMPARISONS", "HEAD", "OUTCOMES", "SNAPSHOTS", "TELEMETRY"];

/** Origins are a snapshot's own: each is looked at once. */
const refusals = new WeakMap<Origin, string>();

/** Origins by URL, or by the name of a service binding. */
export function originsOf(env: object, allowsPrivate: boolean): Ask {
	return (origin: Origin, url, init) => {
		if (!("url" in origin)) return bindingOf(env, origin.service).fetch(url, init);
		const refusal = allowsPrivate ? "" : refusalOf(origin);
		if (refusal !== "") throw new Error(`${refusal}: only with GATEWAY_ALLOW_PRIVATE may a route lead there`);
		return fetch(url, init);
	};
}

/** Control refuses such origins when they are written: this is for a snapshot that it did not write. */
function refusalOf(origin: { readonly url: string }): string {
	let refusal = refusals.get(origin);
	if (refusal === undefined) {
		const { protocol, port, hostname } = new URL(origin.url);
		refusal =
			protocol === "https:" && port === "" && isPublicHost(hostname) ? "" : `${protocol}//${hostname} is not on the public Internet`;
		refusals.set(origin, refusal);
	}
	return refusal;
}

function bindingOf(env: object, name: string): Fetcher {
	const found: unknown = Object.hasOwn(env, name) && !OWN.includes(name) ? (env as Readonly<Record<string, unknown>>)[name] : undefined;
	if (typeof found !== "object" || found === null || !("fetch" in found)) throw new Error(`the edge has no service binding ${name}`);
	return found as Fetcher;
}
