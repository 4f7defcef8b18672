import { isFor } from "../../core/checks/model";
import { dueChecks, isHolding, resultsFor, type CheckResult } from "../../core/checks/result";
import { metricsBy } from "../../core/metric";
import { placeOf } from "../../core/rollouts/command";
import { phaseName } from "../../core/rollouts/plan";
import { type ChecksNow, checksNow } from "../../core/rollouts/planChecks";
import type { CheckDeps } from "../checks/finding";
import { runChecks } from "../checks/run";
import { type StageResults, recordResults, resultsOf } from "../store/checkResults";
import type { Database } from "../store/database";
import { damagedOr } from "../store/json";
import { getRollout, listActive, type StoredRollout } from "../store/rollouts";

/** Rollouts whose checks are made side by side. */
const AT_ONCE = 4;

export type Results = ReadonlyMap<string, readonly CheckResult[]>;

/** What is known of the checks that matter now, of many rollouts in one query. */
export async function knownResults(db: Database, rows: readonly StoredRollout[]): Promise<Results> {
	return resultsOf(
		db,
		rows.flatMap(({ id, plan, state }) => {
			const now = checksNow(plan, state);
			return now ? [{ rollout: id, stage: now.stage }] : [];
		}),
	);
}

/**
 * Makes the checks that are due. Comes last in a tick: whoever answers slowly keeps nobody from being guarded, and the next tick
 * decides by what was found.
 */
export async function check(deps: CheckDeps, now: number): Promise<void> {
	const { rows } = await listActive(deps.db);
	const asked = rows.flatMap((row) => {
		const matter = checksNow(row.plan, row.state);
		return matter ? [{ row, matter }] : [];
	});
	if (asked.length === 0) return;
	const known = await knownResults(deps.db, rows);
	const left = asked[Symbol.iterator]();
	const lane = async (): Promise<void> => {
		for (const { row, matter } of left) {
			// oxlint-disable-next-line no-await-in-loop -- a lane takes one rollout after another
			const found = await made(deps, row, matter, known.get(row.id) ?? [], now);
			// oxlint-disable-next-line no-await-in-loop -- what is found counts, whatever becomes of the others
			if (found.results.length > 0) await recordResults(deps.db, [found]);
		}
	};
	await Promise.all(Array.from({ length: AT_ONCE }, lane));
}

async function made(
	deps: CheckDeps,
	row: StoredRollout,
	matter: ChecksNow,
	known: readonly CheckResult[],
	now: number,
): Promise<StageResults> {
	const { id: rollout, environment, plan, state } = row;
	const { checks, sinceMs, moment, stage, phase } = matter;
	const due = dueChecks(checks, known, sinceMs, now, moment);
	const { percent } = plan.phases[phase] ?? placeOf(plan, state);
	const context = {
		environment,
		rollout,
		phase: phaseName(plan, phase),
		percent,
		flags: plan.flags,
		metrics: metricsBy(plan.metrics),
	};
	return { rollout, stage, sinceMs, results: due.length > 0 ? await runChecks(deps, context, due, now) : [] };
}

/** Whether the critical checks of a rolled back rollout's plan pass now, those that need no person. One that nobody can read has none. */
export async function passesAfter(deps: CheckDeps, rollout: string, now: number): Promise<boolean> {
	const row = await getRollout(deps.db, rollout).catch(damagedOr(undefined));
	if (!row) return true;
	const { environment, plan } = row;
	const checks = plan.checks.filter((each) => each.critical && isFor(each, "before") && !("manual" in each));
	if (checks.length === 0) return true;
	const context = { environment, rollout, phase: null, percent: 0, flags: plan.flags, metrics: metricsBy(plan.metrics) };
	return (await runChecks(deps, context, checks, now)).every((each) => !isHolding(each));
}

/** Every check that matters now with what is known of it, for people. */
export async function checksOf(db: Database, { id, plan, state }: StoredRollout): Promise<readonly CheckResult[]> {
	const now = checksNow(plan, state);
	if (!now) return [];
	const known = (await resultsOf(db, [{ rollout: id, stage: now.stage }])).get(id) ?? [];
	return resultsFor(now.checks, known, now.sinceMs, now.moment);
}
