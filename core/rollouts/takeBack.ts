import type { Judgement } from "../health/judge";
import { logEvidenceOf } from "../health/guard";
import { flagsIn } from "./exposure";
import type { Plan } from "./plan";
import { criteriaIn } from "./planCriteria";
import type { Change, ChangeReason } from "./decision";
import type { LiveState } from "./state";
import { droppedFlags, excludedUsers, lowered, rolledBack } from "./transitions";
import type { WayBackStrategy } from "./wayBack";

/** How users are taken back. */
export interface WayBackWanted {
	readonly strategy: WayBackStrategy;
	/** gradual: percents of users. */
	readonly stages?: readonly number[] | undefined;
	/** feature: which. */
	readonly flags?: readonly string[] | undefined;
	/** targeted: who. */
	readonly keys?: readonly string[] | undefined;
	readonly segments?: readonly string[] | undefined;
	/** version: flag → the version it gets back. */
	readonly versions?: Readonly<Record<string, number>> | undefined;
}

/**
 * The way back that is wanted, or the whole of it at once where that would leave nothing to go on with: no lower stage, no
 * other flag, nobody else to exclude.
 */
export function takeBack(
	plan: Plan,
	state: LiveState,
	wanted: WayBackWanted,
	because: { readonly reason: ChangeReason; readonly message: string; readonly by: string; readonly judgement: Judgement | null },
	now: number,
): Change {
	const { strategy } = wanted;
	const { reason, message, by, judgement } = because;
	const changed = (kind: Change["kind"], next: Change["state"], how: WayBackStrategy, said = message): Change => ({
		kind,
		reason,
		message: said,
		state: next,
		judgement,
		alerts: [],
		strategy: how,
	});
	const why = message === "" ? "" : `${message}; `;
	const immediate = changed("roll_back", rolledBack(state, now, by, message), "immediate");
	switch (strategy) {
		case "immediate":
			return immediate;
		case "gradual": {
			const served = percentNow(plan, state);
			const stages = (wanted.stages ?? plan.rollback.stages).filter((stage) => stage < served);
			const [first = 0] = stages;
			if (first === 0) return immediate;
			const said = `${why}down from ${served} % to ${first} %, then ${stages.slice(1).join(", ")} %, every ${plan.rollback.every}`;
			return changed("begin_rollback", lowered(plan, state, stages, now, { by, reason: message, trigger: reason }), strategy, said);
		}
		case "feature": {
			const going = flagsIn(plan, state);
			const flags = [...new Set(wanted.flags)].filter((flag) => going.includes(flag));
			if (flags.length === 0 || flags.length === going.length) return immediate;
			const said = `${why}${flags.join(", ")} back on the baseline, the others go on`;
			return changed("drop_flags", droppedFlags(plan, state, flags, now), strategy, said);
		}
		case "targeted": {
			const { keys = [], segments = [] } = wanted.keys || wanted.segments ? wanted : plan.rollback;
			const isNew =
				keys.some((key) => ![...plan.exclude.keys, ...state.excluded.keys].includes(key)) ||
				segments.some((each) => ![...plan.exclude.segments, ...state.excluded.segments].includes(each));
			if (!isNew) return immediate;
			const who = [...(segments.length > 0 ? [`segment ${segments.join(", ")}`] : []), ...(keys.length > 0 ? [`${keys.length} keys`] : [])];
			const said = `${why}${who.join(" and ")} back on the baseline, the others go on`;
			return changed("exclude", excludedUsers(plan, state, { keys, segments }, now), strategy, said);
		}
		case "version": {
			// A flag that was taken back before is no longer the rollout's: it may be another's.
			const own = plan.flags.filter((flag) => !state.dropped.includes(flag));
			const versions = Object.entries({ ...state.versions, ...plan.rollback.versions, ...wanted.versions });
			return { ...immediate, strategy, restore: Object.fromEntries(versions.filter(([flag]) => own.includes(flag))) };
		}
		case "full":
			return { ...immediate, strategy };
		default:
			return strategy satisfies never;
	}
}

/** Percent of users who are served the candidate, before any holdback. */
export function percentNow(plan: Plan, { retreated, lowered: stage, phase }: LiveState): number {
	if (retreated) return 0;
	return stage?.percent ?? plan.phases[phase]?.percent ?? 0;
}

/** The flags whose own guards fired; none where anything else did too, for then they are not the only ones to blame. */
export function flagsToBlame(plan: Plan, state: LiveState, judgement: Judgement): readonly string[] {
	const { guards, baselines } = criteriaIn(plan);
	const enough = Math.log(1 / state.alpha);
	const fired = guards.filter((_, i) => {
		const watch = state.watch.guards[i];
		return watch !== undefined && logEvidenceOf(watch) >= enough;
	});
	const breached = judgement.verdicts.filter(
		({ status, criterion }) => status === "breached" && !fired.some(({ text }) => text === criterion),
	);
	const blamed = [...fired, ...breached.map(({ criterion }) => [...guards, ...baselines].find(({ text }) => text === criterion))];
	const flags = blamed.map((each) => each?.flag);
	const going = flags.filter((flag) => flag === undefined || !state.dropped.includes(flag));
	return going.every((flag) => flag !== undefined) ? [...new Set(going)] : [];
}
