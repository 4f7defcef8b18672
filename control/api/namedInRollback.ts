import type { FieldError } from "../../core/flags/model";
import { assertNever } from "../../core/result";
import { flagsIn } from "../../core/rollouts/exposure";
import type { LiveState } from "../../core/rollouts/state";
import { percentNow, type WayBackWanted } from "../../core/rollouts/takeBack";
import type { Database } from "../store/database";
import { whyNot } from "../store/rolloutFlags";
import type { StoredRollout } from "../store/rollouts";
import { missingSegments } from "../store/segments";
import { getVersions } from "../store/versions";

const INSTEAD = "correct it, or take everybody back at once with strategy immediate, which needs to know nothing";

/**
 * What a rollback names and there is not. Refused before anything is written: half of what was meant would be done, and said to be
 * all; or a slip of the pen would take everybody back, who were not meant.
 */
export async function unknownIn(db: Database, row: StoredRollout, state: LiveState, wanted: WayBackWanted): Promise<FieldError[]> {
	switch (wanted.strategy) {
		case "version":
			return unknownVersions(db, row, wanted.versions ?? {});
		case "targeted":
			return [...nobodyNew(row, state, wanted), ...(await unknownSegments(db, row, wanted))];
		case "feature":
			return otherFlags(row, state, wanted);
		case "gradual":
			return noStage(row, state, wanted);
		case "immediate":
		case "full":
			return [];
		default:
			return assertNever(wanted.strategy);
	}
}

function nobodyNew({ plan }: StoredRollout, { excluded }: LiveState, wanted: WayBackWanted): FieldError[] {
	const { keys = [], segments = [] } = wanted.keys || wanted.segments ? wanted : plan.rollback;
	const isNew = (name: "keys" | "segments") => (each: string) => ![...plan.exclude[name], ...excluded[name]].includes(each);
	if (keys.some(isNew("keys")) || segments.some(isNew("segments"))) return [];
	const why = keys.length + segments.length === 0 ? "takes keys or segments: who goes back" : "they are back on the baseline already";
	return [{ pointer: "/strategy", message: `${why}; ${INSTEAD}` }];
}

function otherFlags({ plan }: StoredRollout, state: LiveState, { flags = [] }: WayBackWanted): FieldError[] {
	const own = flagsIn(plan, state);
	return flags.flatMap((flag, i) =>
		own.includes(flag)
			? []
			: [{ pointer: `/flags/${i}`, message: `the rollout serves no flag ${flag} now: it has ${own.join(", ")}; ${INSTEAD}` }],
	);
}

/** The plan's own stages end where they must; stages that a person names are meant. */
function noStage({ plan }: StoredRollout, state: LiveState, { stages }: WayBackWanted): FieldError[] {
	const served = percentNow(plan, state);
	if (!stages || stages.some((stage) => stage > 0 && stage < served)) return [];
	return [{ pointer: "/stages", message: `none is between 0 and the ${served} % that is served now; ${INSTEAD}` }];
}

/** Edges exclude everybody where they cannot read whom, and the rule that a completion leaves would break the flag. */
async function unknownSegments(db: Database, { environment, plan }: StoredRollout, wanted: WayBackWanted): Promise<FieldError[]> {
	const isPlans = wanted.keys === undefined && wanted.segments === undefined;
	const segments = (isPlans ? plan.rollback.segments : wanted.segments) ?? [];
	return (await missingSegments(db, environment, segments)).map((segment) => ({
		pointer: isPlans ? "/strategy" : `/segments/${segments.indexOf(segment)}`,
		message: `there is no segment ${segment} in ${environment}${isPlans ? ", which the plan names" : ""}; ${INSTEAD}`,
	}));
}

async function unknownVersions(
	db: Database,
	{ environment, plan }: StoredRollout,
	versions: Readonly<Record<string, number>>,
): Promise<FieldError[]> {
	const found = await getVersions(db, environment, versions);
	return Object.entries(versions).flatMap(([flag, number]) => {
		const why = plan.flags.includes(flag)
			? whyNot(number, found.get(flag))
			: `it is no flag of the rollout, which has ${plan.flags.join(", ")}`;
		return why === undefined ? [] : [{ pointer: `/versions/${flag}`, message: `${flag} gets no version ${number}: ${why}; ${INSTEAD}` }];
	});
}
