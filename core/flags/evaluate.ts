import { bucketOf } from "./bucket";
import { bucketingKeyOf, targetingKeyOf } from "./bucketingKey";
import { type Context, type Trace, matches } from "./match";
import type { FlagValue } from "./model";
import { type ActiveOverlay, baselineBy } from "./overlay";
import { servedTo } from "./rings";
import type { Ruleset, Snapshot } from "./ruleset";
import type { PackedFlag, PackedRollout, PackedServe } from "./snapshot";

/** OpenFeature's resolution reasons, as far as evaluation gives them; the edge adds STALE. */
export type Reason = "STATIC" | "DEFAULT" | "TARGETING_MATCH" | "SPLIT" | "DISABLED" | "ERROR";

/** Flat, as OpenFeature's flag metadata must be. What does not apply is absent. */
export interface Metadata {
	readonly snapshot: number;
	readonly rule?: string;
	readonly bucket?: number;
	readonly rollout?: string;
	readonly phase?: string;
	/** The source of the overlay that decided. */
	readonly overlay?: string;
	/** The flag whose variant was not among those required. */
	readonly prerequisite?: string;
	/** A target named the key. */
	readonly target?: true;
	/** Excluded from the rollout. */
	readonly excluded?: true;
	/** Not in the audience of the rollout's phases so far. */
	readonly outside?: true;
	/** The context had no key to bucket by, which a split or a rollout would have needed. */
	readonly noKey?: true;
}

export interface Resolved {
	readonly value: FlagValue;
	readonly variant: string;
	readonly reason: Exclude<Reason, "ERROR">;
	readonly metadata: Metadata;
}
export interface Unresolved {
	readonly reason: "ERROR";
	readonly errorCode: "FLAG_NOT_FOUND" | "PARSE_ERROR";
	readonly metadata: Metadata;
}
export type Resolution = Resolved | Unresolved;

/** Which way an evaluation went, for whoever explains it. */
export interface Walk extends Trace {
	readonly rule?: (id: string, holds: boolean) => void;
	readonly prerequisite?: (flag: string, variant: string | undefined, holds: boolean) => void;
	/** A segment that the rollout excludes cannot be read, so nobody is known to be outside of it. */
	readonly unreadable?: (segment: string) => void;
}

export const PREREQUISITES_DEEP_MAX = 10;
/** Diamonds of prerequisites multiply: beyond this the flag is a PARSE_ERROR, not an isolate that hangs. */
const PREREQUISITES_EVALUATED_MAX = 200;

/** What the prerequisites of one evaluation have cost so far; made with the first. */
interface Spent {
	evaluations: number;
}

/**
 * Resolves one flag for one context. Pure, synchronous, and never throws: a flag that cannot be read is a PARSE_ERROR of
 * that flag alone. Order: unknown, killed by overlay, disabled, prerequisites, targets, rules (the first match), the
 * rollout, the fallthrough. `walk`, if given, is told of each step and changes nothing.
 */
export function evaluate(ruleset: Ruleset, overlay: ActiveOverlay, flagKey: string, context: Context, walk?: Walk): Resolution {
	ruleset.begin();
	return resolveAt(ruleset.flag(flagKey), ruleset, overlay, flagKey, context, walk, 0, undefined);
}

/** All flags of a snapshot, in the order of its keys(): no look-up a flag. */
export function evaluateAll(snapshot: Snapshot, overlay: ActiveOverlay, context: Context): Resolution[] {
	const keys = snapshot.keys();
	return snapshot.flags().map((flag, i) => {
		snapshot.begin();
		return resolveAt(flag, snapshot, overlay, keys[i] ?? "", context, undefined, 0, undefined);
	});
}

function resolveAt(
	flag: PackedFlag | "corrupt" | undefined,
	ruleset: Ruleset,
	overlay: ActiveOverlay,
	flagKey: string,
	context: Context,
	walk: Walk | undefined,
	depth: number,
	spent: Spent | undefined,
): Resolution {
	const snapshot = ruleset.version;
	if (flag === undefined) return { reason: "ERROR", errorCode: "FLAG_NOT_FOUND", metadata: { snapshot } };
	if (flag === "corrupt" || depth > PREREQUISITES_DEEP_MAX) return { reason: "ERROR", errorCode: "PARSE_ERROR", metadata: { snapshot } };
	try {
		return resolve(flag, ruleset, overlay, flagKey, context, walk, depth, spent);
	} catch {
		return { reason: "ERROR", errorCode: "PARSE_ERROR", metadata: { snapshot } };
	}
}

function resolve(
	flag: PackedFlag,
	ruleset: Ruleset,
	overlay: ActiveOverlay,
	flagKey: string,
	context: Context,
	walk: Walk | undefined,
	depth: number,
	spent: Spent | undefined,
): Resolved {
	const snapshot = ruleset.version;
	const killedBy = overlay.kill.size > 0 ? overlay.kill.get(flagKey) : undefined;
	if (killedBy !== undefined) return serve(flag, flag.off, "DISABLED", { snapshot, overlay: killedBy });
	if (!flag.enabled) return serve(flag, flag.off, "DISABLED", bare(snapshot));

	if (flag.prerequisites) {
		const total = spent ?? { evaluations: 0 };
		for (const { flag: required, variants } of flag.prerequisites) {
			if (++total.evaluations > PREREQUISITES_EVALUATED_MAX) throw new Error(`more than ${PREREQUISITES_EVALUATED_MAX} prerequisites`);
			// Its own walk is no part of this one, but what it could not know is.
			const inner = walk && { isIncomplete: false };
			const found = resolveAt(ruleset.flag(required), ruleset, overlay, required, context, inner, depth + 1, total);
			if (walk && inner?.isIncomplete) walk.isIncomplete = true;
			// One that is off is never met, whatever its off variant: a kill must not switch another flag on.
			const variant = found.reason === "ERROR" ? undefined : found.variant;
			const holds = variant !== undefined && found.reason !== "DISABLED" && variants.includes(variant);
			walk?.prerequisite?.(required, variant, holds);
			if (!holds) return serve(flag, flag.off, "DISABLED", { snapshot, prerequisite: required });
		}
	}
	if (flag.targets) {
		const user = targetingKeyOf(context);
		const targeted = user !== undefined && Object.hasOwn(flag.targets, user) ? flag.targets[user] : undefined;
		if (targeted !== undefined) return serve(flag, targeted, "TARGETING_MATCH", { snapshot, target: true });
	}

	for (const { id, when, serve: what } of flag.rules) {
		const holds = matches(when, context, ruleset, walk);
		walk?.rule?.(id, holds);
		if (!holds) continue;
		if (typeof what === "number") return serve(flag, what, "TARGETING_MATCH", { snapshot, rule: id });
		const key = bucketingKeyOf(context, flag.bucketBy);
		// A split that cannot bucket does not match: the next rule may.
		if (key === undefined) continue;
		const bucket = bucketOf(key, flag.seed);
		return serve(flag, variantAt(what, bucket), "SPLIT", { snapshot, rule: id, bucket });
	}
	if (flag.rollout) return rolledOut(flag, flag.rollout, ruleset, overlay, flagKey, context, walk);

	const { fallthrough } = flag;
	if (typeof fallthrough === "number") return serve(flag, fallthrough, flag.rules.length > 0 ? "DEFAULT" : "STATIC", bare(snapshot));
	const key = bucketingKeyOf(context, flag.bucketBy);
	if (key === undefined) return serve(flag, flag.off, "DEFAULT", { snapshot, noKey: true });
	const bucket = bucketOf(key, flag.seed);
	return serve(flag, variantAt(fallthrough, bucket), "SPLIT", { snapshot, bucket });
}

function rolledOut(
	flag: PackedFlag,
	rollout: PackedRollout,
	ruleset: Ruleset,
	overlay: ActiveOverlay,
	flagKey: string,
	context: Context,
	walk: Walk | undefined,
): Resolved {
	const snapshot = ruleset.version;
	const baseline = (why: { overlay: string } | { excluded: true } | { outside: true } | { noKey: true }): Resolved =>
		serve(flag, rollout.baseline, "DEFAULT", { snapshot, rollout: rollout.key, ...why });
	const overlaidBy = overlay.baseline.size > 0 ? baselineBy(overlay, rollout.key, flagKey) : undefined;
	if (overlaidBy !== undefined) return baseline({ overlay: overlaidBy });
	if (rollout.excluded && isExcluded(rollout.excluded, ruleset, context, walk)) return baseline({ excluded: true });
	const key = bucketingKeyOf(context, flag.bucketBy);
	if (key === undefined) return baseline({ noKey: true });
	const served = rollout.rings ? servedTo(rollout, ruleset, context, walk) : rollout.served;
	if (served === undefined) return baseline({ outside: true });
	const bucket = bucketOf(key, rollout.seed);
	const variant = bucket < served ? rollout.candidate : rollout.baseline;
	return serve(flag, variant, "SPLIT", { snapshot, rollout: rollout.key, phase: rollout.phase, bucket });
}

/**
 * Who was excluded was promised the baseline. Where a segment cannot tell who that is, everybody gets it: a user too many
 * stays behind, none is served a candidate against the plan, and none an error.
 */
function isExcluded(excluded: NonNullable<PackedRollout["excluded"]>, ruleset: Ruleset, context: Context, walk: Walk | undefined): boolean {
	const user = targetingKeyOf(context);
	if (user !== undefined && excluded.keys.includes(user)) return true;
	return excluded.segments.some((segment) => {
		try {
			return matches({ segment }, context, ruleset, walk);
		} catch {
			walk?.unreadable?.(segment);
			return true;
		}
	});
}

function serve(flag: PackedFlag, variant: number, reason: Resolved["reason"], metadata: Metadata): Resolved {
	const value = flag.values[variant];
	const name = flag.names[variant];
	if (value === undefined || name === undefined) throw new Error(`no variant ${variant}`);
	return { value, variant: name, reason, metadata };
}

let shared: Metadata = { snapshot: -1 };

/** Most answers say nothing but their snapshot: they share one object, which nobody writes to. */
function bare(snapshot: number): Metadata {
	if (shared.snapshot !== snapshot) shared = Object.freeze({ snapshot });
	return shared;
}

function variantAt(split: Exclude<PackedServe, number>, bucket: number): number {
	for (let i = 0; i < split.length; i += 2) if (bucket < (split[i] ?? 0)) return split[i + 1] ?? Number.NaN;
	throw new Error(`no part of the split holds bucket ${bucket}`);
}
