import * as fc from "fast-check";
import { RE2JS } from "re2js";
import { describe, expect, test, vi } from "vitest";
import { compilePattern } from "../../../control/patterns/compile";
import { type PatternTable, matchesPattern } from "../../../core/flags/pattern";
import { anyText } from "./random";

/** Thousands of patterns are compiled, each in milliseconds. */
vi.setConfig({ testTimeout: 30_000 });

function compiled(source: string): PatternTable {
	const result = compilePattern(source);
	if (!result.ok) throw new Error(`${source}: ${result.error.message}`);
	return result.value;
}

function re2(source: string): RE2JS | undefined {
	try {
		return RE2JS.compile(source);
	} catch {
		return undefined;
	}
}

describe("refused, with the place and the reason", () => {
	test.each([
		["(a)\\1", 3, "the back-reference \\1 is not supported"],
		["(?P<n>a)\\k<n>", 8, "the back-reference \\k is not supported"],
		["(?P<n>a)(?P=n)", 8, "the back-reference (?P=…) is not supported"],
		["a(?=b)", 1, "look-ahead (?=…) is not supported"],
		["a(?!b)", 1, "look-ahead (?!…) is not supported"],
		["(?<=a)b", 0, "look-behind (?<=…) is not supported"],
		["(?<!a)b", 0, "look-behind (?<!…) is not supported"],
		["(?>a)", 0, "the atomic group (?>…) is not supported"],
		["(?#note)", 0, "the comment (?#…) is not supported"],
		["(?m)^a", 0, "the flag m is not supported: ^ and $ are the ends of the whole text"],
		["(?x)a", 0, "(?x is not supported"],
		["(?i-)a", 0, "no flag follows the -"],
		["(?i", 0, "this ( is never closed"],
		["a(b", 1, "this ( is never closed"],
		["ab)", 2, "this ) closes no group"],
		["a[b", 1, "this [ is never closed"],
		["[z-a]", 1, "the range z-a runs backwards"],
		["[a-\\d]", 3, "\\d is no escape of RE2's"],
		["[[:alpha:]]", 1, "named classes as [:alpha:] are not supported: write the ranges, as a-z"],
		["\\pL", 0, "Unicode classes as \\p are not supported: write the ranges, as \\x{400}-\\x{4ff}"],
		["\\Qa.b\\E", 0, "\\Q and \\E are not supported: escape each character"],
		["a\\", 1, "this \\ escapes nothing"],
		["\\Z", 0, "\\Z is no escape of RE2's"],
		["\\cA", 0, "\\c is no escape of RE2's"],
		["\\u0041", 0, "\\u is no escape of RE2's"],
		["\\07", 0, "octal escapes are not supported: write \\x00"],
		["\\x4", 0, "\\x takes two hexadecimal digits, or more in braces"],
		["\\x{}", 0, "\\x takes two hexadecimal digits, or more in braces"],
		["\\x{110000}", 0, "U+110000 > limit U+10FFFF"],
		["\\x{d800}", 0, "the surrogate U+d800 is no character"],
		["a\ud800", 1, "a lone surrogate is no character"],
		["*a", 0, "there is nothing for * to repeat"],
		["a|{2}", 2, "there is nothing for {2} to repeat"],
		["a(?i)*", 5, "there is nothing for * to repeat"],
		["a**", 2, "* repeats a repetition: put that in a group"],
		["a*?+", 3, "+ repeats a repetition: put that in a group"],
		["a{2,1}", 1, "at least 2, but at most 1 repetitions"],
		["a{1001}", 1, "1,001 repetitions > limit 1,000"],
		["(a{40}){50}", 7, "2,000 nested repetitions > limit 1,000"],
		["(?P<a>x)(?P<a>y)", 8, 'the group name "a" is used twice'],
		["(?P<a-b>x)", 0, "a group's name is letters, digits and _, closed by >"],
		["a".repeat(201), 200, "201 characters > limit 200"],
		["a{300}", 0, "301 states > limit 256: shorten repetitions or begin with ^"],
		["a{1000}", 0, "more than 2,000 states written out: shorten repetitions or begin with ^"],
		["a.{10}$", 0, "more than 512 states before equal ones are merged: shorten repetitions or begin with ^"],
		["(a?b?c?d?e?f?g?h?i?j?){50}$", 0, "more than 12,000 transitions by character class: shorten repetitions"],
		[
			`^(${Array.from({ length: 64 }, (_, i) => String.fromCodePoint(0x400 + i)).join("")})`,
			0,
			"65 classes of characters > limit 64: use fewer different characters",
		],
	])("%j", (source, position, message) => {
		expect(compilePattern(source)).toEqual({ ok: false, error: { position, message } });
	});
});

test.each<[source: string, matching: string[], others: string[]]>([
	["", ["", "a"], []],
	["b+", ["b", "abba"], ["", "a"]],
	["^/checkout(/|$)", ["/checkout", "/checkout/pay"], ["/checkouts", "a/checkout"]],
	["@(example|test)\\.(com|org)$", ["a@example.com", "@test.org"], ["a@example.com.", "a@examplexcom"]],
	["^(?P<major>\\d+)\\.(?<minor>\\d+)$", ["1.20"], ["1.", "1.2.3", "1.٢"]],
	["^[0-9a-f]{8}-[0-9a-f]{4}$", ["0123abcd-00ff"], ["0123abcd-00fg", "0123abcd-00ff0"]],
	["(?i)^straße$", ["STRASSE".replace("SS", "ẞ"), "straße"], ["strasse"]],
	["(?i)k", ["K", "\u212a"], ["x"]],
	["(?i)[^k]", ["a"], ["k", "K", "\u212a"]],
	["a(?i:b)c", ["abc", "aBc"], ["ABC"]],
	["a(?i)b|c", ["aB", "C"], ["AB"]],
	["^.$", ["a", "😀", "\r", "\ud800"], ["\n", "", "ab"]],
	["(?s)^.$", ["\n"], [""]],
	["^\\s$", [" ", "\t", "\n", "\f", "\r"], ["\v", "\u00a0", "\ufeff"]],
	["^\\w$", ["a", "_", "0"], ["é", "-"]],
	["^\\W$", ["é", "\n", "\ud800"], ["a"]],
	["^[]a]$", ["]", "a"], ["[]a]"]],
	["^[^]a]$", ["b", "\n"], ["]", "a"]],
	["^[\\d-x]$", ["5", "-", "x"], ["w"]],
	["^a{,2}{$", ["a{,2}{"], ["aa"]],
	["^a{01}$", ["a{01}"], ["a"]],
	["^(a*?b??){1,2}?$", ["", "aabab"], ["abbb"]],
	["\\bcat\\b", ["cat", "a cat.", "écaté"], ["cats", "concat"]],
	["\\Bcat", ["concat"], ["cat", "a cat"]],
	["^\\B$", [""], ["a"]],
	["\\b", ["a"], ["", "é"]],
	["a^b|c$d", [], ["", "ab", "cd", "a\nb"]],
	["\\Aa\\z", ["a"], ["a\n", "ba"]],
	["^^a$$|^*b", ["a", "b", "ab"], ["aa"]],
	["\\x{1F600}\\x41\\.\\_", ["😀A._"], ["😀A_"]],
	["[\\x{1F600}-\\x{1F64F}]", ["a😃"], ["a🚀", "\ud83d", "\ude03"]],
	["^\ufffd+$", ["\ud800", "\udc00\ud800", "a\udc00".slice(1)], ["😀"]],
	["[^\\x00-\\x{10FFFF}]", [], ["", "a", "\ud800"]],
])("%j matches what RE2 matches", (source, matching, others) => {
	const table = compiled(source);
	expect(matching.filter((text) => !matchesPattern(table, text))).toEqual([]);
	expect(others.filter((text) => matchesPattern(table, text))).toEqual([]);
	for (const text of [...matching, ...others]) expect(re2(source)?.matcher(text.toWellFormed()).find()).toBe(matching.includes(text));
});

describe("against RE2", () => {
	/** A part of a pattern with texts that match it, or nearly. */
	interface Part {
		readonly source: string;
		readonly texts: readonly string[];
	}
	const leaf: fc.Arbitrary<Part> = fc.constantFrom(
		{ source: "a", texts: ["a", "A", "b"] },
		{ source: "k", texts: ["k", "K", "\u212a"] },
		{ source: "ß", texts: ["ß", "ẞ", "ss"] },
		{ source: "σ", texts: ["σ", "ς", "Σ"] },
		{ source: "😀", texts: ["😀", "😁"] },
		{ source: "shop", texts: ["shop", "Shop", "shp"] },
		{ source: ".", texts: ["x", "\n", "😀"] },
		{ source: "\\d", texts: ["0", "9", "٢"] },
		{ source: "\\w", texts: ["a", "_", "ſ", "-"] },
		{ source: "\\s", texts: [" ", "\t", "\v", "\u00a0"] },
		{ source: "\\D", texts: ["a", "1", "\n"] },
		{ source: "\\W", texts: [" ", "k", "\u212a"] },
		{ source: "\\S", texts: ["s", " ", "\v"] },
		{ source: "[a-f]", texts: ["c", "C", "g"] },
		{ source: "[^a-f\\d]", texts: ["g", "c", "D", "\n"] },
		{ source: "[]\\-x]", texts: ["]", "-", "x", "\\"] },
		{ source: "[\\w.+-]", texts: ["z", ".", "+", "é"] },
		{ source: "[à-ÿ]", texts: ["é", "É", "e"] },
		{ source: "[\\x{1F600}-\\x{1F64F}]", texts: ["😀", "🚀"] },
		{ source: "\\x41", texts: ["A", "a"] },
		{ source: "\\x{e9}", texts: ["é", "É"] },
		{ source: "\\.", texts: [".", "x"] },
		{ source: "\\n", texts: ["\n", "n"] },
		{ source: "{,2}", texts: ["{,2}", "aa"] },
		{ source: "^", texts: ["", "\n"] },
		{ source: "$", texts: ["", "\n"] },
		{ source: "\\b", texts: ["", " "] },
		{ source: "\\B", texts: ["", "a"] },
	);
	const quantifiers = ["*", "+", "?", "*?", "+?", "??", "{2}", "{1,3}", "{0,2}?", "{2,}"];
	const groups = ["(", "(?:", "(?i:", "(?s:", "(?-i:", "(?P<name>", "(?i)(?:"];
	const { part } = fc.letrec<{ part: Part }>((tie) => ({
		part: fc.oneof(
			{ maxDepth: 4, withCrossShrink: true },
			{ weight: 4, arbitrary: leaf },
			{
				weight: 3,
				arbitrary: fc.tuple(tie("part"), tie("part")).map(([one, other]) => ({
					source: one.source + other.source,
					texts: [0, 1, 2].map((i) => (one.texts[i] ?? one.texts[0] ?? "") + (other.texts[i] ?? other.texts[0] ?? "")),
				})),
			},
			{
				weight: 2,
				arbitrary: fc.tuple(tie("part"), tie("part"), fc.constantFrom(...groups)).map(([one, other, group]) => ({
					source: `${group}${one.source}|${other.source})`,
					texts: [...one.texts.slice(0, 2), ...other.texts.slice(0, 2)],
				})),
			},
			{
				weight: 2,
				arbitrary: fc.tuple(tie("part"), fc.constantFrom(...quantifiers), fc.nat(3)).map(([{ source, texts }, quantifier, times]) => ({
					source: `(?:${source})${quantifier}`,
					texts: texts.map((text) => text.repeat(times)),
				})),
			},
		),
	}));
	const pair = fc
		.tuple(fc.constantFrom("", "", "(?i)", "(?s)"), fc.constantFrom("", "^"), part, fc.constantFrom("", "$"), fc.nat(), fc.nat(3))
		.chain(([flags, start, { source, texts }, end, index, damage]) => {
			const likely = texts[index % texts.length] ?? "";
			const text = fc.tuple(fc.nat(likely.length), fc.constantFrom("", "a", "-", "\n", "é", "😀", "\ud83d")).map(([at, char]) => {
				if (damage > 1) return likely;
				return damage === 1 ? likely.slice(0, at) + char + likely.slice(at) : likely.slice(0, at) + likely.slice(at + 1);
			});
			return fc.tuple(fc.constant(flags + start + source + end), text);
		});

	test("every pattern that compiles matches the same texts, and what RE2 refuses is refused", () => {
		const pairs = fc.sample(pair, { numRuns: 5_000, seed: 20_261_121 });
		const count = { refused: 0, matching: 0, not: 0 };
		const wrong: unknown[] = [];
		for (const [source, text] of pairs) {
			const ours = compilePattern(source);
			const theirs = re2(source);
			if (!ours.ok) {
				count.refused++;
				continue;
			}
			const matching = matchesPattern(ours.value, text);
			count[matching ? "matching" : "not"]++;
			if (theirs?.matcher(text.toWellFormed()).find() !== matching) wrong.push({ source, text, matching, re2: theirs !== undefined });
		}
		expect(wrong).toEqual([]);
		expect(count.matching + count.not).toBeGreaterThan(4_000);
		expect(count.matching).toBeGreaterThan(pairs.length / 4);
		expect(count.not).toBeGreaterThan(pairs.length / 4);
	});

	test("what is not a pattern to RE2 is refused", () => {
		const token = fc.constantFrom(
			"a",
			"-",
			"(",
			")",
			"(?:",
			"(?i)",
			"(?P<n>",
			"|",
			"*",
			"+",
			"?",
			"{2}",
			"{1",
			"}",
			"[",
			"]",
			"[^",
			"^",
			"$",
			"\\",
			"\\b",
			"\\d",
			"x",
			"{",
			",",
		);
		fc.assert(
			fc.property(fc.array(token, { maxLength: 12 }), anyText, (tokens, text) => {
				const source = tokens.join("");
				const ours = compilePattern(source);
				if (!ours.ok) return;
				expect(matchesPattern(ours.value, text)).toBe(re2(source)?.matcher(text.toWellFormed()).find());
			}),
			{ numRuns: 5_000 },
		);
	});
});

test.each(["(a+)+$", "(a|aa)+$", "(a|a?)+$", "^(a*)*$", "(.*)*x$", "(?i)(\\w+\\s?)*$"])("%s takes one step a character", (source) => {
	const table = compiled(source);
	let steps = 0;
	const counting: PatternTable = {
		...table,
		get next() {
			steps++;
			return table.next;
		},
	};
	const text = `${"a".repeat(50_000)}!`;
	expect(matchesPattern(counting, text)).toBe(re2(source)?.matcher(text).find());
	expect(steps).toBeLessThanOrEqual(text.length);
});

test("a text is left as soon as nothing in it matters any more", () => {
	const table = compiled("^ab");
	let steps = 0;
	const counting: PatternTable = {
		...table,
		get next() {
			steps++;
			return table.next;
		},
	};
	expect([matchesPattern(counting, `ab${"x".repeat(100)}`), steps]).toEqual([true, 2]);
	expect([matchesPattern(counting, `x${"ab".repeat(100)}`), steps]).toEqual([false, 3]);
});

test("any pattern and any text have an answer", () => {
	const patterns = fc.oneof(
		anyText,
		fc.string({ unit: "binary", maxLength: 250 }),
		fc.stringMatching(/^[a-c(){}[\]|*+?^$\\.:<>=!,0-9-]*$/),
	);
	fc.assert(
		fc.property(patterns, anyText, (source, text) => {
			const result = compilePattern(source);
			if (result.ok) expect(matchesPattern(result.value, text)).toBeTypeOf("boolean");
			else expect(result.error.position).toBeLessThanOrEqual(source.length);
		}),
		{ numRuns: 2_000 },
	);
});

test.each(["(?i)\\bstraße|[à-ÿ]{2,9}$", "^.{1,254}$", "[\\x{1F600}-\\x{1F64F}]+"])("%s survives JSON", (source) => {
	const table = compiled(source);
	const parsed = JSON.parse(JSON.stringify(table)) as PatternTable;
	expect(parsed).toEqual(table);
	for (const text of ["STRAẞE", "éé", "a", "", "😀", "\n"]) expect(matchesPattern(parsed, text)).toBe(matchesPattern(table, text));
});

test("a lone surrogate counts as U+FFFD", () => {
	fc.assert(
		fc.property(fc.constantFrom("\ufffd", "^.$", "^[^\ufffd]*$", "\\W$", "[\\x{e000}-\\x{ffff}]"), anyText, (source, text) => {
			const table = compiled(source);
			expect(matchesPattern(table, text)).toBe(matchesPattern(table, text.toWellFormed()));
		}),
	);
});

test("the limits themselves are allowed", () => {
	expect(compilePattern("a".repeat(200)).ok).toBe(true);
	expect(compilePattern("^.{1,254}$").ok).toBe(true);
	expect(compilePattern("^.{1,255}$")).toEqual({
		ok: false,
		error: { position: 0, message: "257 states > limit 256: shorten repetitions or begin with ^" },
	});
});
