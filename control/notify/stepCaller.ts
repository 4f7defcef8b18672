import type { Outcome } from "../../core/notify/settle";
import { durationMs } from "../../core/rollouts/duration";
import { type RollbackStep, STEP_MAX_MS, STEP_MIN_MS } from "../../core/rollouts/wayBack";
import type { Json } from "../store/audit";
import { addressRefusal } from "../address";

/** How the steps after a way back are carried out: one request each. Every failure is an outcome. */
export interface StepCaller {
	/** `key` is the same however often the step is tried: who is called tells by it what was done. */
	call(step: RollbackStep, key: string, body: Json): Promise<Outcome>;
}

/** `allowPrivate`: local instances may call http, any port and private addresses. */
export function stepCaller(allowPrivate: boolean): StepCaller {
	return {
		async call({ http: url, method, timeout }, key, body): Promise<Outcome> {
			const refused = addressRefusal(url, allowPrivate);
			if (refused !== undefined) return { kind: "silent", error: `http: ${refused}` };
			// As plans are checked; an older one may say anything.
			const timeoutMs = Math.min(Math.max(durationMs(timeout) ?? STEP_MAX_MS, STEP_MIN_MS), STEP_MAX_MS);
			const signal = AbortSignal.timeout(timeoutMs);
			const headers = { "content-type": "application/json", "user-agent": "Tidegate", "idempotency-key": key };
			const content = method === "GET" ? {} : { body: JSON.stringify(body) };
			try {
				const response = await fetch(url, { method, headers, ...content, signal, redirect: "manual" });
				// Nobody reads it, and it could be endless. That it can't be cancelled changes no answer.
				await response.body?.cancel().catch(() => {});
				return { kind: "answered", status: response.status };
			} catch {
				// The error may hold the URL, which may hold what only its owner should know.
				return { kind: "silent", error: signal.aborted ? `no answer within ${timeoutMs} ms` : "the connection failed" };
			}
		},
	};
}
