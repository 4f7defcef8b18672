import { bucketOf } from "./bucket";
import { type Context, matches } from "./match";
import type { FlagValue } from "./model";
import type { ActiveOverlay } from "./overlay";
import type { Ruleset } from "./ruleset";
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
	/** The context had no targeting key, which a split or a rollout would have needed. */
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

/**
 * Resolves one flag for one context. Pure, synchronous, and never throws: a flag that cannot be read is a PARSE_ERROR of
 * that flag alone. Order: unknown, killed by overlay, disabled, rules (the first match), the rollout, the fallthrough.
 */
export function evaluate(ruleset: Ruleset, overlay: ActiveOverlay, flagKey: string, context: Context): Resolution {
	const snapshot = ruleset.version;
	const flag = ruleset.flag(flagKey);
	if (flag === undefined) return { reason: "ERROR", errorCode: "FLAG_NOT_FOUND", metadata: { snapshot } };
	try {
		if (flag === "corrupt") return { reason: "ERROR", errorCode: "PARSE_ERROR", metadata: { snapshot } };
		return resolve(flag, overlay, flagKey, context, snapshot);
	} catch {
		return { reason: "ERROR", errorCode: "PARSE_ERROR", metadata: { snapshot } };
	}
}

function resolve(flag: PackedFlag, overlay: ActiveOverlay, flagKey: string, context: Context, snapshot: number): Resolved {
	const killedBy = overlay.kill.get(flagKey);
	if (killedBy !== undefined) return serve(flag, flag.off, "DISABLED", { snapshot, overlay: killedBy });
	if (!flag.enabled) return serve(flag, flag.off, "DISABLED", { snapshot });

	const key = targetingKeyOf(context);
	for (const { id, when, serve: what } of flag.rules) {
		if (!matches(when, context)) continue;
		if (typeof what === "number") return serve(flag, what, "TARGETING_MATCH", { snapshot, rule: id });
		// A split that cannot bucket does not match: the next rule may.
		if (key === undefined) continue;
		const bucket = bucketOf(key, flag.seed);
		return serve(flag, variantAt(what, bucket), "SPLIT", { snapshot, rule: id, bucket });
	}
	if (flag.rollout) return rolledOut(flag, flag.rollout, overlay, key, snapshot);

	const { fallthrough } = flag;
	if (typeof fallthrough === "number") return serve(flag, fallthrough, flag.rules.length > 0 ? "DEFAULT" : "STATIC", { snapshot });
	if (key === undefined) return serve(flag, flag.off, "DEFAULT", { snapshot, noKey: true });
	const bucket = bucketOf(key, flag.seed);
	return serve(flag, variantAt(fallthrough, bucket), "SPLIT", { snapshot, bucket });
}

function rolledOut(flag: PackedFlag, rollout: PackedRollout, overlay: ActiveOverlay, key: string | undefined, snapshot: number): Resolved {
	const overlaidBy = overlay.baseline.get(rollout.key);
	if (overlaidBy !== undefined) return serve(flag, rollout.baseline, "DEFAULT", { snapshot, rollout: rollout.key, overlay: overlaidBy });
	if (key === undefined) return serve(flag, rollout.baseline, "DEFAULT", { snapshot, rollout: rollout.key, noKey: true });
	const bucket = bucketOf(key, rollout.seed);
	const variant = bucket < rollout.served ? rollout.candidate : rollout.baseline;
	return serve(flag, variant, "SPLIT", { snapshot, rollout: rollout.key, phase: rollout.phase, bucket });
}

function serve(flag: PackedFlag, variant: number, reason: Resolved["reason"], metadata: Metadata): Resolved {
	const value = flag.values[variant];
	const name = flag.names[variant];
	if (value === undefined || name === undefined) throw new Error(`no variant ${variant}`);
	return { value, variant: name, reason, metadata };
}

function variantAt(split: Exclude<PackedServe, number>, bucket: number): number {
	for (const [below, variant] of split) if (bucket < below) return variant;
	throw new Error(`no part of the split holds bucket ${bucket}`);
}

/** An empty key buckets nobody: it is what a client sends that does not know its user yet. */
export function targetingKeyOf(context: Context): string | undefined {
	const key = Object.hasOwn(context, "targetingKey") ? context["targetingKey"] : undefined;
	return typeof key === "string" && key !== "" ? key : undefined;
}
