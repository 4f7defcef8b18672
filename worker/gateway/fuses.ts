import { type Fuse, FUSE_RULES, type Outcome, isLeft, lets, newFuse, observed, observedBaseline } from "../../core/gateway/fuse";
import { log } from "../log";

/** The fuses of an isolate, by environment and rollout. */
export type Fuses = Map<string, Fuse>;

/** Rollouts end, and their fuses with them: the oldest goes first. */
const FUSES_MAX = 200;

const nameOf = (environment: string, rollout: string): string => `${environment}/${rollout}`;

/** Whether a request may go to the candidate. */
export function letsThrough(fuses: Fuses, environment: string, rollout: string, nowMs: number): boolean {
	const fuse = fuses.get(nameOf(environment, rollout));
	return fuse === undefined || lets(fuse, nowMs);
}

/** Whether the candidate is left alone now; asks for no trial. */
export function isOpen(fuses: Fuses, environment: string, rollout: string, nowMs: number): boolean {
	const fuse = fuses.get(nameOf(environment, rollout));
	return fuse !== undefined && isLeft(fuse, nowMs);
}

export function observe(
	fuses: Fuses,
	environment: string,
	rollout: string,
	{ outcome, sentAtMs, nowMs }: { readonly outcome: Outcome; readonly sentAtMs: number; readonly nowMs: number },
): void {
	if (observed(fuseOf(fuses, environment, rollout, nowMs), outcome, nowMs, FUSE_RULES, sentAtMs))
		log("fuse_opened", { environment, rollout });
}

export function observeBaseline(fuses: Fuses, environment: string, rollout: string, isFailure: boolean, nowMs: number): void {
	observedBaseline(fuseOf(fuses, environment, rollout, nowMs), isFailure, nowMs);
}

function fuseOf(fuses: Fuses, environment: string, rollout: string, nowMs: number): Fuse {
	const name = nameOf(environment, rollout);
	let fuse = fuses.get(name);
	if (!fuse) {
		const [oldest] = fuses.keys();
		if (fuses.size >= FUSES_MAX && oldest !== undefined) fuses.delete(oldest);
		fuses.set(name, (fuse = newFuse(nowMs)));
	}
	return fuse;
}
