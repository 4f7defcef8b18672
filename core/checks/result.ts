import { msOf } from "./duration";
import { type Check, type Moment, isFor } from "./model";

/** What checks found, and which of them are to be made now. */

export type CheckStatus = "passed" | "failed" | "warning" | "pending" | "stale";

export interface CheckResult {
	readonly name: string;
	/** failed: a critical one; the same of another is a warning. pending: not known yet. stale: what is known is too old. */
	readonly status: CheckStatus;
	readonly critical: boolean;
	readonly message: string;
	/** 0: nothing can be tried, it waits for a person. */
	readonly attempts: number;
	readonly durationMs: number;
	/** By the clock that decides. */
	readonly atMs: number;
}

export interface Summary {
	/** Names. */
	readonly passed: readonly string[];
	readonly failed: readonly string[];
	readonly warnings: readonly string[];
	readonly pending: readonly string[];
	/** Every critical check has passed, or warns at most. */
	readonly can_deploy: boolean;
	readonly execution_time_ms: number;
	readonly checks: readonly CheckResult[];
}

/** Each check is in exactly one of the four lists. */
export function summaryOf(results: readonly CheckResult[], executionTimeMs: number): Summary {
	const named = (which: (result: CheckResult) => boolean): string[] => results.filter(which).map(({ name }) => name);
	const isBad = ({ status }: CheckResult): boolean => status === "failed" || status === "stale";
	return {
		passed: named(({ status }) => status === "passed"),
		failed: named((each) => isBad(each) && each.critical),
		warnings: named((each) => each.status === "warning" || (isBad(each) && !each.critical)),
		pending: named(({ status }) => status === "pending"),
		can_deploy: !results.some((each) => isHolding(each)),
		execution_time_ms: executionTimeMs,
		checks: results,
	};
}

/** A critical check that has not passed. */
export function isHolding({ critical, status }: CheckResult): boolean {
	return critical && (status === "failed" || status === "stale" || status === "pending");
}

/** Nobody but a person can tell. */
export const waitsForPerson = ({ status, attempts }: Pick<CheckResult, "status" | "attempts">): boolean =>
	status === "pending" && attempts === 0;

/** The newest results of this stage, one for each check of the moment; what was never made is pending, so that it holds. */
export function resultsFor(
	checks: readonly Check[],
	results: readonly CheckResult[],
	stageSinceMs: number,
	moment: Moment,
): readonly CheckResult[] {
	return checks
		.filter((each) => isFor(each, moment))
		.map(
			({ name, critical }) =>
				resultOf(name, results, stageSinceMs) ?? {
					name,
					status: "pending",
					critical,
					message: "has not run yet",
					attempts: 0,
					durationMs: 0,
					atMs: 0,
				},
		);
}

const resultOf = (name: string, results: readonly CheckResult[], stageSinceMs: number): CheckResult | undefined =>
	results.find((each) => each.name === name && each.atMs >= stageSinceMs);

/**
 * Those that are to be made now. Results from before `stageSinceMs` count for nothing: whoever wants a validation again moves it.
 * What is pending or stale is looked at with each tick, but for what waits for a person. Before the first phase a failure is
 * final; during one it is looked at again with each tick, or it would hold for ever.
 */
export function dueChecks(
	checks: readonly Check[],
	results: readonly CheckResult[],
	stageSinceMs: number,
	now: number,
	moment: Moment,
): readonly Check[] {
	return checks.filter((check) => {
		if (!isFor(check, moment)) return false;
		const last = resultOf(check.name, results, stageSinceMs);
		if (!last) return true;
		if (last.status === "pending" || last.status === "stale") return !waitsForPerson(last);
		if (last.status === "failed") return moment === "during";
		return "every" in check && check.every !== undefined && now - last.atMs >= msOf(check.every);
	});
}
