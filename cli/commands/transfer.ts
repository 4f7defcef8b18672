import { writeFileSync } from "node:fs";
import * as z from "zod";
import { flagInput } from "../../core/flags/model";
import { segmentInput } from "../../core/flags/segment";
import { simpleFlag } from "../../core/flags/simple";
import { imported } from "../../core/flags/transfer";
import { type Report, exported, report } from "../answers";
import type { Command } from "../command";
import { problemIn } from "../controlApi";
import { Stop, failure } from "../exit";
import { type Paint, printJson } from "../output";
import { placed, printMistakes, readText } from "../planFile";
import { readYaml } from "../positions";

export const exportFlags: Command = {
	name: "export",
	takes: "",
	about: "All flags, segments and routes of an environment, as JSON that import takes",
	options: ["environment", "output"],
	examples: ["tidegate export > flags.json", "tidegate export --environment staging --output staging.json"],
	async run({ environment, control, options: { output }, note }) {
		const found = await control().get("/export", exported, { environment });
		const damaged = found.damaged ?? [];
		if (damaged.length > 0) note(`left out, since they cannot be read: ${damaged.join(", ")}`);
		const text = printJson(found);
		if (output === undefined) return { json: found, text };
		try {
			writeFileSync(output, `${text}\n`);
		} catch (error) {
			throw failure(`${output} cannot be written: ${(error as Error).message}`);
		}
		return {
			json: { environment, file: output, flags: found.flags.length },
			text: `${found.flags.length} flags of ${environment} are in ${output}`,
		};
	},
};

export const importFlags: Command = {
	name: "import",
	takes: "<file>",
	about: "Writes the flags, segments and routes of a file (JSON or YAML, - is stdin), all of them or none",
	options: ["environment", "reason", "dry-run"],
	examples: ["tidegate import flags.json --environment staging --dry-run", 'tidegate import flags.json --reason "from staging"'],
	notes:
		"With --dry-run control says what would change, and writes nothing. What the file does not name is left alone, and so are the routes of another environment's export: a host belongs to one environment.",
	async run({ args: [name = ""], environment, options, control, world, paint, note }) {
		const text = await readText(name, world);
		const content = contentOf(name, text);
		if (typeof content === "object" && content !== null && "rollout" in content)
			throw failure(`${name} is a plan, and nothing was sent: tidegate plan apply ${name}`);
		const isDryRun = options["dry-run"];
		const query = { environment, dryRun: String(isDryRun), reason: options.reason };
		const found = await control()
			.send({ method: "POST", path: "/import", query, body: content }, report)
			.catch((error: unknown) => {
				throw inFile(error, name, text);
			});
		const { skipped } = found.routes;
		if (skipped.length > 0)
			note(`left out, since the file is of another environment and a host belongs to one: routes ${skipped.join(", ")}`);
		return { json: found, text: reportText(found, environment, paint) };
	},
};

/** With the fields of what is in it, for what was probably meant. */
const file = imported.extend({ flags: z.array(z.union([flagInput, simpleFlag])), segments: z.array(segmentInput) });

/** YAML is read slowly, and only where it is no JSON. */
function contentOf(name: string, text: string): unknown {
	try {
		return JSON.parse(text);
	} catch {
		const read = readYaml(text);
		if ("source" in read) return read.source.value;
		throw failure(`${name} cannot be read, and nothing was sent\n${printMistakes({ name, text, mistakes: read.mistakes })}`, {
			errors: read.mistakes,
		});
	}
}

function inFile(error: unknown, name: string, text: string): unknown {
	const errors = problemIn(error)?.errors;
	const read = errors && readYaml(text);
	if (!(error instanceof Stop) || !errors || !read || !("source" in read)) return error;
	const mistakes = errors.map((each) => placed(each, read.source, file));
	return new Stop(error.exit, `control refuses ${name}, and nothing was written\n${printMistakes({ name, text, mistakes })}`, {
		...error.details,
		errors: mistakes,
	});
}

function reportText({ applied, created, changed, unchanged, segments, routes }: Report, environment: string, paint: Paint): string {
	const of = (what: string, found: Pick<Report, "created" | "changed">): string[] => [
		...found.created.map((key) => `${paint("green", "+")} ${what}${key}`),
		...found.changed.flatMap(({ key, diff }) => [
			`${paint("yellow", "~")} ${what}${key}`,
			...diff.map(({ path, before, after }) => `    ${path}: ${shown(before)} → ${shown(after)}`),
		]),
	];
	const lines = [...of("", { created, changed }), ...of("segment ", segments), ...of("route ", routes)];
	const same = unchanged.length + segments.unchanged.length + routes.unchanged.length;
	return [...lines, `${applied ? "written to" : "nothing was written; this would be written to"} ${environment}; ${same} unchanged`].join(
		"\n",
	);
}

const shown = (value: unknown): string => (value === undefined ? "–" : JSON.stringify(value));
