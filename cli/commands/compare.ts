import { type CompareReport, compareReport } from "../answers";
import type { Command } from "../command";
import { type Colour, type Paint, pairs, table } from "../output";

export const compare: Command = {
	name: "compare",
	takes: "<subject>",
	about: "What comparing found on one day, of a route, or of a flag whose application compares",
	options: ["environment", "date"],
	examples: ["tidegate compare shop", "tidegate compare shop --date 2026-01-31 --json | jq .discrepancies"],
	notes: "Without --date it is today's (UTC). Only what differs is kept as a sample, at most 100 a day.",
	async run({ args: [subject = ""], control, environment, options, paint }) {
		const query = { environment, date: options.date };
		const found = await control().get(`/compare/${encodeURIComponent(subject)}/report`, compareReport, query);
		return { json: found, text: reportText(subject, found, paint) };
	},
};

const COLOURS: Readonly<Record<string, Colour>> = { match: "green", discrepancies: "red", errors: "yellow", no_data: "dim" };
const SHOWN = 10;
const CHARACTERS = 60;

function reportText(subject: string, found: CompareReport, paint: Paint): string {
	const { date, phase, status, total_queries: total, discrepancies, errors, samples } = found;
	const head = pairs(
		[
			[subject, `${date}${phase === null ? "" : `, phase ${phase}`}: ${paint(COLOURS[status] ?? "dim", status)}`],
			["compared", String(total)],
			["differed", String(discrepancies)],
			["errors", String(errors)],
		],
		paint,
	);
	if (samples.length === 0) return head;
	const rows = samples.slice(0, SHOWN).map((each) => [each.input, short(each.legacy_result), short(each.new_result)]);
	const more = samples.length > SHOWN ? `\nand ${samples.length - SHOWN} more: --json shows them whole` : "";
	return `${head}\n\n${table(["ASKED", "LEGACY", "NEW"], rows, paint)}${more}`;
}

const short = (text: string): string => (text.length > CHARACTERS ? `${text.slice(0, CHARACTERS)}…` : text);
