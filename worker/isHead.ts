import { isOverlay } from "../core/flags/overlay";
import type { EnvironmentHead, Head } from "../core/wire";
import { isJsonObject } from "./body";

/** Control writes the head, but KV can be written by hand: nothing that evaluation relies on may be missing. */
export function isHead(value: unknown): value is Head {
	if (!isJsonObject(value) || !isJsonObject(value["environments"]) || !isJsonObject(value["keys"])) return false;
	return Number.isFinite(value["revision"]) && Object.values(value["environments"]).every(isEnvironmentHead);
}

function isEnvironmentHead(value: unknown): value is EnvironmentHead {
	if (!isJsonObject(value) || !isHosts(value["hosts"])) return false;
	return isOverlay(value["overlay"]) && Number.isFinite(value["version"]) && typeof value["digest"] === "string";
}

function isHosts(value: unknown): boolean {
	return value === undefined || (Array.isArray(value) && value.every((each) => typeof each === "string"));
}
