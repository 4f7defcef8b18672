import * as z from "zod";
import { BUCKETS } from "../flags/bucket";
import { type FieldError, environmentName, flagKey } from "../flags/model";
import { bucketsOf } from "../flags/snapshot";
import {
	type Criterion,
	type Limit,
	type Role,
	type VersusBaseline,
	type VersusControl,
	parseCriterion,
	printCriterion,
	signalKeyOf,
} from "../health/criteria";
import { metricsBy } from "../metric";
import { storedMetric } from "../metricModel";
import { SLOTS_MAX } from "../telemetry";
import { durationMs } from "./duration";

/** What a rollout was approved to do. Plans are data: the engine in decide.ts runs them all. */

const DEFAULT_HOLDBACK_PERCENT = 5;

const percent = z
	.number()
	.min(0)
	.max(100)
	.refine((value) => Math.abs(value * 1_000 - Math.round(value * 1_000)) < 1e-6, "has more than three decimals");
const duration = z.string().refine((text) => durationMs(text) !== undefined, 'is no duration: write "90s", "5m", "2h" or "3d"');
const text = z.string().max(200);
const criteria = z.array(text).max(20);
/** One that is optional is left out of the level as long as nobody reports its metric. */
const limits = z.array(z.union([text, z.strictObject({ criterion: text, optional: z.boolean().default(true) })])).max(20);

const phase = z.strictObject({
	name: z.string().min(1).max(63).optional(),
	percent,
	hold: duration.describe("how long the phase lasts at least, counted over ticks that had data"),
	min_users: z.int().min(1).max(1_000_000).optional(),
	criteria: limits
		.default([])
		.describe('what must hold, as in "error_rate < 3%", or {criterion, optional: true} for a metric that is rarely reported'),
});

/** A rollout's key is its plan's name and its attempt, `name.2`, within 63 characters. */
export const planName = flagKey.max(57);

export const plan = z.strictObject({
	rollout: planName,
	environment: environmentName,
	strategy: z.literal("phased").default("phased"),
	flags: z.array(flagKey).min(1).max(50),
	candidate: z.string().max(63).optional().describe('the variant to roll out; default "true" for boolean flags'),
	phases: z.array(phase).min(1).max(50),
	guards: criteria
		.default([])
		.describe(
			'compared with control, as in "error_rate vs control <= +25%", or with what was measured before: "latency_ms p95 vs baseline <= +20%"',
		),
	red_flags: criteria.default([]).describe('what must never be, as in "error_rate > 10%"'),
	min_users: z.int().min(1).max(1_000_000).default(100),
	exclude: z
		.strictObject({ keys: z.array(z.string().min(1).max(1_000)).max(1_000).default([]), segments: z.array(flagKey).max(20).default([]) })
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
});

/**
 * As stored: with the definitions of the metrics that it names, so that it means the same for ever. A field that this version
 * does not know is dropped, so that a rollout outlives a deployment and its return.
 */
export const storedPlan = z.object({
	...plan.shape,
	phases: z.array(z.object(phase.shape)),
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

/** Buckets that are served the candidate in a phase: min(percent, 100 − holdback). */
export function servedIn(of: Plan, index: number): number {
	return bucketsOf(Math.min(of.phases[index]?.percent ?? 0, 100 - holdbackOf(of)));
}

/** A limit of a phase; an optional one that nobody reports is no reason to wait. */
export interface PhaseLimit extends Limit {
	readonly optional: boolean;
}

/** A plan's criteria as structures. */
export interface Criteria {
	readonly guards: readonly VersusControl[];
	readonly baselines: readonly VersusBaseline[];
	readonly redFlags: readonly Limit[];
	/** By phase. */
	readonly phases: readonly (readonly PhaseLimit[])[];
}

/** Plans are data and never change: each is parsed once. */
const parsedPlans = new WeakMap<Plan, Criteria>();

export function criteriaIn(of: Plan): Criteria {
	const known = parsedPlans.get(of);
	if (known) return known;
	const metrics = metricsBy(of.metrics);
	const parsed = (given: string, role: Role): Criterion => {
		const result = parseCriterion(given, role, metrics);
		// checkPlan refused what does not parse before the plan was stored. To drop a guard would be worse than to stop.
		if (!result.ok) throw new Error(`the plan has the invalid ${role} "${given}"`);
		return result.value;
	};
	const guards = of.guards.map((each) => parsed(each, "guard"));
	const found: Criteria = {
		guards: guards.filter((each) => each.kind === "versus_control"),
		baselines: guards.filter((each) => each.kind === "versus_baseline"),
		redFlags: of.red_flags.map((each) => parsed(each, "red flag")).filter((each) => each.kind === "limit"),
		phases: of.phases.map(({ criteria: own }) =>
			own.flatMap((each) => {
				const limit = parsed(textOf(each), "criterion");
				return limit.kind === "limit" ? { ...limit, optional: typeof each === "object" && each.optional } : [];
			}),
		),
	};
	parsedPlans.set(of, found);
	return found;
}

const textOf = (given: Phase["criteria"][number]): string => (typeof given === "string" ? given : given.criterion);

/** All limits that may roll back share one α, so every one of the plan counts, not only this phase's. */
export function limitCount(of: Plan): number {
	const { baselines, redFlags, phases } = criteriaIn(of);
	return baselines.length + redFlags.length + phases.reduce((sum, each) => sum + each.length, 0);
}

/** Every signal of a plan once, with a criterion that asks for it, in an order that its phases do not change. */
export function signalKeysOf(of: Plan): readonly { readonly key: string; readonly metric: string; readonly by: Criterion }[] {
	const { guards, baselines, redFlags, phases } = criteriaIn(of);
	const found = new Map<string, Criterion>();
	for (const by of [...guards, ...baselines, ...redFlags, ...phases.flat()]) {
		const key = signalKeyOf(by);
		if (!found.has(key)) found.set(key, by);
	}
	return [...found].map(([key, by]) => ({ key, metric: by.metric, by }));
}

/** What the schema of single fields cannot say. Empty: the plan can run, as far as it alone can tell. */
export function checkPlan(of: Plan): readonly FieldError[] {
	const errors: FieldError[] = [];
	const metrics = metricsBy(of.metrics);
	let isParsed = true;
	const check = (texts: readonly string[], role: Role, pointer: string): void =>
		texts.forEach((given, i) => {
			const result = parseCriterion(given, role, metrics);
			if (result.ok) return;
			isParsed = false;
			errors.push({ pointer: `${pointer}/${i}`, message: `${result.error.message} (at character ${result.error.position + 1})` });
		});
	check(of.guards, "guard", "/guards");
	check(of.red_flags, "red flag", "/red_flags");
	of.flags.forEach((flag, i) => {
		if (of.flags.indexOf(flag) !== i) errors.push({ pointer: `/flags/${i}`, message: `"${flag}" is named twice` });
	});
	of.phases.forEach((each, i) => {
		check(each.criteria.map(textOf), "criterion", `/phases/${i}/criteria`);
		const before = of.phases[i - 1];
		if (before && each.percent < before.percent)
			errors.push({
				pointer: `/phases/${i}/percent`,
				message: `${each.percent} % falls below the ${before.percent} % of the phase before`,
			});
		if (each.percent === 0) errors.push({ pointer: `/phases/${i}/percent`, message: "0 % serves nobody" });
	});
	const last = of.phases.at(-1);
	if (last && last.percent !== 100)
		errors.push({ pointer: `/phases/${of.phases.length - 1}/percent`, message: "the last phase serves 100 %" });
	return isParsed ? [...errors, ...checkJudged(of)] : errors;
}

/** Whether something judges every phase, and no more than can be told apart. The plan's criteria parse. */
function checkJudged(of: Plan): readonly FieldError[] {
	const errors: FieldError[] = [];
	const { guards, baselines, phases } = criteriaIn(of);
	phases.forEach((own, i) => {
		const hasControl = servedIn(of, i) < BUCKETS;
		// What nobody need report may never judge anything.
		const isJudged = own.some(({ optional }) => !optional) || baselines.length > 0 || (guards.length > 0 && hasControl);
		if (!isJudged)
			errors.push({
				pointer: `/phases/${i}`,
				message:
					hasControl || guards.length === 0
						? "nothing judges this phase: add guards to the plan or criteria to the phase"
						: "without a holdback there is no control here, so guards cannot judge: add criteria, or a holdback",
			});
	});
	const compared = [...guards, ...baselines];
	compared.forEach((each, i) => {
		const same = compared.findIndex((other) => printCriterion(other, "guard") === printCriterion(each, "guard"));
		// Evidence that is told twice would count twice.
		if (same !== i)
			errors.push({ pointer: `/guards/${of.guards.indexOf(each.text)}`, message: `says the same as "${compared[same]?.text ?? ""}"` });
	});
	for (const [metric, keys] of Map.groupBy(signalKeysOf(of), (each) => each.metric))
		if (keys.length > SLOTS_MAX)
			errors.push({ pointer: "", message: `${keys.length} different limits of ${metric} > limit ${SLOTS_MAX} a plan` });
	return errors;
}
