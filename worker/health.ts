import type { Sources } from "./sources";
import { currentHead, type Isolate } from "./snapshots";
import { within } from "./within";

/** Probes give up after 500 ms, so they are answered before. */
const ANSWER_MS = 400;
const NO_STORE = { "Cache-Control": "no-store" };

export function liveness(): Response {
	return Response.json({ status: "ok" }, { headers: NO_STORE });
}

/** Ready: this isolate knows, or can learn, what to serve. Looks at the head only, whatever else hangs. */
export async function readiness(isolate: Isolate, from: Sources, isCollecting: boolean): Promise<Response> {
	const refreshed = currentHead(isolate, from);
	from.waitUntil(refreshed);
	// What is held answers at once; only a cold isolate waits, and what comes too late serves the next probe.
	if (!isolate.head.value) await within(ANSWER_MS, refreshed, from.wait).catch(() => undefined);
	const { value: head, confirmedAtMs } = isolate.head;
	if (!head)
		return Response.json(
			{ status: "not ready", reason: "no head could be read: is control deployed, migrated and ticking?" },
			{ status: 503, headers: { ...NO_STORE, "Retry-After": "1" } },
		);
	/** Since control confirmed the head; null: it never has, the head is KV's. */
	const ageMs = confirmedAtMs > 0 ? from.now() - confirmedAtMs : null;
	const environments = Object.entries(head.environments).map(([name, { version }]) => [name, { version, ageMs }]);
	// Evaluating needs no secret; events do.
	const events = isCollecting ? "ready" : "not ready: the secret USER_HASH_KEY is not set";
	return Response.json({ status: "ready", events, environments: Object.fromEntries(environments) }, { headers: NO_STORE });
}
