import { type Result, assertNever, err, ok } from "../result";
import type { Change } from "./decision";
import { type Plan, phaseName } from "./plan";
import { type RolloutState, type Status, isLive } from "./state";
import { completed, enterPhase, paused, resumed, rolledBack, started } from "./transitions";

/** What people may tell a rollout, with who they are and why. */
export interface Command {
	readonly kind: "start" | "pause" | "resume" | "advance" | "roll_back" | "cancel";
	readonly by: string;
	readonly reason: string;
	/** For start: which launch of this candidate it is, counted from 1. */
	readonly launch: number;
}

/** The command does not fit the state. */
export interface Refusal {
	readonly kind: "wrong_status";
	readonly status: Status;
	readonly command: Command["kind"];
	/** The commands that fit now. */
	readonly fits: readonly Command["kind"][];
}

const FITS: Readonly<Record<Command["kind"], readonly Status[]>> = {
	start: ["draft"],
	pause: ["running"],
	resume: ["paused"],
	advance: ["running"],
	roll_back: ["running", "paused"],
	cancel: ["draft", "running", "paused"],
};

/** What a person does to a rollout: total over all states, and the only other way than `decide` to change one. */
export function command(plan: Plan, state: RolloutState, given: Command, now: number): Result<Change, Refusal> {
	if (!FITS[given.kind].includes(state.status)) {
		const fits = (Object.keys(FITS) as Command["kind"][]).filter((kind) => FITS[kind].includes(state.status));
		return err({ kind: "wrong_status", status: state.status, command: given.kind, fits });
	}
	const done = (next: RolloutState, kind: Change["kind"] = given.kind): Result<Change, Refusal> =>
		ok({ kind, reason: "operator", message: given.reason, state: next, judgement: null, alerts: [] });
	if (given.kind === "start") return done(started(plan, given.launch, now));
	if (given.kind === "cancel") return done({ status: "cancelled", atMs: now, by: given.by, reason: given.reason });
	if (!isLive(state)) throw new Error(`${given.kind} let through in ${state.status}`);
	switch (given.kind) {
		case "pause":
			return done(paused(state, now, given.by, given.reason));
		case "resume":
			return done(resumed(plan, state, now));
		case "roll_back":
			return done(rolledBack(state, now, given.by, given.reason));
		case "advance":
			return state.phase + 1 < plan.phases.length
				? done(enterPhase(plan, state, state.phase + 1, now))
				: done(completed(now, given.by), "complete");
		default:
			return assertNever(given.kind);
	}
}

/** "cannot resume: the rollout is running, which takes pause, advance, roll_back, cancel" */
export function printRefusal({ command: given, status, fits }: Refusal): string {
	const now = fits.length > 0 ? `takes ${fits.join(", ")}` : "is final: create the plan again for a new attempt";
	return `cannot ${given}: the rollout is ${status}, which ${now}`;
}

/** Where a rollout is, in words a person uses. */
export function placeOf(plan: Plan, state: RolloutState): { readonly phase: string | null; readonly percent: number } {
	if (isLive(state))
		return { phase: phaseName(plan, state.phase), percent: state.retreated ? 0 : (plan.phases[state.phase]?.percent ?? 0) };
	return { phase: null, percent: state.status === "completed" ? 100 : 0 };
}
