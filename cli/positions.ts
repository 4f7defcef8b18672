import { type Document, LineCounter, type Node, isAlias, isMap, isScalar, isSeq, parseDocument } from "yaml";
import { faultIn } from "./syntax";

/** Where in a text a value stands. YAML; JSON is a part of it. */

export interface Position {
	/** Both from 1. */
	readonly line: number;
	readonly column: number;
}
export interface Mistake extends Position {
	/** JSON Pointer; "" is the whole, or the text's syntax. */
	readonly field: string;
	readonly message: string;
}

export interface Source {
	readonly value: unknown;
	/** Of a field's value, or of its name where that is what is wrong; of what should hold it where it is missing. `character`, from 1, is within a text. */
	positionOf(field: string, of?: "name" | "value", character?: number): Position;
}

export function readYaml(text: string): { readonly source: Source } | { readonly mistakes: readonly Mistake[] } {
	const lines = new LineCounter();
	const parsed = parseDocument(text, { lineCounter: lines, prettyErrors: false });
	const at = (offset: number): Position => {
		const { line, col } = lines.linePos(offset);
		return { line: Math.max(1, line), column: Math.max(1, col) };
	};
	const [first] = parsed.errors;
	if (first) {
		const { offset, message } = faultIn(parsed, first);
		return { mistakes: [{ ...at(offset), field: "", message }] };
	}
	let value: unknown;
	try {
		value = parsed.toJS();
	} catch (error) {
		// Aliases that name nothing, or that would unfold without end.
		return { mistakes: [{ line: 1, column: 1, field: "", message: (error as Error).message }] };
	}
	if (value === null || value === undefined) return { mistakes: [{ line: 1, column: 1, field: "", message: "the file is empty" }] };
	return { source: { value, positionOf: (field, of = "value", character = 1) => at(offsetOf(parsed, field, of, character)) } };
}

/** As far as the way leads. */
function offsetOf(parsed: Document, field: string, of: "name" | "value", character: number): number {
	const way = field
		.split("/")
		.slice(1)
		.map((part) => part.replaceAll("~1", "/").replaceAll("~0", "~"));
	let node = parsed.contents;
	let name = node;
	for (const part of way) {
		if (isAlias(node)) node = node.resolve(parsed) ?? null;
		if (isMap(node)) {
			const pair = node.items.find(({ key }) => (isScalar(key) ? String(key.value) : undefined) === part);
			if (!pair) return startOf(node);
			[name, node] = [pair.key as Node, pair.value as Node | null];
		} else if (isSeq(node)) {
			const item = node.items[Number(part)] as Node | undefined;
			if (!item) return startOf(node);
			[name, node] = [item, item];
		} else break;
	}
	const found = of === "name" ? name : (node ?? name);
	return startOf(found) + within(found, character);
}

/** Texts of one line only: in others a character's place is anybody's guess. */
function within(node: Node | null, character: number): number {
	if (!isScalar(node) || character === 1) return 0;
	if (node.type === "PLAIN") return character - 1;
	return node.type === "QUOTE_DOUBLE" || node.type === "QUOTE_SINGLE" ? character : 0;
}

const startOf = (node: Node | null): number => node?.range?.[0] ?? 0;

/** JSON is often one long line. */
const EXCERPT_CHARACTERS = 160;

/** The line, or what is around the place of a long one, with a mark below the place. */
export function excerpt(text: string, { line, column: whole }: Position): string {
	const full = (text.split("\n")[line - 1] ?? "").replace("\r", "");
	const from = Math.max(0, Math.min(whole - EXCERPT_CHARACTERS / 2, full.length - EXCERPT_CHARACTERS));
	const [before, after] = [from > 0 ? "…" : "", from + EXCERPT_CHARACTERS < full.length ? "…" : ""];
	const shown = `${before}${full.slice(from, from + EXCERPT_CHARACTERS)}${after}`;
	const column = whole - from + before.length;
	const gutter = `${line} | `;
	// Tabs stay, so that the mark stands below its place.
	const blank = shown.slice(0, column - 1).replace(/[^\t]/g, " ");
	return `${gutter}${shown}\n${" ".repeat(gutter.length - 2)}| ${blank}^`;
}
