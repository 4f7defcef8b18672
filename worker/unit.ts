import { toBase64url } from "./base64url";

const ALGORITHM = { name: "HMAC", hash: "SHA-256" };
const UNIT_BYTES = 16;

const encoder = new TextEncoder();

/** Importing a key costs more than a hash: the isolate keeps the newest one, and the hashes of those who came last. */
let imported: { readonly secret: string; readonly key: CryptoKey; readonly units: Map<string, string> } | undefined;
const UNITS_MAX = 5_000;

/**
 * A user as the store knows them: HMAC-SHA-256 of the targeting key, 16 bytes of it, base64url. Without the secret nobody
 * can tell whose it is, not even by hashing every e-mail address there is.
 */
export async function unitOf(targetingKey: string, secret: string): Promise<string> {
	const { key, units } = imported?.secret === secret ? imported : (imported = await withKey(secret));
	const known = units.get(targetingKey);
	if (known !== undefined) return known;
	const mac = await crypto.subtle.sign(ALGORITHM.name, key, encoder.encode(targetingKey));
	const unit = toBase64url(new Uint8Array(mac, 0, UNIT_BYTES));
	const [oldest] = units.keys();
	if (units.size >= UNITS_MAX && oldest !== undefined) units.delete(oldest);
	units.set(targetingKey, unit);
	return unit;
}

/** The same, of one of those who came last. */
export const knownUnit = (targetingKey: string, secret: string): string | undefined =>
	imported?.secret === secret ? imported.units.get(targetingKey) : undefined;

async function withKey(secret: string) {
	const key = await crypto.subtle.importKey("raw", encoder.encode(secret), ALGORITHM, false, ["sign"]);
	return { secret, key, units: new Map<string, string>() };
}
