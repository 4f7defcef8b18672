import { mkdtempSync } from "node:fs";
import { type IncomingMessage, createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import { main } from "../../../cli/main";
import type { Sink, World } from "../../../cli/world";

/** A token that is found wherever it should not be. */
export const TOKEN = "s3cret-api-token-of-the-tests";

export interface Outcome {
	readonly exit: number;
	readonly out: string;
	readonly err: string;
}
interface Given {
	readonly env?: Readonly<Record<string, string>>;
	readonly stdin?: string;
	/** What a person types; stdin is a terminal then. */
	readonly typed?: string;
	readonly isTTY?: boolean;
	readonly interrupted?: AbortSignal;
}

export const configHome = (): string => mkdtempSync(join(tmpdir(), "tidegate-cli-"));

/** Runs one command as the process would. */
export async function tidegate(
	argv: readonly string[],
	{ env = {}, stdin = "", typed, isTTY = false, interrupted }: Given = {},
): Promise<Outcome> {
	const written = { out: "", err: "" };
	const sink = (name: "out" | "err"): Sink => ({
		isTTY,
		columns: 80,
		rows: 24,
		write(text) {
			written[name] += text;
		},
	});
	const world: World = {
		env: { XDG_CONFIG_HOME: configHome(), ...env },
		out: sink("out"),
		err: sink("err"),
		stdin: { isTTY: typed !== undefined, text: async () => stdin },
		ask: async (question) => {
			written.err += question;
			return typed ?? "";
		},
		now: () => Date.now(),
		sleep: async () => new Promise((done) => setTimeout(done, 5)),
		interrupted: interrupted ?? new AbortController().signal,
	};
	const exit = await main(argv, world);
	return { exit, ...written };
}

export interface Received {
	readonly method: string;
	readonly path: string;
	readonly headers: IncomingMessage["headers"];
	readonly body: unknown;
}
type Answer =
	| { readonly status?: number; readonly body?: unknown; readonly headers?: Readonly<Record<string, string>> }
	| "hang"
	| "hang up";

/** Something that answers instead of control, to fail as control seldom does; it ends with the test. */
export async function standIn(answer: (request: Received) => Answer) {
	const received: Received[] = [];
	const server = createServer((request, response) => {
		const chunks: Buffer[] = [];
		request.on("data", (chunk: Buffer) => chunks.push(chunk));
		request.on("end", () => {
			const text = Buffer.concat(chunks).toString();
			const got = {
				method: request.method ?? "",
				path: request.url ?? "",
				headers: request.headers,
				body: text === "" ? undefined : (JSON.parse(text) as unknown),
			};
			received.push(got);
			const given = answer(got);
			if (given === "hang") return;
			if (given === "hang up") {
				request.socket.destroy();
				return;
			}
			const { status = 200, body = {}, headers = {} } = given;
			response.writeHead(status, { "content-type": "application/json", ...headers });
			response.end(typeof body === "string" ? body : JSON.stringify(body));
		});
	});
	await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
	const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
	onTestFinished(async () => {
		server.closeAllConnections();
		await new Promise((done) => server.close(done));
	});
	return { url, received, env: { TIDEGATE_URL: url, TIDEGATE_TOKEN: TOKEN } };
}

export const problem = (kind: string, status: number, detail: string, more: object = {}): Answer => ({
	status,
	body: { type: `urn:tidegate:problem:${kind}`, title: kind, status, detail, ...more },
});
