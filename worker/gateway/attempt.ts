import type { Origin } from "../../core/gateway/packed";
import { log } from "../log";
import type { Ask } from "./gateway";

/** What came of asking an origin. */
export type Attempt =
	| { readonly kind: "answer"; readonly response: Response }
	| { readonly kind: "timeout" }
	| { readonly kind: "network" };

/** Waits for the header only: a body may take as long as it likes. Never rejects. */
export async function attempt(
	ask: Ask,
	origin: Origin,
	url: string,
	init: RequestInit,
	{ timeoutMs, route }: { readonly timeoutMs: number; readonly route: string },
): Promise<Attempt> {
	const aborter = new AbortController();
	const timer = setTimeout(() => aborter.abort(), timeoutMs);
	try {
		return { kind: "answer", response: await ask(origin, url, { ...init, redirect: "manual", signal: aborter.signal }) };
	} catch (error) {
		if (aborter.signal.aborted) return { kind: "timeout" };
		log("origin_unreachable", { route, error: String(error) });
		return { kind: "network" };
	} finally {
		clearTimeout(timer);
	}
}

export function isFailure(attempted: Attempt, errors: readonly number[]): boolean {
	return attempted.kind !== "answer" || attempted.response.status >= 500 || errors.includes(attempted.response.status);
}

/** A URL's own path goes before the request's; a binding knows no host of its own, and is asked by the request's. */
export function addressOf(origin: Origin, url: URL): string {
	return "url" in origin ? origin.url + url.pathname + url.search : url.href;
}
