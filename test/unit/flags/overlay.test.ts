import { expect, test } from "vitest";
import { NO_OVERLAY, isOverlay, parseOverride, unite } from "../../../core/flags/overlay";

test("sources are united, and the first that names something is the one reported", () => {
	const overlay = unite({
		head: { kill: ["a"], baseline: ["r.1"] },
		override: { kill: ["a", "b"], baseline: ["r.1", "r.2"] },
	});
	expect([...overlay.kill]).toEqual([
		["a", "head"],
		["b", "override"],
	]);
	expect([...overlay.baseline]).toEqual([
		["r.1", "head"],
		["r.2", "override"],
	]);
});

test("names that objects inherit are only overlaid when a source names them", () => {
	expect(unite({ head: { kill: [], baseline: [] } }).kill.get("constructor")).toBeUndefined();
	expect(unite({ head: { kill: ["__proto__"], baseline: [] } }).kill.get("__proto__")).toBe("head");
});

test("no sources overlay nothing", () => expect(unite({})).toEqual(NO_OVERLAY));

test.each<[string, unknown, unknown]>([
	["both lists", { kill: ["a"], baseline: ["r.1"] }, { kill: ["a"], baseline: ["r.1"] }],
	["flags only", { kill: ["a"] }, { kill: ["a"], baseline: [] }],
	["rollouts only", { baseline: ["r.1"] }, { kill: [], baseline: ["r.1"] }],
	["empty lists", { kill: [], baseline: [] }, { kill: [], baseline: [] }],
	["a note beside both lists", { kill: ["a"], baseline: [], note: "incident 7" }, { kill: ["a"], baseline: [] }],
	["a misspelt list", { kill: ["a"], basline: ["r.1"] }, undefined],
	["a misspelt list alone", { kil: ["a"] }, undefined],
	["nothing", {}, undefined],
	["null", null, undefined],
	["null as a list", { kill: ["a"], baseline: null }, undefined],
	["a text as a list", { kill: "a" }, undefined],
	["a list of something else", { kill: [{ flag: "a" }] }, undefined],
	["a list", ["a"], undefined],
	["a text", "kill a", undefined],
])("break-glass with %s is read as %j", (_, written, read) => expect(parseOverride(written)).toEqual(read));

test("an overlay of the head has both lists", () => {
	expect(isOverlay({ kill: ["a"], baseline: [] })).toBe(true);
	expect([{ kill: ["a"] }, { kill: "a", baseline: [] }, { kill: [1], baseline: [] }, [], null, "a"].some(isOverlay)).toBe(false);
});
