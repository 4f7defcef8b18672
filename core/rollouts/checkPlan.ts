import { checkErrors, isFor } from "../checks/model";
import { BUCKETS } from "../flags/bucket";
import type { FieldError } from "../flags/model";
import { type Role, type VersusBaseline, type VersusControl, parseCriterion, printCriterion } from "../health/criteria";
import { metricsBy } from "../metric";
import { SLOTS_MAX } from "../telemetry";
import { durationMs, printDuration } from "./duration";
import { type Plan, joinedFlags, servedIn, timeoutOf } from "./plan";
import { criteriaIn, flagOf, guardText, limitText, signalKeysOf } from "./planCriteria";
import { STEP_MAX_MS, STEP_MIN_MS } from "./wayBack";

/** What the schema of single fields cannot say. Empty: the plan can run, as far as it alone can tell. */
export function checkPlan(of: Plan): readonly FieldError[] {
	const errors = checkCriteria(of);
	const isParsed = errors.length === 0;
	of.flags.forEach((flag, i) => {
		if (of.flags.indexOf(flag) !== i) errors.push({ pointer: `/flags/${i}`, message: `"${flag}" is named twice` });
	});
	errors.push(...checkPhases(of), ...checkWayBack(of));
	return isParsed ? [...errors, ...checkJudged(of)] : errors;
}

function checkCriteria(of: Plan): FieldError[] {
	const errors: FieldError[] = [];
	const metrics = metricsBy(of.metrics);
	const check = (texts: readonly string[], role: Role, pointer: string): void =>
		texts.forEach((given, i) => {
			const result = parseCriterion(given, role, metrics);
			if (result.ok) return;
			errors.push({ pointer: `${pointer}/${i}`, message: `${result.error.message} (at character ${result.error.position + 1})` });
		});
	check(of.guards.map(guardText), "guard", "/guards");
	check(of.red_flags, "red flag", "/red_flags");
	of.phases.forEach((each, i) => check(each.criteria.map(limitText), "criterion", `/phases/${i}/criteria`));
	of.guards.forEach((guard, i) => {
		const flag = flagOf(guard);
		if (flag !== undefined && !of.flags.includes(flag))
			errors.push({ pointer: `/guards/${i}/flag`, message: `"${flag}" is no flag of the plan: it has ${of.flags.join(", ")}` });
	});
	errors.push(...checkErrors(of.checks, metrics, "/checks"));
	of.phases.forEach(({ checks }, i) => errors.push(...checkErrors(checks, metrics, `/phases/${i}/checks`, of.checks)));
	return [...errors, ...checkNames(of)];
}

/** What a phase begins with is looked at during the one before: there one name must mean one check. */
function checkNames({ phases }: Plan): FieldError[] {
	return phases.flatMap(({ checks }, i) => {
		const during = (phases[i - 1]?.checks ?? []).filter((check) => isFor(check, "during"));
		return checks.flatMap((each, k) => {
			const other = during.find(({ name }) => name === each.name);
			if (!other || !isFor(each, "before") || JSON.stringify(other) === JSON.stringify(each)) return [];
			return { pointer: `/phases/${i}/checks/${k}/name`, message: `"${each.name}" is another check in the phase before` };
		});
	});
}

function checkPhases(of: Plan): FieldError[] {
	const errors: FieldError[] = [];
	const joined = new Set<string>();
	of.phases.forEach((each, i) => {
		const at = (field: string, message: string): number => errors.push({ pointer: `/phases/${i}/${field}`, message });
		for (const [k, flag] of each.flags.entries()) {
			if (joined.has(flag)) at(`flags/${k}`, `"${flag}" has joined in an earlier phase`);
			joined.add(flag);
		}
		// Each phase goes on serving those of the phases before it: who is already served must not be served less.
		const before = of.phases
			.slice(0, i)
			.filter(({ audience, shadow }) => !shadow && (audience === undefined || audience === each.audience));
		const most = Math.max(0, ...before.map(({ percent }) => percent));
		if (each.percent < most) at("percent", `${each.percent} % falls below the ${most} % of a phase before, for the same users`);
		if (each.percent === 0 && !each.shadow) at("percent", "0 % serves nobody");
		if (each.percent > 0 && each.shadow) at("percent", "nobody is served the candidate in a shadow phase: write 0");
		const mustLastMs = durationMs(each.hold) ?? 0;
		if (each.timeout !== undefined && timeoutOf(of, i).afterMs <= mustLastMs)
			at("timeout", `ends before the hold of ${each.hold} is over: the phase would always be late`);
		if (each.shadow_by !== undefined && !each.shadow) at("shadow_by", "belongs to a shadow phase");
		if (each.percent > of.target_percent) at("percent", `${each.percent} % is beyond the target_percent of ${of.target_percent} %`);
	});
	const later = new Set(of.phases.slice(1).flatMap(({ flags }) => flags));
	of.guards.forEach((guard, i) => {
		const flag = flagOf(guard);
		if (flag !== undefined && later.has(flag) && guardText(guard).includes("vs baseline"))
			errors.push({ pointer: `/guards/${i}`, message: `"${flag}" joins later: there is no baseline of it, compare with control` });
	});
	if (of.phases.length > 0 && joinedFlags(of, 0).length === 0)
		errors.push({ pointer: "/phases/0/flags", message: "no flag is in the rollout from its first phase on" });
	const last = of.phases.at(-1);
	if (last && last.percent !== of.target_percent)
		errors.push({
			pointer: `/phases/${of.phases.length - 1}/percent`,
			message: `the last phase serves ${of.target_percent} %${of.target_percent === 100 ? "" : ", the target_percent"}`,
		});
	return errors;
}

/** Here and not in the schema, which reads stored plans too: what was once accepted is not damaged. */
const A_URL = /^https?:\/\/[^\s/?#]\S*$/i;

function checkWayBack({ rollback: { strategy, stages, keys, segments, versions, steps }, flags, guards }: Plan): FieldError[] {
	const errors: FieldError[] = [];
	const at = (field: string, message: string): number => errors.push({ pointer: `/rollback/${field}`, message });
	stages.forEach((stage, i) => {
		if (i > 0 && stage >= (stages[i - 1] ?? 0)) at(`stages/${i}`, `${stage} % is not below the ${stages[i - 1] ?? 0} % before it`);
	});
	if (stages.at(-1) !== 0) at(`stages/${stages.length - 1}`, "the last stage is 0: nobody is served the candidate any more");
	if (strategy === "feature" && guards.every((guard) => flagOf(guard) === undefined))
		at("strategy", 'feature needs guards that name a flag: {guard: "error_rate vs control <= +25%", flag: …}');
	if (strategy === "targeted" && keys.length + segments.length === 0) at("strategy", "targeted needs keys or segments: who goes back?");
	for (const flag of Object.keys(versions)) if (!flags.includes(flag)) at(`versions/${flag}`, `"${flag}" is no flag of the plan`);
	steps.forEach(({ name, http, timeout }, i) => {
		if (steps.findIndex((other) => other.name === name) !== i) at(`steps/${i}/name`, `"${name}" is used twice`);
		if (!A_URL.test(http)) at(`steps/${i}/http`, "takes a URL, as in https://origin.example/purge");
		const ms = durationMs(timeout) ?? 0;
		if (ms < STEP_MIN_MS || ms > STEP_MAX_MS)
			at(
				`steps/${i}/timeout`,
				`takes ${printDuration(STEP_MIN_MS)} to ${printDuration(STEP_MAX_MS)}: a rollback's steps are not waited for longer`,
			);
	});
	return errors;
}

/** Whether something judges every phase, and no more than can be told apart. The plan's criteria parse. */
function checkJudged(of: Plan): readonly FieldError[] {
	const errors: FieldError[] = [];
	const { guards, baselines, phases } = criteriaIn(of);
	phases.forEach((own, i) => {
		const hasControl = servedIn(of, i) < BUCKETS;
		const joined = joinedFlags(of, i);
		const isIn = ({ flag }: VersusControl | VersusBaseline): boolean => flag === undefined || joined.includes(flag);
		// What nobody need report may never judge anything.
		const isJudged = own.some(({ optional }) => !optional) || baselines.some(isIn) || (guards.some(isIn) && hasControl);
		if (!isJudged)
			errors.push({
				pointer: `/phases/${i}`,
				message:
					hasControl || guards.length === 0
						? "nothing judges this phase: add guards to the plan or criteria to the phase"
						: "without a holdback there is no control here, so guards cannot judge: add criteria, or a holdback",
			});
	});
	const printed = of.guards.map((each) => {
		const parsed = parseCriterion(guardText(each), "guard", metricsBy(of.metrics));
		return `${flagOf(each) ?? ""} ${parsed.ok ? printCriterion(parsed.value, "guard") : ""}`;
	});
	printed.forEach((each, i) => {
		const same = printed.indexOf(each);
		// Evidence that is told twice would count twice.
		if (same !== i) errors.push({ pointer: `/guards/${i}`, message: `says the same as "${guardText(of.guards[same] ?? "")}"` });
	});
	for (const [metric, keys] of Map.groupBy(signalKeysOf(of), (each) => each.metric))
		if (keys.length > SLOTS_MAX)
			errors.push({ pointer: "", message: `${keys.length} different limits of ${metric} > limit ${SLOTS_MAX} a plan` });
	return errors;
}
