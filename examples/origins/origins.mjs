// Two origins to try the gateway with: `node examples/origins/origins.mjs` starts blue on port 9001 and green on 9002.
import { createServer } from "node:http";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";

const LIMITS = { fail: 1, slow_ms: 60_000 };
const BODY_BYTES_MAX = 65_536;

/** An origin that answers with JSON, and does as it is told: a share of answers fails, all are late, or there is something else in them. */
export async function startOrigin(name, port = 0) {
	const told = { fail: 0, slow_ms: 0, answer: { price: 42 } };
	const stop = () => {
		server.closeAllConnections();
		return new Promise((done) => server.close(done));
	};
	const origin = { name, url: "", told, requests: 0, stop };
	let owed = 0;

	async function answer(request, response) {
		const [path] = (request.url ?? "/").split("?");
		if (path === "/control") return control(request, response);
		origin.requests++;
		if (told.slow_ms > 0) await new Promise((wake) => setTimeout(wake, told.slow_ms));
		owed += told.fail;
		const isFailure = owed >= 1;
		if (isFailure) owed -= 1;
		const flags = request.headers["x-tidegate-flags"];
		if (isFailure) return reply(response, 500, { origin: name, error: "told to fail" });
		reply(response, 200, { origin: name, path, ...(flags === undefined ? {} : { flags }), ...told.answer });
	}

	async function control(request, response) {
		// Whoever is behind the gateway is a user.
		if (request.headers["x-forwarded-host"] !== undefined) return reply(response, 404, { error: "not through the gateway" });
		if (request.method === "GET") return reply(response, 200, { origin: name, ...told });
		const given = request.method === "POST" ? await readJson(request) : undefined;
		const wrong = wrongIn(given);
		if (wrong !== undefined) return reply(response, 400, { error: wrong });
		Object.assign(told, given);
		owed = 0;
		reply(response, 200, { origin: name, ...told });
	}

	const server = createServer((request, response) => {
		answer(request, response).catch(() => response.destroy());
	});
	await new Promise((done, failed) => server.once("error", failed).listen(port, "127.0.0.1", done));
	origin.url = `http://127.0.0.1:${server.address().port}`;
	return origin;
}

function reply(response, status, body) {
	response.writeHead(status, { "content-type": "application/json" }).end(`${JSON.stringify(body)}\n`);
}

async function readJson(request) {
	let text = "";
	for await (const chunk of request.setEncoding("utf8")) {
		text += chunk;
		if (text.length > BODY_BYTES_MAX) return undefined;
	}
	try {
		return JSON.parse(text);
	} catch {
		return undefined;
	}
}

function wrongIn(given) {
	if (typeof given !== "object" || given === null || Array.isArray(given))
		return 'POST /control takes {"fail": 0 to 1, "slow_ms": milliseconds, "answer": {…}}, each if you like';
	for (const [field, value] of Object.entries(given)) {
		if (field === "answer") {
			if (typeof value !== "object" || value === null || Array.isArray(value)) return "answer takes an object";
		} else if (!Object.hasOwn(LIMITS, field)) return `there is no field ${field}`;
		else if (!(value >= 0 && value <= LIMITS[field])) return `${field} takes 0 to ${LIMITS[field]}`;
	}
	return undefined;
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
	const { values } = parseArgs({ options: { blue: { type: "string", default: "9001" }, green: { type: "string", default: "9002" } } });
	for (const [name, port] of Object.entries(values)) {
		// oxlint-disable-next-line no-await-in-loop -- two
		const { url } = await startOrigin(name, Number(port));
		console.log(`${name.padEnd(5)}  ${url}   tell it: curl ${url}/control -d '{"fail": 1}'`);
	}
}
