import { once } from "node:events";
import {
	createServer,
	type IncomingMessage,
	type OutgoingHttpHeaders,
	request,
	type RequestOptions,
	type Server,
	type ServerResponse,
} from "node:http";
import { connect } from "node:net";
import { bodyKey } from "../../core/wire";
import { buildWorker } from "../../bench/build.mjs";
import { anEdge, aWorker, startWorkerd } from "../../bench/workerd.mjs";
import { aFlag, aRollout, aState, publish } from "../workers/edge/fixture";
import type { PackedGateway } from "../../core/gateway/packed";
import type { LiveRollout } from "../../core/flags/snapshot";
import type { Compared } from "../../core/wire";
import type { Point } from "../../core/telemetry";

/** A gateway between real HTTP clients and real HTTP origins. */

export interface Got {
	readonly method: string;
	readonly url: string;
	readonly headers: Readonly<Record<string, string>>;
	readonly body: string;
}

/** An origin that answers with what it got, unless a test tells it otherwise. */
export async function anOrigin(name: string) {
	const origin = {
		name,
		url: "",
		got: [] as Got[],
		/** Requests whose client went away before the answer was complete. */
		aborted: 0,
		/** Requests that came and are not over. */
		open: 0,
		handle: undefined as ((incoming: IncomingMessage, outgoing: ServerResponse) => void) | undefined,
		server: undefined as unknown as Server,
	};
	origin.server = createServer({ maxHeaderSize: 256 * 1_024 }, (incoming, outgoing) => {
		origin.open++;
		outgoing.on("close", () => {
			origin.open--;
			if (!outgoing.writableFinished) origin.aborted++;
		});
		if (origin.handle) return origin.handle(incoming, outgoing);
		const chunks: Buffer[] = [];
		incoming.on("data", (chunk: Buffer) => chunks.push(chunk));
		incoming.on("end", () => {
			const { method = "", url = "", headers } = incoming;
			const got = { method, url, headers: headers as Record<string, string>, body: Buffer.concat(chunks).toString() };
			origin.got.push(got);
			outgoing.setHeader("content-type", "application/json");
			outgoing.end(JSON.stringify({ origin: name, ...got }));
		});
	});
	origin.server.listen(0, "127.0.0.1");
	await once(origin.server, "listening");
	const address = origin.server.address();
	origin.url = `http://127.0.0.1:${typeof address === "object" && address ? address.port : 0}`;
	return origin;
}

export interface Answer {
	readonly status: number;
	readonly headers: Readonly<Record<string, string | string[] | undefined>>;
	readonly text: string;
}

interface Change {
	readonly served?: Partial<LiveRollout>;
	/** Of the edge, besides its own. */
	readonly bindings?: Readonly<Record<string, string>>;
	/** Service bindings that lead to a Worker which answers with what it was asked. */
	readonly services?: readonly string[];
}

export async function aGateway(gateway: PackedGateway, { served = {}, bindings = {}, services = [] }: Change = {}) {
	const state = aState({
		flags: [aFlag({ key: "green" }), aFlag({ key: "banner" }), aFlag({ key: "9lives" })],
		rollouts: [aRollout({ key: "to-green", flags: { green: "true" }, ...served })],
		gateway,
	});
	const { head, bodies } = await publish([state]);
	const { text: controlCode } = await buildWorker("test/integration/gatewayControl.mjs");
	const edge = (await anEdge())("edge", {
		USER_HASH_KEY: "hash",
		GATEWAY_PREVIEW_KEY: "preview",
		GATEWAY_ALLOW_PRIVATE: "1",
		...bindings,
	});
	const echo = aWorker(
		"echo",
		"export default { fetch: (request) => Response.json({ url: request.url, host: request.headers.get('host') }) };",
	);
	const control = aWorker("control", controlCode, { bindings: { HEAD: head }, kvNamespaces: { SNAPSHOTS: "snapshots" } });
	const serviceBindings = {
		HEAD: { name: "control", entrypoint: "Head" },
		TELEMETRY: { name: "control", entrypoint: "Telemetry" },
		COMPARISONS: { name: "control", entrypoint: "Comparisons" },
		...Object.fromEntries(services.map((name) => [name, "echo"])),
	};
	const kv = Object.fromEntries([...bodies].map(([name, body]) => [bodyKey("production", Number(name.split("/")[1])), body]));
	const { urls, stop } = await startWorkerd([{ ...edge, serviceBindings }, control, echo], kv);
	const urlOf = (name: string): string => (urls as Readonly<Record<string, string>>)[name] ?? "";
	const { port } = new URL(urlOf("edge"));

	/** A request as it is on the wire, to whatever host. */
	const open = (host: string, path: string, options: RequestOptions = {}) =>
		request({ host: "127.0.0.1", port, path, agent: false, ...options, headers: { host, ...(options.headers as OutgoingHttpHeaders) } });
	const ask = async (host: string, path: string, options: RequestOptions & { body?: string } = {}): Promise<Answer> => {
		const asking = open(host, path, options);
		asking.end(options.body);
		const [incoming] = (await once(asking, "response")) as [IncomingMessage];
		let text = "";
		for await (const chunk of incoming.setEncoding("utf8")) text += String(chunk);
		return { status: incoming.statusCode ?? 0, headers: incoming.headers, text };
	};
	/** Bytes as they are, and all that comes back until nothing has for a while, or the connection ends. */
	const raw = (text: string): Promise<string> =>
		new Promise((done) => {
			const socket = connect(Number(port), "127.0.0.1");
			let all = "";
			const finish = (): void => {
				socket.destroy();
				done(all);
			};
			socket.setTimeout(300, finish);
			socket.on("data", (data: Buffer) => (all += data.toString("latin1")));
			socket.on("error", finish);
			socket.on("close", finish);
			socket.write(text, "latin1");
		});
	const told = async (): Promise<{ points: Point[]; compared: Compared[] }> => {
		const response = await fetch(urlOf("control"));
		return (await response.json()) as { points: Point[]; compared: Compared[] };
	};
	return { ask, open, raw, told, port: Number(port), stop };
}

/** Polls until it holds; the test's own time limit ends what never does. */
export async function eventually(holds: () => boolean | Promise<boolean>): Promise<void> {
	// oxlint-disable-next-line no-await-in-loop -- polls
	while (!(await holds())) await new Promise((wake) => setTimeout(wake, 20));
}
