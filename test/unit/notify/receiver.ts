import { type IncomingHttpHeaders, type ServerResponse, createServer } from "node:http";

export interface Received {
	readonly path: string;
	readonly method: string;
	readonly headers: IncomingHttpHeaders;
	readonly body: string;
}

export interface Receiver {
	readonly url: string;
	readonly received: Received[];
	/** How requests are answered from now on. */
	answer: (response: ServerResponse, request: Received) => void;
	close(): Promise<void>;
}

export const status =
	(code: number): Receiver["answer"] =>
	(response) =>
		void response.writeHead(code).end("said");

/** A subscriber over real HTTP. It takes everything, unless it is told otherwise. */
export async function aReceiver(): Promise<Receiver> {
	const received: Received[] = [];
	const server = createServer((request, response) => {
		const chunks: Buffer[] = [];
		request.on("data", (chunk: Buffer) => chunks.push(chunk));
		request.on("end", () => {
			const { url = "", method = "", headers } = request;
			const one = { path: url, method, headers, body: Buffer.concat(chunks).toString() };
			received.push(one);
			receiver.answer(response, one);
		});
	});
	await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
	const address = server.address();
	if (address === null || typeof address === "string") throw new Error("no port");
	const receiver: Receiver = {
		url: `http://127.0.0.1:${address.port}`,
		received,
		answer: status(204),
		close: () =>
			new Promise((done) => {
				server.closeAllConnections();
				server.close(() => done());
			}),
	};
	return receiver;
}
