import { expect, test } from "vitest";
import { type Limit, signalKeyOf } from "../../../core/health/criteria";
import { type Judged, type VerdictStatus, estimateOf, isBeyond, judgeLimit } from "../../../core/health/verdict";
import { anEvidence, quantilesOf, sumsOf } from "../rollouts/fixtures";

const ALPHA = 0.0125;
const USERS_MIN = 100;

function aLimit(change: Partial<Limit> = {}): Limit {
	return {
		kind: "limit",
		text: "error_rate < 3%",
		metric: "error",
		aggregate: "rate",
		bad: "above",
		unit: "",
		limit: 0.03,
		inclusive: false,
		...change,
	};
}
const tenPercent = aLimit({ text: "error_rate > 10%", limit: 0.1, inclusive: true });
const satisfaction = aLimit({ text: "satisfaction mean > 8", metric: "satisfaction", aggregate: "mean", bad: "below", limit: 8 });
const latency = aLimit({ text: "latency_ms mean < 250", metric: "latency_ms", aggregate: "mean", limit: 250 });

type Users = Parameters<typeof sumsOf>[0];

function aJudged(limit: Limit, change: Partial<Judged> = {}): Judged {
	return { limit, role: "criterion", signal: signalKeyOf(limit), ...change };
}

function judged(limit: Limit, role: "criterion" | "red_flag", users: Users, alpha = ALPHA) {
	const evidence = anEvidence({ userSums: [sumsOf(users)] });
	return judgeLimit(aJudged(limit, { role }), evidence, role === "criterion" ? USERS_MIN : 0, alpha);
}

test.each<[string, Limit, "criterion" | "red_flag", Users, VerdictStatus]>([
	["half a percent of 3", aLimit(), "criterion", {}, "met"],
	["no errors at all", aLimit(), "criterion", { harmedUsers: 0 }, "met"],
	["the limit itself", aLimit(), "criterion", { users: 500, harmedUsers: 30 }, "beyond"],
	["the limit itself, inclusive", aLimit({ inclusive: true }), "criterion", { users: 500, harmedUsers: 30 }, "met"],
	["a little above", aLimit(), "criterion", { users: 500, harmedUsers: 35 }, "beyond"],
	["far above", aLimit(), "criterion", { users: 500, harmedUsers: 100 }, "breached"],
	["as many users as needed", aLimit(), "criterion", { users: 100, harmedUsers: 1 }, "met"],
	["one user too few", aLimit(), "criterion", { users: 99, harmedUsers: 1 }, "insufficient"],
	["few users, far above: proof needs fewer than success", aLimit(), "criterion", { users: 20, harmedUsers: 10 }, "breached"],
	["nine users, all harmed", aLimit(), "criterion", { users: 9, harmedUsers: 9 }, "insufficient"],
	["ten users, five of them harmed", aLimit(), "criterion", { users: 10, harmedUsers: 5, requestsEach: 1 }, "breached"],
	["ten users, four of them harmed", aLimit(), "criterion", { users: 10, harmedUsers: 4, requestsEach: 1 }, "insufficient"],
	[
		"four users' harm proves nothing, however low the limit",
		aLimit({ limit: 0.001 }),
		"criterion",
		{ users: 10, harmedUsers: 4 },
		"insufficient",
	],
	["five users' harm does", aLimit({ limit: 0.001 }), "criterion", { users: 10, harmedUsers: 5 }, "breached"],
	["20 failures of one user", aLimit(), "criterion", { users: 100, harmedUsers: 1, requestsEach: 20, harmsEach: 20 }, "met"],
	["100 failures of five users of 100", aLimit(), "criterion", { users: 100, harmedUsers: 5, requestsEach: 20, harmsEach: 20 }, "beyond"],
	["100 failures of 50 users of 100", aLimit(), "criterion", { users: 100, harmedUsers: 50, requestsEach: 20, harmsEach: 2 }, "breached"],
	["5 of 5 first requests", tenPercent, "red_flag", { users: 5, harmedUsers: 5, requestsEach: 1, harmedFirst: 5 }, "breached"],
	["2 of 2 first requests", tenPercent, "red_flag", { users: 2, harmedUsers: 2, requestsEach: 1, harmedFirst: 2 }, "beyond"],
	[
		"first requests are no criterion's",
		tenPercent,
		"criterion",
		{ users: 5, harmedUsers: 5, requestsEach: 1, harmedFirst: 5 },
		"insufficient",
	],
	[
		"20 failures of one user",
		tenPercent,
		"red_flag",
		{ users: 50, harmedUsers: 1, requestsEach: 20, harmsEach: 20, harmedFirst: 1 },
		"met",
	],
	["a red flag needs no users to be met", tenPercent, "red_flag", { users: 1, harmedUsers: 0 }, "met"],
	["content users", satisfaction, "criterion", { metric: "satisfaction", mean: 8.4, deviation: 1 }, "met"],
	["users a little discontent", satisfaction, "criterion", { metric: "satisfaction", mean: 7.95, deviation: 1 }, "beyond"],
	["users discontent for certain", satisfaction, "criterion", { metric: "satisfaction", mean: 7, deviation: 1 }, "breached"],
	["100 users agreeing", satisfaction, "criterion", { metric: "satisfaction", users: 100, mean: 3, deviation: 0 }, "breached"],
	["99 users agreeing are no proof", satisfaction, "red_flag", { metric: "satisfaction", users: 99, mean: 3, deviation: 0 }, "beyond"],
	["fast answers", latency, "criterion", { metric: "latency_ms", mean: 200, deviation: 50 }, "met"],
	["slow answers", latency, "criterion", { metric: "latency_ms", mean: 300, deviation: 50 }, "breached"],
	["slow answers that scatter", latency, "criterion", { metric: "latency_ms", mean: 260, deviation: 300 }, "beyond"],
])("%s of %s as %s", (_, limit, role, users, status) => {
	expect(judged(limit, role, users).status).toBe(status);
});

test("a smaller part of α asks for more proof", () => {
	const users = { users: 500, harmedUsers: 60 };
	expect(judged(aLimit(), "criterion", users).status).toBe("breached");
	expect(judged(aLimit(), "criterion", users, 1e-9).status).toBe("beyond");
});

test("what was not reported is no data, whatever control says", () => {
	const controlOnly = anEvidence({ userSums: [sumsOf({ arm: "control" })] });
	expect(judgeLimit(aJudged(aLimit()), controlOnly, USERS_MIN, ALPHA)).toEqual({
		role: "criterion",
		criterion: "error_rate < 3%",
		status: "no_data",
		value: null,
		control: 0.005,
		provable: null,
		message: "error was not reported by the candidate",
	});
	expect(estimateOf(aJudged(aLimit()), anEvidence({ userSums: [sumsOf({ users: 0, harmedUsers: 0 })] }), "candidate")).toBeNull();
});

test.each<[string, Limit, "criterion" | "red_flag", Users, string]>([
	["met", aLimit(), "criterion", {}, "0.5 % of requests over 500 users, limit 3 %"],
	["beyond", aLimit(), "criterion", { harmedUsers: 35 }, "3.5 % of requests over 500 users, limit 3 %: beyond, not proven"],
	["insufficient", aLimit(), "criterion", { users: 60, harmedUsers: 0 }, "60 users < 100 needed"],
	[
		"breached",
		aLimit(),
		"criterion",
		{ users: 10, harmedUsers: 5, requestsEach: 1 },
		"50 % of requests over 10 users, limit 3 %: 5 harmed, design effect 1.11, E = 817 ≥ 80",
	],
	[
		"breached by first requests",
		tenPercent,
		"red_flag",
		{ users: 5, harmedUsers: 5, requestsEach: 1, harmedFirst: 5 },
		"100 % of requests over 5 users, limit 10 %: 5 harmed at their first request, E = 5,939 ≥ 80",
	],
	[
		"breached by a mean",
		satisfaction,
		"criterion",
		{ metric: "satisfaction", mean: 7, deviation: 1 },
		"mean 7 over 500 users, limit 8: mean 7 ± 0.149",
	],
])("the message of %s carries its arithmetic", (_, limit, role, users, message) => {
	expect(judged(limit, role, users).message).toBe(message);
});

const p95 = aLimit({ text: "latency_ms p95 < 2500", metric: "latency_ms", aggregate: "p95", unit: "ms", limit: 2_500 });
const slowFlag = aLimit({ ...p95, text: "latency_ms p95 > 2500", inclusive: true });

/** A candidate of whose 1,000 requests so many are above the limit. */
function ofLatency(slow: number, value: number, change: Users = {}) {
	const sums = sumsOf({ signal: "latency_ms>2500", metric: "latency_ms", harmedUsers: slow, ...change });
	return anEvidence({ userSums: [sums], quantiles: [quantilesOf({ arm: "candidate", p95: value })] });
}

test.each<[string, VerdictStatus, number, number, Users, string]>([
	["a twentieth of the requests above it", "met", 50, 2_500, {}, "p95 2,500 ms over 500 users, limit 2,500 ms"],
	["fewer", "met", 10, 2_000, {}, "p95 2,000 ms over 500 users, limit 2,500 ms"],
	["a few more", "beyond", 55, 2_600, {}, "p95 2,600 ms over 500 users, limit 2,500 ms: beyond, not proven"],
	["a tenth of them", "breached", 100, 3_000, {}, "p95 3,000 ms over 500 users, limit 2,500 ms: 100 harmed, design effect 1, E = "],
	[
		"a tenth, of five users",
		"beyond",
		5,
		3_000,
		{ users: 100, requestsEach: 10, harmsEach: 20 },
		"p95 3,000 ms over 100 users, limit 2,500 ms: beyond, not proven",
	],
	["none of 99 users", "insufficient", 0, 900, { users: 99 }, "99 users < 100 needed"],
])("a percentile's limit with %s: %s", (_, status, slow, value, change, message) => {
	const found = judgeLimit(aJudged(p95), ofLatency(slow, value, change), USERS_MIN, ALPHA);
	expect(found).toMatchObject({ status, value });
	expect(found.message.startsWith(message)).toBe(true);
});

test("whether a percentile is beyond is counted, not read off the sketch, which may be 1 % off", () => {
	expect(judgeLimit(aJudged(p95), ofLatency(50, 2_510), USERS_MIN, ALPHA).status).toBe("met");
	expect(judgeLimit(aJudged(p95), ofLatency(51, 2_490), USERS_MIN, ALPHA).status).toBe("beyond");
});

test.each([
	["p50", 500, 501],
	["p75", 250, 251],
	["p90", 100, 101],
	["p99", 10, 11],
] as const)("a limit of the %s is beyond with more than its share of requests above it: %i, %i", (aggregate, at, above) => {
	const judgedBy = aJudged(aLimit({ ...p95, aggregate }));
	const of = (slow: number) => ofLatency(slow, 1, { users: 1_000, requestsEach: 1 });
	expect([at, above].map((slow) => isBeyond(judgedBy, of(slow), "candidate"))).toEqual([false, true]);
});

test("a percentile that the store does not know is no data, however many are above the limit", () => {
	const sums = sumsOf({ signal: "latency_ms>2500", metric: "latency_ms", harmedUsers: 400 });
	for (const quantiles of [[], [quantilesOf()]])
		expect(judgeLimit(aJudged(p95), anEvidence({ userSums: [sums], quantiles }), USERS_MIN, ALPHA)).toMatchObject({
			status: "no_data",
			value: null,
		});
});

test("a percentile's red flag is proven by first requests too", () => {
	const first = { users: 5, harmedUsers: 5, requestsEach: 1, harmedFirst: 5 };
	expect(judgeLimit(aJudged(slowFlag, { role: "red_flag" }), ofLatency(5, 9_000, first), 100, ALPHA)).toMatchObject({ status: "breached" });
	expect(judgeLimit(aJudged(p95), ofLatency(5, 9_000, first), 100, ALPHA)).toMatchObject({ status: "insufficient" });
});

test("a limit is judged by its own signal: what another one took for harm is not its", () => {
	const evidence = anEvidence({
		userSums: [
			sumsOf({ signal: "latency_ms>1000", metric: "latency_ms", harmedUsers: 400 }),
			sumsOf({ signal: "latency_ms>2500", metric: "latency_ms", harmedUsers: 4 }),
		],
		quantiles: [quantilesOf({ arm: "candidate", p95: 2_000 })],
	});
	expect(judgeLimit(aJudged(p95), evidence, USERS_MIN, ALPHA).status).toBe("met");
});

const harm = aLimit({ text: "satisfaction harm < 4%", metric: "satisfaction", aggregate: "harm", limit: 0.04 });
test.each<[string, VerdictStatus, Users]>([
	["a tenth of a percent", "met", { harmedUsers: 1 }],
	["a little above", "beyond", { harmedUsers: 45 }],
	["far above", "breached", { harmedUsers: 120 }],
])("harm of %s is %s, by the same proof as a rate", (_, status, users) => {
	expect(judged(harm, "criterion", { metric: "satisfaction", mean: 9, ...users }).status).toBe(status);
});

const paid = aLimit({ text: "paid_rate > 90%", metric: "paid", bad: "below", limit: 0.9 });
test.each<[string, VerdictStatus, number, string]>([
	["well above", "met", 0.95, "95 % of requests over 500 users, limit 90 %"],
	["a little below", "beyond", 0.899, "89.9 % of requests over 500 users, limit 90 %: beyond, not proven"],
	["far below", "breached", 0.8, "80 % of requests over 500 users, limit 90 %: mean 0.8 ± 0.0298"],
])("a rate that had better be high is judged by its users' means: %s is %s", (_, status, mean, message) => {
	expect(judged(paid, "criterion", { metric: "paid", mean, deviation: 0.2, harmedUsers: 0 })).toMatchObject({ status, message });
});

const orders = aLimit({ text: "orders count > 0.2", metric: "orders", aggregate: "count", bad: "below", limit: 0.2 });
const retries = aLimit({ text: "retries count < 2", metric: "retries", aggregate: "count", limit: 2 });

test("a count is over everybody who was there, not only those who reported any", () => {
	const sums = sumsOf({ metric: "orders", users: 190, requestsEach: 1, mean: 1, harmedUsers: 0 });
	const seen = anEvidence({ candidate: { users: 1_000 }, more: [sums] });
	expect(judgeLimit(aJudged(orders), seen, USERS_MIN, ALPHA)).toMatchObject({
		status: "beyond",
		value: 0.19,
		message: "0.19 a user over 1,000 users, limit 0.2: beyond, not proven",
	});
	expect(judgeLimit(aJudged(orders), anEvidence({ candidate: { users: 500 }, more: [sums] }), USERS_MIN, ALPHA)).toMatchObject({
		status: "met",
		value: 0.38,
	});
	expect(judgeLimit(aJudged(orders), seen, 1_001, ALPHA)).toMatchObject({ status: "insufficient", message: "1,000 users < 1,001 needed" });
	expect(judgeLimit(aJudged(orders), anEvidence(), USERS_MIN, ALPHA).status).toBe("no_data");
});

test("a count is a user's sum, not their mean", () => {
	const sums = sumsOf({ metric: "retries", users: 500, requestsEach: 3, mean: 1, deviation: 0.2, harmedUsers: 0 });
	expect(judgeLimit(aJudged(retries), anEvidence({ userSums: [sums] }), USERS_MIN, ALPHA)).toMatchObject({ status: "breached", value: 3 });
});

test("an optional criterion that nobody reports is not reported, and one that is reported is judged as any other", () => {
	const optional = aJudged(satisfaction, { optional: true });
	const sums = (mean: number, users = 500) =>
		anEvidence({ more: [sumsOf({ metric: "satisfaction", mean, users, deviation: 0.5, harmedUsers: 0 })] });
	expect(judgeLimit(optional, anEvidence(), USERS_MIN, ALPHA)).toMatchObject({ status: "not_reported", value: null });
	expect(judgeLimit(aJudged(satisfaction, { optional: false }), anEvidence(), USERS_MIN, ALPHA).status).toBe("no_data");
	expect(judgeLimit(optional, sums(9), USERS_MIN, ALPHA).status).toBe("met");
	expect(judgeLimit(optional, sums(9, 99), USERS_MIN, ALPHA).status).toBe("insufficient");
	expect(judgeLimit(optional, sums(6), USERS_MIN, ALPHA).status).toBe("breached");
});

test("an arm's estimate is on the bad side, on the good one, or not known", () => {
	const evidence = anEvidence({ candidate: { harmedUsers: 31 }, control: { users: 500, harmedUsers: 30 } });
	expect(isBeyond(aJudged(aLimit()), evidence, "candidate")).toBe(true);
	expect(isBeyond(aJudged(aLimit()), evidence, "control")).toBe(true);
	expect(isBeyond(aJudged(aLimit({ inclusive: true })), evidence, "control")).toBe(false);
	expect(isBeyond(aJudged(aLimit()), anEvidence({ userSums: [] }), "control")).toBeNull();
	expect(isBeyond(aJudged(p95), anEvidence(), "control")).toBeNull();
});
