import { env } from "cloudflare:workers";
import { embedded, recordPoints } from "../../../../control/metrics/embedded";
import type { Point } from "../../../../core/telemetry";
import { aQuestion } from "./contract/store";

export const DAY_MS = 86_400_000;
export const NOW_MS = 1_800_000_000_000;
export const TABLES = ["totals", "units", "arms", "harmed", "signals", "harms", "exposures", "exposed", "scored"] as const;
export const NOTHING = Object.fromEntries(TABLES.map((table) => [table, 0]));

export const source = embedded(env.DB);
export const record = (points: readonly Point[], environment = "production", nowMs = NOW_MS) =>
	recordPoints(env.DB, environment, points, nowMs);

/** How many a rollout has in each table. */
export async function rowsOf(rollout: string): Promise<Record<string, number>> {
	const found = await env.DB.batch<{ n: number }>(
		TABLES.map((table) => env.DB.prepare(`SELECT count(*) AS n FROM telemetry_${table} WHERE rollout = ?1`).bind(rollout)),
	);
	return Object.fromEntries(TABLES.map((table, i) => [table, found[i]?.results[0]?.n ?? -1]));
}

export async function requestsOf(rollout: string): Promise<number> {
	const totals = await source.totals([aQuestion(rollout)], await source.watermark(NOW_MS));
	return totals.reduce((sum, each) => sum + each.requests, 0);
}
