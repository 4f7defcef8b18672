import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync } from "node:fs";
import { createServer } from "node:net";
import { resolve } from "node:path";

export interface Running {
	readonly child: ChildProcess;
	/** All that was printed so far. */
	readonly output: () => string;
	/** Resolves when the text has been printed. */
	printed(text: string, withinMs?: number): Promise<void>;
	/** Ends the whole process group, as a crash or an operator would. */
	end(signal: "SIGKILL" | "SIGTERM"): Promise<void>;
}

/** In a process group of its own: workerd outlives a killed parent. */
export function run(args: readonly string[], env: Readonly<Record<string, string>> = {}): Running {
	const child = spawn(process.execPath, [...args], { detached: true, stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, ...env } });
	let text = "";
	child.stdout.on("data", (chunk: Buffer) => (text += chunk.toString()));
	child.stderr.on("data", (chunk: Buffer) => (text += chunk.toString()));
	const exited = new Promise<void>((done) => child.once("exit", () => done()));
	return {
		child,
		output: () => text,
		async printed(wanted, withinMs = 30_000) {
			for (let waited = 0; !text.includes(wanted); waited += 50) {
				if (child.exitCode !== null || waited > withinMs) throw new Error(`"${wanted}" was not printed:\n${text}`);
				// oxlint-disable-next-line no-await-in-loop -- polls what the process prints
				await new Promise((done) => setTimeout(done, 50));
			}
		},
		async end(signal) {
			const isAlive = child.exitCode === null && child.signalCode === null;
			if (isAlive && child.pid !== undefined) process.kill(-child.pid, signal);
			await exited;
		},
	};
}

export function freePort(): Promise<number> {
	return new Promise((done, fail) => {
		const server = createServer()
			.on("error", fail)
			.listen(0, "127.0.0.1", () => {
				const address = server.address();
				server.close(() => (typeof address === "object" && address ? done(address.port) : fail(new Error("no port"))));
			});
	});
}

export function stateFolder(): string {
	mkdirSync(".tmp", { recursive: true });
	return mkdtempSync(resolve(".tmp", "state-"));
}
