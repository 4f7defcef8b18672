import { readFileSync } from "node:fs";
import { join } from "node:path";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { BUCKETS, bucketOf, hashText, seedOf } from "../../../core/flags/bucket";
import { bigMurmur3 } from "./bigMurmur3";
import { encode } from "./fixtures";
import { anyText } from "./random";

interface Vector {
	readonly salt: string;
	readonly key: string;
	readonly seed: number;
	readonly hash: number;
	readonly bucket: number;
}

/** Read here, since bundlers refuse the lone surrogates that some keys have. */
const vectors = JSON.parse(readFileSync(join(import.meta.dirname, "../../vectors/bucketing.json"), "utf8")) as {
	readonly cases: readonly Vector[];
};

/** By integers alone. */
const bigBucket = (hash: number): number => Number((BigInt(hash) * BigInt(BUCKETS)) / 2n ** 32n);

test.each(vectors.cases)("a user never changes buckets: salt $salt, key $key", ({ salt, key, seed, hash, bucket }) => {
	expect(seedOf(salt)).toBe(seed);
	expect(hashText(key, seed)).toBe(hash);
	expect(bucketOf(key, seedOf(salt))).toBe(bucket);
});

test.each(vectors.cases)("an independent implementation agrees: salt $salt, key $key", ({ salt, key, seed, hash, bucket }) => {
	expect(bigMurmur3(encode(salt), 0)).toBe(seed);
	expect(bigMurmur3(encode(key), seed)).toBe(hash);
	expect(bigBucket(hash)).toBe(bucket);
});

test("any key has the bucket that integer arithmetic gives it", () => {
	fc.assert(
		fc.property(anyText, fc.nat({ max: 0xffffffff }), (key, seed) => {
			const bucket = bucketOf(key, seed);
			expect(bucket).toBe(bigBucket(bigMurmur3(encode(key), seed)));
			expect(bucket >= 0 && bucket < BUCKETS && Number.isInteger(bucket)).toBe(true);
		}),
	);
});

test.each([511, 512, 513, 2_000])("a key of %i units, around the shared buffer's size, hashes whole", (length) => {
	const key = "ü€".repeat(length).slice(0, length);
	expect(hashText(key, 1)).toBe(bigMurmur3(encode(key), 1));
	expect(hashText("user-1", 1)).toBe(bigMurmur3(encode("user-1"), 1));
});

const KEYS = 100_000;
const keyForms: [string, (n: number) => string][] = [
	["numbers", (n) => String(n)],
	["prefixed numbers", (n) => `user-${n}`],
	["addresses", (n) => `${n}@example.org`],
	["hexadecimal ids", (n) => (n * 2_654_435_761).toString(16).padStart(16, "0")],
];

test.each(keyForms)("buckets are even for %s", (_, keyOf) => {
	const cells = Array.from({ length: 1_000 }, () => 0);
	const seed = seedOf("checkout");
	for (let n = 0; n < KEYS; n++) {
		const cell = Math.floor(bucketOf(keyOf(n), seed) / (BUCKETS / cells.length));
		cells[cell] = (cells[cell] ?? 0) + 1;
	}
	const expected = KEYS / cells.length;
	const chiSquared = cells.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0);
	// 999 degrees of freedom, standard deviation √(2·999) = 44.7: four of them to either side.
	expect(chiSquared).toBeGreaterThan(999 - 179);
	expect(chiSquared).toBeLessThan(999 + 179);
});

test.each([
	["checkout", "search"],
	["checkout.1", "checkout.2"],
	["a", "b"],
	["checkout", "checkout "],
])("the 50 % cohorts of the salts %j and %j are independent", (one, other) => {
	for (const [, keyOf] of keyForms) {
		let [inOne, inOther, inBoth] = [0, 0, 0];
		const [seedOfOne, seedOfOther] = [seedOf(one), seedOf(other)];
		for (let n = 0; n < KEYS; n++) {
			const isInOne = bucketOf(keyOf(n), seedOfOne) < BUCKETS / 2;
			const isInOther = bucketOf(keyOf(n), seedOfOther) < BUCKETS / 2;
			inOne += Number(isInOne);
			inOther += Number(isInOther);
			inBoth += Number(isInOne && isInOther);
		}
		const [p, q] = [inOne / KEYS, inOther / KEYS];
		const correlation = (inBoth / KEYS - p * q) / Math.sqrt(p * (1 - p) * q * (1 - q));
		// Four standard deviations of 1/√100,000.
		expect(Math.abs(correlation)).toBeLessThan(0.0127);
	}
});
