import { evaluate } from "./evaluate";
import { type Context, isPresent } from "./match";
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
): Attribution[] {
	return snapshot.measured().flatMap((rollout) => {
		const then = servedAt(rollout, event.atMs);
		if (!then) return [];
		const flags = event.flag === undefined ? rollout.flags : rollout.flags.filter((flag) => flag === event.flag);
		// One cohort for all flags of a rollout: whichever flag reached the rollout's step, the bucket is the same.
		const buckets = flags.map((flag) => bucketInRollout(snapshot, overlay, flag, event.context));
		const known = buckets.find((bucket) => typeof bucket === "number");
		const { key } = rollout;
		const { stage, served } = then;
		if (known !== undefined) return { rollout: key, stage, served, arm: known < served ? ("candidate" as const) : ("control" as const) };
		return buckets.includes("unattributed") ? { rollout: key, stage, served, arm: "unattributed" as const } : [];
	});
}

/** What was served when the event happened; undefined before the phase before this one, and before the rollout: no evidence. */
function servedAt(rollout: MeasuredRollout, atMs: number): ServedBefore | undefined {
	if (atMs >= rollout.sinceMs) return rollout;
	return rollout.before && atMs >= rollout.before.sinceMs ? rollout.before : undefined;
}

function bucketInRollout(
	snapshot: Snapshot,
	overlay: ActiveOverlay,
	flagKey: string,
	context: Context,
): number | "unattributed" | undefined {
	const { rollout, bucket } = evaluate(snapshot, overlay, flagKey, context).metadata;
	if (rollout === undefined || bucket === undefined) return undefined;
	const flag = snapshot.flag(flagKey);
	if (flag === undefined || flag === "corrupt") return undefined;
	return flag.rules.every(({ when }) => isPresent(context, when.attribute)) ? bucket : "unattributed";
}
