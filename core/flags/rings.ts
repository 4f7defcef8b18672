import type { Context, Trace } from "./match";
import { matches } from "./match";
import type { Ruleset } from "./ruleset";

/** Whoever is in the segment, or everybody, is served the candidate up to this bucket. */
export interface Ring {
	readonly segment: string | null;
	readonly served: number;
}

/** What a rollout serves: to everybody, or ring by ring. */
export interface Served {
	readonly served: number;
	readonly rings?: readonly Ring[];
}

/**
 * Buckets that are served the candidate where this user is: the most of all rings they are in; undefined: in none, so they are
 * no part of the rollout. A ring that cannot be read has nobody in it: a user too many stays behind.
 */
export function servedTo(of: Served, ruleset: Ruleset, context: Context, walk?: Trace): number | undefined {
	if (!of.rings) return of.served;
	let most: number | undefined;
	for (const { segment, served } of of.rings) {
		if (most !== undefined && served <= most) continue;
		if (segment === null || isIn(segment, ruleset, context, walk)) most = served;
	}
	return most;
}

function isIn(segment: string, ruleset: Ruleset, context: Context, walk: Trace | undefined): boolean {
	try {
		return matches({ segment }, context, ruleset, walk);
	} catch {
		return false;
	}
}
