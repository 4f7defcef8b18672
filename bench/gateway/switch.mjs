import { connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { crc32 } from "node:zlib";
import { inspect } from "../inspector.mjs";
import { openConnection, requestText } from "./client.mjs";
import { startOrigin } from "./origins.mjs";
import { headersOf, startEdge } from "./world.mjs";

const MIB = 1_024 * 1_024;
const HELD_BAR_MIB = 1;
const RESIDENT_BAR_MIB = 32;
const FOLLOWED_BAR_S = 10;
const CONNECTIONS = 50;
const LEAVERS = 6;
/** As many as there were at once: some of whoever left before the answer are still waited for. */
const KEPT_MAX = 2 * CONNECTIONS;
const HOST = "shop.example";
const SIZES = [100, 2_000, 20_000, 100_000];
/** Of a stream that would go on for seconds. */
const LEFT_AFTER_BYTES = 100_000;
const POLL_MS = 50;
/** So many requests it takes until workerd's memory grows no more. */
export const LEVEL_REQUESTS = 80_000;
/** Garbage that lies about for longer would hide what stays. */
const COLLECT_MS = 5_000;
/** A switch counts as seen once the other origin has been silent for so long. */
const QUIET_MS = 500;

/** Clients at full speed, while all are sent from blue to green and back as control would do it; some leave in the middle of an answer. */
export async function measureSwitch(report, tidegate, { seconds, warmUpRequests, idleMs }) {
	const blue = await startOrigin("blue");
	const green = await startOrigin("green");
	const routes = [{ key: "shop", host: HOST, flag: "shop", origins: { false: blue.url, true: green.url } }];
	const states = {
		blue: { version: 1, routes, rollouts: [{ key: "shop", served: 0 }], revision: 1 },
		green: { version: 2, routes, rollouts: [{ key: "shop", served: 100_000 }], revision: 2 },
		// An overlay comes first, with the head; the snapshot that absorbs it later.
		"back to blue": { version: 2, routes, rollouts: [{ key: "shop", served: 100_000 }], revision: 3, overlaid: ["shop"] },
		"blue for good": { version: 3, routes, rollouts: [], revision: 4 },
	};
	const edge = await startEdge(await tidegate.publishGateway(states.blue), { isInspected: true });
	const inspector = await inspect(edge.inspectorUrl("edge"), async () => (await fetch(edge.urls.edge)).arrayBuffer());
	const publish = async (name) => {
		const { head, kv } = await tidegate.publishGateway(states[name]);
		await edge.put(kv);
		await fetch(edge.urls.control, { method: "PUT", body: JSON.stringify(head) });
		report.progress(`switch: ${name}`);
		return performance.now();
	};

	report.progress(`switch: ${warmUpRequests} requests before`);
	const over = new AbortController();
	const collecting = collectUntil(over.signal, inspector);
	const memory = async () => ({ held: await inspector.heldBytes(), resident: edge.residentBytes() });
	await using(edge.urls.edge, (users) => users.haveAsked(warmUpRequests));
	await sleep(idleMs);
	const before = await memory();

	const took = {};
	const seen = await using(edge.urls.edge, async (users) => {
		const startedAtMs = performance.now();
		const phase = async (name, color, part) => {
			await sleep(Math.max(0, startedAtMs + seconds * 1_000 * part - performance.now()));
			const publishedAtMs = await publish(name);
			took[name] = (await users.allOn(color)) - publishedAtMs;
		};
		await users.allOn("blue");
		await phase("green", "green", 1 / 6);
		await phase("back to blue", "blue", 1 / 2);
		await phase("blue for good", "blue", 2 / 3);
		await sleep(Math.max(QUIET_MS, startedAtMs + seconds * 1_000 - performance.now()));
		return { ...users.seen, seconds: (performance.now() - startedAtMs) / 1_000 };
	});
	await sleep(idleMs);
	const after = await memory();
	over.abort();
	await collecting;
	inspector.close();
	const origins = [await blue.state(), await green.state()];
	const most = (name) => Math.max(...origins.map((each) => each[name]));

	report.figure("blue, green and blue at full speed: requests", seen.answered, "requests");
	report.figure("the same", seen.answered / seen.seconds, "requests a second");
	report.figure("the same: failed", seen.failed, "requests", 0);
	report.figure("the same: torn, or answered by two origins", seen.torn, "requests", 0);
	report.figure("from the new head to the last answer of blue", took.green / 1_000, "s", FOLLOWED_BAR_S);
	report.figure("from the overlay to the last answer of green", took["back to blue"] / 1_000, "s", FOLLOWED_BAR_S);
	report.figure("clients that left before their answer, or in its middle", seen.left, "clients");
	report.figure("afterwards: requests under way at an origin", most("underWay"), "requests", 0);
	report.figure("afterwards: connections that an origin has, kept alive", most("sockets"), "connections", KEPT_MAX);
	report.figure("afterwards: what the edge's JavaScript holds", (after.held - before.held) / MIB, "MiB above before", HELD_BAR_MIB);
	// What is freed is not given back at once, behind the bare proxy as well: there is no level before so many requests.
	const isLevel = warmUpRequests >= LEVEL_REQUESTS;
	report.figure(
		"afterwards: resident memory",
		(after.resident - before.resident) / MIB,
		"MiB above before",
		isLevel ? RESIDENT_BAR_MIB : null,
	);
	for (const each of [edge, blue, green]) await each.stop();
}

async function collectUntil(signal, inspector) {
	for (; !signal.aborted; await sleep(COLLECT_MS)) await inspector.heldBytes();
}

/** Lets users ask while the work is done, and waits for the last of their answers. */
async function using(url, work) {
	const users = startUsers(url);
	try {
		return await work(users);
	} finally {
		await users.stop();
	}
}

function startUsers(url) {
	const seen = { answered: 0, failed: 0, torn: 0, left: 0 };
	const lastAtMs = { blue: -Infinity, green: -Infinity };
	const over = new AbortController();
	const stay = async (lane) => {
		let connection = openConnection(url);
		for (let i = lane; !over.signal.aborted; i += CONNECTIONS) {
			const text = requestText({ host: HOST, path: `/checked?bytes=${SIZES[i % SIZES.length]}`, headers: headersOf(i % 1_000) });
			try {
				const { status, body } = await connection.ask(text);
				const origin = status === 200 ? originOf(body) : undefined;
				seen.answered++;
				if (status !== 200) seen.failed++;
				else if (origin === undefined) seen.torn++;
				else lastAtMs[origin] = performance.now();
			} catch {
				seen.torn++;
				connection = openConnection(url);
			}
		}
		connection.close();
	};
	const leave = async (lane) => {
		for (let i = lane; !over.signal.aborted; i++) {
			await leaveOne(url, i % 2 === 0 ? `/stream?bytes=${100 * MIB}&ms=20` : "/wait?ms=1000");
			seen.left++;
			await sleep(POLL_MS);
		}
	};
	const lanes = [
		...Array.from({ length: CONNECTIONS }, (_, lane) => stay(lane)),
		...Array.from({ length: LEAVERS }, (_, lane) => leave(lane)),
	];
	return {
		seen,
		async haveAsked(requests) {
			while (seen.answered < requests) await sleep(POLL_MS);
		},
		/** When the other origin answered last, once it does no more. */
		async allOn(color) {
			const other = color === "blue" ? "green" : "blue";
			while (lastAtMs[color] < lastAtMs[other] + QUIET_MS || lastAtMs[color] === -Infinity) await sleep(POLL_MS);
			return Math.max(lastAtMs[other], 0);
		},
		async stop() {
			over.abort();
			await Promise.all(lanes);
		},
	};
}

/** Whose answer it is; undefined where anything of it is missing, or another's. */
function originOf(body) {
	const text = body.latin1Slice();
	const [name, bytes, sum] = text.slice(0, 100).split(" ");
	const payload = text.slice(`${name} ${bytes} ${sum} `.length);
	const isWhole = payload.length === Number(bytes) && crc32(`${name}${payload}`) === Number(sum);
	return isWhole && (name === "blue" || name === "green") ? name : undefined;
}

/** Asks, and is gone once something of the answer has come, or after a while. */
function leaveOne(url, path) {
	return new Promise((done) => {
		const { hostname, port } = new URL(url);
		const socket = connect({ host: hostname, port: Number(port) });
		let bytes = 0;
		socket.on("data", (data) => {
			bytes += data.length;
			if (bytes > LEFT_AFTER_BYTES) socket.destroy();
		});
		socket.setTimeout(200, () => socket.destroy());
		socket.on("error", () => undefined).on("close", done);
		socket.write(requestText({ host: HOST, path, headers: headersOf(1) }));
	});
}
