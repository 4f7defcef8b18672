import { BUCKETS } from "../flags/bucket";
import { type Plan, criteriaOf, guardsOf, limitCount, redFlagsOf, servedIn } from "../rollouts/plan";
import { servedBy } from "../rollouts/exposure";
import type { LiveState, Watch } from "../rollouts/state";
import { logEvidence } from "../statistics/evidence";
import { logMeanExp } from "../statistics/special";
import { logSplitBayesFactor } from "../statistics/split";
import type { Limit } from "./criteria";
import { judgeGuard, watchGuard } from "./guard";
import { type Level, levelOf } from "./level";
import { type Arm, type Evidence, silentArm, sumsOf, unattributedOf, usersOf } from "./observation";
import { BREACH_USERS_MIN, type Verdict, WARNING_USERS_MIN, estimateOf, judgeLimit } from "./verdict";

const MINUTE_MS = 60_000;
const SPLIT_ALARM = 1_000;

/** What one tick finds: the verdicts, and the evidence behind them. Kept with every event, so a decision can be explained. */
export interface Judgement {
	readonly level: Level;
	readonly verdicts: readonly Verdict[];
	/** The mean of the guards' E against 1/α; `tripled`: a ratio above three is proven by one guard alone. */
	readonly harm: {
		readonly e: number;
		readonly threshold: number;
		readonly guards: number;
		readonly proven: boolean;
		readonly tripled: boolean;
	};
	readonly split: { readonly bayesFactor: number; readonly broken: boolean };
	readonly candidate: ArmSummary;
	readonly control: ArmSummary;
	/** Outcomes of the window whose context lacked what rules look at. */
	readonly unattributed: { readonly events: number; readonly of: number };
	/** Limits that the candidate breaches and the control's point estimate too: the variant is not to blame for them. */
	readonly shared: readonly string[];
}

export interface ArmSummary {
	readonly users: number;
	readonly harmedUsers: number;
	readonly requests: number;
	readonly harms: number;
}

/** Adds a window's evidence to what is known, and judges. Pure: the same evidence at the same `now` finds the same. */
export function judge(
	plan: Plan,
	state: LiveState,
	evidence: Evidence,
	now: number,
): { readonly watch: Watch; readonly judgement: Judgement } {
	const watch = learn(plan, state, evidence, now);
	const guards = guardsOf(plan);
	const criteria = criteriaOf(plan, state.phase);
	const redFlags = redFlagsOf(plan);
	const served = servedBy(plan, state);

	const logs = watch.guards.map((guard) => logEvidence(guard.harm));
	const proof = Math.log(Math.max(1, guards.length) / state.alpha);
	const logMean = logs.length > 0 ? logMeanExp(logs) : 0;
	const harm = {
		e: Math.exp(logMean),
		threshold: 1 / state.alpha,
		guards: guards.length,
		proven: logs.length > 0 && logMean >= Math.log(1 / state.alpha),
		tripled: watch.guards.some((guard) => logEvidence(guard.tripling) >= proof),
	};

	const limitAlpha = state.alpha / Math.max(1, limitCount(plan));
	const usersMin = plan.phases[state.phase]?.min_users ?? plan.min_users;
	const limit = (role: "criterion" | "red_flag") => (each: Limit) => {
		const arms = { candidate: sumsOf(evidence, each.metric, "candidate"), control: sumsOf(evidence, each.metric, "control") };
		return judgeLimit(each, role, arms, role === "criterion" ? usersMin : WARNING_USERS_MIN, limitAlpha);
	};
	const verdicts = [
		...guards.map((guard, i) => {
			const guardWatch = watch.guards[i];
			if (!guardWatch) throw new Error(`no evidence for guard ${guard.text}`);
			return judgeGuard(guard, guardWatch, evidence, { served, isLast: state.phase + 1 === plan.phases.length }, proof);
		}),
		...redFlags.map(limit("red_flag")),
		...criteria.map(limit("criterion")),
	];
	const shared = [...redFlags, ...criteria].filter((each) => {
		const isBreached = verdicts.some((verdict) => verdict.criterion === each.text && verdict.status === "breached");
		const sums = sumsOf(evidence, each.metric, "control");
		const control = sums && sums.users.users >= BREACH_USERS_MIN ? estimateOf(each, sums) : null;
		return isBreached && control !== null && (each.bad === "above" ? control > each.limit : control < each.limit);
	});
	const logSplit = watch.exposures.reduce((sum, each) => {
		const share = each.served / BUCKETS;
		return share <= 0 || share >= 1 ? sum : sum + logSplitBayesFactor([each.candidate, each.control], [share, 1 - share]);
	}, 0);

	const metric = guards[0]?.metric ?? "error";
	return {
		watch,
		judgement: {
			level: levelOf({ harm, verdicts, candidateUsers: usersOf(evidence, "candidate"), limits: criteria }),
			verdicts,
			harm,
			split: { bayesFactor: Math.exp(Math.min(logSplit, 700)), broken: logSplit >= Math.log(SPLIT_ALARM) },
			candidate: summaryOf(evidence, "candidate", metric),
			control: summaryOf(evidence, "control", metric),
			unattributed: unattributedOf(evidence),
			shared: shared.map((each) => each.text),
		},
	};
}

/** At 100 % there is no control. */
export function armsServed(plan: Plan, phase: number): readonly Arm[] {
	return servedIn(plan, phase) < BUCKETS ? ["candidate", "control"] : ["candidate"];
}

function learn(plan: Plan, state: LiveState, evidence: Evidence, now: number): Watch {
	const { watch } = state;
	const minutes = Math.max(0, Math.floor((now - watch.appliedAtMs) / MINUTE_MS));
	// Only time that could have shown harm counts: an arm that reports nothing shows none.
	const hasData = silentArm(evidence, armsServed(plan, state.phase)) === undefined;
	const exposures = watch.exposures.map((each) => ({ ...each }));
	for (const { arm, served, units } of evidence.firstExposures) {
		let stratum = exposures.find((each) => each.served === served);
		if (!stratum) exposures.push((stratum = { served, candidate: 0, control: 0 }));
		stratum[arm] += units;
	}
	return {
		watermark: evidence.watermark,
		tickedAtMs: now,
		appliedAtMs: watch.appliedAtMs + minutes * MINUTE_MS,
		heldMs: watch.heldMs + (hasData ? now - Math.max(watch.tickedAtMs, state.sinceMs) : 0),
		ticks: watch.ticks + 1,
		quietTicks: 0,
		failedReads: 0,
		guards: guardsOf(plan).map((guard, i) => {
			const guardWatch = watch.guards[i];
			if (!guardWatch) throw new Error(`no evidence for guard ${guard.text}`);
			return watchGuard(guard, guardWatch, evidence, minutes);
		}),
		exposures,
	};
}

function summaryOf(evidence: Evidence, arm: "candidate" | "control", metric: Limit["metric"]): ArmSummary {
	const sums = sumsOf(evidence, metric, arm)?.users;
	return {
		users: usersOf(evidence, arm),
		harmedUsers: sums?.harmedUsers ?? 0,
		requests: sums?.requests ?? 0,
		harms: sums?.harms ?? 0,
	};
}
