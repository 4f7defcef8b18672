/**
 * MurmurHash3 x86 32-bit (Austin Appleby, public domain reference) over the first `length` bytes.
 * Returns an unsigned 32-bit integer.
 */
export function murmur3(bytes: Uint8Array, seed: number, length = bytes.length): number {
	const blocks = length & ~3;
	let hash = seed | 0;
	for (let i = 0; i < blocks; i += 4) {
		const word = (bytes[i] ?? 0) | ((bytes[i + 1] ?? 0) << 8) | ((bytes[i + 2] ?? 0) << 16) | ((bytes[i + 3] ?? 0) << 24);
		hash ^= scramble(word);
		hash = (hash << 13) | (hash >>> 19);
		hash = (Math.imul(hash, 5) + 0xe6546b64) | 0;
	}
	let tail = 0;
	for (let i = length - 1; i >= blocks; i--) tail = (tail << 8) | (bytes[i] ?? 0);
	if (length > blocks) hash ^= scramble(tail);
	return finish(hash, length);
}

/** The same of an ASCII text, straight from its characters; undefined: it is none. Most keys are, and nothing is copied for them. */
export function murmur3Ascii(text: string, seed: number): number | undefined {
	const { length } = text;
	const blocks = length & ~3;
	let hash = seed | 0;
	let seen = 0;
	for (let i = 0; i < blocks; i += 4) {
		const a = text.charCodeAt(i);
		const b = text.charCodeAt(i + 1);
		const c = text.charCodeAt(i + 2);
		const d = text.charCodeAt(i + 3);
		seen |= a | b | c | d;
		hash ^= scramble(a | (b << 8) | (c << 16) | (d << 24));
		hash = (hash << 13) | (hash >>> 19);
		hash = (Math.imul(hash, 5) + 0xe6546b64) | 0;
	}
	let tail = 0;
	for (let i = length - 1; i >= blocks; i--) {
		const code = text.charCodeAt(i);
		seen |= code;
		tail = (tail << 8) | code;
	}
	if (seen > 0x7f) return undefined;
	if (length > blocks) hash ^= scramble(tail);
	return finish(hash, length);
}

/** Spreads every bit of the state over the whole result. */
function finish(state: number, length: number): number {
	let hash = state ^ length;
	hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
	hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
	return (hash ^ (hash >>> 16)) >>> 0;
}

function scramble(word: number): number {
	const k = Math.imul(word, 0xcc9e2d51);
	return Math.imul((k << 15) | (k >>> 17), 0x1b873593);
}
