import { CharBase, type CharSet, type DFA } from "refa";
import { DEAD, FIRST_STATE, FIRST_UNIT, MATCHED, type PatternTable } from "../../core/flags/pattern";
import { ANY, END_OF_TEXT } from "./alphabet";
import { PatternError, grouped } from "./cursor";

const statesMax = 256;
const classesMax = 64;

/** Writes a minimal automaton, whose final state means that the pattern has matched, as the table that the edge walks. */
export function tableOf(dfa: DFA): PatternTable {
	const nodes = [...dfa.nodes()];
	if (nodes.length > statesMax)
		throw new PatternError(0, `${grouped(nodes.length)} states > limit ${statesMax}: shorten repetitions or begin with ^`);
	const vias = nodes.flatMap((node) => [...node.out.invert(dfa.maxCharacter).values()]);
	const classes = new CharBase([ANY, ...vias.map((via) => via.intersect(ANY))]).sets;
	if (classes.length > classesMax)
		throw new PatternError(0, `${classes.length} classes of characters > limit ${classesMax}: use fewer different characters`);

	const isMatched = (node: DFA.ReadonlyNode | undefined): boolean => dfa.finals.has(node as DFA.Node);
	const unmatched = nodes.filter((node) => !isMatched(node));
	const rejecting = unmatched.filter((node) => !isMatched(node.out.get(END_OF_TEXT)));
	const accepting = unmatched.filter((node) => isMatched(node.out.get(END_OF_TEXT)));
	const rows = dfa.finals.size === 0 ? [] : [...rejecting, ...accepting];
	const numbers = new Map<DFA.ReadonlyNode, number>(rows.map((node, row) => [node, FIRST_STATE + row]));
	const numberOf = (node: DFA.ReadonlyNode | undefined): number => (isMatched(node) ? MATCHED : ((node && numbers.get(node)) ?? DEAD));

	const spans = classes
		.flatMap((set, symbol) => set.ranges.map(({ min, max }) => ({ min, max, symbol })))
		.sort((one, other) => one.min - other.min);
	const beyondAscii = spans.filter(({ max }) => max >= 128);
	// No text holds a surrogate, so their gap belongs to the range before.
	const ranges = beyondAscii.filter(({ symbol }, i) => symbol !== beyondAscii[i - 1]?.symbol);
	return {
		ascii: units(Array.from({ length: 128 }, (_, point) => spans.find(({ max }) => point <= max)?.symbol ?? 0)),
		from: ranges.map(({ min }) => Math.max(min, 128)),
		classes: units(ranges.map(({ symbol }) => symbol)),
		width: classes.length,
		next: units(rows.flatMap((node) => classes.map((set) => numberOf(node.out.get(firstOf(set)))))),
		start: numberOf(dfa.initial),
		acceptingFrom: FIRST_STATE + rejecting.length,
	};
}

function firstOf(set: CharSet): number {
	return set.ranges[0]?.min ?? 0;
}

function units(numbers: readonly number[]): string {
	return numbers.map((each) => String.fromCharCode(FIRST_UNIT + each)).join("");
}
