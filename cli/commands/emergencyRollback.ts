import { type TakenBack, flags as allFlags, deploymentStatus, takenBack } from "../answers";
import type { Answer, Call, Command } from "../command";
import { wouldSend } from "../command";
import { type Control, type Write, problemIn } from "../controlApi";
import { EXIT, Stop, usageError } from "../exit";
import { namesIn } from "../commandFields";
import { isUnanswered, sendSafely } from "../sendSafely";

const REASON = "emergency rollback";
/** What starts while it is looked is ended as well, so often. */
const ROUNDS = 3;
const FLAGS_MAX = 1_000;

export const emergencyRollback: Command = {
	name: "emergency-rollback",
	takes: "",
	about: "Rolls back every live rollout of an environment, or those that hold the flags that are named",
	options: ["environment", "flags", "kill", "reason", "yes", "dry-run"],
	examples: [
		'tidegate emergency-rollback --yes --reason "checkout is down"',
		"tidegate emergency-rollback --flags new-checkout,new-search --yes",
		"tidegate emergency-rollback --flags new-checkout --kill --yes",
		"tidegate emergency-rollback --dry-run",
	],
	notes:
		"One call and one transaction, however much it is. Asks first where stdin is a terminal, unless --yes. What fails for a moment is tried again, and then it is looked whether anything is live still: 0 says that nothing is.\nWhere control itself is down: docs/runbooks/break-glass.md.",
	async run(call) {
		const control = call.control();
		const flags = flagsNamed(call);
		const write = emergencyWrite(call, flags);
		if (call.options["dry-run"]) return wouldRollBack(call, control, write, flags);
		if (!(await isWanted(call, control, flags))) return nothingLive(call);
		return carryOut(call, control, write);
	},
};

function flagsNamed({ options: { flags, kill } }: Call): string[] | undefined {
	if (flags === undefined) {
		if (kill) throw usageError("--kill switches off what --flags names, as in --flags new-checkout --kill");
		return undefined;
	}
	const named = namesIn("flags", flags);
	if (named.length > FLAGS_MAX) throw usageError(`--flags takes ${FLAGS_MAX} keys at most: without it everything is rolled back`);
	return named;
}

function emergencyWrite({ environment, options: { reason = "", kill } }: Call, flags: readonly string[] | undefined): Write {
	const what = flags ? { flags, ...(kill ? { kill } : {}) } : { all: true };
	return { method: "POST", path: "/deployment/rollback/manual", body: { environment, ...what, reason: reason.trim() || REASON } };
}

/** False: there is nothing that could be rolled back. A person who does not want it ends the command. */
async function isWanted({ world, options, environment }: Call, control: Control, flags: readonly string[] | undefined): Promise<boolean> {
	if (options.yes || !world.stdin.isTTY) return true;
	const live = flags ? undefined : await namesOfLive(control, environment);
	if (live?.length === 0) return false;
	const what = flags ? `what holds ${flags.join(", ")}` : (live?.join(", ") ?? "everything that is live");
	const verb = options.kill ? "Kill, and roll back" : "Roll back";
	const answer = await world.ask(`${verb} in ${environment}: ${what}? [y/N] `, false);
	if (!/^y(es)?$/i.test(answer.trim())) throw new Stop(EXIT.failure, "nothing was sent");
	return true;
}

/** The request, and what it would find now. */
async function wouldRollBack(call: Call, control: Control, write: Write, flags: readonly string[] | undefined): Promise<Answer> {
	const { environment, note } = call;
	const request = wouldSend(control, [write]);
	const found = await control.get("/deployment/status", deploymentStatus, { environment }).catch((error: unknown) => {
		if (!(error instanceof Stop) || error.exit === EXIT.interrupted) throw error;
		note(`what it would find cannot be told: ${error.message}`);
	});
	if (!found) return request;
	const isMeant = (own: readonly string[] = []): boolean => flags === undefined || own.some((key) => flags.includes(key));
	const live = found.rollouts.filter((each) => isMeant(each.flags)).map(({ rollout }) => rollout);
	// What a damaged rollout holds cannot be read.
	const rollouts = [...live, ...(flags === undefined ? found.damaged : [])].sort();
	const inRollouts = found.rollouts.flatMap((each) => each.flags ?? []);
	const others = (flags ?? []).filter((key) => !inRollouts.includes(key));
	const there = others.length > 0 ? (await control.get("/flags", allFlags, { environment })).flags.map(({ key }) => key) : [];
	const unknown = others.filter((key) => !there.includes(key));
	const lines = [
		rollouts.length > 0
			? `it would roll back ${rollouts.join(", ")}`
			: `it would roll back nothing: no such rollout is live in ${environment}`,
		...others
			.filter((key) => there.includes(key))
			.map((key) => `${key} is in no rollout${call.options.kill ? ": it would be switched off" : ""}`),
		...unknown.map((key) => `there is no flag ${key} in ${environment}`),
	];
	return {
		json: { ...(request.json as object), rollouts, unknown },
		text: `${request.text}\n\n${lines.join("\n")}`,
		exit: unknown.length === 0 ? EXIT.ok : EXIT.failure,
	};
}

/** undefined: it cannot be told, which is no reason not to end it. */
async function namesOfLive(control: Control, environment: string): Promise<string[] | undefined> {
	try {
		const { rollouts, damaged } = await control.get("/deployment/status", deploymentStatus, { environment });
		return [...rollouts.map(({ rollout }) => rollout), ...damaged].sort();
	} catch (error) {
		if (error instanceof Stop && error.exit === EXIT.failure) return undefined;
		throw error;
	}
}

/** Sent again until it finds nothing more: that is the look at what is live still. */
async function carryOut(call: Call, control: Control, write: Write): Promise<Answer> {
	const first = await insist(call, control, write);
	const found = [first];
	for (let round = 1; found.at(-1)?.rolledBack.length !== 0; round++) {
		try {
			if (round >= ROUNDS) throw new Stop(EXIT.failure, "rollouts are being started all the time: run it again");
			// oxlint-disable-next-line no-await-in-loop -- looks again after each round
			found.push(await insist(call, control, write));
		} catch (error) {
			if (!(error instanceof Stop)) throw error;
			return answerOf(call, first, found, error);
		}
	}
	return answerOf(call, first, found, undefined);
}

/** It may be asked for twice, so what may not have arrived is sent again. */
function insist({ world }: Call, control: Control, write: Write): Promise<TakenBack> {
	const isPassing = (error: Stop): boolean => isUnanswered(error) || problemIn(error)?.type.endsWith(":changed_meanwhile") === true;
	return sendSafely(world, control, write, takenBack, isPassing).catch((error: unknown) => {
		if (!(error instanceof Stop)) throw error;
		throw new Stop(error.exit, `${error.message}\nRun it again; where control is down: docs/runbooks/break-glass.md`, error.details);
	});
}

const nothingLive = ({ environment }: Call): Answer => ({
	json: { environment, done: [], failed: [], rolledBack: [], killed: [], notInRollout: [] },
	text: `nothing is live in ${environment}`,
});

/** What was named is told as the first call found it. `lost`: why it is not known whether anything is live still. */
function answerOf(call: Call, { notInRollout, unknown }: TakenBack, found: readonly TakenBack[], lost: Stop | undefined): Answer {
	const { environment, options, paint } = call;
	const rolledBack = found.flatMap((each) => each.rolledBack).sort();
	const killed = found.flatMap((each) => each.killed).sort();
	const failed = [
		...unknown.map((name) => ({ name, message: `there is no flag ${name} in ${environment}` })),
		...(lost ? [{ name: "what else may be live", message: lost.message }] : []),
	];
	if (rolledBack.length + killed.length + failed.length + notInRollout.length === 0) return nothingLive(call);
	const isTold = !options.kill;
	const lines = [
		...rolledBack.map((id) => `${paint("green", "✔")} ${id} is rolled back`),
		...killed.map((key) => `${paint("green", "✔")} ${key} is killed`),
		...(isTold ? notInRollout.map((key) => `  ${key} is in no rollout: with --kill it is switched off`) : []),
		...failed.map(({ name, message }) => `${paint("red", "✕")} ${name}: ${message}`),
		...(rolledBack.length + killed.length > 0 ? ["edges serve it within 10 s"] : []),
		...(rolledBack.length + killed.length + failed.length === 0 && !isTold ? ["they are off already, and in no rollout"] : []),
	];
	return {
		json: { environment, done: [...rolledBack, ...killed], failed, rolledBack, killed, notInRollout },
		text: lines.join("\n"),
		exit: failed.length === 0 ? EXIT.ok : lost && unknown.length === 0 ? lost.exit : EXIT.failure,
	};
}
