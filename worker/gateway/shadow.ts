import { type Answer, type Difference, compareAnswers } from "../../core/gateway/compare";
import type { Comparison, Origin, PackedRoute, PackedShadow } from "../../core/gateway/packed";
import { log } from "../log";
import { within } from "../within";
import { type Attempt, addressOf, attempt, discard, isFailure } from "./attempt";
import { keep } from "./buffer";
import { type Comparing, gather } from "./comparisons";
import type { Kept } from "./gateway";
import { type Learning, type Measured, type Outcomes, type Wanted, comparedPoints, endOutcomes, flush, learn } from "./measure";
import { decode, sampleOf } from "./sample";

/** Compare mode: the candidate answers besides, unheard by the user, and what differs is recorded. */

/** Of requests that are sent twice; a larger one goes to the user's origin alone. */
const REQUEST_BYTES_MAX = 64 * 1_024;
/** Under way in an isolate, and what they may hold at most: a candidate that hangs must not take its memory. */
const SHADOWING_MAX = 100;
const SHADOWING_BYTES_MAX = 32 * 1_024 * 1_024;
/** Work behind an answer has been cancelled by then. */
const DEAD_AFTER_MS = 35_000;
/** After the user's answer: one that is still on its way out must not share the isolate with the candidate's. */
const BEHIND_MS = 10;
/** The user's body, then the candidate: so that there is time to tell of it before work behind an answer is cancelled, after 30 s. */
const USERS_WITHIN_MS = 10_000;
const COMPARED_WITHIN_MS = 15_000;
const ENDS_AFTER_MS = 28_000;
const SKIPPED_LOGGED_EVERY_MS = 60_000;
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

/** A place among the shadow requests under way; given back when it is over. */
export interface Place {
	readonly sinceMs: number;
	readonly bytes: number;
}

/** undefined: there is no room, and the request is not compared. */
export function placeFor({ rules: { comparison } }: Shadow, { shadowing, skipped }: Kept, route: string, nowMs: number): Place | undefined {
	let held = 0;
	for (const each of shadowing) {
		if (nowMs - each.sinceMs > DEAD_AFTER_MS) shadowing.delete(each);
		else held += each.bytes;
	}
	const place = { sinceMs: nowMs, bytes: REQUEST_BYTES_MAX + (comparison.body === "none" ? 0 : 2 * comparison.bodyBytesMax) };
	if (shadowing.size < SHADOWING_MAX && held + place.bytes <= SHADOWING_BYTES_MAX) {
		shadowing.add(place);
		return place;
	}
	skipped.count++;
	if (nowMs - skipped.loggedAtMs >= SKIPPED_LOGGED_EVERY_MS) {
		log("shadow_skipped", { route, requests: skipped.count, underWay: shadowing.size });
		Object.assign(skipped, { count: 0, loggedAtMs: nowMs });
	}
	return undefined;
}

/** A copy of the body of the user's answer, where it may be compared. */
export function copyOf(response: Response, { body, bodyBytesMax }: Comparison): Copy {
	const isEndless = response.headers.get("content-type")?.startsWith("text/event-stream") === true;
	if (body === "none" || isEndless || response.body === null || Number(response.headers.get("content-length") ?? 0) > bodyBytesMax)
		return response.body === null ? EMPTY : null;
	return response.clone().body;
}
type Copy = ReadableStream<Uint8Array> | typeof EMPTY | null;
const EMPTY = new Uint8Array();

export interface Pair {
	readonly url: URL;
	/** Made only when it is needed: nothing of it is to hold up the user's answer. */
	readonly init: () => RequestInit;
	/** The user's answer: its body is the copy. */
	readonly legacy: {
		readonly status: number;
		readonly headers: Headers;
		readonly copy: Copy;
		readonly startedAtMs: number;
		readonly ms: number;
		readonly isError: boolean;
		/** What of its end is evidence. */
		readonly wanted: Wanted | undefined;
	};
	readonly phase: string;
}

/** Runs behind the answer. Never rejects. */
export async function compare(shadow: Shadow, place: Place, pair: Pair, of: Measured, to: Learning): Promise<void> {
	const { route, environment } = of;
	const endsMs = to.sources.now() + ENDS_AFTER_MS;
	try {
		const found = await ask(shadow, pair, of, to, endsMs).finally(() => to.gateway.kept.shadowing.delete(place));
		if (!found) return;
		const { outcomes, ...comparing } = found;
		await Promise.all([recordCandidate(of, outcomes, to, endsMs), gather(to, environment, [comparing], endsMs)]);
	} catch (error) {
		log("shadow_failed", { route: route.key, error: String(error) });
	}
}

/** undefined: the user's answer broke off, and there is nothing to compare with. */
async function ask(
	{ rules: { comparison }, origin }: Shadow,
	{ url, init, legacy, phase }: Pair,
	of: Measured,
	to: Learning,
	endsMs: number,
): Promise<(Comparing & { readonly outcomes: Outcomes }) | undefined> {
	const { gateway, sources } = to;
	const { now } = sources;
	const { route } = of;
	await sources.wait(BEHIND_MS);
	const ours = await bodyOf(legacy.copy, comparison, now() + USERS_WITHIN_MS, to);
	if (ours === "broken") return undefined;
	if (legacy.wanted && ours) learn(of, endOutcomes(legacy.wanted, now() - legacy.startedAtMs, ours.length), to, endsMs);
	const asked = init();
	const startedAtMs = now();
	const timeoutMs = Math.min(route.timeoutMs, COMPARED_WITHIN_MS);
	const untilMs = startedAtMs + timeoutMs;
	const answered = await attempt(gateway.ask, origin, addressOf(origin, url), asked, { timeoutMs, route: route.key, now });
	const candidateMs = now() - startedAtMs;
	const one = { status: legacy.status, headers: namesIn(legacy.headers, comparison), body: ours };
	const candidate = await candidateOf(answered, { isWanted: legacy.copy !== null, comparison, untilMs }, to);
	// Where the user's was not kept, since it was too large or nobody asks for it, there is nothing to hold the candidate's against.
	const differences: readonly Difference[] = candidate
		? compareAnswers(comparison, one, candidate, decode)
		: [{ at: "answer", legacy: one.status, candidate: answered.kind === "timeout" || now() >= untilMs ? "none in time" : "none" }];
	const isError = !candidate || isFailure(answered, route.errors);
	const isDiscrepancy = differences.length > 0;
	const isTimed = candidate !== undefined && !legacy.isError && !isError;
	const end = legacy.wanted && candidate?.body ? endOutcomes(legacy.wanted, now() - startedAtMs, candidate.body.length) : [];
	return {
		subject: route.key,
		phase,
		isDiscrepancy,
		isError,
		latencies: isTimed ? { legacyMs: legacy.ms, candidateMs } : undefined,
		sample: isDiscrepancy
			? () => sampleOf({ method: String(asked.method), pathname: url.pathname }, comparison, one, candidate, differences)
			: undefined,
		outcomes: [["discrepancy", Number(isDiscrepancy)], ["error", Number(isError)], ["latency_ms", candidateMs], ...end],
	};
}

async function recordCandidate(of: Measured, outcomes: Outcomes, to: Learning, endsMs: number): Promise<void> {
	const { userHashKey } = to.collector;
	const points = userHashKey ? await comparedPoints(of, outcomes, userHashKey) : [];
	if (points.length === 0) return;
	keep(to.gateway.kept, of.environment, of.route.key, points);
	await flush(to, endsMs);
}

/** undefined: there is none, or it broke off. */
async function candidateOf(
	answered: Attempt,
	{ isWanted, comparison, untilMs }: { readonly isWanted: boolean; readonly comparison: Comparison; readonly untilMs: number },
	to: Learning,
): Promise<Answer | undefined> {
	if (answered.kind !== "answer") return undefined;
	const { response } = answered;
	const { status } = response;
	const headers = namesIn(response.headers, comparison);
	if (!isWanted || comparison.body === "none" || Number(response.headers.get("content-length") ?? 0) > comparison.bodyBytesMax) {
		await discard(response);
		return { status, headers, body: null };
	}
	const body = await bodyOf(response.body ?? EMPTY, comparison, untilMs, to);
	return body === "broken" ? undefined : { status, headers, body };
}

/** null: it is too large, or nobody kept it. */
async function bodyOf(
	body: Copy,
	{ bodyBytesMax }: Comparison,
	untilMs: number,
	{ sources: { now, wait } }: Learning,
): Promise<Uint8Array | "broken" | null> {
	if (body === null || body instanceof Uint8Array) return body;
	const reader = body.getReader();
	try {
		return await within(Math.max(0, untilMs - now()), read(reader, bodyBytesMax), wait);
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

const namesIn = (headers: Headers, { headers: wanted }: Comparison): Record<string, string> =>
	Object.fromEntries(wanted.flatMap((name) => (headers.has(name) ? [[name, headers.get(name) ?? ""]] : [])));
