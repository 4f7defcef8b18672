import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Answer, compareAnswers as compareBy, sampled as sampledBy } from "../../../core/gateway/compare";
import { packRoute, route } from "../../../core/gateway/model";
import type { Comparison } from "../../../core/gateway/packed";

const utf8 = new TextEncoder();
const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
/** As the edge decodes. */
const decode = (bytes: Uint8Array): string | undefined => {
	try {
		return strict.decode(bytes);
	} catch {
		return undefined;
	}
};
const compareAnswers = (of: Comparison, a: Answer, b: Answer) => compareBy(of, a, b, decode);
const sampled = (from: Uint8Array | null, redact: readonly string[]): string => sampledBy(from, redact, decode);
function rules(compare: object = {}): Comparison {
	const origins = { blue: "https://b.example.com", green: "https://g.example.com" };
	const { shadow } = packRoute(route.parse({ key: "r", host: "h", flag: "f", origins, shadow: { variant: "green", compare } }));
	if (!shadow) throw new Error("no shadow");
	return shadow.comparison;
}
const body = (given: unknown): Uint8Array => utf8.encode(typeof given === "string" ? given : JSON.stringify(given));
const answer = (given: unknown, change: Partial<Answer> = {}): Answer => ({ status: 200, headers: {}, body: body(given), ...change });
const found = (compare: object, legacy: unknown, candidate: unknown) =>
	compareAnswers(rules(compare), answer(legacy), answer(candidate)).map(({ at }) => at);

describe("two answers", () => {
	test("are the same by status, chosen headers and body", () => {
		const same = answer({ a: 1 }, { headers: { etag: "x", date: "1" } });
		const other = answer({ a: 1 }, { status: 500, headers: { etag: "y", date: "2" } });
		expect(compareAnswers(rules({ headers: ["ETag"] }), same, other)).toEqual([
			{ at: "status", legacy: 200, candidate: 500 },
			{ at: "header etag", legacy: "x", candidate: "y" },
		]);
		expect(compareAnswers(rules({ status: false }), same, other)).toEqual([]);
	});

	test("whose JSON says the same in another order and spacing are the same, and as text or bytes are not", () => {
		const [a, b] = ['{"a":1,"b":[1,2]}', '{ "b": [1, 2], "a": 1 }'];
		expect(found({}, a, b)).toEqual([]);
		expect([found({ body: "text" }, a, b), found({ body: "bytes" }, a, b), found({ body: "none" }, a, b)]).toEqual([
			["body"],
			["body"],
			[],
		]);
	});

	test.each<[what: string, legacy: unknown, candidate: unknown, at: readonly string[]]>([
		["a value", { a: { b: 1 } }, { a: { b: 2 } }, ["$.a.b"]],
		["a field that is missing", { a: 1 }, {}, ["$.a"]],
		["null beside nothing", { a: null }, {}, ["$.a"]],
		["a field too many", [], [1], ["$[0]"]],
		["a list for an object", { a: [] }, { a: {} }, ["$.a"]],
		["a text for a number", { a: 1 }, { a: "1" }, ["$.a"]],
		["what every object inherits", '{"constructor": 1, "__proto__": {}}', "{}", ["$.constructor", "$.__proto__"]],
		["what is no JSON on one side", { a: 1 }, "{", ["body"]],
	])("that differ in %s are told apart there", (_, legacy, candidate, at) => {
		expect(found({}, legacy, candidate).sort()).toEqual([...at].sort());
		expect(found({}, candidate, legacy).sort()).toEqual([...at].sort());
		expect(() => structuredClone(compareAnswers(rules(), answer(legacy), answer(candidate)))).not.toThrow();
	});

	test("may differ where that is ignored, and by what is tolerated", () => {
		const of = (n: number) => ({
			at: n,
			items: [
				{ id: n, price: 10 + n / 100 },
				{ id: 2 * n, price: 5 },
			],
		});
		expect(found({ ignore: ["$.at", "$.items[*].id"], tolerance: { "$.items[*].price": 0.05 } }, of(1), of(2))).toEqual([]);
		expect(found({ ignore: ["$.at", "$.items[0].id"], tolerance: { "$.items[*].price": 0.005 } }, of(1), of(2))).toEqual([
			"$.items[0].price",
			"$.items[1].id",
		]);
		expect(found({ ignore: ["$"] }, of(1), "[]")).toEqual([]);
	});

	test("one of which has no body, or one too large to be kept, are not the same", () => {
		expect(compareAnswers(rules(), answer("x"), answer("x", { body: null }))).toEqual([
			{ at: "body", legacy: "1 bytes", candidate: "none, or too large" },
		]);
		expect(compareAnswers(rules(), answer("x", { body: null }), answer("x", { body: null }))).toEqual([]);
	});

	test("are told apart at 20 places at most", () => {
		const many = Array.from({ length: 1_000 }, (_, i) => i);
		expect(
			found(
				{},
				many,
				many.map((each) => each + 1),
			),
		).toHaveLength(20);
	});

	test("of hostile JSON are compared without a failure", () => {
		const deep = (depth: number, end: string): string => `${"[".repeat(depth)}${end}${"]".repeat(depth)}`;
		expect(found({}, deep(100_000, "1"), deep(100_000, "1"))).toEqual([]);
		expect(found({}, deep(100_000, "1"), deep(100_000, "2"))).toEqual(["body"]);
		expect(found({}, deep(60, "1"), deep(60, "2"))).toHaveLength(1);
		expect(found({}, '{"a": "[[["}', '{"a": "]]]"}')).toEqual(["$.a"]);
		expect(found({}, "1e999", "-1e999")).toEqual(["$"]);
		fc.assert(
			fc.property(fc.uint8Array({ maxLength: 100 }), fc.uint8Array({ maxLength: 100 }), (a, b) => {
				for (const kind of ["bytes", "text", "json"])
					compareAnswers(rules({ body: kind }), answer("", { body: a }), answer("", { body: b }));
			}),
		);
		fc.assert(
			fc.property(fc.json(), (text) => {
				expect(compareAnswers(rules(), answer(text), answer(`${text} `))).toEqual([]);
			}),
		);
	});
});

describe("text", () => {
	test("is text where it is UTF-8, and no two bodies are taken for one where it is not", () => {
		fc.assert(
			fc.property(fc.string({ unit: "binary", maxLength: 50 }), (text) => {
				expect(sampled(utf8.encode(text), [])).toBe(isJson(text) ? JSON.stringify(JSON.parse(text)) : text.toWellFormed());
			}),
		);
		const broken = [[0xc3, 0x41], [0xc0, 0x80], [0xe0, 0x80, 0x80], [0xed, 0xa0, 0x80], [0xf4, 0x90, 0x80, 0x80], [0xf5], [0xe2, 0x82]];
		for (const bytes of broken) {
			expect(sampled(new Uint8Array(bytes), [])).toBe(`${bytes.length} bytes, not text`);
			for (const kind of ["text", "json"] as const)
				expect(compareAnswers(rules({ body: kind }), answer("", { body: new Uint8Array(bytes) }), answer("\ufffd"))).toHaveLength(1);
		}
		expect(
			compareAnswers(rules({ body: "text" }), answer("", { body: new Uint8Array([0xf5]) }), answer("", { body: new Uint8Array([0xf6]) })),
		).toHaveLength(1);
		expect(compareAnswers(rules({ body: "text" }), answer("\ufeffa"), answer("a"))).toHaveLength(1);
	});

	const isJson = (text: string): boolean => {
		try {
			JSON.parse(text);
			return true;
		} catch {
			return false;
		}
	};
});

describe("a sample", () => {
	test("keeps nothing of what is redacted, wherever it stands", () => {
		const given = {
			card: "4242",
			items: [
				{ iban: "AT61", n: 1 },
				{ iban: "DE89", n: 2 },
			],
			deep: { card: "5555" },
		};
		const text = sampled(body(given), ["$.card", "$.items[*].iban", "$.deep"]);
		expect(JSON.parse(text)).toEqual({
			card: "[redacted]",
			items: [
				{ iban: "[redacted]", n: 1 },
				{ iban: "[redacted]", n: 2 },
			],
			deep: "[redacted]",
		});
		expect(sampled(body(given), ["$"])).toBe('"[redacted]"');
	});

	test("of what is no JSON, or goes too deep to be looked through, keeps nothing where something must be redacted", () => {
		for (const given of ["card=4242", `${'{"a":'.repeat(70)}"4242"${"}".repeat(70)}`]) {
			expect(sampled(body(given), ["$.card"])).toMatch(/bytes, not JSON: nothing of it is kept$/);
			expect(sampled(body(given), [])).toContain("4242");
		}
	});

	test("is not for ever long, and nothing of nothing", () => {
		expect(sampled(body("x".repeat(100_000)), [])).toHaveLength(2_000);
		expect(sampled(body({ a: "x".repeat(100_000) }), ["$.b"])).toHaveLength(2_000);
		expect(sampled(null, ["$.a"])).toBe("");
	});
});
