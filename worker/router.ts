import type { Audience } from "./audience";
import { gatherTold } from "./compared";
import { isForBrowsers, openToBrowsers, preflight } from "./cors";
import { collect, type Collector } from "./events";
import type { Gateway } from "./gateway/gateway";
import { environmentOf } from "./gateway/hosts";
import { proxy } from "./gateway/proxy";
import { liveness, readiness } from "./health";
import { authenticate, type KnownKeys } from "./keys";
import { log } from "./log";
import { evaluateAll, evaluateOne } from "./ofrep";
import { problem } from "./problem";
import { currentHead, isNewEnough, type Isolate, serving } from "./snapshots";
import type { Sources } from "./sources";
import { collectSystem } from "./system";
import { within } from "./within";

/** All that answering a request takes. */
export interface Edge {
	readonly isolate: Isolate;
	readonly keys: KnownKeys;
	readonly sources: Sources;
	readonly collector: Collector;
	readonly gateway: Gateway;
}

const FLAGS = "/ofrep/v1/evaluate/flags";
const PROBE_MS = 400;

/** Answers any request; what nobody expected becomes a 500 that says nothing. */
export async function answer(request: Request, edge: Edge): Promise<Response> {
	const { url } = request;
	const { isolate, sources, gateway } = edge;
	let isApi = true;
	try {
		const isWaiting = !isNewEnough(isolate, sources);
		if (isWaiting && (isolate.head.value === undefined || !isOwn(pathOf(url)))) await learnHosts(pathOf(url), edge);
		const environment = environmentOf(gateway.kept.hosts, isolate.head.value, url);
		isApi = environment === undefined;
		if (environment !== undefined) {
			if (isWaiting && isOwn(pathOf(url))) await currentHead(isolate, sources);
			return await proxy(request, url, environment, edge);
		}
		const path = pathOf(url);
		if (!isForBrowsers(path)) return await route(request, path, edge);
		if (request.method === "OPTIONS") return preflight();
		return openToBrowsers(await route(request, path, edge));
	} catch (error) {
		const path = pathOf(url);
		log("unexpected_error", {
			method: request.method,
			path,
			error: String(error),
			stack: error instanceof Error ? error.stack : undefined,
		});
		const generic = refuse(isApi ? path : "", 500, "Something went wrong here: try again.");
		return isApi && isForBrowsers(path) ? openToBrowsers(generic) : generic;
	}
}

/** A path of the API, on whose way the head is looked at anyway, or must not be waited for. */
const isOwn = (path: string): boolean =>
	path.startsWith(FLAGS) || path === "/v1/events" || path === "/v1/system" || path.startsWith("/health/");

/** Which hosts are proxied, the head says. Probes give up after 500 ms, whatever hangs. */
async function learnHosts(path: string, { isolate, sources }: Edge): Promise<void> {
	const refreshed = currentHead(isolate, sources);
	if (!path.startsWith("/health/")) return void (await refreshed);
	sources.waitUntil(refreshed);
	await within(PROBE_MS, refreshed, sources.wait).catch(() => undefined);
}

async function route(request: Request, path: string, edge: Edge): Promise<Response> {
	if (path === FLAGS) return posted(request, path, edge, (open, environment) => evaluateAll(request, open, environment));
	if (path.startsWith(`${FLAGS}/`)) {
		return posted(request, path, edge, (open) => evaluateOne(request, open, keyIn(path)));
	}
	if (path === "/v1/events")
		return posted(request, path, edge, (open, name) =>
			collect(request, open, name, edge.collector, (found) => edge.sources.waitUntil(gatherTold(edge, name, found))),
		);
	if (path === "/v1/system") return posted(request, path, edge, ({ kind }, name) => collectSystem(request, kind, name, edge.collector));
	if (path === "/health/liveness") return isRead(request) ? liveness() : notAllowed("GET, HEAD");
	if (path === "/health/readiness")
		return isRead(request) ? readiness(edge.isolate, edge.sources, Boolean(edge.collector.userHashKey)) : notAllowed("GET, HEAD");
	// A host that nobody knows yet may be one of the gateway's.
	if (!edge.isolate.head.value) return unready(path);
	return problem(
		404,
		`There is nothing at this path. There are: POST ${FLAGS}[/{key}], POST /v1/events, POST /v1/system, GET /health/liveness, GET /health/readiness.`,
	);
}

/** Answers a POST with an SDK key, from the snapshot of the key's environment. */
async function posted(
	request: Request,
	path: string,
	{ isolate, keys, sources }: Edge,
	handle: (audience: Audience, environment: string) => Promise<Response>,
): Promise<Response> {
	if (request.method !== "POST") return notAllowed("POST, OPTIONS");
	const head = await currentHead(isolate, sources);
	if (!head) return unready(path);
	const key = await authenticate(request, head, keys);
	if (!key) {
		const detail =
			"A valid SDK key is needed, one that begins with tg_: send it as `Authorization: Bearer <key>` or as `X-API-Key`. A new one is known here within 10 s.";
		return refuse(path, 401, detail, { "WWW-Authenticate": "Bearer" });
	}
	const open = await serving(isolate, sources, key.environment);
	return open ? handle({ serving: open, kind: key.kind }, key.environment) : unready(path);
}

const unready = (path: string): Response => refuse(path, 503, "No snapshot could be loaded yet: try again.", { "Retry-After": "1" });

/** OFREP has an error shape of its own. */
function refuse(path: string, status: 401 | 500 | 503, detail: string, headers: Readonly<Record<string, string>> = {}): Response {
	if (!path.startsWith("/ofrep/")) return problem(status, detail, headers);
	const key = path.startsWith(`${FLAGS}/`) ? { key: keyIn(path) } : {};
	return Response.json({ ...key, errorCode: "GENERAL", errorDetails: detail }, { status, headers });
}

function notAllowed(allow: string): Response {
	return problem(405, `The methods here are ${allow}.`, { Allow: allow });
}

/** As the client wrote it: parsing the URL would be a tenth of an answer's cost. */
function pathOf(url: string): string {
	const path = url.slice(url.indexOf("/", url.indexOf("://") + 3));
	const end = path.search(/[?#]/);
	return end < 0 ? path : path.slice(0, end);
}

const isRead = ({ method }: Request): boolean => method === "GET" || method === "HEAD";

/** The flag's key in a single evaluation's path. What is no percent-encoding stays as it is: such a key is no flag's, and is answered so. */
function keyIn(path: string): string {
	const encoded = path.slice(FLAGS.length + 1);
	try {
		return decodeURIComponent(encoded);
	} catch {
		return encoded;
	}
}
