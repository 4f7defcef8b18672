import { buildWorker } from "../build.mjs";
import { aControl, anEdge, aWorker, startWorkerd } from "../workerd.mjs";

/** Stand-ins for what a browser sends. */
const BROWSER = {
	"user-agent": "Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0",
	accept: "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
	"accept-language": "en-GB,en;q=0.7,de;q=0.3",
	"accept-encoding": "gzip, deflate, br",
	referer: "http://shop.example/",
	"sec-fetch-dest": "document",
	"sec-fetch-mode": "navigate",
	"sec-fetch-site": "same-origin",
};

/** What a visitor's browser sends, with the cookie that it was given; the last of its characters holds two bits. */
export const headersOf = (visitor) => ({
	...BROWSER,
	cookie: `session=0123456789abcdef; tidegate=${String(visitor).padStart(21, "v")}A`,
});

/** Where what is measured and stored goes: to a control that is a stand-in, with 50 ms for the way. `origin` answers at the binding ORIGIN as well. */
export async function startEdge({ head, kv }, { origin, isInspected } = {}) {
	const edge = (await anEdge())("edge", { USER_HASH_KEY: "bench", GATEWAY_ALLOW_PRIVATE: "1" });
	const serviceBindings = { ...edge.serviceBindings, ...bound(origin) };
	return startWorkerd([{ ...edge, serviceBindings }, await aControl(head)], kv, isInspected);
}

/** The Workers `url`, which asks by `fetch`, and `bound`, which asks by a binding. */
export async function startBare(origin) {
	const { text } = await buildWorker("bench/workers/proxy.mjs");
	const bindings = { ORIGIN_URL: origin };
	return startWorkerd([aWorker("url", text, { bindings }), aWorker("bound", text, { bindings, serviceBindings: bound(origin) })]);
}

const bound = (origin) => (origin === undefined ? {} : { ORIGIN: { external: { address: new URL(origin).host, http: {} } } });
