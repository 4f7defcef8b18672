import { murmur3, murmur3Ascii } from "./murmur3";
import { writeUtf8 } from "./utf8";

/** Buckets of a split: a weight or a served share is a whole number of them, so 0.001 % is the finest step. */
export const BUCKETS = 100_000;

const BYTES_PER_UNIT = 3;
/** Keys are short: one buffer serves them all, and evaluating allocates nothing for them. */
const scratch = new Uint8Array(512 * BYTES_PER_UNIT);

/** murmur3-32 of a text's UTF-8 bytes. */
export function hashText(text: string, seed: number): number {
	const hash = murmur3Ascii(text, seed);
	if (hash !== undefined) return hash;
	const buffer = text.length * BYTES_PER_UNIT <= scratch.length ? scratch : new Uint8Array(text.length * BYTES_PER_UNIT);
	return murmur3(buffer, seed, writeUtf8(text, buffer));
}

/** The seed of a salt's buckets: computed once, when a snapshot is packed. */
export function seedOf(salt: string): number {
	return hashText(salt, 0);
}

/**
 * The bucket of a key, 0 … 99,999. Multiplying and dividing by 2^32 instead of taking a remainder keeps buckets even, and
 * both steps are exact in doubles (hash × 100,000 < 2^53), so every platform agrees. A user is a candidate when the bucket
 * is below the served share: raising the share only ever adds users.
 */
export function bucketOf(key: string, seed: number): number {
	return Math.floor((hashText(key, seed) * BUCKETS) / 2 ** 32);
}
