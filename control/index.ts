import { WorkerEntrypoint } from "cloudflare:workers";
import type { Point, SystemPoint } from "../core/telemetry";
import type { Compared, ComparisonStore, EdgeSeen, Head as HeadData, HeadSource, PointStore } from "../core/wire";
import { type Composition, api } from "./api/app";
import type { CheckDeps } from "./checks/finding";
import { analyticsEngine } from "./metrics/analyticsEngine";
import { analyticsEngineApi } from "./metrics/analyticsEngineApi";
import { embedded, recordPoints } from "./metrics/embedded";
import { recordSystem } from "./metrics/embeddedSystem";
import type { MetricsSource } from "./metrics/source";
import type { Notifier } from "./notify/notifier";
import { type StepCaller, stepCaller } from "./notify/stepCaller";
import { webhook } from "./notify/webhook";
import { recordCompared, unheardIds } from "./store/compared";
import { open } from "./store/database";
import { recordEdge } from "./store/edges";
import { bodyOf, readHead } from "./store/publication";
import { looks } from "./tick/looks";
import { tick } from "./tick/tick";

interface Env {
	readonly SNAPSHOTS: KVNamespace;
	readonly DB: D1Database;
	/** Secret: the first bearer token of the API. */
	readonly ADMIN_TOKEN?: string;
	/** Cloudflare's account and dataset that edges write outcomes to; with the secret AE_API_TOKEN control reads them from there. */
	readonly AE_ACCOUNT_ID?: string;
	readonly AE_DATASET?: string;
	readonly AE_API_TOKEN?: string;
	/** "2": a tick looks again after half a minute. */
	readonly TICK_LOOKS?: string;
	/** Local instances and tests only: "1" lets x-tidegate-now move the clock that stamps events and ticks. */
	readonly DEV_CLOCK?: string;
	/** Local instances and tests only: "1" lets webhooks go to http, any port and private addresses. */
	readonly WEBHOOKS_ALLOW_PRIVATE?: string;
	/** The same for checks. */
	readonly CHECKS_ALLOW_PRIVATE?: string;
	/** The same for the origins of routes. */
	readonly GATEWAY_ALLOW_PRIVATE?: string;
}

const realNow = (): number => Date.now();

const app = api((bindings, request): Composition => {
	const env = bindings as Env;
	const publisher = { db: open(env.DB), kv: env.SNAPSHOTS, realNow };
	return {
		publisher,
		metrics: metricsOf(env),
		notifier: notifierOf(env),
		checks: checksOf(env),
		privateOrigins: env.GATEWAY_ALLOW_PRIVATE === "1",
		adminToken: env.ADMIN_TOKEN,
		now: clock(env, request),
	};
});

/** The embedded store, unless Analytics Engine is set up whole. */
function metricsOf(env: Env): MetricsSource {
	const { AE_ACCOUNT_ID: id, AE_DATASET: dataset, AE_API_TOKEN: token } = env;
	return id && dataset && token ? analyticsEngine(env.DB, analyticsEngineApi({ id, token }), dataset) : embedded(env.DB);
}

const notifierOf = (env: Env): Notifier => webhook(env.WEBHOOKS_ALLOW_PRIVATE === "1");
const stepsOf = (env: Env): StepCaller => stepCaller(env.WEBHOOKS_ALLOW_PRIVATE === "1");

const checksOf = (env: Env): CheckDeps => ({
	db: open(env.DB),
	metrics: metricsOf(env),
	allowPrivate: env.CHECKS_ALLOW_PRIVATE === "1",
	realNow,
});

function clock(env: Env, request: Request): number {
	const moved = env.DEV_CLOCK === "1" ? request.headers.get("x-tidegate-now") : null;
	return moved !== null && /^\d{1,15}$/.test(moved) ? Number(moved) : realNow();
}

/** The edge's source of truth: the head, and bodies that KV could not give. */
export class Head extends WorkerEntrypoint<Env> implements HeadSource {
	async head(seen?: EdgeSeen): Promise<HeadData> {
		const db = open(this.env.DB);
		const { head } = await readHead(db);
		if (seen) this.ctx.waitUntil(recordEdge(db, seen, realNow()));
		return head;
	}
	async body(environment: string, version: number): Promise<string | null> {
		return bodyOf(open(this.env.DB), environment, version);
	}
}

/** Where the edge's telemetry goes as long as no Analytics Engine is set up. */
export class Telemetry extends WorkerEntrypoint<Env> implements PointStore {
	async record(environment: string, points: readonly Point[]): Promise<void> {
		await recordPoints(this.env.DB, environment, points, realNow());
	}
	async recordSystem(environment: string, points: readonly SystemPoint[]): Promise<void> {
		await recordSystem(this.env.DB, environment, points, realNow());
	}
}

/** Where the edge tells what comparing two origins, or the application, has found. */
export class Comparisons extends WorkerEntrypoint<Env> implements ComparisonStore {
	async record(environment: string, compared: readonly Compared[]): Promise<void> {
		await recordCompared(open(this.env.DB), environment, compared, realNow());
	}
	async unheard(environment: string, ids: readonly string[]): Promise<readonly string[]> {
		return unheardIds(this.env.DB, environment, ids, realNow());
	}
}

export default {
	fetch: (request, env, context) => app.fetch(request, env, context),
	async scheduled(event, env): Promise<void> {
		const publisher = { db: open(env.DB), kv: env.SNAPSHOTS, realNow };
		const given = { ...publisher, metrics: metricsOf(env), notifier: notifierOf(env), steps: stepsOf(env), checks: checksOf(env) };
		const look = (now: number): Promise<void> => tick(given, now);
		const wait = (ms: number): Promise<void> => scheduler.wait(ms);
		await looks(env.TICK_LOOKS === "2" ? 2 : 1, event.scheduledTime, look, { realNow, wait });
	},
} satisfies ExportedHandler<Env>;
