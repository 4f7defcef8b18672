import { redacted } from "../core/gateway/compare";
import type { Snapshot } from "../core/flags/ruleset";
import type { ComparedSample } from "../core/wire";
import type { Outcome, Sample } from "./event";
import { phaseOf } from "./gateway/assign";
import type { Comparing } from "./gateway/comparisons";
import { bounded } from "./gateway/sample";

/** What an application has compared itself: events of the metric discrepancy that name their flag, which is what reports are of. */
export function comparingOf(outcomes: readonly Outcome[], snapshot: Snapshot): Comparing[] {
	return outcomes.flatMap(({ metric, flag, value, sample }) => {
		if (metric !== "discrepancy" || flag === undefined) return [];
		const isDiscrepancy = value === 1;
		const kept = isDiscrepancy && sample ? () => sampleOf(sample, redactOf(snapshot, flag)) : undefined;
		return [{ subject: flag, phase: phaseOf(snapshot, flag), isDiscrepancy, isError: false, latencies: undefined, sample: kept }];
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
