import { randomUUID } from "node:crypto";
import { detail, flag, listed } from "../answers";
import type { Answer, Call, Command } from "../command";
import { wouldSend } from "../command";
import { type Control, type Write, problemIn } from "../controlApi";
import { EXIT, type ExitCode, Stop, usageError } from "../exit";
import type { Paint } from "../output";
import { switching } from "./flags";
import { commandWrite } from "./rollout";

const REASON = "emergency rollback";
const TRIES = 3;
const AT_ONCE = 8;
const PAUSE_MS = 500;
const LISTED_MAX = 1_000;

export const emergencyRollback: Command = {
	name: "emergency-rollback",
	takes: "",
	about: "Rolls back every live rollout of an environment, or kills the flags that are named",
	options: ["environment", "flags", "reason", "yes", "dry-run"],
	examples: [
		'tidegate emergency-rollback --yes --reason "checkout is down"',
		"tidegate emergency-rollback --flags new-checkout,new-search --yes",
		"tidegate emergency-rollback --dry-run",
	],
	notes:
		"Asks first where stdin is a terminal, unless --yes. What fails for a moment is tried again, and at the end it is looked whether anything is live still: 0 says that nothing is.\nWhere control itself is down: docs/runbooks/break-glass.md.",
	async run(call) {
		const control = call.control();
		const flags = flagsNamed(call);
		const reason = call.options.reason ?? REASON;
		const wayBack = async (): Promise<Step[]> =>
			flags ? flags.map((key) => killing(key, call, reason)) : rollingBack(await liveIn(control, call.environment), reason);
		const steps = await wayBack();
		if (steps.length === 0)
			return { json: { environment: call.environment, done: [], failed: [] }, text: `nothing is live in ${call.environment}` };
		if (call.options["dry-run"])
			return wouldSend(
				control,
				steps.map(({ write }) => write),
			);
		await confirmed(call, steps, flags !== undefined);
		const outcomes = await carryOut(call, control, steps);
		const others = flags ? [] : await startedMeanwhile(call, control, outcomes, reason);
		return answerOf(call, [...outcomes, ...others], call.paint);
	},
};

interface Step {
	readonly name: string;
	readonly write: Write;
}
interface Outcome {
	readonly name: string;
	/** undefined: done. */
	readonly error: Stop | undefined;
}

function flagsNamed({ options: { flags } }: Call): string[] | undefined {
	if (flags === undefined) return undefined;
	const named = [...new Set(flags.split(",").map((each) => each.trim()))];
	if (named.includes("")) throw usageError("--flags takes keys with commas between them, as in --flags new-checkout,new-search");
	return named;
}

const killing = (key: string, call: Call, reason: string): Step => ({
	name: key,
	write: switching({ args: [key], environment: call.environment, options: { ...call.options, reason } }, false),
});

const rollingBack = (ids: readonly string[], reason: string): Step[] =>
	ids.map((id) => ({ name: id, write: commandWrite(id, "roll_back", reason) }));

/** A look at what is live still; that it could not be had is a failure beside what was done. */
async function startedMeanwhile(call: Call, control: Control, before: readonly Outcome[], reason: string): Promise<Outcome[]> {
	const live = await liveIn(control, call.environment).catch((error: unknown) => {
		if (error instanceof Stop) return error;
		throw error;
	});
	if (live instanceof Stop) return [{ name: "what else may be live", error: live }];
	const late = live.filter((id) => !before.some(({ name }) => name === id));
	return carryOut(call, control, rollingBack(late, reason));
}

/** Those that cannot be read too: a rollback works for them. */
async function liveIn(control: Control, environment: string): Promise<string[]> {
	const found = await Promise.all(
		["running", "paused"].map((status) => control.get("/rollouts", listed, { environment, status, limit: LISTED_MAX })),
	);
	return [...new Set(found.flatMap(({ rollouts, damaged }) => [...rollouts.map(({ id }) => id), ...damaged]))].sort();
}

async function confirmed({ world, options, environment }: Call, steps: readonly Step[], isKill: boolean): Promise<void> {
	if (options.yes || !world.stdin.isTTY) return;
	const what = isKill ? "Kill" : "Roll back";
	const answer = await world.ask(`${what} in ${environment}: ${steps.map(({ name }) => name).join(", ")}? [y/N] `, false);
	if (!/^y(es)?$/i.test(answer.trim())) throw new Stop(EXIT.failure, "nothing was sent");
}

/** All of them, some at a time: one that fails keeps no other from being carried out. */
async function carryOut(call: Call, control: Control, steps: readonly Step[]): Promise<Outcome[]> {
	const outcomes: Outcome[] = [];
	const left = [...steps];
	const lane = async (): Promise<void> => {
		for (let step = left.shift(); step; step = left.shift()) {
			// oxlint-disable-next-line no-await-in-loop -- a lane takes one after another
			outcomes.push({ name: step.name, error: await insist(call, control, step) });
		}
	};
	await Promise.all(Array.from({ length: AT_ONCE }, lane));
	return outcomes.sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** Both ways back may be asked for twice, so what may not have arrived is sent again. */
async function insist({ world }: Call, control: Control, { write }: Step): Promise<Stop | undefined> {
	const key = randomUUID();
	const schema = write.method === "PATCH" ? flag : detail;
	for (let tries = 1; ; tries++) {
		try {
			// oxlint-disable-next-line no-await-in-loop -- tried again
			await control.send<unknown>(write, schema, key);
			return undefined;
		} catch (error) {
			if (!(error instanceof Stop)) throw error;
			const isPassing = error.exit === EXIT.unreachable || problemIn(error)?.type.endsWith(":changed_meanwhile") === true;
			if (!isPassing || tries >= TRIES || world.interrupted.aborted) return error;
			// oxlint-disable-next-line no-await-in-loop -- see above
			await world.sleep(PAUSE_MS * tries);
		}
	}
}

function answerOf({ environment, options }: Call, outcomes: readonly Outcome[], paint: Paint): Answer {
	const failed = outcomes.flatMap(({ name, error }) => (error ? [{ name, error }] : []));
	const done = outcomes.filter(({ error }) => !error).map(({ name }) => name);
	const verb = options.flags === undefined ? "rolled back" : "killed";
	const lines = [
		...done.map((name) => `${paint("green", "✔")} ${name} is ${verb}`),
		...failed.map(({ name, error }) => `${paint("red", "✕")} ${name} is NOT ${verb}: ${error.message}`),
		failed.length > 0
			? `${failed.length} of ${outcomes.length} failed: run it again. Where control is down: docs/runbooks/break-glass.md`
			: "edges serve it within 10 s",
	];
	return {
		json: { environment, done, failed: failed.map(({ name, error }) => ({ name, message: error.message })) },
		text: lines.join("\n"),
		exit: failed.length > 0 ? exitOf(failed.map(({ error }) => error)) : EXIT.ok,
	};
}

/** Theirs, where it is one and the same. */
function exitOf(errors: readonly Stop[]): ExitCode {
	const [first] = errors;
	return first && errors.every(({ exit }) => exit === first.exit) ? first.exit : EXIT.failure;
}
