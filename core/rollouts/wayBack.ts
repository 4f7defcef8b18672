import * as z from "zod";
import { takesShape, textsInList } from "../flags/fieldErrors";
import { flagKey } from "../flags/model";
import { duration } from "./durationField";

/** How a plan wants its users taken back: what the engine does by itself once harm is proven, and what follows it. */

export const STRATEGIES = ["immediate", "gradual", "feature", "targeted", "version", "full"] as const;
export type WayBackStrategy = (typeof STRATEGIES)[number];

const DEFAULT_STAGES = [75, 50, 25, 0];

/** A step is waited for so long at least and at most, whatever its plan says. */
export const STEP_MIN_MS = 1_000;
export const STEP_MAX_MS = 10_000;

const keys = z.array(z.string().min(1).max(1_000), textsInList).max(1_000);

/** As in plan.ts: strict as plans are read, lenient as they are stored. */
export function wayBackBy(object: typeof z.strictObject) {
	/** A webhook that is called once users are back: to purge a cache, to restart something, to tell somebody. */
	const step = object(
		{
			name: z.string().min(1).max(63),
			http: z.string().max(2_000).describe("where to: an https URL on the public Internet"),
			method: z.enum(["POST", "PUT", "PATCH", "DELETE", "GET"]).default("POST"),
			timeout: duration.default("10s").describe("1s to 10s"),
			retries: z.int().min(0).max(10).default(3),
		},
		takesShape("{name: purge, http: https://…}"),
	);
	return object(
		{
			strategy: z
				.enum(STRATEGIES)
				.default("immediate")
				.describe("what proven harm leads to; a failure (a red flag, or harm that has more than tripled) is always rolled back at once"),
			stages: z
				.array(z.number().min(0).max(100), takesShape("a list of percents: [75, 50, 25, 0]"))
				.min(1)
				.max(20)
				.default(DEFAULT_STAGES)
				.describe("gradual: percents of users, the last is 0; those at or above what is served are skipped"),
			every: duration.default("10m").describe("gradual: how long each stage lasts"),
			keys: keys.default([]).describe("targeted: who goes back; the rest goes on"),
			segments: z.array(flagKey, textsInList).max(20).default([]).describe("targeted: who goes back; the rest goes on"),
			versions: z
				.record(flagKey, z.int().min(1), takesShape("flags and their versions: {new-checkout: 3}"))
				.default({})
				.describe("version: flag → the version that is restored; default the one before the rollout started"),
			steps: z
				.array(step, takesShape("a list: [{name: purge, http: https://…}]"))
				.max(20)
				.default([])
				.describe("called one after the other once everybody is back"),
		},
		takesShape(`an object: {strategy: gradual}`),
	);
}

/** As it is stored with a plan. */
export const storedWayBack = wayBackBy(z.object);

export type WayBack = z.infer<ReturnType<typeof wayBackBy>>;
export type RollbackStep = WayBack["steps"][number];
