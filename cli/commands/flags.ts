import { type Flag, flag, flags } from "../answers";
import type { Answer, Call, Command } from "../command";
import { wouldSend } from "../command";
import { type Control, type Write, problemIn } from "../controlApi";
import { environmentName } from "../../core/flags/model";
import { Stop } from "../exit";
import { type Paint, instant, pairs, table } from "../output";

const ENVIRONMENT = ["environment"] as const;
const WRITES = ["environment", "reason", "dry-run"] as const;

const runList = async ({ control, environment, paint, note }: Call): Promise<Answer> => {
	const found = await control().get("/flags", flags, { environment });
	if (found.damaged.length > 0) note(`cannot be read: ${found.damaged.join(", ")}. Delete them, and create them again`);
	return { json: found.flags, text: found.flags.length > 0 ? flagTable(found.flags, paint) : `there are no flags in ${environment}` };
};

/** "flags" alone lists too. */
export const flagsList: readonly Command[] = ["flags", "flags list"].map((name) => ({
	name,
	takes: "",
	about: name === "flags" ? "The same as flags list" : "All flags of an environment",
	options: ENVIRONMENT,
	examples: [`tidegate ${name}`, `tidegate ${name} --environment staging --json`],
	run: runList,
}));

export const flagsGet: Command = {
	name: "flags get",
	takes: "<flag>",
	about: "One flag, whole",
	options: ENVIRONMENT,
	examples: ["tidegate flags get new-checkout", "tidegate flags get new-checkout --json | jq .rules"],
	async run({ args: [key = ""], control, environment, paint }) {
		const found = await control()
			.get(`/flags/${encodeURIComponent(key)}`, flag, { environment })
			.catch(inEnvironment(environment));
		return { json: found, text: flagText(found, paint) };
	},
};

export const kill: Command = {
	name: "kill",
	takes: "<flag>",
	about: "Everybody gets the flag's off variant, within 10 s",
	options: WRITES,
	examples: ['tidegate kill new-checkout --reason "cards are refused"', "tidegate kill new-checkout --dry-run"],
	notes: "Needs no version and asks nothing. A flag that is killed already stays so.",
	async run(call) {
		const control = call.control();
		const write = switching(call, false);
		if (call.options["dry-run"]) return wouldSend(control, [write]);
		const killed = await control.send(write, flag).catch(inEnvironment(call.environment));
		return { json: killed, text: `${killed.key} is killed in ${call.environment}: everybody gets "${killed.offVariant}" within 10 s` };
	},
};

export const unkill: Command = {
	name: "unkill",
	takes: "<flag>",
	about: "The flag is served by its rules and rollout again",
	options: WRITES,
	examples: ['tidegate unkill new-checkout --reason "fixed in 1.4.2"'],
	async run(call) {
		const control = call.control();
		const now = await read(control, call);
		if (now.enabled) return { json: now, text: `${now.key} is not killed in ${call.environment}` };
		const write = { ...switching(call, true), ifMatch: now.version };
		if (call.options["dry-run"]) return wouldSend(control, [write]);
		const back = await control.send(write, flag);
		return { json: back, text: `${back.key} is served again in ${call.environment}, within 10 s` };
	},
};

function switching({ args: [key = ""], environment, options }: Pick<Call, "args" | "environment" | "options">, enabled: boolean): Write {
	return {
		method: "PATCH",
		path: `/flags/${encodeURIComponent(key)}`,
		query: { environment, reason: options.reason },
		body: { enabled },
	};
}

const read = (control: Control, { args: [key = ""], environment }: Call): Promise<Flag> =>
	control.get(`/flags/${encodeURIComponent(key)}`, flag, { environment }).catch(inEnvironment(environment));

/** What is not there mostly is in the other environment. */
function inEnvironment(environment: string) {
	return (error: unknown): never => {
		if (!(error instanceof Stop) || problemIn(error)?.type.endsWith(":flag_missing") !== true) throw error;
		throw new Stop(error.exit, flagMissing(error.message, environment), error.details);
	};
}

export function flagMissing(said: string, environment: string): string {
	const others = environmentName.options.filter((each) => each !== environment).map((each) => `with -e ${each} those of ${each}`);
	return `${said}: tidegate flags lists those there are, ${others.join(", ")}`;
}

function flagTable(found: readonly Flag[], paint: Paint): string {
	const rows = found.map((each) => [each.key, each.type, stateOf(each, paint), served(each.fallthrough), String(each.version)]);
	return table(["FLAG", "TYPE", "STATE", "FALLTHROUGH", "VERSION"], rows, paint);
}

const stateOf = ({ enabled }: Flag, paint: Paint): string => (enabled ? "on" : paint("red", "killed"));

function served(serve: Flag["fallthrough"]): string {
	if (typeof serve === "string") return serve;
	return serve.map(({ variant, weight }) => `${variant} ${weight / 1_000} %`).join(", ");
}

function flagText(of: Flag, paint: Paint): string {
	const { key, type, variants, fallthrough, offVariant, version, updatedAtMs, enabled: _enabled, environment: _environment, ...rest } = of;
	const more = Object.entries(rest).filter(([, value]) => !isEmpty(value));
	return pairs(
		[
			["flag", `${paint("bold", key)} (${type}), ${stateOf(of, paint)}`],
			[
				"variants",
				Object.entries(variants)
					.map(([name, value]) => `${name} = ${JSON.stringify(value)}`)
					.join(", "),
			],
			["fallthrough", served(fallthrough)],
			["when killed", offVariant],
			["version", `${version}, of ${instant(updatedAtMs)}`],
			...more.map(([name, value]): [string, string] => [name, typeof value === "string" ? value : JSON.stringify(value)]),
		],
		paint,
	);
}

function isEmpty(value: unknown): boolean {
	return value === null || value === "" || value === false || (Array.isArray(value) && value.length === 0);
}
