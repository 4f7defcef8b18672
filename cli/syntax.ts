import { type Document, type Node, type YAMLParseError, isMap, isScalar, visit } from "yaml";

/** What is wrong with a text that is no YAML, in words that say what to look for, and where that begins. */

interface Fault {
	/** Into the text. */
	readonly offset: number;
	readonly message: string;
}

/** Of the first error only: those after it mostly follow from it. */
export function faultIn(parsed: Document.Parsed, { code, pos: [offset], message }: YAMLParseError): Fault {
	const [, kind] = /\bFlow (map|sequence)\b.*\bend with/i.exec(message) ?? [];
	if (kind !== undefined) {
		const [open, close] = kind === "map" ? ["{", "}"] : ["[", "]"];
		const opens = beginOf(parsed, offset, (node) => "flow" in node && node.flow === true && isMap(node) === (kind === "map"));
		return { offset: opens ?? offset, message: `the ${open} that opens here is not closed: ${close} is missing` };
	}
	if (code === "MISSING_CHAR" && message.endsWith("quote"))
		return { offset: beginOf(parsed, offset, isScalar) ?? offset, message: "the quote that opens here is not closed" };
	return {
		offset,
		message: WORDS[code] ?? message.split("\n")[0]?.replace(/flow (?:map|sequence|collections?)/gi, "{…} or […]") ?? message,
	};
}

const WORDS: Readonly<Partial<Record<YAMLParseError["code"], string>>> = {
	TAB_AS_INDENT: "a tab indents this line: YAML takes blanks only",
	BLOCK_AS_IMPLICIT_KEY: 'a text with ": " in it takes quotes; or a line is indented that should not be',
	BAD_SCALAR_START: "a text that begins like this takes quotes",
	UNEXPECTED_TOKEN: "this is not expected here: is there a comma, a colon or a quote too few, or too many, before it?",
};

/** Of what the parser gave up on at `end`. */
function beginOf(parsed: Document.Parsed, end: number, isMeant: (node: Node) => boolean): number | undefined {
	let found: number | undefined;
	visit(parsed, {
		Node(_key, node) {
			if (node.range?.[1] === end && isMeant(node)) found = node.range[0];
		},
	});
	return found;
}
