import { type Detail, type Event, type Summary, detail, events as eventsAnswer, listed } from "../answers";
import type { Call, Command } from "../command";
import { wouldSend } from "../command";
import { type Control, type Write, problemIn } from "../controlApi";
import { EXIT, Stop, usageError } from "../exit";
import { countOf } from "../options";
import { type Paint, colourOf, instant, pairs, percent, table } from "../output";

type CommandKind = "start" | "pause" | "resume" | "advance" | "roll_back" | "cancel";
const STATUSES = ["draft", "running", "paused", "rolled_back", "completed", "cancelled"];

export const list: Command = {
	name: "rollout list",
	takes: "",
	about: "The rollouts of an environment, newest first",
	options: ["environment", "status", "limit"],
	examples: ["tidegate rollout list", "tidegate rollout list --status running --json | jq -r '.[].id'"],
	async run({ options, environment, control, paint, note }) {
		const { status } = options;
		if (status !== undefined && !STATUSES.includes(status))
			throw usageError(`there is no status ${status}: it is one of ${STATUSES.join(", ")}`);
		const { rollouts, damaged } = await control().get("/rollouts", listed, { environment, status, limit: countOf(options, 100, 1_000) });
		if (damaged.length > 0) note(`cannot be read: ${damaged.join(", ")}. Roll them back: tidegate rollout rollback <id>`);
		return { json: rollouts, text: rollouts.length > 0 ? listText(rollouts, paint) : `there are no such rollouts in ${environment}` };
	},
};

export const show: Command = {
	name: "rollout show",
	takes: "<id>",
	about: "One rollout, with what the last tick found",
	options: [],
	examples: ["tidegate rollout show new-checkout.1", "tidegate rollout show new-checkout.1 --json | jq .health.judgement"],
	async run({ args: [id = ""], control, paint }) {
		const found = await getRollout(control(), id);
		return { json: found, text: showText(found, paint) };
	},
};

export const events: Command = {
	name: "rollout events",
	takes: "<id>",
	about: "Every change of a rollout, oldest first; --json has the evidence",
	options: ["limit"],
	examples: ["tidegate rollout events new-checkout.1", "tidegate rollout events new-checkout.1 --json | jq '.[-1].evidence'"],
	async run({ args: [id = ""], options, control, paint }) {
		const query = { limit: countOf(options, 500, 500) };
		const found = await control()
			.get(`/rollouts/${encodeURIComponent(id)}/events`, eventsAnswer, query)
			.catch(withHint(id));
		return { json: found.events, text: found.events.length > 0 ? eventsText(found.events, paint) : `nothing has happened to ${id} yet` };
	},
};

interface Told {
	readonly kind: CommandKind;
	readonly about: string;
	readonly example: string;
	readonly after?: string;
}

const COMMANDS: Readonly<Record<string, Told>> = {
	start: { kind: "start", about: "Starts a draft", example: "approved", after: "tidegate rollout watch" },
	advance: {
		kind: "advance",
		about: "Goes on to the next phase now, whatever the evidence; after the last it completes",
		example: "checked by hand",
	},
	pause: { kind: "pause", about: "Stops a rollout where it is: users keep what they have", example: "holiday" },
	resume: { kind: "resume", about: "Goes on with a rollout that is paused", example: "metrics are back" },
	rollback: { kind: "roll_back", about: "Everybody goes back to the baseline, within 10 s", example: "cards are refused" },
	cancel: { kind: "cancel", about: "Ends a rollout that is not wanted; one that is live goes back to the baseline", example: "replaced" },
};

export const told: readonly Command[] = Object.entries(COMMANDS).map(([word, { kind, about, example, after }]) => ({
	name: `rollout ${word}`,
	takes: "<id>",
	about,
	options: ["reason", "dry-run"],
	examples: [`tidegate rollout ${word} new-checkout.1 --reason "${example}"`],
	async run({ args: [id = ""], options, control: open }: Call) {
		const control = open();
		const write = commandWrite(id, kind, options.reason);
		if (options["dry-run"]) return wouldSend(control, [write]);
		const done = await control.send(write, detail).catch(withHint(id));
		return { json: done, text: `${placeText(done)}${after === undefined ? "" : `\n${after} ${id}`}` };
	},
}));

export function commandWrite(id: string, command: CommandKind, reason = ""): Write {
	return { method: "POST", path: `/rollouts/${encodeURIComponent(id)}/commands`, body: { command, reason } };
}

export const getRollout = (control: Control, id: string): Promise<Detail> =>
	control.get(`/rollouts/${encodeURIComponent(id)}`, detail).catch(withHint(id));

/** What to do about the two refusals that come most often: a name without its attempt, and a command that does not fit. */
export function withHint(id: string) {
	return (error: unknown): never => {
		const problem = problemIn(error);
		if (!(error instanceof Stop) || problem === undefined) throw error;
		const say = (hint: string): never => {
			throw new Stop(error.exit, `${error.message}${hint}`, error.details);
		};
		if (problem.type.endsWith(":not_found"))
			return say(
				/\.\d+$/.test(id)
					? ": tidegate rollout list shows those there are"
					: `: an id ends in its attempt, as in ${id}.1. tidegate rollout list shows those there are`,
			);
		if (error.exit === EXIT.failure && problem.type.endsWith(":wrong_status"))
			return say(`. tidegate rollout show ${id} shows where it is`);
		throw error;
	};
}

/** "new-checkout.1 is running: first, 5 %" */
export function placeText({ id, status, phase, percent: served }: Summary): string {
	if (phase !== null) return `${id} is ${status}: ${phase}, ${percent(served)}`;
	const said: Readonly<Record<string, string>> = {
		rolled_back: `${id} is rolled back: edges serve the baseline within 10 s`,
		cancelled: `${id} is cancelled: nobody is served the candidate by it`,
		completed: `${id} is completed: everybody is served the candidate`,
	};
	return said[status] ?? `${id} is ${status}`;
}

function listText(rollouts: readonly Summary[], paint: Paint): string {
	const rows = rollouts.map(({ id, status, phase, percent: served, flags, createdAtMs }) => [
		id,
		statusText(status, paint),
		phase ?? "",
		percent(served),
		flags.join(", "),
		instant(createdAtMs),
	]);
	return table(["ROLLOUT", "STATUS", "PHASE", "PERCENT", "FLAGS", "CREATED"], rows, paint);
}

function statusText(status: string, paint: Paint): string {
	if (status === "rolled_back" || status === "cancelled") return paint("red", status);
	return status === "completed" ? paint("green", status) : status === "paused" ? paint("yellow", status) : status;
}

function showText(found: Detail, paint: Paint): string {
	const { health, state, holdback, startedAtMs } = found;
	const head = pairs(
		[
			["rollout", `${paint("bold", found.id)}, ${statusText(found.status, paint)}, in ${found.environment}`],
			["flags", found.flags.join(", ")],
			...(found.phase === null
				? []
				: ([["phase", `${found.phase}, ${percent(found.percent)}${holdback > 0 ? `, ${percent(holdback)} held back` : ""}`]] as const)),
			...(startedAtMs === null ? [] : ([["started", instant(startedAtMs)]] as const)),
			...(state?.reason === undefined ? [] : ([["reason", `${state.reason} (${state.by ?? ""})`]] as const)),
			...(health === null
				? []
				: ([
						[
							"level",
							`${paint(colourOf(health.level), health.level)}${health.score === null ? "" : `, score ${health.score}`}, as of ${instant(health.atMs)}`,
						],
						["decision", `${health.decision}: ${health.message}`],
					] as const)),
		],
		paint,
	);
	const verdicts = health?.judgement?.verdicts ?? [];
	if (verdicts.length === 0) return head;
	const rows = verdicts.map(({ role, criterion, status, message }) => [
		role.replace("_", " "),
		criterion,
		verdictText(status, paint),
		message,
	]);
	return `${head}\n\n${table(["VERDICT ON", "SAYS", "IS", "BECAUSE"], rows, paint)}`;
}

function verdictText(status: string, paint: Paint): string {
	if (status === "met") return paint("green", status);
	return status === "breached" ? paint("red", status) : status === "beyond" ? paint("yellow", status) : status.replaceAll("_", " ");
}

function eventsText(found: readonly Event[], paint: Paint): string {
	const rows = found.map(({ atMs, kind, reason, actor, message }) => [instant(atMs), kind.replace("_", " "), reason, actor, message]);
	return table(["WHEN", "WHAT", "WHY", "WHO", "MESSAGE"], rows, paint);
}
