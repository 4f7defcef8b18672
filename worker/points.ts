import type { Attribution } from "../core/flags/attribution";
import { measurementsOf } from "../core/flags/measure";
import type { Snapshot } from "../core/flags/ruleset";
import type { Point } from "../core/telemetry";

/** What happened, as far as points tell. */
export interface Happened extends Pick<Point, "id" | "metric" | "value" | "first"> {
	/** The flag that it was said to belong to. */
	readonly flag: string | undefined;
}

/** An outcome in one of the places where it counts. `unit`: the hash of what the attribution bucketed; empty where it is not known. */
export function pointsAt({ by, ...place }: Attribution, unit: string, { id, first, ...event }: Happened): readonly Point[] {
	return measurementsOf({ by, arm: place.arm }, event).map((measured, i) => {
		// What the flag served is told by the first: another is for the flag's guards alone.
		const served = i === 0 ? place : { ...place, flag: "", variant: "" };
		return { ...served, ...measured, id, unit, first: first && i === 0 };
	});
}

/** Nobody is served the candidate in a shadow phase: what comparing says is said of the candidate all the same. */
export function asCompared(snapshot: Snapshot, attribution: Attribution): Attribution {
	if (attribution.by?.shadow !== true || attribution.arm !== "control") return attribution;
	const flag = snapshot.flag(attribution.flag);
	const candidate = flag === undefined || flag === "corrupt" || !flag.rollout ? undefined : flag.names[flag.rollout.candidate];
	return { ...attribution, arm: "candidate", variant: candidate ?? attribution.variant };
}
