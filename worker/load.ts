import { endOfLine } from "../core/flags/body";
import { openSnapshot, type Snapshot } from "../core/flags/ruleset";
import type { EnvironmentHead } from "../core/wire";
import { sha256 } from "./digest";
import { TIMEOUT_MS } from "./head";
import { log } from "./log";
import type { Sources } from "./sources";
import { within } from "./within";

/** A body that was checked against the head that named it. */
export interface Body {
	readonly snapshot: Snapshot;
	readonly digest: string;
}

/** KV is given longer than control: a body has up to 8 MiB, and a cold read of one crosses an ocean. */
const KV_BODY_TIMEOUT_MS = 1_000;
/** When both of a load's attempts have surely ended. */
export const LOAD_DEAD_AFTER_MS = KV_BODY_TIMEOUT_MS + 2 * TIMEOUT_MS;

const encoder = new TextEncoder();
const decoder = new TextDecoder();
const decode = (bytes: Uint8Array): string => decoder.decode(bytes);

/** Loads the body that a head names, from KV or else from control. Rejects when neither has a right one. */
export async function load(from: Sources, environment: string, named: EnvironmentHead): Promise<Body> {
	try {
		const stored = await within(KV_BODY_TIMEOUT_MS, from.store.body(environment, named.version), from.wait);
		if (stored) return await open(new Uint8Array(stored), environment, named);
		log("body_missing_in_kv", { environment, version: named.version });
	} catch (error) {
		log("body_unusable_in_kv", { environment, version: named.version, error: String(error) });
	}
	const text = await within(TIMEOUT_MS, from.control.body(environment, named.version), from.wait);
	if (text === null) throw new Error("control has no such body either");
	return open(encoder.encode(text), environment, named);
}

/** Throws when the bytes are not what the head names. A damaged line further down is found when it is first read. */
async function open(bytes: Uint8Array, environment: string, named: EnvironmentHead): Promise<Body> {
	const digest = await sha256(bytes.subarray(0, endOfLine(bytes, 0)));
	if (digest !== named.digest) throw new Error(`digest of the first line ${digest}, the head says ${named.digest}`);
	const snapshot = openSnapshot(bytes, decode);
	const { header } = snapshot;
	if (header.environment !== environment || header.version !== named.version)
		throw new Error(`holds ${header.environment}/${header.version}, asked for ${environment}/${named.version}`);
	return { snapshot, digest };
}
