import { bucketingKeyOf } from "./bucketingKey";
import { evaluate } from "./evaluate";
import type { Context } from "./match";
import type { ActiveOverlay } from "./overlay";
import type { Snapshot } from "./ruleset";
import type { MeasuredRollout, ServedBefore } from "./snapshot";

/** Which rollout an event is evidence for, and in which arm its user was when it happened. */
export interface Attribution {
	readonly rollout: string;
	readonly stage: number;
	/** Buckets that were served the candidate when the event happened, of 100,000. */
	readonly served: number;
	/** `unattributed`: its context lacks an attribute that a rule looks at. It is counted and shown, and is no evidence. */
	readonly arm: "candidate" | "control" | "unattributed";
	/** The value that was hashed into the bucket: who counts as one. Empty where it is not known. */
	readonly unit: string;
}

/**
 * Bucketing is deterministic, so an event needs no join: evaluating again tells the arm, and the client is not trusted about
 * it. Only resolutions that a rollout's own step made count: neither rules nor overlaid users, nor contexts without an
 * attribute that a rule looks at (with it the user might have been somewhere else).
 */
export function attribute(
	snapshot: Snapshot,
	overlay: ActiveOverlay,
	event: { readonly flag: string | undefined; readonly context: Context; readonly atMs: number },
	isVisible: (flag: string) => boolean = () => true,
): Attribution[] {
	return snapshot.measured().flatMap((rollout) => {
		const then = servedAt(rollout, event.atMs);
		if (!then) return [];
		const flags = rollout.flags.filter((flag) => (event.flag === undefined || flag === event.flag) && isVisible(flag));
		// One cohort for all flags of a rollout: whichever flag reached the rollout's step, the bucket is the same.
		const places = flags.map((flag) => placeInRollout(snapshot, overlay, flag, event.context));
		const known = places.find((place) => typeof place === "object");
		const { stage, served } = then;
		const base = { rollout: rollout.key, stage, served };
		if (known) return { ...base, unit: known.key, arm: known.bucket < served ? ("candidate" as const) : ("control" as const) };
		return places.includes("unattributed") ? { ...base, unit: "", arm: "unattributed" as const } : [];
	});
}

/** What was served when the event happened; undefined before the phase before this one, and before the rollout: no evidence. */
function servedAt(rollout: MeasuredRollout, atMs: number): ServedBefore | undefined {
	if (atMs >= rollout.sinceMs) return rollout;
	return rollout.before && atMs >= rollout.before.sinceMs ? rollout.before : undefined;
}

/** `unattributed`: it got to the rollout's step past a condition that lacked its attribute. */
function placeInRollout(
	snapshot: Snapshot,
	overlay: ActiveOverlay,
	flagKey: string,
	context: Context,
): { readonly bucket: number; readonly key: string } | "unattributed" | undefined {
	const walk = { isIncomplete: false };
	const { rollout, bucket } = evaluate(snapshot, overlay, flagKey, context, walk).metadata;
	if (rollout === undefined || bucket === undefined) return undefined;
	if (walk.isIncomplete) return "unattributed";
	const flag = snapshot.flag(flagKey);
	const key = flag === undefined || flag === "corrupt" ? undefined : bucketingKeyOf(context, flag.bucketBy);
	return key === undefined ? undefined : { bucket, key };
}
