import { evaluate } from "../../core/flags/evaluate";
import type { Context } from "../../core/flags/match";
import { type ActiveOverlay, FUSE } from "../../core/flags/overlay";
import type { Snapshot } from "../../core/flags/ruleset";
import type { Origin, PackedRoute } from "../../core/gateway/packed";

/** Where a request goes, and what the flags are that go with it. */
export interface Assignment {
	/** undefined: the route has no flag. */
	readonly variant: string | undefined;
	readonly origin: Origin;
	/** What flags that are told to the origin are evaluated with. */
	readonly overlay: ActiveOverlay;
	/** The rollout's own step chose its candidate. */
	readonly candidateOf: string | undefined;
	/** It chose its baseline. */
	readonly baselineOf: string | undefined;
}

export interface Asked {
	readonly route: PackedRoute;
	readonly snapshot: Snapshot;
	readonly overlay: ActiveOverlay;
	readonly context: Context;
	/** The variant that a tester has asked for. */
	readonly forced: string | undefined;
}

/** undefined: nobody knows where it goes, since the flag cannot be read. */
export function assign({ route, snapshot, overlay, context, forced }: Asked): Assignment | undefined {
	const { flag: key, origin: only, origins = {} } = route;
	const to = (variant: string | undefined, candidateOf?: string, baselineOf?: string): Assignment | undefined => {
		const origin = (variant !== undefined && Object.hasOwn(origins, variant) ? origins[variant] : undefined) ?? only;
		return origin && { variant, origin, overlay, candidateOf, baselineOf };
	};
	if (key === undefined) return to(undefined);
	if (forced !== undefined && Object.hasOwn(origins, forced)) return to(forced);
	const flag = snapshot.flag(key);
	if (flag === undefined || flag === "corrupt") return to(undefined);
	const resolution = evaluate(snapshot, overlay, key, context);
	if (resolution.reason === "ERROR") return to(flag.names[flag.rollout?.baseline ?? flag.off]);
	const { variant, metadata } = resolution;
	const { rollout } = flag;
	const isByRollout = rollout !== undefined && metadata.rollout === rollout.key && metadata.bucket !== undefined;
	if (!isByRollout) return to(variant);
	return variant === flag.names[rollout.candidate] ? to(variant, rollout.key) : to(variant, undefined, rollout.key);
}

/** The same with a rollout on its baseline. */
export function withoutRollout({ kill, baseline }: ActiveOverlay, rollout: string, source: string = FUSE): ActiveOverlay {
	return { kill, baseline: new Map([...baseline, [rollout, source]]) };
}

const ISOLATION = "isolation";

/** The same with the rollouts of all of a route's flags on their baselines. */
export function isolated(route: PackedRoute, snapshot: Snapshot, overlay: ActiveOverlay): ActiveOverlay {
	let all = overlay;
	for (const key of flagsOf(route)) {
		const flag = snapshot.flag(key);
		if (flag !== undefined && flag !== "corrupt" && flag.rollout) all = withoutRollout(all, flag.rollout.key, ISOLATION);
	}
	return all;
}

/** The flags that an outcome of the route says something of. */
export const flagsOf = ({ flag, forward }: PackedRoute): readonly string[] => (flag === undefined ? forward : [flag, ...forward]);

/** Where the flag's rollout stands; empty: it is in none. */
export function phaseOf(snapshot: Snapshot, key: string | undefined): string {
	const flag = key === undefined ? undefined : snapshot.flag(key);
	return (flag === undefined || flag === "corrupt" ? undefined : flag.rollout?.phase) ?? "";
}
