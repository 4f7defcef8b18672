import * as z from "zod";
import { type Result, err, ok } from "../result";

/** An old secret goes on signing for so long, so that a receiver can change it without missing anything. */
export const OVERLAP_MS = 86_400_000;
/** Each of them is a signature in every request. */
export const SECRETS_MAX = 5;

/** Newest first; only the newest has no end. */
export const signingSecrets = z.array(z.object({ secret: z.string(), untilMs: z.int().nullable() })).min(1);
export type SigningSecrets = z.infer<typeof signingSecrets>;

/** The secrets that sign now. */
export function signing(secrets: SigningSecrets, now: number): SigningSecrets {
	return secrets.filter(({ untilMs }) => untilMs === null || untilMs > now);
}

/** A fresh secret takes the first place. Refused when too many still sign: each was promised its time. */
export function rotated(
	secrets: SigningSecrets,
	secret: string,
	now: number,
): Result<SigningSecrets, { readonly kind: "too_many_secrets"; readonly limit: number; readonly untilMs: number }> {
	const old = signing(secrets, now).map((each) => ({ ...each, untilMs: each.untilMs ?? now + OVERLAP_MS }));
	const untilMs = Math.min(...old.map((each) => each.untilMs));
	return old.length >= SECRETS_MAX
		? err({ kind: "too_many_secrets", limit: SECRETS_MAX, untilMs })
		: ok([{ secret, untilMs: null }, ...old]);
}
