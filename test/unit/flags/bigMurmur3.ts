/** MurmurHash3 x86 32-bit once more, in BigInt and from the reference's description: it shares no line with the code under test. */
const WORD = 2n ** 32n;

export function bigMurmur3(bytes: Uint8Array, seed: number): number {
	const rotate = (value: bigint, by: bigint): bigint => ((value << by) % WORD) + (value >> (32n - by));
	const scramble = (value: bigint): bigint => (rotate((value * 0xcc9e2d51n) % WORD, 15n) * 0x1b873593n) % WORD;
	let hash = BigInt(seed);
	for (let at = 0; at < bytes.length; at += 4) {
		const block = bytes.slice(at, at + 4);
		const word = block.reduceRight((value, byte) => value * 256n + BigInt(byte), 0n);
		hash ^= scramble(word);
		if (block.length === 4) hash = (rotate(hash, 13n) * 5n + 0xe6546b64n) % WORD;
	}
	hash ^= BigInt(bytes.length);
	hash = ((hash ^ (hash >> 16n)) * 0x85ebca6bn) % WORD;
	hash = ((hash ^ (hash >> 13n)) * 0xc2b2ae35n) % WORD;
	return Number(hash ^ (hash >> 16n));
}
