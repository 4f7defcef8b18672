// docs/checks.md shows what is taken.
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import * as z from "zod";
import { parse } from "yaml";
import { checkErrors, checks } from "../../../core/checks/model";
import { type CheckResult, summaryOf } from "../../../core/checks/result";
import { metricsBy } from "../../../core/metric";

const text = readFileSync("docs/checks.md", "utf8");
const block = (language: string): string => new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\``, "ms").exec(text)?.[1] ?? "";

test("its checks are valid, one of each kind, and each is explained", () => {
	const given = z.parse(z.object({ checks }), parse(block("yaml"))).checks;
	expect(checkErrors(given, metricsBy([]))).toEqual([]);
	for (const kind of ["http", "metric", "dependency", "hygiene", "reported", "manual"]) {
		expect(given.some((each) => kind in each)).toBe(true);
		expect(text).toMatch(new RegExp(`^\\| \`${kind}\` `, "m"));
	}
});

test("its result has the fields that results have", () => {
	const shown = JSON.parse(block("json")) as { readonly checks: readonly CheckResult[] };
	expect(Object.keys(shown)).toEqual(Object.keys(summaryOf(shown.checks, 412)));
	expect(shown).toMatchObject({ failed: summaryOf(shown.checks, 412).failed });
});
