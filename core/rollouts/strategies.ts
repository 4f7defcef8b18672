import type { FieldError } from "../flags/model";
import type { Phase, PlanStrategy } from "./plan";
import type { WrittenPlan } from "./writtenPlan";

/** Strategies write phases, and do nothing else. */

interface Written {
	readonly phases: Phase[];
	readonly sources: Source[];
	readonly errors: FieldError[];
}

/** Which field of the plan a phase comes from, as a JSON Pointer: one with the fields of a phase, or a single value. */
export interface Source {
	readonly kind: "fields" | "value";
	readonly pointer: string;
}

/** Before the plan's own words for all phases are added. */
type Draft = Omit<Phase, "approval"> & { readonly approval?: Phase["approval"] | undefined };

/** Fields that only some strategies read. */
type Own = "phases" | "hold" | "percents" | "preset" | "rings" | "schedule" | "warm" | "compare";
const OWN: Readonly<Record<Own, readonly PlanStrategy[]>> = {
	phases: ["phased", "compare-first"],
	// Phases that somebody has written have one each.
	hold: ["canary", "percentage", "ring", "blue-green", "schedule"],
	percents: ["percentage", "canary"],
	preset: ["canary"],
	rings: ["ring"],
	schedule: ["schedule"],
	warm: ["blue-green"],
	compare: ["compare-first"],
};

const CANARY = [1, 5, 10, 25, 50, 100];
const CANARY_HOLD = "5m";
const QUICK = { percents: [10, 100], hold: "10m", criteria: ["error_rate <= 1%"] };
const RINGS = [
	{ name: "internal", audience: "internal", percent: 1 },
	{ name: "beta", audience: "beta", percent: 10 },
];
export const COMPARE = { hold: "24h", criteria: ["discrepancy_rate <= 0%"], by: "gateway" as const };
const DEFAULT_HOLD = "1h";

export function writePhases(given: WrittenPlan): Written {
	const errors = Object.entries(OWN).flatMap(([field, strategies]) =>
		given[field as Own] === undefined || strategies.includes(given.strategy)
			? []
			: [{ pointer: `/${field}`, message: `is not read by ${given.strategy}: it belongs to ${strategies.join(", ")}` }],
	);
	const found = phasesOf(given);
	const phases = found.map(([phase], i): Phase => ({
		...phase,
		criteria: [...given.criteria, ...phase.criteria],
		// The first phase follows a person's start.
		approval: phase.approval ?? (i > 0 ? given.approval : undefined) ?? "auto",
		...(phase.timeout === undefined && given.timeout !== undefined ? { timeout: given.timeout } : {}),
	}));
	if (found.length === 0) errors.push(missing(given.strategy));
	return { phases, sources: found.map(([, source]) => source), errors };
}

function missing(strategy: PlanStrategy): FieldError {
	const field = strategy === "percentage" ? "percents" : strategy === "schedule" ? "schedule" : "phases";
	return {
		pointer: `/${field}`,
		message: `is required: ${strategy} ${field === "phases" ? "runs the phases" : "writes its phases from it"}`,
	};
}

const fieldsAt = (pointer: string): Source => ({ kind: "fields", pointer });
const valueAt = (pointer: string): Source => ({ kind: "value", pointer });

function phasesOf(given: WrittenPlan): [Draft, Source][] {
	const { strategy, target_percent: target, hold = DEFAULT_HOLD } = given;
	// What the strategy itself says can only be at odds with where the rollout is to end.
	const written = valueAt(target === 100 ? "/strategy" : "/target_percent");
	switch (strategy) {
		case "phased":
			return own(given);
		case "compare-first": {
			const { hold: shadowHold, criteria, by } = given.compare ?? COMPARE;
			const shadow = aPhase({ name: "compare", percent: 0, hold: shadowHold, criteria, shadow: true, shadow_by: by });
			return given.phases ? [[shadow, given.compare ? fieldsAt("/compare") : written], ...own(given)] : [];
		}
		case "canary": {
			const { preset } = given;
			const percents = given.percents ?? capped(preset ? QUICK.percents : CANARY, target);
			const lasts = given.hold ?? (preset ? QUICK.hold : CANARY_HOLD);
			const phaseOf = (percent: number): Draft => aPhase({ percent, hold: lasts, criteria: preset ? QUICK.criteria : [] });
			return percents.map((percent, i) => [phaseOf(percent), given.percents ? valueAt(`/percents/${i}`) : written]);
		}
		case "percentage":
			return (given.percents ?? []).map((percent, i) => [aPhase({ percent, hold }), valueAt(`/percents/${i}`)]);
		case "ring": {
			if (given.rings) return given.rings.map((ring, i) => [aPhase({ ...ring, hold: ring.hold ?? hold }), fieldsAt(`/rings/${i}`)]);
			return [...RINGS, { name: "production", percent: target }].map((ring) => [aPhase({ ...ring, hold }), written]);
		}
		case "blue-green":
			return [[aPhase({ name: "green", percent: target, hold: given.warm ?? hold }), written]];
		case "schedule":
			return (given.schedule ?? []).map((step, i) => [aPhase({ ...step, hold: step.hold ?? hold }), fieldsAt(`/schedule/${i}`)]);
		default:
			return strategy satisfies never;
	}
}

function own({ phases = [] }: WrittenPlan): [Draft, Source][] {
	return phases.map((phase, i) => [phase, fieldsAt(`/phases/${i}`)]);
}

function aPhase(change: Pick<Draft, "percent" | "hold"> & Partial<Draft>): Draft {
	return { criteria: [], flags: [], checks: [], shadow: false, ...change };
}

/** A list that ends at 100, cut where the target is. */
function capped(percents: readonly number[], target: number): number[] {
	return [...percents.filter((each) => each < target), target];
}
