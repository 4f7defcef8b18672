import { sha256Hex } from "../sha256";
import type { Database } from "../store/database";
import { ADMIN, type Caller, type TokenRow, findToken, keepAdminToken } from "../store/tokens";
import { within } from "../within";

const TOKEN_CHARACTERS_MAX = 1_000;
const THE_ADMIN: Caller = { name: ADMIN, role: "admin", environment: null };

/**
 * Who calls; undefined when the token is nobody's. Tokens are kept as hashes. The first is the secret ADMIN_TOKEN: it is
 * taken in when it is first used, and when the secret changes the old one is worth nothing at once.
 */
export async function callerOf(
	db: Database,
	authorization: string | undefined,
	adminToken: string | undefined,
	now: number,
): Promise<Caller | undefined> {
	const hash = await hashIn(authorization);
	if (hash === undefined) return undefined;
	const isAdmin = await isAdmins(hash, adminToken);
	const token = await findToken(db, hash);
	if (isAdmin && !token) await keepAdminToken(db, hash, now);
	return isAdmin ? THE_ADMIN : callerBy(token);
}

/** As callerOf, for whoever must answer by then: the admin needs no database. Rejects when nobody could tell in time. */
export async function callerWithin(
	ms: number,
	db: Database,
	authorization: string | undefined,
	adminToken: string | undefined,
): Promise<Caller | undefined> {
	const hash = await hashIn(authorization);
	if (hash === undefined) return undefined;
	return (await isAdmins(hash, adminToken)) ? THE_ADMIN : callerBy(await within(ms, findToken(db, hash)));
}

/** Nobody's are one that is revoked, and the admin's of before. */
function callerBy(token: TokenRow | undefined): Caller | undefined {
	if (!token || token.name === ADMIN || token.revokedAtMs !== null) return undefined;
	const { name, role, environment } = token;
	return { name, role, environment };
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
