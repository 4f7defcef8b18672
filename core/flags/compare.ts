import { evaluate } from "./evaluate";
import type { Context } from "./match";
import { NO_OVERLAY } from "./overlay";
import type { Snapshot } from "./ruleset";

/** What changes for given contexts when one snapshot takes another's place. */
export interface Comparison {
	readonly answers: number;
	readonly changed: number;
	readonly flags: readonly ChangedFlag[];
	/** Segments with members among the contexts, and how many of these have a changed answer. */
	readonly segments: readonly { readonly segment: string; readonly members: number; readonly changed: number }[];
}

export interface ChangedFlag {
	readonly flag: string;
	readonly changed: number;
	/** The first few: the context's index, and the variant before and after; null: no answer. */
	readonly examples: readonly { readonly context: number; readonly before: string | null; readonly after: string | null }[];
}

const EXAMPLES_MAX = 5;

export function compareSnapshots(before: Snapshot, after: Snapshot, flagKeys: readonly string[], contexts: readonly Context[]): Comparison {
	const touched = new Set<number>();
	const flags: ChangedFlag[] = [];
	let changed = 0;
	for (const flag of flagKeys) {
		const differing = contexts.flatMap((context, i) => {
			const [left, right] = [answerOf(before, flag, context), answerOf(after, flag, context)];
			return left.text === right.text ? [] : { context: i, before: left.variant, after: right.variant };
		});
		if (differing.length === 0) continue;
		for (const { context } of differing) touched.add(context);
		changed += differing.length;
		flags.push({ flag, changed: differing.length, examples: differing.slice(0, EXAMPLES_MAX) });
	}
	const segments = after.segments().flatMap((segment) => {
		const members = contexts.flatMap((context, i) => (isMember(after, segment, context) ? i : []));
		return members.length === 0 ? [] : { segment, members: members.length, changed: members.filter((i) => touched.has(i)).length };
	});
	return { answers: flagKeys.length * contexts.length, changed, flags, segments };
}

/** Two answers are the same when a user cannot tell them apart: by variant and value. */
function answerOf(snapshot: Snapshot, flag: string, context: Context): { readonly variant: string | null; readonly text: string } {
	const resolution = evaluate(snapshot, NO_OVERLAY, flag, context);
	if (resolution.reason === "ERROR") return { variant: null, text: resolution.errorCode };
	return { variant: resolution.variant, text: JSON.stringify([resolution.variant, resolution.value]) };
}

function isMember(snapshot: Snapshot, segment: string, context: Context): boolean {
	snapshot.begin();
	try {
		return snapshot.isMember(segment, context, undefined);
	} catch {
		// A segment that cannot be read has no members that could be told.
		return false;
	}
}
