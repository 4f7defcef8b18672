import { CharBase, type CharSet, type Concatenation, DFA, FAIterators, NFA, type NoParent, TooManyNodesError } from "refa";
import type { PatternTable } from "../../core/flags/pattern";
import { type Result, err, ok } from "../../core/result";
import { ANY, MAX_CODE_POINT } from "./alphabet";
import { resolveAnchors } from "./anchors";
import { Cursor, PatternError, grouped } from "./cursor";
import { parsePattern } from "./parse";
import { tableOf } from "./table";

const lengthMax = 200;
/** These bound the time, to 0.2 s but for contrived patterns: the states with repetitions written out, their transitions, the states made of them. */
const writtenOutMax = 2_000;
const workMax = 12_000;
const draftMax = 512;

const options = { maxCharacter: MAX_CODE_POINT };

/** What is wrong with a pattern, and where, in UTF-16 units. */
export interface PatternFault {
	readonly position: number;
	readonly message: string;
}

/** Compiles a pattern of RE2's syntax into the table that matchesPattern walks. What no bounded automaton can do is refused. */
export function compilePattern(source: string): Result<PatternTable, PatternFault> {
	try {
		if (source.length > lengthMax) throw new PatternError(lengthMax, `${grouped(source.length)} characters > limit ${lengthMax}`);
		const dfa = determinize(writeOut(parsePattern(new Cursor(source))));
		dfa.minimize();
		return ok(tableOf(dfa));
	} catch (error) {
		if (error instanceof PatternError) return err({ position: error.position, message: error.message });
		throw error;
	}
}

/** The automaton that has read a text up to the end of a match, wherever that match begins. */
function writeOut(alternatives: NoParent<Concatenation>[]): NFA {
	const anyText: NoParent<Concatenation>["elements"][number] = {
		type: "Quantifier",
		alternatives: [{ type: "Concatenation", elements: [{ type: "CharacterClass", characters: ANY }] }],
		min: 0,
		max: Infinity,
		lazy: false,
	};
	const tree: NoParent<Concatenation> = { type: "Concatenation", elements: [anyText, { type: "Alternation", alternatives }] };
	return atMost(writtenOutMax, "states written out", () => {
		const marked = NFA.fromRegex(tree, options, {}, new NFA.LimitedNodeFactory(writtenOutMax));
		checkWork(viasOf(marked).length);
		const nfa = NFA.fromTransitionIterator(resolveAnchors(marked, checkWork), options, new NFA.LimitedNodeFactory(writtenOutMax));
		const vias = viasOf(nfa);
		checkWork(vias.length * new CharBase(vias).sets.length);
		return nfa;
	});
}

/** The characters of each transition. */
function viasOf(nfa: NFA): CharSet[] {
	return [...nfa.nodes()].flatMap((node) => [...node.out.values()]);
}

function checkWork(transitions: number): void {
	if (transitions > workMax) throw new PatternError(0, `more than ${grouped(workMax)} transitions by character class: shorten repetitions`);
}

/** Goes no further than the first match: nothing after it matters, and following it would take many times the states. */
function determinize(nfa: NFA): DFA {
	return atMost(draftMax, "states before equal ones are merged", () => {
		const builder = new DFA.Builder(new DFA.LimitedNodeFactory(draftMax));
		const states = FAIterators.makeDeterministic(builder, nfa.transitionIterator());
		FAIterators.forEach(FAIterators.withGetOut(states, (node) => (states.isFinal(node) ? [] : states.getOut(node).out.values())));
		return DFA.fromBuilder(builder, options);
	});
}

function atMost<T>(limit: number, what: string, build: () => T): T {
	try {
		return build();
	} catch (error) {
		if (!(error instanceof TooManyNodesError)) throw error;
		throw new PatternError(0, `more than ${grouped(limit)} ${what}: shorten repetitions or begin with ^`);
	}
}
