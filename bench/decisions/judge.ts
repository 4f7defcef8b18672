import { criteriaIn } from "../../core/rollouts/planCriteria";
import { type Plan, storedPlan } from "../../core/rollouts/plan";
import { signalsOf } from "../../core/health/signals";
import { startGuard, watchGuard } from "../../core/health/guard";
import type { Arm, ArmSums, Evidence, FirstExposures, FirstHarms } from "../../core/health/observation";
import { decide } from "../../core/rollouts/decide";
import type { Decision } from "../../core/rollouts/decision";
import { type RolloutState, isLive } from "../../core/rollouts/state";
import { FIRST_LAUNCH, started } from "../../core/rollouts/transitions";
import { logEvidence } from "../../core/statistics/evidence";

/** All that bench:decisions imports of the product: a change of its shapes fails here, in the type check. */

export { servedIn } from "../../core/rollouts/plan";
export { logDoublingRuledOut, startDoubling, updateDoubling } from "../../core/statistics/doubling";
export { halfWidthOneSided } from "../../core/statistics/sequences";

const ARMS: readonly Arm[] = ["candidate", "control"];
const MINUTE_MS = 60_000;

/** What one minute adds, and what the stage has seen by its end. */
export interface Minute {
	/** Buckets that were served the candidate. */
	readonly served: number;
	readonly arms: Readonly<Record<Arm, MinuteOfArm>>;
	/** By stratum, where there is more than "never harmed before". */
	readonly strata?: readonly Omit<FirstHarms, "signal">[];
	readonly exposures?: readonly FirstExposures[];
}

interface MinuteOfArm {
	readonly requests: number;
	readonly harms: number;
	/** Units counted at first harm. */
	readonly firstHarms: number;
	/** In this stage so far. */
	readonly users: number;
	readonly harmedUsers: number;
}

export function aPlan(change: Record<string, unknown> = {}): Plan {
	return storedPlan.parse({
		rollout: "bench",
		environment: "production",
		flags: ["bench"],
		phases: [5, 20, 50, 100].map((percent) => ({ percent, hold: "7d" })),
		guards: ["error_rate vs control <= +0%"],
		...change,
	});
}

/** As a metrics store would tell a minute; no plan here that is judged by it has limits, so only they could miss the sums of squares. */
export function evidenceOf({ served, arms, strata, exposures = [] }: Minute): Evidence {
	return {
		kind: "evidence",
		watermark: "",
		totals: ARMS.map((arm) => ({ metric: "error", arm, requests: arms[arm].requests, sum: arms[arm].harms })),
		firstHarms: strata
			? strata.map((stratum) => ({ signal: "error", ...stratum }))
			: ARMS.map((arm) => ({ signal: "error", arm, served, lastControlServed: null, units: arms[arm].firstHarms })),
		userSums: ARMS.map((arm) => userSums("error", "error", arm, arms[arm].users, arms[arm].harmedUsers)),
		firstExposures: exposures,
		scored: [],
		quantiles: [],
	};
}

/** Of users with one request each. */
function userSums(signal: string, metric: string, arm: Arm, users: number, harmedUsers: number, mean = 0): ArmSums {
	const sums = { users, sumOfMeans: users * mean, sumOfSquaredMeans: users * mean ** 2 * 1.5 };
	return {
		signal,
		metric,
		arm,
		users: {
			users,
			harmedUsers,
			requests: users,
			harms: harmedUsers,
			harmsSquared: harmedUsers,
			harmsTimesRequests: harmedUsers,
			requestsSquared: users,
		},
		means: sums,
		totals: sums,
		logs: { users, sumOfMeans: users * Math.log(mean || 1), sumOfSquaredMeans: users * (Math.log(mean || 1) ** 2 + 0.25) },
		harmedFirst: harmedUsers,
	};
}

/** What of `decide` rolls back for harm, in the first phase, and nothing else: a quarter of its cost. Says whether harm is proven. */
export function watchHarm(of: Plan): (minute: Minute) => boolean {
	const [guard] = criteriaIn(of).guards;
	if (!guard) throw new Error("a plan without a guard");
	const proof = Math.log(1 / started(of, FIRST_LAUNCH, 0).alpha);
	let watch = startGuard(guard);
	return (minute) => {
		watch = watchGuard(guard, watch, evidenceOf(minute), 1);
		return logEvidence(watch.harm) >= proof || logEvidence(watch.tripling) >= proof;
	};
}

/** The engine itself, a tick a minute. */
export function startRollout(of: Plan): { readonly state: () => RolloutState; tick(evidence: Evidence): Decision } {
	let state: RolloutState = started(of, FIRST_LAUNCH, 0);
	let now = 0;
	return {
		state: () => state,
		tick(evidence) {
			const decision = decide(of, state, evidence, (now += MINUTE_MS));
			if (decision.kind !== "none") ({ state } = decision);
			return decision;
		},
	};
}

/** Three guards, one of them on a percentile, four criteria, and a minute of the second phase, so that first harms have two strata. */
export function aRolloutToJudge(poisson: (mean: number) => number): () => Decision {
	const plan = aPlan({
		phases: [5, 20, 100].map((percent) => ({
			percent,
			hold: "0s",
			criteria: ["error_rate < 3%", "fallback_rate < 5%", "latency_ms p95 < 900", "satisfaction mean > 6"],
		})),
		guards: ["error_rate vs control <= +25%", "fallback_rate vs control <= +25%", "latency_ms p95 vs control <= +20%"],
		advance: "relaxed",
	});
	const metrics = ["error", "fallback", "latency_ms", "satisfaction"];
	const means: Readonly<Record<string, number>> = { latency_ms: 180, satisfaction: 8 };
	let users = { candidate: 0, control: 0 };
	let lastControlServed: number | null = null;
	let state: RolloutState = started(plan, FIRST_LAUNCH, 0);
	const minute = (served: number): Evidence => {
		const came = { candidate: poisson(served / 100), control: poisson(1_000 - served / 100) };
		users = { candidate: users.candidate + came.candidate, control: users.control + came.control };
		const last = lastControlServed === null ? [null] : [null, lastControlServed];
		const signals = signalsOf(plan, state);
		return {
			kind: "evidence",
			watermark: "",
			totals: metrics.flatMap((metric) => ARMS.map((arm) => ({ metric, arm, requests: came[arm], sum: came[arm] * (means[metric] ?? 0) }))),
			firstHarms: signals.flatMap(({ key: signal, harm }) =>
				harm === null
					? []
					: last.flatMap((share) =>
							ARMS.map((arm) => ({ signal, arm, served, lastControlServed: share, units: poisson(came[arm] / 100) })),
						),
			),
			userSums: signals.flatMap(({ key, metric }) =>
				ARMS.map((arm) => userSums(key, metric, arm, users[arm], Math.round(users[arm] / 100), means[metric])),
			),
			firstExposures: ARMS.map((arm) => ({ arm, served, units: came[arm] })),
			scored: ARMS.flatMap((arm) =>
				[-1, -0.5, 0, 0.5, 1].map((score) => ({ signal: signals.at(2)?.key ?? "", arm, served, score, units: poisson(came[arm] / 50) })),
			),
			quantiles: ARMS.map((arm) => ({ metric: "latency_ms", arm, p50: 180, p75: 250, p90: 350, p95: 480, p99: 900 })),
		};
	};
	let now = 0;
	const stage = () => (isLive(state) ? state.stage : 0);
	while (stage() === 1) {
		const decision = decide(plan, state, minute(5_000), (now += MINUTE_MS));
		if (decision.kind !== "none") ({ state } = decision);
		if (now > 10_000 * MINUTE_MS) throw new Error("the first phase does not end");
	}
	if (stage() !== 2) throw new Error(`a ${state.status} rollout in stage ${stage()}`);
	users = { candidate: 0, control: 0 };
	lastControlServed = 5_000;
	const evidence = minute(20_000);
	return () => decide(plan, state, evidence, now + MINUTE_MS);
}
