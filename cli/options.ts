import { parseArgs } from "node:util";
import { environmentName } from "../core/flags/model";
import { meant, nearest } from "../core/health/suggest";
import { durationMs } from "../core/rollouts/duration";
import { STRATEGIES } from "../core/rollouts/wayBack";
import { usageError } from "./exit";

/** All options are here, and commands name those that they take; what one means to a command alone is said there. */

interface Option {
	readonly type: "string" | "boolean";
	readonly short?: string;
	/** Of a string: what it is, as help shows it. */
	readonly takes?: string;
	readonly multiple?: boolean;
	readonly about: string;
}

export const OPTIONS = {
	help: { type: "boolean", short: "h", about: "this text" },
	version: { type: "boolean", short: "V", about: "the version" },
	json: { type: "boolean", about: "one JSON value on stdout" },
	profile: { type: "string", takes: "<name>", about: "which login to use (TIDEGATE_PROFILE, else default)" },
	url: { type: "string", takes: "<url>", about: "control's URL (TIDEGATE_URL, else the profile's)" },
	environment: { type: "string", short: "e", takes: "<name>", about: "production or staging (default: production)" },
	"dry-run": { type: "boolean", about: "write nothing: show what would be sent" },
	reason: { type: "string", takes: "<text>", about: "why; kept in the audit" },
	yes: { type: "boolean", short: "y", about: "do not ask" },
	edge: { type: "string", takes: "<url>", about: "the edge's URL (TIDEGATE_EDGE_URL, else the profile's)" },
	role: { type: "string", takes: "<role>", about: "viewer, operator or admin" },
	start: { type: "boolean", about: "start the rollout that is created" },
	"from-phase": { type: "string", takes: "<name|number>", about: "of a start: the phase to begin with" },
	manual: { type: "boolean", about: "of a start: nothing advances by itself" },
	"auto-advance": { type: "boolean", about: "of a start: phases follow each other by themselves (default)" },
	at: { type: "string", takes: "<time>", about: "of a start: when, as in 2026-01-31T12:00:00Z (default: now)" },
	by: { type: "string", takes: "<duration>", about: "how much longer" },
	force: { type: "boolean", about: "past whatever holds it back; takes an admin and a reason" },
	strategy: { type: "string", takes: "<strategy>", about: `the way back: ${STRATEGIES.join(", ")} (default: immediate)` },
	stages: { type: "string", takes: "<75,50,0>", about: "gradual: percents of users (default: the plan's)" },
	keys: { type: "string", takes: "<a,b>", about: "targeted: the targeting keys that go back" },
	segments: { type: "string", takes: "<a,b>", about: "whom it is about; targeted: who goes back" },
	versions: { type: "string", takes: "<flag=3>", about: "version: flags and the versions they get back (default: those of the start)" },
	status: {
		type: "string",
		takes: "<status>",
		about: "one or several with commas: draft, running, paused, completed…",
	},
	detail: { type: "string", takes: "<text>", about: "what a report says besides" },
	limit: { type: "string", takes: "<count>", about: "at most so many" },
	flags: { type: "string", takes: "<a,b>", about: "only the rollouts that hold these flags" },
	kill: { type: "boolean", about: "with --flags: switch them off besides" },
	days: { type: "string", takes: "<count>", about: "of the last so many days" },
	share: { type: "string", takes: "<percent>", about: "of requests" },
	for: { type: "string", takes: "<duration>", about: "how long (default 1h)" },
	"up-to": { type: "string", takes: "<0-9>", about: "of a shed: the highest priority of which requests are refused (default 5)" },
	exempt: {
		type: "string",
		takes: "</a,/b/*>",
		about: "of a shed: paths never refused, in place of /health, /health/*, /healthz, /livez, /readyz",
	},
	key: { type: "string", takes: "<key>", about: "what the protection is called (default: its kind, and the host that it is for)" },
	host: { type: "string", takes: "<host>", about: "the host it is about" },
	variant: { type: "string", takes: "<variant>", about: "the variant that is forced (default: none, it is only shown)" },
	date: { type: "string", takes: "<day>", about: "as in 2026-01-31 (default: today, UTC)" },
	kind: { type: "string", takes: "<route|flag>", about: "whose report, where a route and a flag have the same key" },
	context: { type: "string", takes: "<key=value>", multiple: true, about: "an attribute; key:=value reads the value as JSON" },
	"context-json": { type: "string", takes: "<object>", about: "the whole context as a JSON object" },
	file: { type: "string", short: "f", takes: "<file>", about: "what to write, as YAML or JSON; - is stdin" },
	output: { type: "string", short: "o", takes: "<file>", about: "write there instead of to stdout" },
	interval: { type: "string", takes: "<duration>", about: "how often to look (default 2s)" },
	timeout: { type: "string", takes: "<duration>", about: "stop watching after so long, with exit code 6" },
	patience: { type: "string", takes: "<duration>", about: "how long control may be out of reach (default 60s), then exit code 5" },
} as const satisfies Readonly<Record<string, Option>>;

export type OptionName = keyof typeof OPTIONS;

type ValueOf<O extends Option> = O extends { readonly multiple: true }
	? readonly string[]
	: O["type"] extends "boolean"
		? boolean
		: string | undefined;
export type Options = { readonly [K in OptionName]: ValueOf<(typeof OPTIONS)[K]> };

/** Taken by every command. */
export const GLOBAL: readonly OptionName[] = ["json", "profile", "url", "help", "version"];

export interface Arguments {
	/** The command's words, and what follows them. */
	readonly words: readonly string[];
	readonly options: Options;
	/** As they were named. */
	readonly given: readonly OptionName[];
}

/** Knows every option and no command: which one takes which is looked at once the command is known. */
export function readArguments(argv: readonly string[]): Arguments {
	const { values, positionals, tokens } = parseArgs({
		args: [...argv],
		options: OPTIONS,
		allowPositionals: true,
		strict: false,
		tokens: true,
	});
	const given = new Set<OptionName>();
	for (const token of tokens) {
		if (token.kind !== "option") continue;
		const { name, rawName, value, inlineValue } = token;
		if (!Object.hasOwn(OPTIONS, name)) throw usageError(unknownOption(rawName, name));
		const known: Option = OPTIONS[name as OptionName];
		if (known.type === "boolean" && value !== undefined) throw usageError(`${rawName} takes no value`);
		// `--reason --json` forgot the reason: a value that begins with a dash is joined by "=".
		const isForgotten = known.type === "string" && (value === undefined || (!inlineValue && /^-./.test(value)));
		if (isForgotten) throw usageError(`${rawName} takes a value: ${rawName}=${known.takes ?? ""}`);
		if (given.has(name as OptionName) && known.multiple !== true && known.type === "string") throw usageError(`${rawName} is given twice`);
		given.add(name as OptionName);
	}
	const options = Object.fromEntries(
		Object.entries(OPTIONS).map(([name, option]: [string, Option]) => [name, values[name] ?? absent(option)]),
	);
	return { words: positionals, options: options as unknown as Options, given: [...given] };
}

function absent({ type, multiple }: Option): unknown {
	if (multiple === true) return [];
	return type === "boolean" ? false : undefined;
}

function unknownOption(rawName: string, name: string): string {
	const begun = Object.keys(OPTIONS).filter((each) => name.length > 2 && each.startsWith(name));
	const likely = begun.length === 1 ? begun[0] : nearest(name, Object.keys(OPTIONS));
	return `there is no option ${rawName}${likely === undefined ? ": --help shows those there are" : `: did you mean --${likely}?`}`;
}

export function environmentOf({ environment = "production" }: Options): string {
	const known = environmentName.options;
	if ((known as readonly string[]).includes(environment)) return environment;
	const likely = meant(environment, known);
	throw usageError(
		`there is no environment ${environment}: ${likely === undefined ? `it is ${known.join(" or ")}` : `did you mean ${likely}?`}`,
	);
}

export function durationOf(options: Options, name: "interval" | "timeout" | "patience", fallbackMs: number): number {
	const text = options[name];
	if (text === undefined) return fallbackMs;
	const ms = durationMs(text);
	if (ms === undefined || ms === 0) throw usageError(`--${name} takes a duration as in 90s, 5m or 2h, not "${text}"`);
	return ms;
}

export const countOf = ({ limit }: Options, fallback: number, max: number): number => numberIn("limit", limit, fallback, max);
export const daysOf = ({ days }: Options, fallback: number, max: number): number => numberIn("days", days, fallback, max);

function numberIn(name: OptionName, text: string | undefined, fallback: number, max: number): number {
	if (text === undefined) return fallback;
	const count = /^\d{1,6}$/.test(text) ? Number(text) : 0;
	if (count < 1 || count > max) throw usageError(`--${name} takes a number from 1 to ${max}, not "${text}"`);
	return count;
}
