import { type CompareReport, type Route, compareReport, routes } from "../answers";
import type { Command } from "../command";
import { differing } from "../differing";
import { usageError } from "../exit";
import { inOptions } from "../inOptions";
import type { Options } from "../options";
import { type Colour, type Paint, pairs, table } from "../output";

const KINDS: readonly string[] = ["route", "flag"];

export const compare: Command = {
	name: "compare",
	takes: "<subject>",
	about: "What comparing found on one day, of a route, or of a flag whose application compares",
	options: ["environment", "date", "kind"],
	examples: [
		"tidegate compare shop",
		"tidegate compare shop --date 2026-01-31 --json | jq .discrepancies",
		"tidegate compare shop --kind flag",
	],
	notes:
		"Without --date it is today's (UTC); without --kind that of what was compared then, the route before the flag. Only what differs is kept as a sample, at most 100 a day; those that differ alike are shown once. --json has both answers whole.",
	async run({ args: [subject = ""], control: open, environment, options, paint, note, world }) {
		const control = open();
		const kind = kindOf(options);
		const query = { environment, date: options.date, kind };
		const [found, there] = await Promise.all([
			control.get(`/compare/${encodeURIComponent(subject)}/report`, compareReport, query).catch((error: unknown) => {
				throw inOptions(error, { date: "date" });
			}),
			// They say what may differ; the report is told without them too.
			control.get("/gateway/routes", routes, { environment }).catch(() => undefined),
		]);
		if (found.status === "no_data") for (const hint of hintsFor(subject, kind, found.date, there?.routes ?? [], world.now())) note(hint);
		// What an application compares goes by no route's rules.
		const comparing = kind === "flag" ? undefined : there?.routes.find(({ key }) => key === subject)?.shadow?.compare;
		return { json: found, text: reportText(subject, found, comparing, paint) };
	},
};

const COLOURS: Readonly<Record<string, Colour>> = { match: "green", discrepancies: "red", errors: "yellow", no_data: "dim" };
const SHOWN = 10;
const PARTS_SHOWN = 3;

function kindOf({ kind }: Options): string | undefined {
	if (kind !== undefined && !KINDS.includes(kind)) throw usageError(`--kind takes route or flag, not "${kind}"`);
	return kind;
}

/** Why there may be nothing. */
function hintsFor(subject: string, kind: string | undefined, date: string, there: readonly Route[], nowMs: number): string[] {
	const today = new Date(nowMs).toISOString().slice(0, 10);
	const isOther = (key: string): boolean => (kind === undefined ? key !== subject : kind === "flag");
	const routed = there.filter(({ key, flag, shadow }) => isOther(key) && flag === subject && shadow).map(({ key }) => key);
	const commands = routed.map((key) => `tidegate compare ${key}${key === subject ? " --kind route" : ""}`).join(", ");
	return [
		...(date > today ? [`${date} is still to come: days are UTC, and today is ${today}`] : []),
		...(routed.length > 0
			? [`of a flag it is what its application compares; what the gateway compares is told of a route: ${commands}`]
			: []),
	];
}

function reportText(subject: string, found: CompareReport, comparing: NonNullable<Route["shadow"]>["compare"], paint: Paint): string {
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
	const kinds = differing(samples, comparing);
	const rows = kinds.slice(0, SHOWN).flatMap(({ input, parts, times }) =>
		parts.slice(0, PARTS_SHOWN).map(({ at, legacy, candidate }, i) => {
			const isSame = legacy === candidate && at === "";
			const place = isSame ? "not the body" : at === "" ? "body" : at;
			return [i === 0 ? input : "", i === 0 ? String(times) : "", place, legacy, candidate];
		}),
	);
	const more = kinds.length > SHOWN ? `\nand ${kinds.length - SHOWN} more: --json shows them whole` : "";
	return `${head}\n\n${table(["ASKED", "TIMES", "WHERE", "LEGACY", "NEW"], rows, paint)}${more}`;
}
