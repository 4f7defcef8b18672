import type { VersusControl } from "../../../core/health/criteria";
import type { ArmQuantiles, ArmSums, Evidence } from "../../../core/health/observation";
import { startGuard } from "../../../core/health/guard";
import { type Plan, storedPlan } from "../../../core/rollouts/plan";
import { criteriaIn } from "../../../core/rollouts/planCriteria";
import type { GuardWatch, LiveState, RolloutState } from "../../../core/rollouts/state";
import { FIRST_LAUNCH, started } from "../../../core/rollouts/transitions";

export const MINUTE_MS = 60_000;
/** When aState was last ticked; the tick under test comes a minute later. */
export const LAST_TICK_MS = 100 * MINUTE_MS;
export const NOW_MS = LAST_TICK_MS + MINUTE_MS;

/** Valid by default; a test changes one field. Phases of 5, 20 and 100 %, the last with 5 % held back. */
export function aPlan(change: Record<string, unknown> = {}): Plan {
	return storedPlan.parse(planInput(change));
}

export function planInput(change: Record<string, unknown> = {}): Record<string, unknown> {
	return {
		rollout: "checkout",
		environment: "production",
		flags: ["checkout"],
		phases: [aPhase({ percent: 5 }), aPhase({ percent: 20 }), aPhase({ percent: 100 })],
		guards: ["error_rate vs control <= +25%"],
		red_flags: ["error_rate > 10%"],
		...change,
	};
}

export function aPhase(change: Record<string, unknown> = {}): Record<string, unknown> {
	return { percent: 5, hold: "10m", criteria: ["error_rate < 3%"], ...change };
}

/** As parsed from "error_rate vs control <= +25%". */
export function aGuard(change: Partial<VersusControl> = {}): VersusControl {
	return {
		kind: "versus_control",
		text: "error_rate vs control <= +25%",
		metric: "error",
		aggregate: "rate",
		bad: "above",
		unit: "",
		margin: 0.25,
		...change,
	};
}

/** As parsed from "latency_ms p95 vs control <= +20%". */
export function aLatencyGuard(change: Partial<VersusControl> = {}): VersusControl {
	const text = "latency_ms p95 vs control <= +20%";
	return aGuard({ text, metric: "latency_ms", aggregate: "p95", unit: "ms", margin: 0.2, ...change });
}

/** Nothing but the wanted E: the reserve is as at the start, the rest lies on the smallest ratio. */
export function betsOf(e: number, toleratedRatio = 1.25): GuardWatch["harm"] {
	const { harm } = startGuard(aGuard({ margin: toleratedRatio - 1 }));
	return { ...harm, stakes: harm.stakes.map((_, i) => (i === 0 ? e - harm.reserve : 0)) };
}

/** A guard that has seen a healthy phase: E = 1, 10 of 200 first harms in the candidate, a doubling is ruled out. */
export function aGuardWatch(change: Partial<GuardWatch> & { readonly e?: number; readonly triplingE?: number } = {}): GuardWatch {
	const { e = 1, triplingE = 1, ...rest } = change;
	return {
		harm: betsOf(e),
		tripling: betsOf(triplingE, 3),
		doubling: [5, 5, 5, 5],
		harmed: 10,
		units: 200,
		candidateWeight: 9.5,
		controlWeight: 9.5,
		harmedShare: 0.01,
		controlHarmedShare: 0.01,
		score: null,
		frozen: null,
		...rest,
	};
}

type StateChange = Partial<Omit<LiveState, "watch">> & {
	readonly watch?: Partial<LiveState["watch"]>;
	readonly guard?: Parameters<typeof aGuardWatch>[0];
};

/** Running in the first phase, its hold served: with anEvidence() it advances. */
export function aState(change: StateChange = {}, of: Plan = aPlan()): LiveState {
	const { watch, guard, ...rest } = change;
	const fresh = started(of, FIRST_LAUNCH, 0);
	return {
		...fresh,
		sinceMs: LAST_TICK_MS - 10 * MINUTE_MS,
		...rest,
		watch: {
			...fresh.watch,
			watermark: "41",
			tickedAtMs: LAST_TICK_MS,
			appliedAtMs: LAST_TICK_MS,
			heldMs: 10 * MINUTE_MS,
			ticks: 10,
			guards: criteriaIn(of).guards.map(() => aGuardWatch(guard)),
			...watch,
		},
	} as LiveState;
}

/** Of the second phase, so that there is a phase to step back to. */
export function aSecondPhase(change: StateChange = {}, of: Plan = aPlan()): LiveState {
	return aState({ phase: 1, stage: 2, before: { stage: 1, served: 5_000, sinceMs: 0 }, ...change }, of);
}

export function pausedState(change: StateChange = {}): LiveState {
	return { ...aState(change), status: "paused", pausedAtMs: 0, by: "anna", reason: "lunch" };
}

export const ENDED: readonly RolloutState[] = [
	{ status: "rolled_back", atMs: 1, fromPhase: 0, by: "anna", reason: "harm" },
	{ status: "completed", atMs: 1, by: "anna" },
	{ status: "cancelled", atMs: 1, by: "anna", reason: "not needed" },
];

interface Users {
	readonly signal?: string;
	/** The signal's, where it is no other: a rate's signal is its metric. */
	readonly metric?: string;
	readonly arm?: "candidate" | "control";
	readonly users?: number;
	readonly harmedUsers?: number;
	/** Of every user. */
	readonly requestsEach?: number;
	/** Of every harmed user. */
	readonly harmsEach?: number;
	readonly harmedFirst?: number;
	/** Of the users' means. */
	readonly mean?: number;
	readonly deviation?: number;
	/** Of the users' mean logarithms. */
	readonly center?: number;
	readonly spread?: number;
}

/** The sums of users who are all alike, apart from being harmed or not. */
export function sumsOf(of: Users = {}): ArmSums {
	const { metric = "error", arm = "candidate", users = 500, harmedUsers = 5, requestsEach = 2, harmsEach = 1, harmedFirst = 0 } = of;
	const { signal = metric, mean = (harmedUsers * harmsEach) / requestsEach / users, deviation = 0, center = 0, spread = 0 } = of;
	const scattered = (each: number, by: number): ArmSums["means"] => ({
		users,
		sumOfMeans: users * each,
		sumOfSquaredMeans: users * (each ** 2 + by ** 2),
	});
	return {
		signal,
		metric,
		arm,
		users: {
			users,
			harmedUsers,
			requests: users * requestsEach,
			harms: harmedUsers * harmsEach,
			harmsSquared: harmedUsers * harmsEach ** 2,
			harmsTimesRequests: harmedUsers * harmsEach * requestsEach,
			requestsSquared: users * requestsEach ** 2,
		},
		harmedFirst,
		means: scattered(mean, deviation),
		totals: scattered(mean * requestsEach, deviation * requestsEach),
		logs: scattered(center, spread),
	};
}

/** An arm's requests, the percentiles so much above the median as those of real latencies are. */
export function quantilesOf(change: Partial<ArmQuantiles> = {}): ArmQuantiles {
	return { metric: "latency_ms", arm: "control", p50: 200, p75: 300, p90: 500, p95: 800, p99: 2_000, ...change };
}

/** A minute in which both arms reported and nobody was harmed for the first time; half a percent of the phase's requests failed. */
export function anEvidence(
	change: Partial<Evidence> & { readonly candidate?: Users; readonly control?: Users; readonly more?: readonly ArmSums[] } = {},
): Evidence {
	const { candidate, control, more = [], ...rest } = change;
	return {
		kind: "evidence",
		watermark: "42",
		totals: [
			{ metric: "error", arm: "candidate", requests: 10, sum: 0 },
			{ metric: "error", arm: "control", requests: 190, sum: 0 },
		],
		firstHarms: [],
		userSums: [sumsOf({ ...candidate }), sumsOf({ arm: "control", users: 9_500, harmedUsers: 95, ...control }), ...more],
		firstExposures: [],
		scored: [],
		quantiles: [],
		...rest,
	};
}
