import { msOf, printMs } from "../../core/checks/duration";
import { CHECKS_LIMIT_MS, type Check, type CheckOf } from "../../core/checks/model";
import type { CheckResult } from "../../core/checks/result";
import { lookAtDependency } from "./dependency";
import { type CheckContext, type CheckDeps, type Finding, failed } from "./finding";
import { lookAtHttp } from "./http";
import { lookAtHygiene } from "./hygiene";
import { lookAtMetric } from "./metric";
import { lookAtReport } from "./reported";

export interface RunLimits {
	/** Of all checks together. */
	readonly wholeMs: number;
	/** Before the second try; it doubles with each further one. */
	readonly backoffMs: number;
}

const LIMITS: RunLimits = { wholeMs: CHECKS_LIMIT_MS, backoffMs: 250 };
/** A Worker has six connections at once: what waits for one would have its time run out. */
const AT_ONCE = 6;
const MESSAGE_CHARACTERS_MAX = 500;

/** In the order of the checks, side by side. Never throws: whatever goes wrong is a finding. `now` is the clock that decides. */
export async function runChecks(
	deps: CheckDeps,
	context: CheckContext,
	checks: readonly Check[],
	now: number,
	limits: RunLimits = LIMITS,
): Promise<CheckResult[]> {
	const over = new AbortController();
	const timer = setTimeout(() => over.abort(), limits.wholeMs);
	const results: CheckResult[] = [];
	const left = checks.entries();
	const lane = async (): Promise<void> => {
		// oxlint-disable-next-line no-await-in-loop -- each lane makes one at a time
		for (const [i, check] of left) results[i] = await made(check, { deps, context, now, limits, over: over.signal });
	};
	await Promise.all(Array.from({ length: AT_ONCE }, lane));
	clearTimeout(timer);
	return results;
}

interface Run {
	readonly deps: CheckDeps;
	readonly context: CheckContext;
	readonly now: number;
	readonly limits: RunLimits;
	readonly over: AbortSignal;
}

async function made(check: Check, run: Run): Promise<CheckResult> {
	const { deps, now, limits, over } = run;
	const { name, critical } = check;
	if ("manual" in check)
		return { name, status: "pending", critical, message: `confirm: ${check.manual}`, attempts: 0, durationMs: 0, atMs: now };
	const startedMs = deps.realNow();
	let finding = failed(`not begun within ${printMs(limits.wholeMs)}, which all checks have together`);
	let attempts = 0;
	while (!over.aborted) {
		attempts++;
		// oxlint-disable-next-line no-await-in-loop -- a try follows the one that failed
		finding = await tried(check, run);
		if (!finding.again || attempts > check.retries) break;
		// oxlint-disable-next-line no-await-in-loop -- see above
		await pause(limits.backoffMs * 2 ** (attempts - 1), over);
	}
	return {
		name,
		status: finding.status === "failed" && !critical ? "warning" : finding.status,
		critical,
		message: finding.message.slice(0, MESSAGE_CHARACTERS_MAX),
		attempts: Math.max(1, attempts),
		durationMs: deps.realNow() - startedMs,
		atMs: now,
	};
}

/** What does not wait for a person. */
type Tried = Exclude<Check, CheckOf<"manual">>;

/** One try within its time. What it left behind is aborted where it can be, and its result ignored. */
async function tried(check: Tried, { deps, context, now, limits, over }: Run): Promise<Finding> {
	const own = new AbortController();
	const stop = (): void => own.abort();
	const timer = setTimeout(stop, msOf(check.timeout));
	over.addEventListener("abort", stop);
	const late = new Promise<Finding>((done) => {
		own.signal.addEventListener("abort", () =>
			done(
				over.aborted
					? failed(`not done within ${printMs(limits.wholeMs)}, which all checks have together`)
					: { ...failed(`no answer within ${check.timeout}`), again: true },
			),
		);
	});
	// What broke may say more than others should read: a URL, a query's values.
	const work = lookAt(check, deps, context, now, own.signal).catch((): Finding => ({
		...failed("it could not be carried out"),
		again: true,
	}));
	const finding = await Promise.race([late, work]);
	clearTimeout(timer);
	over.removeEventListener("abort", stop);
	return own.signal.aborted ? late : finding;
}

async function lookAt(check: Tried, deps: CheckDeps, context: CheckContext, now: number, signal: AbortSignal): Promise<Finding> {
	if ("http" in check) return lookAtHttp(check, deps, context, signal);
	if ("dependency" in check) return lookAtDependency(check, deps, context);
	if ("metric" in check) return lookAtMetric(check, deps, context);
	if ("hygiene" in check) return lookAtHygiene(check, deps, context, now);
	return lookAtReport(check, deps, context, now);
}

async function pause(ms: number, over: AbortSignal): Promise<void> {
	await new Promise<void>((done) => {
		const timer = setTimeout(end, ms);
		function end(): void {
			clearTimeout(timer);
			over.removeEventListener("abort", end);
			done();
		}
		over.addEventListener("abort", end);
	});
}
