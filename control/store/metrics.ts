import { type SQL, and, asc, count, eq, getTableColumns, inArray, sql } from "drizzle-orm";
import { diff } from "../../core/flags/diff";
import type { MetricDefinition } from "../../core/metric";
import { storedMetric } from "../../core/metricModel";
import { type Result, err, ok } from "../../core/result";
import { ACTIVE, type Status } from "../../core/rollouts/state";
import { type Act, audited } from "./audit";
import { isConflict } from "./conflict";
import { type Database, type Statement, commit } from "./database";
import { parseJson } from "./json";
import { environments, metricDefinitions, rollouts } from "./schema";

/** A snapshot carries every metric of its environment. */
export const OWN_METRICS_MAX = 100;

export interface StoredMetric extends MetricDefinition {
	readonly environment: string;
	readonly updatedAtMs: number;
}

export type MetricRefusal =
	| { readonly kind: "metric_exists"; readonly key: string }
	| { readonly kind: "metric_missing"; readonly key: string }
	| { readonly kind: "metric_in_use"; readonly key: string; readonly by: readonly string[]; readonly drafts: readonly string[] }
	| { readonly kind: "too_many_metrics"; readonly limit: number }
	| { readonly kind: "changed_meanwhile" };

/** One statement, so it can stand in a batch. A row that cannot be read has no config, and hides no other. */
export function selectMetrics(db: Database, environment: string) {
	return db
		.select(TOLERANT)
		.from(metricDefinitions)
		.where(eq(metricDefinitions.environment, environment))
		.orderBy(asc(metricDefinitions.key));
}

const TOLERANT = {
	...getTableColumns(metricDefinitions),
	config: sql`${metricDefinitions.config}`.mapWith((text: string): MetricDefinition | undefined => parseJson(storedMetric, text)),
};

/** An environment's own metrics, without the standard ones. */
export async function listMetrics(db: Database, environment: string): Promise<MetricDefinition[]> {
	return (await selectMetrics(db, environment)).flatMap(({ config }) => config ?? []);
}

export async function listStoredMetrics(db: Database, environment: string): Promise<{ metrics: StoredMetric[]; damaged: string[] }> {
	const read = (await selectMetrics(db, environment)).map((row) => stored(row) ?? row.key);
	return { metrics: read.filter((each) => typeof each !== "string"), damaged: read.filter((each) => typeof each === "string") };
}

/** What is stored under a key; of a row that cannot be read only when it was written. */
export interface FoundMetric {
	readonly environment: string;
	readonly key: string;
	readonly config: MetricDefinition | undefined;
	readonly updatedAtMs: number;
}

export async function findMetric(db: Database, environment: string, key: string): Promise<FoundMetric | undefined> {
	const [row] = await db.select(TOLERANT).from(metricDefinitions).where(at(environment, key));
	return row;
}

export async function createMetric(
	db: Database,
	environment: string,
	config: MetricDefinition,
	act: Act,
): Promise<Result<StoredMetric, MetricRefusal>> {
	const row = { environment, key: config.key, config, updatedAtMs: act.atMs };
	const number = sql`(SELECT count(*) FROM ${metricDefinitions} WHERE ${metricDefinitions.environment} = ${environment})`;
	const isWritten = await write(db, [
		changedIf(db, environment, sql`${number} < ${OWN_METRICS_MAX}`, act),
		db.insert(metricDefinitions).values(row),
		audited(db, act, resource(environment, config.key), "metric.created", null, config),
	]);
	if (isWritten) return ok({ ...config, environment, updatedAtMs: act.atMs });
	if (await findMetric(db, environment, config.key)) return err({ kind: "metric_exists", key: config.key });
	const [own] = await db.select({ n: count() }).from(metricDefinitions).where(eq(metricDefinitions.environment, environment));
	return err((own?.n ?? 0) >= OWN_METRICS_MAX ? { kind: "too_many_metrics", limit: OWN_METRICS_MAX } : { kind: "changed_meanwhile" });
}

/** `before` is as it was read; whoever has changed it since wins. Where nothing differs nothing is written. */
export async function changeMetric(
	db: Database,
	before: FoundMetric,
	after: MetricDefinition,
	act: Act,
): Promise<Result<StoredMetric, MetricRefusal>> {
	const { environment, key, updatedAtMs, config } = before;
	if (config && diff(config, after).length === 0) return ok({ ...after, environment, updatedAtMs });
	// What edges read an event by, and a plan's criteria mean: of a damaged row nobody knows it.
	const isProtected = config?.kind !== after.kind;
	const isWritten = await write(db, [
		changedIf(db, environment, isProtected ? sql`${isAsRead(before)} AND NOT ${isNamed(environment, key)}` : isAsRead(before), act),
		db.update(metricDefinitions).set({ config: after, updatedAtMs: act.atMs }).where(at(environment, key)),
		audited(db, act, resource(environment, key), "metric.changed", config ?? { damaged: true }, after),
	]);
	return isWritten ? ok({ ...after, environment, updatedAtMs: act.atMs }) : err(await lost(db, before));
}

export async function deleteMetric(db: Database, before: FoundMetric, act: Act): Promise<Result<null, MetricRefusal>> {
	const { environment, key, config } = before;
	const isWritten = await write(db, [
		changedIf(db, environment, sql`${isAsRead(before)} AND NOT ${isNamed(environment, key)}`, act),
		db.delete(metricDefinitions).where(at(environment, key)),
		audited(db, act, resource(environment, key), "metric.deleted", config ?? { damaged: true }, null),
	]);
	return isWritten ? ok(null) : err(await lost(db, before));
}

const resource = (environment: string, key: string): string => `metrics/${environment}/${key}`;
const at = (environment: string, key: string) => and(eq(metricDefinitions.environment, environment), eq(metricDefinitions.key, key));

/** As `changed`, where the condition holds when it is written: else NULL aborts the batch. */
function changedIf(db: Database, environment: string, condition: SQL, act: Act): Statement {
	return db
		.update(environments)
		.set({ changed: sql`CASE WHEN ${condition} THEN ${environments.changed} + 1 END`, changedAtMs: act.atMs })
		.where(eq(environments.name, environment));
}

const isAsRead = ({ environment, key, updatedAtMs }: FoundMetric): SQL =>
	sql`EXISTS (SELECT 1 FROM ${metricDefinitions} WHERE ${at(environment, key)} AND ${metricDefinitions.updatedAtMs} = ${updatedAtMs})`;

/** A rollout that has ended reads no more events. A draft will, by the definitions that its plan has kept. */
const UNFINISHED: Status[] = ["draft", ...ACTIVE];

/** Whether a row of rollouts keeps the metric's definition. A corrupt one serves its users the baseline, and needs it no more. */
const keeps = (environment: string, key: string) =>
	and(
		eq(rollouts.environment, environment),
		inArray(rollouts.status, UNFINISHED),
		sql`CASE WHEN json_valid(${rollouts.plan}) THEN EXISTS (SELECT 1 FROM json_each(${rollouts.plan}, '$.metrics') AS kept WHERE kept.value ->> 'key' = ${key}) ELSE FALSE END`,
	);

const isNamed = (environment: string, key: string): SQL => sql`EXISTS (SELECT 1 FROM ${rollouts} WHERE ${keeps(environment, key)})`;

async function write(db: Database, statements: readonly Statement[]): Promise<boolean> {
	try {
		await commit(db, statements);
		return true;
	} catch (error) {
		if (isConflict(error, "environments") || isConflict(error, "metric_definitions")) return false;
		throw error;
	}
}

async function lost(db: Database, { environment, key, updatedAtMs }: FoundMetric): Promise<MetricRefusal> {
	const now = await findMetric(db, environment, key);
	if (!now) return { kind: "metric_missing", key };
	if (now.updatedAtMs !== updatedAtMs) return { kind: "changed_meanwhile" };
	const by = await db
		.select({ id: rollouts.id, status: rollouts.status })
		.from(rollouts)
		.where(keeps(environment, key))
		.orderBy(asc(rollouts.id));
	if (by.length === 0) return { kind: "changed_meanwhile" };
	const drafts = by.filter(({ status }) => status === "draft").map(({ id }) => id);
	return { kind: "metric_in_use", key, by: by.map(({ id }) => id), drafts };
}

function stored({ environment, config, updatedAtMs }: FoundMetric): StoredMetric | undefined {
	return config && { ...config, environment, updatedAtMs };
}
