import { expect, test } from "vitest";
import { type Evidence, isFinite, silentArm, sumsOf, usersOf } from "../../../core/health/observation";
import { anEvidence, sumsOf as aSum } from "../rollouts/fixtures";

const total = { metric: "error", arm: "candidate", requests: 1, sum: 0 } as const;
const firstHarm = { signal: "error", arm: "candidate", served: 5_000, lastControlServed: null, units: 1 } as const;

test.each<[string, Partial<Evidence>]>([
	["requests of a total", { totals: [{ ...total, requests: Number.NaN }] }],
	["the sum of a total", { totals: [{ ...total, sum: Number.NaN }] }],
	["units of first harms", { firstHarms: [{ ...firstHarm, units: Number.NaN }] }],
	["the share of first harms", { firstHarms: [{ ...firstHarm, served: Number.NaN }] }],
	["the share last in control", { firstHarms: [{ ...firstHarm, lastControlServed: Number.NaN }] }],
	["sums over users", { userSums: [{ ...aSum(), users: { ...aSum().users, harmsSquared: Number.NaN } }] }],
	["sums of means", { userSums: [{ ...aSum(), means: { ...aSum().means, sumOfMeans: Number.NaN } }] }],
	["harms at first requests", { userSums: [{ ...aSum(), harmedFirst: Number.NaN }] }],
	["units of exposures", { firstExposures: [{ arm: "control", served: 5_000, units: Number.NaN }] }],
	["the share of exposures", { firstExposures: [{ arm: "control", served: Number.NaN, units: 1 }] }],
])("evidence is not finite when %s is no number", (_, change) => expect(isFinite(anEvidence(change))).toBe(false));

test("evidence of numbers is finite, null for never harmed included", () => {
	expect(isFinite(anEvidence({ firstHarms: [firstHarm] }))).toBe(true);
});

test.each<[string, Evidence["totals"], ReturnType<typeof silentArm>]>([
	["both report", [total, { ...total, arm: "control" }], undefined],
	["one reports", [total], "control"],
	["none reports", [], "candidate"],
	[
		"a total of nothing is silence",
		[
			{ ...total, requests: 0 },
			{ ...total, arm: "control" },
		],
		"candidate",
	],
	[
		"any metric will do",
		[
			{ ...total, metric: "satisfaction" },
			{ ...total, arm: "control" },
		],
		undefined,
	],
])("of two arms %s", (_, totals, silent) => expect(silentArm(anEvidence({ totals }), ["candidate", "control"])).toBe(silent));

test("an arm that is not served owes no report", () => expect(silentArm(anEvidence({ totals: [total] }), ["candidate"])).toBeUndefined());

test("users are counted by the metric that saw most of them", () => {
	const evidence = anEvidence({ more: [aSum({ metric: "satisfaction", users: 3 }), aSum({ metric: "fallback", users: 700 })] });
	expect(usersOf(evidence, "candidate")).toBe(700);
	expect(usersOf(evidence, "control")).toBe(9_500);
	expect(usersOf(anEvidence({ userSums: [] }), "candidate")).toBe(0);
});

test("sums are found by metric and arm", () => {
	expect(sumsOf(anEvidence(), "error", "control")?.users.users).toBe(9_500);
	expect(sumsOf(anEvidence(), "latency_ms", "control")).toBeUndefined();
});
