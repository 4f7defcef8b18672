import type { FieldError } from "../flags/model";
import type { Phase, PlanStrategy } from "./plan";
import type { WrittenPlan } from "./writtenPlan";

/** Strategies write phases, and do nothing else. */

interface Written {
	readonly phases: Phase[];
	/** Which field of the plan each phase comes from, as a JSON Pointer. */
	readonly sources: string[];
	readonly errors: FieldError[];
}

/** Fields that only some strategies read. */
const OWN: Readonly<Record<"phases" | "percents" | "preset" | "rings" | "schedule" | "warm" | "compare", readonly PlanStrategy[]>> = {
	phases: ["phased", "compare-first"],
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
	{ name: "internal", audience: "internal", percent: 1, criteria: [] },
	{ name: "beta", audience: "beta", percent: 10, criteria: [] },
	{ name: "production", percent: 100, criteria: [] },
];
const COMPARE: NonNullable<WrittenPlan["compare"]> = { hold: "24h", criteria: ["discrepancy_rate <= 0%"], by: "gateway" };
const DEFAULT_HOLD = "1h";

export function writePhases(given: WrittenPlan): Written {
	const errors = Object.entries(OWN).flatMap(([field, strategies]) =>
		given[field as keyof typeof OWN] === undefined || strategies.includes(given.strategy)
			? []
			: [{ pointer: `/${field}`, message: `is not read by ${given.strategy}: it belongs to ${strategies.join(" and ")}` }],
	);
	const found = phasesOf(given);
	const phases = found.map(([phase], i) => ({
		...phase,
		criteria: [...given.criteria, ...phase.criteria],
		// The first phase follows a person's start.
		approval: phase.approval === "auto" && i > 0 ? (given.approval ?? "auto") : phase.approval,
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

function phasesOf(given: WrittenPlan): [Phase, source: string][] {
	const { strategy, target_percent: target, hold = DEFAULT_HOLD } = given;
	switch (strategy) {
		case "phased":
			return own(given);
		case "compare-first": {
			const { hold: shadowHold, criteria, by } = given.compare ?? COMPARE;
			const shadow = aPhase({ name: "compare", percent: 0, hold: shadowHold, criteria, shadow: true, shadow_by: by });
			return given.phases ? [[shadow, "/compare"], ...own(given)] : [];
		}
		case "canary": {
			const { preset } = given;
			const percents = given.percents ?? capped(preset ? QUICK.percents : CANARY, target);
			const lasts = given.hold ?? (preset ? QUICK.hold : CANARY_HOLD);
			const from = (i: number): string => (given.percents ? `/percents/${i}` : "/strategy");
			return percents.map((percent, i) => [aPhase({ percent, hold: lasts, criteria: preset ? QUICK.criteria : [] }), from(i)]);
		}
		case "percentage":
			return (given.percents ?? []).map((percent, i) => [aPhase({ percent, hold }), `/percents/${i}`]);
		case "ring":
			return (given.rings ?? RINGS).map(({ name, percent, criteria, ...ring }: NonNullable<WrittenPlan["rings"]>[number], i) => [
				aPhase({ name, percent, criteria, hold: ring.hold ?? hold, ...only(ring) }),
				given.rings ? `/rings/${i}` : "/strategy",
			]);
		case "blue-green":
			return [[aPhase({ name: "green", percent: target, hold: given.warm ?? hold }), "/strategy"]];
		case "schedule":
			return (given.schedule ?? []).map(({ percent, not_before, name, hold: lasts }, i) => [
				aPhase({ percent, not_before, hold: lasts ?? hold, ...(name === undefined ? {} : { name }) }),
				`/schedule/${i}`,
			]);
		default:
			return strategy satisfies never;
	}
}

function own({ phases = [] }: WrittenPlan): [Phase, string][] {
	return phases.map((phase, i) => [phase, `/phases/${i}`]);
}

function only({ audience, approval }: Pick<NonNullable<WrittenPlan["rings"]>[number], "audience" | "approval">): Partial<Phase> {
	return { ...(audience === undefined ? {} : { audience }), ...(approval === undefined ? {} : { approval }) };
}

function aPhase(change: Pick<Phase, "percent" | "hold"> & Partial<Phase>): Phase {
	return { criteria: [], flags: [], approval: "auto", checks: [], shadow: false, ...change };
}

/** A list that ends at 100, cut where the target is. */
function capped(percents: readonly number[], target: number): number[] {
	return [...percents.filter((each) => each < target), target];
}
