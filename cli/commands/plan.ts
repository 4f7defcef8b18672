import {
	type Detail,
	type Settings,
	type Summary,
	detail,
	listed,
	metrics as metricsAnswer,
	routes as routesAnswer,
	settings,
} from "../answers";
import type { Call, Command } from "../command";
import { wouldSend } from "../command";
import type { Control, Write } from "../controlApi";
import { EXIT, Stop, usageError } from "../exit";
import { diff } from "../../core/flags/diff";
import { route as routeSchema } from "../../core/gateway/model";
import { withDefaults } from "../../core/environmentSettings";
import { storedMetric } from "../../core/metricModel";
import { candidateOf } from "../../core/rollouts/exposure";
import { type Plan, phaseName } from "../../core/rollouts/plan";
import type { MetricDefinition } from "../../core/metric";
import { type Paint, percent, table } from "../output";
import { type Mistaken, type PlanFile, fieldsOf, inFile, orStop, printMistakes, readPlan, readText } from "../planFile";
import { placeText } from "../place";
import { phasesText } from "../phases";
import { START_OPTIONS, startFields } from "../commandFields";
import { commandWrite, tell } from "./rolloutCommands";

export const validate: Command = {
	name: "plan validate",
	takes: "<file>",
	about: "Checks a plan (YAML or JSON, - is stdin) here, and says line, column and field of what is wrong",
	options: ["environment"],
	examples: ["tidegate plan validate checkout.yaml", "tidegate plan validate - --json < checkout.yaml"],
	notes:
		"Control is asked only where a criterion names a metric that is not a standard one, or nothing judges a phase but what its environment may add, and somebody has logged in.\nWhether the flags and segments are there is checked when the plan is applied: the last line names them.",
	async run(call) {
		const read = await readChecked(call);
		if ("mistakes" in read) return { json: { valid: false, errors: read.mistakes }, text: printMistakes(read), exit: EXIT.failure };
		const { routes } = read;
		const { rollout, environment, phases, guards, red_flags: redFlags, flags } = read.plan;
		const steps = phases.map((each) => percent(each.percent)).join(", ");
		const unchecked = uncheckedIn(read.plan);
		return {
			json: { valid: true, plan: read.plan, routes, notChecked: unchecked },
			text: `${read.name} is a valid plan: ${rollout} in ${environment}, ${counted(flags.length, "flag")}, ${counted(phases.length, "phase")} (${steps}), ${counted(guards.length, "guard")}, ${counted(redFlags.length, "red flag")}${routes.length === 0 ? "" : `, ${counted(routes.length, "route")}`}\n\n${phasesText(read.plan, call.paint)}\n\nnot checked here: whether ${environment} has ${uncheckedText(unchecked)}`,
		};
	},
};

export const difference: Command = {
	name: "plan diff",
	takes: "<file>",
	about: "What a plan changes against that of its newest attempt, and of the routes that there are",
	options: ["environment"],
	examples: ["tidegate plan diff checkout.yaml", "tidegate plan diff checkout.yaml --json | jq '.differences | length'"],
	async run(call) {
		const file = orStop(await readChecked(call), call.args[0] ?? "");
		const control = call.control();
		const newest = await newestAttempt(control, file);
		const { rollout } = file.plan;
		if (!newest) {
			const differences = await routeDifferences(control, file);
			const none = `${rollout} has no attempt yet: tidegate plan apply ${file.name}`;
			const text = differences.length === 0 ? none : `${none}\n\nroutes that it changes\n\n${differenceTable(differences, call.paint)}`;
			return { json: { rollout, against: null, differences }, text };
		}
		const approved = newest.plan as Readonly<Record<string, unknown>> | null;
		const { defaults } = await settingsOf(control, file.plan.environment);
		const { metrics: _own, ...wanted } = withDefaults(file.plan, fieldsOf(file.written), defaults);
		// Both with their defaults. What control adds to a plan, the definitions of its metrics, nobody writes.
		const { metrics: _metrics, ...before } = approved ?? {};
		const differences = [...diff(before, JSON.parse(JSON.stringify(wanted))), ...(await routeDifferences(control, file))];
		return {
			json: { rollout, against: newest.id, status: newest.status, differences },
			text: differencesText(newest, differences, call.paint),
		};
	},
};

export const apply: Command = {
	name: "plan apply",
	takes: "<file>",
	about: "Creates a rollout from a plan: a draft, unless --start",
	options: ["environment", "start", ...START_OPTIONS, "reason", "dry-run"],
	examples: [
		"tidegate plan apply checkout.yaml",
		'tidegate plan apply checkout.yaml --start --reason "approved in #412"',
		"tidegate plan apply checkout.yaml --start --at 2026-03-01T08:00:00Z --manual",
	],
	notes:
		"Each time it makes a new attempt, with other users. Routes of the plan are written with it, over those that are there, which takes an admin where they change: it says what has changed, and plan diff what would.",
	async run(call) {
		const { start: isStarted } = call.options;
		const stray = START_OPTIONS.find((each) => call.given.includes(each));
		if (stray !== undefined && !isStarted) throw usageError(`--${stray} says how it starts: it takes --start`);
		const fields = startFields(call.options);
		const file = orStop(await readChecked(call), call.args[0] ?? "");
		if (isStarted) mustBeStartable(file, call.options["from-phase"]);
		const control = call.control();
		const create: Write = { method: "POST", path: "/rollouts", body: file.written };
		const start = (id: string): Write => commandWrite(id, "start", call.options.reason, fields);
		if (call.options["dry-run"]) return wouldSend(control, isStarted ? [create, start(await nextId(control, file))] : [create]);
		const changed = await routeDifferences(control, file);
		const draft = await control.send(create, detail).catch((error: unknown) => {
			throw inFile(error, file);
		});
		for (const { path, before, after } of changed)
			call.note(
				before === undefined && after !== undefined ? `written: ${path}` : `changed: ${path}, from ${shown(before)} to ${shown(after)}`,
			);
		const there = file.routes.map(({ key }) => `, its route ${key} is there`).join("");
		if (!isStarted) return { json: draft, text: `${draft.id} is a draft${there}: tidegate rollout start ${draft.id}` };
		const started = await tell(call.world, control, start(draft.id)).catch((error: unknown) => {
			if (!(error instanceof Stop)) throw error;
			throw new Stop(
				error.exit,
				`${draft.id} was created, and could not be started: ${error.message}\nIt stays a draft: mend that and start it, or take it away: tidegate rollout cancel ${draft.id}`,
				{
					...error.details,
					created: draft.id,
				},
			);
		});
		return { json: started, text: `${placeText(started)}\ntidegate rollout watch ${started.id}` };
	},
};

/** A plan's routes are written with it, over those that are there. */
async function routeDifferences(control: Control, { plan: { environment }, routes }: PlanFile): Promise<ReturnType<typeof diff>> {
	if (routes.length === 0) return [];
	const there = new Map((await control.get("/gateway/routes", routesAnswer, { environment })).routes.map((each) => [each.key, each]));
	const written = (of: object) => Object.fromEntries(Object.entries(of).filter(([name]) => Object.hasOwn(routeSchema.shape, name)));
	return routes.flatMap((route) => {
		const before = there.get(route.key);
		const found = diff(before && written(before), JSON.parse(JSON.stringify(route)));
		return found.map((each) => ({ ...each, path: `/routes/${route.key}${each.path}` }));
	});
}

/** What would leave a draft behind that nobody can start. */
function mustBeStartable({ name, plan }: PlanFile, fromPhase: string | undefined): void {
	if (fromPhase === undefined) return;
	const names = plan.phases.map((_, i) => phaseName(plan, i));
	const isNumber = /^[1-9]\d?$/.test(fromPhase) && Number(fromPhase) <= names.length;
	if (!isNumber && !names.includes(fromPhase)) throw usageError(`there is no phase ${fromPhase}: ${name} has ${names.join(", ")}`);
}

interface Unchecked {
	readonly flags: readonly string[];
	readonly segments: readonly string[];
	readonly variant: string;
}

function uncheckedIn(plan: Plan): Unchecked {
	const { exclude, rollback, phases, flags } = plan;
	const named = [...exclude.segments, ...phases.flatMap(({ audience }) => audience ?? []), ...rollback.segments];
	return { flags, segments: [...new Set(named)], variant: candidateOf(plan) };
}

function uncheckedText({ flags, segments, variant }: Unchecked): string {
	const some = (what: string, names: readonly string[]): string[] =>
		names.length === 0 ? [] : [`the ${what}${names.length === 1 ? "" : "s"} ${names.join(", ")}`];
	return [...some("flag", flags), `the variant "${variant}"`, ...some("segment", segments)].join(", ");
}

const counted = (count: number, what: string): string => `${count === 0 ? "no" : count} ${what}${count === 1 ? "" : "s"}`;

/** The plan as it is checked here, with the environment's own metrics and defaults where it needs them and control can be asked. */
async function readChecked(call: Call): Promise<PlanFile | Mistaken> {
	const [name = ""] = call.args;
	const text = await readText(name, call.world);
	const alone = readPlan(name, text, []);
	const needsMore = "mistakes" in alone && alone.mistakes.some(({ message }) => /^(?:unknown quantity|nothing judges)/.test(message));
	const read = needsMore ? await readWithinEnvironment(call, name, text, alone) : alone;
	const named = call.given.includes("environment") ? call.environment : undefined;
	if (named !== undefined && !("mistakes" in read) && read.plan.environment !== named)
		throw usageError(`${name} is a plan for ${read.plan.environment}, and --environment says ${named}`);
	return read;
}

async function readWithinEnvironment(call: Call, name: string, text: string, alone: Mistaken): Promise<PlanFile | Mistaken> {
	try {
		const environment = /^\W*environment\W+(\w+)/m.exec(text)?.[1] ?? call.environment;
		const control = call.control();
		const [own, { defaults }] = await Promise.all([ownMetrics(control, environment), settingsOf(control, environment)]);
		return readPlan(name, text, own, defaults);
	} catch (error) {
		if (!(error instanceof Stop)) throw error;
		call.note(`the environment's own metrics and defaults are not known here, so only the standard ones count: ${error.message}`);
		return alone;
	}
}

async function ownMetrics(control: Control, environment: string): Promise<MetricDefinition[]> {
	const { metrics } = await control.get("/metrics", metricsAnswer, { environment });
	return metrics.filter(({ standard }) => !standard).flatMap((each) => storedMetric.safeParse(each).data ?? []);
}

const settingsOf = (control: Control, environment: string): Promise<Settings> =>
	control.get(`/environments/${encodeURIComponent(environment)}/settings`, settings);

const LISTED_MAX = 1_000;

async function newestAttempt(control: Control, { plan }: PlanFile): Promise<Detail | undefined> {
	const [newest] = await attempts(control, plan.rollout, plan.environment);
	return newest && control.get(`/rollouts/${newest.id}`, detail);
}

/** Attempts are counted over all environments. */
async function nextId(control: Control, { plan: { rollout } }: PlanFile): Promise<string> {
	const [newest] = await attempts(control, rollout);
	return `${rollout}.${(newest?.attempt ?? 0) + 1}`;
}

/** The newest first. */
async function attempts(control: Control, wanted: string, environment?: string): Promise<Summary[]> {
	const { rollouts } = await control.get("/rollouts", listed, { environment, limit: LISTED_MAX });
	return rollouts.filter(({ name }) => name === wanted).sort((a, b) => b.attempt - a.attempt);
}

function differencesText({ id, status }: Detail, differences: ReturnType<typeof diff>, paint: Paint): string {
	if (differences.length === 0) return `nothing differs from ${id} (${status})`;
	return `against ${id} (${status})\n\n${differenceTable(differences, paint)}`;
}

const shown = (value: unknown): string => (value === undefined ? "–" : JSON.stringify(value));

function differenceTable(differences: ReturnType<typeof diff>, paint: Paint): string {
	const rows = differences.map(({ path, before, after }) => [path, paint("red", shown(before)), paint("green", shown(after))]);
	return table(["FIELD", "THERE", "HERE"], rows, paint);
}
