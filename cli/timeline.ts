import { durationMs, printDuration } from "../core/rollouts/duration";
import type { Detail, Event } from "./answers";
import { type Paint, age, bar, clip, colourOf, instant, pad, percent } from "./output";

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
	return `${instant(atMs)}  ${kind.replace("_", " ").padEnd(9)}  ${[where, why].filter(Boolean).join("  ")}${actor === null ? "" : ` (${actor})`}`;
}

const SYMBOL: Readonly<Record<string, string>> = {
	start: "▶",
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
		`${bar(rollout.percent / 100, BAR_WIDTH)} ${percent(rollout.percent)} served${rollout.holdback > 0 && rollout.phase !== null ? `, ${percent(rollout.holdback)} held back` : ""}`,
		"",
		...phaseLines(rollout, now, paint),
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

function statusColour(status: string): "green" | "red" | "yellow" | "cyan" {
	if (status === "completed") return "green";
	if (status === "rolled_back" || status === "cancelled") return "red";
	return status === "running" ? "cyan" : "yellow";
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
		const progress = isCurrent ? held(phase.hold, state?.watch?.heldMs ?? 0) : isDone ? "" : `hold ${phase.hold}`;
		return `${mark} ${pad(names[i] ?? "", width)}  ${pad(percent(phase.percent), 7)}  ${progress}`.trimEnd();
	});
	return [...measuring, ...phases];
}

const sinceText = (sinceMs: number | undefined, now: number): string => (sinceMs === undefined ? "" : ` for ${age(now - sinceMs)}`);

/** Only time that had data counts towards a hold. */
function held(hold: string, heldMs: number): string {
	const holdMs = durationMs(hold);
	if (holdMs === undefined || holdMs === 0) return `held ${printDuration(heldMs)}`;
	return `${bar(heldMs / holdMs, BAR_WIDTH)} held ${printDuration(heldMs)} of ${hold}`;
}

function healthLines({ health, status, state }: Detail, now: number, paint: Paint): string[] {
	const stopped =
		status === "paused" && state?.reason !== undefined ? [paint("yellow", `paused by ${state.by ?? "somebody"}: ${state.reason}`)] : [];
	if (health === null) return [...stopped, paint("dim", "no tick has looked yet")];
	const score = health.score === null ? "" : `, score ${health.score}`;
	return [
		...stopped,
		`${paint(colourOf(health.level), health.level)}${score}  ${paint("dim", `${age(now - health.atMs)} ago`)}`,
		`${health.decision.replace("_", " ")}: ${health.message}`,
		...(state?.watch?.alerting ?? []).map((name) =>
			paint(name.endsWith(".page") ? "red" : "yellow", `alert: ${name.replace(/\.(?:page|warn)$/, "")}`),
		),
	];
}

function eventLine({ atMs, kind, reason, message, actor }: Event, startedAtMs: number, paint: Paint): string {
	const when = `+${printDuration(Math.max(0, atMs - startedAtMs))}`;
	return `${pad(paint("dim", when), 7)} ${SYMBOL[kind] ?? "·"} ${kind.replace("_", " ")}: ${message === "" ? reason : message} ${paint("dim", `(${actor})`)}`;
}
