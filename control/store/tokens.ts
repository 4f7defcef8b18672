import { and, asc, eq, getTableColumns, isNull, ne, sql } from "drizzle-orm";
import { type Result, err, ok } from "../../core/result";
import { type Act, audited } from "./audit";
import { isConflict } from "./conflict";
import { type Database, commit } from "./database";
import { tokens } from "./schema";

/** Each may do what those before it may. */
export const ROLES = ["viewer", "operator", "admin"] as const;
export type Role = (typeof ROLES)[number];

/** Of the secret ADMIN_TOKEN, the first of all. */
export const ADMIN = "admin";
/** Tokens that are not revoked. */
export const TOKENS_MAX = 200;

/** Whom a token speaks for. */
export interface Caller {
	readonly name: string;
	readonly role: Role;
	/** null: all. */
	readonly environment: string | null;
}

export interface TokenRow extends Caller {
	readonly createdAtMs: number;
	readonly revokedAtMs: number | null;
}

export type TokenRefusal =
	| { readonly kind: "token_exists"; readonly name: string }
	| { readonly kind: "too_many_tokens"; readonly limit: number };

/** Never the hash. */
const { hash: _hash, ...SHOWN } = getTableColumns(tokens);

export async function findToken(db: Database, hash: string): Promise<TokenRow | undefined> {
	const [row] = await db.select(SHOWN).from(tokens).where(eq(tokens.hash, hash));
	return row;
}

/** The admin's: a new one takes the place of the one before. */
export async function keepAdminToken(db: Database, hash: string, atMs: number): Promise<void> {
	await db
		.insert(tokens)
		.values({ name: ADMIN, hash, role: "admin", createdAtMs: atMs })
		.onConflictDoUpdate({ target: tokens.name, set: { hash, createdAtMs: atMs } });
}

/** All but the admin's, which is a secret of the deployment. */
export async function listTokens(db: Database): Promise<TokenRow[]> {
	return db.select(SHOWN).from(tokens).where(ne(tokens.name, ADMIN)).orderBy(asc(tokens.name));
}

/** The name may have been another's that is revoked. */
export async function createToken(db: Database, caller: Caller, hash: string, act: Act): Promise<Result<TokenRow, TokenRefusal>> {
	const row: TokenRow = { ...caller, createdAtMs: act.atMs, revokedAtMs: null };
	// NULL aborts the batch.
	const live = sql`(SELECT count(*) FROM ${tokens} WHERE ${tokens.revokedAtMs} IS NULL AND ${tokens.name} <> ${ADMIN})`;
	const unlessFull = sql<string>`CASE WHEN ${live} < ${TOKENS_MAX} THEN ${hash} END`;
	const unlessLive = sql<string>`CASE WHEN ${tokens.revokedAtMs} IS NOT NULL THEN excluded.hash END`;
	try {
		await commit(db, [
			db
				.insert(tokens)
				.values({ ...row, hash: unlessFull })
				.onConflictDoUpdate({ target: tokens.name, set: { ...row, hash: unlessLive } }),
			audited(db, act, resource(row.name), "token.created", null, row),
		]);
		return ok(row);
	} catch (error) {
		if (!isConflict(error, "tokens")) throw error;
	}
	const [there] = await db
		.select(SHOWN)
		.from(tokens)
		.where(and(eq(tokens.name, row.name), isNull(tokens.revokedAtMs)));
	return err(there ? { kind: "token_exists", name: row.name } : { kind: "too_many_tokens", limit: TOKENS_MAX });
}

/** False: there is no such token. Revoking a revoked one changes nothing. */
export async function revokeToken(db: Database, name: string, act: Act): Promise<boolean> {
	const [before] = await db.select(SHOWN).from(tokens).where(eq(tokens.name, name));
	if (!before) return false;
	if (before.revokedAtMs !== null) return true;
	// Of two at once the second is aborted by the NULL: one revocation, one row in the audit.
	const unlessRevoked = sql<string>`CASE WHEN ${tokens.revokedAtMs} IS NULL THEN ${tokens.hash} END`;
	try {
		await commit(db, [
			db.update(tokens).set({ revokedAtMs: act.atMs, hash: unlessRevoked }).where(eq(tokens.name, name)),
			audited(db, act, resource(name), "token.revoked", before, { ...before, revokedAtMs: act.atMs }),
		]);
	} catch (error) {
		if (!isConflict(error, "tokens")) throw error;
	}
	return true;
}

const resource = (name: string): string => `tokens/${name}`;
