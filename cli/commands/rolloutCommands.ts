import { type Detail, detail } from "../answers";
import { type Call, type Command, wouldSend } from "../command";
import { ROLLBACK_OPTIONS, START_OPTIONS, advanceFields, extendFields, rollbackFields, startFields } from "../commandFields";
import type { Control, Hear, Write } from "../controlApi";
import type { CommandKind } from "../../core/rollouts/command";
import type { OptionName, Options } from "../options";
import { placeText, unchangedText } from "../place";
import { isUnanswered, sendSafely } from "../sendSafely";
import type { World } from "../world";
import { withHint } from "./rollout";

/** What people tell a rollout. */

interface Told {
	readonly kind: CommandKind;
	readonly about: string;
	/** What follows the id. */
	readonly examples: readonly string[];
	readonly options?: readonly OptionName[];
	readonly means?: Command["means"];
	readonly fields?: (options: Options) => Readonly<Record<string, unknown>>;
	readonly notes?: string;
	readonly after?: string;
}

const SCHEDULED = "--at 2026-03-01T08:00:00Z --from-phase second --manual";

const COMMANDS: Readonly<Record<string, Told>> = {
	start: {
		kind: "start",
		about: "Starts a draft, now or --at a time; checks and approvals of its first phase come before anybody is served",
		examples: ["--reason approved", SCHEDULED],
		options: START_OPTIONS,
		fields: startFields,
		after: "tidegate rollout watch",
	},
	approve: {
		kind: "approve",
		about: "Approves the phase that waits for it; whoever wrote the plan cannot, and nobody twice",
		examples: ['--reason "looks well"'],
	},
	reject: {
		kind: "reject",
		about: "Says no to the phase that waits for approval: the rollout pauses, or is a draft again where nobody is served yet",
		examples: ['--reason "support is not ready"'],
	},
	advance: {
		kind: "advance",
		about: "Goes on to the next phase now; after the last it completes. Harm that is suspected, or an approval that is missing, refuses it",
		examples: ['--reason "checked by hand"', '--force --reason "false alarm, see #418"'],
		options: ["force"],
		fields: advanceFields,
	},
	extend: {
		kind: "extend",
		about: "Has the present phase last longer",
		examples: ['--by 2h --reason "low traffic"'],
		options: ["by"],
		fields: extendFields,
	},
	pause: { kind: "pause", about: "Stops a rollout where it is: users keep what they have", examples: ["--reason holiday"] },
	resume: {
		kind: "resume",
		about: "Goes on with a rollout that is paused, or on its way back at no more than is served still",
		examples: ['--reason "metrics are back"'],
	},
	rollback: {
		kind: "roll_back",
		about: "Everybody goes back to the baseline, within 10 s; or another way back, by --strategy",
		examples: [
			'--reason "cards are refused"',
			"--strategy gradual --stages 75,50,0",
			"--strategy feature --flags new-cart",
			"--strategy targeted --keys ann,bob --segments resellers",
			"--strategy version --versions new-checkout=3",
		],
		options: ROLLBACK_OPTIONS,
		means: { flags: "feature: the flags that go back" },
		fields: rollbackFields,
		notes:
			"gradual goes down by stages; feature takes back some flags and targeted some users while the rest goes on; version restores flags besides;\nfull rolls back all that is live in the environment. Without --strategy: immediate.",
	},
	cancel: {
		kind: "cancel",
		about: "Ends a rollout that is not wanted; one that is live goes back to the baseline",
		examples: ["--reason replaced"],
	},
};

/** Of a way back that reaches beyond the rollout, where everybody was back already. */
const NOT_DONE: Readonly<Record<string, (environment: string) => string>> = {
	full: (environment) =>
		`what else is live in ${environment} is not taken back by this: tidegate emergency-rollback -e ${environment} does that`,
	version: () => "the flags stay as they are: their versions are restored one by one, by the API",
};

export const told: readonly Command[] = Object.entries(COMMANDS).map(
	([word, { kind, about, examples, options: own = [], means = {}, fields, notes, after }]) => ({
		name: `rollout ${word}`,
		takes: "<id>",
		about,
		options: [...own, "reason", "dry-run"],
		means,
		examples: examples.map((each) => `tidegate rollout ${word} new-checkout.1 ${each}`),
		...(notes === undefined ? {} : { notes }),
		async run({ args: [id = ""], options, control: open, world, note }: Call) {
			const write = commandWrite(id, kind, options.reason, fields?.(options));
			const control = open();
			if (options["dry-run"]) return wouldSend(control, [write]);
			let isUnchanged = false;
			const done = await tell(world, control, write, (headers) => {
				isUnchanged = headers.get("rollout-unchanged") === "true";
			}).catch(withHint(id));
			if (isUnchanged) {
				const left = NOT_DONE[options.strategy ?? ""]?.(done.environment);
				if (left !== undefined) note(left);
				return { json: { ...done, unchanged: true }, text: unchangedText(done) };
			}
			return { json: done, text: `${placeText(done)}${after === undefined ? "" : `\n${after} ${id}`}` };
		},
	}),
);

export function commandWrite(id: string, command: CommandKind, reason = "", fields: Readonly<Record<string, unknown>> = {}): Write {
	return { method: "POST", path: `/rollouts/${encodeURIComponent(id)}/commands`, body: { command, ...fields, reason } };
}

/** Where its answer is lost it is sent again under the same key. */
export const tell = (world: World, control: Control, write: Write, hear?: Hear): Promise<Detail> =>
	sendSafely(world, control, write, detail, isUnanswered, hear);
