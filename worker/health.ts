import type { Sources } from "./sources";
import { currentHead, type Isolate } from "./snapshots";

const NO_STORE = { "Cache-Control": "no-store" };

export function liveness(): Response {
	return Response.json({ status: "ok" }, { headers: NO_STORE });
}

/** Ready: this isolate knows what to serve. Looks at the head only, whatever else hangs; what comes too late serves the next probe. */
export function readiness(isolate: Isolate, from: Sources, isCollecting: boolean): Response {
	from.waitUntil(currentHead(isolate, from));
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
