import type { Context, Trace } from "./match";
import { matches } from "./match";
import type { Ruleset } from "./ruleset";

/** Whoever is in the segment, or everybody, is served the candidate up to this bucket. */
export interface Ring {
	readonly segment: string | null;
	readonly served: number;
	/** By which its outcomes are told from those of other rings, the same for the whole rollout; absent: nobody asks. */
	readonly number?: number;
}

/** What a rollout serves: to everybody, or ring by ring. */
export interface Served {
	readonly served: number;
	readonly rings?: readonly Ring[];
}

/** Buckets that are served the candidate where this user is; undefined: they are in no ring, so they are no part of the rollout. */
export function servedTo(of: Served, ruleset: Ruleset, context: Context, walk?: Trace): number | undefined {
	return of.rings ? ringOf(of.rings, ruleset, context, walk)?.served : of.served;
}

/**
 * The user's ring: the one that serves the most of all they are in, the first of those that serve as much. One that cannot be read
 * has nobody in it: a user too many stays behind.
 */
export function ringOf(rings: readonly Ring[], ruleset: Ruleset, context: Context, walk?: Trace): Ring | undefined {
	let most: Ring | undefined;
	for (const ring of rings) {
		const { segment, served } = ring;
		if (most !== undefined && served <= most.served) continue;
		if (segment === null || isIn(segment, ruleset, context, walk)) most = ring;
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
