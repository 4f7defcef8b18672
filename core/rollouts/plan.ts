import * as z from "zod";
import { type Check, storedChecks } from "../checks/model";
import { takesOrFields, takesShape, textsInList } from "../flags/fieldErrors";
import { environmentName, flagKey, instant } from "../flags/model";
import { parseInstant } from "../flags/instant";
import { bucketsOf } from "../flags/snapshot";
import { storedMetric } from "../metricModel";
import { criteriaIn } from "./planCriteria";
import { durationMs } from "./duration";
import { duration } from "./durationField";
import { wayBackBy } from "./wayBack";

/** What a rollout was approved to do. Plans are data: strategies only write phases, and the engine in decide.ts runs them all. */

const PLAN_STRATEGIES = ["phased", "canary", "percentage", "ring", "blue-green", "schedule", "compare-first"] as const;
export type PlanStrategy = (typeof PLAN_STRATEGIES)[number];

const DEFAULT_HOLDBACK_PERCENT = 5;
export const PHASES_MAX = 50;
/** Of a phase; with those of the plan, which every phase has. */
export const CRITERIA_MAX = 20;

export const percent = z
	.number()
	.min(0)
	.max(100)
	.refine((value) => Math.abs(value * 1_000 - Math.round(value * 1_000)) < 1e-6, "has more than three decimals");
const text = z.string().max(200);
const flagList = z.array(flagKey, textsInList).max(50);

/** A rollout's key is its plan's name and its attempt, `name.2`, within 63 characters. */
const planName = flagKey.max(57);

const POLICIES = ["hold", "rollback", "advance"] as const;
/** What happens when something took too long. Advance leaves out a proof, and never a guard or missing evidence. */
export type Policy = (typeof POLICIES)[number];

/** `object`: z.strictObject refuses unknown fields, as plans are read; z.object drops them, so that a rollout outlives a deployment and its return. */
export function fieldsBy<C extends z.ZodType<Check[]>>(object: typeof z.strictObject, checks: C) {
	/** One that is optional is left out of the level as long as nobody reports its metric. */
	const limits = z.array(z.union([text, object({ criterion: text, optional: z.boolean().default(true) })]), textsInList).max(CRITERIA_MAX);
	const guards = z.array(z.union([text, object({ guard: text, flag: flagKey })]), textsInList).max(20);
	const timeout = z.union([duration, object({ after: duration.optional(), policy: z.enum(POLICIES).default("hold") })]);
	const approval = z.union(
		[z.enum(["auto", "manual"]), object({ approvers: z.int().min(1).max(10) })],
		takesOrFields("auto, manual or {approvers: 2}"),
	);
	const comparedBy = z.enum(["gateway", "application"]);
	const notBefore = z.union(
		[object({ day: z.int().min(1).max(3_650).describe("the first is the day of the start") }), instant],
		takesOrFields('{day: 8}, or a time as in "2026-01-31T12:00:00Z"'),
	);
	const phase = {
		name: z.string().min(1).max(63).optional(),
		percent,
		hold: duration.describe("how long the phase lasts at least, counted over ticks that had data"),
		min_users: z.int().min(1).max(1_000_000).optional(),
		criteria: limits
			.default([])
			.describe('what must hold, as in "error_rate < 3%", or {criterion, optional: true} for a metric that is rarely reported'),
		flags: flagList.default([]).describe("flags that join in this phase, and move with the rollout from then on"),
		audience: flagKey.optional().describe("a segment: who is served besides the phases before; default everybody"),
		approval: approval
			.default("auto")
			.describe("before the phase is entered: auto, manual, or {approvers: 2}, none of them the plan's author"),
		timeout: timeout.optional().describe("default 4 × hold, then hold and alert"),
		not_before: notBefore.optional().describe("the phase is not entered before that day or time"),
		checks: checks.describe("before the phase is entered, or during it"),
		shadow: z.boolean().default(false).describe("nobody is served the candidate: its answers are compared"),
		shadow_by: comparedBy.optional().describe("of a shadow phase: who asks both; default gateway"),
	};
	const plan = {
		rollout: planName,
		environment: environmentName,
		strategy: z.enum(PLAN_STRATEGIES).default("phased"),
		candidate: z.string().max(63).optional().describe('the variant to roll out; default "true" for boolean flags'),
		target_percent: percent.default(100).describe("where the rollout ends; below 100 its flags keep a split"),
		guards: guards
			.default([])
			.describe(
				'compared with control, as in "error_rate vs control <= +25%", or with what was measured before: "latency_ms p95 vs baseline <= +20%"; {guard, flag} looks at the events that name the flag',
			),
		red_flags: z.array(text, textsInList).max(20).default([]).describe('what must never be, as in "error_rate > 10%"'),
		min_users: z.int().min(1).max(1_000_000).default(100),
		exclude: object(
			{
				keys: z.array(z.string().min(1).max(1_000), textsInList).max(1_000).default([]),
				segments: z.array(flagKey, textsInList).max(20).default([]),
			},
			takesShape("{keys: [ann]} or {segments: [resellers]}"),
		)
			.default({ keys: [], segments: [] })
			.describe("who stays on the baseline and is no part of the rollout"),
		holdback: percent
			.max(50)
			.optional()
			.describe("percent of users who stay on the baseline until completion; default 5 with guards, else 0"),
		on_control_loss: z
			.enum(["hold", "retreat"])
			.default("hold")
			.describe("what edges do when nobody has guarded the rollout for 15 minutes: go on, or serve the baseline"),
		advance: z
			.enum(["standard", "relaxed", "strict"])
			.default("standard")
			.describe("standard asks that a doubling of harm is ruled out, strict that the guards' margins are kept, relaxed neither"),
		sensitivity: z
			.enum(["standard", "fast"])
			.default("standard")
			.describe("fast proves harm sooner, and is wrong four times as often: α = 5 %"),
		baseline_window: duration.default("10m").describe("how long the baseline is measured, at 0 %, where a guard compares with it"),
		approval_timeout: timeout.default("24h").describe("how long an approval is waited for; then hold and alert, rollback, or advance"),
		checks: checks.describe("before anybody is served, or during every phase"),
		rollback: wayBackBy(object).prefault({}).describe("how users are taken back"),
	};
	return { phase: object(phase), plan, limits, approval, timeout, notBefore, comparedBy };
}

const stored = fieldsBy(z.object, storedChecks.default([]));

/** As stored: phases written out, with the definitions of the metrics that it names, so that it means the same for ever. */
export const storedPlan = z.object({
	...stored.plan,
	/** All of them, those too that join later. */
	flags: flagList.min(1),
	phases: z.array(stored.phase).min(1).max(PHASES_MAX),
	metrics: z.array(storedMetric).default([]),
});

export type Plan = z.infer<typeof storedPlan>;
export type Phase = Plan["phases"][number];

/** Before the first phase, where a guard compares with the baseline: nobody is served the candidate. */
export const BASELINE_PHASE = -1;

export function phaseName(of: Plan, index: number): string {
	return index === BASELINE_PHASE ? "baseline" : (of.phases[index]?.name ?? `phase_${index + 1}`);
}

export function holdbackOf(of: Plan): number {
	return of.holdback ?? (criteriaIn(of).guards.length > 0 ? DEFAULT_HOLDBACK_PERCENT : 0);
}

/** Buckets of a phase's audience that are served the candidate: min(percent, 100 − holdback). */
export function servedIn(of: Plan, index: number): number {
	return bucketsOf(Math.min(of.phases[index]?.percent ?? 0, 100 - holdbackOf(of)));
}

/** The audiences of a plan that goes ring by ring, in the order in which they join; null: everybody. A ring's number is its place, from 1. */
export function ringsIn({ phases }: Plan): readonly (string | null)[] {
	if (phases.every(({ audience }) => audience === undefined)) return [];
	return [...new Set(phases.flatMap(({ audience = null, shadow }) => (shadow ? [] : [audience])))];
}

/** The ring by whose users the present phase is judged; undefined: by everybody. */
export function newestRing(of: Plan, { phase }: { readonly phase: number }): number | undefined {
	const number = phase === BASELINE_PHASE ? 0 : ringsIn(of).indexOf(of.phases[phase]?.audience ?? null) + 1;
	return number > 0 ? number : undefined;
}

/** The flags that have joined by that phase. */
export function joinedFlags(of: Plan, index: number): readonly string[] {
	const later = new Set(of.phases.slice(Math.max(0, index) + 1).flatMap(({ flags }) => flags));
	return of.flags.filter((flag) => !later.has(flag));
}

/** Nobody is served the candidate in that phase, and it answers all the same. */
export const isShadow = (of: Plan, index: number): boolean => of.phases[index]?.shadow === true;

/** How many must approve before a phase is entered. */
export function approversOf(of: Plan, index: number): number {
	const approval = of.phases[index]?.approval ?? "auto";
	if (typeof approval === "object") return approval.approvers;
	return approval === "manual" ? 1 : 0;
}

const TIMEOUT_HOLDS = 4;
/** Of phases that need no time: what they do need takes some. */
const TIMEOUT_MIN_MS = 3_600_000;
const DAY_MS = 86_400_000;

interface Timeout {
	readonly afterMs: number;
	readonly policy: Policy;
}

/** How long a phase may take, counted from its begin. */
export function timeoutOf(of: Plan, index: number): Timeout {
	const { hold, timeout } = of.phases[index] ?? { hold: of.baseline_window };
	const { after, policy } = typeof timeout === "object" ? timeout : { after: timeout, policy: "hold" as const };
	return { afterMs: durationMs(after ?? "") ?? Math.max(TIMEOUT_HOLDS * (durationMs(hold) ?? 0), TIMEOUT_MIN_MS), policy };
}

export function approvalTimeoutOf({ approval_timeout: timeout }: Plan): Timeout {
	const { after, policy } = typeof timeout === "object" ? timeout : { after: timeout, policy: "hold" as const };
	return { afterMs: durationMs(after ?? "") ?? DAY_MS, policy };
}

/** When a phase may be entered at the earliest; 0: at any time. */
export function notBeforeMs(of: Plan, index: number, startedAtMs: number): number {
	const given = of.phases[index]?.not_before;
	if (given === undefined) return 0;
	return typeof given === "object" ? startedAtMs + (given.day - 1) * DAY_MS : (parseInstant(given) ?? 0);
}
