import type { Origin } from "../../core/gateway/packed";
import type { Ask } from "./gateway";

/** Bindings of our own: no route reaches control through the edge's rights. */
const OWN = ["COMPARISONS", "HEAD", "OUTCOMES", "SNAPSHOTS", "TELEMETRY"];

/** Origins by URL, or by the name of a service binding. */
export function originsOf(env: object): Ask {
	return (origin: Origin, url, init) => ("url" in origin ? fetch(url, init) : bindingOf(env, origin.service).fetch(url, init));
}

function bindingOf(env: object, name: string): Fetcher {
	const found: unknown = Object.hasOwn(env, name) && !OWN.includes(name) ? (env as Readonly<Record<string, unknown>>)[name] : undefined;
	if (typeof found !== "object" || found === null || !("fetch" in found)) throw new Error(`the edge has no service binding ${name}`);
	return found as Fetcher;
}
