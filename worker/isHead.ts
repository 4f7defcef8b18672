import { isOverlay } from "../core/flags/overlay";
import type { EnvironmentHead, Head } from "../core/wire";

/** Control writes the head, but KV can be written by hand: nothing that evaluation relies on may be missing. */
export function isHead(value: unknown): value is Head {
	if (!isObject(value) || !isObject(value["environments"]) || !isObject(value["keys"])) return false;
	return Number.isFinite(value["revision"]) && Object.values(value["environments"]).every(isEnvironmentHead);
}

function isEnvironmentHead(value: unknown): value is EnvironmentHead {
	if (!isObject(value) || !isHosts(value["hosts"])) return false;
	return isOverlay(value["overlay"]) && Number.isFinite(value["version"]) && typeof value["digest"] === "string";
}

function isHosts(value: unknown): boolean {
	return value === undefined || (Array.isArray(value) && value.every((each) => typeof each === "string"));
}

function isObject(value: unknown): value is Record<string, unknown> {
	return typeof value === "object" && value !== null;
}
