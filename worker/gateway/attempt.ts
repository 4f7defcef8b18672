import type { Origin } from "../../core/gateway/packed";
import { log } from "../log";
import type { Ask } from "./gateway";
import type { Upload } from "./upload";

/** What came of asking an origin. */
export type Attempt =
	| { readonly kind: "answer"; readonly response: Response }
	| { readonly kind: "timeout" }
	| { readonly kind: "network" }
	/** The request broke off, or did not come: nobody learns anything from it. */
	| { readonly kind: "broken" }
	/** A connection was lost, and nobody can tell which, unless the client takes an answer. */
	| { readonly kind: "unclear" };

export interface Attempting {
	readonly route: string;
	readonly timeoutMs: number;
	/** The request's body, where it may break. */
	readonly upload?: Upload | undefined;
	readonly now: () => number;
}

/** Waits for the header only: a body may take as long as it likes, if it moves. Never rejects. */
export async function attempt(ask: Ask, origin: Origin, url: string, init: RequestInit, of: Attempting): Promise<Attempt> {
	const { upload, timeoutMs, route, now } = of;
	// A signal costs a tenth of a request, and only a body has to be broken off: the end of the request takes along what is late without one.
	const aborter = upload && new AbortController();
	if (upload) upload.breakOff = () => aborter?.abort();
	let isOver = false;
	try {
		const answered = ask(origin, url, aborter ? { ...init, redirect: "manual", signal: aborter.signal } : { ...init, redirect: "manual" });
		const late = new Promise<undefined>((done) => {
			// Not stopped once there is an answer, since that costs as much: the end of the request takes it along as well.
			const look = (): void => {
				if (isOver) return;
				const leftMs = upload && upload.movedAtMs > 0 ? upload.movedAtMs + timeoutMs - now() : 0;
				if (leftMs > 0) return void setTimeout(look, leftMs);
				if (upload?.isAwaited) upload.broken = "stalled";
				aborter?.abort();
				done(undefined);
			};
			setTimeout(look, timeoutMs);
		});
		const response = await Promise.race([answered, late]);
		if (response) return { kind: "answer", response };
		void answered.then(discard, () => undefined);
		return { kind: upload?.broken === undefined ? "timeout" : "broken" };
	} catch (error) {
		if (upload?.broken !== undefined) return { kind: "broken" };
		log("origin_unreachable", { route, error: String(error) });
		return { kind: upload?.isOpaque === true ? "unclear" : "network" };
	} finally {
		isOver = true;
	}
}

export async function discard({ body }: Response): Promise<void> {
	await body?.cancel().catch(() => undefined);
}

export function isFailure(attempted: Attempt, errors: readonly number[]): boolean {
	return attempted.kind !== "answer" || attempted.response.status >= 500 || errors.includes(attempted.response.status);
}

/** A URL's own path goes before the request's; a binding knows no host of its own, and is asked by the request's. */
export function addressOf(origin: Origin, url: URL): string {
	return "url" in origin ? origin.url + url.pathname + url.search : url.href;
}
