import type { Point } from "../telemetry";
import { bucketingKeyOf } from "./bucketingKey";
import { evaluate } from "./evaluate";
import type { Context } from "./match";
import { type ActiveOverlay, assigning } from "./overlay";
import { type Ring, ringOf } from "./rings";
import type { Snapshot } from "./ruleset";
import type { MeasuredRollout, ServedBefore } from "./snapshot";

/** Which rollout an event is evidence for, and in which arm its user was when it happened. */
export interface Attribution extends Pick<Point, "rollout" | "stage" | "served" | "ring" | "arm" | "flag" | "variant"> {
	/** The value that was hashed into the bucket: who counts as one. Empty where it is not known. */
	readonly unit: string;
	/** What measures it; undefined outside a rollout. */
	readonly by: MeasuredRollout | undefined;
}

/**
 * Bucketing is deterministic, so an event needs no join: evaluating again tells the arm, and the client is not trusted about
 * it. Only resolutions that a rollout's own step made count: neither rules nor overlaid users, nor contexts without an
 * attribute that a rule looks at (with it the user might have been somewhere else). A flag that is measured for its own sake
 * has its other outcomes counted outside any rollout.
 */
export function attribute(
	snapshot: Snapshot,
	active: ActiveOverlay,
	event: { readonly flag: string | undefined; readonly context: Context; readonly atMs: number },
	isVisible: (flag: string) => boolean = () => true,
): Attribution[] {
	const overlay = assigning(active);
	const { rollouts, flags: measuredFlags } = snapshot.measured();
	const isMeant = (flag: string): boolean => (event.flag === undefined || flag === event.flag) && isVisible(flag);
	const found = rollouts.flatMap((by): Attribution[] => {
		const then = servedAt(by, event.atMs);
		// Of a phase that nobody knows any more: shown, and no evidence. Before the rollout there is nothing to show.
		if (!then && (by.before?.stage ?? 1) > 1 && by.flags.some(isMeant))
			return [{ rollout: by.key, stage: by.stage, served: by.served, by, unit: "", arm: "unattributed", flag: "", variant: "" }];
		if (!then) return [];
		// One cohort for all flags of a rollout: whichever flag reached the rollout's step, the bucket is the same.
		const flags = by.flags.filter((flag) => isMeant(flag) && (then.flags?.includes(flag) ?? true));
		const places = flags.map((flag) => placeOf(snapshot, overlay, flag, event.context));
		const known = places.find((place) => place.kind === "rollout");
		const { stage, served } = then;
		const base = { rollout: by.key, stage, served, by };
		if (known) {
			const ring = then.rings ? ringOf(then.rings, snapshot, event.context) : { served };
			// Then they were in no ring of it yet.
			if (!ring) return [];
			const arm = known.bucket < ring.served ? "candidate" : "control";
			return [{ ...base, ...told(ring), unit: known.key, arm, flag: known.flag, variant: known.variant }];
		}
		return places.some((place) => place.kind === "unattributed") ? [{ ...base, unit: "", arm: "unattributed", flag: "", variant: "" }] : [];
	});
	for (const flag of measuredFlags) {
		if (!isMeant(flag)) continue;
		const place = placeOf(snapshot, overlay, flag, event.context);
		if (place.kind !== "outside") continue;
		const { key: unit, variant } = place;
		found.push({ rollout: "", stage: 0, served: 0, arm: "outside", by: undefined, flag, variant, unit });
	}
	return found;
}

const told = ({ served, number }: Omit<Ring, "segment">): Pick<Point, "served" | "ring"> =>
	number === undefined ? { served } : { served, ring: number };

/** What was served when the event happened; undefined before the phase before this one, and before the rollout: no evidence. */
function servedAt(rollout: MeasuredRollout, atMs: number): ServedBefore | undefined {
	if (atMs >= rollout.sinceMs) return rollout;
	return rollout.before && atMs >= rollout.before.sinceMs ? rollout.before : undefined;
}

type Place =
	| { readonly kind: "rollout"; readonly flag: string; readonly variant: string; readonly bucket: number; readonly key: string }
	/** It got to the rollout's step past a condition that lacked its attribute. */
	| { readonly kind: "unattributed" }
	/** Something else than a rollout decided. */
	| { readonly kind: "outside"; readonly variant: string; readonly key: string }
	| { readonly kind: "nowhere" };

function placeOf(snapshot: Snapshot, overlay: ActiveOverlay, flagKey: string, context: Context): Place {
	const walk = { isIncomplete: false };
	const resolution = evaluate(snapshot, overlay, flagKey, context, walk);
	if (resolution.reason === "ERROR") return { kind: "nowhere" };
	const { metadata, variant } = resolution;
	const flag = snapshot.flag(flagKey);
	const key = flag === undefined || flag === "corrupt" ? undefined : bucketingKeyOf(context, flag.bucketBy);
	const { rollout, bucket } = metadata;
	// Nor is it known of whom a ring's segment knows too little.
	if (walk.isIncomplete && (bucket !== undefined || metadata.outside === true) && rollout !== undefined) return { kind: "unattributed" };
	if (rollout === undefined || bucket === undefined) return { kind: "outside", variant, key: key ?? "" };
	return key === undefined ? { kind: "nowhere" } : { kind: "rollout", flag: flagKey, variant, bucket, key };
}
