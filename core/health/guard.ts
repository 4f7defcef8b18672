import { BUCKETS } from "../flags/bucket";
import type { GuardWatch } from "../rollouts/state";
import { logDoublingRuledOut, startDoubling, updateDoubling } from "../statistics/doubling";
import { type Stratum, logEvidence, placeBets, shareOfCandidate, startBets } from "../statistics/evidence";
import type { VersusControl } from "./criteria";
import { type Arm, type Evidence, sumsOf } from "./observation";
import { printNumber } from "./print";
import { BREACH_USERS_MIN, type Verdict, WARNING_USERS_MIN } from "./verdict";

/** A ratio of hazards that is a failure, not only harm. */
const TRIPLING = 3;
/** With more of control's units harmed than this, hardly any is left to be counted: evidence stands still. */
const SATURATION = 0.7;
const DOUBLING_RULED_OUT = 10;
/** No harm among 300 users: below 1 % with 95 % confidence (the rule of three). */
const HARMLESS_USERS_MIN = 300;

export function startGuard(guard: VersusControl): GuardWatch {
	const bets = (ratio: number) => {
		const started = startBets(ratio);
		return { ...started, stakes: [...started.stakes] };
	};
	return {
		harm: bets(guard.toleratedRatio),
		tripling: bets(Math.max(TRIPLING, guard.toleratedRatio)),
		...startPhase(),
	};
}

/** Evidence of harm goes on through the phases; evidence of safety is each phase's own. */
export function restartGuard(watch: GuardWatch): GuardWatch {
	return { harm: watch.harm, tripling: watch.tripling, ...startPhase() };
}

function startPhase() {
	return {
		doubling: [...startDoubling()],
		harmed: 0,
		units: 0,
		candidateWeight: 0,
		controlWeight: 0,
		harmedShare: 0,
		controlHarmedShare: 0,
	};
}

/** The window's first harms of one metric by stratum, with the share that each has by design. */
export function strataOf(evidence: Evidence, metric: VersusControl["metric"]): Stratum[] {
	const strata = new Map<string, { harmed: number; units: number; readonly share: number }>();
	for (const row of evidence.firstHarms) {
		if (row.metric !== metric) continue;
		const served = row.served / BUCKETS;
		const share = shareOfCandidate(served, 1 - served, row.lastControlServed === null ? undefined : row.lastControlServed / BUCKETS);
		const key = `${row.served}/${row.lastControlServed ?? "never"}`;
		const stratum = strata.get(key) ?? { harmed: 0, units: 0, share };
		stratum.units += row.units;
		if (row.arm === "candidate") stratum.harmed += row.units;
		strata.set(key, stratum);
	}
	return [...strata.values()];
}

/** One tick of one guard. `minutes` have passed since the last applied one. */
export function watchGuard(guard: VersusControl, watch: GuardWatch, evidence: Evidence, minutes: number): GuardWatch {
	const shares = { harmedShare: shareHarmed(evidence, guard, "candidate"), controlHarmedShare: shareHarmed(evidence, guard, "control") };
	if (isSaturated(watch)) return { ...watch, ...shares };
	const strata = strataOf(evidence, guard.metric);
	const counted = strata.filter(({ share }) => share > 0 && share < 1);
	const add = (of: (stratum: Stratum) => number): number => counted.reduce((sum, stratum) => sum + of(stratum), 0);
	const placed = (bets: GuardWatch["harm"]) => {
		const next = placeBets(bets, minutes, strata);
		return { ...next, stakes: [...next.stakes] };
	};
	return {
		harm: placed(watch.harm),
		tripling: placed(watch.tripling),
		doubling: [...updateDoubling(watch.doubling, strata, watch.harmedShare)],
		harmed: watch.harmed + add(({ harmed }) => harmed),
		units: watch.units + add(({ units }) => units),
		candidateWeight: watch.candidateWeight + add(({ harmed, share }) => harmed * (1 - share)),
		controlWeight: watch.controlWeight + add(({ harmed, units, share }) => (units - harmed) * share),
		...shares,
	};
}

/** By what was known before the tick: a decision that looked at the window it drops would no longer bet fairly. */
function isSaturated(watch: GuardWatch): boolean {
	return watch.controlHarmedShare > SATURATION;
}

/** Of the users seen in this stage; 0 as long as there are too few to tell. */
function shareHarmed(evidence: Evidence, guard: VersusControl, arm: Arm): number {
	const { users = 0, harmedUsers = 0 } = sumsOf(evidence, guard.metric, arm)?.users ?? {};
	return users >= BREACH_USERS_MIN || arm === "candidate" ? harmedUsers / Math.max(1, users) : 0;
}

/** The phase's ratio of hazards over the strata; Infinity with harm in the candidate alone, null with none at all. */
export function ratioOf(watch: GuardWatch): number | null {
	if (watch.units === 0) return null;
	return watch.controlWeight === 0 ? Infinity : watch.candidateWeight / watch.controlWeight;
}

/** Why a doubling is not ruled out yet; undefined when it is. */
export function doublingLeft(guard: VersusControl, watch: GuardWatch, evidence: Evidence): string | undefined {
	const { users = 0, harmedUsers = 0 } = sumsOf(evidence, guard.metric, "candidate")?.users ?? {};
	if (watch.units === 0 && harmedUsers === 0) {
		// Nothing to double, so no ratio to test: what is left is that a harm of its own would have shown.
		if (users >= HARMLESS_USERS_MIN) return undefined;
		return `${guard.metric}: no harm yet among ${printNumber(users)} users < ${HARMLESS_USERS_MIN}, too few to rule any out`;
	}
	const m = Math.exp(logDoublingRuledOut(watch.doubling));
	return m >= DOUBLING_RULED_OUT
		? undefined
		: `${guard.metric}: a doubling is not ruled out, M = ${printNumber(m)} < ${DOUBLING_RULED_OUT}`;
}

/** `proof` is ln(m/α): what a single guard needs to prove harm alone. */
export function judgeGuard(
	guard: VersusControl,
	watch: GuardWatch,
	evidence: Evidence,
	phase: { readonly served: number; readonly isLast: boolean },
	proof: number,
): Verdict {
	const candidate = sumsOf(evidence, guard.metric, "candidate")?.users;
	const control = sumsOf(evidence, guard.metric, "control")?.users;
	const ratio = ratioOf(watch);
	const say = (status: Verdict["status"], message: string): Verdict => ({
		role: "guard",
		criterion: guard.text,
		status,
		value: ratio === Infinity ? null : ratio,
		control: null,
		message,
	});
	if (phase.served >= BUCKETS) return say("not_applicable", "everybody is served the candidate: there is no control");
	if (!candidate || !control) return say("no_data", `${guard.metric} was not reported by ${candidate ? "the control" : "the candidate"}`);
	const counts =
		`harmed users ${printNumber(candidate.harmedUsers)} of ${printNumber(candidate.users)}` +
		` vs ${printNumber(control.harmedUsers)} of ${printNumber(control.users)}`;
	if (isSaturated(watch)) return say("saturated", `${counts}: above ${SATURATION * 100} % of control is harmed, evidence stands still`);
	const logE = logEvidence(watch.harm);
	const e = `${counts}: E = ${printNumber(Math.exp(logE))}`;
	if (logE >= proof) return say("breached", e);
	if (ratio !== null && ratio > guard.toleratedRatio) {
		const estimate = `${e}, ratio ${printNumber(ratio)} > ${printNumber(guard.toleratedRatio)}`;
		// At the end the ratio to the few users held back is mostly luck: the evidence alone counts.
		if (phase.isLast) return say("met", estimate);
		return candidate.users >= WARNING_USERS_MIN ? say("beyond", estimate) : say("insufficient", estimate);
	}
	return say("met", e);
}
