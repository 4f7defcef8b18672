import { setTimeout as wait } from "node:timers/promises";
import { Writable, addAbortSignal } from "node:stream";
import { text } from "node:stream/consumers";
import { createInterface } from "node:readline/promises";
import { EXIT } from "./exit";
import { main } from "./main";
import type { Sink, World } from "./world";

/** The only file that sees the process. */

const interruption = new AbortController();
process.once("SIGINT", () => {
	interruption.abort();
	// Whoever asks twice is not kept waiting for an answer.
	process.once("SIGINT", () => process.exit(EXIT.interrupted));
});

// A reader that has seen enough (`| head`) is no failure.
for (const stream of [process.stdout, process.stderr])
	stream.on("error", (error: NodeJS.ErrnoException) => {
		if (error.code !== "EPIPE") throw error;
		process.exit(process.exitCode ?? EXIT.ok);
	});

const sink = (stream: NodeJS.WriteStream): Sink => ({
	get isTTY() {
		return stream.isTTY;
	},
	get columns() {
		return stream.columns ?? 120;
	},
	get rows() {
		return stream.rows ?? 40;
	},
	write: (written) => void stream.write(written),
});

const world: World = {
	env: process.env,
	out: sink(process.stdout),
	err: sink(process.stderr),
	stdin: { isTTY: process.stdin.isTTY, text: () => text(addAbortSignal(interruption.signal, process.stdin)) },
	async ask(question, isSecret) {
		// The terminal echoes through this stream.
		const output = isSecret ? new Writable({ write: (_chunk, _encoding, done) => done() }) : process.stderr;
		const lines = createInterface({ input: process.stdin, output, terminal: true });
		const giveUp = () => interruption.abort();
		// A terminal that is read line by line keeps Ctrl-C and Ctrl-D to itself.
		lines.once("SIGINT", giveUp).once("close", giveUp);
		if (isSecret) process.stderr.write(question);
		try {
			return await lines.question(isSecret ? "" : question, { signal: interruption.signal });
		} finally {
			lines.off("close", giveUp).close();
			if (isSecret) process.stderr.write("\n");
		}
	},
	now: () => Date.now(),
	sleep: (ms) => wait(ms, undefined, { signal: interruption.signal }).catch(() => undefined),
	interrupted: interruption.signal,
};

process.exitCode = await main(process.argv.slice(2), world);
