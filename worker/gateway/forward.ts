import { log } from "../log";
import { problem } from "../problem";
import type { Edge } from "../router";
import { type Asked, type Assignment, assign, withoutRollout } from "./assign";
import { type Attempt, addressOf, attempt, isFailure } from "./attempt";
import { limited, tooLarge } from "./bodyLimit";
import { isOpen, letsThrough, observe } from "./fuses";
import { flagsHeader, incoming, isUpgrade } from "./headers";
import { type Measured, isMeasured, pointsFor, record } from "./measure";
import { type Shadow, canRepeat, compare, copied, shadowOf } from "./shadow";

/** A request whose way is decided. */
interface Decided {
	readonly request: Request;
	readonly url: URL;
	/** As the origin gets them; flags are added. */
	readonly headers: Headers;
	readonly environment: string;
	readonly asked: Asked;
	readonly assigned: Assignment;
	readonly isPreviewed: boolean;
	readonly cookie: string | undefined;
	readonly edge: Edge;
}

/** Asks the origin, and the baseline's where the candidate failed; answers, and leaves what is to be learnt to be done behind the answer. */
export async function forward(decided: Decided): Promise<Response> {
	const { request, url, asked, assigned, isPreviewed, cookie, environment, edge } = decided;
	const { route, overlay } = asked;
	const { gateway, sources } = edge;
	const { fuses } = gateway.kept;
	// What a tester sees is no user's, whatever comes of it.
	const rollout = isPreviewed ? undefined : assigned.candidateOf;
	const baseline = (): Assignment | undefined =>
		rollout === undefined ? undefined : assign({ ...asked, overlay: withoutRollout(overlay, rollout) });
	const isDiverted = rollout !== undefined && route.fuse && !letsThrough(fuses, environment, rollout, sources.now());
	const taken = (isDiverted ? baseline() : undefined) ?? assigned;

	const shadow = isPreviewed || isDiverted ? undefined : shadowFor(decided, taken);
	const limit = limited(request, route.bodyBytesMax);
	const body = shadow && limit.body !== null ? await request.arrayBuffer() : limit.body;
	const ask = (to: Assignment): Promise<Attempt> => {
		tell(decided.headers, decided, to);
		const init = { method: request.method, headers: decided.headers, body };
		return attempt(gateway.ask, to.origin, addressOf(to.origin, url), init, { timeoutMs: route.timeoutMs, route: route.key });
	};

	const startedAtMs = sources.now();
	let attempted = await ask(taken);
	if (limit.isOver) return tooLarge(route.bodyBytesMax);
	const isFailed = isFailure(attempted, route.errors);
	if (rollout !== undefined && !isDiverted) {
		if (route.fuse) observe(fuses, environment, rollout, isFailed, sources.now());
		const other = isFailed && route.retry && isRepeatable(request) ? baseline() : undefined;
		if (other) {
			if (attempted.kind === "answer") sources.waitUntil(discard(attempted.response));
			attempted = await ask(other);
		}
	}
	const ms = sources.now() - startedAtMs;

	const secret = edge.collector.userHashKey;
	const measured: Measured = { ...asked, environment, atMs: edge.collector.nowMs };
	if (!isPreviewed && isMeasured(route, asked.snapshot)) {
		// Whoever was sent away from the candidate is a harm of it, and so is who was spared by a second try; how long the baseline took
		// says nothing of the candidate.
		const outcomes: [string, number][] = [["error", Number(isFailed || isDiverted)]];
		if (!isDiverted) outcomes.push(["latency_ms", ms]);
		sources.waitUntil(learn(measured, outcomes, edge));
	}
	const shown = isPreviewed ? taken.variant : undefined;
	if (attempted.kind !== "answer") return refusal(attempted.kind);
	let { response } = attempted;
	if (shadow) {
		const pair = copied(response, shadow.rules.comparison);
		const { status, headers } = response;
		response = pair.response;
		const legacy = { status, headers, copy: pair.copy, ms, isError: isFailed };
		const own = new Headers(decided.headers);
		tell(own, decided, { ...taken, variant: shadow.rules.variant });
		own.set("x-tidegate-shadow", "1");
		const init = { method: request.method, headers: own, body: body instanceof ArrayBuffer ? body : null };
		sources.waitUntil(compare(shadow, { url, init, legacy, phase: phaseOf(decided) }, measured, secret, edge));
	}
	return incoming(response, { cookie, variant: shown });
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
function shadowFor({ request, asked, environment, edge }: Decided, taken: Assignment): Shadow | undefined {
	const { route, snapshot } = asked;
	if (!route.shadow || taken.variant === route.shadow.variant || isUpgrade(request) || !canRepeat(request)) return undefined;
	const flag = route.flag === undefined ? undefined : snapshot.flag(route.flag);
	const rollout = flag === undefined || flag === "corrupt" ? undefined : flag.rollout;
	if (rollout && isOpen(edge.gateway.kept.fuses, environment, rollout.key)) return undefined;
	return shadowOf(route, request.method, edge.gateway.draw());
}

function phaseOf({ asked: { route, snapshot } }: Decided): string {
	const flag = route.flag === undefined ? undefined : snapshot.flag(route.flag);
	return (flag === undefined || flag === "corrupt" ? undefined : flag.rollout?.phase) ?? "";
}

/** Behind the answer. Never rejects. */
async function learn(of: Measured, outcomes: readonly (readonly [string, number])[], { gateway, sources, collector }: Edge): Promise<void> {
	const { route, environment } = of;
	try {
		if (collector.userHashKey)
			await record({ gateway, sources }, environment, route.key, await pointsFor(of, outcomes, collector.userHashKey));
		else if (!gateway.kept.isWarned) {
			gateway.kept.isWarned = true;
			log("gateway_unmeasured", { reason: "the secret USER_HASH_KEY is not set" });
		}
	} catch (error) {
		log("measurement_failed", { environment, route: route.key, error: String(error) });
	}
}

async function discard({ body }: Response): Promise<void> {
	await body?.cancel().catch(() => undefined);
}

function refusal(kind: "timeout" | "network"): Response {
	return kind === "timeout" ? problem(504, "The origin did not answer in time.") : problem(502, "The origin could not be reached.");
}
