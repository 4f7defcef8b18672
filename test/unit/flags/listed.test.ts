import * as fc from "fast-check";
import { expect, test } from "vitest";
import { hashDigits, isListed, packListed } from "../../../core/flags/listed";
import { bigMurmur3 } from "./bigMurmur3";
import { encode } from "./fixtures";
import { anyText } from "./random";

const packed = (keys: readonly string[]): Uint8Array => encode(packListed(keys));

test("of 100,000 keys every one is found, and of 100,000 others none", () => {
	const keys = Array.from({ length: 100_000 }, (_, i) => `user-${i}`);
	const bytes = packed(keys);
	expect(bytes.length).toBe(1_600_000);
	expect(keys.filter((key) => !isListed(bytes, key))).toEqual([]);
	expect(keys.filter((key) => isListed(bytes, `${key}x`))).toEqual([]);
});

test("any keys are found, whatever they are made of", () => {
	// A lone surrogate is hashed as U+FFFD, so two keys may be one.
	const someKeys = fc.array(
		anyText.map((text) => text.toWellFormed()),
		{ maxLength: 20 },
	);
	fc.assert(
		fc.property(someKeys, someKeys, (keys, others) => {
			const bytes = packed(keys);
			for (const key of [...keys, ...others]) expect(isListed(bytes, key)).toBe(keys.includes(key));
		}),
	);
});

test("the order and repetitions of keys do not show", () => {
	fc.assert(
		fc.property(fc.array(anyText, { maxLength: 20 }), (keys) => {
			expect(packListed([...keys.toReversed(), ...keys])).toBe(packListed(keys));
		}),
	);
});

test("a key is two murmur3 hashes, digit by digit", () => {
	fc.assert(
		fc.property(anyText, (key) => {
			const halves = [0x5e90a75, 0x7f4a7c1].map((seed) => bigMurmur3(encode(key), seed).toString(16).padStart(8, "0"));
			expect(hashDigits(key)).toBe(halves.join(""));
		}),
	);
});

test.each([
	["no bytes", ""],
	["half a hash", "0123456"],
	["bytes that are no digits", "\u0000~~~~~~~~~~~~~~~".repeat(3)],
])("%s list nobody and do not throw", (_, text) => expect(isListed(encode(text), "anna")).toBe(false));
