import type { Outcome } from "../../core/notify/settle";
import { addressRefusal } from "../address";
import type { Notifier } from "./notifier";
import { signatureHeaders } from "./sign";

/** An answer that has not begun by then is none. */
const TIMEOUT_MS = 10_000;

/** Signed HTTP requests. `allowPrivate`: local instances may send to http, any port and private addresses. */
export function webhook(allowPrivate: boolean, timeoutMs: number = TIMEOUT_MS): Notifier {
	const refusal = (url: string): string | undefined => addressRefusal(url, allowPrivate);
	return {
		refusal,
		async send({ url, secrets }, { id, body }, now): Promise<Outcome> {
			// Asked again: the row may be older than the setting.
			const refused = refusal(url);
			if (refused !== undefined) return { kind: "silent", error: `url: ${refused}` };
			const signature = await signatureHeaders({ id, timestampMs: now, body }, secrets).catch(() => undefined);
			if (!signature) return { kind: "silent", error: "its secret cannot sign" };
			const headers = { ...signature, "content-type": "application/json", "user-agent": "Tidegate" };
			const signal = AbortSignal.timeout(timeoutMs);
			try {
				const response = await fetch(url, { method: "POST", headers, body, signal, redirect: "manual" });
				// Nobody reads it, and it could be endless. That it can't be cancelled changes no answer.
				await response.body?.cancel().catch(() => {});
				return { kind: "answered", status: response.status };
			} catch {
				// The error may hold the URL, which may hold what only the receiver should know.
				return { kind: "silent", error: signal.aborted ? `no answer within ${timeoutMs} ms` : "the connection failed" };
			}
		},
	};
}
