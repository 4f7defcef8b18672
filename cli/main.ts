import { version } from "../package.json";
import type { Answer, Call, Command } from "./command";
import { commands } from "./commands";
import { controlAt } from "./controlApi";
import { EXIT, type ExitCode, Stop, usageError } from "./exit";
import { helpOf, overview } from "./help";
import { type Arguments, GLOBAL, environmentOf, readArguments } from "./options";
import { paintFor, printJson, printable } from "./output";
import { loginOf, tokenIn } from "./profiles";
import { unknownCommand } from "./unknownCommand";
import type { Sink, World } from "./world";

/** One invocation. Answers go to stdout, everything else to stderr; with --json stdout gets one JSON value, a failure's too. */
export async function main(argv: readonly string[], world: World): Promise<ExitCode> {
	// A mistake in the arguments must be told in JSON as well.
	const isJson = argv.includes("--json");
	try {
		const { answer, isPlain } = await answerTo(readArguments(argv), world);
		if (isJson && !isPlain) world.out.write(`${printJson(answer.json)}\n`);
		else if (answer.text !== "") line(world.out, answer.text);
		return answer.exit ?? EXIT.ok;
	} catch (error) {
		const stop = stopOf(error, world);
		if (isJson) world.out.write(`${printJson({ error: { message: stop.message, exitCode: stop.exit, ...stop.details } })}\n`);
		const paint = paintFor(world.err, world.env);
		line(world.err, `${paint("red", "tidegate:")} ${stop.message}`);
		return stop.exit;
	}
}

function line(sink: Sink, text: string): void {
	sink.write(`${printable(text)}\n`);
}

function stopOf(error: unknown, { interrupted }: World): Stop {
	if (error instanceof Stop) return error;
	if (interrupted.aborted) return new Stop(EXIT.interrupted, "interrupted");
	// A bug, ours: the stack says where.
	return new Stop(EXIT.failure, `unexpected: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
}

/** `isPlain`: help is text, whatever --json says. */
async function answerTo(given: Arguments, world: World): Promise<{ readonly answer: Answer; readonly isPlain?: true }> {
	const { options } = given;
	const paint = paintFor(world.out, world.env);
	if (options.version) return { answer: { json: { version }, text: version } };
	const isHelp = options.help || given.words[0] === "help";
	const words = given.words[0] === "help" ? given.words.slice(1) : given.words;
	const command = commandIn(words);
	if (!command) {
		const group = words[0] === undefined ? commands : commands.filter(({ name }) => name.startsWith(`${words[0] ?? ""} `));
		const isNamed = words.length <= 1 && group.length > 0;
		if (!isNamed) throw usageError(unknownCommand(words, commands));
		if (isHelp) return { answer: { json: null, text: overview(group, paint, words[0]) }, isPlain: true };
		throw usageError(`name a command: ${group.map(({ name }) => name).join(", ")}. tidegate --help shows what they do`);
	}
	if (isHelp) return { answer: { json: null, text: helpOf(command, paint) }, isPlain: true };
	const args = words.slice(command.name.split(" ").length);
	// "flags gt" is a mistyped "flags get", and no "flags" with an argument.
	const isGroup = commands.some(({ name }) => name.startsWith(`${command.name} `));
	if (isGroup && command.takes === "" && args.length > 0) throw usageError(unknownCommand(words, commands));
	checkTaken(command, args, given);
	return { answer: await command.run(callOf(args, given, world)) };
}

function callOf(args: readonly string[], { options, given }: Arguments, world: World): Call {
	return {
		args,
		options,
		given,
		environment: environmentOf(options),
		world,
		paint: paintFor(world.out, world.env),
		control: () => controlAt({ ...tokenIn(loginOf(options, world.env)), interrupted: world.interrupted }),
		note: (text) => line(world.err, text),
	};
}

/** The longest name that the words begin with: "flags list" before "flags". */
function commandIn(words: readonly string[]): Command | undefined {
	const fits = commands.filter(({ name }) => name.split(" ").every((word, i) => words[i] === word));
	return fits.sort((a, b) => b.name.length - a.name.length)[0];
}

function checkTaken({ name, takes, options }: Command, args: readonly string[], { given }: Arguments): void {
	const stray = given.find((each) => !GLOBAL.includes(each) && !options.includes(each));
	if (stray !== undefined) {
		if (stray === "environment" && takes.startsWith("<id>"))
			throw usageError(`${name} takes no --environment: the rollout's id says which it is`);
		const takers = commands.filter((each) => each.options.includes(stray)).map((each) => each.name);
		throw usageError(`${name} takes no --${stray}, but ${takers.slice(0, 3).join(", ")}: tidegate ${name} --help`);
	}
	const wanted = takes.split(" ").filter(Boolean);
	const missing = wanted.slice(args.length).find((each) => each.startsWith("<"));
	if (missing !== undefined) throw usageError(`${name} takes ${missing}: tidegate ${name} ${takes}`);
	const isOpen = wanted.at(-1)?.endsWith("…]") === true;
	const beyond = isOpen ? undefined : args[wanted.length];
	if (beyond !== undefined) throw usageError(`${name} takes ${takes === "" ? "no argument" : takes}: "${beyond}" is one too many`);
}
