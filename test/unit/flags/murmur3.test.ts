import * as fc from "fast-check";
import { expect, test } from "vitest";
import { murmur3 } from "../../../core/flags/murmur3";
import { bigMurmur3 } from "./bigMurmur3";
import { encode } from "./fixtures";

test.each([
	["", 0, 0],
	["", 1, 0x514e28b7],
	["", 0xffffffff, 0x81f16f39],
	["hello", 0, 0x248bfa47],
	["hello, world", 0, 0x149bbb7f],
	["aaaa", 0x9747b28c, 0x5a97808a],
	["aaa", 0x9747b28c, 0x283e0130],
	["aa", 0x9747b28c, 0x5d211726],
	["a", 0x9747b28c, 0x7fa09ea6],
	["The quick brown fox jumps over the lazy dog", 0x9747b28c, 0x2fa826cd],
])("the published hash of %j with seed %i", (text, seed, hash) => {
	expect(murmur3(encode(text), seed)).toBe(hash);
	expect(bigMurmur3(encode(text), seed)).toBe(hash);
});

test("any bytes hash as an independent implementation has it", () => {
	fc.assert(
		fc.property(fc.uint8Array({ maxLength: 40 }), fc.nat({ max: 0xffffffff }), (bytes, seed) => {
			expect(murmur3(bytes, seed)).toBe(bigMurmur3(bytes, seed));
		}),
	);
});

test("what lies behind the given length does not count", () => {
	expect(murmur3(encode("hello, world"), 0, 5)).toBe(murmur3(encode("hello"), 0));
});
