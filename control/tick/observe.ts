import type { Evidence, Observation } from "../../core/health/observation";
import { isLive } from "../../core/rollouts/state";
import { nameOf } from "../log";
import type { MetricsSource, Question } from "../metrics/source";
import type { StoredRollout } from "../store/rollouts";
import { within } from "../within";

/** A source that has not answered by then has failed: publishing must not wait for it. */
const READ_TIMEOUT_MS = 20_000;

/** What the metrics say of every live rollout: four questions for all of them. A source that fails is an answer too. */
export async function observe(
	source: MetricsSource,
	rows: readonly StoredRollout[],
	now: number,
): Promise<ReadonlyMap<string, Observation>> {
	const questions: Question[] = rows.flatMap(({ id, state }) =>
		isLive(state) ? { rollout: id, stage: state.stage, after: state.watch.watermark } : [],
	);
	try {
		const { watermark, answers } = await within(READ_TIMEOUT_MS, ask(source, questions, now));
		const [totals, firstHarms, userSums, firstExposures] = answers;
		const byRollout = <T extends { readonly rollout: string }>(found: readonly T[]) => {
			const groups = Map.groupBy(found, (each) => each.rollout);
			return (rollout: string): readonly T[] => groups.get(rollout) ?? [];
		};
		const of = {
			totals: byRollout(totals),
			firstHarms: byRollout(firstHarms),
			userSums: byRollout(userSums),
			firstExposures: byRollout(firstExposures),
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
				},
			]),
		);
	} catch (error) {
		const failed: Observation = { kind: "source_error", message: nameOf(error) };
		return new Map(questions.map(({ rollout }) => [rollout, failed]));
	}
}

async function ask(source: MetricsSource, questions: readonly Question[], now: number) {
	const watermark = await source.watermark(now);
	const answers = await Promise.all([
		source.totals(questions, watermark),
		source.firstHarms(questions, watermark),
		source.userSums(questions, watermark),
		source.firstExposures(questions, watermark),
	]);
	return { watermark, answers };
}
