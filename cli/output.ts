import { printDuration } from "../core/rollouts/duration";
import type { Sink, World } from "./world";

/** How things look: pure but for `write`. */

export type Colour = "bold" | "dim" | "red" | "green" | "yellow" | "cyan";
const CODES: Readonly<Record<Colour, number>> = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33, cyan: 36 };

/** Text in a colour, or as it is where colours are not wanted. */
export type Paint = (colour: Colour, text: string) => string;

export const plainly: Paint = (_colour, text) => text;
export const inColour: Paint = (colour, text) => `\u001B[${CODES[colour]}m${text}\u001B[0m`;

/** https://no-color.org: set to anything but nothing. */
export function paintFor(sink: Pick<Sink, "isTTY">, env: World["env"]): Paint {
	const isWanted = sink.isTTY && (env["NO_COLOR"] ?? "") === "" && env["TERM"] !== "dumb";
	return isWanted ? inColour : plainly;
}

// oxlint-disable-next-line no-control-regex -- those are what is looked for
const UNPRINTABLE = /\u001B(?!\[\d+m)|[\u0000-\u0009\u000B-\u001A\u001C-\u001F\u007F-\u009F\u202A-\u202E\u2066-\u2069]/g;

/** What others wrote (reasons, descriptions) moves no cursor and hides nothing: of all control characters only colours and line ends pass. */
export function printable(text: string): string {
	return text.replace(UNPRINTABLE, (found) => (found === "\t" ? "    " : "\uFFFD"));
}

/** JSON that means the same, and as harmless: what JSON leaves as it is, is written as \uXXXX. */
export function printJson(value: unknown): string {
	const escaped = (found: string): string => `\\u${found.charCodeAt(0).toString(16).padStart(4, "0")}`;
	return JSON.stringify(value, null, 2).replace(/[\u007F-\u009F\u202A-\u202E\u2066-\u2069]/g, escaped);
}

// oxlint-disable-next-line no-control-regex -- as above
const COLOURED = /(\u001B\[\d+m)/;

export function widthOf(text: string): number {
	return text.split(COLOURED).reduce((sum, part) => sum + (COLOURED.test(part) ? 0 : Array.from(part).length), 0);
}

/** At most so wide, so that a line stays one. */
export function clip(text: string, width: number): string {
	if (widthOf(text) <= width) return text;
	let left = Math.max(0, width - 1);
	const parts = text.split(COLOURED).map((part) => {
		if (COLOURED.test(part)) return part;
		const shown = Array.from(part).slice(0, left);
		left -= shown.length;
		return shown.join("");
	});
	return `${parts.join("")}…`;
}

export const pad = (text: string, width: number): string => text + " ".repeat(Math.max(0, width - widthOf(text)));

/** Columns as wide as what is in them; no blanks at line ends. */
export function table(header: readonly string[], rows: readonly (readonly string[])[], paint: Paint): string {
	const all = [header, ...rows];
	const widths = header.map((_, i) => Math.max(...all.map((row) => widthOf(row[i] ?? ""))));
	const line = (cells: readonly string[]): string =>
		cells
			.map((cell, i) => pad(cell, widths[i] ?? 0))
			.join("  ")
			.trimEnd();
	return [paint("dim", line(header)), ...rows.map(line)].join("\n");
}

/** `a 1` below `bb 2`, their values in one column. */
export function pairs(given: readonly (readonly [name: string, value: string])[], paint: Paint): string {
	const width = Math.max(...given.map(([name]) => name.length));
	return given.map(([name, value]) => `${paint("dim", name.padEnd(width))}  ${value}`.trimEnd()).join("\n");
}

const EIGHTHS = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];

/** A fraction from 0 to 1, in eighths of a character. */
export function bar(fraction: number, width: number): string {
	const filled = Math.min(1, Math.max(0, fraction)) * width;
	const full = Math.floor(filled + 1e-9);
	const part = EIGHTHS[Math.floor((filled - full) * 8 + 1e-9)] ?? "";
	return `${"█".repeat(full)}${part}${"░".repeat(width - full - part.length)}`;
}

/** Whatever a clock elsewhere says, an age is no less than nothing. */
export const age = (ms: number): string => printDuration(Math.max(0, ms));
export const percent = (value: number): string => `${value} %`;
export const instant = (ms: number): string =>
	new Date(ms)
		.toISOString()
		.replace(".000Z", "Z")
		.replace(/\.\d+Z/, "Z");

export function colourOf(level: string): Colour {
	if (level === "excellent" || level === "good") return "green";
	if (level === "critical" || level === "failure") return "red";
	return level === "warning" ? "yellow" : "dim";
}

/** Of what is not known there is nothing to score. */
export const scored = ({ level, score }: { readonly level: string; readonly score: number | null }): string =>
	score === null || level === "unknown" ? "" : `, score ${score}`;

/** A rollout's. */
export function statusColour(status: string): Colour {
	if (status === "completed") return "green";
	if (status === "rolled_back" || status === "cancelled" || status === "rolling_back") return "red";
	return status === "running" ? "cyan" : status === "draft" ? "dim" : "yellow";
}
export const statusText = (status: string, paint: Paint): string => paint(statusColour(status), status);
