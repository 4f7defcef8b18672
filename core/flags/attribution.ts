import { evaluate } from "./evaluate";
import { type Context, isPresent } from "./match";
import type { ActiveOverlay } from "./overlay";
import type { Snapshot } from "./ruleset";

/** Which rollout an event is evidence for, and in which arm its user was when it happened. */
export interface Attribution {
	readonly rollout: string;
	readonly stage: number;
	/** Buckets that were served the candidate when the event happened, of 100,000. */
	readonly served: number;
	readonly arm: "candidate" | "control";
}

/**
 * Bucketing is deterministic, so an event needs no join: evaluating again tells the arm, and the client is not trusted about
 * it. Only resolutions that a rollout's own step made count: neither targets and rules, nor overlaid users, nor contexts
 * without an attribute that a rule looks at (with it the user might have been somewhere else).
 */
export function attribute(
	snapshot: Snapshot,
	overlay: ActiveOverlay,
	event: { readonly flag: string | undefined; readonly context: Context; readonly atMs: number },
): Attribution[] {
	const found: Attribution[] = [];
	for (const rollout of snapshot.measured()) {
		const flags = event.flag === undefined ? rollout.flags : rollout.flags.filter((flag) => flag === event.flag);
		for (const flag of flags) {
			const bucket = bucketInRollout(snapshot, overlay, flag, event.context);
			if (bucket === undefined) continue;
			// Before the phase began the previous share was served; before the rollout began, none: no evidence.
			const then = event.atMs >= rollout.sinceMs ? rollout : rollout.before;
			if (then)
				found.push({ rollout: rollout.key, stage: then.stage, served: then.served, arm: bucket < then.served ? "candidate" : "control" });
			// One cohort for all flags of a rollout: whichever flag reached the rollout's step, the arm is the same.
			break;
		}
	}
	return found;
}

function bucketInRollout(snapshot: Snapshot, overlay: ActiveOverlay, flagKey: string, context: Context): number | undefined {
	const resolution = evaluate(snapshot, overlay, flagKey, context);
	const { rollout, bucket } = resolution.metadata;
	if (rollout === undefined || bucket === undefined) return undefined;
	const flag = snapshot.flag(flagKey);
	if (flag === undefined || flag === "corrupt") return undefined;
	const isKnown = flag.rules.every(({ when }) => isPresent(context, when.attribute));
	return isKnown ? bucket : undefined;
}
