import type { EnvironmentHead, Head } from "../core/wire";

/** Control writes the head, but KV can be written by hand: nothing that evaluation relies on may be missing. */
export function isHead(value: unknown): value is Head {
	if (!isObject(value) || !isObject(value["environments"]) || !isObject(value["keys"])) return false;
	return Number.isFinite(value["revision"]) && Object.values(value["environments"]).every(isEnvironmentHead);
}

function isEnvironmentHead(value: unknown): value is EnvironmentHead {
	if (!isObject(value) || !isObject(value["overlay"])) return false;
	const { version, digest, overlay } = value;
	return Number.isFinite(version) && typeof digest === "string" && Array.isArray(overlay["kill"]) && Array.isArray(overlay["baseline"]);
}

function isObject(value: unknown): value is Record<string, unknown> {
	return typeof value === "object" && value !== null;
}
