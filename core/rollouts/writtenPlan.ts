import * as z from "zod";
import { checks } from "../checks/model";
import { fieldErrors, takesShape, textsInList } from "../flags/fieldErrors";
import { type FieldError, flagKey } from "../flags/model";
import { type MetricDefinition, unscopedMetric } from "../metric";
import { checkPlan } from "./checkPlan";
import { duration } from "./durationField";
import { CRITERIA_MAX, PHASES_MAX, type Plan, fieldsBy, percent, storedPlan } from "./plan";
import type { Route } from "../gateway/model";
import { signalKeysOf } from "./planCriteria";
import { plannedRoute, plannedRoutes } from "./plannedRoutes";
import { COMPARE, type Source, writePhases } from "./strategies";

/** A plan as people write it, in YAML or JSON: its strategy writes the phases, and from then on all plans are alike. */

const { phase: anyPhase, plan: fields, limits, approval, timeout, notBefore, comparedBy } = fieldsBy(z.strictObject, checks.default([]));

const FLAGS_MAX = 50;
/** Control takes no larger request, nor a larger plan with it. */
export const REQUEST_BYTES_MAX = 262_144;
const QUICK_GUARD = "latency_ms p95 vs control <= +20%";

/** One that says nothing of approval has the plan's. */
const phase = anyPhase.extend({
	approval: approval.optional().describe("before the phase is entered: auto, manual, or {approvers: 2}, none of them the plan's author"),
});
const { min_users: minUsers, checks: phaseChecks, audience } = anyPhase.shape;

const ring = z.strictObject({
	name: z.string().min(1).max(63),
	audience,
	percent,
	hold: duration.optional(),
	min_users: minUsers,
	criteria: limits.default([]),
	approval: approval.optional(),
	timeout: timeout.optional(),
	checks: phaseChecks,
});

export const plan = z.strictObject({
	...fields,
	flags: z.array(flagKey, textsInList).max(FLAGS_MAX).default([]).describe("those that are in it from the first phase on"),
	phases: z
		.array(phase, takesShape("a list: [{percent: 5, hold: 30m}, …]"))
		.min(1)
		.max(PHASES_MAX)
		.optional()
		.describe("of a phased rollout: other strategies write their own"),
	criteria: limits.default([]).describe("of every phase"),
	hold: duration.optional().describe("of every phase that the strategy writes, where nothing else says it"),
	approval: approval.optional().describe("before every phase after the first that says nothing else"),
	timeout: timeout.optional(),
	preset: z
		.literal("quick")
		.optional()
		.describe("canary: 10 % for 10 min, errors at most 1 %, p95 latency at most 20 % above control's, then all"),
	percents: z
		.array(percent, takesShape("a list of percents: [5, 25, 100]"))
		.min(1)
		.max(PHASES_MAX)
		.optional()
		.describe("percentage and canary: one phase each"),
	rings: z
		.array(ring, takesShape("a list: [{name: beta, audience: beta, percent: 10}, …]"))
		.min(1)
		.max(PHASES_MAX)
		.optional()
		.describe("ring: default internal 1 %, beta 10 %, production 100 %"),
	schedule: z
		.array(
			z.strictObject({ percent, not_before: notBefore, name: z.string().min(1).max(63).optional(), hold: duration.optional() }),
			takesShape("a list: [{percent: 10, not_before: {day: 8}}, …]"),
		)
		.min(1)
		.max(PHASES_MAX)
		.optional()
		.describe("schedule: percent by day or time"),
	warm: duration.optional().describe("blue-green: how long blue is kept for going back; default 1h"),
	compare: z
		.strictObject(
			{
				hold: duration.default(COMPARE.hold),
				criteria: limits.default(COMPARE.criteria),
				by: comparedBy
					.default(COMPARE.by)
					.describe("who asks both: routes with a shadow, or the application, which sends discrepancy events"),
			},
			takesShape("an object: {hold: 24h}"),
		)
		.optional()
		.describe("compare-first: the phase in which answers are only compared"),
	routes: z
		.array(plannedRoute)
		.max(20)
		.default([])
		.describe("the gateway's routes that its flags decide: written when the rollout is created, and there beyond its end"),
});

export type WrittenPlan = z.infer<typeof plan>;

/** Before an environment's defaults are added, which would pass for guards that its author wrote. */
export function withPreset(given: WrittenPlan): WrittenPlan {
	return given.preset === "quick" && given.guards.length === 0 ? { ...given, guards: [QUICK_GUARD] } : given;
}

/** The plan that the engine runs, as far as there is one, and everything that is wrong with it, by the field that was written. */
interface Completed {
	readonly plan: Plan | undefined;
	/** With the flags that they go by. */
	readonly routes: readonly Route[];
	readonly errors: readonly FieldError[];
}

/** With the definitions of the metrics that it names, and no others. */
export function completePlan(given: WrittenPlan, own: readonly MetricDefinition[]): Completed {
	const { phases, sources, errors } = writePhases(given);
	const {
		criteria: _criteria,
		hold: _hold,
		approval: _approval,
		timeout: _timeout,
		preset: _preset,
		percents: _percents,
		rings: _rings,
		schedule: _schedule,
		warm: _warm,
		compare: _compare,
		routes: givenRoutes,
		...rest
	} = given;
	const joining = phases.flatMap(({ flags }) => flags);
	const flags = [...given.flags, ...joining.filter((flag) => !given.flags.includes(flag))];
	const early = given.flags.filter((flag) => joining.includes(flag));
	if (flags.length === 0) errors.push({ pointer: "/flags", message: "takes at least one flag, here or in the first phase" });
	if (flags.length > FLAGS_MAX) errors.push({ pointer: "/flags", message: `${flags.length} flags > limit ${FLAGS_MAX}` });
	errors.push(...early.map((flag) => ({ pointer: "/flags", message: `"${flag}" joins in a phase: name it in one of the two places` })));
	const { routes, errors: routeErrors } = plannedRoutes(givenRoutes, flags);
	errors.push(...routeErrors);
	if (phases.length === 0 || flags.length === 0) return { plan: undefined, routes, errors };
	const { guards } = withPreset(given);
	const all: Plan = { ...rest, guards, flags, phases, metrics: [...own] };
	const tell = (found: readonly FieldError[]): unknown => errors.push(...eachOnce(found.map((each) => inWritten(each, sources, given))));
	tell([...tooMany(all), ...checkPlan(all)]);
	if (errors.length > 0) return { plan: all, routes, errors };
	const named = new Set(signalKeysOf(all).map(({ metric }) => unscopedMetric(metric)));
	const complete = { ...all, metrics: own.filter(({ key }) => named.has(key)) };
	// What could not be read again would be a draft that nobody can start.
	tell(fieldErrors(storedPlan.safeParse(complete).error?.issues ?? [], complete));
	return { plan: complete, routes, errors };
}

/** What is put together may be more than each of its parts may be. */
function tooMany({ phases }: Plan): FieldError[] {
	const errors = phases.flatMap(({ criteria }, i): FieldError[] => {
		const message = `${criteria.length} criteria, with those of the plan > limit ${CRITERIA_MAX} a phase`;
		return criteria.length > CRITERIA_MAX ? [{ pointer: `/phases/${i}/criteria`, message }] : [];
	});
	if (phases.length > PHASES_MAX)
		errors.push({ pointer: "/phases", message: `${phases.length} phases, with that of the comparison > limit ${PHASES_MAX}` });
	return errors;
}

/** A phase that a strategy wrote is no field of the plan: its mistake lies in what it was written from. */
function inWritten({ pointer, message }: FieldError, sources: readonly Source[], given: WrittenPlan): FieldError {
	const [, index, field = ""] = /^\/phases\/(\d+)(.*)$/.exec(pointer) ?? [];
	const source = index === undefined ? undefined : sources[Number(index)];
	if (!source) return { pointer, message };
	const ofAll = given.criteria.length;
	const [, place] = /^\/criteria\/(\d+)$/.exec(field) ?? [];
	if (place !== undefined && Number(place) < ofAll) return { pointer: `/criteria/${place}`, message };
	const ownTimeout = source.kind === "fields" && isNamed(given, `${source.pointer}${field}`);
	if (field === "/timeout" && !ownTimeout) return { pointer: field, message };
	if (field === "/criteria" && source.kind === "value") return { pointer: field, message };
	if (source.kind === "value") return { pointer: source.pointer, message };
	return { pointer: `${source.pointer}${place === undefined ? field : `/criteria/${Number(place) - ofAll}`}`, message };
}

/** Somebody wrote that field. */
function isNamed(given: WrittenPlan, pointer: string): boolean {
	const parts = pointer.split("/").slice(1);
	const value = parts.reduce<unknown>((of, part) => (of as Readonly<Record<string, unknown>> | undefined)?.[part], given);
	return value !== undefined;
}

/** What is wrong with something that all phases have is told once. */
function eachOnce(errors: readonly FieldError[]): FieldError[] {
	return errors.filter((each, i) => errors.findIndex(({ pointer, message }) => pointer === each.pointer && message === each.message) === i);
}
