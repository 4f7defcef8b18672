import { describe, expect, test } from "vitest";
import { type Refusal, problemOf } from "../../../control/api/refusals";

const named = (count: number): string[] => Array.from({ length: count }, (_, i) => `x${i + 1}`);
const refusedBy: readonly [what: string, of: (by: readonly string[]) => Refusal][] = [
	["a segment", (by) => ({ kind: "segment_in_use", key: "s", by })],
	["a flag", (by) => ({ kind: "flag_required", key: "f", by })],
	["a variant", (by) => ({ kind: "variant_required", key: "f", variants: ["on"], by })],
	["a metric", (by) => ({ kind: "metric_in_use", key: "m", by, drafts: ["x2"] })],
];

describe.each(refusedBy)("of %s in use", (_, of) => {
	test("up to 20 that name it are all told", () => {
		const { by, total, detail } = problemOf(of(named(20)));
		expect({ by, total }).toEqual({ by: named(20), total: 20 });
		expect(detail).toContain("x20");
		expect(detail).not.toContain("in all");
	});

	test("of more the first 20 are, and how many there are in all", () => {
		const { by, total, detail } = problemOf(of(named(3_000)));
		expect({ by, total }).toEqual({ by: named(20), total: 3_000 });
		expect(detail).toContain("x20 and 2980 more (3000 in all)");
		expect(detail).not.toContain("x21");
	});
});

test("a limit of an environment is told with its name", () => {
	const limits: readonly Refusal[] = [
		{ kind: "too_many_routes", limit: 1 },
		{ kind: "too_many_protections", limit: 1 },
		{ kind: "too_many_metrics", limit: 1 },
		{ kind: "too_many_reports", limit: 1 },
		{ kind: "snapshot_too_large", bytes: 2, limitBytes: 1 },
	];
	for (const limit of limits) expect(problemOf(limit, "staging").detail).toContain("staging");
});
