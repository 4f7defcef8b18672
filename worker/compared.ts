import { redacted } from "../core/gateway/compare";
import type { Snapshot } from "../core/flags/ruleset";
import type { ComparedSample } from "../core/wire";
import type { Outcome, Sample } from "./event";
import { phaseOf } from "./gateway/assign";
import { type Comparing, gather } from "./gateway/comparisons";
import { bounded } from "./gateway/sample";
import { log } from "./log";
import type { Edge } from "./router";
import { within } from "./within";

/** What an application has compared itself, by the event's id where it has one. */
export interface Told {
	readonly id: string | null;
	readonly comparing: Comparing;
}

const ASK_TIMEOUT_MS = 5_000;

/** Counts what was not counted before: a batch may be sent again. Never rejects. */
export async function gatherTold(edge: Pick<Edge, "gateway" | "sources">, environment: string, told: readonly Told[]): Promise<void> {
	const { comparisons } = edge.gateway;
	const ids = told.flatMap(({ id }) => id ?? []);
	let unheard: readonly string[] = [];
	try {
		if (comparisons && ids.length > 0) unheard = await within(ASK_TIMEOUT_MS, comparisons.unheard(environment, ids), edge.sources.wait);
	} catch (error) {
		log("comparisons_lost", { environment, events: ids.length, error: String(error) });
	}
	const isNew = new Set(unheard);
	const counted = told.filter(({ id }) => id === null || isNew.has(id)).map(({ comparing }) => comparing);
	if (counted.length > 0) await gather(edge, environment, counted);
}

/** Of events of the metric discrepancy that name their flag, which is what reports are of. */
export function comparingOf(outcomes: readonly Outcome[], snapshot: Snapshot): Told[] {
	return outcomes.flatMap(({ id, metric, flag, value, sample }) => {
		if (metric !== "discrepancy" || flag === undefined) return [];
		const isDiscrepancy = value === 1;
		const kept = isDiscrepancy && sample ? () => sampleOf(sample, redactOf(snapshot, flag)) : undefined;
		const phase = phaseOf(snapshot, flag);
		return [{ id, comparing: { subject: `flag/${flag}`, phase, isDiscrepancy, isError: false, latencies: undefined, sample: kept } }];
	});
}

/** What the routes of the flag keep out of their samples is kept out of the application's as well. */
function redactOf(snapshot: Snapshot, flag: string): readonly string[] {
	const routes = [...snapshot.gateway().hosts.values()].flat();
	return routes.flatMap((route) => (route.flag === flag ? (route.shadow?.comparison.redact ?? []) : []));
}

function sampleOf({ input, legacy, candidate }: Sample, redact: readonly string[]): ComparedSample {
	return bounded({ input: textOf(input, []), legacy: textOf(legacy, redact), candidate: textOf(candidate, redact), differences: [] });
}

function textOf(value: unknown, redact: readonly string[]): string {
	// Nobody knows where in a text what is redacted would be.
	if (typeof value === "string") return redact.length === 0 ? value : `${value.length} characters, not JSON: nothing of it is kept`;
	try {
		return JSON.stringify(redacted(value, redact));
	} catch {
		return "nested too deep to be kept";
	}
}
