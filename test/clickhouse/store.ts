import { analyticsEngine } from "../../control/metrics/analyticsEngine";
import { type Query, analyticsEngineApi } from "../../control/metrics/analyticsEngineApi";
import type { MetricsSource } from "../../control/metrics/source";
import type { Point } from "../../core/telemetry";
import type { PointStore } from "../../core/wire";
import { analyticsEngine as writer } from "../../worker/telemetry/analyticsEngine";
import type { Arrival, MetricStore } from "../workers/control/metrics/contract/store";
import { openDatabase } from "./d1";
import { DATASET, type Engine, openEngine } from "./engine";
import { ACCOUNT, type SqlApi, serveSqlApi } from "./server";

/** A point is readable two minutes after its arrival. */
const DELAY_MS = 120_000;

/** The edge's writer and control's reader with a ClickHouse and a D1 between them; its tests say when something arrives. */
export interface Store extends MetricStore {
	readonly db: D1Database;
	readonly engine: Engine;
	readonly api: SqlApi;
	readonly record: (points: readonly Point[], arrival: Arrival & { readonly sampleInterval?: number }) => Promise<void>;
	/** A reader of the same data, one thing about it changed. */
	sourceOf(change: Partial<Parts>): MetricsSource;
	close(): Promise<void>;
}

export interface Parts {
	readonly db: D1Database;
	readonly query: Query;
	readonly harmsMax: number;
}

export async function openStore(): Promise<Store> {
	const engine = openEngine();
	const api = await serveSqlApi(engine);
	const database = await openDatabase();
	const parts = { db: database.db, query: analyticsEngineApi(ACCOUNT, api.url), harmsMax: undefined };
	const sourceOf = (change: Partial<Parts>): MetricsSource => {
		const { db, query, harmsMax } = { ...parts, ...change };
		return analyticsEngine(db, query, DATASET, harmsMax);
	};
	/** What the writer would have handed to Analytics Engine, which stamps it. */
	const write = async (
		use: (to: PointStore) => Promise<void>,
		{ atMs, sampleInterval }: { readonly atMs: number; readonly sampleInterval?: number },
	): Promise<void> => {
		const points: AnalyticsEngineDataPoint[] = [];
		const recording: AnalyticsEngineDataset = { writeDataPoint: (point) => void points.push(point ?? {}) };
		await use(writer(recording, { colo: "TXL", route: "", source: "events" }, Infinity));
		engine.insert(points, { second: Math.floor(atMs / 1_000), ...(sampleInterval === undefined ? {} : { sampleInterval }) });
	};
	return {
		db: database.db,
		engine,
		api,
		source: sourceOf({}),
		sourceOf,
		delayMs: DELAY_MS,
		deduplicates: false,
		keepsOrder: false,
		record: (points, { environment, ...arrival }) => write((to) => to.record(environment, points), arrival),
		recordSystem: (points, { environment, ...arrival }) => write((to) => to.recordSystem(environment, points), arrival),
		async close() {
			await api.close();
			await database.close();
			engine.close();
		},
	};
}
