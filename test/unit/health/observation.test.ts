import { expect, test } from "vitest";
import {
	type Evidence,
	QUANTILES,
	isFinite,
	quantileOf,
	silentArm,
	sumsOf,
	lostOf,
	unattributedOf,
	usersOf,
} from "../../../core/health/observation";
import { anEvidence, sumsOf as aSum, quantilesOf } from "../rollouts/fixtures";

const total = { metric: "error", arm: "candidate", requests: 1, sum: 0 } as const;
const score = { signal: "latency_ms p95 vs control +20%", arm: "candidate", served: 5_000, score: 0.5, units: 3 } as const;
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
	["sums of squared means", { userSums: [{ ...aSum(), means: { ...aSum().means, sumOfSquaredMeans: Infinity } }] }],
	["sums of totals", { userSums: [{ ...aSum(), totals: { ...aSum().totals, users: Number.NaN } }] }],
	["sums of logarithms", { userSums: [{ ...aSum(), logs: { ...aSum().logs, sumOfMeans: -Infinity } }] }],
	["a score", { scored: [{ ...score, score: Number.NaN }] }],
	["the units of a score", { scored: [{ ...score, units: Number.NaN }] }],
	["the share of a score", { scored: [{ ...score, served: Number.NaN }] }],
	["a percentile", { quantiles: [quantilesOf({ p99: Number.NaN })] }],
	["the share of exposures", { firstExposures: [{ arm: "control", served: Number.NaN, units: 1 }] }],
])("evidence is not finite when %s is no number", (_, change) => expect(isFinite(anEvidence(change))).toBe(false));

test("evidence of numbers is finite, null for never harmed included", () => {
	expect(isFinite(anEvidence({ firstHarms: [firstHarm], scored: [score], quantiles: [quantilesOf()] }))).toBe(true);
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

test("evidence is not finite whichever of its numbers is none", () => {
	const evidence = anEvidence({
		firstHarms: [{ ...firstHarm, lastControlServed: 5_000 }],
		firstExposures: [{ arm: "control", served: 5_000, units: 1 }],
		scored: [score],
		quantiles: [quantilesOf()],
	});
	const paths = numbersIn(evidence);
	expect(paths.length).toBeGreaterThan(50);
	for (const path of paths) {
		const damaged = structuredClone(evidence) as unknown as Tree;
		const owner = path.slice(0, -1).reduce<Tree>((at, key) => at[key] as Tree, damaged);
		for (const each of [Number.NaN, Infinity, -Infinity]) {
			owner[path.at(-1) ?? ""] = each;
			expect(isFinite(damaged as unknown as Evidence), path.join(".")).toBe(false);
		}
	}
});

interface Tree {
	[key: string]: unknown;
}

function numbersIn(value: unknown): string[][] {
	if (typeof value === "number") return [[]];
	if (typeof value !== "object" || value === null) return [];
	return Object.entries(value).flatMap(([key, each]) => numbersIn(each).map((path) => [key, ...path]));
}

test("quantiles are found by metric, arm and share", () => {
	const evidence = anEvidence({ quantiles: [quantilesOf({ arm: "candidate", p95: 7 }), quantilesOf()] });
	expect(QUANTILES.map((each) => quantileOf(evidence, "latency_ms", "control", each))).toEqual([200, 300, 500, 800, 2_000]);
	expect(quantileOf(evidence, "latency_ms", "candidate", 0.95)).toBe(7);
	expect(quantileOf(evidence, "paint", "candidate", 0.95)).toBeNull();
	expect(quantileOf(anEvidence(), "latency_ms", "control", 0.5)).toBeNull();
});

test("what no arm can claim is counted over all metrics, beside all there is", () => {
	const seen = anEvidence();
	expect(unattributedOf(seen)).toEqual({ events: 0, of: 200 });
	const lacking = { metric: "error", arm: "unattributed", requests: 7, sum: 0 } as const;
	expect(unattributedOf({ ...seen, totals: [...seen.totals, lacking, { ...lacking, metric: "paint" }] })).toEqual({ events: 14, of: 214 });
	expect(unattributedOf({ ...seen, totals: [] })).toEqual({ events: 0, of: 0 });
	const ofFlag = { metric: "error@checkout", arm: "control", requests: 100, sum: 0 } as const;
	expect(unattributedOf({ ...seen, totals: [...seen.totals, lacking, ofFlag] })).toEqual({ events: 7, of: 207 });
});

test("outcomes that did not arrive are counted by what says so, over rings, and are no outcomes themselves", () => {
	const seen = anEvidence();
	expect(lostOf(seen)).toEqual({ events: 0, of: 200 });
	const lost = { metric: "lost", arm: "unattributed", requests: 2, sum: 500 } as const;
	const found = { ...seen, totals: [...seen.totals, lost, { ...lost, requests: 1, sum: 7, ring: 1 }] };
	expect(lostOf(found)).toEqual({ events: 507, of: 707 });
	expect(unattributedOf(found)).toEqual({ events: 0, of: 200 });
});

test("sums are found by signal and arm, and those of nobody are none", () => {
	const evidence = anEvidence({
		more: [aSum({ signal: "latency_ms>2500", metric: "latency_ms", users: 7 }), aSum({ metric: "fallback", users: 0, harmedUsers: 0 })],
	});
	expect(sumsOf(evidence, "latency_ms>2500", "candidate")?.users.users).toBe(7);
	expect(sumsOf(evidence, "latency_ms", "candidate")).toBeUndefined();
	expect(sumsOf(evidence, "fallback", "candidate")).toBeUndefined();
});

test("sums are found by metric and arm", () => {
	expect(sumsOf(anEvidence(), "error", "control")?.users.users).toBe(9_500);
	expect(sumsOf(anEvidence(), "latency_ms", "control")).toBeUndefined();
});
