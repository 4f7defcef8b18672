import { parseInstant } from "../core/flags/instant";
import { durationMs } from "../core/rollouts/duration";
import { STRATEGIES, type WayBackStrategy } from "../core/rollouts/wayBack";
import { usageError } from "./exit";
import type { OptionName, Options } from "./options";

/** What options say of a command to a rollout, as control takes it. What depends on the rollout control checks. */

type Fields = Readonly<Record<string, unknown>>;

export const START_OPTIONS = ["from-phase", "manual", "auto-advance", "at"] as const satisfies readonly OptionName[];

export function startFields(options: Options): Fields {
	const { manual, "auto-advance": isAuto, at, "from-phase": fromPhase } = options;
	if (manual && isAuto) throw usageError("--manual and --auto-advance are each other's opposite: name one");
	if (at !== undefined && parseInstant(at) === undefined)
		throw usageError(`--at takes an RFC 3339 time as in 2026-01-31T12:00:00Z, not "${at}"`);
	return {
		...(at === undefined ? {} : { at }),
		...(fromPhase === undefined ? {} : { fromPhase }),
		...(manual || isAuto ? { manual } : {}),
	};
}

export function advanceFields({ force, reason = "" }: Options): Fields {
	if (force && reason.trim() === "") throw usageError("--force takes a reason: --reason <text>");
	return force ? { force } : {};
}

export function extendFields({ by }: Options): Fields {
	if (by === undefined || durationMs(by) === undefined)
		throw usageError(`--by takes how much longer, as in 90s, 5m, 2h or 3d${by === undefined ? "" : `, not "${by}"`}`);
	return { duration: by };
}

export const ROLLBACK_OPTIONS = ["strategy", "stages", "flags", "keys", "segments", "versions"] as const satisfies readonly OptionName[];

const BELONGS = { stages: "gradual", flags: "feature", keys: "targeted", segments: "targeted", versions: "version" } as const;

export function rollbackFields(options: Options): Fields {
	const { strategy, stages, versions } = options;
	if (strategy !== undefined && !isStrategy(strategy))
		throw usageError(`there is no strategy ${strategy}: it is one of ${STRATEGIES.join(", ")}`);
	for (const name of Object.keys(BELONGS) as (keyof typeof BELONGS)[])
		if (options[name] !== undefined && strategy !== BELONGS[name]) throw usageError(`--${name} belongs to --strategy ${BELONGS[name]}`);
	if (strategy === "feature" && options.flags === undefined) throw usageError("--strategy feature takes --flags: which go back");
	return {
		...(strategy === undefined ? {} : { strategy }),
		...(stages === undefined ? {} : { stages: stagesIn(stages) }),
		...listed("flags", options),
		...listed("keys", options),
		...listed("segments", options),
		...(versions === undefined ? {} : { versions: versionsIn(versions) }),
	};
}

const isStrategy = (text: string): text is WayBackStrategy => (STRATEGIES as readonly string[]).includes(text);

function listed(name: "flags" | "keys" | "segments", options: Options): Fields {
	const text = options[name];
	return text === undefined ? {} : { [name]: namesIn(name, text) };
}

/** Names with commas between them, each once. */
export function namesIn(name: OptionName, text: string): string[] {
	const named = [...new Set(text.split(",").map((each) => each.trim()))];
	if (named.includes("")) throw usageError(`--${name} takes keys with commas between them, as in --${name} a,b`);
	return named;
}

function stagesIn(text: string): number[] {
	const stages = text.split(",").map((each) => (/^\s*\d{1,3}(?:\.\d{1,3})?\s*$/.test(each) ? Number(each) : Number.NaN));
	if (stages.some((each, i) => !(each <= 100) || (i > 0 && each >= (stages[i - 1] ?? 0))))
		throw usageError(`--stages takes percents of users that go down, as in 75,50,0, not "${text}"`);
	return stages;
}

function versionsIn(text: string): Record<string, number> {
	const pairs = text.split(",").map((each): [string, number] => {
		const found = /^\s*([^=\s]+)=(\d{1,9})\s*$/.exec(each);
		if (!found?.[1] || Number(found[2]) < 1)
			throw usageError(`--versions takes a flag's key and the version it gets back, as in new-checkout=3, not "${each}"`);
		return [found[1], Number(found[2])];
	});
	return Object.fromEntries(pairs);
}
