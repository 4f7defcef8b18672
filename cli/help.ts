import type { Command } from "./command";
import { GLOBAL, OPTIONS, type OptionName } from "./options";
import { type Paint, pairs } from "./output";

export function helpOf({ name, takes, about, options, means, examples, notes }: Command, paint: Paint): string {
	const parts = [
		paint("bold", `tidegate ${[name, takes, options.length > 0 ? "[options]" : ""].filter(Boolean).join(" ")}`),
		`${about}.${notes === undefined ? "" : `\n${notes}`}`,
		...(options.length > 0 ? [section("options", list(options, paint, means), paint)] : []),
		section("options of every command", list(GLOBAL, paint), paint),
		section("examples", examples.join("\n"), paint),
	];
	return parts.join("\n\n");
}

/** Of all commands, or of those that begin with a word. */
export function overview(commands: readonly Command[], paint: Paint, group = ""): string {
	const rows = commands.map(({ name, takes, about }): [string, string] => [`${name} ${takes}`.trim(), about]);
	return [
		`${paint("bold", `tidegate ${group === "" ? "" : `${group} `}<command>`)}: feature flags at the edge, rolled out under guard`,
		section("commands", pairs(rows, paint), paint),
		section("options of every command", list(GLOBAL, paint), paint),
		"tidegate <command> --help shows a command's options and examples; docs/cli.md has the exit codes",
	].join("\n\n");
}

const section = (title: string, text: string, paint: Paint): string => `${paint("dim", title)}\n${text.replace(/^/gm, "  ")}`;

function list(names: readonly OptionName[], paint: Paint, means: Command["means"] = {}): string {
	return pairs(
		names.map((name) => {
			const option: { short?: string; takes?: string; about: string } = OPTIONS[name];
			return [
				`${option.short === undefined ? "   " : `-${option.short},`} --${name}${option.takes ? ` ${option.takes}` : ""}`,
				means[name] ?? option.about,
			];
		}),
		paint,
	);
}
