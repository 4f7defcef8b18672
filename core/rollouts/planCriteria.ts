import {
	type Criterion,
	type Limit,
	type Role,
	type VersusBaseline,
	type VersusControl,
	parseCriterion,
	scopedTo,
	signalKeyOf,
} from "../health/criteria";
import { metricsBy } from "../metric";
import type { Phase, Plan } from "./plan";

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
	const guards = of.guards.map((each) => scopedTo(parsed(guardText(each), "guard"), flagOf(each)));
	const found: Criteria = {
		guards: guards.filter((each) => each.kind === "versus_control"),
		baselines: guards.filter((each) => each.kind === "versus_baseline"),
		redFlags: of.red_flags.map((each) => parsed(each, "red flag")).filter((each) => each.kind === "limit"),
		phases: of.phases.map(({ criteria: own }) =>
			own.flatMap((each) => {
				const limit = parsed(limitText(each), "criterion");
				return limit.kind === "limit" ? { ...limit, optional: typeof each === "object" && each.optional } : [];
			}),
		),
	};
	parsedPlans.set(of, found);
	return found;
}

export const limitText = (given: Phase["criteria"][number]): string => (typeof given === "string" ? given : given.criterion);
export const guardText = (given: Plan["guards"][number]): string => (typeof given === "string" ? given : given.guard);
/** The flag whose events alone a guard looks at. */
export const flagOf = (given: Plan["guards"][number]): string | undefined => (typeof given === "string" ? undefined : given.flag);

/**
 * All limits that may roll back share one α, so every one of the plan counts, not only this phase's; twice where the newest ring
 * and all of them are looked at.
 */
export function limitCount(of: Plan): number {
	const { baselines, redFlags, phases } = criteriaIn(of);
	const looks = of.phases.map((_, i) => looksAt(of, i));
	const own = phases.reduce((sum, each, i) => sum + each.length * (looks[i] ?? 1), 0);
	return baselines.length * Math.max(...looks) + redFlags.length + own;
}

const looksAt = ({ phases }: Plan, phase: number): number =>
	phases.slice(0, phase).some(({ audience, shadow }) => !shadow && audience !== phases[phase]?.audience) ? 2 : 1;

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
