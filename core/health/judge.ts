import { BUCKETS } from "../flags/bucket";
import { isInPlay, servedBy } from "../rollouts/exposure";
import { BASELINE_PHASE, type Plan, isShadow, newestRing } from "../rollouts/plan";
import { criteriaIn, limitCount } from "../rollouts/planCriteria";
import type { LiveState, Watch } from "../rollouts/state";
import { logEvidence } from "../statistics/evidence";
import { logMeanExp } from "../statistics/special";
import { logSplitBayesFactor } from "../statistics/split";
import { baselineLimits, unmeasured } from "./baseline";
import { type VersusBaseline, type VersusControl, signalKeyOf } from "./criteria";
import { judgeGuard, logEvidenceOf, watchGuard } from "./guard";
import { type Level, levelOf, scoreOfLevel } from "./level";
import { type Arm, type Evidence, isLosing, lostOf, ofAll, ofRing, silentArm, sumsOf, unattributedOf, usersOf } from "./observation";
import { printNumber } from "./print";
import { BREACH_USERS_MIN, type Judged, type Verdict, WARNING_USERS_MIN, isBeyond, judgeLimit } from "./verdict";

const MINUTE_MS = 60_000;
const SPLIT_ALARM = 1_000;

/** What one tick finds: the verdicts, and the evidence behind them. Kept with every event, so a decision can be explained. */
export interface Judgement {
	readonly level: Level;
	/** 0 to 100, by the level and the headroom that limits leave; null when the level is unknown. */
	readonly score: number | null;
	readonly verdicts: readonly Verdict[];
	/** The mean of the guards' E against 1/α; `tripled`: a ratio above three is proven by one guard alone. */
	readonly harm: {
		readonly e: number;
		readonly threshold: number;
		readonly guards: number;
		readonly proven: boolean;
		readonly tripled: boolean;
	};
	/** The smallest risk ratio that this phase could have proven so far, by any guard; null: none. */
	readonly provable: number | null;
	readonly split: { readonly bayesFactor: number; readonly broken: boolean };
	/** The users by whom the phase is judged: where it goes ring by ring, those of the newest. */
	readonly candidate: ArmSummary;
	readonly control: ArmSummary;
	/** Outcomes of the window whose context lacked what rules look at. */
	readonly unattributed: { readonly events: number; readonly of: number };
	/** Outcomes of the window that were measured and did not arrive. */
	readonly lost: { readonly events: number; readonly of: number };
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
	const ring = newestRing(plan, state);
	const all = ofAll(evidence, ring);
	const newest = ofRing(evidence, ring);
	const watch = learn(plan, state, all, newest, now);
	const { guards, baselines, redFlags, phases } = criteriaIn(plan);
	const served = servedBy(plan, state);

	const isDropped = (i: number): boolean => state.dropped.includes(guards[i]?.flag ?? "");
	// What a flag showed that was taken back is no evidence against the others: its share of the mean is nothing.
	const logs = watch.guards.map((each, i) => (isDropped(i) ? -Infinity : logEvidenceOf(each)));
	const guardAlpha = state.alpha / Math.max(1, guards.length);
	const logMean = logs.length > 0 ? logMeanExp(logs) : 0;
	const harm = {
		e: Math.exp(logMean),
		threshold: 1 / state.alpha,
		guards: guards.length,
		proven: logs.length > 0 && logMean >= Math.log(1 / state.alpha),
		tripled: watch.guards.some((guard, i) => !isDropped(i) && logEvidence(guard.tripling) >= Math.log(1 / guardAlpha)),
	};

	const limitAlpha = state.alpha / Math.max(1, limitCount(plan));
	const usersMin = plan.phases[state.phase]?.min_users ?? plan.min_users;
	const criteria = (phases[state.phase] ?? []).map((limit): Judged => ({
		limit,
		role: "criterion",
		signal: signalKeyOf(limit),
		optional: limit.optional,
	}));
	const flags = redFlags.map((limit): Judged => ({ limit, role: "red_flag", signal: signalKeyOf(limit) }));
	const limits = [...baselineLimits(plan, state), ...flags, ...criteria];
	const judgedLimits = limits.map((each): LimitFound => {
		if (each.role === "red_flag") return { limit: each, of: all, verdict: judgeLimit(each, all, WARNING_USERS_MIN, limitAlpha) };
		const found = { limit: each, of: newest, verdict: judgeLimit(each, newest, usersMin, limitAlpha) };
		if (newest === all || found.verdict.status === "breached") return found;
		// Whoever was served before the newest ring is protected as ever.
		const verdict = judgeLimit(each, all, usersMin, limitAlpha);
		return verdict.status === "breached" ? { limit: each, of: all, verdict } : found;
	});
	const judged = [
		...guards.map((guard, i) => {
			const guardWatch = watch.guards[i];
			if (!guardWatch) throw new Error(`no evidence for guard ${guard.text}`);
			if (!isInPlay(plan, state, guard)) return notInPlay(guard);
			return judgeGuard(guard, guardWatch, all, { served, isLast: state.phase + 1 === plan.phases.length }, guardAlpha, newest);
		}),
		...baselines.filter((guard) => !isInPlay(plan, state, guard)).map(notInPlay),
		...unmeasured(plan, state),
		...judgedLimits.map(({ verdict }) => verdict),
	];
	const inPhase = state.phase === BASELINE_PHASE ? judged.map(measuring) : isShadow(plan, state.phase) ? judged.map(comparing) : judged;
	const lost = lostOf(evidence);
	const verdicts = isLosing(lost) ? inPhase.map((each) => lacking(each, lost.events)) : inPhase;
	const breached = new Set(verdicts.filter(({ status }) => status === "breached").map((each) => each.criterion));
	const shared = judgedLimits.flatMap(({ limit: each, of }) => {
		if (!breached.has(each.limit.text)) return [];
		const control = sumsOf(of, each.signal, "control");
		// At the limit itself nothing is wrong with the control: it stands for nobody but itself.
		const strictly = { ...each, limit: { ...each.limit, inclusive: true } };
		const isShared = control !== undefined && control.users.users >= BREACH_USERS_MIN && isBeyond(strictly, of, "control") === true;
		return isShared ? each.limit.text : [];
	});
	const logSplit = watch.exposures.reduce((sum, each) => {
		const share = each.served / BUCKETS;
		return share <= 0 || share >= 1 ? sum : sum + logSplitBayesFactor([each.candidate, each.control], [share, 1 - share]);
	}, 0);

	const signal = guards[0] ? signalKeyOf(guards[0]) : (limits[0]?.signal ?? "error");
	const level = levelOf({ harm, verdicts, candidateUsers: usersOf(all, "candidate"), limits: criteria });
	const provable = verdicts.flatMap((each) => each.provable ?? []);
	return {
		watch,
		judgement: {
			level,
			score: scoreOfLevel(level, criteria, verdicts),
			verdicts,
			harm,
			provable: provable.length > 0 ? Math.min(...provable) : null,
			split: { bayesFactor: Math.exp(Math.min(logSplit, 700)), broken: logSplit >= Math.log(SPLIT_ALARM) },
			candidate: summaryOf(newest, "candidate", signal),
			control: summaryOf(newest, "control", signal),
			unattributed: unattributedOf(evidence),
			lost,
			shared,
		},
	};
}

/** What a limit says, by whose outcomes. */
interface LimitFound {
	readonly limit: Judged;
	readonly of: Evidence;
	readonly verdict: Verdict;
}

/** Nobody is served the candidate yet: there is nothing that could be met, or missing. */
function measuring(verdict: Verdict): Verdict {
	return { ...verdict, status: "not_applicable", value: null, provable: null, message: "the baseline is being measured, at 0 %" };
}

/** What is met by the outcomes that arrived might not be by all of them; what is not met by those is told as ever. */
function lacking(verdict: Verdict, lost: number): Verdict {
	if (verdict.status !== "met") return verdict;
	return { ...verdict, status: "no_data", message: `${verdict.message}; but ${printNumber(lost)} outcomes did not arrive` };
}

/** No user has the candidate's answer: it is held against limits, and no guard can tell who was harmed by it. */
function comparing(verdict: Verdict): Verdict {
	if (verdict.role !== "guard") return verdict;
	return {
		...verdict,
		status: "not_applicable",
		value: null,
		provable: null,
		message: "nobody is served the candidate: answers are compared",
	};
}

/** Of a guard whose flag has not joined yet, or was taken back. */
function notInPlay({ text, flag = "" }: VersusControl | VersusBaseline): Verdict {
	const message = `${flag} is not in the rollout now`;
	return { role: "guard", criterion: text, status: "not_applicable", value: null, control: null, provable: null, message };
}

/**
 * Who must be heard of. At 100 % there is no control, and while the baseline is measured no candidate. Where answers are compared both are
 * asked: of an application that compares only what it found is needed.
 */
export function armsServed(plan: Plan, state: LiveState): readonly Arm[] {
	const phase = plan.phases[state.phase];
	if (phase?.shadow) return phase.shadow_by === "application" ? ["candidate"] : ["candidate", "control"];
	const served = servedBy(plan, state);
	if (served === 0) return ["control"];
	return served < BUCKETS ? ["candidate", "control"] : ["candidate"];
}

function learn(plan: Plan, state: LiveState, evidence: Evidence, newest: Evidence, now: number): Watch {
	const { watch } = state;
	const minutes = Math.max(0, Math.floor((now - watch.appliedAtMs) / MINUTE_MS));
	// Only time that could have shown harm counts: an arm that reports nothing, or too little, shows none.
	const hasData = silentArm(newest, armsServed(plan, state)) === undefined && !isLosing(lostOf(evidence));
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
		// A phase that a person entered while the tick was late begins after it.
		heldMs: watch.heldMs + (hasData ? Math.max(0, now - Math.max(watch.tickedAtMs, state.sinceMs)) : 0),
		ticks: watch.ticks + 1,
		quietTicks: 0,
		failedReads: 0,
		guards: criteriaIn(plan).guards.map((guard, i) => {
			const guardWatch = watch.guards[i];
			if (!guardWatch) throw new Error(`no evidence for guard ${guard.text}`);
			// Both arms are the same users there: no bet could be fair.
			return isShadow(plan, state.phase) ? guardWatch : watchGuard(guard, guardWatch, evidence, minutes, newest);
		}),
		exposures,
		alerting: watch.alerting,
	};
}

function summaryOf(evidence: Evidence, arm: "candidate" | "control", signal: string): ArmSummary {
	const sums = sumsOf(evidence, signal, arm)?.users;
	return {
		users: usersOf(evidence, arm),
		harmedUsers: sums?.harmedUsers ?? 0,
		requests: sums?.requests ?? 0,
		harms: sums?.harms ?? 0,
	};
}
