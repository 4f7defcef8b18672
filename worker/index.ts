import type { ComparisonStore, HeadSource, PointStore } from "../core/wire";
import { type Gateway, nothingKept } from "./gateway/gateway";
import { originsOf } from "./gateway/origins";
import type { KnownKeys } from "./keys";
import { storeOf } from "./kv";
import { answer } from "./router";
import { coldIsolate } from "./snapshots";
import type { Sources } from "./sources";
import { analyticsEngine, POINTS_MAX } from "./telemetry/analyticsEngine";

interface Env {
	readonly SNAPSHOTS: KVNamespace;
	/** Control's entrypoints. */
	readonly HEAD: HeadSource;
	readonly TELEMETRY: PointStore;
	/** Absent where control is older than the edge. */
	readonly COMPARISONS?: ComparisonStore;
	/** Where points go instead, once TELEMETRY_STORE is "analytics_engine": control must read from there as well. */
	readonly OUTCOMES?: AnalyticsEngineDataset;
	readonly TELEMETRY_STORE?: string;
	readonly USER_HASH_KEY?: string;
	/** Signs previews. */
	readonly GATEWAY_PREVIEW_KEY?: string;
	/** "1": routes may lead to private addresses, by http and to any port. In development. */
	readonly GATEWAY_ALLOW_PRIVATE?: string;
	readonly DEV_CLOCK?: string;
}

/** Plain data only: this outlives the request that wrote it. */
const isolate = coldIsolate();
const keys: KnownKeys = new Map();
const kept = nothingKept();
let gateway: Gateway | undefined;

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
		gateway ??= gatewayOf(env);
		return answer(request, { isolate, keys, sources, collector, gateway });
	},
} satisfies ExportedHandler<Env>;

function pointsOf(request: Request, env: Env): PointStore {
	if (env.TELEMETRY_STORE !== "analytics_engine" || !env.OUTCOMES) return env.TELEMETRY;
	return analyticsEngine(env.OUTCOMES, { colo: coloOf(request), route: "", source: "events" });
}

/** Made once an isolate: bindings and secrets are the same for all its requests. */
function gatewayOf(env: Env): Gateway {
	const { OUTCOMES: dataset, TELEMETRY_STORE } = env;
	const isAnalyticsEngine = TELEMETRY_STORE === "analytics_engine" && dataset !== undefined;
	return {
		ask: originsOf(env, env.GATEWAY_ALLOW_PRIVATE === "1"),
		kept,
		previewKey: env.GATEWAY_PREVIEW_KEY,
		draw: () => Math.random(),
		points: (colo) => {
			if (!isAnalyticsEngine) return () => env.TELEMETRY;
			// All routes share what one invocation may write.
			const written = { points: 0 };
			const stores = new Map<string, PointStore>();
			return (route) => {
				const store = stores.get(route) ?? analyticsEngine(dataset, { colo, route, source: "gateway" }, POINTS_MAX, written);
				stores.set(route, store);
				return store;
			};
		},
		comparisons: env.COMPARISONS,
		flushAfterMs: 1_000,
		// An invocation may write only so many points into Analytics Engine, and a request has two or three.
		urgentFrom: isAnalyticsEngine ? POINTS_MAX / 3 : 500,
	};
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
