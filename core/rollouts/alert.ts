import type { LiveState } from "./state";

/** What somebody may have to be told of, by how soon they should look, and what has happened then. */
export const ALERTS = {
	warn: {
		no_data: "no outcome was counted for three ticks in a row",
		warning: "a criterion is beyond its limit, or harm is suspected",
		would_advance: "automation is advise: a rollout would go on, and somebody may advance it",
		would_complete: "automation is advise: a rollout would be completed, and somebody may advance it",
		would_step_back: "automation is advise: a rollout would go back a phase",
		would_pause: "automation is advise: a rollout would be paused",
		rollback_unverified: "a rollback could not be verified in 15 minutes, since no edge was asked anything",
		phase_timeout: "a phase takes longer than it may",
		approval_timeout: "an approval is waited for longer than it may be",
		unattributed: "more than 5 % of the outcomes count for nothing: they lack an attribute that rules look at",
		lost: "more than 5 % of the outcomes that the gateway measured did not arrive: nothing advances meanwhile",
	},
	page: {
		no_data: "no outcome was counted for fifteen ticks in a row",
		would_roll_back: "automation is advise: a rollout would be rolled back, and somebody must decide",
		check_failed: "a critical check failed during a rollout, which goes no further",
		split_broken: "users are not split as was planned: assignment or telemetry is broken",
		control_breaches_too: "a limit is breached with and without the candidate: the variant is not to blame",
		breaker_open: "an advance was due, and too many rollbacks in the environment stop it",
		source_error: "metrics could not be read for five ticks in a row",
		engine_error: "a rollout could not be judged, and was paused",
		unguarded: "no tick for 15 minutes: a rollout was paused, since nobody has watched it",
		rollout_corrupt: "a live rollout cannot be read any more: nobody guards it, and its users get the baseline",
		rollback_step_failed: "a step after a rollback failed, and those after it were not carried out",
		rollback_unverified: "a rollback could not be verified in 15 minutes: an edge may serve the candidate still",
		rollback_failed: "a rollback could not be written twice; it is tried again every minute",
	},
} as const satisfies Record<string, Readonly<Record<string, string>>>;

type Severity = keyof typeof ALERTS;

interface AlertOf<S extends Severity> {
	readonly severity: S;
	/** With the severity it names the alert, which is raised once for as long as it holds. */
	readonly kind: keyof (typeof ALERTS)[S];
	readonly message: string;
}

/** What somebody must be told of a rollout that nothing has happened to. */
export type Alert = { [S in Severity]: AlertOf<S> }[Severity];

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
