import { type Answer, type Difference, compareAnswers } from "../../core/gateway/compare";
import type { Comparison, Origin, PackedRoute, PackedShadow } from "../../core/gateway/packed";
import { log } from "../log";
import { within } from "../within";
import { addressOf, attempt, isFailure } from "./attempt";
import { gather } from "./comparisons";
import { type Measured, type Recorder, comparedPoints, record } from "./measure";
import { sampleOf } from "./sample";

/** Compare mode: the candidate answers besides, unheard by the user, and what differs is recorded. */

/** Of requests that are sent twice; a larger one goes to the user's origin alone. */
const REQUEST_BYTES_MAX = 64 * 1_024;
/** Under way in an isolate: a candidate that hangs must not hold its memory. */
const SHADOWING_MAX = 100;
/** Work behind an answer has been cancelled by then. */
const DEAD_AFTER_MS = 35_000;
const BUCKETS = 100_000;

export interface Shadow {
	readonly rules: PackedShadow;
	readonly origin: Origin;
}

/** Whether a request is one of those that are compared. `draw` in [0, 1). */
export function shadowOf({ shadow, origins = {} }: PackedRoute, method: string, draw: number): Shadow | undefined {
	if (!shadow || draw * BUCKETS >= shadow.sample || !shadow.methods.includes(method)) return undefined;
	const origin = Object.hasOwn(origins, shadow.variant) ? origins[shadow.variant] : undefined;
	return origin && { rules: shadow, origin };
}

/** Whether a body can be sent twice: its length must be known before it is read. */
export function canRepeat(request: Request): boolean {
	if (request.body === null) return true;
	const length = request.headers.get("content-length");
	return length !== null && Number(length) <= REQUEST_BYTES_MAX;
}

/** The user's answer, and a copy of its body for as long as it may be compared. */
export function copied(response: Response, { body, bodyBytesMax }: Comparison): { readonly response: Response; readonly copy: Copy } {
	const isEndless = response.headers.get("content-type")?.startsWith("text/event-stream") === true;
	if (body === "none" || isEndless || response.body === null || Number(response.headers.get("content-length") ?? 0) > bodyBytesMax)
		return { response, copy: response.body === null ? EMPTY : null };
	const [users, ours] = response.body.tee();
	return { response: new Response(users, response), copy: ours };
}
type Copy = ReadableStream<Uint8Array> | typeof EMPTY | null;
const EMPTY = new Uint8Array();

export interface Pair {
	readonly url: URL;
	readonly init: RequestInit;
	/** The user's answer: its body is the copy. */
	readonly legacy: {
		readonly status: number;
		readonly headers: Headers;
		readonly copy: Copy;
		readonly ms: number;
		readonly isError: boolean;
	};
	readonly phase: string;
}

/** Runs behind the answer. Never rejects. */
export async function compare(shadow: Shadow, pair: Pair, of: Measured, secret: string | undefined, to: Recorder): Promise<void> {
	const { gateway, sources } = to;
	const { shadowing } = gateway.kept;
	for (const each of shadowing) if (sources.now() - each.sinceMs > DEAD_AFTER_MS) shadowing.delete(each);
	const own = { sinceMs: sources.now() };
	if (shadowing.size >= SHADOWING_MAX) {
		await discard(pair.legacy.copy);
		return log("shadow_skipped", { route: of.route.key, underWay: shadowing.size });
	}
	shadowing.add(own);
	try {
		await ask(shadow, pair, of, secret, to);
	} catch (error) {
		log("shadow_failed", { route: of.route.key, error: String(error) });
	} finally {
		shadowing.delete(own);
	}
}

async function ask(
	{ rules: { comparison }, origin }: Shadow,
	{ url, init, legacy, phase }: Pair,
	of: Measured,
	secret: string | undefined,
	to: Recorder,
): Promise<void> {
	const { gateway, sources } = to;
	const { route, environment } = of;
	const startedAtMs = sources.now();
	// Both bodies at once: the copy of the user's must not fill up while the candidate thinks.
	const [ours, answered] = await Promise.all([
		bodyOf(legacy.copy, comparison.bodyBytesMax, route.timeoutMs, to),
		attempt(gateway.ask, origin, addressOf(origin, url), init, { timeoutMs: route.timeoutMs, route: route.key }),
	]);
	const candidateMs = sources.now() - startedAtMs;
	if (ours === "broken") {
		if (answered.kind === "answer") await discard(answered.response.body);
		return;
	}
	const one = { status: legacy.status, headers: namesIn(legacy.headers, comparison), body: ours };
	let candidate: Answer | undefined;
	if (answered.kind === "answer") {
		const { response } = answered;
		const length = Number(response.headers.get("content-length") ?? 0);
		const isWanted = comparison.body !== "none" && legacy.copy !== null && length <= comparison.bodyBytesMax;
		if (!isWanted) await discard(response.body);
		const body = isWanted ? await bodyOf(response.body ?? EMPTY, comparison.bodyBytesMax, route.timeoutMs, to) : null;
		// One that breaks off is none.
		if (body !== "broken") candidate = { status: response.status, headers: namesIn(response.headers, comparison), body };
	}
	// Where the user's was not kept, since it was too large or nobody asks for it, there is nothing to hold the candidate's against.
	const differences: readonly Difference[] = candidate
		? compareAnswers(comparison, one, candidate)
		: [{ at: "answer", legacy: one.status, candidate: answered.kind === "timeout" ? "none in time" : "none" }];
	const isError = !candidate || isFailure(answered, route.errors);
	const isDiscrepancy = differences.length > 0;
	const isTimed = candidate !== undefined && !legacy.isError && !isError;
	const sample = isDiscrepancy
		? sampleOf({ method: String(init.method), pathname: url.pathname }, comparison, one, candidate, differences)
		: undefined;
	const latencies = isTimed ? { legacyMs: legacy.ms, candidateMs } : undefined;
	const points = secret
		? await comparedPoints(
				of,
				[
					["discrepancy", Number(isDiscrepancy)],
					["error", Number(isError)],
					["latency_ms", candidateMs],
				],
				secret,
			)
		: [];
	await Promise.all([
		points.length > 0 ? record(to, environment, route.key, points) : undefined,
		gather(to, environment, [{ subject: route.key, phase, isDiscrepancy, isError, latencies, sample }]),
	]);
}

/** null: it is too large, or nobody kept it. */
async function bodyOf(body: Copy, bytesMax: number, timeoutMs: number, { sources }: Recorder): Promise<Uint8Array | "broken" | null> {
	if (body === null || body instanceof Uint8Array) return body;
	const reader = body.getReader();
	try {
		return await within(timeoutMs, read(reader, bytesMax), sources.wait);
	} catch {
		await reader.cancel().catch(() => undefined);
		return "broken";
	}
}

async function read(reader: ReadableStreamDefaultReader<Uint8Array>, bytesMax: number): Promise<Uint8Array | null> {
	const chunks: Uint8Array[] = [];
	let length = 0;
	for (;;) {
		// oxlint-disable-next-line no-await-in-loop -- a stream comes piece by piece
		const { done, value } = await reader.read();
		if (done) break;
		length += value.byteLength;
		if (length > bytesMax) {
			await reader.cancel();
			return null;
		}
		chunks.push(value);
	}
	const all = new Uint8Array(length);
	let at = 0;
	for (const chunk of chunks) {
		all.set(chunk, at);
		at += chunk.byteLength;
	}
	return all;
}

async function discard(body: Copy): Promise<void> {
	if (body instanceof ReadableStream) await body.cancel().catch(() => undefined);
}

const namesIn = (headers: Headers, { headers: wanted }: Comparison): Record<string, string> =>
	Object.fromEntries(wanted.flatMap((name) => (headers.has(name) ? [[name, headers.get(name) ?? ""]] : [])));
