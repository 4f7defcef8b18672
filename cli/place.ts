import type { Detail, Next } from "./answers";
import { age, instant, percent } from "./output";

/** Where a rollout is and what comes next, in words: pure. */

/** "new-checkout.1 is running: first, 5 %" */
export function placeText({ id, status, phase, percent: served, state, next }: Detail): string {
	if (status === "rolling_back") return `${id} is on its way back: ${percent(served)} still, then ${stagesText(state)}`;
	if (next && status === "scheduled") return `${id} is scheduled: ${goalText(next)}, from ${instant(next.notBeforeMs ?? 0)} on`;
	if (next && status === "validating")
		return `${id} is validating, and nobody is served yet: ${goalText(next)} waits for ${waitsText(next).join("; ") || "the next tick"}`;
	const place = phase === null ? "" : `: ${phase}, ${percent(served)}`;
	if (next && status === "awaiting_approval") {
		if (next.waitsFor.includes("approval")) return `${id} is awaiting approval${place}; ${goalText(next)} has ${approvalsText(next)}`;
		return `${id} has its approvals (${next.approvals.given.join(", ")})${place}; ${goalText(next)} ${next.waitsFor.length > 0 ? `waits for ${waitsText(next).join("; ")}` : "comes with the next tick"}`;
	}
	if (next && status === "running" && (state?.extendedMs ?? 0) > 0 && next.holdLeftMs > 0)
		return `${id} is running${place}, for ${age(next.holdLeftMs)} more at least`;
	if (phase !== null) return `${id} is ${status.replaceAll("_", " ")}${place}`;
	const said: Readonly<Record<string, string>> = {
		draft: `${id} is a draft`,
		rolled_back: `${id} is rolled back: edges serve the baseline within 10 s`,
		cancelled: `${id} is cancelled: nobody is served the candidate by it`,
		completed: `${id} is completed: everybody is served the candidate`,
	};
	return said[status] ?? `${id} is ${status.replaceAll("_", " ")}`;
}

/** Of a way back that everybody had gone already. */
export function unchangedText({ id, status, state }: Detail): string {
	const since = state?.atMs === undefined ? "" : `, since ${instant(state.atMs)}${state.by === undefined ? "" : `, by ${state.by}`}`;
	return `${id} is ${status.replaceAll("_", " ")} already${since}: nothing was changed`;
}

/** "50 %, 25 %, 0 %" */
export const stagesText = (state: Detail["state"]): string => (state?.stages ?? [0]).map(percent).join(", ") || percent(0);

/** "second (20 % of beta, with search)" */
export function goalText({ kind, phase, percent: served, audience, flags }: Next): string {
	if (kind === "complete") return "the end";
	if (phase === null) return percent(served);
	return `${phase} (${percent(served)}${audience === null ? "" : ` of ${audience}`}${flags.length > 0 ? `, with ${flags.join(", ")}` : ""})`;
}

/** What it waits for, each in some words. */
export function waitsText(next: Next, now?: number): string[] {
	const { notBeforeMs, holdLeftMs, checks } = next;
	const left = now === undefined || notBeforeMs === null ? "" : `, in ${age(notBeforeMs - now)}`;
	const said: Readonly<Record<string, string>> = {
		time: `${instant(notBeforeMs ?? 0)}${left}`,
		hold: `${age(holdLeftMs)} more of this phase`,
		checks: `checks: ${checks.join(", ")}`,
		approval: approvalsText(next),
		person: "somebody who advances it",
	};
	return next.waitsFor.map((each) => said[each] ?? each);
}

function approvalsText({ approvals: { needed, given, author } }: Next): string {
	const by = given.length > 0 ? ` (${given.join(", ")})` : "";
	return `${given.length} of ${needed} ${needed === 1 ? "approval" : "approvals"}${by}${author === "" ? "" : `, from anybody but ${author}`}`;
}
