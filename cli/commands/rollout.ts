import { type Detail, type Event, type Summary, detail, events as eventsAnswer, listed } from "../answers";
import type { Command } from "../command";
import { type Control, problemIn } from "../controlApi";
import { EXIT, Stop, usageError } from "../exit";
import { countOf } from "../options";
import { ACTIVE } from "../../core/rollouts/state";
import { type Paint, colourOf, instant, pairs, percent, scored, statusText, table } from "../output";
import { goalText, stagesText, waitsText } from "../place";

const ENDED: readonly string[] = ["rolled_back", "completed", "cancelled"];
const STATUSES: readonly string[] = ["draft", ...ACTIVE, ...ENDED];

export const list: Command = {
	name: "rollout list",
	takes: "",
	about: "The rollouts of an environment, newest first",
	options: ["environment", "status", "limit"],
	examples: ["tidegate rollout list", "tidegate rollout list --status running,awaiting_approval --json | jq -r '.[].id'"],
	async run({ options, environment, control, paint, note }) {
		const { status } = options;
		const unknown = status?.split(",").find((each) => !STATUSES.includes(each));
		if (unknown !== undefined) throw usageError(`there is no status ${unknown}: it is one of ${STATUSES.join(", ")}`);
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
	async run({ args: [id = ""], control, paint, world }) {
		const found = await getRollout(control(), id);
		return { json: found, text: showText(found, world.now(), paint) };
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

export const getRollout = (control: Control, id: string): Promise<Detail> =>
	control.get(`/rollouts/${encodeURIComponent(id)}`, detail).catch(withHint(id));

/** What to do about the two refusals that come most often: a name without its attempt, and a command that does not fit. */
export function withHint(id: string) {
	return (error: unknown): never => {
		const problem = problemIn(error);
		if (!(error instanceof Stop) || problem === undefined) throw error;
		const say = (hint: string): never => {
			// The API's name of the command.
			throw new Stop(error.exit, `${error.message.replaceAll("roll_back", "rollback")}${hint}`, error.details);
		};
		if (problem.type.endsWith(":not_found") && problem.detail.startsWith("there is no check"))
			return say(`: tidegate checks ${id} shows those there are`);
		if (problem.type.endsWith(":not_found"))
			return say(
				/\.\d+$/.test(id)
					? ": tidegate rollout list shows those there are"
					: `: an id ends in its attempt, as in ${id}.1. tidegate rollout list shows those there are`,
			);
		if (error.exit === EXIT.failure && problem.type.endsWith(":wrong_status"))
			return say(
				`. ${ENDED.includes(String(problem["status_now"])) ? "Nothing was changed: " : ""}tidegate rollout show ${id} shows where it is`,
			);
		throw error;
	};
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

function showText(found: Detail, now: number, paint: Paint): string {
	const { health, state, plan, next, holdback, startedAtMs } = found;
	const audience = plan?.phases[state?.phase ?? -1]?.audience;
	const dropped = state?.dropped ?? [];
	const isOver = ENDED.includes(found.status);
	const head = pairs(
		[
			["rollout", `${paint("bold", found.id)}, ${statusText(found.status, paint)}, in ${found.environment}`],
			["flags", found.flags.join(", ")],
			...(found.phase === null
				? []
				: ([
						[
							"phase",
							`${found.phase}, ${percent(found.percent)}${audience === undefined ? "" : ` of ${audience}`}${holdback > 0 ? `, ${percent(holdback)} held back` : ""}`,
						],
					] as const)),
			...(dropped.length > 0 ? ([["taken back", dropped.join(", ")]] as const) : []),
			...(found.status === "rolling_back" ? ([["way back", `then ${stagesText(state)}`]] as const) : []),
			...(next ? ([["next", [goalText(next), ...waitsText(next, now)].join("; ")]] as const) : []),
			...(startedAtMs === null ? [] : ([["started", instant(startedAtMs)]] as const)),
			...(isOver && state?.atMs !== undefined ? ([["ended", instant(state.atMs)]] as const) : []),
			...(state?.reason === undefined ? [] : ([["reason", reasonText(state)]] as const)),
			...(health === null
				? []
				: ([
						["level", `${paint(colourOf(health.level), health.level)}${scored(health)}, as of ${instant(health.atMs)}`],
						...(isOver && health.decision === "hold"
							? []
							: ([["decision", `${health.decision.replaceAll("_", " ")}: ${health.message}`]] as const)),
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

/** Whoever acts need not say why. */
const reasonText = ({ reason = "", by = "" }: NonNullable<Detail["state"]>): string =>
	reason === "" ? `none was given, by ${by}` : `${reason} (${by})`;

function verdictText(status: string, paint: Paint): string {
	if (status === "met") return paint("green", status);
	return status === "breached" ? paint("red", status) : status === "beyond" ? paint("yellow", status) : status.replaceAll("_", " ");
}

function eventsText(found: readonly Event[], paint: Paint): string {
	const rows = found.map(({ atMs, kind, reason, actor, message }) => [instant(atMs), kind.replaceAll("_", " "), reason, actor, message]);
	return table(["WHEN", "WHAT", "WHY", "WHO", "MESSAGE"], rows, paint);
}
