import { expect, test } from "vitest";
import { NO_OVERLAY, unite } from "../../../core/flags/overlay";

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
