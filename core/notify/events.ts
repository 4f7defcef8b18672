import * as z from "zod";
import { takes } from "../flags/fieldErrors";
import type { Alert } from "../rollouts/alert";
import type { ChangeKind } from "../rollouts/decision";

type EventType = `rollout.${ChangeKind}` | `alert.${Alert["severity"]}` | "webhook.disabled" | "webhook.test";

/** Every event that the outside is told of, and what has happened then. */
export const EVENTS = {
	"rollout.start": "a rollout serves its first phase",
	"rollout.advance": "on to the next phase",
	"rollout.step_back": "back to an earlier phase",
	"rollout.roll_back": "everybody is served the baseline again; final",
	"rollout.complete": "everybody is served the candidate; final",
	"rollout.pause": "it stays where it is until somebody resumes it",
	"rollout.resume": "it goes on",
	"rollout.schedule": "started by a person, and waits for its time",
	"rollout.validate": "started, and waits for checks and approvals; nobody is served yet",
	"rollout.validation_failed": "a check failed or nobody approved in time: a draft again",
	"rollout.await_approval": "a phase has shown enough, and the next one needs approvals",
	"rollout.approve": "somebody has approved the next phase",
	"rollout.reject": "somebody has refused the next phase: it stays where it is",
	"rollout.extend": "a phase lasts longer",
	"rollout.begin_rollback": "on its way back, stage by stage",
	"rollout.lower": "a stage further on its way back",
	"rollout.drop_flags": "some flags are back on the baseline, the others go on",
	"rollout.exclude": "some users are back on the baseline, the others go on",
	"rollout.cancel": "ended by a person; everybody is served the baseline",
	"alert.warn": "somebody should look",
	"alert.page": "somebody should look now",
	"webhook.disabled": "a subscriber answered 410 Gone and is told nothing any more",
	"webhook.test": "somebody tries a subscriber; sent to that one only",
} satisfies Record<EventType, string>;

const PATTERN = /^(?:\*|[a-z_]+\.(?:\*|[a-z_]+))$/;

/** What a subscriber is told of: a type, a family of them, or everything. */
export const eventPattern = z
	.string(takes('an event\'s type, "rollout.roll_back", a family, "rollout.*", or "*"'))
	.max(63)
	.regex(PATTERN, 'takes an event\'s type, "rollout.roll_back", a family, "rollout.*", or "*"')
	.refine((pattern) => Object.keys(EVENTS).some((type) => matches(pattern, type)), `matches no event: ${Object.keys(EVENTS).join(", ")}`);

/** As SQLite's GLOB has it, for patterns of the form above. */
export function matches(pattern: string, type: string): boolean {
	return pattern.endsWith("*") ? type.startsWith(pattern.slice(0, -1)) : type === pattern;
}
