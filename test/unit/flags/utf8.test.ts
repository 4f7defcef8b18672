import * as fc from "fast-check";
import { expect, test } from "vitest";
import { writeUtf8 } from "../../../core/flags/utf8";
import { encode } from "./fixtures";
import { anyText } from "./random";

function utf8(text: string): number[] {
	const buffer = new Uint8Array(text.length * 3);
	return [...buffer.subarray(0, writeUtf8(text, buffer))];
}

test.each([
	["nothing", ""],
	["ASCII", "user-1"],
	["NUL and DEL", "\u0000\u007f"],
	["the first and last of two bytes", "\u0080\u07ff"],
	["the first and last of three bytes", "\u0800\uffff"],
	["the neighbours of the surrogates", "\ud7ff\ue000"],
	["the first and last pair", "\ud800\udc00\udbff\udfff"],
	["a lone high surrogate at the end", "a\ud800"],
	["a lone high surrogate before a letter", "\ud83da"],
	["a lone low surrogate", "\udc00a"],
	["a pair the wrong way round", "\udc00\ud800"],
	["two high surrogates before a low one", "\ud83d\ud83d\ude00"],
])("%s is encoded as TextEncoder does", (_, text) => expect(utf8(text)).toEqual([...encode(text)]));

test("every text is encoded as TextEncoder does", () => {
	fc.assert(
		fc.property(anyText, (text) => {
			expect(utf8(text)).toEqual([...encode(text)]);
		}),
	);
});

test("every code unit alone is encoded as TextEncoder does", () => {
	for (let unit = 0; unit <= 0xffff; unit++) {
		const text = String.fromCharCode(unit);
		if (Buffer.compare(Buffer.from(utf8(text)), encode(text)) !== 0) throw new Error(`unit ${unit.toString(16)}`);
	}
});
