import { compareAnswers } from "../core/gateway/compare";
import type { CompareReport, Route } from "./answers";

/** Where the two answers of a sample differ, as short as a line of a table. Pure. */

type Sample = CompareReport["samples"][number];
export interface Part {
	/** A path into the JSON; "" of a text. */
	readonly at: string;
	readonly legacy: string;
	readonly candidate: string;
}
export interface Alike {
	readonly input: string;
	readonly parts: readonly Part[];
	/** So many samples say the same. */
	readonly times: number;
}

const CHARACTERS = 40;
/** Of what is the same, so much is shown before the first character that is not. */
const BEFORE = 12;

/** Samples that differ in the same way are one. `compared`: by what their route is compared. */
export function differing(samples: readonly Sample[], compared: Compared = {}): Alike[] {
	const found = new Map<string, Alike>();
	for (const sample of samples) {
		const parts = partsOf(sample, compared);
		const same = JSON.stringify([sample.input, parts]);
		found.set(same, { input: sample.input, parts, times: (found.get(same)?.times ?? 0) + 1 });
	}
	return [...found.values()];
}

type Compared = Pick<NonNullable<NonNullable<Route["shadow"]>["compare"]>, "ignore" | "tolerance">;

function partsOf({ legacy_result: legacy, new_result: candidate }: Sample, compared: Compared): Part[] {
	const byRules = inJson(legacy, candidate, compared);
	// The rules may have changed since, and then say nothing of this one.
	const found = byRules.length > 0 ? byRules : inJson(legacy, candidate, {});
	if (found.length > 0) return found;
	return [{ at: "", ...aligned(legacy, candidate) }];
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();

function inJson(legacy: string, candidate: string, { ignore = [], tolerance = {} }: Compared): Part[] {
	const answer = (text: string) => ({ status: 200, headers: {}, body: encoder.encode(text) });
	const rules = { status: false, headers: [], body: "json", ignore, tolerance, redact: [], bodyBytesMax: Infinity } as const;
	const found = compareAnswers(rules, answer(legacy), answer(candidate), (bytes) => decoder.decode(bytes));
	// Of what is no JSON, or was cut short, the whole is told.
	return found
		.filter(({ at }) => at !== "body")
		.map(({ at, legacy: ours, candidate: theirs }) => ({
			at: onOneLine(at),
			...aligned(JSON.stringify(ours) ?? "–", JSON.stringify(theirs) ?? "–"),
		}));
}

const onOneLine = (text: string): string => text.replaceAll(/\s/g, " ");

/** Both from shortly before the first character in which they differ. */
function aligned(legacy: string, candidate: string): { readonly legacy: string; readonly candidate: string } {
	let first = 0;
	while (first < legacy.length && legacy[first] === candidate[first]) first++;
	const from = legacy.length > CHARACTERS || candidate.length > CHARACTERS ? Math.max(0, first - BEFORE) : 0;
	const cut = (text: string): string => {
		const shown = onOneLine(text.slice(from, from + CHARACTERS));
		return `${from > 0 ? "…" : ""}${shown}${from + CHARACTERS < text.length ? "…" : ""}`;
	};
	return { legacy: cut(legacy), candidate: cut(candidate) };
}
