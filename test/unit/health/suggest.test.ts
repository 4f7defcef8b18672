import { expect, test } from "vitest";
import { meant, nearest } from "../../../core/health/suggest";

const KNOWN = ["error_rate", "fallback_rate", "latency_ms p95", "latency_ms p99", "satisfaction mean"];

test.each<[string, string | undefined]>([
	["error_rate", "error_rate"],
	["eror_rate", "error_rate"],
	["errorrate", "error_rate"],
	["error-rate", "error_rate"],
	["latency p95", "latency_ms p95"],
	["latency_ms p98", "latency_ms p95"],
	["satisfaction men", "satisfaction mean"],
	["rate", undefined],
	["revenue", undefined],
	["", undefined],
])("by %j somebody meant %j", (word, said) => expect(nearest(word, KNOWN)).toBe(said));

test.each<[string, string | undefined]>([
	["prod", "production"],
	["PRODUCTION", "production"],
	["stagin", "staging"],
	["s", "staging"],
	["moon", undefined],
	["", undefined],
])("by %j an environment was meant: %j", (word, said) => expect(meant(word, ["production", "staging"])).toBe(said));

test("by a text without end nobody meant anything", () => expect(nearest("x".repeat(10_000), KNOWN)).toBeUndefined());

test("of several as near the first one is meant, and of none known none", () => {
	expect(nearest("ab", ["ac", "bb"])).toBe("ac");
	expect(nearest("ab", [])).toBeUndefined();
});
