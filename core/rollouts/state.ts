import * as z from "zod";

/** The state of a rollout: a union by `status`, each arm with its own fields only. The schema also guards what D1 returns; a field
 * that this version does not know is dropped, so that a rollout outlives a deployment and its return. */

const bets = z.object({ toleratedRatio: z.number(), stakes: z.array(z.number()), reserve: z.number() });

const guardWatch = z.object({
	/** The evidence for harm beyond the plan's margin. */
	harm: bets,
	/** The evidence that harm has more than tripled. */
	tripling: bets,
	/** Log evidence against a doubling, from this phase alone. */
	doubling: z.array(z.number()),
	/** First harms of this phase: x of k in the candidate, and both sides weighted by the other's share (Mantel–Haenszel). */
	harmed: z.number(),
	units: z.number(),
	candidateWeight: z.number(),
	controlWeight: z.number(),
	/** Share of the candidate's seen units that were harmed, as of the last tick. */
	harmedShare: z.number(),
	/** The same of control: above a limit the evidence stands still. */
	controlHarmedShare: z.number().default(0),
	/** Of a percentile's guard: what users' means say beside their first harms. */
	score: bets.nullable().default(null),
	/** Of a percentile's guard, since its warm-up: control's percentile, and the mean and spread of its users' mean ln values. */
	frozen: z.object({ limit: z.number(), center: z.number(), spread: z.number() }).nullable().default(null),
});

/** What the ticks have learnt so far. */
const watch = z.object({
	/** Up to where the metrics have been read; opaque, given out by the store. */
	watermark: z.string().nullable(),
	tickedAtMs: z.number(),
	/** Up to when the evidence's minutes have been counted. */
	appliedAtMs: z.number(),
	/** Time in this phase, over ticks that had data. */
	heldMs: z.number(),
	/** Ticks with data in this phase. */
	ticks: z.number(),
	/** Ticks in a row without any data, and reads in a row that failed. */
	quietTicks: z.number(),
	failedReads: z.number(),
	guards: z.array(guardWatch),
	/** Users at their first exposure, by the share that was served (buckets). */
	exposures: z.array(z.object({ served: z.number(), candidate: z.number(), control: z.number() })),
	/** What people have been alerted to and still holds: nobody is told twice. */
	alerting: z.array(z.string()).default([]),
});

const servedBefore = z.object({ stage: z.number(), served: z.number(), sinceMs: z.number() });

const live = {
	startedAtMs: z.number(),
	/** False-alarm rate of the whole rollout; halved by each relaunch. */
	alpha: z.number(),
	/** Index into the plan's phases; −1 while the baseline is measured. */
	phase: z.number(),
	/** How many phases have been entered: unlike `phase` it never comes twice. */
	stage: z.number(),
	sinceMs: z.number(),
	before: servedBefore.nullable(),
	/** Nobody guarded it, so its users went back: it serves nobody until it is resumed. */
	retreated: z.boolean().default(false),
	/** What was measured before the first phase, one for each guard that compares with it; null: nothing was, or not yet. */
	baseline: z.array(z.number()).nullable().default(null),
	watch,
};

export const rolloutState = z.discriminatedUnion("status", [
	z.object({ status: z.literal("draft") }),
	z.object({ status: z.literal("running"), ...live }),
	z.object({ status: z.literal("paused"), ...live, pausedAtMs: z.number(), by: z.string(), reason: z.string() }),
	z.object({ status: z.literal("rolled_back"), atMs: z.number(), fromPhase: z.number(), by: z.string(), reason: z.string() }),
	z.object({ status: z.literal("completed"), atMs: z.number(), by: z.string() }),
	z.object({ status: z.literal("cancelled"), atMs: z.number(), by: z.string(), reason: z.string() }),
]);

export type RolloutState = z.infer<typeof rolloutState>;
export type Status = RolloutState["status"];
export type LiveState = Extract<RolloutState, { status: "running" | "paused" }>;
export type Watch = z.infer<typeof watch>;
export type GuardWatch = z.infer<typeof guardWatch>;

export function isLive(state: RolloutState): state is LiveState {
	return state.status === "running" || state.status === "paused";
}
