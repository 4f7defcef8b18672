import { readHex } from "./hex";
import { murmur3 } from "./murmur3";

const NEWLINE = 10;
const TAB = 9;
const HASH_DIGITS = 8;

/**
 * A snapshot body: one JSON header line, then `key TAB hash TAB json` lines sorted by key. Sorted lines need no index: a
 * header with 10,000 offsets costs 5 ms to parse, a binary search over the bytes 14 probes. The hash (murmur3 of the JSON's
 * bytes, seeded by the key's hash, which the version seeds; 8 hex digits) finds torn or foreign bytes, a damaged key's too,
 * which would serve one flag as another. It is synchronous, as evaluation is, and SHA-256 in a Worker is not. Returns the
 * JSON's bytes, undefined when there is no such key, "corrupt" when the hash is wrong.
 */
export function lineOf(bytes: Uint8Array, start: number, key: string, version: number): Uint8Array | "corrupt" | undefined {
	let low = start;
	let high = bytes.length;
	while (low < high) {
		let line = (low + high) >>> 1;
		while (line > low && bytes[line - 1] !== NEWLINE) line--;
		const order = compareKey(bytes, line, key);
		const end = endOfLine(bytes, line);
		if (order === 0) return contentOf(bytes, line, line + key.length, end, version);
		if (order < 0) high = line;
		else low = end + 1;
	}
	return undefined;
}

/** Every line's key, in order. `decode` makes flat texts; concatenated ones would keep their parts. */
export function keysOf(bytes: Uint8Array, start: number, decode: (bytes: Uint8Array) => string): string[] {
	const keys: string[] = [];
	for (let line = start; line < bytes.length; line = endOfLine(bytes, line) + 1) {
		let end = line;
		while (end < bytes.length && bytes[end] !== TAB && bytes[end] !== NEWLINE) end++;
		if (end > line) keys.push(decode(bytes.subarray(line, end)));
	}
	return keys;
}

export function endOfLine(bytes: Uint8Array, from: number): number {
	const at = bytes.indexOf(NEWLINE, from);
	return at < 0 ? bytes.length : at;
}

function contentOf(bytes: Uint8Array, line: number, endOfKey: number, end: number, version: number): Uint8Array | "corrupt" {
	const json = endOfKey + 1 + HASH_DIGITS + 1;
	const content = bytes.subarray(json, end);
	const seed = murmur3(bytes.subarray(line, endOfKey), version);
	return readHex(bytes, json - 1 - HASH_DIGITS) === murmur3(content, seed) ? content : "corrupt";
}

/** Negative: the key sorts before the line's key. Keys are ASCII above TAB, so bytes compare as characters. */
function compareKey(bytes: Uint8Array, line: number, key: string): number {
	for (let i = 0; ; i++) {
		const wanted = i < key.length ? key.charCodeAt(i) : TAB;
		const found = bytes[line + i] ?? TAB;
		if (wanted !== found) return wanted - found;
		// A wanted key that itself holds a TAB goes on here: it is no line's key, and sorts after this one.
		if (found === TAB) return key.length - i;
	}
}
