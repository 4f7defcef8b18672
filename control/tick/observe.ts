import type { Evidence, Observation } from "../../core/health/observation";
import { isPercentile, signalKeyOf } from "../../core/health/criteria";
import { signalsOf } from "../../core/health/signals";
import { type Plan, newestRing, ringsIn } from "../../core/rollouts/plan";
import { criteriaIn } from "../../core/rollouts/planCriteria";
import { type LiveState, isLive } from "../../core/rollouts/state";
import { log, nameOf } from "../log";
import type { AskedScore, MetricsSource, Question } from "../metrics/source";
import type { StoredRollout } from "../store/rollouts";
import { within } from "../within";

/** A source that has not answered by then has failed: publishing must not wait for it. */
const READ_TIMEOUT_MS = 20_000;

/** What the metrics say of every live rollout: one query of each kind for all of them. A source that fails is an answer too. */
export async function observe(
	source: MetricsSource,
	rows: readonly StoredRollout[],
	now: number,
): Promise<ReadonlyMap<string, Observation>> {
	const questions = rows.flatMap(questionOf);
	try {
		const { watermark, answers } = await within(READ_TIMEOUT_MS, ask(source, questions, now));
		const [totals, firstHarms, userSums, firstExposures, scored, quantiles] = answers;
		const byRollout = <T extends { readonly rollout: string }>(found: readonly T[]) => {
			const groups = Map.groupBy(found, (each) => each.rollout);
			return (rollout: string): readonly T[] => groups.get(rollout) ?? [];
		};
		const of = {
			totals: byRollout(totals),
			firstHarms: byRollout(firstHarms),
			userSums: byRollout(userSums),
			firstExposures: byRollout(firstExposures),
			scored: byRollout(scored),
			quantiles: byRollout(quantiles),
		};
		return new Map(
			questions.map(({ rollout }): [string, Evidence] => [
				rollout,
				{
					kind: "evidence",
					watermark,
					totals: of.totals(rollout),
					firstHarms: of.firstHarms(rollout),
					userSums: of.userSums(rollout),
					firstExposures: of.firstExposures(rollout),
					scored: of.scored(rollout),
					quantiles: of.quantiles(rollout),
				},
			]),
		);
	} catch (error) {
		const failed: Observation = { kind: "source_error", message: nameOf(error) };
		return new Map(questions.map(({ rollout }) => [rollout, failed]));
	}
}

/** A rollout that cannot be asked about is left without an answer, which decides nothing, rather than all of them. */
function questionOf({ id, environment, plan, state }: StoredRollout): Question[] {
	if (!isLive(state)) return [];
	try {
		const signals = signalsOf(plan, state).map(({ key, metric, slot }) => ({ key, metric, slot }));
		const { stage, startedAtMs, watch } = state;
		const count = ringsIn(plan).length;
		const rings = count > 0 ? { rings: { count, newest: newestRing(plan, state) ?? null } } : {};
		return [{ environment, rollout: id, stage, startedAtMs, after: watch.watermark, signals, scores: scoresOf(plan, state), ...rings }];
	} catch (error) {
		log("rollout_not_asked", { rollout: id, error: nameOf(error) });
		return [];
	}
}

function scoresOf(plan: Plan, { watch }: LiveState): AskedScore[] {
	return criteriaIn(plan).guards.flatMap((guard, i) => {
		const frozen = watch.guards[i]?.frozen;
		if (!frozen || !isPercentile(guard.aggregate)) return [];
		const { center, spread } = frozen;
		return [{ signal: signalKeyOf(guard), metric: guard.metric, center, spread, shift: Math.log(1 + guard.margin) }];
	});
}

async function ask(source: MetricsSource, questions: readonly Question[], now: number) {
	const watermark = await source.watermark(now);
	const answers = await Promise.all([
		source.totals(questions, watermark),
		source.firstHarms(questions, watermark),
		source.userSums(questions, watermark),
		source.firstExposures(questions, watermark),
		source.scored(questions, watermark),
		source.quantiles(questions, watermark),
	]);
	return { watermark, answers };
}
