import { describe, expect, test } from "vitest";
import { type Plan, storedPlan } from "../../../core/rollouts/plan";
import { completePlan, plan } from "../../../core/rollouts/writtenPlan";

/** What strategies write, and where the mistakes of what they wrote are told. */

const written = (change: Record<string, unknown>): ReturnType<typeof completePlan> =>
	completePlan(
		plan.parse({
			rollout: "checkout",
			environment: "production",
			flags: ["checkout"],
			guards: ["error_rate vs control <= +25%"],
			...change,
		}),
		[],
	);

function planOf(change: Record<string, unknown>): Plan {
	const { plan: found, errors } = written(change);
	expect(errors).toEqual([]);
	if (!found) throw new Error("no plan");
	return found;
}

const phasesOf = (change: Record<string, unknown>) => planOf(change).phases;
const stepsOf = (change: Record<string, unknown>) => phasesOf(change).map(({ percent, hold }) => [percent, hold]);
const each = (percents: readonly number[], hold: string) => percents.map((percent) => [percent, hold]);

describe("the phases of", () => {
	test("canary: 1, 5, 10, 25, 50 and 100 %, five minutes each", () => {
		expect(stepsOf({ strategy: "canary" })).toEqual(each([1, 5, 10, 25, 50, 100], "5m"));
		expect(stepsOf({ strategy: "canary", hold: "1h", percents: [2, 100] })).toEqual(each([2, 100], "1h"));
	});

	test("canary, quick: a tenth for ten minutes under its own limits, then all", () => {
		const quick = planOf({ strategy: "canary", preset: "quick", guards: [] });
		expect(quick.phases.map(({ percent, hold, criteria }) => [percent, hold, criteria])).toEqual([
			[10, "10m", ["error_rate <= 1%"]],
			[100, "10m", ["error_rate <= 1%"]],
		]);
		expect(quick.guards).toEqual(["latency_ms p95 vs control <= +20%"]);
		expect(planOf({ strategy: "canary", preset: "quick" }).guards).toEqual(["error_rate vs control <= +25%"]);
	});

	test("percentage: one for each percent", () => {
		expect(stepsOf({ strategy: "percentage", percents: [3, 30, 100] })).toEqual(each([3, 30, 100], "1h"));
	});

	test("ring: internal, beta, production, or the rings that are written", () => {
		expect(phasesOf({ strategy: "ring" }).map(({ name, audience, percent, hold }) => [name, audience, percent, hold])).toEqual([
			["internal", "internal", 1, "1h"],
			["beta", "beta", 10, "1h"],
			["production", undefined, 100, "1h"],
		]);
		const rings = [
			{
				name: "staff",
				audience: "staff",
				percent: 50,
				hold: "2h",
				min_users: 5,
				timeout: "9h",
				checks: [{ name: "told", manual: "told" }],
			},
			{ name: "all", percent: 100, approval: "manual" },
		];
		expect(phasesOf({ strategy: "ring", rings, hold: "3h" })).toMatchObject([
			{ audience: "staff", hold: "2h", min_users: 5, timeout: "9h", checks: [{ name: "told" }] },
			{ percent: 100, hold: "3h", approval: "manual" },
		]);
	});

	test("blue-green: everybody at once, for as long as blue is kept warm", () => {
		expect(stepsOf({ strategy: "blue-green" })).toEqual([[100, "1h"]]);
		expect(stepsOf({ strategy: "blue-green", warm: "6h" })).toEqual([[100, "6h"]]);
	});

	test("schedule: one for each day or time, not before it", () => {
		const schedule = [
			{ percent: 10, not_before: { day: 8 } },
			{ percent: 100, not_before: "2026-12-01T09:00:00Z", hold: "6h", name: "all" },
		];
		expect(phasesOf({ strategy: "schedule", schedule })).toMatchObject([
			{ percent: 10, hold: "1h", not_before: { day: 8 } },
			{ percent: 100, hold: "6h", not_before: "2026-12-01T09:00:00Z", name: "all" },
		]);
	});

	test("compare-first: one in shadow for a day, then those that are written", () => {
		const phases = [{ percent: 100, hold: "1h" }];
		expect(phasesOf({ strategy: "compare-first", phases })).toMatchObject([
			{ name: "compare", percent: 0, hold: "24h", criteria: ["discrepancy_rate <= 0%"], shadow: true },
			{ percent: 100, shadow: false },
		]);
	});
});

test.each(["canary", "ring", "blue-green"])("%s ends at the target where that is below 100 %", (strategy) => {
	const last = phasesOf({ strategy, target_percent: 30 }).at(-1);
	expect(last?.percent).toBe(30);
	expect(phasesOf({ strategy, target_percent: 30 }).every(({ percent }) => percent <= 30)).toBe(true);
});

test("the plan's criteria are those of every phase, and its approval and time-out of those that say nothing else", () => {
	const phases = [
		{ percent: 5, hold: "1h" },
		{ percent: 20, hold: "1h", approval: "auto", timeout: "9h" },
		{ percent: 100, hold: "1h", criteria: ["fallback_rate < 5%"] },
	];
	const found = phasesOf({ phases, criteria: ["error_rate < 3%"], approval: { approvers: 2 }, timeout: "6h" });
	expect(found.map(({ criteria, approval, timeout }) => [criteria, approval, timeout])).toEqual([
		[["error_rate < 3%"], "auto", "6h"],
		[["error_rate < 3%"], "auto", "9h"],
		[["error_rate < 3%", "fallback_rate < 5%"], { approvers: 2 }, "6h"],
	]);
});

const two = [
	{ percent: 5, hold: "1h", criteria: ["error_rate < 3%"] },
	{ percent: 100, hold: "1h", criteria: ["error_rate < 3%"] },
];
test.each<[string, Record<string, unknown>, pointers: string[]]>([
	["a percent that falls", { strategy: "percentage", percents: [20, 5, 100] }, ["/percents/1"]],
	["a list that does not end at the target", { strategy: "canary", percents: [1, 50] }, ["/percents/1"]],
	[
		"a ring of nobody",
		{
			strategy: "ring",
			rings: [
				{ name: "none", percent: 0 },
				{ name: "all", percent: 100 },
			],
		},
		["/rings/0/percent"],
	],
	[
		"a ring's criterion",
		{ strategy: "ring", rings: [{ name: "all", percent: 100, criteria: ["nonsense < 3%"] }] },
		["/rings/0/criteria/0"],
	],
	["a ring's time-out", { strategy: "ring", rings: [{ name: "all", percent: 100, hold: "2h", timeout: "1h" }] }, ["/rings/0/timeout"]],
	["a step of a schedule", { strategy: "schedule", schedule: [{ percent: 50, not_before: { day: 2 } }] }, ["/schedule/0/percent"]],
	[
		"a criterion of the comparison",
		{ strategy: "compare-first", compare: { criteria: ["nonsense < 1"] }, phases: two },
		["/compare/criteria/0"],
	],
	["a phase after the comparison", { strategy: "compare-first", phases: [{ percent: 50, hold: "1h" }] }, ["/phases/0/percent"]],
	["a criterion of all phases, once", { phases: two, criteria: ["error_rate < 4%", "nonsense < 3%"] }, ["/criteria/1"]],
	[
		"a phase's own criterion beside it",
		{ phases: [two[0], { ...two[1], criteria: ["nonsense < 1"] }], criteria: ["error_rate < 4%"] },
		["/phases/1/criteria/0"],
	],
	["a criterion of phases that nobody wrote", { strategy: "canary", criteria: ["nonsense < 3%"] }, ["/criteria/0"]],
	["a time-out of all phases, once", { phases: two, timeout: "30m" }, ["/timeout"]],
	["a phase's own time-out", { phases: [{ ...two[0], timeout: "30m" }, two[1]], timeout: "9h" }, ["/phases/0/timeout"]],
	["a time-out of phases that nobody wrote", { strategy: "blue-green", timeout: "30m" }, ["/timeout"]],
	["a target that nobody reaches", { strategy: "blue-green", target_percent: 0 }, ["/target_percent"]],
	["what another strategy reads", { strategy: "canary", rings: [], phases: two, warm: "1h" }, ["/rings"]],
	["phases for a canary", { strategy: "canary", phases: two }, ["/phases"]],
	["a hold beside phases, which have their own", { phases: two, hold: "1h" }, ["/hold"]],
	["no percents", { strategy: "percentage" }, ["/percents"]],
	["no schedule", { strategy: "schedule" }, ["/schedule"]],
	["no phases", {}, ["/phases"]],
	["no flags", { flags: [], phases: two }, ["/flags"]],
	["a flag in two places", { phases: [{ ...two[0], flags: ["checkout"] }, two[1]] }, ["/flags"]],
])("a mistake is told where it was written: %s", (_, change, pointers) => {
	const parsed = plan.safeParse({
		rollout: "checkout",
		environment: "production",
		flags: ["checkout"],
		guards: ["error_rate vs control <= +25%"],
		...change,
	});
	const found = parsed.success
		? completePlan(parsed.data, []).errors.map(({ pointer }) => pointer)
		: parsed.error.issues.map(({ path }) => `/${path.join("/")}`);
	expect(found).toEqual(pointers);
});

describe("what could not be stored is refused as it is written:", () => {
	const many = (count: number) => Array.from({ length: count }, (_, i) => `latency_ms p95 < ${1_000 + i}`);
	test.each<[string, Record<string, unknown>, pointer: string, says: string]>([
		[
			"more criteria of a phase, with the plan's",
			{ criteria: many(15), phases: [{ percent: 100, hold: "1h", criteria: many(10) }] },
			"/phases/0/criteria",
			"25 criteria, with those of the plan > limit 20",
		],
		[
			"more of a ring",
			{ criteria: many(15), strategy: "ring", rings: [{ name: "all", percent: 100, criteria: many(6) }] },
			"/rings/0/criteria",
			"21 criteria",
		],
		["more than a preset leaves room for", { criteria: many(20), strategy: "canary", preset: "quick" }, "/criteria", "21 criteria"],
		[
			"one phase too many, with that of the comparison",
			{ strategy: "compare-first", phases: Array.from({ length: 50 }, (_, i) => ({ percent: (i + 1) * 2, hold: "1h" })) },
			"/phases",
			"51 phases, with that of the comparison > limit 50",
		],
	])("%s", (_, change, pointer, says) => {
		const { errors } = written(change);
		expect(errors).toContainEqual({ pointer, message: expect.stringContaining(says) });
	});

	test("and whatever is not refused can be read again", () => {
		for (const change of [
			{ strategy: "canary", preset: "quick", criteria: Array(19).fill("error_rate < 3%") },
			{ strategy: "ring" },
			{ strategy: "blue-green" },
		])
			expect(storedPlan.safeParse(JSON.parse(JSON.stringify(planOf(change))))).toMatchObject({ success: true });
	});
});
