import { env } from "cloudflare:workers";
import type { Point, SystemPoint } from "../../../core/telemetry";
import { bodyKey, type Compared, type Head, HEAD_KEY } from "../../../core/wire";
import type { Collector } from "../../../worker/events";
import { type Gateway, nothingKept } from "../../../worker/gateway/gateway";
import { storeOf } from "../../../worker/kv";
import { answer } from "../../../worker/router";
import { coldIsolate } from "../../../worker/snapshots";
import type { Sources } from "../../../worker/sources";
import { type Published, SDK_KEY } from "./fixture";

export const down = async (): Promise<never> => {
	throw new Error("down");
};

/** A cold edge before the real KV, with a control that a test can break. */
export async function anEdge(
	published: Published,
	change: { nowMs?: number; userHashKey?: string | undefined; previewKey?: string | undefined } = {},
) {
	let skippedMs = 0;
	const works: Promise<unknown>[] = [];
	const isolate = coldIsolate();
	const keys = new Map<string, string>();
	const recorded: { environment: string; points: readonly Point[] }[] = [];
	const compared: { environment: string; compared: readonly Compared[] }[] = [];
	const system: { environment: string; points: readonly SystemPoint[] }[] = [];
	/** What a test may replace. */
	const parts = {
		head: published.head,
		askHead: async (): Promise<Head> => parts.head,
		record: async (environment: string, points: readonly Point[]): Promise<void> => void recorded.push({ environment, points }),
		compare: async (environment: string, found: readonly Compared[]): Promise<void> => void compared.push({ environment, compared: found }),
		unheard: async (_environment: string, ids: readonly string[]): Promise<readonly string[]> => ids,
		/** An origin of the gateway, and what it thinks chance is. */
		ask: down as Gateway["ask"],
		draw: 0,
		recordSystem: async (environment: string, points: readonly SystemPoint[]): Promise<void> => void system.push({ environment, points }),
	};
	const wait = (ms: number, signal?: AbortSignal): Promise<void> => scheduler.wait(ms, signal ? { signal } : {});
	const sources: Sources = {
		control: { head: () => parts.askHead(), body: async () => null },
		store: storeOf(env.SNAPSHOTS),
		colo: () => "ZRH",
		now: () => Date.now() + skippedMs,
		wait,
		waitUntil: (work) => void works.push(work),
	};
	const collector = (): Collector => ({
		points: {
			record: (environment, points) => parts.record(environment, points),
			recordSystem: (environment, points) => parts.recordSystem(environment, points),
		},
		userHashKey: "userHashKey" in change ? change.userHashKey : "test-hash-key",
		nowMs: change.nowMs ?? Date.now(),
		wait,
	});
	const gateway: Gateway = {
		ask: (origin, url, init) => parts.ask(origin, url, init),
		kept: nothingKept(),
		previewKey: "previewKey" in change ? change.previewKey : "test-preview-key",
		draw: () => parts.draw,
		points: () => {
			const { points } = collector();
			return () => points;
		},
		comparisons: {
			record: (environment, found) => parts.compare(environment, found),
			unheard: (environment, ids) => parts.unheard(environment, ids),
		},
		flushAfterMs: 0,
		urgentFrom: 500,
	};
	/** The answer alone; to a path of the API's own host, or to any URL. */
	const respond = (path: string, init: RequestInit = {}): Promise<Response> =>
		answerTo(new Request(path.startsWith("/") ? `https://edge.example${path}` : path, init));
	const answerTo = (request: Request): Promise<Response> => answer(request, { isolate, keys, sources, collector: collector(), gateway });
	/** The end of what goes on behind answers. */
	const settled = async (): Promise<void> => {
		// oxlint-disable-next-line no-await-in-loop -- work may leave work behind
		while (works.length > 0) await Promise.all(works.splice(0));
	};
	/** The answer, and the end of what went on behind it. */
	const send = async (path: string, init: RequestInit = {}): Promise<Response> => {
		const response = await respond(path, init);
		await settled();
		return response;
	};
	/** POST of JSON, or of a text as it is, with the production key unless the headers name another. */
	const post = (path: string, body: unknown, headers: Record<string, string> = { Authorization: `Bearer ${SDK_KEY}` }): Promise<Response> =>
		send(path, { method: "POST", headers, body: typeof body === "string" ? body : JSON.stringify(body) });
	/** Lets time pass for the isolate: the clock only, no timer. */
	const later = (ms: number): void => void (skippedMs += ms);

	await put(published);
	return { parts, recorded, system, compared, gateway, respond, answerTo, settled, send, post, later };
}

/** Writes to KV what control would. */
export async function put({ head, bodies }: Published): Promise<void> {
	for (const [name, body] of bodies) {
		const [environment = "", version = ""] = name.split("/");
		await env.SNAPSHOTS.put(bodyKey(environment, Number(version)), body);
	}
	await env.SNAPSHOTS.put(HEAD_KEY, JSON.stringify(head));
}
