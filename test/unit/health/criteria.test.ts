import * as fc from "fast-check";
import { expect, test } from "vitest";
import { type Limit, meets, parseCriterion } from "../../../core/health/criteria";

type Role = Parameters<typeof parseCriterion>[1];

const errorRate = { kind: "limit", metric: "error", aggregate: "rate", bad: "above" };
const satisfaction = { kind: "limit", metric: "satisfaction", aggregate: "mean", bad: "below" };

test.each<[Role, string, object]>([
	["criterion", "error_rate < 3%", { ...errorRate, limit: 0.03, inclusive: false }],
	["criterion", "error_rate <= 3%", { ...errorRate, limit: 0.03, inclusive: true }],
	["criterion", "error_rate<3%", { ...errorRate, limit: 0.03, inclusive: false }],
	["criterion", "  error_rate  <\t3% ", { ...errorRate, limit: 0.03, inclusive: false, text: "error_rate  <\t3%" }],
	["criterion", "error_rate < 3 %", { ...errorRate, limit: 0.03, inclusive: false }],
	["criterion", "error_rate < 0.5%", { ...errorRate, limit: 0.005, inclusive: false }],
	["criterion", "fallback_rate < 15%", { ...errorRate, metric: "fallback", limit: 0.15, inclusive: false }],
	["criterion", "satisfaction mean > 8", { ...satisfaction, limit: 8, inclusive: false }],
	["criterion", "satisfaction mean >= 8.5", { ...satisfaction, limit: 8.5, inclusive: true }],
	["criterion", "latency_ms mean < 250", { ...errorRate, metric: "latency_ms", aggregate: "mean", limit: 250, inclusive: false }],
	["red flag", "error_rate > 10%", { ...errorRate, limit: 0.1, inclusive: true }],
	["red flag", "error_rate >= 10%", { ...errorRate, limit: 0.1, inclusive: false }],
	["red flag", "satisfaction mean < 5", { ...satisfaction, limit: 5, inclusive: true }],
	["red flag", "latency_ms mean > 5000", { ...errorRate, metric: "latency_ms", aggregate: "mean", limit: 5_000, inclusive: true }],
	["guard", "error_rate vs control <= +25%", { kind: "versus_control", metric: "error", toleratedRatio: 1.25 }],
	["guard", "fallback_rate vs control <= +0%", { kind: "versus_control", metric: "fallback", toleratedRatio: 1 }],
	["guard", "error_rate vs control <= +12.5%", { kind: "versus_control", metric: "error", toleratedRatio: 1.125 }],
	["guard", "error_rate vs control <= +25 %", { kind: "versus_control", metric: "error", toleratedRatio: 1.25 }],
	["guard", "error_rate vs control <= +900%", { kind: "versus_control", metric: "error", toleratedRatio: 10 }],
])("a %s: %s", (role, text, expected) => {
	expect(parseCriterion(text, role)).toEqual({ ok: true, value: { text, ...expected } });
});

test.each<[Role, string, position: number, message: RegExp]>([
	["criterion", "", 0, /unknown quantity ""/],
	["criterion", "   ", 3, /unknown quantity ""/],
	["criterion", "errors < 3%", 0, /unknown quantity "errors": known are error_rate, fallback_rate/],
	["criterion", "constructor < 3%", 0, /unknown quantity "constructor"/],
	["criterion", "error_rate mean < 3%", 0, /unknown quantity "error_rate mean"/],
	["criterion", "satisfaction > 8", 13, /satisfaction is judged by its mean: "satisfaction mean"/],
	["criterion", "latency_ms p95 < 2500", 11, /latency_ms is judged by its mean: "latency_ms mean"/],
	["guard", "errors vs control <= +5%", 0, /known are error_rate, fallback_rate$/],
	["criterion", "Error_rate < 3%", 0, /unknown quantity/],
	["criterion", "error_rate", 10, /expected <, <=, > or >=/],
	["criterion", "error_rate 3%", 11, /expected <, <=, > or >= after "error_rate"/],
	["criterion", "error_rate == 3%", 11, /expected <, <=, > or >=/],
	["criterion", "error_rate = 3%", 11, /expected <, <=, > or >=/],
	["criterion", "error_rate > 3%", 11, /says what must hold: did you mean "error_rate <"/],
	["criterion", "satisfaction mean < 8", 18, /did you mean "satisfaction mean >"/],
	["red flag", "error_rate < 10%", 11, /says what must not hold: did you mean "error_rate >"/],
	["red flag", "satisfaction mean > 5", 18, /did you mean "satisfaction mean <"/],
	["criterion", "error_rate <", 12, /expected a number, as in "error_rate < 3%"/],
	["criterion", "error_rate < three", 13, /"three" is no number: write it as in "error_rate < 3%"/],
	["criterion", "error_rate < -3%", 13, /is no number/],
	["criterion", "error_rate < 3e-2", 13, /is no number/],
	["criterion", "error_rate < .5%", 13, /is no number/],
	["criterion", "error_rate < 0%", 13, /above 0% and below 95%/],
	["criterion", "error_rate < 95%", 13, /above 0% and below 95%/],
	["criterion", "error_rate < 3", 13, /a rate's limit is written in percent, as in "error_rate < 3%"/],
	["criterion", "error_rate < 0.03", 13, /written in percent/],
	["criterion", "latency_ms mean < 200ms", 18, /"200ms" is no number: write it as in "latency_ms mean < 200"/],
	["criterion", "satisfaction mean > 80", 20, /satisfaction goes from 0 to 10/],
	["criterion", "error_rate < 3% of users", 16, /unexpected "of"/],
	["criterion", "satisfaction mean > 80%", 20, /a mean has the metric's unit and not %, as in "satisfaction mean > 8"/],
	["criterion", "error_rate vs control <= +25%", 11, /a criterion is an absolute limit: a comparison belongs in guards/],
	["red flag", "error_rate vs control <= +25%", 11, /a red flag is an absolute limit/],
	["guard", "error_rate < 3%", 11, /a guard compares with control/],
	["guard", "error_rate", 10, /a guard compares with control/],
	["guard", "error_rate vs", 13, /compares with control only/],
	["guard", "error_rate vs baseline <= +20%", 14, /compares with control only/],
	["guard", "satisfaction mean vs control <= +5%", 0, /only rates can be compared/],
	["guard", "latency_ms mean vs control <= +5%", 0, /only rates can be compared/],
	["guard", "error_rate vs control < +25%", 22, /expected "<="/],
	["guard", "error_rate vs control", 21, /expected "<="/],
	["guard", "error_rate vs control <= 25%", 25, /expected a margin/],
	["guard", "error_rate vs control <= +25", 25, /expected a margin/],
	["guard", "error_rate vs control <= -25%", 25, /expected a margin/],
	["guard", "error_rate vs control <= +901%", 25, /from \+0% to \+900%/],
	["guard", "error_rate vs control <=", 24, /expected a margin/],
	["guard", "error_rate vs control <= +25% always", 30, /unexpected "always"/],
])("no %s: %j, at character %i", (role, text, position, message) => {
	expect(parseCriterion(text, role)).toEqual({ ok: false, error: { position, message: expect.stringMatching(message) as string } });
});

test("whatever is written, the answer is a criterion or an error within the text", () => {
	const aWord = fc.oneof(
		fc.constantFrom("error_rate", "satisfaction", "mean", "vs", "control", "<", "<=", ">", "+25%", "3%", "8", "=", " "),
		fc.string({ unit: "binary" }),
	);
	fc.assert(
		fc.property(
			fc.array(aWord, { maxLength: 8 }).map((words) => words.join(" ")),
			fc.constantFrom<Role>("criterion", "guard", "red flag"),
			(text, role) => {
				const result = parseCriterion(text, role);
				if (result.ok) expect(result.value.text).toBe(text.trim());
				else expect(result.error.position >= 0 && result.error.position <= text.length).toBe(true);
			},
		),
	);
});

function limitOf(text: string, role: "criterion" | "red flag"): Limit {
	const result = parseCriterion(text, role);
	if (!result.ok || result.value.kind !== "limit") throw new Error(`no limit: ${text}`);
	return result.value;
}

test.each<["criterion" | "red flag", string, below: boolean, at: boolean, above: boolean]>([
	["criterion", "error_rate < 10%", true, false, false],
	["criterion", "error_rate <= 10%", true, true, false],
	["red flag", "error_rate > 10%", true, true, false],
	["red flag", "error_rate >= 10%", true, false, false],
	["criterion", "satisfaction mean > 0.1", false, false, true],
	["criterion", "satisfaction mean >= 0.1", false, true, true],
	["red flag", "satisfaction mean < 0.1", false, true, true],
	["red flag", "satisfaction mean <= 0.1", false, false, true],
])("%s %s: good below %j, at %j, above %j", (role, text, below, at, above) => {
	expect([0.05, 0.1, 0.2].map((value) => meets(limitOf(text, role), value))).toEqual([below, at, above]);
});
