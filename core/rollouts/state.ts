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

const ring = z.object({ segment: z.string().nullable(), served: z.number() });
const servedBefore = z.object({
	stage: z.number(),
	served: z.number(),
	sinceMs: z.number(),
	rings: z.array(ring).readonly().exactOptional(),
	/** Its flags then, where others have joined since. */
	flags: z.array(z.string()).readonly().exactOptional(),
});

const approval = z.object({ by: z.string(), atMs: z.number(), reason: z.string() });

/** How it was started; kept as long as it is not over. */
const launched = {
	/** Which launch of this candidate it is, counted from 1. */
	launch: z.number().default(1),
	fromPhase: z.number().default(0),
	/** When somebody started it, or the time that they wanted it to start: days of the plan are counted from here. */
	launchedAtMs: z.number().default(0),
	/** Nothing advances by itself. */
	manual: z.boolean().default(false),
	author: z.string().default(""),
	/** Versions of the flags as they were at the start. */
	versions: z.record(z.string(), z.number()).default({}),
};

const live = {
	...launched,
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
	/** What people have added to the hold of this phase. */
	extendedMs: z.number().default(0),
	/** Flags that were taken back while the others went on. */
	dropped: z.array(z.string()).default([]),
	/** Who was taken back while the others went on, besides those whom the plan excludes. */
	excluded: z.object({ keys: z.array(z.string()), segments: z.array(z.string()) }).default({ keys: [], segments: [] }),
	/** On the way back: what is served still, in percent of users, and since when. */
	lowered: z.object({ percent: z.number(), sinceMs: z.number() }).nullable().default(null),
	/** Who has approved the next phase. */
	approvals: z.array(approval).default([]),
	watch,
};

export const rolloutState = z.discriminatedUnion("status", [
	z.object({ status: z.literal("draft") }),
	z.object({ status: z.literal("scheduled"), ...launched, startsAtMs: z.number(), by: z.string() }),
	z.object({ status: z.literal("validating"), ...launched, sinceMs: z.number(), by: z.string(), approvals: z.array(approval).default([]) }),
	z.object({ status: z.literal("running"), ...live }),
	z.object({ status: z.literal("awaiting_approval"), ...live, askedAtMs: z.number() }),
	z.object({ status: z.literal("paused"), ...live, pausedAtMs: z.number(), by: z.string(), reason: z.string() }),
	z.object({
		status: z.literal("rolling_back"),
		...live,
		stages: z.array(z.number()),
		by: z.string(),
		reason: z.string(),
		trigger: z.string(),
	}),
	z.object({ status: z.literal("rolled_back"), atMs: z.number(), fromPhase: z.number(), by: z.string(), reason: z.string() }),
	z.object({ status: z.literal("completed"), atMs: z.number(), by: z.string() }),
	z.object({ status: z.literal("cancelled"), atMs: z.number(), by: z.string(), reason: z.string() }),
]);

export type RolloutState = z.infer<typeof rolloutState>;
export type Status = RolloutState["status"];
export type LiveState = Extract<RolloutState, { watch: unknown }>;
export type RunningState = Extract<RolloutState, { status: "running" }>;
/** Started, and nobody is served anything yet. */
export type WaitingState = Extract<RolloutState, { status: "scheduled" | "validating" }>;
export type Watch = z.infer<typeof watch>;
export type GuardWatch = z.infer<typeof guardWatch>;
export type Approval = z.infer<typeof approval>;
export type Launched = Pick<LiveState, "launch" | "fromPhase" | "launchedAtMs" | "manual" | "author" | "versions">;

/** Edges serve it. */
export const LIVE = ["running", "awaiting_approval", "paused", "rolling_back"] as const satisfies readonly Status[];
/** Its flags are its own: nobody else's rollout may have them. */
export const ACTIVE = ["scheduled", "validating", ...LIVE] as const satisfies readonly Status[];

export function isLive(state: RolloutState): state is LiveState {
	return (LIVE as readonly Status[]).includes(state.status);
}

export function isWaiting(state: RolloutState): state is WaitingState {
	return state.status === "scheduled" || state.status === "validating";
}

export const isActive = (state: RolloutState): state is LiveState | WaitingState => isLive(state) || isWaiting(state);
