import * as z from "zod";
import { takes } from "../flags/fieldErrors";
import { ALERTS, type Alert } from "../rollouts/alert";
import type { ChangeKind } from "../rollouts/decision";

interface Told {
	readonly type: `rollout.${string}`;
	/** What has happened then. */
	readonly when: string;
}

/** What the outside is told of a rollout's changes. */
const CHANGES = {
	schedule: { type: "rollout.scheduled", when: "started by a person, and waits for its time" },
	validate: { type: "rollout.validating", when: "started, and waits for checks and approvals; nobody is served yet" },
	validation_failed: { type: "rollout.validation_failed", when: "a check failed, or nobody approved in time: a draft again" },
	await_approval: { type: "rollout.approval_requested", when: "a phase has shown enough, and the next one needs approvals" },
	approve: { type: "rollout.approved", when: "somebody has approved the next phase" },
	reject: { type: "rollout.rejected", when: "somebody has refused the next phase: it goes no further" },
	extend: { type: "rollout.extended", when: "a phase lasts longer" },
	begin_rollback: { type: "rollout.rollback_begun", when: "on its way back, stage by stage" },
	lower: { type: "rollout.lowered", when: "a stage further on its way back" },
	drop_flags: { type: "rollout.flags_rolled_back", when: "some flags are back on the baseline, the others go on" },
	exclude: { type: "rollout.users_rolled_back", when: "some users are back on the baseline, the others go on" },
	start: { type: "rollout.started", when: "a rollout serves its first phase" },
	advance: { type: "rollout.advanced", when: "on to the next phase" },
	step_back: { type: "rollout.stepped_back", when: "back to an earlier phase" },
	roll_back: { type: "rollout.rolled_back", when: "everybody is served the baseline again; final" },
	complete: { type: "rollout.completed", when: "everybody is served the candidate; final" },
	pause: { type: "rollout.paused", when: "it stays where it is until somebody resumes it" },
	resume: { type: "rollout.resumed", when: "it goes on" },
	cancel: { type: "rollout.cancelled", when: "ended by a person; everybody is served the baseline" },
} as const satisfies Record<ChangeKind, Told>;

/** The type of the event that tells of such a change. */
export function changeEvent(kind: ChangeKind): Told["type"] {
	return CHANGES[kind].type;
}

const FAMILIES = { warn: "alert", page: "page" } as const satisfies Record<Alert["severity"], string>;

/** `alert.no_data`: somebody should look; `page.no_data`: somebody should look now. */
export function alertEvent({ severity, kind }: Pick<Alert, "severity" | "kind">): `${"alert" | "page"}.${Alert["kind"]}` {
	return `${FAMILIES[severity]}.${kind}`;
}

const ofAlerts = (severity: Alert["severity"]): [type: string, when: string][] =>
	Object.entries(ALERTS[severity]).map(([kind, when]) => [`${FAMILIES[severity]}.${kind}`, when]);

/** Every event that the outside is told of, and what has happened then. */
export const EVENTS: Readonly<Record<string, string>> = {
	...Object.fromEntries(Object.values(CHANGES).map(({ type, when }) => [type, when])),
	...Object.fromEntries([...ofAlerts("warn"), ...ofAlerts("page")]),
	"environment.restart_requested": "a full rollback asks for a restart of the environment's origins",
	"webhook.disabled": "a subscriber answered 410 Gone and is told nothing any more",
	"webhook.test": "somebody tries a subscriber; sent to that one only",
};

/** The types of events that tell of an alert. */
export const ALERT_TYPES: readonly string[] = [...ofAlerts("warn"), ...ofAlerts("page")].map(([type]) => type);

export const severityOf = (type: string): Alert["severity"] => (type.startsWith(`${FAMILIES.page}.`) ? "page" : "warn");

const PATTERN = /^(?:\*|[a-z_]+\.(?:\*|[a-z_]+))$/;
const FORM = 'an event\'s type, "rollout.rolled_back", a family, "rollout.*", or "*"';

/** What a subscriber is told of: a type, a family of them, or everything. */
export const eventPattern = z
	.string(takes(FORM))
	.max(63)
	.regex(PATTERN, `takes ${FORM}`)
	.refine((pattern) => Object.keys(EVENTS).some((type) => matches(pattern, type)), `matches no event: ${Object.keys(EVENTS).join(", ")}`);

/** As SQLite's GLOB has it, for patterns of the form above. */
export function matches(pattern: string, type: string): boolean {
	return pattern.endsWith("*") ? type.startsWith(pattern.slice(0, -1)) : type === pattern;
}
