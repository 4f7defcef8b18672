import type { HeadSource, PointStore } from "../core/wire";
import type { KnownKeys } from "./keys";
import { storeOf } from "./kv";
import { answer } from "./router";
import { coldIsolate } from "./snapshots";
import type { Sources } from "./sources";
import { analyticsEngine } from "./telemetry/analyticsEngine";

interface Env {
	readonly SNAPSHOTS: KVNamespace;
	/** Control's entrypoints. */
	readonly HEAD: HeadSource;
	readonly TELEMETRY: PointStore;
	/** Where points go instead, once TELEMETRY_STORE is "analytics_engine": control must read from there as well. */
	readonly OUTCOMES?: AnalyticsEngineDataset;
	readonly TELEMETRY_STORE?: string;
	readonly USER_HASH_KEY?: string;
	readonly DEV_CLOCK?: string;
}

/** Plain data only: this outlives the request that wrote it. */
const isolate = coldIsolate();
const keys: KnownKeys = new Map();

export default {
	async fetch(request, env, ctx): Promise<Response> {
		const sources: Sources = {
			control: env.HEAD,
			store: storeOf(env.SNAPSHOTS),
			colo: () => coloOf(request),
			now: () => Date.now(),
			wait: (ms, signal) => scheduler.wait(ms, signal ? { signal } : {}),
			waitUntil: (work) => ctx.waitUntil(work),
		};
		const collector = {
			points: pointsOf(request, env),
			userHashKey: env.USER_HASH_KEY,
			nowMs: eventClockMs(request, env),
			wait: sources.wait,
		};
		return answer(request, { isolate, keys, sources, collector });
	},
} satisfies ExportedHandler<Env>;

function pointsOf(request: Request, env: Env): PointStore {
	if (env.TELEMETRY_STORE !== "analytics_engine" || !env.OUTCOMES) return env.TELEMETRY;
	return analyticsEngine(env.OUTCOMES, { colo: coloOf(request), route: "", source: "events" });
}

function coloOf(request: Request): string {
	const { colo } = request.cf ?? {};
	return typeof colo === "string" ? colo : "";
}

/** In development a header moves the clock that stamps events, and no other. */
function eventClockMs(request: Request, env: Env): number {
	const moved = env.DEV_CLOCK === "1" ? Number(request.headers.get("x-tidegate-now") ?? NaN) : NaN;
	return Number.isSafeInteger(moved) ? moved : Date.now();
}
