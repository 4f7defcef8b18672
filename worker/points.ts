import type { Attribution } from "../core/flags/attribution";
import type { Snapshot } from "../core/flags/ruleset";
import type { MeasuredRollout } from "../core/flags/snapshot";
import { isHarm } from "../core/metric";
import type { Harm, Point } from "../core/telemetry";

/** An outcome in one of the places where it counts. `unit`: the hash of what the attribution bucketed; empty where it is not known. */
export function pointOf(
	{ by, ...place }: Attribution,
	unit: string,
	{ id, metric, value }: Pick<Point, "id" | "metric" | "value">,
	first: boolean,
): Point {
	const harms = by ? harmsOf(by, place.arm, metric, value) : [];
	const scored = by !== undefined && by.scored.includes(metric) && place.arm !== "unattributed";
	return { ...place, id, metric, unit, value, harms, scored, first };
}

/** Nobody is served the candidate in a shadow phase: what comparing says is said of the candidate all the same. */
export function asCompared(snapshot: Snapshot, attribution: Attribution): Attribution {
	if (attribution.by?.shadow !== true || attribution.arm !== "control") return attribution;
	const flag = snapshot.flag(attribution.flag);
	const candidate = flag === undefined || flag === "corrupt" || !flag.rollout ? undefined : flag.names[flag.rollout.candidate];
	return { ...attribution, arm: "candidate", variant: candidate ?? attribution.variant };
}

/** The rollout's signals that take the value for harm. */
function harmsOf({ signals }: MeasuredRollout, arm: Point["arm"], metric: string, value: number): Harm[] {
	if (arm !== "candidate" && arm !== "control") return [];
	return signals.flatMap(({ key, slot, metric: own, harm }) =>
		own === metric && harm !== null && isHarm(harm[arm], value) ? { signal: key, slot } : [],
	);
}
