import { environmentName } from "../../core/flags/model";
import { type Level, worstOf } from "../../core/health/level";
import { LEASE_MS } from "../../core/wire";
import { log, nameOf } from "../log";
import type { MetricsSource, Performance } from "../metrics/source";
import type { Database } from "../store/database";
import { latestEnvironmentChecks } from "../store/environmentChecks";
import { countAlerts, countRollbacks } from "../store/healthAlerts";
import { readHead } from "../store/publication";
import { within } from "../within";

/** With the 200 ms that it may take to tell whose token it is: below the 500 ms after which probes give up. */
const DEADLINE_MS = 250;
const WINDOW_MS = 600_000;
const ROLLBACKS_WINDOW_MS = 3_600_000;

interface Alerts {
	readonly active: number;
	/** Those that somebody was paged for. */
	readonly critical: number;
}

/** Of the last ten minutes, by arrival. */
interface Outcomes {
	readonly windowMs: number;
	/** The most that any metric was reported: at least so many requests there were. */
	readonly requests: number | null;
	readonly error_rate: number | null;
	readonly fallback_rate: number | null;
	readonly latency_p50_ms: number | null;
	readonly latency_p95_ms: number | null;
	readonly latency_p99_ms: number | null;
}

/** The worst of all environments, with the score of that level, then each of them. What could not be read in time is null, and named in `unavailable`. */
export interface HealthMetrics {
	readonly score: number | null;
	readonly level: Level;
	readonly lastTickAgeMs: number | null;
	readonly alerts: Alerts | { readonly active: null; readonly critical: null };
	/** Of the last hour, automatic and by hand. */
	readonly rollbacks: number | null;
	readonly metrics: Outcomes;
	readonly environments: readonly {
		readonly environment: string;
		readonly score: number | null;
		readonly level: Level;
		readonly atMs: number | null;
		readonly alerts: Alerts;
		readonly rollbacks: number;
		readonly metrics: Outcomes;
	}[];
	readonly unavailable: readonly ("state" | "metrics")[];
}

/** `nowMs` is the clock that stamps events, `realNowMs` the one of arrivals and leases. */
export async function healthMetricsOf(db: Database, metrics: MetricsSource, nowMs: number, realNowMs: number): Promise<HealthMetrics> {
	const [state, performance] = await Promise.all([
		known("state", () =>
			Promise.all([readHead(db), latestEnvironmentChecks(db), countAlerts(db), countRollbacks(db, nowMs - ROLLBACKS_WINDOW_MS)]),
		),
		known("metrics", () =>
			Promise.all(
				environmentName.options.map(async (name) => [name, await metrics.performance(name, realNowMs - WINDOW_MS, realNowMs)] as const),
			),
		),
	]);
	const measured = new Map<string, readonly Performance[]>(performance);
	const outcomes = outcomesOf(performance?.map(([, rows]) => rows));
	const unavailable = [...(state ? [] : ["state" as const]), ...(performance ? [] : ["metrics" as const])];
	if (!state)
		return {
			score: null,
			level: "unknown",
			lastTickAgeMs: null,
			alerts: { active: null, critical: null },
			rollbacks: null,
			metrics: outcomes,
			environments: [],
			unavailable,
		};
	const [{ guardedAtMs, lastTickMs }, checks, counted, rolledBack] = state;
	const lastTickAgeMs = guardedAtMs === 0 ? null : realNowMs - guardedAtMs;
	const isGuarded = lastTickAgeMs !== null && lastTickAgeMs < LEASE_MS;
	const environments = checks.map(({ environment, check }) => {
		// What was found long ago is not how it is now.
		const fresh = isGuarded && check && lastTickMs - check.atMs < LEASE_MS ? check : undefined;
		const own = measured.get(environment);
		const { active = 0, critical = 0 } = counted.find((each) => each.environment === environment) ?? {};
		return {
			environment,
			score: fresh?.score ?? null,
			level: fresh?.level ?? ("unknown" as const),
			atMs: check?.atMs ?? null,
			alerts: { active, critical },
			rollbacks: rolledBack.find((each) => each.environment === environment)?.rollbacks ?? 0,
			metrics: outcomesOf(own && [own]),
		};
	});
	const scores = environments.flatMap(({ score }) => score ?? []);
	const total = (of: keyof Alerts): number => environments.reduce((sum, { alerts }) => sum + alerts[of], 0);
	const level = worstOf(environments.map((each) => each.level));
	return {
		// What is unknown of one has no score, though another's be known.
		score: level === "unknown" || scores.length === 0 ? null : Math.min(...scores),
		level,
		lastTickAgeMs,
		alerts: { active: total("active"), critical: total("critical") },
		rollbacks: environments.reduce((sum, { rollbacks }) => sum + rollbacks, 0),
		metrics: outcomes,
		environments,
		unavailable,
	};
}

async function known<T>(part: "state" | "metrics", look: () => Promise<T>): Promise<T | undefined> {
	try {
		return await within(DEADLINE_MS, look());
	} catch (error) {
		log("health_part_unavailable", { part, error: nameOf(error) });
		return undefined;
	}
}

/** Of several environments together; their percentiles cannot be merged, so it is the highest. */
function outcomesOf(environments: readonly (readonly Performance[])[] | undefined): Outcomes {
	const whole = environments?.flat().filter(({ flag }) => flag === "");
	const of = (metric: string): readonly Performance[] => whole?.filter((each) => each.metric === metric) ?? [];
	const sum = (rows: readonly Performance[], field: "requests" | "sum"): number => rows.reduce((all, row) => all + row[field], 0);
	const rate = (metric: string): number | null => {
		const rows = of(metric);
		return rows.length === 0 ? null : sum(rows, "sum") / sum(rows, "requests");
	};
	const latency = (quantile: "p50" | "p95" | "p99"): number | null => {
		const values = of("latency_ms").map((row) => row[quantile]);
		return values.length === 0 ? null : Math.max(...values);
	};
	return {
		windowMs: WINDOW_MS,
		requests:
			environments?.reduce(
				(all, rows) => all + Math.max(0, ...rows.filter(({ flag }) => flag === "").map(({ requests }) => requests)),
				0,
			) ?? null,
		error_rate: rate("error"),
		fallback_rate: rate("fallback"),
		latency_p50_ms: latency("p50"),
		latency_p95_ms: latency("p95"),
		latency_p99_ms: latency("p99"),
	};
}
