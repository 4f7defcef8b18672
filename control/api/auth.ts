import { sha256Hex } from "../sha256";
import type { Database } from "../store/database";
import { keepToken, nameOfToken } from "../store/tokens";

const ADMIN = "admin";
const TOKEN_CHARACTERS_MAX = 1_000;

/**
 * Who calls; undefined when the token is nobody's. Tokens are kept as hashes. The first is the secret ADMIN_TOKEN: it is
 * taken in when it is first used, and when the secret changes the old one is worth nothing at once.
 */
export async function callerOf(
	db: Database,
	authorization: string | undefined,
	adminToken: string | undefined,
	now: number,
): Promise<string | undefined> {
	const token = /^Bearer ([\x21-\x7e]+)$/i.exec(authorization ?? "")?.[1];
	if (token === undefined || token.length > TOKEN_CHARACTERS_MAX) return undefined;
	const hash = await sha256Hex(token);
	const isAdmin = adminToken !== undefined && adminToken !== "" && equal(hash, await sha256Hex(adminToken));
	const name = await nameOfToken(db, hash);
	if (isAdmin && name !== ADMIN) await keepToken(db, ADMIN, hash, now);
	if (isAdmin) return ADMIN;
	return name === ADMIN ? undefined : name;
}

/** In constant time. */
function equal(a: string, b: string): boolean {
	const encoder = new TextEncoder();
	return crypto.subtle.timingSafeEqual(encoder.encode(a), encoder.encode(b));
}
