import type { MetricRefusal } from "../store/metrics";

/** Who uses what shall be deleted or changed: there may be thousands, of which a reader looks at the first ones. */

const NAMED_MAX = 20;

/** The problem's fields. */
export function usedBy(by: readonly string[]): { readonly by: readonly string[]; readonly total: number } {
	return { by: by.slice(0, NAMED_MAX), total: by.length };
}

export function printUsedBy(by: readonly string[], print: (name: string) => string = (name) => name): string {
	const named = by.slice(0, NAMED_MAX).map(print).join(", ");
	return by.length > NAMED_MAX ? `${named} and ${by.length - NAMED_MAX} more (${by.length} in all)` : named;
}

export function printMetricInUse({ key, by, drafts }: Extract<MetricRefusal, { kind: "metric_in_use" }>): string {
	const named = printUsedBy(by, (id) => (drafts.includes(id) ? `${id} (draft: cancel it)` : id));
	const [keeps, they] = by.length === 1 ? ["keeps", "it has"] : ["keep", "they have"];
	return `${named} ${keeps} to metric ${key} as it was planned: until ${they} ended, the metric stays and its kind stands still`;
}
