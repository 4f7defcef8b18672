import { type Fuse, FUSE_RULES, excuse, lets, newFuse, observed } from "../../core/gateway/fuse";
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
export function isOpen(fuses: Fuses, environment: string, rollout: string): boolean {
	return (fuses.get(nameOf(environment, rollout))?.status ?? "closed") !== "closed";
}

export function observe(
	fuses: Fuses,
	environment: string,
	rollout: string,
	{ isFailure, sentAtMs, nowMs }: { readonly isFailure: boolean; readonly sentAtMs: number; readonly nowMs: number },
): void {
	const name = nameOf(environment, rollout);
	let fuse = fuses.get(name);
	if (!fuse) {
		// Most candidates never fail: there is nothing to keep of them.
		const [oldest] = fuses.keys();
		if (fuses.size >= FUSES_MAX && oldest !== undefined) fuses.delete(oldest);
		fuses.set(name, (fuse = newFuse(nowMs)));
	}
	if (observed(fuse, isFailure, nowMs, FUSE_RULES, sentAtMs)) log("fuse_opened", { environment, rollout });
}

/** The baseline has failed as well. */
export function excuseCandidate(fuses: Fuses, environment: string, rollout: string, nowMs: number): void {
	const fuse = fuses.get(nameOf(environment, rollout));
	if (fuse) excuse(fuse, nowMs);
}
