import { explanation } from "../answers";
import type { Command } from "../command";
import { failure, usageError } from "../exit";
import type { Options } from "../options";
import { flagMissing } from "./flags";

export const explain: Command = {
	name: "explain",
	takes: "<flag> [key=value…]",
	about: "Why a context is served what it is served, step by step",
	options: ["environment", "context", "context-json"],
	examples: [
		"tidegate explain new-checkout --context targetingKey=ann plan=gold age:=42",
		`tidegate explain new-checkout --context-json '{"targetingKey": "ann", "beta": true}'`,
	],
	notes: 'key=value is a text, key:=value is JSON: "1" is not 1 to a rule.',
	async run({ args: [key = "", ...rest], options, control, environment, paint }) {
		const context = contextOf(options, rest);
		const found = await control().ask("/explain", { environment, flag: key, context }, explanation);
		const { steps, snapshot, resolution } = found;
		if (resolution.errorCode === "FLAG_NOT_FOUND")
			throw failure(flagMissing(`there is no flag ${key} in ${environment}`, environment), { explanation: found });
		return {
			json: found,
			text: [...steps, "", paint("dim", `snapshot ${snapshot}`), JSON.stringify(resolution, null, 2)].join("\n"),
		};
	},
};

/** Single attributes are laid over the whole one. */
function contextOf(options: Pick<Options, "context" | "context-json">, words: readonly string[]): Record<string, unknown> {
	const whole = options["context-json"];
	const base = whole === undefined ? {} : json(whole, "--context-json");
	if (typeof base !== "object" || base === null || Array.isArray(base))
		throw usageError(`--context-json takes an object, not ${whole ?? ""}`);
	const named = [...options.context, ...words].map((text): [string, unknown] => {
		const [, key, kind, value = ""] = /^([^:=]+)(:?=)(.*)$/s.exec(text) ?? [];
		if (key === undefined) throw usageError(`"${text}" is no attribute: write key=value, or key:=value for a number or true and false`);
		return [key, kind === "=" ? value : json(value, key)];
	});
	return { ...base, ...Object.fromEntries(named) };
}

function json(text: string, name: string): unknown {
	try {
		return JSON.parse(text);
	} catch {
		throw usageError(`${name}: ${text} is no JSON${/^[\w-]+$/.test(text) ? `: a text is written ${name}=${text}` : ""}`);
	}
}
