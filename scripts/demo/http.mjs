// A keep-alive pool: Node's fetch alone stops at about 2,500 requests a second.
import { Agent, request } from "node:http";

const agent = new Agent({ keepAlive: true, maxSockets: 64 });

/** → { status, body } with the body parsed where it is JSON. Rejects when the connection fails or nothing answers for 30 s. */
export function call(port, method, path, { token, body, now } = {}) {
	const text = body === undefined ? undefined : JSON.stringify(body);
	const headers = {
		...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
		...(now === undefined ? {} : { "x-tidegate-now": String(now) }),
		...(text === undefined ? {} : { "content-type": "application/json", "content-length": Buffer.byteLength(text) }),
	};
	return new Promise((done, fail) => {
		const sent = request({ host: "127.0.0.1", port, method, path, headers, agent, timeout: 30_000 }, (response) => {
			const chunks = [];
			response.on("data", (chunk) => chunks.push(chunk));
			response.on("error", fail);
			response.on("end", () => {
				const answer = Buffer.concat(chunks).toString();
				const isJson = (response.headers["content-type"] ?? "").includes("json");
				done({ status: response.statusCode, body: isJson ? JSON.parse(answer) : answer });
			});
		});
		sent.on("timeout", () => sent.destroy(new Error(`${method} ${path}: no answer for 30 s`)));
		sent.on("error", fail);
		sent.end(text);
	});
}

/** The body of an answer that must be a success. */
export async function mustCall(port, method, path, options) {
	const { status, body } = await call(port, method, path, options);
	if (status >= 300) throw new Error(`${method} ${path}: ${status} ${typeof body === "string" ? body : JSON.stringify(body)}`);
	return body;
}

/** Runs work(item) for all items, so many at a time. */
export async function pooled(items, width, work) {
	const results = Array.from({ length: items.length });
	let next = 0;
	const lane = async () => {
		// oxlint-disable-next-line no-await-in-loop -- a lane takes one item after another
		for (let i = next++; i < items.length; i = next++) results[i] = await work(items[i]);
	};
	await Promise.all(Array.from({ length: Math.min(width, items.length) }, lane));
	return results;
}

export const closePool = () => agent.destroy();
