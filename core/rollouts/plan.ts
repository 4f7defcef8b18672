import * as z from "zod";
import { BUCKETS } from "../flags/bucket";
import { type FieldError, environmentName, flagKey } from "../flags/model";
import { bucketsOf } from "../flags/snapshot";
import { type Limit, type VersusControl, parseCriterion } from "../health/criteria";
import { durationMs } from "./duration";

/** What a rollout was approved to do. Plans are data: the engine in decide.ts runs them all. */

const DEFAULT_HOLDBACK_PERCENT = 5;

const percent = z
	.number()
	.min(0)
	.max(100)
	.refine((value) => Math.abs(value * 1_000 - Math.round(value * 1_000)) < 1e-6, "has more than three decimals");
const duration = z.string().refine((text) => durationMs(text) !== undefined, 'is no duration: write "90s", "5m", "2h" or "3d"');
const criteria = z.array(z.string().max(200)).max(20);

const phase = z.strictObject({
	name: z.string().min(1).max(63).optional(),
	percent,
	hold: duration.describe("how long the phase lasts at least, counted over ticks that had data"),
	min_users: z.int().min(1).max(1_000_000).optional(),
	criteria: criteria.default([]).describe('what must hold, as in "error_rate < 3%"'),
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
	guards: criteria.default([]).describe('harm compared with control, as in "error_rate vs control <= +25%"'),
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
	advance: z.enum(["standard", "relaxed"]).default("standard").describe("relaxed does not ask that a doubling of harm is ruled out"),
});

/** As stored: a field that this version does not know is dropped, so that a rollout outlives a deployment and its return. */
export const storedPlan = z.object({ ...plan.shape, phases: z.array(z.object(phase.shape)) });

export type Plan = z.infer<typeof plan>;
export type Phase = Plan["phases"][number];

export function phaseName(of: Plan, index: number): string {
	return of.phases[index]?.name ?? `phase_${index + 1}`;
}

export function holdbackOf(of: Plan): number {
	return of.holdback ?? (of.guards.length > 0 ? DEFAULT_HOLDBACK_PERCENT : 0);
}

/** Buckets that are served the candidate in a phase: min(percent, 100 − holdback). */
export function servedIn(of: Plan, index: number): number {
	return bucketsOf(Math.min(of.phases[index]?.percent ?? 0, 100 - holdbackOf(of)));
}

export function guardsOf(of: Plan): readonly VersusControl[] {
	return of.guards.map((text) => parsed(text, "guard") as VersusControl);
}
export function criteriaOf(of: Plan, index: number): readonly Limit[] {
	return (of.phases[index]?.criteria ?? []).map((text) => parsed(text, "criterion") as Limit);
}
export function redFlagsOf(of: Plan): readonly Limit[] {
	return of.red_flags.map((text) => parsed(text, "red flag") as Limit);
}
/** All limits that may roll back share one α, so every one of the plan counts, not only this phase's. */
export function limitCount(of: Plan): number {
	return of.red_flags.length + of.phases.reduce((sum, each) => sum + each.criteria.length, 0);
}

function parsed(text: string, role: Parameters<typeof parseCriterion>[1]) {
	const result = parseCriterion(text, role);
	// checkPlan refused what does not parse before the plan was stored.
	if (!result.ok) throw new Error(`stored plan has the invalid ${role} "${text}"`);
	return result.value;
}

/** What the schema of single fields cannot say. Empty: the plan can run, as far as it alone can tell. */
export function checkPlan(of: Plan): readonly FieldError[] {
	const errors: FieldError[] = [];
	const check = (texts: readonly string[], role: Parameters<typeof parseCriterion>[1], pointer: string): void =>
		texts.forEach((text, i) => {
			const result = parseCriterion(text, role);
			if (!result.ok)
				errors.push({ pointer: `${pointer}/${i}`, message: `${result.error.message} (at character ${result.error.position + 1})` });
		});
	check(of.guards, "guard", "/guards");
	check(of.red_flags, "red flag", "/red_flags");
	of.flags.forEach((flag, i) => {
		if (of.flags.indexOf(flag) !== i) errors.push({ pointer: `/flags/${i}`, message: `"${flag}" is named twice` });
	});
	of.phases.forEach((each, i) => {
		check(each.criteria, "criterion", `/phases/${i}/criteria`);
		const before = of.phases[i - 1];
		if (before && each.percent < before.percent)
			errors.push({
				pointer: `/phases/${i}/percent`,
				message: `${each.percent} % falls below the ${before.percent} % of the phase before`,
			});
		if (each.percent === 0) errors.push({ pointer: `/phases/${i}/percent`, message: "0 % serves nobody" });
		const hasControl = servedIn(of, i) < BUCKETS;
		if (each.criteria.length === 0 && (of.guards.length === 0 || !hasControl))
			errors.push({
				pointer: `/phases/${i}`,
				message:
					hasControl || of.guards.length === 0
						? "nothing judges this phase: add guards to the plan or criteria to the phase"
						: "without a holdback there is no control here, so guards cannot judge: add criteria, or a holdback",
			});
	});
	const last = of.phases.at(-1);
	if (last && last.percent !== 100)
		errors.push({ pointer: `/phases/${of.phases.length - 1}/percent`, message: "the last phase serves 100 %" });
	return errors;
}
