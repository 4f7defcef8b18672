import * as fc from "fast-check";
import { BUCKETS } from "../../../core/flags/bucket";
import type { ArmSums, Evidence, FirstHarms, Observation } from "../../../core/health/observation";
import { servedBy } from "../../../core/rollouts/exposure";
import { type Plan, newestRing, storedPlan } from "../../../core/rollouts/plan";
import { signalKeysOf } from "../../../core/rollouts/planCriteria";
import { type RolloutState, isLive } from "../../../core/rollouts/state";
import { type WrittenPlan, completePlan, plan as writtenPlan } from "../../../core/rollouts/writtenPlan";
import { anEvidence, quantilesOf, sumsOf } from "./fixtures";

/** Plans of every strategy, and what may be seen of them in a minute. */

export const FLAGS = ["checkout", "search", "cart"];
export const SEGMENTS = ["internal", "beta"];

const HOLDS = ["0s", "1m", "3m"];
const aHold = fc.constantFrom(...HOLDS);
const CRITERIA = [
	["error_rate < 3%"],
	["error_rate < 3%", "latency_ms p95 < 2500"],
	["error_rate < 3%", { criterion: "satisfaction mean > 8" }],
];
const GUARDS: readonly WrittenPlan["guards"][number][] = [
	"error_rate vs control <= +25%",
	"latency_ms p95 vs control <= +20%",
	"error_rate vs baseline <= +50%",
	{ guard: "error_rate vs control <= +25%", flag: "checkout" },
	{ guard: "error_rate vs control <= +25%", flag: "search" },
];
const anApproval = fc.constantFrom("auto", "auto", "manual", { approvers: 2 });
const aTimeout = fc.constantFrom(
	undefined,
	undefined,
	{ after: "5m" },
	{ after: "5m", policy: "rollback" },
	{ after: "5m", policy: "advance" },
);
const someChecks = fc.constantFrom([], [], [{ name: "own", http: "https://origin.example/health" }]);

const aPhase = fc.record({
	hold: aHold,
	approval: anApproval,
	timeout: aTimeout,
	checks: someChecks,
	criteria: fc.constantFrom(...CRITERIA),
});

/** Fields of one strategy. */
const aStrategy = fc.oneof(
	{
		weight: 3,
		arbitrary: fc
			.tuple(aPhase, aPhase, aPhase, fc.boolean(), fc.constantFrom(undefined, { day: 2 }))
			.map(([first, second, last, isJoining, not_before]) => ({
				strategy: "phased",
				flags: isJoining ? FLAGS.slice(0, 2) : FLAGS,
				phases: [
					{ ...first, percent: 5 },
					{ ...second, percent: 20, ...(isJoining ? { flags: ["cart"] } : {}), ...(not_before ? { not_before } : {}) },
					{ ...last, percent: 100 },
				].map(({ timeout, ...phase }) => ({ ...phase, ...(timeout ? { timeout } : {}) })),
			})),
	},
	fc.constant({ strategy: "canary", hold: "1m" }),
	fc.constant({ strategy: "canary", preset: "quick", hold: "1m", guards: ["error_rate vs control <= +25%"] }),
	fc.constant({ strategy: "percentage", percents: [10, 60, 100], hold: "1m" }),
	fc.constant({ strategy: "percentage", percents: [10, 30, 60], target_percent: 60, hold: "1m" }),
	fc.constant({ strategy: "ring", hold: "1m" }),
	fc.tuple(anApproval, anApproval).map(([second, third]) => ({
		strategy: "ring",
		hold: "1m",
		rings: [
			{ name: "internal", audience: "internal", percent: 50 },
			{ name: "beta", audience: "beta", percent: 20, approval: second },
			{ name: "production", percent: 100, approval: third },
		],
	})),
	fc.constant({ strategy: "blue-green", warm: "3m" }),
	fc.constant({
		strategy: "schedule",
		hold: "1m",
		schedule: [
			{ percent: 10, not_before: { day: 1 } },
			{ percent: 100, not_before: { day: 2 } },
		],
	}),
);

const aWayBack = fc.constantFrom(
	{},
	{},
	{ strategy: "gradual", every: "2m" },
	{ strategy: "gradual", stages: [50, 10, 2, 0], every: "1m" },
	{ strategy: "targeted", keys: ["user-1"], segments: ["beta"] },
	{ strategy: "feature" },
	{ strategy: "feature" },
	{ strategy: "version" },
	{ strategy: "full" },
);

export const aPlanOfAny: fc.Arbitrary<Plan> = fc
	.tuple(
		aStrategy,
		fc.record({
			guards: fc.subarray([...GUARDS], { minLength: 1 }),
			rollback: aWayBack,
			holdback: fc.constantFrom(undefined, undefined, 0),
			advance: fc.constantFrom("standard", "relaxed", "strict"),
			sensitivity: fc.constantFrom("standard", "fast"),
			on_control_loss: fc.constantFrom("hold", "retreat"),
			approval_timeout: fc.constantFrom("24h", { after: "10m", policy: "rollback" }, { after: "10m", policy: "advance" }),
			exclude: fc.constantFrom({ keys: [], segments: [] }, { keys: ["user-2"], segments: [] }, { keys: [], segments: ["internal"] }),
			checks: someChecks.map((checks) => checks.map((check) => ({ ...check, name: "all", every: "1h" }))),
		}),
	)
	.map(([strategy, { holdback, ...options }]) => ({
		rollout: "checkout",
		environment: "production",
		flags: FLAGS,
		criteria: ["error_rate < 5%"],
		red_flags: ["error_rate > 10%"],
		baseline_window: "2m",
		...(holdback === undefined ? {} : { holdback }),
		...options,
		...strategy,
	}))
	.map((given) => completePlan(writtenPlan.parse(given), []))
	.filter(({ errors }) => errors.length === 0)
	.map(({ plan }) => storedPlan.parse(plan));

export const KINDS = [
	"healthy",
	"busy",
	"suspicious",
	"harmful",
	"tripled",
	"red_flag",
	"breached",
	"beyond",
	"overload",
	"few",
	"quiet",
	"unattributed",
	"damaged",
	"source_error",
	"silent_candidate",
	"silent_control",
	"broken_split",
] as const;
export type Kind = (typeof KINDS)[number];
/** Whether that lacks something that was to be seen of a rollout that serves so many buckets. */
export function isMissing(kind: Kind, served: number): boolean {
	if (kind === "silent_candidate") return served > 0;
	if (kind === "silent_control") return served < BUCKETS;
	return ["quiet", "unattributed", "damaged", "source_error", "few"].includes(kind);
}

export interface Seen {
	readonly kind: Kind;
	/** Which of the plan's signals it is about. */
	readonly signal: number;
	readonly users: number;
}

export const aSeen: fc.Arbitrary<Seen> = fc.record({
	kind: fc.oneof({ weight: 5, arbitrary: fc.constant("healthy" as const) }, { weight: 4, arbitrary: fc.constantFrom(...KINDS) }),
	signal: fc.nat(9),
	users: fc.integer({ min: 300, max: 5_000 }),
});

/** How often a unit that is harmed in this minute is the candidate's, by the ratio of hazards. */
function harmsOf(signal: string, served: number, ratio: number, units: number): FirstHarms[] {
	const share = served / BUCKETS;
	if (share <= 0 || share >= 1) return [];
	const harmed = Math.round((units * ratio * share) / (1 - share + ratio * share));
	const of = { signal, served, lastControlServed: null } as const;
	return [
		{ ...of, arm: "candidate", units: harmed },
		{ ...of, arm: "control", units: units - harmed },
	];
}

/** What is seen of a rollout where it stands; of its newest ring the same, since nobody else is there. */
export function observationOf(plan: Plan, seen: Seen, state: RolloutState): Observation {
	const observation = observationOfAll(plan, seen, isLive(state) ? servedBy(plan, state) : 0);
	const ring = isLive(state) ? newestRing(plan, state) : undefined;
	if (ring === undefined || observation.kind === "source_error") return observation;
	const { totals, userSums, quantiles, firstHarms } = observation;
	const inRing = <T extends object>(rows: readonly T[]): (T & { ring: number })[] => rows.map((row) => ({ ...row, ring }));
	return {
		...observation,
		totals: inRing(totals),
		userSums: [...userSums, ...inRing(userSums)],
		quantiles: [...quantiles, ...inRing(quantiles)],
		firstHarms: inRing(firstHarms),
	};
}

function observationOfAll(plan: Plan, { kind, signal: nth, users }: Seen, served: number): Observation {
	if (kind === "source_error") return { kind, message: "timeout" };
	const signals = signalKeysOf(plan);
	const { key } = signals[nth % signals.length] ?? { key: "error" };
	const isServed = { candidate: served > 0, control: served < BUCKETS };
	const isSilent = { candidate: kind === "silent_candidate", control: kind === "silent_control" };
	const arms = (["candidate", "control"] as const).filter((arm) => isServed[arm]);
	const rates: Partial<Record<Kind, readonly [candidate: number, control: number]>> = {
		red_flag: [0.3, 0],
		breached: [0.08, 0],
		beyond: [0.055, 0.01],
		overload: [0.4, 0.4],
		busy: [0.01, 0.01],
	};
	const userSums = arms.flatMap((arm): ArmSums[] => {
		const rate = rates[kind]?.[arm === "candidate" ? 0 : 1] ?? 0;
		const of = kind === "few" ? 20 : users;
		return signals.map((each) => {
			const isRate = each.metric.startsWith("error");
			const values = each.metric === "satisfaction" ? { mean: 9, deviation: 1 } : isRate ? {} : { mean: 200, center: 5.3, spread: 0.4 };
			const harmedUsers = isRate ? Math.floor(of * rate) : 0;
			// Enough of the control for a percentile's guard to know what is usual.
			return sumsOf({
				signal: each.key,
				metric: each.metric,
				arm,
				users: of,
				requestsEach: 4,
				harmsEach: 4,
				harmedUsers,
				harmedFirst: harmedUsers,
				...values,
			});
		});
	});
	const totals = arms.filter((arm) => !isSilent[arm]).map((arm) => ({ metric: "error", arm, requests: 100, sum: 0 }));
	const harms: Partial<Record<Kind, FirstHarms[]>> = {
		busy: harmsOf(key, served, 1, 40),
		suspicious: harmsOf(key, served, 2.2, 300),
		harmful: harmsOf(key, served, 2.5, 4_000),
		tripled: harmsOf(key, served, 12, 2_000),
	};
	const split = { served, units: 400, arm: "control" as const };
	const evidence: Evidence = anEvidence({
		totals,
		userSums,
		firstHarms: harms[kind] ?? [],
		firstExposures: kind === "broken_split" && served > 0 ? [split] : [],
		quantiles: arms.map((arm) => quantilesOf({ arm })),
	});
	if (kind === "quiet") return { ...evidence, totals: [] };
	if (kind === "unattributed") return { ...evidence, totals: [{ metric: "error", arm: "unattributed", requests: 100, sum: 0 }] };
	if (kind === "damaged") return { ...evidence, quantiles: [quantilesOf({ p95: Number.NaN })] };
	return evidence;
}
