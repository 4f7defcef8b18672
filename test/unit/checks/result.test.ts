import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type CheckResult, type CheckStatus, dueChecks, resultsFor, summaryOf } from "../../../core/checks/result";
import { aCheck, aResult } from "./fixtures";

const HOUR_MS = 3_600_000;
const SINCE_MS = 10 * HOUR_MS;
const HTTP = { http: "https://origin.example/health" };
const STATUSES: readonly CheckStatus[] = ["passed", "failed", "warning", "pending", "stale"];

const aRandomResult = fc.record({
	status: fc.constantFrom(...STATUSES),
	critical: fc.boolean(),
	attempts: fc.nat(3),
	atMs: fc.integer({ min: SINCE_MS - 2 * HOUR_MS, max: SINCE_MS + 2 * HOUR_MS }),
});
const random = fc.array(aRandomResult, { maxLength: 20 }).map((all) => all.map((each, i) => aResult({ ...each, name: `check-${i}` })));

describe("the summary", () => {
	test("puts each check in one list, and lets deploy unless a critical one has not passed", () => {
		fc.assert(
			fc.property(random, (results) => {
				const { passed, failed, warnings, pending, can_deploy: canDeploy, checks } = summaryOf(results, 7);
				expect([...passed, ...failed, ...warnings, ...pending].sort()).toEqual(results.map(({ name }) => name).sort());
				expect(checks).toEqual(results);
				expect(canDeploy).toBe(results.every(({ critical, status }) => !critical || status === "passed" || status === "warning"));
			}),
		);
	});

	test("names what failed, what warns and what is not known", () => {
		const results = [
			aResult({ name: "a" }),
			aResult({ name: "b", status: "failed" }),
			aResult({ name: "c", status: "warning", critical: false }),
			aResult({ name: "d", status: "stale" }),
			aResult({ name: "e", status: "stale", critical: false }),
			aResult({ name: "f", status: "pending" }),
		];
		expect(summaryOf(results, 42)).toEqual({
			passed: ["a"],
			failed: ["b", "d"],
			warnings: ["c", "e"],
			pending: ["f"],
			can_deploy: false,
			execution_time_ms: 42,
			checks: results,
		});
	});

	test("of what has never run holds", () => {
		const results = resultsFor([aCheck(HTTP), aCheck({ ...HTTP, name: "later", when: "during" })], [], SINCE_MS, "before");
		expect(results).toMatchObject([{ name: "smoke", status: "pending", message: "has not run yet" }]);
		expect(summaryOf(results, 0).can_deploy).toBe(false);
		expect(dueChecks([aCheck(HTTP)], results, SINCE_MS, SINCE_MS, "before")).toHaveLength(1);
	});
});

const isDue = (check: object, last: Partial<CheckResult> | null, moment: "before" | "during", now = SINCE_MS + HOUR_MS): boolean =>
	dueChecks([aCheck(check)], last ? [aResult({ atMs: SINCE_MS, ...last })] : [], SINCE_MS, now, moment).length === 1;

describe("a check is due", () => {
	test("when this stage has no result of it, whatever an earlier one found", () => {
		for (const status of STATUSES) expect(isDue(HTTP, { status, atMs: SINCE_MS - 1 }, "before"), status).toBe(true);
		expect(isDue(HTTP, null, "before")).toBe(true);
	});

	test("in its own moment alone", () => {
		fc.assert(
			fc.property(random, fc.constantFrom("before" as const, "during" as const), (results, moment) => {
				const checks = results.map(({ name }) => aCheck({ ...HTTP, name, when: moment === "before" ? "during" : "before" }));
				expect(dueChecks(checks, results, SINCE_MS, SINCE_MS + HOUR_MS, moment)).toEqual([]);
			}),
		);
	});

	test("again and again while it is pending or stale, but not where it waits for a person", () => {
		for (const moment of ["before", "during"] as const) {
			const both = { ...HTTP, when: "both" };
			expect(isDue(both, { status: "pending" }, moment)).toBe(true);
			expect(isDue(both, { status: "stale" }, moment)).toBe(true);
			expect(isDue({ manual: "told", when: "both" }, { status: "pending", attempts: 0 }, moment)).toBe(false);
		}
	});

	test("after a failure during a phase, never before one: that is final until the validation begins anew", () => {
		const both = { ...HTTP, every: "1m" };
		expect(isDue(both, { status: "failed" }, "during")).toBe(true);
		expect(isDue(both, { status: "failed" }, "before")).toBe(false);
		expect(dueChecks([aCheck(both)], [aResult({ status: "failed", atMs: SINCE_MS })], SINCE_MS + 1, SINCE_MS + 2, "before")).toHaveLength(
			1,
		);
	});

	test("by `every` once that has passed; without it once a stage", () => {
		for (const status of ["passed", "warning"] as const) {
			expect(isDue({ ...HTTP, every: "1h" }, { status }, "during", SINCE_MS + HOUR_MS - 1)).toBe(false);
			expect(isDue({ ...HTTP, every: "1h" }, { status }, "during", SINCE_MS + HOUR_MS)).toBe(true);
			expect(isDue({ ...HTTP, when: "during" }, { status }, "during", SINCE_MS + 1_000 * HOUR_MS)).toBe(false);
		}
	});

	test("never twice at once: what is due is a part of the checks, in their order", () => {
		fc.assert(
			fc.property(random, (results) => {
				const checks = results.map(({ name }) => aCheck({ ...HTTP, name, every: "1h" }));
				const due = dueChecks(checks, results, SINCE_MS, SINCE_MS + HOUR_MS, "during");
				expect(checks.filter((each) => due.includes(each))).toEqual(due);
			}),
		);
	});
});
