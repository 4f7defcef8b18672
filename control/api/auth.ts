import { sha256Hex } from "../sha256";
import type { Database } from "../store/database";
import { keepToken, nameOfToken } from "../store/tokens";
import { within } from "../within";

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
	const hash = await hashIn(authorization);
	if (hash === undefined) return undefined;
	const isAdmin = await isAdmins(hash, adminToken);
	const name = await nameOfToken(db, hash);
	if (isAdmin && name !== ADMIN) await keepToken(db, ADMIN, hash, now);
	if (isAdmin) return ADMIN;
	return name === ADMIN ? undefined : name;
}

/** As callerOf, for whoever must answer by then: the admin needs no database. Rejects when nobody could tell in time. */
export async function callerWithin(
	ms: number,
	db: Database,
	authorization: string | undefined,
	adminToken: string | undefined,
): Promise<string | undefined> {
	const hash = await hashIn(authorization);
	if (hash === undefined) return undefined;
	if (await isAdmins(hash, adminToken)) return ADMIN;
	const name = await within(ms, nameOfToken(db, hash));
	return name === ADMIN ? undefined : name;
}

async function hashIn(authorization: string | undefined): Promise<string | undefined> {
	const token = /^Bearer ([\x21-\x7e]+)$/i.exec(authorization ?? "")?.[1];
	return token === undefined || token.length > TOKEN_CHARACTERS_MAX ? undefined : sha256Hex(token);
}

async function isAdmins(hash: string, adminToken: string | undefined): Promise<boolean> {
	return adminToken !== undefined && adminToken !== "" && equal(hash, await sha256Hex(adminToken));
}

/** In constant time. */
function equal(a: string, b: string): boolean {
	const encoder = new TextEncoder();
	return crypto.subtle.timingSafeEqual(encoder.encode(a), encoder.encode(b));
}
