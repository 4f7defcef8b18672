import { type ServerResponse, createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import type { Engine } from "./engine";

export const ACCOUNT = { id: "0123456789abcdef0123456789abcdef", token: "test-token" };

/** What a server may do instead of answering. */
export type Fault = (response: ServerResponse, answer: string) => void;

export const status =
	(code: number): Fault =>
	(response) => {
		response.writeHead(code).end("an explanation that quotes the query: SELECT");
	};
export const silence: Fault = () => undefined;
/** The right length announced, and half of it sent. */
export const half: Fault = (response, answer) => {
	response.writeHead(200, { "Content-Length": Buffer.byteLength(answer) });
	response.write(answer.slice(0, answer.length / 2), () => response.destroy());
};
export const body =
	(instead: string): Fault =>
	(response) => {
		response.writeHead(200).end(instead);
	};

export interface SqlApi {
	readonly url: string;
	/** Every query, in the order of arrival. */
	readonly queries: readonly string[];
	/** The next requests meet these, in turn. */
	fail(...faults: Fault[]): void;
	close(): Promise<void>;
}

/** Analytics Engine's SQL API on top of an engine: POST, a bearer token, JSON; errors are text. */
export async function serveSqlApi(engine: Pick<Engine, "query">): Promise<SqlApi> {
	const queries: string[] = [];
	const faults: Fault[] = [];
	const server = createServer((request, response) => {
		void (async () => {
			const { method, url, headers } = request;
			if (method !== "POST" || url !== `/accounts/${ACCOUNT.id}/analytics_engine/sql`) return response.writeHead(404).end("no such route");
			if (headers.authorization !== `Bearer ${ACCOUNT.token}`) return response.writeHead(401).end("Authentication error");
			const sql = await text(request);
			queries.push(sql);
			const fault = faults.shift();
			try {
				const answer = await engine.query(sql);
				return fault ? fault(response, answer) : response.writeHead(200, { "Content-Type": "application/json" }).end(answer);
			} catch (error) {
				return response.writeHead(400).end(String(error));
			}
		})();
	});
	await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
	return {
		url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
		queries,
		fail: (...next) => void faults.push(...next),
		close: () =>
			new Promise((resolve) => {
				server.closeAllConnections();
				server.close(() => resolve());
			}),
	};
}
