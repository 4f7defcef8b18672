import type { FieldError } from "../../core/flags/model";
import { leavesSplits, rulesAdded } from "../../core/rollouts/completion";
import { candidateOf } from "../../core/rollouts/exposure";
import { type Plan, joinedFlags } from "../../core/rollouts/plan";
import type { Database } from "../store/database";
import { type StoredFlag, getFlags } from "../store/flags";
import { shadowedFlags } from "../store/gatewayReferences";
import { listMetrics } from "../store/metrics";
import { activeRolloutsOf } from "../store/rollouts";
import { whyNot } from "../store/rolloutFlags";
import { missingSegments } from "../store/segments";
import { getVersions } from "../store/versions";
import { refuse } from "./refusals";

/** The plan against the flags as they are now; refused with every reason at once. */
export async function checkedPlan(
	db: Database,
	wanted: Plan,
	isStart: boolean,
	found: readonly FieldError[] = [],
): Promise<readonly StoredFlag[]> {
	const errors = [...found];
	if (isStart && wanted.metrics.length > 0) {
		const now = await listMetrics(db, wanted.environment);
		for (const { key, kind } of wanted.metrics)
			if (now.find((each) => each.key === key)?.kind !== kind)
				errors.push({
					pointer: "/metrics",
					message: `${key} is no ${kind} any more: edges read its events otherwise, so create the plan again`,
				});
	}
	const flags = await getFlags(db, wanted.environment, wanted.flags);
	const candidate = candidateOf(wanted);
	wanted.flags.forEach((key, i) => {
		const flag = flags.find((each) => each.key === key);
		const pointer = `/flags/${i}`;
		if (!flag) errors.push({ pointer, message: `there is no flag ${key} in ${wanted.environment}` });
		else if (!Object.hasOwn(flag.variants, candidate))
			errors.push({
				pointer: "/candidate",
				message: `flag ${key} has no variant "${candidate}": it has ${Object.keys(flag.variants).join(", ")}`,
			});
		else if (typeof flag.fallthrough !== "string")
			errors.push({ pointer, message: `flag ${key} splits its fallthrough: a rollout needs one variant as its baseline` });
		else if (isStart && !flag.enabled)
			errors.push({ pointer, message: `flag ${key} is killed, so nobody would be served the candidate: set enabled to true first` });
		else if (leavesSplits(wanted) && flag.rules.some(({ serve }) => typeof serve !== "string"))
			errors.push({
				pointer: "/target_percent",
				message: `flag ${key} splits in a rule: below 100 % the rollout leaves a split, which takes the flag's one salt`,
			});
		else if (flag.rules.length + rulesAdded(wanted) > RULES_MAX)
			errors.push({
				pointer,
				message: `flag ${key} has ${flag.rules.length} rules, and completion adds up to ${rulesAdded(wanted)} > limit ${RULES_MAX}`,
			});
		else if (flag.fallthrough === candidate)
			errors.push({ pointer: "/candidate", message: `flag ${key} serves "${candidate}" to everybody already` });
	});
	const [first] = flags;
	const others = flags.filter(({ bucketBy }) => bucketBy !== first?.bucketBy);
	for (const { key, bucketBy } of others)
		errors.push({
			pointer: "/flags",
			message: `flag ${key} buckets by ${bucketBy}, ${first?.key ?? ""} by ${first?.bucketBy ?? ""}: one rollout has one cohort`,
		});
	const segments = segmentsNamed(wanted);
	for (const segment of await missingSegments(db, wanted.environment, [...segments.keys()]))
		errors.push({ pointer: segments.get(segment) ?? "", message: `there is no segment ${segment} in ${wanted.environment}` });
	const versions = await getVersions(db, wanted.environment, wanted.rollback.versions);
	for (const [key, number] of Object.entries(wanted.rollback.versions)) {
		const why = flags.some((flag) => flag.key === key) ? whyNot(number, versions.get(key)) : undefined;
		if (why !== undefined) errors.push({ pointer: `/rollback/versions/${key}`, message: `flag ${key}: ${why}` });
	}
	if (isStart) errors.push(...(await shadowErrors(db, wanted)));
	if (errors.length > 0) refuse({ kind: "invalid", errors });
	const [active] = await activeRolloutsOf(db, wanted.environment, wanted.flags);
	if (active) refuse({ kind: "flag_active", flag: active.flag, rollout: active.rollout });
	return flags;
}

const RULES_MAX = 200;

/** Somebody has to ask both: routes, unless the plan says that the application does. */
async function shadowErrors(db: Database, wanted: Plan): Promise<FieldError[]> {
	const byGateway = wanted.phases.flatMap(({ shadow, shadow_by: by }, i) => (shadow && by !== "application" ? [i] : []));
	if (byGateway.length === 0) return [];
	const candidate = candidateOf(wanted);
	const shadowed = await shadowedFlags(db, wanted.environment, wanted.flags, candidate);
	const how = `add shadow: {variant: "${candidate}"} to its route; or have the application send discrepancy events, and say so`;
	return byGateway.flatMap((phase) => {
		const [pointer, said] =
			wanted.strategy === "compare-first" && phase === 0
				? ["/compare", "compare: {by: application}"]
				: [`/phases/${phase}/shadow`, "shadow_by: application"];
		return joinedFlags(wanted, phase)
			.filter((flag) => !shadowed.has(flag))
			.map((flag) => ({ pointer, message: `no route compares flag ${flag} with "${candidate}": ${how} (${said})` }));
	});
}

/** Every segment once, with the first field that names it. */
function segmentsNamed({ exclude, phases, rollback }: Plan): ReadonlyMap<string, string> {
	const named = new Map<string, string>();
	const name = (segment: string | undefined, pointer: string): unknown =>
		segment !== undefined && !named.has(segment) && named.set(segment, pointer);
	exclude.segments.forEach((each, i) => name(each, `/exclude/segments/${i}`));
	phases.forEach(({ audience }, i) => name(audience, `/phases/${i}/audience`));
	rollback.segments.forEach((each, i) => name(each, `/rollback/segments/${i}`));
	return named;
}

/** Steps that would not be called once everybody is back: too late to find out then. Where the plan is wrong already that is enough. */
export function stepErrors(
	{ rollback: { steps } }: Plan,
	found: readonly FieldError[],
	refusal: (url: string) => string | undefined,
): FieldError[] {
	return steps.flatMap(({ http }, i): FieldError[] => {
		const pointer = `/rollback/steps/${i}/http`;
		const message = found.some((each) => each.pointer === pointer) ? undefined : refusal(http);
		return message === undefined ? [] : [{ pointer, message }];
	});
}
