import { NOBODY_ASKED, VERIFIED_WITHIN_MS, afterAttempt, missingOf, nextStep } from "../../core/rollouts/verification";
import { log, nameOf } from "../log";
import type { StepCaller } from "../notify/stepCaller";
import type { Database } from "../store/database";
import { type ServingEdge, markSafe, servingEdges } from "../store/edges";
import { type Followed, type Settled, claimSteps, listDue, recordSteps, settleRollbacks } from "../store/rollbacks";

export interface Verifying {
	readonly db: Database;
	readonly steps: StepCaller;
	readonly realNow: () => number;
	/** Whether the plan's critical checks pass now. */
	readonly passes?: (followed: Followed) => Promise<boolean>;
}

const FOLLOWED_MAX = 2_000;
/** With steps, or checks, a tick. */
const LOOKED_AT_MAX = 20;
const AT_ONCE = 4;
/** With the last request's time-out of 10 s all of it takes 20 s. */
const STARTED_WITHIN_MS = 10_000;
/** Longer than a request and its record can take: then whoever carries the steps out is gone. */
const LEASE_MS = 60_000;

/**
 * Follows the ways back that were taken until their users are known to be safe: every edge that serves has heard of them, their steps
 * are carried out, their checks pass. A step is recorded before the next begins: whoever dies in between leaves one
 * that is carried out again, under the same key.
 */
export async function verify(given: Verifying, now: number): Promise<void> {
	const { db, realNow } = given;
	const startedAtMs = realNow();
	await markSafe(db, startedAtMs);
	const due = await listDue(db, startedAtMs, FOLLOWED_MAX);
	if (due.length === 0) return;
	const isUnderWay = (followed: Followed): boolean =>
		followed.failure === null && nextStep(followed.steps, followed.results).kind === "run";
	const [stepping, others] = [due.filter(isUnderWay), due.filter((each) => !isUnderWay(each))];
	const carriedOut = await inLanes(stepping.slice(0, LOOKED_AT_MAX), (followed) => carryOut(given, followed, startedAtMs));
	const unserved = stepping.slice(LOOKED_AT_MAX);
	const left = [...others, ...carriedOut.flatMap((each) => each ?? []), ...unserved];
	const { passing, unchecked } = await checked(given, left);
	const waiting = new Set([...unserved, ...unchecked]);
	const standing = { edges: await servingEdges(db, startedAtMs), passing, waiting, now: realNow() };
	const settled = left.flatMap((followed) => settle(followed, standing) ?? []);
	await settleRollbacks(db, toldOnce(settled), now, realNow());
}

/** The steps that are due; undefined: somebody else carries them out, or it is not known how far they are. */
async function carryOut(given: Verifying, followed: Followed, startedAtMs: number): Promise<Followed | undefined> {
	const { db, steps, realNow } = given;
	const { rollout, revision, environment, trigger } = followed;
	try {
		if (!(await claimSteps(db, followed, realNow() + LEASE_MS))) return undefined;
		let { results, dueAtMs } = followed;
		for (;;) {
			const next = nextStep(followed.steps, results);
			const isLate = realNow() - startedAtMs >= STARTED_WITHIN_MS;
			if (next.kind !== "run" || dueAtMs > realNow() || isLate) break;
			const [step, at] = [next.step.name, next.attempts > 0 ? results.length - 1 : results.length];
			// oxlint-disable-next-line no-await-in-loop -- one after the other is what was asked for
			const outcome = await steps.call(next.step, `${rollout}/${revision}/${at}`, {
				rollout,
				revision,
				environment,
				reason: trigger,
				step,
			});
			({ results, dueAtMs } = afterAttempt(next, results, outcome, `${rollout}/${revision}`, realNow()));
			const { status, error } = results.at(-1) ?? {};
			if (status !== "done") log("rollback_step_failed", { rollout, revision, step, status, error });
			// oxlint-disable-next-line no-await-in-loop -- see above
			await recordSteps(db, followed, results, realNow() + LEASE_MS);
		}
		await recordSteps(db, followed, results, dueAtMs);
		return { ...followed, results, dueAtMs };
	} catch (error) {
		// Its lease ends, and the step whose result was not kept is carried out again.
		log("rollback_steps_failed", { rollout, revision, error: nameOf(error) });
		return undefined;
	}
}

interface Checked {
	readonly passing: ReadonlySet<Followed>;
	/** Left for the next tick. */
	readonly unchecked: readonly Followed[];
}

/**
 * Those whose checks pass: of plans without any all, of the others those that lack nothing else and whose turn it is. What cannot be
 * checked does not pass, and is looked at again.
 */
async function checked({ passes }: Verifying, followed: readonly Followed[]): Promise<Checked> {
	if (!passes) return { passing: new Set(followed), unchecked: [] };
	const asking = followed.filter(({ hasChecks }) => hasChecks);
	const ready = asking.filter((each) => each.edgeSafeAtMs !== null && nextStep(each.steps, each.results).kind === "done");
	const found = await inLanes(ready.slice(0, LOOKED_AT_MAX), async (each) => {
		try {
			return (await passes(each)) ? each : undefined;
		} catch (error) {
			log("rollback_not_checked", { rollout: each.rollout, error: nameOf(error) });
			return undefined;
		}
	});
	const free = followed.filter(({ hasChecks }) => !hasChecks);
	return { passing: new Set([...free, ...found.filter((each) => each !== undefined)]), unchecked: ready.slice(LOOKED_AT_MAX) };
}

interface Standing {
	readonly edges: readonly ServingEdge[];
	readonly passing: ReadonlySet<Followed>;
	/** Nothing is wrong with them but that others came first. */
	readonly waiting: ReadonlySet<Followed>;
	readonly now: number;
}

/** undefined: it is followed on. */
function settle(followed: Followed, { edges, passing: passed, waiting, now }: Standing): Settled | undefined {
	const { edgeSafeAtMs, sinceMs, failure } = followed;
	const next = nextStep(followed.steps, followed.results);
	const isEdgeSafe = edgeSafeAtMs !== null;
	const isLate = now - sinceMs >= VERIFIED_WITHIN_MS;
	if (failure !== null) return isEdgeSafe || isLate ? { followed, failure, goesOn: false, alert: null } : undefined;
	if (next.kind === "failed") {
		const { step, error, attempts } = next.result;
		const message = `step ${step} after the rollback failed, attempts: ${attempts}: ${error ?? ""}; those after it were not carried out`;
		const alert = { severity: "page" as const, kind: "rollback_step_failed" as const, message };
		return { followed, failure: message, goesOn: !isEdgeSafe && !isLate, alert };
	}
	if (isEdgeSafe && next.kind === "done" && passed.has(followed)) return { followed, failure: null, goesOn: false, alert: null };
	if (!isLate || (isEdgeSafe && waiting.has(followed))) return undefined;
	const behind = edges.filter(({ revision }) => revision < followed.headRevision).length;
	// Checks are asked last: of what lacks anything else nobody knows them.
	const passes = passed.has(followed) || !isEdgeSafe || next.kind !== "done";
	const standing = { next: next.kind, edges: { serving: edges.length, behind }, isEdgeSafe, passes };
	const missing = missingOf(standing);
	const severity = missing === NOBODY_ASKED ? ("warn" as const) : ("page" as const);
	const alert = { severity, kind: "rollback_unverified" as const, message: `the rollback could not be verified: ${missing}` };
	return { followed, failure: missing, goesOn: false, alert };
}

/** What one call took back and failed for one reason is one alert. */
function toldOnce(settled: readonly Settled[]): readonly Settled[] {
	const told = new Map<string, Settled>();
	const alike = Map.groupBy(settled, reasonOf);
	return settled.map((each) => {
		const reason = reasonOf(each);
		if (each.alert === null) return each;
		if (told.has(reason)) return { ...each, alert: null };
		told.set(reason, each);
		const others = (alike.get(reason)?.length ?? 1) - 1;
		return others === 0 ? each : { ...each, alert: { ...each.alert, message: `${each.alert.message} (and ${others} more rollouts)` } };
	});
}

const reasonOf = ({ followed: { environment, headRevision }, failure }: Settled): string =>
	JSON.stringify([environment, headRevision, failure]);

async function inLanes<T, R>(all: readonly T[], work: (each: T) => Promise<R>): Promise<R[]> {
	const left = [...all];
	const done: R[] = [];
	const lane = async (): Promise<void> => {
		for (let each = left.shift(); each !== undefined; each = left.shift()) done.push(await work(each)); // oxlint-disable-line no-await-in-loop -- a lane takes one after another
	};
	await Promise.all(Array.from({ length: AT_ONCE }, lane));
	return done;
}
