import type { Head, SdkKey } from "../core/wire";
import { sha256 } from "./digest";

const KEY_LENGTH_MAX = 200;
const REMEMBERED_MAX = 1_000;

/** Hashes of keys that were found in a head, the newest last. Only the hash is remembered: whether it still opens anything, the head says. */
export type KnownKeys = Map<string, string>;

/** What the request's SDK key opens under this head; undefined: nothing. */
export async function authenticate(request: Request, head: Head, known: KnownKeys): Promise<SdkKey | undefined> {
	const key = keyOf(request.headers);
	if (key === undefined) return undefined;
	const remembered = known.get(key);
	const hash = remembered ?? (await sha256(key));
	const opens = Object.hasOwn(head.keys, hash) ? head.keys[hash] : undefined;
	if (opens === undefined) known.delete(key);
	else if (remembered === undefined) remember(known, key, hash);
	return opens;
}

/** `Authorization: Bearer <key>`, or `X-API-Key` where a proxy needs Authorization for itself. */
function keyOf(headers: Headers): string | undefined {
	const bearer = /^bearer +(\S+) *$/i.exec(headers.get("Authorization") ?? "")?.[1];
	const key = bearer ?? headers.get("X-API-Key") ?? "";
	return key !== "" && key.length <= KEY_LENGTH_MAX ? key : undefined;
}

/** Only keys that open something get here, so guesses cannot push them out. */
function remember(known: KnownKeys, key: string, hash: string): void {
	const [oldest] = known.keys();
	if (known.size >= REMEMBERED_MAX && oldest !== undefined) known.delete(oldest);
	known.set(key, hash);
}
