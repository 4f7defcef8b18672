import * as fc from "fast-check";
import { expect, test } from "vitest";
import { firstRequestsAgainstLimit, rateAgainstLimit, type UserSums } from "../../../core/statistics/limits";
import vectors from "../../vectors/limit_per_request.json";
import { binomialMean, expectClose, expectRelativelyClose } from "./close";

interface User {
	readonly requests: number;
	readonly harms: number;
}

function sumsOf(users: readonly User[]): UserSums {
	const sum = (value: (user: User) => number): number => users.reduce((total, user) => total + value(user), 0);
	return {
		users: users.length,
		harmedUsers: users.filter(({ harms }) => harms > 0).length,
		requests: sum(({ requests }) => requests),
		harms: sum(({ harms }) => harms),
		harmsSquared: sum(({ harms }) => harms ** 2),
		harmsTimesRequests: sum(({ harms, requests }) => harms * requests),
		requestsSquared: sum(({ requests }) => requests ** 2),
	};
}

function same(user: User, times: number): readonly User[] {
	return Array.from({ length: times }, () => user);
}

test.each(vectors.cases)("the rate test of $users", ({ users, expected }) => {
	const evidence = rateAgainstLimit(
		{
			users: users.n,
			harmedUsers: users.harmed,
			requests: users.sum_r,
			harms: users.sum_y,
			harmsSquared: users.sum_yy,
			harmsTimesRequests: users.sum_yr,
			requestsSquared: users.sum_rr,
		},
		vectors.limit,
	);
	if (evidence.kind === "insufficient") {
		expect(expected).toEqual({ log_e: null, deff: null, reason: "insufficient" });
		return;
	}
	expectRelativelyClose(evidence.logE, expected.log_e ?? Number.NaN, 1e-12);
	expectRelativelyClose(evidence.designEffect, expected.deff ?? Number.NaN, 1e-12);
	expectRelativelyClose(evidence.rate, expected.rate ?? Number.NaN, 1e-12);
});

test.each(vectors.first_request_per_user)("first requests: $x of $n at a limit of $limit", ({ x, n, limit, log_e }) => {
	expectRelativelyClose(firstRequestsAgainstLimit(x, n, limit), log_e, 1e-12);
});

test.each<[string, readonly User[], number]>([
	["nobody", [], 0],
	["a single user", same({ requests: 20, harms: 20 }, 1), 1],
	["users without requests", same({ requests: 0, harms: 0 }, 5), 0],
])("%s is insufficient", (_, users, rate) => expect(rateAgainstLimit(sumsOf(users), 0.03)).toEqual({ kind: "insufficient", rate }));

test.each<[string, readonly User[], number]>([
	["no harm at all", same({ requests: 10, harms: 0 }, 50), 0],
	["nothing but harm", same({ requests: 10, harms: 10 }, 50), 1],
	["every user alike", same({ requests: 10, harms: 1 }, 50), 0.1],
])("%s has no scatter to correct for", (_, users, rate) => {
	const evidence = rateAgainstLimit(sumsOf(users), 0.03);
	expect(evidence).toMatchObject({ kind: "evidence", rate, designEffect: 1 });
	expect(evidence.kind === "evidence" && Number.isFinite(evidence.logE)).toBe(true);
});

test("the failures of one user among many prove little, the same failures spread out prove much", () => {
	const clustered = rateAgainstLimit(sumsOf([{ requests: 20, harms: 20 }, ...same({ requests: 1, harms: 0 }, 99)]), 0.03);
	const spread = rateAgainstLimit(sumsOf([...same({ requests: 1, harms: 1 }, 20), ...same({ requests: 1, harms: 0 }, 99)]), 0.03);
	expect(clustered.kind === "evidence" && clustered.logE < Math.log(80)).toBe(true);
	expect(spread.kind === "evidence" && spread.logE > Math.log(80)).toBe(true);
});

test("first requests are an e-value: not expected to grow at or below the limit, at any limit", () => {
	fc.assert(
		fc.property(
			fc.integer({ min: 0, max: 20 }),
			fc.double({ min: 1e-4, max: 0.999, noNaN: true }),
			fc.double({ min: 0, max: 1, noNaN: true }),
			(users, limit, part) => {
				const mean = binomialMean(users, limit * part, (harmed) => Math.exp(firstRequestsAgainstLimit(harmed, users, limit)));
				expect(mean).toBeLessThanOrEqual(1 + 1e-9);
			},
		),
	);
});

test.each([0.95, 1, 1.2])("a limit of %d leaves nothing to bet on", (limit) => {
	expectClose(firstRequestsAgainstLimit(20, 20, limit), 0);
});

test.each([0, -0.1, Number.NaN])("a limit of %d is refused", (limit) => {
	expect(() => firstRequestsAgainstLimit(1, 2, limit)).toThrow(RangeError);
});

test.each<Partial<UserSums>>([{ harms: 101 }, { harmedUsers: 11 }, { requests: Number.NaN }, { harmsSquared: -1 }, { users: Infinity }])(
	"sums that cannot be are refused: %o",
	(change) => {
		const sums = sumsOf(same({ requests: 10, harms: 1 }, 10));
		expect(() => rateAgainstLimit({ ...sums, ...change }, 0.03)).toThrow(RangeError);
	},
);

test("first requests that cannot be are refused", () => expect(() => firstRequestsAgainstLimit(6, 5, 0.1)).toThrow(RangeError));
