import { type Event, events as eventsAnswer } from "../answers";
import type { Answer, Call, Command } from "../command";
import type { Control } from "../controlApi";
import { EXIT, type ExitCode, Stop } from "../exit";
import { durationOf } from "../options";
import { age, paintFor, printable } from "../output";
import { type Happening, type View, frame, happenings, lineOf } from "../timeline";
import { placeText } from "../place";
import { getRollout } from "./rollout";

const INTERVAL_MS = 2_000;
const PATIENCE_MS = 60_000;
const EVENTS_A_PAGE = 500;

const ENDS: Readonly<Record<string, ExitCode>> = { completed: EXIT.ok, rolled_back: EXIT.rolledBack, cancelled: EXIT.cancelled };

export const watch: Command = {
	name: "rollout watch",
	takes: "<id>",
	about: "Shows a rollout live until it has ended; a line for each change where stdout is no terminal",
	options: ["interval", "timeout", "patience"],
	examples: ["tidegate rollout watch new-checkout.1", "tidegate rollout watch new-checkout.1 --timeout 2h && ./announce.sh"],
	notes:
		"Goes on while the rollout is scheduled, is validated, waits for an approval, is paused or on its way back.\nEnds with 0 where it was completed, 1 did not start, 3 rolled back, 4 cancelled, 5 when control was out of reach for too long, 6 after --timeout.\nCtrl-C ends the watching, not the rollout. With --json the changes come as lines on stderr, and at the end as one object on stdout.",
	run: (call) => watching(call, call.args[0] ?? ""),
};

async function watching(call: Call, id: string): Promise<Answer> {
	const { world, options } = call;
	const intervalMs = durationOf(options, "interval", INTERVAL_MS);
	const patienceMs = durationOf(options, "patience", PATIENCE_MS);
	const untilMs = world.now() + durationOf(options, "timeout", Infinity);
	const control = call.control();
	const screen = screenFor(call);
	const all: Happening[] = [];
	// A rollout that is not there, or a token that is not taken, is told at once.
	let view = await look(control, id, undefined, world.now());
	screen.show(view, happened(all, undefined, view), null);
	try {
		for (;;) {
			const exit = ENDS[view.rollout.status];
			if (exit !== undefined) return ended(view, all, exit, screen.isLive ? "" : placeText(view.rollout));
			const sentBack = sentBackBy(view);
			if (sentBack)
				throw stopped(EXIT.failure, `${id} did not start, and is a draft again: ${sentBack.message || sentBack.reason}`, view, all);
			if (world.now() >= untilMs) throw stopped(EXIT.timedOut, `${id} has not ended in ${options.timeout ?? ""}`, view, all);
			// oxlint-disable-next-line no-await-in-loop -- looks again and again
			await world.sleep(intervalMs);
			if (world.interrupted.aborted) throw stopped(EXIT.interrupted, "no longer watching: the rollout goes on", view, all);
			// oxlint-disable-next-line no-await-in-loop -- see above
			const next = await look(control, id, view, world.now()).catch(onlyUnreachable);
			if (next instanceof Stop) {
				const silentMs = world.now() - view.seenAtMs;
				if (silentMs >= patienceMs)
					throw stopped(
						EXIT.unreachable,
						`${next.message}. Lost contact ${age(silentMs)} ago: the rollout goes on without anybody watching`,
						view,
						all,
					);
				screen.show(view, [], view.seenAtMs);
				continue;
			}
			screen.show(next, happened(all, view, next), null);
			view = next;
		}
	} finally {
		screen.close();
	}
}

/** What made a draft of it again: a check that failed, a time-out, a person who said no. */
function sentBackBy({ rollout, events }: View): Event | undefined {
	const last = events.at(-1);
	return rollout.status === "draft" && (last?.kind === "validation_failed" || last?.kind === "reject") ? last : undefined;
}

/** Keeps what is new, and gives it. */
function happened(all: Happening[], before: View | undefined, after: View): readonly Happening[] {
	const fresh = happenings(before, after);
	all.push(...fresh);
	return fresh;
}

async function look(control: Control, id: string, before: View | undefined, now: number): Promise<View> {
	const rollout = await getRollout(control, id);
	const known = before?.events ?? [];
	const isUpToDate = (known.at(-1)?.revision ?? 0) >= rollout.revision;
	return {
		rollout,
		events: isUpToDate ? known : [...known, ...(await eventsAfter(control, id, known.at(-1)?.revision ?? 0))],
		seenAtMs: now,
	};
}

async function eventsAfter(control: Control, id: string, revision: number): Promise<Event[]> {
	const query = { after: revision, limit: EVENTS_A_PAGE };
	const { events } = await control.get(`/rollouts/${encodeURIComponent(id)}/events`, eventsAnswer, query);
	const last = events.at(-1);
	return last && events.length === EVENTS_A_PAGE ? [...events, ...(await eventsAfter(control, id, last.revision))] : events;
}

function onlyUnreachable(error: unknown): Stop {
	if (error instanceof Stop && error.exit === EXIT.unreachable) return error;
	throw error;
}

function ended({ rollout }: View, changes: readonly Happening[], exit: ExitCode, text: string): Answer {
	return { json: { id: rollout.id, status: rollout.status, exitCode: exit, changes, rollout }, text, exit };
}

function stopped(exit: ExitCode, message: string, { rollout }: View, changes: readonly Happening[]): Stop {
	return new Stop(exit, message, { id: rollout.id, status: rollout.status, changes });
}

interface Screen {
	readonly isLive: boolean;
	show(view: View, fresh: readonly Happening[], lostSinceMs: number | null): void;
	close(): void;
}

/** A terminal is drawn anew each time; anything else gets a line for each change. With --json stdout is kept for the end. */
function screenFor({ world, options }: Call): Screen {
	const { out, err, env } = world;
	if (!out.isTTY || options.json || env["TERM"] === "dumb") {
		const sink = options.json ? err : out;
		let isTold = false;
		return {
			isLive: false,
			show(_view, fresh, lostSinceMs) {
				for (const each of fresh) sink.write(`${printable(lineOf(each))}\n`);
				if (lostSinceMs !== null && !isTold) err.write(`control does not answer: trying again\n`);
				isTold = lostSinceMs !== null;
			},
			close() {},
		};
	}
	const paint = paintFor(out, env);
	let height = 0;
	return {
		isLive: true,
		show(view, _fresh, lostSinceMs) {
			const { columns, rows } = out;
			const lines = frame(view, { now: world.now(), columns, rows: rows - 1, lostSinceMs, paint });
			// Over what was there, line by line, so that nothing flickers. A smaller window has wrapped the old lines, and starts anew.
			const up = height > 0 ? `\u001B[${height}A\r` : "\u001B[?25l";
			out.write(`${up}${lines.map((each) => `${printable(each)}\u001B[K\n`).join("")}\u001B[J`);
			height = lines.length;
		},
		close: () => out.write("\u001B[?25h"),
	};
}
