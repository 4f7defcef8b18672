import { BUCKETS } from "./bucket";
import { type Resolution, evaluate } from "./evaluate";
import type { ConditionStep, Context } from "./match";
import type { Network } from "./ip";
import type { ActiveOverlay } from "./overlay";
import type { PackedComparison, PackedCondition } from "./packedCondition";
import { servedTo } from "./rings";
import type { Ruleset } from "./ruleset";
import type { Semver } from "./semver";
import type { PackedFlag } from "./snapshot";

export interface Explanation {
	readonly resolution: Resolution;
	/** The walk, step by step, in words. */
	readonly steps: readonly string[];
}

/** The same walk as `evaluate`, told: it is the one that answers, so the two cannot disagree. */
export function explain(ruleset: Ruleset, overlay: ActiveOverlay, flagKey: string, context: Context): Explanation {
	const steps: string[] = [];
	const resolution = evaluate(ruleset, overlay, flagKey, context, {
		isIncomplete: false,
		step: (step) => steps.push(`  ${printStep(step)}`),
		rule: (id, holds) => steps.push(`rule "${id}" ${holds ? "matches" : "does not match"}`),
		prerequisite: (flag, variant, holds) =>
			steps.push(
				`prerequisite ${flag} is ${variant === undefined ? "not resolved" : `"${variant}"`}: ${holds ? "as required" : "not as required"}`,
			),
		unreadable: (segment) => steps.push(`  segment ${segment}: cannot be read, so everybody counts as its member here`),
	});
	const flag = ruleset.flag(flagKey);
	const packed = flag === "corrupt" ? undefined : flag;
	const limit = packed?.rollout ? servedTo(packed.rollout, ruleset, context) : undefined;
	steps.push(printEnd(resolution, packed, flagKey, limit ?? 0));
	return { resolution, steps };
}

function printStep(step: ConditionStep): string {
	if (step.kind === "segment") return `segment ${step.segment}: ${step.holds ? "is a member" : "is no member"}`;
	const verdict = step.holds ? "holds" : "does not hold";
	if (step.kind === "not") return `not (${printNegated(step.of)}): ${verdict}`;
	const { comparison, found } = step;
	const value = found === undefined ? "missing, and a missing attribute never matches" : shortened(JSON.stringify(found));
	return `${printComparison(comparison)}: ${verdict}, it is ${value}`;
}

/** A condition of several was told part by part, just before. */
function printNegated(condition: PackedCondition): string {
	if ("op" in condition) return printComparison(condition);
	if ("segment" in condition) return `segment ${condition.segment}`;
	return "all" in condition ? "all of …" : "any" in condition ? "any of …" : "not …";
}

function printComparison(comparison: PackedComparison): string {
	return `${comparison.attribute} ${comparison.op} ${printOperands(comparison)}`;
}

const VALUE_CHARACTERS_SHOWN = 200;

function shortened(text: string): string {
	return text.length > VALUE_CHARACTERS_SHOWN ? `${text.slice(0, VALUE_CHARACTERS_SHOWN)}… (${text.length} characters)` : text;
}

const OPERANDS_SHOWN = 5;

function printOperands(comparison: PackedComparison): string {
	const values = printValues(comparison);
	const shown = values.slice(0, OPERANDS_SHOWN).join(", ");
	return values.length > OPERANDS_SHOWN ? `[${shown}, … ${values.length} in all]` : `[${shown}]`;
}

function printValues(comparison: PackedComparison): readonly string[] {
	if (comparison.op === "matches") return comparison.text.map((text) => JSON.stringify(text));
	if (comparison.op === "ip_in") return comparison.values.map(printNetwork);
	return comparison.values.map((value) => (Array.isArray(value) ? printSemver(value as unknown as Semver) : JSON.stringify(value)));
}

function printSemver([major, minor, patch, prerelease]: Semver): string {
	return `${major}.${minor}.${patch}${prerelease.length > 0 ? `-${prerelease.join(".")}` : ""}`;
}

function printNetwork([groups, bits]: Network): string {
	const isV4 = groups.length === 2;
	const address = isV4
		? groups.flatMap((group) => [group >>> 8, group & 255]).join(".")
		: groups.map((group) => group.toString(16)).join(":");
	return `${address}/${bits}`;
}

/** The step that decided. */
function printEnd(resolution: Resolution, flag: PackedFlag | undefined, flagKey: string, limit: number): string {
	if (resolution.reason === "ERROR")
		return resolution.errorCode === "FLAG_NOT_FOUND"
			? `there is no flag ${flagKey} in this snapshot`
			: `flag ${flagKey} cannot be read or evaluated`;
	const { variant, metadata } = resolution;
	const serves = `serves "${variant}"`;
	const { overlay, prerequisite, target, rule, rollout, bucket, excluded, outside, noKey } = metadata;
	if (prerequisite !== undefined) return `prerequisite ${prerequisite} is not met: the off variant, ${serves}`;
	if (resolution.reason === "DISABLED") return overlay ? `killed by ${overlay}: ${serves}` : `the flag is disabled (killed): ${serves}`;
	if (target) return `the key is targeted: ${serves}`;
	if (rule !== undefined)
		return bucket === undefined ? `rule "${rule}" ${serves}` : `rule "${rule}" splits: bucket ${bucket} of ${BUCKETS} ${serves}`;
	if (rollout !== undefined) {
		if (overlay) return `rollout ${rollout} is overlaid to the baseline by ${overlay}: ${serves}`;
		if (excluded) return `excluded from rollout ${rollout}: the baseline, ${serves}`;
		if (noKey) return `rollout ${rollout} has no ${flag?.bucketBy ?? "targetingKey"} to bucket by: the baseline, ${serves}`;
		if (outside) return `outside of rollout ${rollout}, in none of its audiences so far: the baseline, ${serves}`;
		const side = (bucket ?? 0) < limit ? "below it: the candidate" : "not below it: the baseline";
		return `rollout ${rollout}, ${metadata.phase ?? ""}: bucket ${bucket ?? 0} of ${BUCKETS}, limit ${limit}, ${side}, ${serves}`;
	}
	if (noKey) return `the fallthrough splits and there is no ${flag?.bucketBy ?? "targetingKey"} to bucket by: the off variant, ${serves}`;
	return bucket === undefined ? `fallthrough: ${serves}` : `the fallthrough splits: bucket ${bucket} of ${BUCKETS} ${serves}`;
}
