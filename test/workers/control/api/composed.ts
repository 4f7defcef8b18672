import { createExecutionContext, waitOnExecutionContext } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { expect } from "vitest";
import { api } from "../../../../control/api/app";
import type { Problem } from "../../../../control/api/refusals";
import { webhook } from "../../../../control/notify/webhook";
import type { MetricsSource, Performance, SystemSummary } from "../../../../control/metrics/source";
import { type Database, open } from "../../../../control/store/database";
import { TOKEN } from "./harness";

/** The API with parts that a test replaces: what the metrics say, a database that is down, a clock. */
export interface Parts {
	readonly performance?: MetricsSource["performance"];
	readonly system?: MetricsSource["system"];
	readonly db?: Database;
	readonly token?: string;
	/** Of the clock that stamps events. */
	readonly nowMs?: number;
	readonly realNowMs?: number;
}

const unused = async (): Promise<never> => {
	throw new Error("nobody should ask");
};

export interface Answered<T> {
	readonly status: number;
	readonly body: T;
}

export async function ask<T>(path: string, parts: Parts = {}): Promise<Answered<T>> {
	const metrics: MetricsSource = {
		watermark: unused,
		totals: unused,
		firstHarms: unused,
		userSums: unused,
		firstExposures: unused,
		scored: unused,
		quantiles: unused,
		performance: parts.performance ?? (async () => []),
		system: parts.system ?? (async () => []),
	};
	const app = api(() => ({
		publisher: { db: parts.db ?? open(env.DB), kv: env.SNAPSHOTS, realNow: () => parts.realNowMs ?? Date.now() },
		metrics,
		notifier: webhook(false),
		checks: { db: parts.db ?? open(env.DB), metrics, allowPrivate: false, realNow: () => parts.realNowMs ?? Date.now() },
		privateOrigins: false,
		adminToken: TOKEN,
		now: parts.nowMs ?? Date.now(),
	}));
	const context = createExecutionContext();
	const headers = { authorization: `Bearer ${parts.token ?? TOKEN}` };
	const response = await app.fetch(new Request(`https://control.example${path}`, { headers }), env, context);
	await waitOnExecutionContext(context);
	return { status: response.status, body: await response.json<T>() };
}

export async function found<T>(path: string, parts: Parts = {}): Promise<T> {
	const { status, body } = await ask<T>(path, parts);
	expect(status, JSON.stringify(body)).toBe(200);
	return body;
}

export async function refusedOf(status: number, path: string, parts: Parts = {}): Promise<Problem> {
	const answer = await ask<Problem>(path, parts);
	expect(answer.status, JSON.stringify(answer.body)).toBe(status);
	return answer.body;
}

/** D1 whose every call ends as `end` does. */
export function aDatabase(end: () => Promise<never>): Database {
	const statement = { bind: () => statement, all: end, raw: end, run: end, first: end };
	return open({ prepare: () => statement, batch: end, exec: end } as unknown as D1Database);
}

export const never = (): Promise<never> => new Promise(() => {});
export const failing = async (): Promise<never> => {
	throw new Error("D1_ERROR: a secret, tg_production_key");
};

export const aPerformance = (change: Partial<Performance> = {}): Performance => ({
	flag: "",
	variant: "",
	metric: "error",
	requests: 100,
	sum: 3,
	p50: 0,
	p95: 0,
	p99: 0,
	...change,
});

export const aSystemSummary = (change: Partial<SystemSummary> = {}): SystemSummary => ({
	origin: "web-1",
	metric: "cpu_percent",
	samples: 2,
	mean: 40,
	max: 60,
	last: 60,
	lastAtMs: 1_800_000_000_000,
	...change,
});
