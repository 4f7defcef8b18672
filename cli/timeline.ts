import { durationMs, printDuration } from "../core/rollouts/duration";
import type { Detail, Event, Phase } from "./answers";
import { type Paint, age, bar, clip, colourOf, instant, pad, percent, scored, statusColour } from "./output";
import { goalText, stagesText, waitsText } from "./place";

/** What somebody who watches a rollout sees: pure functions of what control has said. */

export interface View {
	readonly rollout: Detail;
	/** All so far, oldest first. */
	readonly events: readonly Event[];
	/** When control last answered. */
	readonly seenAtMs: number;
}

/** One thing that happened, as --json tells it and as a line. */
export interface Happening {
	readonly atMs: number;
	readonly what: "event" | "health";
	/** advance, roll_back…; of health the decision. */
	readonly kind: string;
	readonly reason: string;
	readonly message: string;
	readonly percent: number | null;
	readonly level: string | null;
	readonly actor: string | null;
}

/** What is new since `before`. A tick that found the same again is nothing new. */
export function happenings(before: View | undefined, after: View): readonly Happening[] {
	const seen = before?.events.at(-1)?.revision ?? 0;
	const fresh = after.events.filter(({ revision }) => revision > seen).map(eventOf);
	const { health } = after.rollout;
	// A change is an event already.
	const isTold = health === null || health.decision !== "hold" || placeOf(before?.rollout.health) === placeOf(health);
	return isTold ? fresh : [...fresh, healthOf(health)].sort((a, b) => a.atMs - b.atMs);
}

const placeOf = (health: Detail["health"] | undefined): string =>
	health ? [health.decision, health.reason, health.level, health.percent].join() : "";

function eventOf({ atMs, kind, reason, message, actor }: Event): Happening {
	return { atMs, what: "event", kind, reason, message, percent: null, level: null, actor };
}

function healthOf({ atMs, decision, reason, message, percent: served, level }: NonNullable<Detail["health"]>): Happening {
	return { atMs, what: "health", kind: decision, reason, message, percent: served, level, actor: null };
}

/** For logs: the time, what, and why. */
export function lineOf({ atMs, kind, reason, message, percent: served, level, actor }: Happening): string {
	const where = [served === null ? "" : percent(served), level ?? ""].filter(Boolean).join(", ");
	const why = message === "" ? reason : actor === null ? message : `${reason}: ${message}`;
	return `${instant(atMs)}  ${kind.replaceAll("_", " ").padEnd(9)}  ${[where, why].filter(Boolean).join("  ")}${actor === null ? "" : ` (${actor})`}`;
}

const SYMBOL: Readonly<Record<string, string>> = {
	schedule: "◷",
	validate: "◌",
	validation_failed: "✕",
	start: "▶",
	await_approval: "‖",
	approve: "✓",
	reject: "✕",
	extend: "+",
	begin_rollback: "▽",
	lower: "▽",
	drop_flags: "▽",
	exclude: "▽",
	advance: "▲",
	complete: "✔",
	roll_back: "▼",
	step_back: "◂",
	pause: "‖",
	resume: "▶",
	cancel: "✕",
};
const EVENTS_SHOWN = 8;
const BAR_WIDTH = 24;

/** A screen of it, no line wider than `columns` and no more than `rows` lines. `lostSinceMs`: control does not answer since then. */
export function frame(
	view: View,
	{ now, columns, rows, lostSinceMs, paint }: { now: number; columns: number; rows: number; lostSinceMs: number | null; paint: Paint },
): readonly string[] {
	const { rollout, events } = view;
	const lines = [
		title(rollout, now, paint),
		servedLine(rollout),
		"",
		...phaseLines(rollout, now, paint),
		...nextLines(rollout, now, paint),
		"",
		...healthLines(rollout, now, paint),
		...(lostSinceMs === null ? [] : [paint("yellow", `control has not answered for ${age(now - lostSinceMs)}: trying again`)]),
		"",
		...events.slice(-EVENTS_SHOWN).map((each) => eventLine(each, rollout.startedAtMs ?? rollout.createdAtMs, paint)),
	];
	// Where the screen is too low, what happened first goes first.
	const shown = lines.length > rows ? [...lines.slice(0, Math.max(1, rows - 1)), "…"] : lines;
	return shown.map((each) => clip(each, columns));
}

function title({ id, environment, status, startedAtMs, flags }: Detail, now: number, paint: Paint): string {
	const since = startedAtMs === null ? "" : `, started ${age(now - startedAtMs)} ago`;
	return `${paint("bold", id)} in ${environment}: ${paint(statusColour(status), status.replaceAll("_", " "))}${since}  ${paint("dim", flags.join(", "))}`;
}

function servedLine({ percent: served, holdback, phase, plan, state }: Detail): string {
	const audience = plan?.phases[state?.phase ?? -1]?.audience;
	const who = audience === undefined ? "" : ` of ${audience}`;
	return `${bar(served / 100, BAR_WIDTH)} ${percent(served)} served${who}${holdback > 0 && phase !== null ? `, ${percent(holdback)} held back` : ""}`;
}

/** What a hold does not tell: a time, checks, people, the way back. */
function nextLines({ next, status, state }: Detail, now: number, paint: Paint): string[] {
	if (!next) return [];
	if (status === "rolling_back") {
		const left = next.notBeforeMs === null ? "" : `, in ${age(next.notBeforeMs - now)}`;
		return ["", paint("yellow", `on the way back: then ${stagesText(state)}${left}`)];
	}
	const waits = waitsText({ ...next, waitsFor: next.waitsFor.filter((each) => each !== "hold") }, now);
	return waits.length > 0 ? ["", paint("yellow", `${goalText(next)} waits for ${waits.join("; ")}`)] : [];
}

function phaseLines({ plan, state, status }: Detail, now: number, paint: Paint): string[] {
	if (plan === null) return [paint("red", "the stored plan cannot be read")];
	const current = state?.phase;
	const isOver = status === "completed";
	const names = plan.phases.map(({ name }, i) => name ?? `phase_${i + 1}`);
	const width = Math.max(8, ...names.map((name) => name.length));
	const measuring =
		current === -1
			? [`${paint("cyan", "▶")} ${pad("baseline", width)}  ${pad(percent(0), 7)}  being measured${sinceText(state?.sinceMs, now)}`]
			: [];
	const phases = plan.phases.map((phase, i) => {
		const isDone = isOver || (current !== undefined && i < current);
		const isCurrent = i === current;
		const mark = isDone ? paint("green", "✔") : isCurrent ? paint("cyan", "▶") : " ";
		const lasts = isCurrent ? held(phase.hold, state?.watch?.heldMs ?? 0, state?.extendedMs ?? 0) : isDone ? "" : `hold ${phase.hold}`;
		const besides = [lasts, ...besidesIn(phase, isDone || isCurrent)].filter(Boolean).join(", ");
		return `${mark} ${pad(names[i] ?? "", width)}  ${pad(percent(phase.percent), 7)}  ${besides}`.trimEnd();
	});
	return [...measuring, ...phases];
}

const sinceText = (sinceMs: number | undefined, now: number): string => (sinceMs === undefined ? "" : ` for ${age(now - sinceMs)}`);

/** Who is served, who joins, and what is asked for before it is entered. */
function besidesIn(
	{ audience, flags = [], approval = "auto", not_before: notBefore, shadow = false }: Phase,
	isEntered: boolean,
): string[] {
	const approvers = typeof approval === "object" ? approval.approvers : approval === "manual" ? 1 : 0;
	return [
		...(audience === undefined ? [] : [`of ${audience}`]),
		...(shadow ? ["compared only"] : []),
		...(flags.length > 0 ? [`${flags.join(", ")} ${flags.length === 1 ? "joins" : "join"}`] : []),
		...(isEntered || approvers === 0 ? [] : [`${approvers} ${approvers === 1 ? "approval" : "approvals"}`]),
		...(isEntered || notBefore === undefined ? [] : [`from ${typeof notBefore === "object" ? `day ${notBefore.day}` : notBefore} on`]),
	];
}

/** Only time that had data counts towards a hold. */
function held(hold: string, heldMs: number, extendedMs: number): string {
	const holdMs = (durationMs(hold) ?? 0) + extendedMs;
	if (holdMs === 0) return `held ${printDuration(heldMs)}`;
	return `${bar(heldMs / holdMs, BAR_WIDTH)} held ${printDuration(heldMs)} of ${extendedMs > 0 ? printDuration(holdMs) : hold}`;
}

function healthLines({ health, status, state }: Detail, now: number, paint: Paint): string[] {
	const isStopped = status === "paused" || status === "rolling_back";
	const dropped = state?.dropped ?? [];
	const stopped = [
		...(isStopped && state?.reason !== undefined
			? [
					paint(
						"yellow",
						`${status === "paused" ? "paused" : "taken back"} by ${state.by ?? "somebody"}${state.reason === "" ? "" : `: ${state.reason}`}`,
					),
				]
			: []),
		...(dropped.length > 0 ? [paint("yellow", `${dropped.join(", ")} taken back while the others go on`)] : []),
	];
	if (health === null) return [...stopped, paint("dim", "no tick has looked yet")];
	const isOver = status === "completed" || status === "rolled_back" || status === "cancelled";
	return [
		...stopped,
		`${paint(colourOf(health.level), health.level)}${scored(health)}  ${paint("dim", `${age(now - health.atMs)} ago`)}`,
		...(isOver && health.decision === "hold" ? [] : [`${health.decision.replaceAll("_", " ")}: ${health.message}`]),
		...(state?.watch?.alerting ?? []).map((name) =>
			paint(name.endsWith(".page") ? "red" : "yellow", `alert: ${name.replace(/\.(?:page|warn)$/, "")}`),
		),
	];
}

function eventLine({ atMs, kind, reason, message, actor }: Event, startedAtMs: number, paint: Paint): string {
	const when = `+${printDuration(Math.max(0, atMs - startedAtMs))}`;
	return `${pad(paint("dim", when), 7)} ${SYMBOL[kind] ?? "·"} ${kind.replaceAll("_", " ")}: ${message === "" ? reason : message} ${paint("dim", `(${actor})`)}`;
}
