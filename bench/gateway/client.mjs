import { connect } from "node:net";

const HEADER_END = Buffer.from("\r\n\r\n");

/** A request as it is on the wire. */
export function requestText({ host, path = "/", method = "GET", headers = {} }) {
	const lines = Object.entries({ host, ...headers }).map(([name, value]) => `${name}: ${value}\r\n`);
	return `${method} ${path} HTTP/1.1\r\n${lines.join("")}\r\n`;
}

/**
 * A keep-alive connection that asks one thing after another. Node's own client would cost more than workerd does, and would ask again by itself
 * where an answer broke off.
 */
export function openConnection(url) {
	const { hostname, port } = new URL(url);
	const socket = connect({ host: hostname, port: Number(port), noDelay: true });
	let open;
	let parts = [];
	let bytes = 0;
	let wanted = 0;
	const end = (why) => {
		const asked = open;
		open = undefined;
		asked?.fail(new Error(why));
	};
	socket.on("error", (error) => end(error.message));
	socket.on("close", () => end("the connection was closed before the answer was complete"));
	socket.on("data", (data) => {
		parts.push(data);
		bytes += data.length;
		if (!open || bytes < wanted) return;
		const all = parts.length === 1 ? data : Buffer.concat(parts, bytes);
		const answer = parse(all);
		if ("needs" in answer) {
			parts = [all];
			wanted = answer.needs;
			return;
		}
		const { done } = open;
		open = undefined;
		parts = [];
		bytes = 0;
		wanted = 0;
		done(answer);
	});
	return {
		/** The complete answer; rejects where it is none. */
		ask: (text) =>
			new Promise((done, fail) => {
				if (socket.destroyed) return fail(new Error("the connection was closed"));
				open = { done, fail };
				socket.write(text);
			}),
		/** The server closes what was idle for a while. */
		isOpen: () => !socket.destroyed,
		close: () => socket.destroy(),
	};
}

/** An answer, or how many bytes there must be before it can be one. */
function parse(all) {
	const headerEnd = all.indexOf(HEADER_END);
	if (headerEnd < 0) return { needs: all.length + 1 };
	const header = all.latin1Slice(0, headerEnd);
	const status = Number(header.slice(9, 12));
	const start = headerEnd + HEADER_END.length;
	const length = /\r\ncontent-length: *(\d+)/i.exec(header)?.[1];
	if (length === undefined) return parseChunks(all, start, status);
	const end = start + Number(length);
	return all.length < end ? { needs: end } : { status, body: all.subarray(start, end) };
}

function parseChunks(all, start, status) {
	const chunks = [];
	for (let at = start; ;) {
		const lineEnd = all.indexOf("\r\n", at);
		if (lineEnd < 0) return { needs: all.length + 1 };
		const size = Number.parseInt(all.latin1Slice(at, lineEnd), 16);
		const end = lineEnd + 2 + size + 2;
		if (!Number.isInteger(size)) throw new Error("an answer that is no HTTP");
		if (all.length < end) return { needs: end };
		if (size === 0) return { status, body: Buffer.concat(chunks) };
		chunks.push(all.subarray(lineEnd + 2, end - 2));
		at = end;
	}
}

/** Connections that each ask again as soon as they are answered, until `next` has nothing more to ask. */
export async function load(url, connections, next, answered) {
	await Promise.all(
		Array.from({ length: connections }, async () => {
			const connection = openConnection(url);
			try {
				for (let text = next(); text !== undefined; text = next()) answered(await connection.ask(text));
			} finally {
				connection.close();
			}
		}),
	);
}
