import { expect, test } from "vitest";
import { type Limit, signalKeyOf } from "../../../core/health/criteria";
import { type Judged, type VerdictStatus, estimateOf, judgeLimit } from "../../../core/health/verdict";
import { anEvidence, sumsOf } from "../rollouts/fixtures";

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
	["met", aLimit(), "criterion", {}, "0.5 % of 500 users, limit 3 %"],
	["beyond", aLimit(), "criterion", { harmedUsers: 35 }, "3.5 % of 500 users, limit 3 %: beyond, not proven"],
	["insufficient", aLimit(), "criterion", { users: 60, harmedUsers: 0 }, "60 users < 100 needed"],
	[
		"breached",
		aLimit(),
		"criterion",
		{ users: 10, harmedUsers: 5, requestsEach: 1 },
		"50 % of 10 users, limit 3 %: 5 harmed, design effect 1.11, E = 817 ≥ 80",
	],
	[
		"breached by first requests",
		tenPercent,
		"red_flag",
		{ users: 5, harmedUsers: 5, requestsEach: 1, harmedFirst: 5 },
		"100 % of 5 users, limit 10 %: 5 harmed at their first request, E = 5,939 ≥ 80",
	],
	[
		"breached by a mean",
		satisfaction,
		"criterion",
		{ metric: "satisfaction", mean: 7, deviation: 1 },
		"7 of 500 users, limit 8: mean 7 ± 0.149",
	],
])("the message of %s carries its arithmetic", (_, limit, role, users, message) => {
	expect(judged(limit, role, users).message).toBe(message);
});
