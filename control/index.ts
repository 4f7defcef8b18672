import { WorkerEntrypoint } from "cloudflare:workers";
import type { Point } from "../core/telemetry";
import type { Head as HeadData, HeadSource, PointStore } from "../core/wire";
import { type Composition, api } from "./api/app";
import { embedded, recordPoints } from "./metrics/embedded";
import { open } from "./store/database";
import { bodyOf, readHead } from "./store/publication";
import { tick } from "./tick/tick";

interface Env {
	readonly SNAPSHOTS: KVNamespace;
	readonly DB: D1Database;
	/** Secret: the first bearer token of the API. */
	readonly ADMIN_TOKEN?: string;
	/** Local instances and tests only: "1" lets x-tidegate-now move the clock that stamps events and ticks. */
	readonly DEV_CLOCK?: string;
}

const realNow = (): number => Date.now();

const app = api((bindings, request): Composition => {
	const env = bindings as Env;
	return { publisher: { db: open(env.DB), kv: env.SNAPSHOTS, realNow }, adminToken: env.ADMIN_TOKEN, now: clock(env, request) };
});

function clock(env: Env, request: Request): number {
	const moved = env.DEV_CLOCK === "1" ? request.headers.get("x-tidegate-now") : null;
	return moved !== null && /^\d{1,15}$/.test(moved) ? Number(moved) : realNow();
}

/** The edge's source of truth: the head, and bodies that KV could not give. */
export class Head extends WorkerEntrypoint<Env> implements HeadSource {
	async head(): Promise<HeadData> {
		return (await readHead(open(this.env.DB))).head;
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
}

export default {
	fetch: (request, env, context) => app.fetch(request, env, context),
	async scheduled(event, env): Promise<void> {
		const publisher = { db: open(env.DB), kv: env.SNAPSHOTS, realNow };
		await tick({ ...publisher, metrics: embedded(env.DB) }, event.scheduledTime);
	},
} satisfies ExportedHandler<Env>;
