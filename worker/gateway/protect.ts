import { BUCKETS } from "../../core/flags/bucket";
import type { Context } from "../../core/flags/match";
import type { Snapshot } from "../../core/flags/ruleset";
import type { PackedProtection, PackedRoute } from "../../core/gateway/packed";
import { matchesPath, partsOf } from "../../core/gateway/path";

/** What is in force for a host; by real time, since it must end when it was meant to. */
export function inForce(protections: readonly PackedProtection[], host: string, nowMs: number): readonly PackedProtection[] {
	if (protections.length === 0) return protections;
	return protections.filter((each) => each.untilMs > nowMs && (each.host === undefined || each.host === host));
}

/** `draw` in [0, 1). */
export function isShed(protections: readonly PackedProtection[], route: PackedRoute, path: string, draw: number): boolean {
	if (route.exempt) return false;
	return protections.some((each) => {
		if (each.kind !== "shed" || route.priority > each.upTo || draw * BUCKETS >= each.share) return false;
		return !each.exempt?.some((exempt) => matchesPath(exempt, partsOf(path)));
	});
}

/** A segment that cannot be read lets nobody in. */
export function isLockedOut(protections: readonly PackedProtection[], snapshot: Snapshot, context: Context): boolean {
	return protections.some(
		(each) => each.kind === "lock_down" && !each.segments.some((segment) => isMember(snapshot, segment, context, false)),
	);
}

/** Who was to get the baseline gets it: where a segment cannot tell who that is, everybody does. */
export function isIsolated(protections: readonly PackedProtection[], snapshot: Snapshot, context: Context): boolean {
	return protections.some((each) => each.kind === "isolate" && each.segments.some((segment) => isMember(snapshot, segment, context, true)));
}

function isMember(snapshot: Snapshot, segment: string, context: Context, otherwise: boolean): boolean {
	snapshot.begin();
	try {
		return snapshot.isMember(segment, context, undefined);
	} catch {
		return otherwise;
	}
}
