import type { LiveState } from "./state";

/** What somebody must be told of a rollout that nothing has happened to. */
export interface Alert {
	readonly severity: "warn" | "page";
	/** As in `no_data`: with the severity it names the alert, which is raised once for as long as it holds. */
	readonly kind: string;
	readonly message: string;
}

/**
 * The state that knows what it has alerted to, and what is new of it. An alert that no longer holds may be raised again; of
 * kinds other than those `told` of nothing is known, so they stay as they are.
 */
export function raise<S extends LiveState>(
	state: S,
	holding: readonly Alert[],
	told?: readonly string[],
): { readonly state: S; readonly alerts: readonly Alert[] } {
	const { alerting } = state.watch;
	const untold = told ? alerting.filter((name) => !told.some((kind) => name.startsWith(`${kind}.`))) : [];
	const names = [...untold, ...holding.map(nameOf)];
	return {
		state: { ...state, watch: { ...state.watch, alerting: names } },
		alerts: holding.filter((each) => !alerting.includes(nameOf(each))),
	};
}

const nameOf = ({ kind, severity }: Alert): string => `${kind}.${severity}`;
