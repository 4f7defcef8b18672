import { stringify } from "yaml";
import { environmentSettings as schema } from "../../core/environmentSettings";
import { fieldErrors } from "../../core/flags/fieldErrors";
import { type Breaker, type Settings, breaker, environments, settings } from "../answers";
import type { Answer, Call, Command } from "../command";
import { wouldSend } from "../command";
import { type Write, problemIn } from "../controlApi";
import { Stop, usageError } from "../exit";
import { type Paint, instant, pairs, table } from "../output";
import { type Mistaken, orStop, placed, printMistakes, readText } from "../planFile";
import { type Source, readYaml } from "../positions";
import { breakerText } from "./status";

export const environmentList: Command = {
	name: "environment",
	takes: "",
	about: "All environments: snapshot, breaker, and whether the engine acts or advises",
	options: [],
	examples: ["tidegate environment", "tidegate environment --json | jq '.[].breaker.state'"],
	async run({ control, paint, world }) {
		const found = (await control().get("/environments", environments)).environments;
		const rows = found.map((each) => [
			each.environment,
			`${each.version}${each.pending ? paint("yellow", ", to publish") : ""}`,
			automationText(each.settings, paint),
			breakerText(each.breaker, world.now(), paint),
		]);
		return { json: found, text: table(["ENVIRONMENT", "SNAPSHOT", "ENGINE", "BREAKER"], rows, paint) };
	},
};

export const environmentSettings: Command = {
	name: "environment settings",
	takes: "",
	about: "What an environment's rollouts have in common: automation, breaker and plans' defaults; --file replaces it",
	options: ["environment", "file", "reason", "dry-run"],
	examples: [
		"tidegate environment settings > production.yaml",
		'tidegate environment settings --file production.yaml --reason "new thresholds"',
		"echo 'automation: advise' | tidegate environment settings --environment staging --file -",
	],
	notes: "A file replaces all of it: what it does not name has its default. docs/environments.md has the fields.",
	async run(call) {
		const { file } = call.options;
		if (file !== undefined) return replace(call, file);
		if (call.options["dry-run"] || call.options.reason !== undefined)
			throw usageError("environment settings shows what there is: --file names what to write");
		const found = await call.control().get(pathOf(call), settings);
		return { json: found, text: settingsText(call, found) };
	},
};

export const breakerShow: Command = {
	name: "breaker",
	takes: "",
	about: "Whether an environment's rollouts advance by themselves, or too many were rolled back",
	options: ["environment"],
	examples: ["tidegate breaker", "tidegate breaker --environment staging --json | jq -r .state"],
	async run({ control, environment, paint, world }) {
		const found = (await control().get("/environments", environments)).environments.find((each) => each.environment === environment);
		if (!found) throw usageError(`control knows no environment ${environment}`);
		return { json: found.breaker, text: breakerPairs(environment, found.breaker, world.now(), paint) };
	},
};

export const breakerReset: Command = {
	name: "breaker reset",
	takes: "",
	about: "Closes the breaker: what was rolled back until now counts no longer",
	options: ["environment", "reason", "dry-run"],
	examples: ['tidegate breaker reset --reason "one broken release, taken back"'],
	async run({ control: open, environment, options, paint, world }) {
		const control = open();
		const write: Write = { method: "POST", path: `/environments/${environment}/breaker/reset`, body: { reason: options.reason ?? "" } };
		if (options["dry-run"]) return wouldSend(control, [write]);
		const found = await control.send(write, breaker);
		return { json: found, text: breakerPairs(environment, found, world.now(), paint) };
	},
};

const pathOf = ({ environment }: Pick<Call, "environment">): string => `/environments/${environment}/settings`;

async function replace(call: Call, name: string): Promise<Answer> {
	const text = await readText(name, call.world);
	const { source } = orStop(readSettings(name, text), name);
	const control = call.control();
	const { version } = await control.get(pathOf(call), settings);
	const query = { reason: call.options.reason };
	const write: Write = { method: "PUT", path: pathOf(call), query, body: source.value, ifMatch: version };
	if (call.options["dry-run"]) return wouldSend(control, [write]);
	const written = await control.send(write, settings).catch((error: unknown) => {
		throw inFile(error, name, text, source);
	});
	return { json: written, text: settingsText(call, written) };
}

function readSettings(name: string, text: string): { readonly source: Source } | Mistaken {
	const read = readYaml(text);
	if ("mistakes" in read) return { name, text, mistakes: read.mistakes };
	const { error } = schema.safeParse(read.source.value);
	return error
		? { name, text, mistakes: fieldErrors(error.issues, read.source.value).map((each) => placed(each, read.source, schema)) }
		: read;
}

/** What control refuses, at its place in the file. */
function inFile(error: unknown, name: string, text: string, source: Source): unknown {
	const errors = problemIn(error)?.errors;
	if (!(error instanceof Stop) || errors === undefined) return error;
	const mistakes = errors.map((each) => placed(each, source, schema));
	return new Stop(error.exit, `control refuses ${name}\n${printMistakes({ name, text, mistakes })}`, {
		...error.details,
		errors: mistakes,
	});
}

const automationText = ({ automation, damaged }: Pick<Settings, "automation" | "damaged">, paint: Paint): string => {
	const said = automation === "advise" ? paint("yellow", "advises only") : "acts";
	return damaged ? `${said} ${paint("red", "(its settings cannot be read)")}` : said;
};

/** As --file takes it. */
function settingsText({ environment }: Call, { automation, breaker: own, defaults, version, damaged }: Settings): string {
	const about = damaged
		? "what is stored cannot be read, so these are the defaults"
		: version === 0
			? "the defaults"
			: `version ${version}`;
	return `# ${environment}: ${about}\n${stringify({ automation, breaker: own, defaults })}`.trimEnd();
}

function breakerPairs(environment: string, found: Breaker, now: number, paint: Paint): string {
	const { rollbacks, within, open, reset } = found.settings;
	return pairs(
		[
			["breaker", `${environment}: ${breakerText(found, now, paint)}`],
			[
				"opens",
				`after ${rollbacks} automatic ${rollbacks === 1 ? "rollback" : "rollbacks"} within ${within}, for ${open}; closes ${reset} after the last`,
			],
			...(found.resetAtMs === null ? [] : ([["reset", instant(found.resetAtMs)]] as const)),
		],
		paint,
	);
}
