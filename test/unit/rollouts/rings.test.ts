import { describe, expect, test } from "vitest";
import type { ArmSums, Evidence, FirstHarms } from "../../../core/health/observation";
import { judge } from "../../../core/health/judge";
import { decide } from "../../../core/rollouts/decide";
import type { Decision } from "../../../core/rollouts/decision";
import { liveRollout } from "../../../core/rollouts/exposure";
import { type Plan, newestRing, ringsIn } from "../../../core/rollouts/plan";
import { limitCount } from "../../../core/rollouts/planCriteria";
import type { LiveState } from "../../../core/rollouts/state";
import { NOW_MS, aGuardWatch, aPhase, aPlan, aState, anEvidence, quantilesOf, sumsOf } from "./fixtures";

/** All of the staff, then a tenth of those who test betas, then everybody. */
const RINGS = [
	aPhase({ name: "internal", percent: 100, audience: "internal" }),
	aPhase({ name: "beta", percent: 10, audience: "beta" }),
	aPhase({ name: "production", percent: 100 }),
];
const planned = (change: Record<string, unknown> = {}): Plan => aPlan({ holdback: 0, red_flags: [], phases: RINGS, ...change });
const inBeta = (plan: Plan, change: Parameters<typeof aState>[0] = {}): LiveState => aState({ phase: 1, stage: 2, ...change }, plan);

type Users = NonNullable<Parameters<typeof sumsOf>[0]>;
const BETA = 2;
const ofRing = (sums: ArmSums): ArmSums => ({ ...sums, ring: BETA });
/** What all of them did, and what those of the newest ring did. */
const seen = (
	all: { readonly candidate?: Users; readonly control?: Users },
	newest: { readonly candidate?: Users; readonly control?: Users },
	change: Partial<Evidence> = {},
): Evidence => {
	const { userSums, totals } = anEvidence(all);
	const reported = totals.map((each) => ({ ...each, ring: BETA }));
	return anEvidence({ totals: reported, ...change, userSums: [...userSums, ...anEvidence(newest).userSums.map(ofRing)] });
};
const STAFF = { users: 500, harmedUsers: 0 };
const FINE = { candidate: { users: 200, harmedUsers: 1 }, control: { users: 1_800, harmedUsers: 9 } };
/** 502 candidates, two of them of the newest ring. */
const few = seen(
	{ candidate: { users: 502, harmedUsers: 0 }, control: { users: 20, harmedUsers: 0 } },
	{ candidate: { users: 2, harmedUsers: 0 }, control: { users: 20, harmedUsers: 0 } },
);

const decided = (plan: Plan, evidence: Evidence, change: Parameters<typeof aState>[0] = {}): Decision =>
	decide(plan, inBeta(plan, change), evidence, NOW_MS);

describe("a phase is judged by the users of its own ring", () => {
	test("they are enough, or it waits, however many the rings before have", () => {
		const plan = planned({ min_users: 100, advance: "relaxed" });
		expect(decided(plan, few)).toMatchObject({
			kind: "hold",
			reason: "not_enough_users",
			message: expect.stringContaining("2 users of the candidate in ring 2, beta, < 100 needed") as string,
			judgement: { candidate: { users: 2 }, control: { users: 20 } },
		});
		expect(decided(plan, seen({ candidate: { ...STAFF, users: 700 } }, FINE))).toMatchObject({ kind: "advance" });
	});

	test("a criterion is met by them alone", () => {
		const plan = planned({ guards: [], advance: "relaxed" });
		const bad = { ...FINE, candidate: { users: 200, harmedUsers: 14 } };
		// Over all of them it is 1 %.
		expect(decided(plan, seen({ candidate: { users: 1_400, harmedUsers: 28 } }, bad))).toMatchObject({
			kind: "hold",
			reason: "criterion_unmet",
			message: expect.stringContaining("3.5 % of requests over 200 users") as string,
		});
	});

	test("a criterion that they do not report is not met by others", () => {
		const plan = planned({
			guards: [],
			advance: "relaxed",
			phases: RINGS.map((each) => ({ ...each, criteria: ["error_rate < 3%", "satisfaction mean > 8"] })),
		});
		const satisfied = [
			sumsOf({ metric: "satisfaction", mean: 9, deviation: 1 }),
			sumsOf({ metric: "satisfaction", arm: "control", mean: 9, deviation: 1 }),
		];
		const evidence = seen({ candidate: STAFF }, FINE);
		expect(decided(plan, { ...evidence, userSums: [...evidence.userSums, ...satisfied] })).toMatchObject({
			kind: "hold",
			reason: "criterion_unmet",
		});
	});

	test("a percentile is theirs", () => {
		const latency = (change: Users) => sumsOf({ signal: "latency_ms>2500", metric: "latency_ms", harmedUsers: 0, ...change });
		const plan = planned({
			guards: [],
			advance: "relaxed",
			phases: RINGS.map((each) => ({ ...each, criteria: ["latency_ms p95 < 2500"] })),
		});
		const evidence = seen({ candidate: STAFF }, FINE);
		const { judgement } = judge(
			plan,
			inBeta(plan),
			{
				...evidence,
				userSums: [...evidence.userSums, latency({}), ofRing(latency({ users: 200 }))],
				quantiles: [quantilesOf({ arm: "candidate", p95: 400 }), { ...quantilesOf({ arm: "candidate", p95: 2_400 }), ring: BETA }],
			},
			NOW_MS,
		);
		expect(judgement.verdicts.find(({ criterion }) => criterion === "latency_ms p95 < 2500")).toMatchObject({
			status: "met",
			value: 2_400,
		});
	});

	test("who is silent is not heard because others are", () => {
		const plan = planned({ advance: "relaxed" });
		const others = anEvidence().totals.map((each) => ({ ...each, ring: 1 }));
		const quiet = seen({ candidate: STAFF }, FINE, { totals: others });
		expect(decided(plan, quiet)).toMatchObject({ kind: "hold", reason: "no_data", state: { watch: { heldMs: aState().watch.heldMs } } });
		expect(decided(plan, seen({ candidate: STAFF }, FINE))).toMatchObject({ kind: "advance" });
	});

	test("a strict margin is proven by them alone: what they do is not made good by others", () => {
		const plan = planned({ advance: "strict" });
		const many = { candidate: { users: 80_000, harmedUsers: 800 }, control: { users: 720_000, harmedUsers: 7_200 } };
		expect(decided(plan, seen(many, many))).toMatchObject({ kind: "advance" });
		expect(decided(plan, seen(many, FINE))).toMatchObject({ kind: "hold", reason: "margin_not_proven" });
	});

	describe("of first harms", () => {
		const harms = (ring: number, candidate: number, control: number): FirstHarms[] => {
			const of = { signal: "error", served: 10_000, lastControlServed: null, ring };
			return [
				{ ...of, arm: "candidate", units: candidate },
				{ ...of, arm: "control", units: control },
			];
		};
		const plan = planned();
		const fresh = {
			watch: { guards: [aGuardWatch({ doubling: [0, 0, 0, 0], units: 0, harmed: 0, candidateWeight: 0, controlWeight: 0 })] },
		};
		const learnt = (firstHarms: readonly FirstHarms[]) =>
			judge(plan, inBeta(plan, fresh), seen({ candidate: STAFF }, FINE, { firstHarms }), NOW_MS).watch.guards[0];

		test("those of another ring rule no doubling out, though it is served the same percent", () => {
			const others = learnt(harms(1, 10, 490));
			expect(others).toMatchObject({ units: 0, harmed: 0, doubling: [0, 0, 0, 0] });
			const own = learnt(harms(BETA, 10, 490));
			expect(own).toMatchObject({ units: 500, harmed: 10 });
			expect(Math.max(...(own?.doubling ?? []))).toBeGreaterThan(5);
		});

		test("and their ratio is theirs", () => {
			const mixed = seen({ candidate: STAFF }, FINE, { firstHarms: [...harms(1, 1, 400), ...harms(BETA, 20, 80)] });
			const { judgement } = judge(plan, inBeta(plan, fresh), mixed, NOW_MS);
			expect(judgement.verdicts[0]).toMatchObject({ role: "guard", status: "beyond", value: expect.closeTo(2.25, 2) as number });
		});

		test("but whoever is harmed, of whatever ring, is evidence of harm", () => {
			const [others, own] = [learnt(harms(1, 300, 700)), learnt(harms(BETA, 300, 700))];
			expect(others?.harm).toEqual(own?.harm);
			expect(others?.tripling).toEqual(own?.tripling);
		});
	});
});

describe("harm among those who were served before the newest ring takes everybody back as ever", () => {
	const breaching = { users: 2_000, harmedUsers: 240 };
	test.each<[string, Record<string, unknown>, Evidence, Parameters<typeof aState>[0], string]>([
		["a limit", { guards: [] }, seen({ candidate: breaching, control: { harmedUsers: 0 } }, FINE), {}, "limit_breached"],
		[
			"a red flag",
			{ guards: [], red_flags: ["error_rate > 10%"] },
			seen({ candidate: { harmedUsers: 200 } }, FINE),
			{},
			"red_flag_breached",
		],
		["proven harm", {}, seen({}, FINE), { guard: { e: 81 } }, "harm_proven"],
		["proven harm, where the newest ring says nothing at all", {}, anEvidence(), { guard: { e: 81 } }, "harm_proven"],
		[
			"a limit, where the newest ring says nothing at all",
			{ guards: [] },
			anEvidence({ candidate: breaching, control: { harmedUsers: 0 } }),
			{},
			"limit_breached",
		],
	])("%s", (_, change, evidence, state, reason) => {
		expect(decided(planned(change), evidence, state)).toMatchObject({ kind: "roll_back", reason });
	});

	test("so does a limit that the newest ring alone breaches, though all together keep to it", () => {
		const bad = { candidate: { users: 300, harmedUsers: 60 }, control: { harmedUsers: 0 } };
		expect(decided(planned({ guards: [] }), seen({ candidate: { users: 9_000, harmedUsers: 60 } }, bad))).toMatchObject({
			kind: "roll_back",
			reason: "limit_breached",
		});
	});

	test("a control of the same ring that breaches it too clears the variant, one of another ring does not", () => {
		const bad = { users: 300, harmedUsers: 60 };
		const plan = planned({ guards: [] });
		const all = { candidate: { users: 9_000, harmedUsers: 60 }, control: { users: 9_000, harmedUsers: 3_000 } };
		expect(decided(plan, seen(all, { candidate: bad, control: { users: 300, harmedUsers: 0 } }))).toMatchObject({ kind: "roll_back" });
		expect(decided(plan, seen(all, { candidate: bad, control: { users: 300, harmedUsers: 60 } }))).toMatchObject({
			kind: "hold",
			reason: "control_breaches_too",
		});
	});

	test("a limit that is looked at twice has half of its α each time", () => {
		expect(limitCount(planned())).toBe(1 + 2 + 2);
		expect(limitCount(aPlan())).toBe(1 + 3);
		expect(limitCount(planned({ guards: ["error_rate vs baseline <= +20%"] }))).toBe(2 + 1 + 2 + 2);
	});
});

describe("rings are told apart by their numbers", () => {
	const numbersIn = (plan: Plan, phase: number) => liveRollout("checkout.1", plan, aState({ phase }, plan))?.numbered;

	test("which stay the same from phase to phase, in the order in which they join", () => {
		const plan = planned();
		expect(ringsIn(plan)).toEqual(["internal", "beta", null]);
		expect([-1, 0, 1, 2].map((phase) => newestRing(plan, { phase }))).toEqual([undefined, 1, 2, 3]);
		expect(numbersIn(plan, 0)).toEqual([{ segment: "internal", served: 100_000, number: 1 }]);
		expect(numbersIn(plan, 1)).toEqual([
			{ segment: "internal", served: 100_000, number: 1 },
			{ segment: "beta", served: 10_000, number: 2 },
		]);
	});

	test("also where a percent is the same for all: who was served as much before belongs to a ring before", () => {
		expect(numbersIn(planned(), 2)).toEqual([
			{ segment: "internal", served: 100_000, number: 1 },
			{ segment: null, served: 100_000, number: 3 },
		]);
		expect(liveRollout("checkout.1", planned(), aState({ phase: 2 }, planned()))?.rings).toBeUndefined();
	});

	test("also where a ring that there was grows", () => {
		const plan = planned({
			phases: [
				aPhase({ percent: 5, audience: "internal" }),
				aPhase({ percent: 20, audience: "beta" }),
				aPhase({ percent: 20, audience: "internal" }),
				aPhase({ percent: 100 }),
			],
		});
		expect(newestRing(plan, { phase: 2 })).toBe(1);
		expect(numbersIn(plan, 2)).toEqual([
			{ segment: "beta", served: 20_000, number: 2 },
			{ segment: "internal", served: 20_000, number: 1 },
		]);
	});

	test("and a plan without audiences has none", () => {
		expect(ringsIn(aPlan())).toEqual([]);
		expect(newestRing(aPlan(), { phase: 1 })).toBeUndefined();
		expect(liveRollout("checkout.1", aPlan(), aState())).not.toHaveProperty("numbered");
	});
});
