import { problem } from "../problem";
import type { Edge } from "../router";
import { type Asked, type Assignment, assign, phaseOf, withoutRollout } from "./assign";
import { type Attempt, addressOf, attempt, discard, isFailure } from "./attempt";
import { isOpen, letsThrough, observe, observeBaseline } from "./fuses";
import { type Said, flagsHeader, incoming } from "./headers";
import { type Measured, type Outcomes, endOutcomes, learn, wantedOf } from "./measure";
import { type Shadow, canRepeat, compare, copyOf, placeFor, shadowOf } from "./shadow";
import { type Upload, keptUpload, tooLarge, uploadOf } from "./upload";
import { watched } from "./watch";

/** A request whose way is decided. */
interface Decided {
	readonly request: Request;
	readonly url: URL;
	/** As the origin gets them; flags are added. */
	readonly headers: Headers;
	readonly said: Said;
	readonly environment: string;
	readonly asked: Asked;
	readonly assigned: Assignment;
	readonly isPreviewed: boolean;
	readonly cookie: string | undefined;
	readonly edge: Edge;
}

/** How a request goes out, and to whom else it may. */
interface Way {
	readonly taken: Assignment;
	/** Whose candidate it is that is asked, or would be. */
	readonly rollout: string | undefined;
	/** The candidate's fuse has blown: the baseline is asked in its place. */
	readonly isDiverted: boolean;
	readonly baseline: () => Assignment | undefined;
}

/** Asks the origin, and the baseline's where the candidate failed; answers, and leaves what is to be learnt to be done behind the answer. */
export async function forward(decided: Decided): Promise<Response> {
	const { request, url, said, asked, isPreviewed, cookie, environment, edge } = decided;
	const { route, snapshot } = asked;
	const { gateway, sources } = edge;
	const { now } = sources;
	const way = wayOf(decided);
	const { taken, isDiverted } = way;
	const wanted = isPreviewed ? undefined : wantedOf(route, snapshot);
	const shadow = isPreviewed || isDiverted ? undefined : shadowFor(decided, taken);
	const upload = shadow
		? await keptUpload(request, route.timeoutMs, sources)
		: uploadOf(request, { bytesMax: route.bodyBytesMax, isMeasured: wanted !== undefined, now });
	if (upload.broken) return unsent(upload.broken, route.bodyBytesMax);
	const { body } = upload;
	const watches =
		wanted !== undefined && (wanted.duration || wanted.bytes) && !shadow && !isDiverted && request.method !== "HEAD" && !said.isWebSocket;
	const ask = (to: Assignment): Promise<Attempt> => {
		tell(decided.headers, decided, to);
		const init: RequestInit = { method: request.method, headers: decided.headers, body };
		// What passes through here to its end must not be decoded on the way.
		if (watches) init.encodeResponseBody = "manual";
		const of = { timeoutMs: route.timeoutMs, route: route.key, now, upload: body === null ? undefined : upload };
		return attempt(gateway.ask, to.origin, addressOf(to.origin, url), init, of);
	};

	const startedAtMs = now();
	const { attempted, isFailed, isRetried } = await reach(ask, way, decided);
	if (attempted.kind === "broken") return unsent(upload.broken, route.bodyBytesMax);
	const ms = now() - startedAtMs;

	const measured: Measured = { ...asked, environment, atMs: edge.collector.nowMs };
	const learnOutcome = (): void => {
		if (wanted) learn(measured, outcomesOf({ isFailed, isRetried, isDiverted, ms }), edge);
	};
	if (attempted.kind === "unclear") {
		const { response, isTaken } = delivered(refusal("network"), sources.wait);
		const learnIfTaken = async (): Promise<void> => {
			if (!(await isTaken)) return;
			observeAlone(way, decided, { isFailed, sentAtMs: startedAtMs });
			learnOutcome();
		};
		sources.waitUntil(learnIfTaken());
		return response;
	}
	learnOutcome();
	if (attempted.kind !== "answer") return refusal(attempted.kind);
	const { response } = attempted;
	const place = shadow && placeFor(shadow, gateway.kept, route.key, now());
	if (shadow && place) {
		const { rules } = shadow;
		const { status, headers } = response;
		const legacy = { status, headers, copy: copyOf(response, rules.comparison), startedAtMs, ms, isError: isFailed, wanted };
		const init = (): RequestInit => {
			const own = new Headers(decided.headers);
			tell(own, decided, { ...taken, variant: rules.variant });
			own.set("x-tidegate-shadow", "1");
			return { method: request.method, headers: own, body };
		};
		sources.waitUntil(compare(shadow, place, { url, init, legacy, phase: phaseOf(snapshot, route.flag) }, measured, edge));
	}
	let through: ReadableStream<Uint8Array> | undefined;
	if (watches && response.body === null && !response.webSocket && !isRetried) learn(measured, endOutcomes(wanted, ms, 0), edge);
	if (watches && response.body && !response.webSocket) {
		const passed = watched(response.body, response.headers, wanted.bytes);
		through = passed.body;
		// How the baseline's answer ends says nothing of the candidate.
		const learnEnd = (bytes: number | undefined): void => {
			if (bytes !== undefined && !isRetried) learn(measured, endOutcomes(wanted, now() - startedAtMs, bytes), edge);
		};
		sources.waitUntil(passed.ended.then(learnEnd));
	}
	return incoming(response, { cookie, variant: isPreviewed ? taken.variant : undefined, body: through });
}

function wayOf({ asked, assigned, isPreviewed, environment, edge }: Decided): Way {
	const { gateway, sources } = edge;
	// What a tester sees is no user's, whatever comes of it.
	const rollout = isPreviewed ? undefined : assigned.candidateOf;
	const baseline = (): Assignment | undefined =>
		rollout === undefined ? undefined : assign({ ...asked, overlay: withoutRollout(asked.overlay, rollout) });
	const isDiverted = rollout !== undefined && asked.route.fuse && !letsThrough(gateway.kept.fuses, environment, rollout, sources.now());
	return { taken: (isDiverted ? baseline() : undefined) ?? assigned, rollout, isDiverted, baseline };
}

/** Asks who is to be asked; and the baseline, where the candidate has failed what may be asked twice. */
async function reach(
	ask: (to: Assignment) => Promise<Attempt>,
	way: Way,
	decided: Decided,
): Promise<{ readonly attempted: Attempt; readonly isFailed: boolean; readonly isRetried: boolean }> {
	const { taken, rollout, isDiverted, baseline } = way;
	const { request, environment, edge } = decided;
	const { route } = decided.asked;
	const { gateway, sources } = edge;
	const sentAtMs = sources.now();
	const attempted = await ask(taken);
	const isFailed = isFailure(attempted, route.errors);
	if (attempted.kind === "broken" || attempted.kind === "unclear") return { attempted, isFailed, isRetried: false };
	const other = isFailed && !isDiverted && route.retry && isRepeatable(request) ? baseline() : undefined;
	if (!other || rollout === undefined) {
		observeAlone(way, decided, { isFailed, sentAtMs });
		return { attempted, isFailed, isRetried: false };
	}
	if (attempted.kind === "answer") sources.waitUntil(discard(attempted.response));
	const second = await ask(other);
	if (route.fuse && !isFailure(second, route.errors))
		observe(gateway.kept.fuses, environment, rollout, { outcome: "proven", sentAtMs, nowMs: sources.now() });
	return { attempted: second, isFailed, isRetried: true };
}

/** Tells the fuse of a request that nobody else was asked. */
function observeAlone(
	{ taken, rollout, isDiverted }: Way,
	{ asked: { route }, isPreviewed, environment, edge }: Decided,
	{ isFailed, sentAtMs }: { readonly isFailed: boolean; readonly sentAtMs: number },
): void {
	if (!route.fuse || isPreviewed) return;
	const { fuses } = edge.gateway.kept;
	const nowMs = edge.sources.now();
	const baselineOf = isDiverted ? rollout : taken.baselineOf;
	if (baselineOf !== undefined) observeBaseline(fuses, environment, baselineOf, isFailed, nowMs);
	else if (rollout !== undefined) observe(fuses, environment, rollout, { outcome: isFailed ? "alone" : "fine", sentAtMs, nowMs });
}

/**
 * Whoever was sent away from the candidate is a harm of it, and so is who was spared by a second try. How long the baseline took says nothing
 * of the candidate, unless its user had to wait for both.
 */
function outcomesOf(of: {
	readonly isFailed: boolean;
	readonly isRetried: boolean;
	readonly isDiverted: boolean;
	readonly ms: number;
}): Outcomes {
	const { isFailed, isRetried, isDiverted, ms } = of;
	const outcomes: [string, number][] = [["error", Number(isFailed || isDiverted)]];
	outcomes.push(isDiverted ? ["gateway_diverted", 1] : ["latency_ms", ms]);
	if (isRetried) outcomes.push(["gateway_retried", 1]);
	return outcomes;
}

/** Tells the origin of the flags that it asked for. */
function tell(headers: Headers, { asked }: Decided, { variant, overlay }: Pick<Assignment, "variant" | "overlay">): void {
	const { route, snapshot, context } = asked;
	if (route.forward.length === 0) return;
	const flags = flagsHeader(route.forward, { snapshot, overlay, context }, { flag: route.flag, variant });
	if (flags === "") headers.delete("x-tidegate-flags");
	else headers.set("x-tidegate-flags", flags);
}

/** What is sent twice must do what is sent once does. */
function isRepeatable({ method, body, headers }: Request): boolean {
	if (headers.has("upgrade")) return false;
	if (method === "GET" || method === "HEAD" || method === "OPTIONS") return body === null;
	return (method === "PUT" || method === "DELETE") && (body === null || headers.get("content-length") === "0");
}

/** The user has the candidate's answer already where the variant is the same; and a candidate whose fuse has blown is left alone. */
function shadowFor({ request, said, asked, environment, edge }: Decided, taken: Assignment): Shadow | undefined {
	const { route, snapshot } = asked;
	const { gateway, sources } = edge;
	const { kept, draw } = gateway;
	if (!route.shadow || taken.variant === route.shadow.variant || said.isWebSocket || said.isConditional || !canRepeat(request))
		return undefined;
	const flag = route.flag === undefined ? undefined : snapshot.flag(route.flag);
	const rollout = flag === undefined || flag === "corrupt" ? undefined : flag.rollout;
	if (rollout && isOpen(kept.fuses, environment, rollout.key, sources.now())) return undefined;
	return shadowOf(route, request.method, draw());
}

/** So soon it is known that a client has left. */
const HEARD_AFTER_MS = 100;

/** An answer in two pieces: a client that left, of which nobody else knows, does not take the second. */
function delivered(response: Response, wait: Edge["sources"]["wait"]): { readonly response: Response; readonly isTaken: Promise<boolean> } {
	const { readable, writable } = new IdentityTransformStream();
	const writer = writable.getWriter();
	const write = async (): Promise<boolean> => {
		try {
			const body = new Uint8Array(await response.arrayBuffer());
			await writer.write(body.subarray(0, 1));
			await wait(HEARD_AFTER_MS);
			await writer.write(body.subarray(1));
			await writer.close();
			return true;
		} catch {
			return false;
		}
	};
	return { response: new Response(readable, response), isTaken: write() };
}

function unsent(broken: Upload["broken"], bytesMax: number): Response {
	if (broken === "too_large") return tooLarge(bytesMax);
	return broken === "stalled" ? problem(408, "The body did not come in time.") : problem(400, "The body broke off.");
}

function refusal(kind: "timeout" | "network"): Response {
	return kind === "timeout" ? problem(504, "The origin did not answer in time.") : problem(502, "The origin could not be reached.");
}
