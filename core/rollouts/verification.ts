import * as z from "zod";
import { type Outcome, isSuccess, retryDelayMs } from "../notify/settle";
import type { RollbackStep } from "./wayBack";

/** What follows a way back until users are known to be safe: its steps one after the other, and what is missing otherwise. */

export const stepResult = z.object({
	step: z.string(),
	/** `retrying`: it has failed and is tried again; `failed`: it is not, and those after it are not carried out. */
	status: z.enum(["done", "retrying", "failed"]),
	attempts: z.int(),
	error: z.string().nullable(),
	/** Real time of the last attempt. */
	atMs: z.int(),
});
export type StepResult = z.infer<typeof stepResult>;

/** After so long nobody looks any more. */
export const VERIFIED_WITHIN_MS = 900_000;

export type Next =
	| { readonly kind: "run"; readonly step: RollbackStep; readonly attempts: number }
	| { readonly kind: "done" }
	| { readonly kind: "failed"; readonly result: StepResult };

/** By their order: names may come twice. */
export function nextStep(steps: readonly RollbackStep[], results: readonly StepResult[]): Next {
	const last = results.at(-1);
	if (last?.status === "failed") return { kind: "failed", result: last };
	const step = steps[last?.status === "retrying" ? results.length - 1 : results.length];
	if (!step) return { kind: "done" };
	return { kind: "run", step, attempts: last?.status === "retrying" ? last.attempts : 0 };
}

/** The results with that of one more attempt, and when the next one is due. */
export function afterAttempt(
	{ step, attempts: before }: Extract<Next, { kind: "run" }>,
	results: readonly StepResult[],
	outcome: Outcome,
	rollback: string,
	now: number,
): { readonly results: readonly StepResult[]; readonly dueAtMs: number } {
	const attempts = before + 1;
	const earlier = before > 0 ? results.slice(0, -1) : results;
	const said = outcome.kind === "silent" ? outcome.error : `answered ${outcome.status}`;
	const as = (status: StepResult["status"], error: string | null, dueAtMs: number) => ({
		results: [...earlier, { step: step.name, status, attempts, error, atMs: now }],
		dueAtMs,
	});
	if (isSuccess(outcome)) return as("done", null, now);
	if (attempts > step.retries) return as("failed", said, now);
	return as("retrying", said, now + retryDelayMs(attempts, `${rollback}/${earlier.length}`));
}

export interface Standing {
	readonly next: Next["kind"];
	/** Of the isolates that serve, and of those how many have not heard of it. */
	readonly edges: { readonly serving: number; readonly behind: number };
	readonly isEdgeSafe: boolean;
	readonly passes: boolean;
}

/** Why it cannot be said that users are safe. */
export function missingOf({ next, edges: { serving, behind }, isEdgeSafe, passes }: Standing): string {
	const reasons = [
		...(isEdgeSafe ? [] : [serving === 0 ? NOBODY_ASKED : `${behind} of ${serving} isolates of the edge have not heard of it`]),
		...(next === "done" ? [] : ["its steps were not all carried out"]),
		...(passes ? [] : ["its critical checks do not pass"]),
	];
	return reasons.join("; ") || "it was not looked at in time";
}

/** Nobody is served anything then, so nobody need be woken. */
export const NOBODY_ASKED = "no isolate of the edge was heard of: nobody has asked for flags";
