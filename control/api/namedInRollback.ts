import type { FieldError } from "../../core/flags/model";
import type { WayBackWanted } from "../../core/rollouts/takeBack";
import type { Database } from "../store/database";
import { whyNot } from "../store/rolloutFlags";
import type { StoredRollout } from "../store/rollouts";
import { missingSegments } from "../store/segments";
import { getVersions } from "../store/versions";

const INSTEAD = "correct it, or take everybody back at once with strategy immediate, which needs to know nothing";

/** What a rollback names and there is not. Refused before anything is written: half of what was meant would be done, and said to be all. */
export async function unknownIn(db: Database, row: StoredRollout, wanted: WayBackWanted): Promise<FieldError[]> {
	if (wanted.strategy === "version") return unknownVersions(db, row, wanted.versions ?? {});
	return wanted.strategy === "targeted" ? unknownSegments(db, row, wanted) : [];
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
