import { toBase64url } from "./base64url";

const ALGORITHM = { name: "HMAC", hash: "SHA-256" };
const UNIT_BYTES = 16;

const encoder = new TextEncoder();

/** Importing a key costs more than a hash: the isolate keeps the newest one. */
let imported: { readonly secret: string; readonly key: CryptoKey } | undefined;

/**
 * A user as the store knows them: HMAC-SHA-256 of the targeting key, 16 bytes of it, base64url. Without the secret nobody
 * can tell whose it is, not even by hashing every e-mail address there is.
 */
export async function unitOf(targetingKey: string, secret: string): Promise<string> {
	const mac = await crypto.subtle.sign(ALGORITHM.name, await keyOf(secret), encoder.encode(targetingKey));
	return toBase64url(new Uint8Array(mac, 0, UNIT_BYTES));
}

async function keyOf(secret: string): Promise<CryptoKey> {
	if (imported?.secret === secret) return imported.key;
	const key = await crypto.subtle.importKey("raw", encoder.encode(secret), ALGORITHM, false, ["sign"]);
	imported = { secret, key };
	return key;
}
