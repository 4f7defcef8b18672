import { type CharSet, NFA, type TransitionIterator } from "refa";
import * as alphabet from "./alphabet";

/** What stands before a position and, as bits of a set, what may follow it. */
const WORD = 1;
const OTHER = 2;
const NOTHING = 4;
const ANYTHING = WORD | OTHER | NOTHING;
type Side = typeof WORD | typeof OTHER | typeof NOTHING;

type Sides = readonly (readonly [Side, CharSet])[];

const END: Sides = [[NOTHING, alphabet.setOf({ min: alphabet.END_OF_TEXT, max: alphabet.END_OF_TEXT })]];
/** Where no \b asks for words, to tell them from the rest would double the states. */
const WORDLESS: Sides = [[OTHER, alphabet.ANY], ...END];
const WORDY: Sides = [[WORD, alphabet.WORDS], [OTHER, alphabet.ANY.without(alphabet.WORDS)], ...END];

const WORD_MARKS = [alphabet.WORD_BOUNDARY, alphabet.NO_WORD_BOUNDARY];
const MARKS = [alphabet.TEXT_START, alphabet.TEXT_END, ...WORD_MARKS];

interface State {
	readonly node: NFA.ReadonlyNode;
	readonly before: Side;
}

const MATCHED: State = { node: new NFA.Node(), before: NOTHING };

/**
 * The same automaton without marks, over texts that close with END_OF_TEXT. To walk along a mark consumes nothing, but limits what may
 * follow. A state knows what stood before it, which is all that ^ and \b ask about the past.
 * `onWork` hears how many transitions were made so far, and may throw.
 */
export function resolveAnchors(nfa: NFA, onWork: (transitions: number) => void): TransitionIterator<State> {
	let transitions = 0;
	const vias = [...nfa.nodes()].flatMap((node) => [...node.out.values()]);
	const sides = vias.some((via) => WORD_MARKS.some((mark) => via.has(mark))) ? WORDY : WORDLESS;
	const known = new Map<NFA.ReadonlyNode, Map<Side, State>>();
	const stateOf = (node: NFA.ReadonlyNode, before: Side): State => {
		const ofNode = known.get(node) ?? new Map<Side, State>();
		const state = ofNode.get(before) ?? { node, before };
		known.set(node, ofNode.set(before, state));
		return state;
	};
	const isLast = (node: NFA.ReadonlyNode): boolean => nfa.finals.has(node as NFA.Node);
	const outOf = (state: State): Map<State, CharSet> => {
		const out = new Map<State, CharSet>();
		const link = (to: State, via: CharSet): void => {
			onWork(++transitions);
			if (!via.isEmpty) out.set(to, via.union(out.get(to) ?? []));
		};
		for (const [node, follows] of alongMarks(state))
			for (const [side, members] of sides) {
				if ((follows & side) === 0) continue;
				if (isLast(node)) link(MATCHED, members);
				for (const [to, characters] of node.out) link(stateOf(to, side), characters.intersect(members));
			}
		return out;
	};
	const isFinal = (state: State): boolean =>
		state === MATCHED || alongMarks(state).some(([node, follows]) => isLast(node) && follows === ANYTHING);
	return { initial: stateOf(nfa.initial, NOTHING), getOut: outOf, isFinal };
}

/** The nodes to which nothing but marks leads, each with what may follow there. */
function alongMarks({ node, before }: State): readonly (readonly [NFA.ReadonlyNode, follows: number])[] {
	const reached: (readonly [NFA.ReadonlyNode, number])[] = [[node, ANYTHING]];
	const seen = new Map([[node, new Set([ANYTHING])]]);
	for (const [from, follows] of reached)
		for (const [to, characters] of from.out)
			for (const mark of MARKS) {
				const left = characters.has(mark) ? follows & followers(mark, before) : 0;
				const known = seen.get(to) ?? new Set<number>();
				if (left === 0 || known.has(left)) continue;
				seen.set(to, known.add(left));
				reached.push([to, left]);
			}
	return reached;
}

/** What may follow a mark, given what stands before it. */
function followers(mark: number, before: Side): number {
	if (mark === alphabet.TEXT_START) return before === NOTHING ? ANYTHING : 0;
	if (mark === alphabet.TEXT_END) return NOTHING;
	const otherSide = before === WORD ? OTHER | NOTHING : WORD;
	return mark === alphabet.WORD_BOUNDARY ? otherSide : ANYTHING & ~otherSide;
}
